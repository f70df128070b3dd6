"""What one run asks before it calls something a hazard, and what it writes into the log."""

from __future__ import annotations

import msgspec

from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.transactions.events import CommitFoundOut, HazardFound
from regionkit.transactions.participants.participant_async import AsyncParticipant
from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_findings import Findings
from regionkit.transactions.recovery_rules import LOST_DECISION, Evidence, Row
from regionkit.transactions.recovery_setting_async import AsyncSetting
from regionkit.transactions.xid import Xid

__all__ = ["GONE", "PAGE", "PARTICIPANT_WAIT", "AsyncNotes"]

PARTICIPANT_WAIT = 5.0
"""Seconds for a participant's listing, or one of its statements: a server that takes longer is as good as away."""
PAGE = 500
"""Rows or markers read, or acknowledged, at once."""
AGAINST = "it is committed, and the log has aborted its transaction"
GONE = "it is neither prepared nor committed, and the log has committed its transaction"


class AsyncNotes:
    """Of one run. `acting`: False writes nothing."""

    def __init__(self, setting: AsyncSetting, found: Findings, deadline: Deadline, *, acting: bool) -> None:
        self._setting = setting
        self._found = found
        self._deadline = deadline
        self._acting = acting

    async def evidence(self, gtrid: str, name: str, participant: AsyncParticipant, deadline: Deadline) -> Evidence:
        """What a participant's marker says of its branch."""
        return await participant.evidence(Xid(self._setting.namespace, self._found.log, gtrid, name, 0), deadline)

    async def find_out(self, name: str, participant: AsyncParticipant, deadline: Deadline) -> None:
        """Commits in one phase that were not answered: a tombstone under the marker's key waits for what is under way. Who
        only looks writes none, and believes a marker alone.
        """
        for one in self._setting.unanswered():
            xid = one.xid
            if xid.branch != name:
                continue
            asked = participant.bar if self._acting else participant.evidence
            found = await asked(xid, self._setting.part(deadline, PARTICIPANT_WAIT))
            winner = {Evidence.COMMITTED: Decision.COMMIT, Evidence.BARRED: Decision.ABORT}.get(found)
            if winner is None:
                continue
            self._found.unanswered.discard((xid.gtrid, name))
            self._found.settled[xid.gtrid] = winner.name
            one.tell(winner)
            committed = winner is Decision.COMMIT
            self._setting.events.emit(CommitFoundOut(self._setting.namespace, xid.gtrid, name, committed))

    async def still_gone(self, gtrid: str, name: str, participant: AsyncParticipant, deadline: Deadline) -> bool:
        """Looked at again: not listed, then no marker (a commit leaves the list only with its marker there), and not swept."""
        again = await participant.listed(self._setting.part(deadline, PARTICIPANT_WAIT))
        if any(one.xid.gtrid == gtrid and one.xid.branch == name for one in again):
            return False
        part = self._setting.part(deadline, PARTICIPANT_WAIT)
        if await self.evidence(gtrid, name, participant, part) in (Evidence.COMMITTED, Evidence.UNAVAILABLE):
            return False
        facts = await self._setting.log.open(self._setting.namespace, self._setting.log_time(deadline), risky=True)
        return gtrid > facts.floor

    async def lost(self, gtrid: str, branch: str) -> None:
        """A marker without its decision. The decision is written again, and nothing follows from it before it was seen to."""
        log, branches = self._setting.log, sorted({branch, *(at for of, at in self._found.prepared if of == gtrid)})
        by, time = f"{self._setting.by}: a marker stands", self._setting.log_time(self._deadline)
        winner = await log.decide(gtrid, Decision.COMMIT, branches, by, time)
        if winner is Decision.COMMIT:
            self._found.rows[gtrid] = Row(gtrid, winner, dict.fromkeys(branches), decided_by=by)
            self._found.presumes = False
        what = LOST_DECISION if winner is Decision.COMMIT else AGAINST
        await self.hazard(gtrid, branch, what)

    async def hazard(self, gtrid: str, branch: str, what: str) -> None:
        """Keep it in the log, show it, tell it."""
        if self._acting:
            await self._setting.log.hazard(gtrid, branch, what, self._setting.log_time(self._deadline))
        row = self._found.rows.get(gtrid) or Row(gtrid, Decision.ABORT)
        self._found.rows[gtrid] = msgspec.structs.replace(row, hazards={**row.hazards, branch: what})
        self._setting.events.emit(HazardFound(self._setting.namespace, gtrid, branch, what))

    async def acknowledge(self, acknowledged: dict[str, dict[str, str]]) -> None:
        """What has ended, by gtrid and branch: the participant's history."""
        found = sorted(acknowledged.items())
        for at in range(0, len(found), PAGE):
            await self._setting.log.acknowledge(dict(found[at : at + PAGE]), self._setting.log_time(self._deadline))
            crash_point("recovery.acknowledged")
