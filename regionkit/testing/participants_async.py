"""What every participant of global transactions passes: derive a pytest class from it, with a fixture `rig` for the data.

    class TestMine(AsyncParticipantContract):
        @pytest.fixture
        def rig(self) -> MyRig: ...

The rules are those of `regionkit.transactions.participants.participant`. They are shown from outside: by what others see of the
data, and through a second participant on the same data, as if of another process. A crash of the server is your own to test.
"""

from __future__ import annotations

import os
import time
from typing import Any, Protocol

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.transactions.participants.participant_async import AsyncBranch, AsyncParticipant, BranchOptions
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid, gtrid_of

__all__ = ["AsyncParticipantContract", "AsyncParticipantData"]

LOG = "0a1b2c3d"
WITHIN = 20.0
"""Seconds for one call: the machine may be busy."""


class AsyncParticipantData(Protocol):
    """What the contract asks of the fixture `rig`.

    Attributes:
        namespace: that the participants were made with.
        name: of the participants.
    """

    namespace: str
    name: str

    async def participant(self) -> AsyncParticipant:
        """One more on the same data, opened, its tables made. The fixture closes it."""
        ...

    async def write(self, branch: Any, item: str) -> None:
        """Add this item by a branch's session or connection."""
        ...

    async def items(self) -> set[str]:
        """What others see."""
        ...


class AsyncParticipantContract:
    """The contract. A participant that cannot prepare passes it too: what asks for PREPARE then ends early."""

    async def _branch(self, rig: AsyncParticipantData, at: AsyncParticipant, item: str, xid: Xid | None = None) -> Any:
        branch: AsyncBranch = await at.begin(BranchOptions(xid or _xid(rig)), _soon())
        await rig.write(branch, item)
        await branch.flush()
        return branch

    async def test_one_phase_commits_with_its_marker(self, rig: AsyncParticipantData) -> None:
        """Rules 4 and 6."""
        at, xid = await rig.participant(), _xid(rig)
        branch = await self._branch(rig, at, "one", xid)
        assert "one" not in await rig.items(), "others see uncommitted data"
        answered = await branch.commit_one_phase([], _soon())
        assert (answered.winner, branch.torn) == (Decision.COMMIT, "")
        assert "one" in await rig.items()
        other = await rig.participant()
        assert await other.evidence(xid, _soon()) is Evidence.COMMITTED
        assert await other.bar(xid, _soon()) is Evidence.COMMITTED
        [marked] = await other.markers(LOG, "", 10, _soon())
        assert (marked.gtrid, marked.branch, marked.phases) == (xid.gtrid, rig.name, 1)
        await branch.close()
        await branch.close()

    async def test_a_branch_that_is_not_committed_leaves_nothing(self, rig: AsyncParticipantData) -> None:
        """Rule 1: rolled back, twice; let go of without an end; and one that did nothing."""
        at = await rig.participant()
        branch = await self._branch(rig, at, "rolled back")
        for _ in range(2):
            assert await branch.finish(False, _soon()) is Finish.DONE
        await branch.close()
        left = await self._branch(rig, at, "left")
        await left.close()
        idle = await at.begin(BranchOptions(_xid(rig)), _soon())
        assert await idle.finish(False, _soon()) is Finish.DONE
        await idle.close()
        assert not {"rolled back", "left"} & await rig.items()
        assert await at.markers(LOG, "", 10, _soon()) == []
        assert await at.listed(_soon()) == []

    async def test_a_tombstone_bars_what_comes_late(self, rig: AsyncParticipantData) -> None:
        """Rule 6: whatever the branch answers, it is no COMMIT; and the tombstone stays."""
        at, xid = await rig.participant(), _xid(rig)
        for _ in range(2):
            assert await at.bar(xid, _soon()) is Evidence.BARRED
        assert await at.evidence(xid, _soon()) is Evidence.BARRED
        branch = await self._branch(rig, at, "late", xid)
        assert (await branch.commit_one_phase([], _soon())).winner is not Decision.COMMIT
        await branch.close()
        assert await at.bar(xid, _soon()) is Evidence.BARRED
        assert "late" not in await rig.items()
        assert await at.markers(LOG, "", 10, _soon()) == []

    async def test_a_prepared_branch_is_ended_by_anybody(self, rig: AsyncParticipantData) -> None:
        """Rules 2 to 5: its process is gone, another one lists it and ends it, once; the marker says how."""
        at, other = await rig.participant(), await rig.participant()
        if not (await at.open(_soon())).prepares:
            branch = await self._branch(rig, at, "cannot")
            assert (await branch.prepare(_soon())).vote is Vote.NO
            await branch.close()
            assert "cannot" not in await rig.items()
            return
        for commit, item in ((True, "kept"), (False, "dropped")):
            xid = _xid(rig)
            branch = await self._branch(rig, at, item, xid)
            assert (await branch.prepare(_soon())).vote is Vote.YES
            await branch.close()
            assert item not in await rig.items()
            assert await other.evidence(xid, _soon()) is Evidence.NONE
            [listed] = await other.listed(_soon())
            assert listed.xid == xid
            assert await other.finish(listed, commit, _soon()) is Finish.DONE
            assert await other.finish(listed, commit, _soon()) is Finish.UNKNOWN
            assert await at.listed(_soon()) == []
            assert (item in await rig.items()) is commit
            expected = Evidence.COMMITTED if commit else Evidence.NONE
            assert await at.evidence(xid, _soon()) is expected

    async def test_a_prepared_branch_ends_as_decided(self, rig: AsyncParticipantData) -> None:
        """Rule 3: on its own connection, and it may be repeated; with two phases in its marker."""
        at = await rig.participant()
        if not (await at.open(_soon())).prepares:
            return
        for commit in (True, False):
            branch, item = await self._branch(rig, at, f"ends {commit}"), f"ends {commit}"
            assert (await branch.prepare(_soon())).vote is Vote.YES
            assert await branch.finish(commit, _soon()) is Finish.DONE
            assert await branch.finish(commit, _soon()) in (Finish.DONE, Finish.UNKNOWN)
            await branch.close()
            assert (item in await rig.items()) is commit
        [marked] = await at.markers(LOG, "", 10, _soon())
        assert marked.phases == 2
        assert await at.listed(_soon()) == []

    async def test_markers_are_swept_below_the_floor_of_their_log(self, rig: AsyncParticipantData) -> None:
        """Those of another log, and those above the floor, stay."""
        at = await rig.participant()
        xids = sorted((_xid(rig) for _ in range(3)), key=lambda xid: xid.gtrid)
        for xid in xids:
            await at.bar(xid, _soon())
        assert await at.sweep("ffffffff", xids[1].gtrid, 10, _soon()) == 0
        assert await at.sweep(LOG, xids[1].gtrid, 10, _soon()) == 2
        assert await at.evidence(xids[1], _soon()) is Evidence.NONE
        assert await at.evidence(xids[2], _soon()) is Evidence.BARRED

    async def test_what_it_is_stays_the_same(self, rig: AsyncParticipantData) -> None:
        """For another process too; and its doctor refuses nothing."""
        one, two = await rig.participant(), await rig.participant()
        facts = await one.open(_soon())
        assert facts == await two.open(_soon())
        assert facts.kind and facts.instance and facts.history
        assert "refused" not in {finding.level for finding in await one.doctor(_soon())}


def _soon() -> Deadline:
    return Deadline(SYSTEM_CLOCK, WITHIN)


def _xid(rig: AsyncParticipantData) -> Xid:
    return Xid(rig.namespace, LOG, gtrid_of(int(time.time() * 1000), os.urandom(10)), rig.name, 0)
