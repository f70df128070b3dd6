"""A decision log in this process: for tests. It is lost with the process, and so are its decisions: never for real work."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, OutcomeUnknown, RegionUnavailable
from regionkit.transactions.findings import Finding
from regionkit.transactions.logs.log_async import LogFacts
from regionkit.transactions.logs.log_errors import early_floor
from regionkit.transactions.memory_faults_async import AsyncFaults, Refused, Unanswered
from regionkit.transactions.participants.participant_async import AsyncParticipant
from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_rules import RETENTION, Row, forgotten, oldest_kept
from regionkit.transactions.xid import check_branches, check_gtrid

__all__ = ["AsyncMemoryDecisionLog"]

T = TypeVar("T")
READS = frozenset({"open", "row", "rows", "open_rows", "done_rows", "beating"})


class AsyncMemoryDecisionLog:
    """Safe to share between threads (tasks of one loop).

    Attributes:
        faults: what goes wrong at "decide", "row", "acknowledge", ...: the names of the methods.
        risk: by what it may lose what it acknowledges.
        history: of its data; give it another value, and it has failed over.
        rows_now: what stands there, by gtrid.
    """

    def __init__(self, name: str = "log", *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.name = name
        self.faults = AsyncFaults()
        self.history = os.urandom(8).hex()
        self.risk = ""
        self.rows_now: dict[str, Row] = {}
        self._id = os.urandom(4).hex()
        self._noted = self.history
        self._floor = "0" * 32
        self._beats_until = 0.0
        self._instances: dict[str, str] = {}
        self._clock = clock

    async def create_tables(self, namespace: str, deadline: Deadline) -> None:
        """There is nothing to make."""

    async def open(self, namespace: str, deadline: Deadline, *, risky: bool = False) -> LogFacts:
        """What it says of itself."""
        facts = await self._at("open", deadline, self._facts)
        if facts.risk and not risky:
            raise ConfigurationError(f"log {self.name!r} may lose decisions: {facts.risk}.")
        return facts

    async def decide(
        self, gtrid: str, want: Decision, branches: Sequence[str], by: str, deadline: Deadline
    ) -> Decision:
        """Insert `want` unless the gtrid has a row (or is closed); the winner."""
        check_gtrid(gtrid)
        check_branches(branches)
        return await self._at("decide", deadline, lambda: self.put(gtrid, want, branches, by))

    def put(self, gtrid: str, want: Decision, branches: Sequence[str], by: str) -> Decision:
        """What `decide` does, at once and without faults."""
        with self.faults.lock:
            if gtrid not in self.rows_now and gtrid <= self._floor:
                return Decision.ABORT
            made = Row(gtrid, want, dict.fromkeys(branches), decided_by=by, decided_at=self._clock.wall())
            return self.rows_now.setdefault(gtrid, made).decision

    async def row(self, gtrid: str, deadline: Deadline) -> Row | None:
        """What stands there."""
        return await self._at("row", deadline, lambda: self.rows_now.get(gtrid))

    async def rows(self, gtrids: Sequence[str], deadline: Deadline) -> dict[str, Row]:
        """The same for many."""
        return await self._at("rows", deadline, lambda: {g: self.rows_now[g] for g in gtrids if g in self.rows_now})

    async def open_rows(self, most: int, deadline: Deadline, *, after: str = "") -> list[Row]:
        """COMMIT rows that are not done, and all that bear a hazard."""
        rows = await self._at("open_rows", deadline, lambda: self._sorted(after))
        return [row for row in rows if row.hazards or (row.decision is Decision.COMMIT and not row.done)][:most]

    async def done_rows(self, most: int, deadline: Deadline, *, after: str = "") -> list[Row]:
        """COMMIT rows that are done."""
        rows = await self._at("done_rows", deadline, lambda: self._sorted(after))
        return [row for row in rows if row.decision is Decision.COMMIT and row.done][:most]

    async def acknowledge(self, acknowledged: Mapping[str, Mapping[str, str]], deadline: Deadline) -> None:
        """By gtrid and branch, the participant's history."""

        def act() -> None:
            for gtrid, by_branch in acknowledged.items():
                row = self.rows_now.get(gtrid)
                if row is not None and row.decision is Decision.COMMIT:
                    branches = {**row.branches, **{b: h for b, h in by_branch.items() if b in row.branches}}
                    done = all(history is not None for history in branches.values())
                    self.rows_now[gtrid] = msgspec.structs.replace(row, branches=branches, done=done)

        await self._at("acknowledge", deadline, act)

    async def hazard(self, gtrid: str, branch: str, what: str, deadline: Deadline) -> None:
        """Keep it with the row; a row is made (ABORT) where there is none."""

        def act() -> None:
            row = self.rows_now.get(gtrid) or Row(gtrid, Decision.ABORT, decided_at=self._clock.wall())
            self.rows_now[gtrid] = msgspec.structs.replace(row, hazards={**row.hazards, branch: what})

        await self._at("hazard", deadline, act)

    async def forget(self, gtrid: str, deadline: Deadline) -> bool:
        """An operator has seen the hazard; whether there was one."""

        def act() -> bool:
            row = self.rows_now.get(gtrid)
            if row is None or not row.hazards:
                return False
            self.rows_now[gtrid] = forgotten(row)
            return True

        return await self._at("forget", deadline, act)

    async def adopt(self, deadline: Deadline) -> LogFacts:
        """Note the present history."""

        def act() -> LogFacts:
            self._noted = self.history
            return self._facts()

        return await self._at("adopt", deadline, act)

    async def note_participant(self, name: str, instance: str, deadline: Deadline, *, adopt: bool = False) -> str:
        """The instance noted under the name; `instance` where there was none, or with `adopt`."""

        def act() -> str:
            if adopt:
                self._instances[name] = instance
            return self._instances.setdefault(name, instance)

        return await self._at("note_participant", deadline, act)

    async def beat(self, lasts: float, deadline: Deadline) -> None:
        """A recoverer is at work."""

        def act() -> None:
            self._beats_until = max(self._beats_until, self._clock.wall() + lasts)

        await self._at("beat", deadline, act)

    async def beating(self, deadline: Deadline) -> bool:
        """Whether a recoverer is at work."""
        return await self._at("beating", deadline, lambda: self._clock.wall() < self._beats_until)

    async def sweep(self, floor: str, most: int, deadline: Deadline) -> int:
        """Raise the floor and delete tombstones and done rows at or below it."""

        def act() -> int:
            if floor > self._floor and floor > oldest_kept(self._clock.wall(), RETENTION):
                raise early_floor(self.name)
            self._floor = max(self._floor, floor)
            swept = [r.gtrid for r in self._sorted("") if r.gtrid <= self._floor and not r.hazards and _over(r)][:most]
            for gtrid in swept:
                del self.rows_now[gtrid]
            return len(swept)

        return await self._at("sweep", deadline, act)

    def anchor_statements(self, gtrid: str, branches: Sequence[str], by: str, server: str) -> list[str]:
        """One text that `run` understands: a participant in memory that was made with this log passes it on."""
        return [msgspec.json.encode([gtrid, list(branches), by]).decode()]

    def run(self, statement: str) -> bool:
        """Do such a statement; False: a row stands, or it is closed."""
        gtrid, branches, by = msgspec.json.decode(statement, type=tuple[str, list[str], str])
        with self.faults.lock:
            return gtrid not in self.rows_now and self.put(gtrid, Decision.COMMIT, branches, by) is Decision.COMMIT

    async def stands_in(self, participant: AsyncParticipant, deadline: Deadline) -> bool:
        """Whether it is what a participant in memory was made with."""
        return participant.given is self

    async def doctor(self, deadline: Deadline) -> list[Finding]:
        """It is no log for real work."""
        what = "it is in this process: its decisions are lost with it"
        return [Finding("warning", self.name, what, "use it in tests only; a FileDecisionLog needs no server.")]

    async def close(self) -> None:
        """There is nothing to close."""

    async def _at(self, step: str, deadline: Deadline, act: Callable[[], T]) -> T:
        try:
            return await self.faults.at(step, deadline, act)
        except Refused as error:
            raise RegionUnavailable(f"log {self.name!r} is not there.", why=f"{error} was refused.") from error
        except Unanswered as error:
            raise OutcomeUnknown(
                f"log {self.name!r} did not answer.", why=f"the answer to {error} was lost."
            ) from error

    def _facts(self) -> LogFacts:
        return LogFacts(self._id, self.history, self._noted, self._floor, self._clock.wall(), self.risk)

    def _sorted(self, after: str) -> list[Row]:
        return [self.rows_now[gtrid] for gtrid in sorted(self.rows_now) if gtrid > after]


def _over(row: Row) -> bool:
    return row.done or row.decision is Decision.ABORT
