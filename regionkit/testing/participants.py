# Generated from participants_async.py by scripts/twins.py. Do not edit.
"""What every participant of global transactions passes: derive a pytest class from it, with a fixture `rig` for the data.

    class TestMine(ParticipantContract):
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
from regionkit.transactions.participants.participant import Branch, BranchOptions, Participant
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid, gtrid_of

__all__ = ["ParticipantContract", "ParticipantData"]

LOG = "0a1b2c3d"
WITHIN = 20.0
"""Seconds for one call: the machine may be busy."""


class ParticipantData(Protocol):
    """What the contract asks of the fixture `rig`.

    Attributes:
        namespace: that the participants were made with.
        name: of the participants.
    """

    namespace: str
    name: str

    def participant(self) -> Participant:
        """One more on the same data, opened, its tables made. The fixture closes it."""
        ...

    def write(self, branch: Any, item: str) -> None:
        """Add this item by a branch's session or connection."""
        ...

    def items(self) -> set[str]:
        """What others see."""
        ...


class ParticipantContract:
    """The contract. A participant that cannot prepare passes it too: what asks for PREPARE then ends early."""

    def _branch(self, rig: ParticipantData, at: Participant, item: str, xid: Xid | None = None) -> Any:
        branch: Branch = at.begin(BranchOptions(xid or _xid(rig)), _soon())
        rig.write(branch, item)
        branch.flush()
        return branch

    def test_one_phase_commits_with_its_marker(self, rig: ParticipantData) -> None:
        """Rules 4 and 6."""
        at, xid = rig.participant(), _xid(rig)
        branch = self._branch(rig, at, "one", xid)
        assert "one" not in rig.items(), "others see uncommitted data"
        answered = branch.commit_one_phase([], _soon())
        assert (answered.winner, branch.torn) == (Decision.COMMIT, "")
        assert "one" in rig.items()
        other = rig.participant()
        assert other.evidence(xid, _soon()) is Evidence.COMMITTED
        assert other.bar(xid, _soon()) is Evidence.COMMITTED
        [marked] = other.markers(LOG, "", 10, _soon())
        assert (marked.gtrid, marked.branch, marked.phases) == (xid.gtrid, rig.name, 1)
        branch.close()
        branch.close()

    def test_a_branch_that_is_not_committed_leaves_nothing(self, rig: ParticipantData) -> None:
        """Rule 1: rolled back, twice; let go of without an end; and one that did nothing."""
        at = rig.participant()
        branch = self._branch(rig, at, "rolled back")
        for _ in range(2):
            assert branch.finish(False, _soon()) is Finish.DONE
        branch.close()
        left = self._branch(rig, at, "left")
        left.close()
        idle = at.begin(BranchOptions(_xid(rig)), _soon())
        assert idle.finish(False, _soon()) is Finish.DONE
        idle.close()
        assert not {"rolled back", "left"} & rig.items()
        assert at.markers(LOG, "", 10, _soon()) == []
        assert at.listed(_soon()) == []

    def test_a_tombstone_bars_what_comes_late(self, rig: ParticipantData) -> None:
        """Rule 6: whatever the branch answers, it is no COMMIT; and the tombstone stays."""
        at, xid = rig.participant(), _xid(rig)
        for _ in range(2):
            assert at.bar(xid, _soon()) is Evidence.BARRED
        assert at.evidence(xid, _soon()) is Evidence.BARRED
        branch = self._branch(rig, at, "late", xid)
        assert (branch.commit_one_phase([], _soon())).winner is not Decision.COMMIT
        branch.close()
        assert at.bar(xid, _soon()) is Evidence.BARRED
        assert "late" not in rig.items()
        assert at.markers(LOG, "", 10, _soon()) == []

    def test_a_prepared_branch_is_ended_by_anybody(self, rig: ParticipantData) -> None:
        """Rules 2 to 5: its process is gone, another one lists it and ends it, once; the marker says how."""
        at, other = rig.participant(), rig.participant()
        if not (at.open(_soon())).prepares:
            branch = self._branch(rig, at, "cannot")
            assert (branch.prepare(_soon())).vote is Vote.NO
            branch.close()
            assert "cannot" not in rig.items()
            return
        for commit, item in ((True, "kept"), (False, "dropped")):
            xid = _xid(rig)
            branch = self._branch(rig, at, item, xid)
            assert (branch.prepare(_soon())).vote is Vote.YES
            branch.close()
            assert item not in rig.items()
            assert other.evidence(xid, _soon()) is Evidence.NONE
            [listed] = other.listed(_soon())
            assert listed.xid == xid
            assert other.finish(listed, commit, _soon()) is Finish.DONE
            assert other.finish(listed, commit, _soon()) is Finish.UNKNOWN
            assert at.listed(_soon()) == []
            assert (item in rig.items()) is commit
            expected = Evidence.COMMITTED if commit else Evidence.NONE
            assert at.evidence(xid, _soon()) is expected

    def test_a_prepared_branch_ends_as_decided(self, rig: ParticipantData) -> None:
        """Rule 3: on its own connection, and it may be repeated; with two phases in its marker."""
        at = rig.participant()
        if not (at.open(_soon())).prepares:
            return
        for commit in (True, False):
            branch, item = self._branch(rig, at, f"ends {commit}"), f"ends {commit}"
            assert (branch.prepare(_soon())).vote is Vote.YES
            assert branch.finish(commit, _soon()) is Finish.DONE
            assert branch.finish(commit, _soon()) in (Finish.DONE, Finish.UNKNOWN)
            branch.close()
            assert (item in rig.items()) is commit
        [marked] = at.markers(LOG, "", 10, _soon())
        assert marked.phases == 2
        assert at.listed(_soon()) == []

    def test_markers_are_swept_below_the_floor_of_their_log(self, rig: ParticipantData) -> None:
        """Those of another log, and those above the floor, stay."""
        at = rig.participant()
        xids = sorted((_xid(rig) for _ in range(3)), key=lambda xid: xid.gtrid)
        for xid in xids:
            at.bar(xid, _soon())
        assert at.sweep("ffffffff", xids[1].gtrid, 10, _soon()) == 0
        assert at.sweep(LOG, xids[1].gtrid, 10, _soon()) == 2
        assert at.evidence(xids[1], _soon()) is Evidence.NONE
        assert at.evidence(xids[2], _soon()) is Evidence.BARRED

    def test_what_it_is_stays_the_same(self, rig: ParticipantData) -> None:
        """For another process too; and its doctor refuses nothing."""
        one, two = rig.participant(), rig.participant()
        facts = one.open(_soon())
        assert facts == two.open(_soon())
        assert facts.kind and facts.instance and facts.history
        assert "refused" not in {finding.level for finding in one.doctor(_soon())}


def _soon() -> Deadline:
    return Deadline(SYSTEM_CLOCK, WITHIN)


def _xid(rig: ParticipantData) -> Xid:
    return Xid(rig.namespace, LOG, gtrid_of(int(time.time() * 1000), os.urandom(10)), rig.name, 0)
