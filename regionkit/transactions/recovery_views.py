"""What recovery found, as frozen values: of a run, and of each transaction that has not ended everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_rules import Row

__all__ = ["BranchInDoubt", "InDoubt", "Report", "decision_of", "held_by"]


class BranchInDoubt(msgspec.Struct, frozen=True, gc=False):
    """One branch.

    Attributes:
        name: of the participant.
        state: "prepared", "committed", "barred" (it never commits), "gone" (neither prepared nor committed), "hazard",
            "unreachable", or "unknown".
        verdict: what recovery does with it, the name of a `Verdict`; "" where nothing is to be done.
        why: in a sentence.
    """

    name: str
    state: str
    verdict: str = ""
    why: str = ""


class InDoubt(msgspec.Struct, frozen=True):
    """A transaction that has not ended on every branch, as far as is known.

    Attributes:
        gtrid: of the transaction.
        log: id of the decision log that it belongs to.
        decision: "COMMIT", "ABORT", or "none": nobody has decided.
        age: seconds since its begin, by the clock of its coordinator and by this process's.
        branches: in order of name.
        hazards: by branch, what an operator has to see to; kept until `forget`.
        decided_by: who wrote the decision; "" where there is none.
    """

    gtrid: str
    log: str
    decision: str
    age: float
    branches: tuple[BranchInDoubt, ...]
    hazards: Mapping[str, str] = {}
    decided_by: str = ""

    @property
    def at_work(self) -> bool:
        """Whether its coordinator may be at work: nothing is to be seen to."""
        return not self.hazards and all(branch.verdict == "LEAVE" for branch in self.branches)

    def __str__(self) -> str:
        head = f"{self.gtrid}  decision {self.decision}, {self.age:.0f} s old"
        lines = [f"  {b.name}: {b.state}{b.why and f' ({b.why})'}" for b in self.branches]
        return "\n".join((head, *lines, *(f"  HAZARD {name}: {what}" for name, what in sorted(self.hazards.items()))))


def held_by(doubts: Sequence[InDoubt]) -> str:
    """What is known of the locks of transactions in doubt, in a clause: only a prepared branch surely holds some."""
    states = {branch.state for doubt in doubts for branch in doubt.branches}
    if "prepared" in states:
        return "prepared branches hold locks"
    return "they may hold locks" if states & {"unreachable", "unknown"} else "none of them holds locks"


class Report(msgspec.Struct, frozen=True):
    """What one run did, and what it left.

    Attributes:
        committed: branches that it committed.
        aborted: branches that it rolled back.
        barred: transactions whose abort it decided.
        acknowledged: branches noted as ended.
        swept: rows, markers and tombstones past the retention that it deleted.
        settled: by gtrid, "COMMIT" or "ABORT": commits in one phase of this process that had not been answered.
        in_doubt: what has not ended, the oldest first; at most `SHOWN`.
        unreachable: by participant (or the log), why it could not be asked.
        strange: by participant, another instance than the one noted: nothing is done there until it is adopted.
        presumes: False: decisions may be missing from the log, so nothing is presumed.
        more: open rows or branches were left for the next run.
    """

    committed: int = 0
    aborted: int = 0
    barred: int = 0
    acknowledged: int = 0
    swept: int = 0
    settled: Mapping[str, str] = {}
    in_doubt: tuple[InDoubt, ...] = ()
    unreachable: Mapping[str, str] = {}
    strange: Mapping[str, str] = {}
    presumes: bool = True
    more: bool = False

    @property
    def hazards(self) -> tuple[InDoubt, ...]:
        """Those that an operator has to see to."""
        return tuple(one for one in self.in_doubt if one.hazards)

    @property
    def clean(self) -> bool:
        """Whether nothing is in doubt but what may be at work, and everybody could be asked."""
        doubts = any(not one.at_work for one in self.in_doubt)
        return self.presumes and not (doubts or self.unreachable or self.strange or self.more)

    def __str__(self) -> str:
        lines = [
            f"{self.committed} branches committed, {self.aborted} rolled back, {self.barred} transactions barred, "
            f"{len(self.in_doubt)} in doubt, {len(self.hazards)} with a hazard"
        ]
        lines += [f"{gtrid}  in one phase: {what}" for gtrid, what in sorted(self.settled.items())]
        lines += [f"{name} is unreachable: {why}" for name, why in sorted(self.unreachable.items())]
        lines += [f"{name} is another instance than the one noted: {why}" for name, why in sorted(self.strange.items())]
        if not self.presumes:
            lines.append("decisions may be missing from the log: nothing is presumed until it is adopted")
        return "\n".join((*lines, *map(str, self.in_doubt)))


def decision_of(row: Row | None) -> str:
    """As `InDoubt.decision` says it."""
    return "none" if row is None else "COMMIT" if row.decision is Decision.COMMIT else "ABORT"
