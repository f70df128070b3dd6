# Generated from recovery_round_async.py by scripts/twins.py. Do not edit.
"""One run of recovery: P, A, T, Q, then what recovery_rules says.

1. Participants are asked at once, each within a bound of its own: one that does not answer, or answers nonsense, is reported,
   and holds up no other. Nothing is concluded from its silence.
2. Before an abort is presumed, the other participants are asked for the transaction's marker: where one stands, the log has
   lost a decision, and presumes nothing from there on.
3. What a run does may be done by another recoverer in the same instant: each step is safe to repeat, and what is found missing
   is looked at again before it is called a hazard.
4. A COMMIT in one phase stands in no log. One of this process's own that was not answered is found out by its marker's key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import msgspec

from regionkit.core.concurrency import Elapsed, gather, within
from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.errors import RegionKitError
from regionkit.transactions.events import BranchEnded, ParticipantUnreachable, TransactionBarred
from regionkit.transactions.logs.log import LogFacts
from regionkit.transactions.participants.participant import Listed, Participant, ParticipantFacts
from regionkit.transactions.protocol import Decision, Finish
from regionkit.transactions.recovery_findings import Findings
from regionkit.transactions.recovery_notes import GONE, PAGE, PARTICIPANT_WAIT, Notes
from regionkit.transactions.recovery_rules import (
    LOST_DECISION,
    Evidence,
    Found,
    Row,
    RowVerdict,
    Verdict,
    judge_branch,
    judge_marker,
    judge_row,
    presumes,
)
from regionkit.transactions.recovery_setting import Remembered, Setting, reason
from regionkit.transactions.recovery_views import Report
from regionkit.transactions.sweep import SWEEP_EVERY, swept
from regionkit.transactions.xid import Xid

__all__ = ["Round"]

T = TypeVar("T")
DOWN_WAIT = 1.0
"""Seconds for one that could not be asked in the last run: enough for a server that is there, over an ocean too."""
ENDING_WAIT = 30.0
"""Seconds for all that one participant has to end in one run; the next run goes on."""
SLACK = 0.5
"""Seconds that a participant may take beyond its deadline before it is left behind."""
ROWS = 5_000
"""Open rows looked at in a run: far more than a healthy manager ever has; the next run goes on behind them."""
STRAY = "this process has no participant of that name, under which its server lists it: it was renamed, or is another's"
UNANSWERED = "its COMMIT in one phase was not answered, and its participant cannot say yet what became of it"
AT_ONCE = 8
"""Tombstones on their way to the log at once: a backlog over an ocean ends in minutes, and the log's pool is left to others."""


class _Seen(msgspec.Struct):
    """What a participant has answered."""

    facts: ParticipantFacts
    noted: str
    first: dict[Xid, Listed]
    again: dict[Xid, Listed] = {}

    @property
    def known(self) -> bool:
        return self.facts.instance == self.noted


class Round:
    """One run, used once. `acting`: False only looks."""

    def __init__(
        self, setting: Setting, remembered: Remembered, facts: LogFacts, deadline: Deadline, *, acting: bool
    ) -> None:
        self._setting = setting
        self._remembered = remembered
        self._facts = facts
        self._deadline = deadline
        self._acting = acting
        self._seen: dict[str, _Seen] = {}
        self._found = Findings(facts.id, frozenset(setting.participants))
        self._notes = Notes(setting, self._found, deadline, acting=acting)

    def run(self) -> Report:
        """All of it.

        Raises:
            RegionUnavailable, DeadlineExceeded, OutcomeUnknown: the log did not answer; nothing was done.
        """
        self._each(self._setting.participants, self._first_look, PARTICIPANT_WAIT)  # P
        self._found.active = frozenset(self._setting.active())  # A
        self._read_rows()  # T
        listing = [name for name, seen in self._seen.items() if seen.first]
        self._each(listing, self._second_look, PARTICIPANT_WAIT)  # Q
        self._judge()
        if self._acting:
            self._bar()
        self._each(self._seen, self._end, ENDING_WAIT)
        self._find_out()
        if self._acting:
            self._sweep()
        if self._facts.risk:
            what = (
                f"it may lose decisions ({self._facts.risk}): what is decided is carried out, and nothing is presumed"
            )
            self._found.unreachable.setdefault(self._setting.log.name, what)
        self._remembered.down = frozenset(self._found.unreachable)
        for name, why in self._found.unreachable.items():
            self._setting.events.emit(ParticipantUnreachable(self._setting.namespace, name, why))
        self._found.strange = {name: seen.noted for name, seen in self._seen.items() if not seen.known}
        return self._found.report(self._setting.clock.wall(), acted=self._acting)

    def _find_out(self) -> None:
        """Rule 4."""
        asked = [one.xid for one in self._setting.unanswered()]
        for xid in asked:
            self._found.unanswered.add((xid.gtrid, xid.branch))
            self._found.say(xid.gtrid, xid.branch, "unknown", UNANSWERED)
        known = {name for name, seen in self._seen.items() if seen.known}
        self._each(sorted({xid.branch for xid in asked} & known), self._notes.find_out, ENDING_WAIT)

    def _each(
        self,
        names: Iterable[str],
        call: Callable[[str, Participant, Deadline], object],
        wait: float,
    ) -> None:
        for found in gather([partial(self._asked, name, call, wait) for name in tuple(names)]):
            if isinstance(found, BaseException):
                raise found

    def _asked(self, name: str, call: Callable[[str, Participant, Deadline], T], wait: float) -> T | None:
        """Its answer, or None and a line in the report: whatever goes wrong is its own."""
        if name in self._found.unreachable:
            return None
        wait = min(wait, DOWN_WAIT) if name in self._remembered.down and name not in self._seen else wait
        try:
            part = self._setting.part(self._deadline, wait)
            asked = partial(call, name, self._setting.participants[name], part)
            return within(part.timeout + SLACK, asked)
        except Elapsed:
            self._found.unreachable[name] = f"it did not answer within {wait:g} s"
        except Exception as error:
            self._found.unreachable[name] = reason(error)
        return None

    def _first_look(self, name: str, participant: Participant, deadline: Deadline) -> None:
        facts = participant.open(deadline)
        log_time = self._setting.log_time(self._deadline)
        noted = self._setting.log.note_participant(name, facts.instance, log_time)
        listed = {one.xid: one for one in participant.listed(deadline)}
        strays = participant.strays(deadline)
        now = self._setting.clock.monotonic()
        for xid in strays:
            if xid.log == self._facts.id and xid.branch not in self._setting.participants:
                self._found.prepared.add((xid.gtrid, xid.branch))
                self._found.say(xid.gtrid, xid.branch, "prepared", STRAY)
        for xid in listed:
            self._remembered.first.setdefault((name, xid), now)
        self._seen[name] = _Seen(facts, noted, listed)
        crash_point("recovery.listed")

    def _second_look(self, name: str, participant: Participant, deadline: Deadline) -> None:
        self._seen[name].again = {one.xid: one for one in participant.listed(deadline)}

    def _read_rows(self) -> None:
        """The rows of what is listed, and all that is open."""
        log, kept = self._setting.log, self._remembered
        gtrids = sorted({xid.gtrid for seen in self._seen.values() for xid in seen.first if xid.log == self._facts.id})
        for at in range(0, len(gtrids), PAGE):
            self._found.rows |= log.rows(gtrids[at : at + PAGE], self._setting.log_time(self._deadline))
        opened: list[Row] = []
        after, ended = kept.rows_after, False
        kept.lost = kept.lost and after != ""
        while len(opened) < ROWS and not ended:
            page = log.open_rows(PAGE, self._setting.log_time(self._deadline), after=after)
            opened += page
            ended = len(page) < PAGE
            after = "" if ended else page[-1].gtrid
        self._found.rows |= {row.gtrid: row for row in opened}
        self._found.more = not ended
        kept.rows_after, kept.whole = after, kept.whole or ended
        kept.lost = kept.lost or not presumes(True, opened)
        self._found.presumes = self._facts.presumes and kept.whole and not kept.lost

    def _judge(self) -> None:
        setting, first = self._setting, self._remembered.first
        now, wall = setting.clock.monotonic(), int(setting.clock.wall() * 1000)
        for name, seen in self._seen.items():
            for gone in [key for key in first if key[0] == name and key[1] not in seen.first]:
                del first[gone]
            for xid in seen.first.keys() & seen.again.keys():
                found = Found(
                    xid, now - first[name, xid], xid.gtrid in self._found.active, self._found.presumes, known=seen.known
                )
                row = self._found.rows.get(xid.gtrid) if xid.log == self._facts.id else None
                verdict = judge_branch(
                    found,
                    row,
                    log=self._facts.id,
                    now_millis=wall,
                    retention=setting.retention,
                    patience=setting.patience,
                )
                self._found.verdicts[name, xid] = verdict
                self._found.prepared.add((xid.gtrid, xid.branch))
                self._found.say(xid.gtrid, xid.branch, "prepared", verdict.value, verdict)

    def _bar(self) -> None:
        """Decide what was abandoned, oldest first; nothing where the log turns out to have lost a decision."""
        keys = [key for key, verdict in self._found.verdicts.items() if verdict is Verdict.BAR]
        gtrids = sorted({xid.gtrid for _, xid in keys})
        for call in (self._look_for_marker, self._bar_one):
            for at in range(0, len(gtrids), AT_ONCE):
                for answer in gather([partial(call, gtrid) for gtrid in gtrids[at : at + AT_ONCE]]):
                    if isinstance(answer, RegionKitError):  # the log does not answer: what is left stays as it is
                        self._found.unreachable.setdefault(self._setting.log.name, reason(answer))
                        return
                    if isinstance(answer, BaseException):
                        raise answer
            if not self._found.presumes:
                for name, xid in keys:
                    if self._found.verdicts[name, xid] is Verdict.BAR:
                        self._found.verdicts[name, xid] = Verdict.MUTE
                        self._found.say(xid.gtrid, xid.branch, "prepared", Verdict.MUTE.value, Verdict.MUTE)
                return

    def _bar_one(self, gtrid: str) -> None:
        log, setting = self._setting.log, self._setting
        keys = [
            key for key, verdict in self._found.verdicts.items() if key[1].gtrid == gtrid and verdict is Verdict.BAR
        ]
        branches = sorted({xid.branch for _, xid in keys})
        winner = log.decide(gtrid, Decision.ABORT, branches, setting.by, setting.log_time(self._deadline))
        crash_point("recovery.decided")
        row = log.row(gtrid, setting.log_time(self._deadline))
        if row is not None:
            self._found.rows[gtrid] = row
        commit = winner is Decision.COMMIT
        fresh = log.open(setting.namespace, setting.log_time(self._deadline), risky=True)
        if not (
            commit or fresh.presumes
        ):  # rule 3: it failed over under way, and the tombstone may stand for a decision
            self._found.presumes = False
            return
        if not commit:
            self._found.barred.append(gtrid)
            setting.events.emit(TransactionBarred(setting.namespace, gtrid))
        for key in keys:
            self._found.verdicts[key] = Verdict.COMMIT if commit else Verdict.ABORT

    def _look_for_marker(self, gtrid: str) -> None:
        """Rule 2. Who does not answer is not waited for: its own branch waits for it."""
        for name, seen in self._seen.items():
            if not seen.known or (gtrid, name) in self._found.prepared:
                continue
            if self._asked(name, partial(self._notes.evidence, gtrid), PARTICIPANT_WAIT) is not Evidence.COMMITTED:
                continue
            if self._setting.log.row(gtrid, self._setting.log_time(self._deadline)) is None:
                self._notes.lost(gtrid, name)

    def _end(self, name: str, participant: Participant, deadline: Deadline) -> None:
        """All that is decided here: ended, acknowledged, joined."""
        seen = self._seen[name]
        if not seen.known:
            return
        acknowledged: dict[str, dict[str, str]] = {}
        try:
            if self._acting:
                self._finish(name, participant, deadline, acknowledged)
            if name not in self._found.unreachable:
                self._settle(name, participant, deadline, acknowledged)
            if self._acting and name not in self._found.unreachable:
                self._join(name, participant, deadline, acknowledged)
        finally:
            for gtrid, by_branch in acknowledged.items():
                self._found.acked |= {(gtrid, branch): history for branch, history in by_branch.items()}
            if self._acting:
                self._notes.acknowledge(acknowledged)

    def _finish(
        self, name: str, participant: Participant, deadline: Deadline, acknowledged: dict[str, dict[str, str]]
    ) -> None:
        seen = self._seen[name]
        mine = {xid: verdict for (at, xid), verdict in self._found.verdicts.items() if at == name}
        for xid in sorted(mine, key=lambda xid: xid.gtrid):
            if mine[xid] not in (Verdict.COMMIT, Verdict.ABORT):
                continue
            commit = mine[xid] is Verdict.COMMIT
            part = self._setting.part(deadline, PARTICIPANT_WAIT)
            answer = participant.finish(seen.again[xid], commit, part)
            crash_point("recovery.finished")
            if answer in (Finish.DONE, Finish.UNKNOWN):
                self._found.prepared.discard((xid.gtrid, xid.branch))
            if answer is Finish.DONE:
                self._found.ended.append(commit)
                self._setting.events.emit(BranchEnded(self._setting.namespace, xid.gtrid, xid.branch, commit))
                if commit:
                    acknowledged.setdefault(xid.gtrid, {})[xid.branch] = seen.facts.history
            elif answer is not Finish.UNKNOWN:  # unknown: its marker says what became of it
                self._found.say(xid.gtrid, xid.branch, "prepared", answer.value, mine[xid])
            if answer is Finish.UNREACHED:
                self._found.unreachable[name] = f"no answer came when {xid.gtrid} was ended"
                return

    def _settle(
        self, name: str, participant: Participant, deadline: Deadline, acknowledged: dict[str, dict[str, str]]
    ) -> None:
        """Open COMMIT rows: what of them is here, and not prepared any more?"""
        history = self._seen[name].facts.history
        for row in sorted(tuple(self._found.rows.values()), key=lambda row: row.gtrid):
            if row.decision is not Decision.COMMIT or name not in row.branches or row.gtrid in self._found.active:
                continue
            if row.judged(name) or (row.gtrid, name) in self._found.prepared or row.gtrid in acknowledged:
                continue
            if row.branches[name] == history:
                continue
            part = self._setting.part(deadline, PARTICIPANT_WAIT)
            evidence = self._notes.evidence(row.gtrid, name, participant, part)
            verdict = judge_row(row, name, listed=False, evidence=evidence, history=history, reopened=True)
            if verdict is RowVerdict.DONE:
                acknowledged[row.gtrid] = {name: history}
            elif verdict is RowVerdict.KEEP:
                self._found.unreachable[name] = evidence.value
                return
            elif self._notes.still_gone(row.gtrid, name, participant, deadline):
                self._notes.hazard(row.gtrid, name, evidence.value if evidence is Evidence.BARRED else GONE)

    def _join(
        self, name: str, participant: Participant, deadline: Deadline, acknowledged: dict[str, dict[str, str]]
    ) -> None:
        """A page of markers and a page of done rows, side by side, from where the last run ended."""
        log, history = self._setting.log, self._seen[name].facts.history
        above = max(self._remembered.cursors.get(name, ""), self._facts.floor)
        marked = participant.markers(self._facts.id, above, PAGE, self._setting.part(deadline, PARTICIPANT_WAIT))
        done = log.done_rows(PAGE, self._setting.log_time(deadline), after=above)
        full = [page[-1].gtrid for page in (marked, done) if len(page) == PAGE]
        until = min(full, default="g")  # above all hex digits
        marked = [one for one in marked if one.gtrid <= until and one.branch == name]
        rows = log.rows([one.gtrid for one in marked if one.phases == 2], self._setting.log_time(deadline))
        for one in marked:
            row = rows.get(one.gtrid)
            if one.phases != 2 or not judge_marker(one.gtrid, row, floor=self._facts.floor):
                continue
            if row is not None and row.judged(name):
                continue
            fresh = log.open(self._setting.namespace, self._setting.log_time(deadline), risky=True)
            if one.gtrid > fresh.floor:
                self._notes.hazard(
                    one.gtrid, name, LOST_DECISION if row is None else f"{LOST_DECISION}: it was aborted"
                )
        stand = {one.gtrid for one in marked}
        for row in done:
            if row.gtrid > until or name not in row.branches or row.judged(name) or row.gtrid in acknowledged:
                continue
            if row.gtrid not in stand:
                part = self._setting.part(deadline, PARTICIPANT_WAIT)
                evidence = self._notes.evidence(row.gtrid, name, participant, part)
                asked_again = msgspec.structs.replace(row, branches={**row.branches, name: None})
                verdict = judge_row(asked_again, name, listed=False, evidence=evidence, history=history, reopened=True)
                gone = verdict is RowVerdict.HAZARD and (row.gtrid, name) not in self._found.prepared
                if gone and self._notes.still_gone(row.gtrid, name, participant, deadline):
                    self._notes.hazard(row.gtrid, name, GONE)
                if verdict is not RowVerdict.DONE:
                    continue
            if row.branches[name] != history:
                acknowledged[row.gtrid] = {name: history}
        self._remembered.cursors[name] = "" if until == "g" else until

    def _sweep(self) -> None:
        now, last = self._setting.clock.monotonic(), self._remembered.swept_at
        if not self._found.presumes or (last is not None and now - last < SWEEP_EVERY):
            return
        known = [name for name, seen in self._seen.items() if seen.known and name not in self._found.unreachable]
        try:
            self._found.swept, _ = swept(self._setting, self._facts, known, self._deadline)
            self._remembered.swept_at = now
        except RegionKitError as error:  # it is not urgent
            self._found.unreachable.setdefault("sweep", reason(error))
