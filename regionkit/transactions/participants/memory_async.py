"""A participant in this process, its data a dict: for tests, and the example of a participant of one's own.

1. A branch writes into a draft of its own, and locks the keys that it writes; a key that another branch has locked dooms it.
2. PREPARE moves the draft, with its marker, to where a crash does not reach it (`prepared`): that is the promise of YES.
3. COMMIT puts draft and marker into the data in one step. The marker's key refuses a second one, and one that is barred.
4. `crash` is the server's: what was not prepared is gone. A coordinator that dies is a manager that is dropped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, TypeVar

import msgspec

from regionkit.contract.unit import Committed
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.core.given import check_flag
from regionkit.errors import RegionUnavailable, TransactionRolledBack, UsageError
from regionkit.transactions.findings import Finding
from regionkit.transactions.logs.memory_async import AsyncMemoryDecisionLog
from regionkit.transactions.memory_faults_async import AsyncFaults, Refused, Unanswered
from regionkit.transactions.participants.participant_async import (
    Answered,
    BranchOptions,
    Listed,
    Marked,
    ParticipantFacts,
)
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid

__all__ = ["AsyncMemoryParticipant"]

T = TypeVar("T")
_GONE: Any = object()
"""What a draft says of a key that it deletes."""


class _Work(msgspec.Struct):
    """What a branch has done so far."""

    xid: Xid
    at: float
    draft: dict[str, Any] = {}

    @property
    def key(self) -> tuple[str, str, str]:
        """Of its marker."""
        return _key(self.xid)


class AsyncMemoryParticipant:
    """Safe to share between threads (tasks of one loop).

    Args:
        name: in names and errors.
        data: what is committed.
        log: stands in this data: a branch here can be the anchor.
        prepares: False: it can only be the anchor, or alone.

    Attributes:
        faults: what goes wrong at "begin", "prepare", "commit" (in one phase), "finish", "listed", "evidence", "bar".
        history: of its data; give it another value, and it has failed over.
        prepared: by gid.
    """

    def __init__(
        self,
        name: str,
        data: dict[str, Any] | None = None,
        *,
        log: AsyncMemoryDecisionLog | None = None,
        prepares: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = name
        self.given: Any = self if log is None else log
        self.data: dict[str, Any] = {} if data is None else data
        self.faults = AsyncFaults(self.crash)
        self.history = os.urandom(8).hex()
        self.prepared: dict[str, _Work] = {}
        self.clock = clock
        self._instance = os.urandom(8).hex()
        check_flag("prepares", prepares)
        self._prepares = prepares
        self._log = log
        self._locked: dict[str, _Work] = {}
        self._markers: dict[tuple[str, str, str], int] = {}
        self._lives = 0

    @property
    def lives(self) -> int:
        """How often it has crashed: a branch of an earlier life is gone."""
        return self._lives

    def crash(self) -> None:
        """The server dies and is back at once: what is prepared stays, with its locks; what was not is gone."""
        with self.faults.lock:
            self._lives += 1
            self.faults.late.clear()
            self._locked = {key: work for work in self.prepared.values() for key in work.draft}

    async def create_tables(self, deadline: Deadline) -> None:
        """There is nothing to make."""

    async def open(self, deadline: Deadline) -> ParticipantFacts:
        """What it is."""
        guarantee = "XA" if self._prepares else "ANCHOR"
        facts = ParticipantFacts("memory", self._prepares, guarantee, self._instance, self.history)
        return await self._at("open", deadline, lambda: facts)

    async def begin(self, options: BranchOptions, deadline: Deadline) -> _Branch:
        """Open a branch."""
        return await self._at("begin", deadline, lambda: _Branch(self, options))

    async def listed(self, deadline: Deadline) -> list[Listed]:
        """All prepared branches."""
        return await self._at(
            "listed", deadline, lambda: [Listed(work.xid, at=work.at) for work in self.prepared.values()]
        )

    async def strays(self, deadline: Deadline) -> list[Xid]:
        """None: `listed` has all."""
        return []

    async def finish(self, listed: Listed, commit: bool, deadline: Deadline) -> Finish:
        """End a prepared branch."""
        try:
            return await self.faults.at("finish", deadline, lambda: self.end(listed.xid, commit))
        except (Refused, Unanswered):
            return Finish.UNREACHED

    async def evidence(self, xid: Xid, deadline: Deadline) -> Evidence:
        """What its marker says."""
        try:
            return await self.faults.at("evidence", deadline, lambda: _said(self._markers.get(_key(xid))))
        except (Refused, Unanswered):
            return Evidence.UNAVAILABLE

    async def bar(self, xid: Xid, deadline: Deadline) -> Evidence:
        """COMMITTED or BARRED."""

        def act() -> Evidence:
            if xid.gid in self.prepared:
                raise Refused("the key of a prepared branch")  # a server would let it wait
            return _said(self._markers.setdefault(_key(xid), 2))

        return await self._at("bar", deadline, act)

    async def markers(self, log: str, above: str, most: int, deadline: Deadline) -> list[Marked]:
        """Markers of this log in order of gtrid."""

        def act() -> list[Marked]:
            found = sorted((g, b, state) for (of, g, b), state in self._markers.items() if of == log and g > above)
            return [Marked(g, b, 2 if state == 1 else 1) for g, b, state in found if state != 2][:most]

        return await self._at("markers", deadline, act)

    async def sweep(self, log: str, floor: str, most: int, deadline: Deadline) -> int:
        """Delete markers and tombstones at or below the floor."""

        def act() -> int:
            swept = sorted(key for key in self._markers if key[0] == log and key[1] <= floor)[:most]
            for key in swept:
                del self._markers[key]
            return len(swept)

        return await self._at("sweep", deadline, act)

    async def doctor(self, deadline: Deadline) -> list[Finding]:
        """It is no participant for real work."""
        return [
            Finding("warning", self.name, "it is in this process: its data is lost with it", "use it in tests only.")
        ]

    async def close(self) -> None:
        """There is nothing to close."""

    def lock(self, work: _Work, key: str) -> None:
        """Let a branch write a key.

        Raises:
            TransactionRolledBack: another one has it.
        """
        with self.faults.lock:
            holder = self._locked.setdefault(key, work)
        if holder is not work:
            raise TransactionRolledBack(
                f"{key!r} of {self.name!r} is locked.",
                why=f"branch {holder.xid.gid} has written it and has not ended.",
                fix="run the transaction again.",
            )

    def prepare(self, work: _Work) -> None:
        """Rule 2."""
        if work.key in self._markers:
            raise Refused("a marker stands under its name")
        self.prepared[work.xid.gid] = work

    def commit(self, work: _Work, phases: int, deciding: Sequence[str] = ()) -> None:
        """Rule 3."""
        if work.key in self._markers:
            raise Refused("a marker stands under its name")
        if not all(self._log is not None and self._log.run(statement) for statement in deciding):
            raise Refused("the log has another decision")
        self._markers[work.key] = 1 if phases == 2 else 3
        for key, value in work.draft.items():
            if value is _GONE:
                self.data.pop(key, None)
            else:
                self.data[key] = value
        self.unlock(work)

    def unlock(self, work: _Work) -> None:
        """Its keys are free."""
        with self.faults.lock:
            for key in [key for key, holder in self._locked.items() if holder is work]:
                del self._locked[key]

    def end(self, xid: Xid, commit: bool) -> Finish:
        """End a prepared branch."""
        work = self.prepared.get(xid.gid)
        if work is None:
            return Finish.UNKNOWN
        if commit:
            self.commit(work, 2)
        else:
            self.unlock(work)
        del self.prepared[xid.gid]
        return Finish.DONE

    async def _at(self, step: str, deadline: Deadline, act: Callable[[], T]) -> T:
        try:
            return await self.faults.at(step, deadline, act)
        except (Refused, Unanswered) as error:
            raise RegionUnavailable(
                f"participant {self.name!r} is not there.", why=f"{error} got no answer."
            ) from error


class _Branch:
    """One branch at work. Of one thread or task until the phases begin."""

    def __init__(self, participant: AsyncMemoryParticipant, options: BranchOptions) -> None:
        self._at = participant
        self._life = participant.lives
        self._doomed = ""
        self._phase = False  # PREPARE or COMMIT was sent
        self._prepared = False  # or it may be
        self.work = _Work(options.xid, participant.clock.wall(), {})
        self.view = _View(self, participant.data, reading=options.reading)

    def session(self) -> Any:
        """The data as a mapping; what is written is the branch's own."""
        return self.view

    async def connection(self) -> Any:
        """The same."""
        return self.view

    @property
    def doomed(self) -> str:
        """Why the branch can no longer commit."""
        gone = self._life != self._at.lives and not self._phase
        return self._doomed or ("the server has crashed" if gone else "")

    def passes(self, error: BaseException) -> bool:
        """It has no server."""
        return False

    @property
    def torn(self) -> str:
        """Nothing here can end it inside."""
        return ""

    def doom(self, why: str) -> None:
        """It can no longer commit."""
        self._doomed = self._doomed or why

    def write(self, key: str, value: Any) -> None:
        """Into the draft."""
        if self._phase:
            raise UsageError("a branch was used after it was prepared.", fix="do all work inside the block.")
        try:
            self._at.lock(self.work, key)
        except TransactionRolledBack as error:
            self.doom(error.what)
            raise
        self.work.draft[key] = value

    def defer(self, statement: str) -> None:
        """`key=value`, written with PREPARE or COMMIT."""
        key, _, value = statement.partition("=")
        self.write(key, value)

    async def flush(self) -> bool:
        """Nothing is held back."""
        return False

    async def prepare(self, deadline: Deadline) -> Answered:
        """`Answered.vote`."""
        if self.doomed:
            self._at.unlock(self.work)
            return Answered(Vote.NO, why=self.doomed)
        self._phase = True
        try:
            await self._at.faults.at("prepare", deadline, lambda: self._at.prepare(self.work))
        except Refused as error:
            self._at.unlock(self.work)
            return Answered(Vote.NO, why=str(error))
        except Unanswered as error:
            self._prepared = True
            return Answered(Vote.UNANSWERED, why=str(error))
        self._prepared = True
        return Answered(Vote.YES)

    async def commit_one_phase(self, deciding: Sequence[str], deadline: Deadline) -> Answered:
        """COMMIT with its marker and the log's statements; `Answered.winner`."""
        if self.doomed:
            self._at.unlock(self.work)
            return Answered(winner=Decision.ABORT, why=self.doomed)
        self._phase = True
        phases = 2 if deciding else 1
        try:
            await self._at.faults.at("commit", deadline, lambda: self._at.commit(self.work, phases, deciding))
        except Refused as error:
            self._at.unlock(self.work)
            return Answered(winner=Decision.ABORT, why=str(error))
        except Unanswered as error:
            return Answered(why=str(error))
        return Answered(winner=Decision.COMMIT)

    async def finish(self, commit: bool, deadline: Deadline) -> Finish:
        """End it as decided."""
        if self._prepared:
            return await self._at.finish(Listed(self.work.xid), commit, deadline)
        if commit:
            return Finish.UNKNOWN
        self._at.unlock(self.work)
        return Finish.DONE

    async def position(self) -> Any:
        """Nobody knows."""
        return None

    def tell(self, outcome: Committed) -> None:
        """Nobody joins it."""

    async def close(self) -> None:
        """What was not sent is rolled back."""
        if not self._phase:
            self._at.unlock(self.work)


class _View(MutableMapping[str, Any]):
    """The committed data under a branch's own draft."""

    def __init__(self, branch: _Branch, data: dict[str, Any], *, reading: bool) -> None:
        self._branch = branch
        self._data = data
        self._reading = reading

    def __getitem__(self, key: str) -> Any:
        found = self._branch.work.draft.get(key, self._data.get(key, _GONE))
        if found is _GONE:
            raise KeyError(key)
        return found

    def __setitem__(self, key: str, value: Any) -> None:
        if self._reading:
            self._branch.doom("it was declared read-only, and wrote")
            raise UsageError("a branch that was declared read-only wrote.", fix="leave read_only=True out.")
        self._branch.write(key, value)

    def __delitem__(self, key: str) -> None:
        _ = self[key]
        self[key] = _GONE

    def __iter__(self) -> Iterator[str]:
        draft = self._branch.work.draft
        return iter([key for key in {**self._data, **draft} if draft.get(key) is not _GONE])

    def __len__(self) -> int:
        return len(list(iter(self)))


def _key(xid: Xid) -> tuple[str, str, str]:
    return xid.log, xid.gtrid, xid.branch


def _said(state: int | None) -> Evidence:
    return Evidence.NONE if state is None else Evidence.BARRED if state == 2 else Evidence.COMMITTED
