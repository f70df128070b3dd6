# Generated from buffer_async.py by scripts/twins.py. Do not edit.
"""The write-back buffer of one cache at its server: what `rules` says, one script and one round trip a step.

1. A put is sent once, whatever becomes of it: over our own connections, which retry nothing. Where it was sent and no answer
   came, the error has it whole, and `again` asks for what became of it.
2. Without a connection nothing is sent: TierDown, and nothing is done.
3. With a journal a put is two steps and the journal's between them: `journal_rules` says which.
4. Each put names the run of the server that this process knows. If the buffer belongs to another run, the answer is OPEN, and
   the present connections are not used again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from regionkit.caching.back.durability import Durability
from regionkit.caching.back.journal import Journal
from regionkit.caching.back.journal_rules import Note
from regionkit.caching.back.record import body_of, reason_bytes, unpacked
from regionkit.caching.back.refusals import JournalBroken, other_mode
from regionkit.caching.back.rules import EPOCH, Acked, Answer, Fate, text_of, version_of
from regionkit.caching.back.steps import (
    CLAIM_BYTES,
    MAX_BYTES,
    MAX_DIRTY,
    Audit,
    Claimed,
    Claims,
    Listed,
    Page,
    Put,
    PutAnswer,
    Status,
    claimed_in,
)
from regionkit.caching.entry import DIGEST
from regionkit.caching.keys import Stored, stored_name
from regionkit.caching.shared import SharedTier
from regionkit.caching.steps import BATCH, Sealing, TierDown
from regionkit.core.events import crash_point
from regionkit.errors import DurabilityUnknown

__all__ = ["Buffer"]

MOST_OVERTAKEN = 5
"""Times that a put with a journal reserves a version anew: by then others write the key all the time."""
PAGE = 100
"""Keys of one page, nearly."""
_ACKED = MappingProxyType({one.value.encode(): one for one in Acked})


class Buffer:
    """The buffer of one cache. Safe to share between threads (tasks of one loop).

    Args:
        tier: of the cache.
        max_dirty: keys (in log mode: puts) that are dirty or parked at once, at most.
        max_bytes: of their records, at most.
        durability: of its server; None: nobody looks, as in mode `memory`.
        journal: what keeps each put beside the server; None: nothing does.
    """

    mode: ClassVar[str] = ""
    """What the scripts get as mode: "l" in log mode, else nothing."""

    def __init__(
        self,
        tier: SharedTier,
        *,
        max_dirty: int = MAX_DIRTY,
        max_bytes: int = MAX_BYTES,
        durability: Durability | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._tier = tier
        self.durability = durability
        self.journal = journal
        self._bounds = (max_dirty, max_bytes)
        self._known = 0

    @property
    def epoch(self) -> int:
        """The last that this process knows of."""
        return self._known // EPOCH

    def since(self, stored: Stored) -> int | None:
        """The time since when the row of a key is behind, by `Status.clock`; None: it is not dirty."""
        since, _ = self._tier.run("back_of", [], [self.name(stored)])
        return int(float(since)) if since else None

    def older(self, one: Claimed) -> int:
        """How many other rows are behind for as long as this one, or longer."""
        return int((self._tier.run("back_of", [], [one.name]))[1])

    def name(self, stored: Stored) -> bytes:
        """Of a key at the server."""
        return self._tier.place + stored_name(stored)

    def put(self, stored: Stored, sealing: Sealing, *, deleted: bool = False, expected: int | None = None) -> PutAnswer:
        """Make a key dirty with a value, or with a delete.

        Args:
            stored: the key.
            sealing: of the value; of a delete, of "nothing is there".
            deleted: the row is to go.
            expected: the version that the key has to have, else CONFLICT, or LOAD where it is not known here.

        Raises:
            TierDown: nothing was done.
            DurabilityUnknown: no answer came; or it is done, and whether it is as durable as it should be was not told: `version`
                is its own then, and it will be flushed. `put` is what `again` takes.
            ConfigurationError: the server is not as durable as the mode says. Nothing was done.
        """
        return self.again(self.begun(stored, sealing, deleted, expected), True)

    def begun(self, stored: Stored, sealing: Sealing, deleted: bool, expected: int | None) -> Put:
        """A put that has not been sent; the arguments and errors of `put`."""
        if not self._known:
            self.status()
        return Put(stored, os.urandom(16), sealing, deleted, expected, self._known)

    def again(self, put: Put, first: bool = False) -> PutAnswer:
        """What became of a put whose answer was lost: SEEN, or it is done now, or FORGOTTEN.

        Where the mode waits for a proof, SEEN has it too: each step writes, so the server speaks of all before it.

        Raises:
            TierDown: it was not asked.
            DurabilityUnknown: again no answer came.
        """
        if self.durability is not None:
            self.durability.ensure()
        sealing = put.sealing
        digest = sealing.data[DIGEST]
        kept = max(1, round(sealing.kept * 1000)) if sealing.kept > 0.0 else 0
        since = "" if first else f"{put.since // EPOCH}-{put.since % EPOCH}"
        expected = "" if put.expected is None else text_of(put.expected)
        body = body_of(digest, put.stored, kept, deleted=put.deleted)
        row = "" if put.row is None else text_of(put.row)
        words = [
            put.id,
            digest,
            body,
            sealing.data,
            expected,
            since,
            row,
            b"%016d" % put.stamp,
            *self._bounds,
            self.mode,
        ]
        if self.journal is not None:
            return self._journaled(self.journal, put, words, body)
        given, proved = self._answer(put, [*words, "", ""])
        if not proved and given.answer in (Answer.DONE, Answer.SEEN):
            raise DurabilityUnknown(
                "a put is in the write-back buffer, and whether it is durable is not known.",
                why=f"the server did not say so in {self.durability.timeout if self.durability else 0.0:g} s.",
                fix="nothing for its order: it will be flushed. Look at the server's disk and replicas; the same put again waits "
                "for the proof once more.",
                version=given.version,
                put=put,
            )
        return given

    def _answer(self, put: Put, words: Sequence[Any]) -> tuple[PutAnswer, bool]:
        """What one step of a put is answered, and whether it is as durable as it should be."""
        tier = self._tier
        try:
            (answer, version, stamp), proved = self._sent(put.stored, words)
        except TierDown as down:
            if not down.sent or words[-2] == "r":  # who reserves has put nothing
                raise
            raise DurabilityUnknown(
                "a put was sent to the write-back buffer, and no answer came.",
                why=f"{down}.",
                fix="ask what became of it: the same put again is done once.",
                put=put,
            ) from down
        given = PutAnswer(Answer(answer.decode()), int(version or 0), int(stamp or 0))
        if given.answer is Answer.OPEN:
            tier.reconnect()
        elif given.answer in (Answer.DONE, Answer.SEEN, Answer.FULL, Answer.RESERVED):
            self._known = max(self._known, given.version)
        return given, proved

    def _journaled(self, journal: Journal, put: Put, words: Sequence[Any], body: bytes) -> PutAnswer:
        """Reserve, write down, put: once more where another put came between.

        Raises:
            JournalFull: nothing was put.
            JournalBroken: the same, and the journal does not work.
        """
        written: list[int] = []
        given = PutAnswer(Answer.OVERTAKEN)
        surely_not = True
        try:
            for _ in range(MOST_OVERTAKEN):
                given, _ = self._answer(put, [*words, "r", ""])
                if given.answer is not Answer.RESERVED:
                    break
                version = given.version
                at = b"%b%b%013d" % (text_of(version).encode(), put.id, max(0, self._tier.clock_now()))
                note = Note(version, at + body + put.sealing.data, put.expected)
                surely_not, done = False, False
                self._written(journal, note, put)
                written.append(version)
                crash_point("write-back.journaled")
                try:
                    given, _ = self._answer(put, [*words, text_of(version), given.stamp])
                    done, surely_not = given.answer is Answer.DONE, given.answer is not Answer.DONE
                except TierDown:
                    surely_not = True
                    raise
                finally:
                    journal.over(version, done=done)
                if given.answer is not Answer.OVERTAKEN:
                    break
        finally:
            if surely_not and written and given.answer is not Answer.SEEN:
                self._withdrawn(journal, written, put)
        return given

    def _written(self, journal: Journal, note: Note, put: Put) -> None:
        try:
            journal.write(note)
        except JournalBroken as broken:
            journal.over(note.version, done=False)
            if not broken.sent:
                raise
            raise DurabilityUnknown(
                "whether a put stands in the journal is not known; it is not in the buffer.",
                why=f"{broken}.",
                fix="look at the journal's disk, or database; the same put again is done once.",
                put=put,
            ) from broken

    def _withdrawn(self, journal: Journal, versions: Sequence[int], put: Put) -> None:
        """They were not put, and no replay does it either."""
        try:
            journal.withdraw(versions)
        except JournalBroken as broken:
            raise DurabilityUnknown(
                "a put was not done, and its record could not be taken back from the journal.",
                why=f"{broken}. When the journal is replayed, it may be done.",
                fix="look at the journal's disk, or database; the same put again is done once.",
                put=put,
            ) from broken

    def settle(self, notes: Sequence[tuple[bytes, int, bytes]]) -> list[Fate] | None:
        """What becomes of records of a journal: name, version and digest of each. None: the buffer is to be opened first."""
        fates: list[Fate] = []
        for part in _parts(notes):
            words = [word for name, version, digest in part for word in (name, text_of(version), digest)]
            is_open, _, *told = self._tier.run("back_settle", [], words, of_run=True)
            if not is_open:
                self._tier.reconnect()
                return None
            fates += [Fate(fate.decode()) for fate in told]
        return fates

    def restore(self, name: bytes, record: bytes, digest: bytes) -> bool:
        """Make a record dirty that a journal kept, and the sink refuses; whether the buffer is open."""
        return bool(self._tier.run("back_restore", [], [name, record, digest], of_run=True))

    def _sent(self, stored: Stored, words: Sequence[Any]) -> tuple[Any, bool]:
        """The answer to a put, and whether it is as durable as it should be."""
        durability = self.durability
        if durability is None or not durability.wait:
            return self._tier.run("back_put", [stored], words, of_run=True), True
        reply, after = self._tier.run_then("back_put", [stored], words, durability.wait, durability.timeout)
        return reply, durability.proved(after)

    def claim(self, count: int, lasts: float, alive: float, token: bytes) -> Claims:
        """Records that are due, the longest due first; nobody else gets them for a while.

        Args:
            count: at most. More than a step may take are claimed by several, in one message.
            lasts: seconds after which they are due again.
            alive: seconds for which this flusher counts as alive.
            token: of this claim, a new one each time.
        """
        tier, last = self._tier, [round(lasts * 1000), round(alive * 1000), token]
        counts = [len(part) for part in _parts(range(count))]
        steps = [[few, CLAIM_BYTES // len(counts), *last] for few in counts]
        records, is_open, newest = [], False, 0
        for good, epoch, at, *found in tier.run_all("back_claim", steps, of_run=True):
            is_open, newest = is_open or bool(good), max(newest, int(epoch))
            records += claimed_in(found, int(at), int(epoch))
        if not is_open:
            tier.reconnect()
        return Claims(is_open, newest, tuple(records), count)

    def ack(self, written: Sequence[Claimed], superseded: Sequence[Claimed] = ()) -> list[Acked]:
        """The sink was flushed. What becomes of each, `superseded` behind `written`.

        Args:
            written: the rows show these very values, which become the cache's.
            superseded: the rows show newer ones, which readers load.
        """
        told = [(one, one.epoch) for one in written] + [(one, 0) for one in superseded]
        words = [(one.name, text_of(one.record.version), one.at, one.record.digest, epoch) for one, epoch in told]
        return self._acked(words)

    def wrote(self, stored: Stored, version: int) -> Acked:
        """The row of a key was written here with a version that FULL had reserved: what is older goes."""
        return (self._acked([(self.name(stored), text_of(version), 0, self._tier.digest(stored), 0)]))[0]

    def _acked(self, told: Sequence[tuple[bytes, str, int, bytes, int]]) -> list[Acked]:
        steps = [[word for words in part for word in words] for part in _parts(told)]
        answers = self._tier.run_all("back_ack", steps) if steps else []
        return [_ACKED[answer] for part in answers for answer in part]

    def end(self, token: bytes, late: float) -> None:
        """A claim is over: what it has still is due, and nothing is given if it is yet to come, within `late` seconds."""
        self._tier.run("back_end", [], [token, round(late * 1000)])

    def fail(self, given: Sequence[Claimed], pause: float, tries: int = 0) -> int:
        """These were not written: due after `pause` seconds, after so many `tries` more. How many are still those versions."""
        still = 0
        for part in _parts(given):
            words = [word for one in part for word in (one.name, text_of(one.record.version), one.record.digest)]
            still += sum(self._tier.run("back_fail", [], [round(pause * 1000), tries, *words]))
        return still

    def park(self, tried: Claimed, why: str) -> bool:
        """Set a record aside, with the reason; whether it was still that version."""
        words = [tried.name, text_of(tried.record.version), reason_bytes(why)]
        return bool(self._tier.run("back_park", [], words))

    def retry(self, names: Sequence[bytes]) -> list[str]:
        """Make parked keys dirty again: "dirty", "newer" where the key has a later value, "gone"."""
        return [word.decode() for part in _parts(names) for word in self._tier.run("back_retry", [], part)]

    def discard(self, names: Sequence[bytes]) -> int:
        """Forget parked values: readers load the row. How many were parked."""
        return sum([sum(self._tier.run("back_discard", [], part)) for part in _parts(names)])

    def open(self, epoch: int) -> tuple[bool, int]:
        """Open the buffer with an epoch that the sink has given out; whether it is open now, and with which epoch.

        An epoch that is not above the buffer's opens nothing.

        Raises:
            ConfigurationError: it is in the other mode, and not empty.
        """
        is_open, now = self._tier.run("back_open", [], [epoch, self.mode], of_run=True)
        if is_open < 0:
            raise other_mode(logs=bool(self.mode))
        if is_open:
            self._known = max(self._known, version_of(int(now), 0))
        return bool(is_open), int(now)

    def status(self) -> Status:
        """How the buffer stands."""
        answer = self._tier.run("back_status", [], [], of_run=True)
        is_open, epoch, number, dirty, parked, size, oldest, flusher, clock, logs, entries = map(int, answer)
        self._known = max(self._known, version_of(epoch, number))
        age = None if oldest < 0 else oldest / 1000
        good = bool(is_open) and bool(logs) == bool(self.mode)
        return Status(good, epoch, number, dirty, parked, size, age, flusher / 1000, clock, bool(logs), entries)

    def page(self, cursor: int = 0, *, parked: bool = False) -> Page:
        """Some of the keys that are dirty, or parked. `cursor`: of the page before; 0: the first."""
        words: list[Any] = ["parked" if parked else "dirty", cursor, PAGE]
        clock, following, *found = self._tier.run("back_list", [], words)
        keys = [
            Listed(
                name,
                unpacked(head),
                max(0, int(clock) - int(float(since or clock))) / 1000,
                int(tries),
                reason.decode(errors="replace"),
            )
            for name, head, since, tries, reason in zip(*(found[at::5] for at in range(5)), strict=True)
        ]
        return Page(tuple(keys), int(following))

    def audit(self) -> Audit:
        """Look at each record. True as a whole while nobody else changes the buffer."""
        records = size = wrong = counted = 0
        for of in ("dirty", "parked"):
            cursor = b"0"
            while True:
                cursor, found, part, bad, told = self._tier.run("back_audit", [], [of, cursor, PAGE])
                records, size, wrong = records + int(found), size + int(part), wrong + int(bad)
                if cursor == b"0":
                    break
            counted += int(told)
        return Audit(records, size, counted, wrong)


def _parts(of: Sequence[Any]) -> list[Sequence[Any]]:
    """No more than a step may take."""
    return [of[at : at + BATCH] for at in range(0, len(of), BATCH)]
