"""What recovery may do with what it finds on participants and in the log. Pure.

Rules:
1. It touches only names of its own namespace and its own log. Of another log: FOREIGN, listed only.
2. A row of the log decides, at once. Without a row an abort is presumed only by winning the tombstone, and only after the
   branch was listed twice, `patience` apart on this recoverer's own monotonic clock.
3. A log whose history changed (failover, restore) presumes nothing until it is adopted: its decisions may be missing, and a
   tombstone may stand in the place of one. Its history is looked at again after a tombstone was won, before it is acted on. A
   participant that is not the instance noted under its name is listed only, until it is adopted.
4. A branch that is older than the retention and has no row: EXPIRED, listed only. The row may have been swept.
5. Of a decided COMMIT, a branch that is not listed is done only where its marker stands. No marker, and not listed: HAZARD.
   A participant that does not answer: kept.
6. An acknowledgement holds for the participant's history that it was given by. Under another history the branch is asked again.
7. Markers and rows are joined both ways: a marker of two phases above the floor, without a COMMIT row, is a HAZARD; so is a
   COMMIT row whose branch has no marker any more. Where there was no row at all the log has lost a decision: it is written
   again, and until an operator has seen to it, it is not carried out, and the log presumes nothing.
8. A HAZARD is kept until an operator forgets it: until then an ABORT row that bears one ends nothing (something may have
   committed under it), a COMMIT row goes on. Nothing is ever ended against the log.

Order of a run: P = branches listed; A = those of this process at work; T = rows of the log; Q = listed again.
Only what stands in P and Q and not in A is judged. Source: Citus' recovery of two-phase commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, unique

import msgspec

from regionkit.transactions.protocol import Decision
from regionkit.transactions.xid import PATIENCE, Xid, gtrid_of, millis_of

__all__ = [
    "FORGOTTEN",
    "LOST_DECISION",
    "RETENTION",
    "Evidence",
    "Found",
    "Row",
    "RowVerdict",
    "Verdict",
    "forgotten",
    "is_commit_proved",
    "judge_branch",
    "judge_marker",
    "judge_row",
    "oldest_kept",
    "presumes",
    "unsettled",
]

RETENTION = 7 * 86_400.0
"""Seconds that rows, markers and tombstones are kept at least: longer than the oldest copy that may come back to life."""
LOST_DECISION = "it is committed, and the log has no such decision"
"""A hazard of the log's: while one stands, the log presumes nothing."""
FORGOTTEN = "forgotten"
"""In the place of a history, of a branch whose hazard an operator has seen to."""


@unique
class Evidence(Enum):
    """What a participant's marker table says of a branch."""

    COMMITTED = "its marker stands: it is committed"
    NONE = "no marker"
    BARRED = "a tombstone stands: it is not, and will not be"
    UNAVAILABLE = "the participant did not answer"


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of the log.

    Attributes:
        branches: that take part, with the participant's history at the acknowledgement, or None; or FORGOTTEN.
        done: all had acknowledged.
        hazards: by branch, what was found, until it is forgotten.
    """

    gtrid: str
    decision: Decision
    branches: Mapping[str, str | None] = {}
    done: bool = False
    hazards: Mapping[str, str] = {}
    decided_by: str = ""
    decided_at: float = 0.0
    """Seconds since 1970 by the log's own clock."""

    def settled(self, branch: str) -> bool:
        """Whether a branch has ended, as far as the log is concerned: acknowledged, or forgotten."""
        return self.branches.get(branch) is not None

    def judged(self, branch: str) -> bool:
        """Whether it bears a hazard, or did until an operator forgot it: it is not asked for again."""
        return branch in self.hazards or self.branches.get(branch) == FORGOTTEN


def forgotten(row: Row) -> Row:
    """The row, after an operator has seen to its hazards: nothing more is done or said about those branches."""
    branches = {**row.branches, **dict.fromkeys(row.hazards, FORGOTTEN)}
    done = all(history is not None for history in branches.values())
    return msgspec.structs.replace(row, branches=branches, hazards={}, done=done)


def unsettled(row: Row) -> bool:
    """Whether recovery looks at it: a COMMIT that is not done, or a hazard."""
    return bool(row.hazards) or (row.decision is Decision.COMMIT and not row.done)


def oldest_kept(now: float, retention: float) -> str:
    """The highest floor of a sweep, `now` being seconds since 1970."""
    return gtrid_of(max(0, int((now - retention) * 1000.0)), bytes(10))


class Found(msgspec.Struct, frozen=True, gc=False):
    """A prepared branch as a recoverer sees it.

    Attributes:
        waited: seconds since it was first listed, by this recoverer's monotonic clock.
        active: its transaction is at work in this process.
        presumes: the log's history is as noted, so that a missing row means what it says.
        known: the participant is the instance noted under its name.
    """

    xid: Xid
    waited: float
    active: bool = False
    presumes: bool = True
    known: bool = True


@unique
class Verdict(Enum):
    """What is done with a prepared branch."""

    LEAVE = "its coordinator is at work, or may be"
    COMMIT = "decided: it is committed"
    ABORT = "decided: it is rolled back"
    BAR = "insert the tombstone, then judge by the winner"
    FOREIGN = "of another log: listed only"
    STRANGE = "the participant is another instance than the one noted: listed only"
    EXPIRED = "older than the retention, without a row: listed only"
    MUTE = "the log may have lost decisions: nothing is presumed until an operator has seen to it"
    HAZARD = "a branch of its transaction ended otherwise than decided: listed only"


def judge_branch(
    found: Found, row: Row | None, *, log: str, now_millis: int, retention: float, patience: float | None = None
) -> Verdict:
    """What to do with one prepared branch of this namespace. `patience`: seconds, in place of the name's own."""
    xid = found.xid
    if xid.log != log:
        return Verdict.FOREIGN
    if found.active:
        return Verdict.LEAVE
    if not found.known:
        return Verdict.STRANGE
    if row is not None and row.decision is Decision.COMMIT:
        return Verdict.HAZARD if LOST_DECISION in row.hazards.values() else Verdict.COMMIT
    if not found.presumes:
        return Verdict.MUTE
    if row is not None:
        return Verdict.HAZARD if row.hazards else Verdict.ABORT
    if now_millis - millis_of(xid.gtrid) > retention * 1000.0:
        return Verdict.EXPIRED
    if found.waited < (PATIENCE[xid.patience] if patience is None else patience):
        return Verdict.LEAVE
    return Verdict.BAR


def presumes(history_as_noted: bool, rows: Iterable[Row]) -> bool:
    """Whether a missing row of the log may be taken for what it says: rule 3, and rule 7 over its open rows."""
    return history_as_noted and not any(LOST_DECISION in row.hazards.values() for row in rows)


@unique
class RowVerdict(Enum):
    """What is done with one branch of a decided COMMIT."""

    FINISH = "it is listed: commit it"
    DONE = "its acknowledgement stands, or its marker"
    KEEP = "the participant did not answer"
    HAZARD = "it is neither prepared nor committed"


def judge_row(
    row: Row, branch: str, *, listed: bool | None, evidence: Evidence, history: str | None, reopened: bool
) -> RowVerdict:
    """What to do with one branch of a COMMIT row.

    Args:
        row: of the log.
        branch: whose turn it is.
        listed: among the prepared ones; None where the participant did not answer.
        evidence: of its marker.
        history: of the participant now; None where unknown.
        reopened: acknowledgements under another history than `history` are asked for again.
    """
    acknowledged = row.branches.get(branch)
    if acknowledged is not None and not (reopened and history is not None and acknowledged != history):
        return RowVerdict.DONE
    if listed:
        return RowVerdict.FINISH
    if evidence is Evidence.COMMITTED:
        return RowVerdict.DONE
    if listed is None or evidence is Evidence.UNAVAILABLE:
        return RowVerdict.KEEP
    return RowVerdict.HAZARD


def judge_marker(gtrid: str, row: Row | None, *, floor: str) -> bool:
    """Whether a marker of two phases is a HAZARD: its transaction was not decided, and the row cannot have been swept."""
    return gtrid > floor and (row is None or row.decision is not Decision.COMMIT)


def is_commit_proved(row: Decision | None, *, committed: bool) -> bool:
    """Whether COMMIT was decided, for an operator who asks for it: by the log, or a branch that has committed; never because
    branches are prepared. See rule 11 of `protocol`.
    """
    return row is Decision.COMMIT or (row is None and committed)
