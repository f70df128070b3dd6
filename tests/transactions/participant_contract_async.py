"""What every participant on SQL passes beside the contract of `regionkit.testing`. The fixture `rig` gives the database."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from regionkit.errors import DeadlineExceeded, RegionUnavailable, TransactionAborted, UsageError
from regionkit.testing import AsyncParticipantContract
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence

from .participant_rigs_async import LOG, AsyncParticipantRig, within

__all__ = ["AsyncPreparingContract", "AsyncSqlContract"]


class AsyncSqlContract(AsyncParticipantContract):
    """What holds on each of them."""

    async def test_one_phase_takes_deferred_statements_along(self, rig: AsyncParticipantRig) -> None:
        """The row, the deferred row and the marker are there together."""
        bank = await rig.participant()
        branch = await rig.branch(bank)
        number = await rig.add(branch)
        branch.defer(rig.adding(901))
        await branch.session().commit()
        answered = await branch.commit_one_phase([], within())
        assert (answered.winner, branch.torn) == (Decision.COMMIT, "")
        assert {number, 901} <= rig.accounts
        assert await bank.evidence(branch.xid, within()) is Evidence.COMMITTED
        assert await bank.bar(branch.xid, within()) is Evidence.COMMITTED
        [marked] = await bank.markers(LOG, "", 10, within())
        assert (marked.gtrid, marked.branch, marked.phases) == (branch.xid.gtrid, "bank", 1)
        await branch.close()
        await branch.close()

    async def test_an_anchor_decides_in_its_own_commit(self, rig: AsyncParticipantRig) -> None:
        """What the log adds commits with it; where it fails, nothing is there."""
        bank = await rig.participant()
        branch = await rig.branch(bank)
        number = await rig.add(branch)
        assert (await branch.commit_one_phase([rig.adding(902)], within())).winner is Decision.COMMIT
        await branch.close()
        [marked] = await bank.markers(LOG, "", 10, within())
        assert marked.phases == 2
        other = await rig.branch(bank)
        lost = await rig.add(other)
        answered = await other.commit_one_phase([rig.adding(902)], within())
        assert answered.winner is Decision.ABORT
        assert answered.why
        assert await bank.evidence(other.xid, within()) is Evidence.NONE
        assert rig.accounts >= {number, 902}
        assert lost not in rig.accounts
        await other.close()

    async def test_what_stands_under_the_key_is_read_and_not_guessed(self, rig: AsyncParticipantRig) -> None:
        """A COMMIT that a tombstone refused says that it does not know."""
        bank = await rig.participant()
        xid = rig.xid()
        assert await bank.evidence(xid, within()) is Evidence.NONE
        for _ in range(2):
            assert await bank.bar(xid, within()) is Evidence.BARRED
        assert await bank.evidence(xid, within()) is Evidence.BARRED
        branch = await rig.branch(bank, xid)
        number = await rig.add(branch)
        assert (await branch.commit_one_phase([], within())).winner is None  # a row stands there: whoever asks reads it
        assert await bank.bar(xid, within()) is Evidence.BARRED
        await branch.close()
        assert number not in rig.accounts
        assert await bank.markers(LOG, "", 10, within()) == []

    async def test_a_failed_statement_dooms_and_votes_no(self, rig: AsyncParticipantRig) -> None:
        """Also where the user went on; one inside a savepoint does not."""
        bank = await rig.participant()
        branch = await rig.branch(bank)
        number = await rig.add(branch)
        session = branch.session()
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                await session.execute(text(rig.adding(number)))
        assert branch.doomed == ""
        with pytest.raises(IntegrityError):
            await session.execute(text(rig.adding(number)))
        with pytest.raises(TransactionAborted):
            await session.execute(text("SELECT 1"))
        assert branch.doomed
        assert (await branch.commit_one_phase([], within())).winner is Decision.ABORT
        await branch.close()
        assert number not in rig.accounts

    async def test_nothing_more_is_done_once_the_phases_have_begun(self, rig: AsyncParticipantRig) -> None:
        """A late write would succeed, and vanish."""
        bank = await rig.participant()
        branch = await rig.branch(bank)
        await rig.add(branch)
        session, connection = branch.session(), await branch.connection()
        await branch.commit_one_phase([], within())
        for late in (session, connection):
            with pytest.raises(UsageError, match="TransactionClosed"):
                await late.execute(text(rig.adding()))
        await branch.close()

    async def test_a_reading_branch_writes_nothing(self, rig: AsyncParticipantRig) -> None:
        """It is let go of without a word from the protocol."""
        bank = await rig.participant()
        branch = await rig.branch(bank, reading=True)
        await branch.session().execute(text("SELECT count(*) FROM bank"))
        await branch.close()


class AsyncPreparingContract(AsyncSqlContract):
    """What holds, further, on those that can prepare."""

    @pytest.mark.parametrize("commit", [True, False])
    async def test_a_branch_ends_as_decided(self, commit: bool, rig: AsyncParticipantRig) -> None:
        """On its own connection, which serves the next one."""
        bank = await rig.participant()
        for _ in range(2):
            branch = await rig.branch(bank)
            number = await rig.add(branch)
            branch.defer(rig.adding())
            assert (await branch.prepare(within())).vote is Vote.YES
            assert await branch.finish(commit, within()) is Finish.DONE
            assert await branch.finish(commit, within()) in (Finish.DONE, Finish.UNKNOWN)
            await branch.close()
            assert (number in rig.accounts) is commit
        assert await bank.listed(within()) == []

    async def test_a_committed_branch_knows_where_its_data_stands(self, rig: AsyncParticipantRig) -> None:
        """In either way to commit; an open one does not."""
        bank = await rig.participant()
        for prepares in (True, False):
            branch = await rig.branch(bank)
            await rig.add(branch)
            assert await branch.position() is None
            if prepares:
                assert (await branch.prepare(within())).vote is Vote.YES
                assert await branch.position() is None
                assert await branch.finish(True, within()) is Finish.DONE
            else:
                assert (await branch.commit_one_phase([], within())).winner is Decision.COMMIT
            assert (
                await branch.position() or rig.kind == "mysql"
            )  # which prepares without a binary log only: it has no positions
            await branch.close()

    async def test_the_fast_lane_needs_no_session(self, rig: AsyncParticipantRig) -> None:
        """Work, marker and PREPARE in one message; a statement of it that fails is NO."""
        bank = await rig.participant()
        branch = await rig.branch(bank)
        branch.defer(rig.adding(903))
        assert (await branch.prepare(within())).vote is Vote.YES
        assert await branch.finish(True, within()) is Finish.DONE
        await branch.close()
        assert 903 in rig.accounts
        again = await rig.branch(bank)
        again.defer(rig.adding(903))
        assert (await again.prepare(within())).vote is Vote.NO
        await again.close()
        assert await bank.listed(within()) == []

    async def test_a_doomed_branch_is_not_prepared(self, rig: AsyncParticipantRig) -> None:
        """Whatever the server would have said."""
        bank = await rig.participant()
        branch = await rig.branch(bank)
        await rig.add(branch)
        await branch.session().rollback()
        answered = await branch.prepare(within())
        assert answered.vote is Vote.NO
        assert "rolled back" in answered.why
        assert await branch.finish(False, within()) is Finish.DONE
        await branch.close()
        assert await bank.listed(within()) == []

    async def test_a_tombstone_waits_for_a_prepared_branch(self, rig: AsyncParticipantRig) -> None:
        """Nobody knows yet what stands there."""
        bank = await rig.participant()
        branch = await rig.branch(bank)
        await rig.add(branch)
        assert (await branch.prepare(within())).vote is Vote.YES
        with pytest.raises((DeadlineExceeded, RegionUnavailable)):
            await bank.bar(branch.xid, within(1.0))
        assert await branch.finish(True, within()) is Finish.DONE
        assert await bank.bar(branch.xid, within()) is Evidence.COMMITTED
        await branch.close()
