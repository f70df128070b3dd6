# Generated from members_async.py by scripts/twins.py. Do not edit.
"""The branches of a transaction at work."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from regionkit.contract.unit import Committed
from regionkit.core.deadline import Deadline
from regionkit.errors import UsageError
from regionkit.transactions.participants.participant import Branch, Participant, ParticipantFacts
from regionkit.transactions.places import Place
from regionkit.transactions.protocol import Decision, Finish, Outcome
from regionkit.transactions.recovery_rules import Row, RowVerdict, judge_row
from regionkit.transactions.xid import Xid

__all__ = ["Member", "finish_of", "let_go", "missing"]


class Member(msgspec.Struct):
    """A branch, and where it is. `facts`: of its participant; `reading`: declared so; `place`: in a kit, its store's owner.
    `deferred`: statements that go with its PREPARE, or COMMIT.
    """

    xid: Xid
    participant: Participant
    branch: Branch
    facts: ParticipantFacts
    reading: bool
    anchor: bool
    place: Place | None = None
    deferred: list[str] = []

    def defer(self, statement: str) -> None:
        """Send it with PREPARE, or with COMMIT.

        Raises:
            UsageError: it cannot be one statement.
        """
        if not isinstance(statement, str):
            why = f"it is a {type(statement).__name__}: what is deferred is a str, its values written into it"
        elif not statement.strip("; \t\r\n"):
            why = "it is empty"
        elif any(one == "\0" or "\ud800" <= one <= "\udfff" for one in statement):
            why = "it holds a NUL, or half of a character"
        else:
            self.deferred.append(statement)
            return
        raise UsageError(
            f"this cannot be deferred on branch {self.xid.branch!r}.",
            why=f"{why}.",
            fix="give one statement of SQL as text; what has parameters runs on tx.session(name).",
        )

    def refused(self, deadline: Deadline) -> str:
        """Why it may not end well, and was rolled back: its store has another owner by now. "" where nothing is wrong."""
        why = "" if self.place is None else self.place.moved()
        if why:
            self.branch.finish(False, deadline)
        return why


def let_go(members: Iterable[Member], outcome: Outcome) -> None:
    """Tell who joined a branch what became of the transaction, and give all connections back."""
    heard: dict[Outcome, Committed] = {Outcome.COMMITTED: "yes", Outcome.ABORTED: "no"}
    for one in members:
        one.branch.tell(heard.get(outcome, "unknown"))
        one.branch.close()


def finish_of(call: Callable[[bool, Deadline], Finish], commit: bool, deadline: Deadline) -> Finish:
    """What `call` answers in the second phase; UNREACHED where it raises."""
    try:
        return call(commit, deadline)
    except Exception:
        return Finish.UNREACHED


def missing(member: Member, deadline: Deadline) -> tuple[Finish, str]:
    """Of a decided COMMIT that finds no such branch, whether somebody was faster, as its marker says; and why it is a hazard."""
    name, gtrid = member.xid.branch, member.xid.gtrid
    try:
        listed = any(one.xid == member.xid for one in member.participant.listed(deadline))
        evidence = member.participant.evidence(member.xid, deadline)
    except Exception:
        return Finish.UNREACHED, ""
    row = Row(gtrid, Decision.COMMIT, {name: None})
    verdict = judge_row(row, name, listed=listed, evidence=evidence, history=None, reopened=False)
    lost = "COMMIT was decided, and the branch is neither prepared nor committed"
    return Finish.DONE if verdict is RowVerdict.DONE else Finish.UNKNOWN, lost if verdict is RowVerdict.HAZARD else ""
