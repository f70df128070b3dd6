"""What one run has found so far, and the report that it makes. No I/O: the run fills it in, from several threads at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_rules import Row, Verdict
from regionkit.transactions.recovery_views import BranchInDoubt, InDoubt, Report, decision_of
from regionkit.transactions.xid import Xid, millis_of

__all__ = ["Findings"]

SHOWN = 1_000
"""Transactions in a report: more than anybody reads."""


@dataclass(slots=True)
class Findings:
    """Of one run. Each attribute is changed in single steps.

    Attributes:
        log: its id.
        participants: their names.
        rows: of the log, by gtrid.
        verdicts: by participant and name of a prepared branch.
        prepared: (gtrid, branch) that are listed and not ended yet.
        acked: (gtrid, branch) that have ended, with the participant's history.
        states: (gtrid, branch), what is to be said of it.
        ended: of each branch that was ended, whether it committed.
        barred: gtrids whose abort was decided.
        unanswered: (gtrid, branch) of commits in one phase of which nothing is known.
        settled: by gtrid, what became of one.
    """

    log: str
    participants: frozenset[str]
    presumes: bool = False
    active: frozenset[str] = frozenset()
    rows: dict[str, Row] = field(default_factory=dict)
    verdicts: dict[tuple[str, Xid], Verdict] = field(default_factory=dict)
    prepared: set[tuple[str, str]] = field(default_factory=set)
    acked: dict[tuple[str, str], str] = field(default_factory=dict)
    states: dict[tuple[str, str], BranchInDoubt] = field(default_factory=dict)
    unreachable: dict[str, str] = field(default_factory=dict)
    strange: dict[str, str] = field(default_factory=dict)
    ended: list[bool] = field(default_factory=list)
    barred: list[str] = field(default_factory=list)
    unanswered: set[tuple[str, str]] = field(default_factory=set)
    settled: dict[str, str] = field(default_factory=dict)
    swept: int = 0
    more: bool = False

    def say(self, gtrid: str, branch: str, state: str, why: str, verdict: Verdict | None = None) -> None:
        """What is to be said of a branch, unless it ends yet."""
        self.states[gtrid, branch] = BranchInDoubt(branch, state, "" if verdict is None else verdict.name, why)

    def report(self, wall: float, *, acted: bool) -> Report:
        """All of it. `wall`: seconds since 1970."""
        logs = {xid.gtrid: xid.log for _, xid in self.verdicts}
        left = {gtrid for gtrid, _ in self.prepared if gtrid not in self.active}
        left |= {gtrid for gtrid, _ in self.unanswered}
        left |= {row.gtrid for row in tuple(self.rows.values()) if row.hazards or self._owed(row)}
        shown = sorted(left)[:SHOWN]
        return Report(
            committed=self.ended.count(True),
            aborted=self.ended.count(False),
            barred=len(self.barred),
            acknowledged=len(self.acked) if acted else 0,
            swept=self.swept,
            settled=dict(self.settled),
            in_doubt=tuple(self._in_doubt(gtrid, logs.get(gtrid, self.log), wall) for gtrid in shown),
            unreachable=dict(self.unreachable),
            strange=dict(self.strange),
            presumes=self.presumes,
            more=self.more or len(left) > SHOWN,
        )

    def _owed(self, row: Row) -> bool:
        if row.decision is not Decision.COMMIT or row.gtrid in self.active:
            return False
        return any(not self._settled(row, name) for name in row.branches)

    def _settled(self, row: Row, name: str) -> bool:
        return (row.gtrid, name) in self.acked or row.settled(name)

    def _in_doubt(self, gtrid: str, log: str, wall: float) -> InDoubt:
        row = self.rows.get(gtrid) if log == self.log else None
        names = {branch for at, branch in self.states if at == gtrid}
        if row is not None:
            names |= {*row.branches, *row.hazards}
        return InDoubt(
            gtrid=gtrid,
            log=log,
            decision=decision_of(row),
            age=max(0.0, wall - millis_of(gtrid) / 1000.0),
            branches=tuple(self._branch(row, gtrid, name) for name in sorted(names)),
            hazards={} if row is None else row.hazards,
            decided_by="" if row is None else row.decided_by,
        )

    def _branch(self, row: Row | None, gtrid: str, name: str) -> BranchInDoubt:
        if row is not None and name in row.hazards:
            return BranchInDoubt(name, "hazard", why=row.hazards[name])
        if (gtrid, name) in self.prepared:
            return self.states[gtrid, name]
        if row is not None and name in row.branches and self._settled(row, name):
            return BranchInDoubt(name, "committed")
        if name in self.unreachable:
            return BranchInDoubt(name, "unreachable", why=self.unreachable[name])
        if name not in self.participants:
            return BranchInDoubt(name, "unknown", why="this process has no participant of that name")
        if name in self.strange:
            return BranchInDoubt(name, "unknown", Verdict.STRANGE.name, Verdict.STRANGE.value)
        return self.states.get((gtrid, name), BranchInDoubt(name, "gone", why="it is not prepared any more"))
