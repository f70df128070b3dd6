# Generated from participant_contract_async.py by scripts/twins.py. Do not edit.
"""What every participant on SQL passes. A test class derives from it; its fixture `rig` gives the database."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from regionkit.errors import DeadlineExceeded, RegionUnavailable, TransactionAborted, UsageError
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence

from .participant_rigs import LOG, ParticipantRig, within

__all__ = ["ParticipantContract"]


class ParticipantContract:
    """What holds on each of them."""

    def test_one_phase_commits_with_its_marker(self, rig: ParticipantRig) -> None:
        """The row, the deferred row and the marker are there together; not before."""
        bank = rig.participant()
        branch = rig.branch(bank)
        number = rig.add(branch)
        branch.defer(rig.adding(901))
        branch.session().commit()
        answered = branch.commit_one_phase([], within())
        assert (answered.winner, branch.torn) == (Decision.COMMIT, "")
        assert {number, 901} <= rig.accounts
        assert bank.evidence(branch.xid, within()) is Evidence.COMMITTED
        assert bank.bar(branch.xid, within()) is Evidence.COMMITTED
        [marked] = bank.markers(LOG, "", 10, within())
        assert (marked.gtrid, marked.branch, marked.phases) == (branch.xid.gtrid, "bank", 1)
        branch.close()
        branch.close()

    def test_an_anchor_decides_in_its_own_commit(self, rig: ParticipantRig) -> None:
        """What the log adds commits with it; where it fails, nothing is there."""
        bank = rig.participant()
        branch = rig.branch(bank)
        number = rig.add(branch)
        assert (branch.commit_one_phase([rig.adding(902)], within())).winner is Decision.COMMIT
        branch.close()
        [marked] = bank.markers(LOG, "", 10, within())
        assert marked.phases == 2
        other = rig.branch(bank)
        lost = rig.add(other)
        answered = other.commit_one_phase([rig.adding(902)], within())
        assert answered.winner is Decision.ABORT
        assert answered.why
        assert bank.evidence(other.xid, within()) is Evidence.NONE
        assert rig.accounts >= {number, 902}
        assert lost not in rig.accounts
        other.close()

    def test_a_rolled_back_branch_leaves_nothing(self, rig: ParticipantRig) -> None:
        """Also one that nobody ended, and one that did nothing; ROLLBACK may be repeated."""
        bank = rig.participant()
        for _ in range(2):
            branch = rig.branch(bank)
            number = rig.add(branch)
            assert branch.finish(False, within()) is Finish.DONE
            assert branch.finish(False, within()) is Finish.DONE
            branch.close()
            assert number not in rig.accounts
        left = rig.branch(bank)
        number = rig.add(left)
        left.close()
        assert number not in rig.accounts
        idle = rig.branch(bank)
        assert idle.finish(False, within()) is Finish.DONE
        idle.close()

    def test_a_tombstone_bars_what_comes_late(self, rig: ParticipantRig) -> None:
        """And it is repeated without harm."""
        bank = rig.participant()
        xid = rig.xid()
        assert bank.evidence(xid, within()) is Evidence.NONE
        for _ in range(2):
            assert bank.bar(xid, within()) is Evidence.BARRED
        assert bank.evidence(xid, within()) is Evidence.BARRED
        branch = rig.branch(bank, xid)
        number = rig.add(branch)
        assert (branch.commit_one_phase([], within())).winner is None  # a row stands there: whoever asks reads it
        assert bank.bar(xid, within()) is Evidence.BARRED
        branch.close()
        assert number not in rig.accounts
        assert bank.markers(LOG, "", 10, within()) == []

    def test_a_failed_statement_dooms_and_votes_no(self, rig: ParticipantRig) -> None:
        """Also where the user went on; one inside a savepoint does not."""
        bank = rig.participant()
        branch = rig.branch(bank)
        number = rig.add(branch)
        session = branch.session()
        with pytest.raises(IntegrityError):
            with session.begin_nested():
                session.execute(text(rig.adding(number)))
        assert branch.doomed == ""
        with pytest.raises(IntegrityError):
            session.execute(text(rig.adding(number)))
        with pytest.raises(TransactionAborted):
            session.execute(text("SELECT 1"))
        assert branch.doomed
        assert (branch.commit_one_phase([], within())).winner is Decision.ABORT
        branch.close()
        assert number not in rig.accounts

    def test_nothing_more_is_done_once_the_phases_have_begun(self, rig: ParticipantRig) -> None:
        """A late write would succeed, and vanish."""
        bank = rig.participant()
        branch = rig.branch(bank)
        rig.add(branch)
        session, connection = branch.session(), branch.connection()
        branch.commit_one_phase([], within())
        for late in (session, connection):
            with pytest.raises(UsageError, match="TransactionClosed"):
                late.execute(text(rig.adding()))
        branch.close()

    def test_a_reading_branch_writes_nothing(self, rig: ParticipantRig) -> None:
        """It is let go of without a word from the protocol."""
        bank = rig.participant()
        branch = rig.branch(bank, reading=True)
        branch.session().execute(text("SELECT count(*) FROM bank"))
        branch.close()

    def test_rows_are_swept_below_the_floor_of_their_log(self, rig: ParticipantRig) -> None:
        """Some at a time; those of another log stay."""
        bank = rig.participant()
        xids = sorted((rig.xid() for _ in range(5)), key=lambda xid: xid.gtrid)
        for xid in xids:
            bank.bar(xid, within())
        assert bank.sweep("ffffffff", xids[3].gtrid, 10, within()) == 0
        assert bank.sweep(LOG, xids[3].gtrid, 3, within()) == 3
        assert bank.sweep(LOG, xids[3].gtrid, 3, within()) == 1
        assert bank.evidence(xids[3], within()) is Evidence.NONE
        assert bank.evidence(xids[4], within()) is Evidence.BARRED

    def test_what_it_is_stays_the_same(self, rig: ParticipantRig) -> None:
        """For another process too; and the doctor refuses nothing."""
        one, two = rig.participant(), rig.participant()
        facts = one.open(within())
        assert facts == two.open(within())
        assert facts.kind == rig.kind
        assert facts.instance
        assert facts.history
        assert "refused" not in {finding.level for finding in one.doctor(within())}


class PreparingContract(ParticipantContract):
    """What holds, further, on those that can prepare."""

    def test_a_prepared_branch_is_ended_by_anybody(self, rig: ParticipantRig) -> None:
        """Its connection is closed; another process lists and ends it, once; its marker says what became of it."""
        bank, other = rig.participant(), rig.participant()
        for commit in (True, False):
            branch = rig.branch(bank)
            number = rig.add(branch)
            assert (branch.prepare(within())).vote is Vote.YES
            assert number not in rig.accounts
            branch.close()
            [listed] = other.listed(within())
            assert listed.xid == branch.xid
            assert other.finish(listed, commit, within()) is Finish.DONE
            assert other.finish(listed, commit, within()) is Finish.UNKNOWN
            assert other.listed(within()) == []
            assert (number in rig.accounts) is commit
            expected = Evidence.COMMITTED if commit else Evidence.NONE
            assert bank.evidence(branch.xid, within()) is expected

    @pytest.mark.parametrize("commit", [True, False])
    def test_a_branch_ends_as_decided(self, commit: bool, rig: ParticipantRig) -> None:
        """On its own connection, which serves the next one."""
        bank = rig.participant()
        for _ in range(2):
            branch = rig.branch(bank)
            number = rig.add(branch)
            branch.defer(rig.adding())
            assert (branch.prepare(within())).vote is Vote.YES
            assert branch.finish(commit, within()) is Finish.DONE
            assert branch.finish(commit, within()) in (Finish.DONE, Finish.UNKNOWN)
            branch.close()
            assert (number in rig.accounts) is commit
        assert bank.listed(within()) == []

    def test_a_committed_branch_knows_where_its_data_stands(self, rig: ParticipantRig) -> None:
        """In either way to commit; an open one does not."""
        bank = rig.participant()
        for prepares in (True, False):
            branch = rig.branch(bank)
            rig.add(branch)
            assert branch.position() is None
            if prepares:
                assert (branch.prepare(within())).vote is Vote.YES
                assert branch.position() is None
                assert branch.finish(True, within()) is Finish.DONE
            else:
                assert (branch.commit_one_phase([], within())).winner is Decision.COMMIT
            assert branch.position()
            branch.close()

    def test_the_fast_lane_needs_no_session(self, rig: ParticipantRig) -> None:
        """Work, marker and PREPARE in one message; a statement of it that fails is NO."""
        bank = rig.participant()
        branch = rig.branch(bank)
        branch.defer(rig.adding(903))
        assert (branch.prepare(within())).vote is Vote.YES
        assert branch.finish(True, within()) is Finish.DONE
        branch.close()
        assert 903 in rig.accounts
        again = rig.branch(bank)
        again.defer(rig.adding(903))
        assert (again.prepare(within())).vote is Vote.NO
        again.close()
        assert bank.listed(within()) == []

    def test_a_doomed_branch_is_not_prepared(self, rig: ParticipantRig) -> None:
        """Whatever the server would have said."""
        bank = rig.participant()
        branch = rig.branch(bank)
        rig.add(branch)
        branch.session().rollback()
        answered = branch.prepare(within())
        assert answered.vote is Vote.NO
        assert "rolled back" in answered.why
        assert branch.finish(False, within()) is Finish.DONE
        branch.close()
        assert bank.listed(within()) == []

    def test_a_tombstone_waits_for_a_prepared_branch(self, rig: ParticipantRig) -> None:
        """Nobody knows yet what stands there."""
        bank = rig.participant()
        branch = rig.branch(bank)
        rig.add(branch)
        assert (branch.prepare(within())).vote is Vote.YES
        with pytest.raises((DeadlineExceeded, RegionUnavailable)):
            bank.bar(branch.xid, within(1.0))
        assert branch.finish(True, within()) is Finish.DONE
        assert bank.bar(branch.xid, within()) is Evidence.COMMITTED
        branch.close()
