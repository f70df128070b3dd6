"""The rules of a write-back buffer as a value. Pure. `scripts/back_*.lua` do the same at a server; a test runs both alike.

Beside the buffer it has what the cache has of a key, as far as the rules touch it: the clean value, the lease of a load, and the
version floor that a load has to reach. Names stand for keys; times are milliseconds of one clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from regionkit.caching.back.rules import EPOCH, PUTS_REMEMBERED, Acked, Answer, Fate, version_of

__all__ = ["BufferModel", "Held", "Parked"]


class Held(msgspec.Struct, frozen=True):
    """What a buffer has of a key. `value`: None is a delete. `size`: bytes."""

    version: int
    id: bytes
    time: int
    value: Any
    size: int


class Parked(msgspec.Struct, frozen=True):
    """What stands aside. `since`: when the row began to be behind. `size`: bytes, those of the reason counted."""

    held: Held
    since: int
    reason: str
    size: int


class BufferModel:
    """The buffer of one cache. Not thread-safe: whoever uses it holds a lock.

    Args:
        max_dirty: keys that are dirty or parked at once, at most.
        max_bytes: of what is kept of them.
        remembered: ids of puts.
    """

    def __init__(self, *, max_dirty: int, max_bytes: int, remembered: int = PUTS_REMEMBERED) -> None:
        self._max_dirty = max_dirty
        self._max_bytes = max_bytes
        self._remembered = remembered
        self.epoch = 0
        self.run = ""
        self.number = 0
        self.bytes = 0
        self.dirty: dict[bytes, Held] = {}
        self.due: dict[bytes, int] = {}
        self.ages: dict[bytes, int] = {}
        self.tries: dict[bytes, int] = {}
        self.claims: dict[bytes, int] = {}
        self.parked: dict[bytes, Parked] = {}
        self.puts: dict[int, tuple[bytes, int]] = {}
        self.clean: dict[bytes, Held] = {}
        self.leases: dict[bytes, bytes] = {}
        self.floors: dict[bytes, int] = {}
        self.discarded: dict[bytes, int] = {}  # until a floor's life is over

    def open(self, run: str, epoch: int) -> bool:
        """Count on from a later epoch; whether the buffer is open now."""
        if epoch <= self.epoch:
            return self.run == run
        self.epoch, self.run, self.number = epoch, run, 0
        self.clean.clear()
        self.leases.clear()
        self.puts[version_of(epoch, 0)] = (b"", 0)
        return True

    def put(
        self,
        name: bytes,
        id: bytes,
        value: Any,
        size: int,
        now: int,
        *,
        run: str,
        expected: int | None = None,
        since: int | None = None,
        room: bool = True,
        reserves: bool = False,
        reserved: int | None = None,
        unsure: bool = False,
    ) -> tuple[Answer, int]:
        """One put. `since`: it is asked again, and that version was known before. `room`: the memory takes more.

        `reserves`: only a version is given out. `reserved`: that version. `unsure`: floors were forgotten since.
        """
        if self.epoch == 0 or self.run != run:
            return Answer.OPEN, self.epoch
        old, aside = self.dirty.get(name), self.parked.get(name)
        if since is not None and reserved is None:
            seen = self._first_answer(name, id, since)
            if seen is not None:
                return seen
        if expected is not None:
            present = old or (aside.held if aside else self.clean.get(name))
            if present is None:
                return Answer.LOAD, 0
            if present.version != expected:
                return Answer.CONFLICT, present.version
        if reserved is not None and (unsure or reserved // EPOCH != self.epoch or self.newest(name) >= reserved):
            return Answer.OVERTAKEN, 0
        grows = size - (old.size if old else 0)
        fits = old is not None or len(self.dirty) + len(self.parked) < self._max_dirty
        fits = fits and (grows <= 0 or self.bytes + grows <= self._max_bytes)
        version = version_of(self.epoch, self.number + 1) if reserved is None else reserved
        fits = fits and room
        if fits or reserved is None:
            self.number += 1
        if not fits or reserves:
            return Answer.RESERVED if fits else Answer.FULL, version
        self._drop(name)
        self.dirty[name] = Held(version, id, now, value, size)
        self.bytes += grows
        self.tries.pop(name, None)
        if old is None:
            self.due[name] = now
            self.ages[name] = aside.since if aside else now
        self.puts[version_of(self.epoch, self.number)] = (id, version)
        if len(self.puts) > self._remembered:
            del self.puts[next(iter(self.puts))]
        return Answer.DONE, version

    def _first_answer(self, name: bytes, id: bytes, since: int) -> tuple[Answer, int] | None:
        """What became of a put that is asked again; None: it was not done."""
        aside = self.parked.get(name)
        for held in (self.dirty.get(name), aside.held if aside else None):
            if held is not None and held.id == id:
                return Answer.SEEN, held.version
        for at, (of, version) in self.puts.items():
            if of == id and at > since:
                return Answer.SEEN, version
        if next(iter(self.puts)) > since or since // EPOCH != self.epoch:
            return Answer.FORGOTTEN, 0
        return None

    def newest(self, name: bytes) -> int:
        """The latest version that a key has had, as far as is known."""
        aside = self.parked.get(name)
        there = (self.dirty.get(name), aside.held if aside else None, self.clean.get(name))
        versions = [held.version for held in there if held] + [self.floors.get(name, 0), self.discarded.get(name, 0)]
        return max(version for version in versions if version <= version_of(self.epoch, self.number))

    def settle(self, name: bytes, version: int) -> Fate:
        """What becomes of a record that stands in a journal."""
        aside = self.parked.get(name)
        if any(held and held.version >= version for held in (self.dirty.get(name), aside.held if aside else None)):
            return Fate.HELD
        if max(self.floors.get(name, 0), self.discarded.get(name, 0)) >= version:
            return Fate.SETTLED
        if version // EPOCH < self.epoch:
            return Fate.REPLAY
        self.floors[name] = max(self.floors.get(name, 0), version)
        return Fate.SETTLED

    def read(self, name: bytes) -> Held | None:
        """What a reader is given without the row."""
        if name in self.dirty:
            return self.dirty[name]
        if name in self.parked:
            return self.parked[name].held
        return self.clean.get(name)

    def begin(self, name: bytes, token: bytes) -> bool:
        """A load begins, where nothing is there; whether it may be stored later."""
        if self.read(name) is not None:
            return False
        self.leases[name] = token
        return True

    def commit(self, name: bytes, token: bytes, loaded: Held) -> bool:
        """The load is there; whether it is stored."""
        if self.leases.get(name) != token:
            return False
        del self.leases[name]
        if loaded.version < max(self.floors.get(name, 0), self.discarded.get(name, 0)):
            return False
        self.clean[name] = loaded
        return True

    def claim(self, count: int, now: int, lasts: int, token: bytes) -> dict[bytes, Held]:
        """Records that are due, the longest due first. `token`: of the claim, which may take several steps."""
        if self.was_ended(token):
            return {}
        ready = sorted((at, name) for name, at in self.due.items() if at <= now)[:count]
        if ready and token not in self.claims:
            self.claims[token] = max(now + lasts, 1 + max(self.claims.values(), default=0))
        for _, name in ready:
            self.due[name] = self.claims[token]
        return {name: self.dirty[name] for _, name in ready}

    def end(self, token: bytes, now: int, late: int) -> None:
        """The claim is over: what it has is due. `late`: for so long it may be yet to come."""
        till = self.claims.pop(token, None)
        self.claims[b"-" + token] = now + late
        self.due.update([(name, now) for name, at in self.due.items() if at == till and at > now])

    def was_ended(self, token: bytes) -> bool:
        """Whether a claim comes late."""
        return b"-" + token in self.claims

    def ack(self, name: bytes, version: int, claimed: int, now: int, *, epoch: int) -> Acked:
        """The row shows that version, or a newer one. `epoch`: of the claim, where it shows the very record; else 0."""
        held, aside, answer = self.dirty.get(name), self.parked.get(name), Acked.GONE
        shown = False
        if aside is not None and aside.held.version <= version:
            self._unpark(name)
            shown = True
        if held is not None and held.version <= version:
            self._forget(name)
            shown, answer = True, Acked.CLEAN
        elif held is not None:
            self.due[name] = now
            self.ages[name] = max(self.ages[name], min(claimed, now))
            answer = Acked.AGAIN
        if held is None and (name not in self.clean or self.clean[name].version < version):
            self._drop(name)
        if shown or held is None:
            self.floors[name] = max(self.floors.get(name, 0), version)
            if held is not None and held.version == version and epoch == self.epoch:
                self.clean[name] = held
        return answer

    def fail(self, name: bytes, version: int, now: int, pause: int, *, tried: bool = False) -> bool:
        """It was not written; whether it is still that version."""
        same = self._is(name, version)
        if same:
            if tried:
                self.tries[name] = self.tries.get(name, 0) + 1
            self.due[name] = now + pause
        elif name in self.dirty:
            self.due[name] = now
        else:
            self._drop(name)
        return same

    def park(self, name: bytes, version: int, reason: str, size: int, now: int) -> bool:
        """Set it aside; whether it was still that version. `size`: bytes that stand there then."""
        if not self._is(name, version):
            if name in self.dirty:
                self.due[name] = now
            return False
        held, since = self.dirty[name], self.ages[name]
        if name in self.parked:
            self._unpark(name)
        self._forget(name)
        self.parked[name] = Parked(held, since, reason, size)
        self.bytes += size
        return True

    def retry(self, name: bytes, now: int) -> str:
        """Make it dirty again with the version that it had."""
        if name not in self.parked:
            return "gone"
        if name in self.dirty:
            return "newer"
        aside = self._unpark(name)
        self.dirty[name] = aside.held
        self.due[name], self.ages[name] = now, aside.since
        self.bytes += aside.held.size
        return "dirty"

    def discard(self, names: Iterable[bytes]) -> int:
        """Forget what is parked; how many were. What is older is not kept from here on."""
        gone = [(name, self._unpark(name)) for name in names if name in self.parked]
        for name, aside in gone:
            self.discarded[name] = aside.held.version
        return len(gone)

    def oldest(self) -> int | None:
        """Since when some row is behind."""
        return min(self.ages.values(), default=None)

    def _is(self, name: bytes, version: int) -> bool:
        held = self.dirty.get(name)
        return held is not None and held.version == version

    def _drop(self, name: bytes) -> None:
        self.clean.pop(name, None)
        self.leases.pop(name, None)

    def _forget(self, name: bytes) -> None:
        self.bytes -= self.dirty.pop(name).size
        del self.due[name], self.ages[name]
        self.tries.pop(name, None)

    def _unpark(self, name: bytes) -> Parked:
        aside = self.parked.pop(name)
        self.bytes -= aside.size
        return aside
