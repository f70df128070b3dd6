# Generated from operator_async.py by scripts/twins.py. Do not edit.
"""What an operator may do about transactions in doubt. Each writes the decision first, and none contradicts what is known.

A coordinator or a recoverer may act in the same instant: whoever wins the log's row is who all follow.
"""

from __future__ import annotations

import contextlib
import getpass
from functools import partial

from regionkit.core.concurrency import gather
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, Fenced, UsageError
from regionkit.transactions.endings import closed
from regionkit.transactions.findings import Finding
from regionkit.transactions.logs.log import LogFacts
from regionkit.transactions.participants.participant import Listed, Participant
from regionkit.transactions.protocol import Decision, Finish
from regionkit.transactions.recovery import Recovery
from regionkit.transactions.recovery_rules import Evidence, Row, is_commit_proved
from regionkit.transactions.recovery_setting import reason
from regionkit.transactions.recovery_views import BranchInDoubt, InDoubt, decision_of, held_by
from regionkit.transactions.sweep import swept
from regionkit.transactions.xid import Xid, check_gtrid, gtrid_of, millis_of

__all__ = ["Operator"]

ASK_WAIT = 10.0
"""Seconds for one participant: an operator waits a little, not for ever."""
OLDEST_PREPARED = 300.0
"""Seconds; a branch that is prepared for longer holds locks that somebody waits for."""

_REFUSED = (ConfigurationError, Fenced)
"""Errors of a log that no manager starts with; others are of a log that is away."""


class Operator:
    """What `regionkit tpc` and `tm.doctor()` stand on. Safe to share between threads (tasks of one loop).

    Args:
        recovery: whose log and participants they are.
        who: noted as the author of decisions.
    """

    def __init__(self, recovery: Recovery, who: str | None = None) -> None:
        self._recovery = recovery
        self._setting = recovery.setting
        self._by = f"operator {(who or _user())[:100]}"

    @property
    def recovery(self) -> Recovery:
        """Whose log and participants they are."""
        return self._recovery

    def create_tables(self, deadline: Deadline) -> LogFacts:
        """Make what log and participants keep, unless it is there; the log's facts."""
        self._setting.log.create_tables(self._setting.namespace, deadline)
        for participant in self._setting.participants.values():
            participant.create_tables(deadline)
        return self.facts(deadline)

    def facts(self, deadline: Deadline) -> LogFacts:
        """What the log says of itself.

        Raises:
            ConfigurationError: it is not there, or may lose what it acknowledges.
            Fenced: its server was promoted, and nobody has adopted it.
        """
        return self._setting.log.open(self._setting.namespace, self._setting.log_time(deadline))

    def show(self, gtrid: str, deadline: Deadline) -> InDoubt:
        """One transaction with the evidence of every participant, whether in doubt or ended.

        Raises:
            UsageError: it is no gtrid.
            RegionUnavailable, DeadlineExceeded, ConfigurationError: the log did not answer.
        """
        shown, _ = self._evidence(gtrid, deadline)
        return shown

    def commit(self, gtrid: str, deadline: Deadline) -> InDoubt:
        """End the prepared branches as a COMMIT that the log has, or that a branch which has committed proves. What is only
        prepared everywhere is refused: its coordinator may be alive, or may have aborted and said so to its caller.

        Raises:
            UsageError: COMMIT is not proved, evidence contradicts, or a participant does not answer; the error shows it.
            OutcomeUnknown, RegionUnavailable, DeadlineExceeded: the log did not answer.
        """
        return self._decide(gtrid, Decision.COMMIT, deadline)

    def rollback(self, gtrid: str, deadline: Deadline) -> InDoubt:
        """Decide ABORT and roll the prepared branches back.

        Raises:
            UsageError: evidence contradicts, or decisions may be missing and a participant does not answer.
            OutcomeUnknown, RegionUnavailable, DeadlineExceeded: the log did not answer.
        """
        return self._decide(gtrid, Decision.ABORT, deadline)

    def forget(self, gtrid: str, deadline: Deadline) -> bool:
        """The hazards of a transaction are seen to; whether there were any."""
        self.facts(deadline)
        return self._setting.log.forget(check_gtrid(gtrid), self._setting.log_time(deadline))

    def adopt_log(self, deadline: Deadline) -> LogFacts:
        """No decision is missing from the log, says the operator: abort is presumed again."""
        with contextlib.suppress(Fenced):
            self.facts(deadline)
        return self._setting.log.adopt(self._setting.log_time(deadline))

    def adopt_participant(self, name: str, deadline: Deadline) -> str:
        """The instance that answers under this name is the right one, says the operator; its id.

        Raises:
            UsageError: there is no participant of that name.
        """
        participant = self._setting.participants.get(name)
        if participant is None:
            known = ", ".join(sorted(self._setting.participants)) or "none"
            raise UsageError(f"there is no participant {name!r}.", fix=f"name one of: {known}.")
        self.facts(deadline)
        facts = participant.open(self._setting.part(deadline, ASK_WAIT))
        log_time = self._setting.log_time(deadline)
        return self._setting.log.note_participant(name, facts.instance, log_time, adopt=True)

    def sweep(self, deadline: Deadline) -> int:
        """Delete what is older than the retention; how much that was.

        Raises:
            RegionUnavailable, DeadlineExceeded: the log or a participant did not answer; some may be deleted.
        """
        total, more = 0, True
        facts = self._setting.log.open(self._setting.namespace, self._setting.log_time(deadline))
        while more:
            count, more = swept(self._setting, facts, self._setting.participants, deadline)
            total += count
        return total

    def doctor(self, deadline: Deadline) -> list[Finding]:
        """What is wrong, or risky, with log, participants and recovery. A manager does not start with a "refused" one."""
        log, found = self._setting.log, list[Finding]()
        try:
            self.facts(deadline)
        except Exception as error:
            fix = "make it reachable: without it nothing commits and nothing is recovered."
            found.append(_unanswered(log.name, error, getattr(error, "fix", "") or fix))
        try:
            facts = log.open(self._setting.namespace, self._setting.log_time(deadline), risky=True)
            name = gtrid_of(int(self._setting.clock.wall() * 1000.0), bytes(10))
            if name <= facts.floor:
                fix = "set this machine's clock; where it is right, wait until then, or take a new log once nothing is in doubt."
                found.append(Finding("warning", log.name, closed(name, facts.floor), fix))
            found += log.doctor(self._setting.log_time(deadline))
            if not log.beating(self._setting.log_time(deadline)):
                fix = "call tm.start_recovery() in a long-lived process, or run `regionkit tpc recover --watch`."
                found.append(Finding("warning", log.name, "no recoverer runs", fix))
        except Exception as error:
            found.append(Finding("warning", log.name, reason(error), "see above."))
        names = list(self._setting.participants)
        asked = gather([partial(self._doctor_of, name, deadline) for name in names])
        for name, answer in zip(names, asked, strict=True):
            if isinstance(answer, list):
                found += answer
            else:
                found.append(_unanswered(name, answer, "make it reachable: its branches wait for it."))
        try:
            report = self._recovery.look(deadline)
        except Exception as error:
            found.append(Finding("warning", log.name, f"recovery cannot look: {reason(error)}", "see above."))
            return found
        for name, why in report.strange.items():
            fix = f"if it is the right one: `regionkit tpc adopt {name}`; a clone needs an identity of its own."
            found.append(Finding("warning", name, f"another instance than the one noted ({why}): left alone", fix))
        if not report.presumes:
            fix = "check `regionkit tpc list`, then run `regionkit tpc log adopt` and forget its hazards."
            found.append(Finding("warning", log.name, "decisions may be missing: no abort is presumed", fix))
        for one in report.hazards:
            fix = f"repair the data, then `regionkit tpc forget {one.gtrid}`."
            found.append(Finding("warning", one.gtrid, "; ".join(f"{b}: {w}" for b, w in one.hazards.items()), fix))
        old = [one for one in report.in_doubt if one.age > OLDEST_PREPARED and not one.hazards]
        if old:
            what = f"{len(old)} transactions in doubt, the oldest for {old[0].age:.0f} s: {held_by(old)}"
            found.append(Finding("warning", old[0].gtrid, what, "`regionkit tpc list` says what each waits for."))
        return found

    def _doctor_of(self, name: str, deadline: Deadline) -> list[Finding]:
        return self._setting.participants[name].doctor(self._setting.part(deadline, ASK_WAIT))

    def _evidence(self, gtrid: str, deadline: Deadline) -> tuple[InDoubt, dict[str, Listed]]:
        setting = self._setting
        facts = setting.log.open(setting.namespace, setting.log_time(deadline))
        row = setting.log.row(check_gtrid(gtrid), setting.log_time(deadline))
        names = list(setting.participants)
        asked = gather([partial(self._ask, name, gtrid, facts.id, row, deadline) for name in names])
        listed: dict[str, Listed] = {}
        branches = []
        for name, answer in zip(names, asked, strict=True):
            if isinstance(answer, BaseException):
                if not isinstance(answer, Exception):
                    raise answer
                branches.append(BranchInDoubt(name, "unreachable", why=reason(answer)))
                continue
            branch, found = answer
            if found is not None:
                listed[name] = found
            if branch is not None:
                branches.append(branch)
        strangers = set() if row is None else row.branches.keys() - set(names)
        nobody = "this process has no participant of that name"
        branches += [BranchInDoubt(name, "unknown", why=nobody) for name in strangers]
        shown = InDoubt(
            gtrid=gtrid,
            log=next((one.xid.log for one in listed.values()), facts.id),
            decision=decision_of(row),
            age=max(0.0, setting.clock.wall() - millis_of(gtrid) / 1000.0),
            branches=tuple(sorted(branches, key=lambda branch: branch.name)),
            hazards={} if row is None else row.hazards,
            decided_by="" if row is None else row.decided_by,
        )
        return shown, listed

    def _ask(
        self, name: str, gtrid: str, log: str, row: Row | None, deadline: Deadline
    ) -> tuple[BranchInDoubt | None, Listed | None]:
        participant: Participant = self._setting.participants[name]
        part = self._setting.part(deadline, ASK_WAIT)
        facts = participant.open(part)
        noted = self._setting.log.note_participant(name, facts.instance, self._setting.log_time(deadline))
        if noted != facts.instance:
            return BranchInDoubt(name, "unreachable", why=f"another instance than {noted}, the one noted"), None
        for one in participant.listed(part):
            if one.xid.gtrid == gtrid and one.xid.branch == name:
                return BranchInDoubt(name, "prepared"), one
        evidence = participant.evidence(Xid(self._setting.namespace, log, gtrid, name, 0), part)
        states = {Evidence.COMMITTED: "committed", Evidence.BARRED: "barred", Evidence.UNAVAILABLE: "unreachable"}
        if evidence in states:
            return BranchInDoubt(name, states[evidence], why=evidence.value), None
        takes_part = row is not None and row.decision is Decision.COMMIT and name in row.branches
        return (BranchInDoubt(name, "gone", why="neither prepared nor committed") if takes_part else None), None

    def _decide(self, gtrid: str, want: Decision, deadline: Deadline) -> InDoubt:
        shown, listed = self._evidence(gtrid, deadline)
        facts = self._setting.log.open(self._setting.namespace, self._setting.log_time(deadline))
        against = _against(shown, want, presumes=facts.presumes, own=shown.log == facts.id)
        if against:
            raise UsageError(
                f"{gtrid} is not to be {_as(want)}: {against}.",
                why=f"the evidence is\n{shown}\n",
                fix="bring back what is missing; `tpc recover` ends what is decided, `tpc rollback` what is not.",
            )
        branches = [branch.name for branch in shown.branches if branch.state in ("prepared", "committed")]
        winner = self._setting.log.decide(gtrid, want, branches, self._by, self._setting.log_time(deadline))
        if winner is not want:
            raise UsageError(
                f"{gtrid} is not to be {_as(want)}: it is decided otherwise.",
                why="another decision came first, or it is older than the log's retention.",
                fix="`regionkit tpc recover` ends it as it was decided.",
            )
        for name, one in listed.items():
            answer = self._setting.participants[name].finish(
                one, want is Decision.COMMIT, self._setting.part(deadline, ASK_WAIT)
            )
            if answer not in (Finish.DONE, Finish.UNKNOWN):
                break  # it is decided: recovery goes on
        return self.show(gtrid, deadline)


def _against(shown: InDoubt, want: Decision, *, presumes: bool, own: bool) -> str:
    """What contradicts, in words; "" where nothing does."""
    states = {
        state: [b.name for b in shown.branches if b.state == state] for state in {b.state for b in shown.branches}
    }
    away = ", ".join(states.get("unreachable", []) + states.get("unknown", []))
    if not own:
        return f"it belongs to log {shown.log}, which decides it"
    if shown.decision != "none" and shown.decision != want.name:
        return f"{shown.decision} is decided, by {shown.decided_by or 'nobody that is known'}"
    if want is Decision.ABORT:
        if "committed" in states:
            return f"it is committed on {', '.join(states['committed'])}"
        return f"decisions may be missing from the log, and nobody can ask {away}" if away and not presumes else ""
    if "barred" in states:
        return f"it cannot commit any more on {', '.join(states['barred'])}"
    if "gone" in states:
        return f"it is neither prepared nor committed on {', '.join(states['gone'])}"
    if away:
        return f"nobody can ask {away}"
    row = None if shown.decision == "none" else Decision[shown.decision]
    if is_commit_proved(row, committed="committed" in states):
        return ""
    if "prepared" in states:
        return "COMMIT was not decided: its coordinator may have aborted it and told its user so"
    return "no participant knows of it"


def _unanswered(subject: str, error: BaseException, fix: str) -> Finding:
    """Of a log or participant that could not be asked, or may not be used: that is an answer."""
    if isinstance(error, _REFUSED):
        return Finding("refused", subject, reason(error), error.fix or fix)
    return Finding("warning", subject, reason(error), fix)


def _as(want: Decision) -> str:
    return "committed" if want is Decision.COMMIT else "rolled back"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
