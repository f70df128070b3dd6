# Generated from participant_contract_async.py by scripts/twins.py. Do not edit.
"""What every participant on SQL passes beside the contract of `regionkit.testing`. The fixture `rig` gives the database."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from regionkit.errors import DeadlineExceeded, RegionUnavailable, TransactionAborted, UsageError
from regionkit.testing import ParticipantContract
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence

from .participant_rigs import LOG, ParticipantRig, within

__all__ = ["PreparingContract", "SqlContract"]


class SqlContract(ParticipantContract):
    """What holds on each of them."""

    def test_one_phase_takes_deferred_statements_along(self, rig: ParticipantRig) -> None:
        """The row, the deferred row and the marker are there together."""
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

    def test_what_stands_under_the_key_is_read_and_not_guessed(self, rig: ParticipantRig) -> None:
        """A COMMIT that a tombstone refused says that it does not know."""
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


class PreparingContract(SqlContract):
    """What holds, further, on those that can prepare."""

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
            assert (
                branch.position() or rig.kind == "mysql"
            )  # which prepares without a binary log only: it has no positions
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
