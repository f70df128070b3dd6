"""Settles and replays the journal of a write-back cache, in the background. The rules are in `journal_rules`.

1. A round begins where the last one ended, and goes on as long as it finds something to forget.
2. A replay goes to the sink first, whose guard knows what is newer; only what the sink refuses enters the buffer again.
3. Of one key records are replayed in the order of their versions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from regionkit.caching.back.events import JournalRefused, JournalReplayed
from regionkit.caching.back.journal_async import AsyncJournal
from regionkit.caching.back.journal_rules import OLDEST_LEFT, Note
from regionkit.caching.back.parts_async import AsyncBackParts
from regionkit.caching.back.record import change_in, unpacked
from regionkit.caching.back.refusals import JournalBroken
from regionkit.caching.back.rules import Change, Fate, Verdict
from regionkit.caching.back.sink_async import SinkDown, SinkRefused
from regionkit.caching.entry import Unreadable
from regionkit.caching.steps import BATCH, TierDown
from regionkit.core.concurrency_async import AsyncSlots
from regionkit.core.supervisor_async import AsyncSupervisor
from regionkit.errors import Backpressure, CacheError, RegionKitError

__all__ = ["AsyncJournaling"]

SETTLE_EVERY = 0.5
"""Seconds between two looks at what may be forgotten: twice that is about how much a journal has that it need not have."""
LEFT_EVERY = 5.0
"""Seconds between two looks for what ended processes have left behind."""
MOST_HELD = 5
"""Batches of one round in which nothing is to be forgotten: the rows are behind, and asking on would only load the server."""
LONGEST_BACK_OFF = 5.0
"""Seconds between two rounds that failed."""


class AsyncJournaling:
    """Of one cache. Safe to share between threads (tasks of one loop)."""

    def __init__(self, parts: AsyncBackParts, journal: AsyncJournal) -> None:
        self._parts = parts
        self._cache = parts.cache
        self.journal = journal
        self._supervisor = AsyncSupervisor(parts.clock)
        self._turn = AsyncSlots(1)
        self._runs = False
        self._after = 0
        self._left_from = 0.0
        self._away = False
        self._named: set[int] = set()

    async def ready(self) -> None:
        """The journal is open, and is settled in the background from here on.

        Raises:
            ConfigurationError: it cannot be kept there; or what was left behind is damaged.
            Backpressure: it does not work.
        """
        if self._runs:
            return
        try:
            await self.journal.open()
        except JournalBroken as broken:
            raise self.broken(broken) from broken
        self._runs = True
        self._supervisor.start("write-back journal", self._round, self._failed, longest_back_off=LONGEST_BACK_OFF)

    def broken(self, broken: Exception) -> Backpressure:
        """The error of a put whose journal does not take it."""
        return Backpressure(
            f"the journal of cache {self._cache.name!r} did not take a put.",
            why=f"{broken}. Nothing was put.",
            fix="look at its disk, or database, and at dirty() and parked(). Room that is made is used; after a sync that "
            "failed start the process again.",
        )

    async def settled(self) -> bool:
        """Look at all that stands there, now; whether nothing of it has to be replayed still.

        Raises:
            TierDown: the buffer does not answer.
            Backpressure: the buffer is to be opened, and the sink does not answer.
        """
        await self.ready()
        if not await self._turn.acquire(self._parts.strategy.write_timeout):
            return False
        try:
            await self._take_over()
            self._after = 0
            return await self._walk(held=None)
        except (SinkDown, JournalBroken) as error:
            self._failed(error)
            return False
        finally:
            self._turn.release()

    async def _round(self) -> float:
        if not await self._turn.acquire(SETTLE_EVERY):
            return SETTLE_EVERY
        try:
            if self._parts.clock.monotonic() >= self._left_from:
                self._left_from = self._parts.clock.monotonic() + LEFT_EVERY
                await self._take_over()
            await self._walk(held=MOST_HELD)
            self._away = False
        except (SinkDown, TierDown, Backpressure, JournalBroken) as error:
            self._failed(error)
            return LONGEST_BACK_OFF / 2
        finally:
            self._turn.release()
        return SETTLE_EVERY

    async def _take_over(self) -> None:
        for refused in await self.journal.take_over():
            self._cache.emit(JournalRefused(self._cache.name, refused))

    async def _walk(self, held: int | None) -> bool:
        """From where the last one ended; at most `held` batches of which nothing is to be forgotten. Whether nothing waits."""
        good = True
        while True:
            notes = await self.journal.unsettled(self._after, BATCH)
            if not notes:
                self._after = 0
                return good
            fates = await self._fates(notes)
            gone = [note.version for note, fate in zip(notes, fates, strict=True) if fate is Fate.SETTLED]
            lost = [note for note, fate in zip(notes, fates, strict=True) if fate is Fate.REPLAY]
            if gone:
                await self.journal.forget(gone)
            for batch in _of_different_keys(lost):
                good = await self._replayed(batch) and good
            self._after = notes[-1].version
            if held is not None and not gone and not lost:
                held -= 1
                if held <= 0:
                    return good

    async def _fates(self, notes: Sequence[Note]) -> list[Fate]:
        buffer = self._parts.buffer
        told = [(buffer.name(unpacked(note.record).stored), note.version, note.digest) for note in notes]
        while True:
            fates = await buffer.settle(told)
            if fates is not None:
                return fates
            await self._parts.open()

    async def _replayed(self, notes: Sequence[Note]) -> bool:
        """Records of different keys that the buffer may have lost; whether each is where it belongs.

        Raises:
            SinkDown: they stay in the journal.
        """
        parts = self._parts
        good = [note for note in notes if not self._is_too_old(note)]
        wanted = [note for note in good if await self._was_put(note)]
        dropped = [note.version for note in good if note not in wanted]
        changes = [self._change(note) for note in wanted]
        ready = [(note, change) for note, change in zip(wanted, changes, strict=True) if change is not None]
        verdicts: list[Verdict | None] = []
        if ready:
            verdicts = await self._flushed([change for _, change in ready])
        shown = [
            note for (note, _), verdict in zip(ready, verdicts, strict=True) if verdict not in (None, Verdict.CONFLICT)
        ]
        refused = [
            note for (note, _), verdict in zip(ready, verdicts, strict=True) if verdict in (None, Verdict.CONFLICT)
        ]
        for note in shown:
            await parts.buffer.wrote(unpacked(note.record).stored, note.version)
        for note in refused:
            await parts.buffer.restore(parts.buffer.name(unpacked(note.record).stored), note.record, note.digest)
        await self.journal.forget([*dropped, *(note.version for note in shown)])
        if ready:
            self._cache.emit(JournalReplayed(self._cache.name, len(shown), len(refused)))
        return len(ready) == len(wanted)

    def _is_too_old(self, note: Note) -> bool:
        """Rule 5 of the rules; named once."""
        age = self._parts.clock.wall() - note.made
        if age <= OLDEST_LEFT:
            return False
        if note.version not in self._named:
            self._named.add(note.version)
            self._cache.emit(
                JournalRefused(self._cache.name, f"a record is {age / 86_400:.0f} days old by this machine's clock")
            )
        return True

    async def _was_put(self, note: Note) -> bool:
        """False: it is conditional, and the row shows that another came between. Else it is replayed."""
        if note.expected is None:
            return True
        try:
            loaded = await self._parts.sink.load(unpacked(note.record).key)
        except RegionKitError:  # no loader, or a row that is no value: nothing is known
            return True
        row = 0 if loaded is None or not loaded.found else loaded.version or 0
        return not note.expected < row < note.version

    def _change(self, note: Note) -> Change | None:
        """As the sink gets it; None: another version of the application wrote it, and one that reads it replays it."""
        try:
            return change_in(unpacked(note.record), self._cache.fetcher.parts.shaper)
        except (Unreadable, ValueError) as error:
            if note.version not in self._named:
                self._named.add(note.version)
                self._cache.emit(JournalRefused(self._cache.name, f"a record cannot be read here: {error}"))
            return None

    async def _flushed(self, changes: Sequence[Change]) -> list[Verdict | None]:
        """What the sink did with each; None: it refuses it."""
        parts = self._parts
        await parts.check(strict=True)
        try:
            return list(await parts.sink.flush(self._cache.name, parts.buffer.epoch, changes))
        except SinkRefused:
            if len(changes) == 1:
                return [None]
        middle = len(changes) // 2
        return [*await self._flushed(changes[:middle]), *await self._flushed(changes[middle:])]

    def _failed(self, error: BaseException) -> None:
        if not self._away:
            self._away = True
            self._cache.emit(JournalRefused(self._cache.name, f"it is not settled at the moment: {error}"))

    async def stop(self) -> None:
        """Settle once more, and close the journal; what is needed stays."""
        if self._runs:
            self._runs = False
            await self._supervisor.stop()
            with contextlib.suppress(CacheError, TierDown):
                await self.settled_once()
        await self.journal.close()

    async def settled_once(self) -> None:
        """One walk, for a process that ends: what it leaves behind others need not look at."""
        with contextlib.suppress(SinkDown, JournalBroken):
            self._after = 0
            await self._walk(held=MOST_HELD)

    def renew(self) -> None:
        """After a fork: the parent's journal is the parent's."""
        self._runs = False
        self._turn = AsyncSlots(1)
        self._supervisor = AsyncSupervisor(self._parts.clock)
        self.journal.renew()


def _of_different_keys(notes: Sequence[Note]) -> list[list[Note]]:
    """In their order, each part with no key twice."""
    parts: list[list[Note]] = []
    seen: set[bytes] = set()
    for note in notes:
        if not parts or note.digest in seen:
            parts.append([])
            seen = set()
        parts[-1].append(note)
        seen.add(note.digest)
    return parts
