"""The participant in memory: what is prepared outlives a crash, and faults do what they say."""

from __future__ import annotations

import os
import time

import pytest

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionUnavailable, TransactionRolledBack, UsageError
from regionkit.transactions.logs.memory_async import AsyncMemoryDecisionLog
from regionkit.transactions.participants.memory_async import AsyncMemoryParticipant
from regionkit.transactions.participants.participant_async import BranchOptions, Listed
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid, gtrid_of


def xid(branch: str = "a") -> Xid:
    return Xid("shop", "0badcafe", gtrid_of(int(time.time() * 1000), os.urandom(10)), branch, 1)


def soon(timeout: float = 10.0) -> Deadline:
    return Deadline(SYSTEM_CLOCK, timeout)


async def test_a_prepared_branch_outlives_a_crash_and_an_open_one_does_not() -> None:
    """The promise of YES."""
    at = AsyncMemoryParticipant("a", {"n": 1})
    kept, lost = await at.begin(BranchOptions(xid()), soon()), await at.begin(BranchOptions(xid()), soon())
    kept.session()["n"], lost.session()["m"] = 2, 3
    assert (await kept.prepare(soon())).vote is Vote.YES
    at.crash()
    assert (await lost.prepare(soon())).vote is Vote.NO
    assert at.data == {"n": 1}
    [listed] = await at.listed(soon())
    assert await at.finish(listed, True, soon()) is Finish.DONE
    assert await at.finish(listed, True, soon()) is Finish.UNKNOWN
    assert at.data == {"n": 2}
    assert await at.evidence(listed.xid, soon()) is Evidence.COMMITTED
    assert await at.evidence(lost.work.xid, soon()) is Evidence.NONE


async def test_a_prepare_without_an_answer_may_come_late() -> None:
    """A rollback that finds nothing has ended nothing."""
    at = AsyncMemoryParticipant("a")
    branch = await at.begin(BranchOptions(xid()), soon())
    branch.session()["n"] = 1
    at.faults.plan("prepare", "late")
    assert (await branch.prepare(soon())).vote is Vote.UNANSWERED
    assert await branch.finish(False, soon()) is Finish.UNKNOWN
    at.faults.release()
    assert [listed.xid for listed in await at.listed(soon())] == [branch.work.xid]
    assert await branch.finish(False, soon()) is Finish.DONE
    assert at.data == {}


async def test_a_lost_answer_a_refusal_and_a_block() -> None:
    """Each is what its name says."""
    at = AsyncMemoryParticipant("a")
    branch = await at.begin(BranchOptions(xid()), soon())
    branch.session()["n"] = 1
    at.faults.plan("commit", "lose")
    assert (await branch.commit_one_phase((), soon())).winner is None
    assert at.data == {"n": 1}
    branch = await at.begin(BranchOptions(xid()), soon())
    at.faults.plan("prepare", "refuse")
    assert (await branch.prepare(soon())).vote is Vote.NO
    branch = await at.begin(BranchOptions(xid()), soon())
    at.faults.plan("prepare", "block")
    assert (await branch.prepare(soon(0.05))).vote is Vote.UNANSWERED
    at.faults.down = True
    with pytest.raises(RegionUnavailable):
        await at.begin(BranchOptions(xid()), soon())
    assert await at.finish(Listed(branch.work.xid), False, soon()) is Finish.UNREACHED


async def test_a_barred_branch_cannot_commit_in_one_phase() -> None:
    """The tombstone and the marker have one key."""
    at = AsyncMemoryParticipant("a")
    branch = await at.begin(BranchOptions(xid()), soon())
    branch.session()["n"] = 1
    assert await at.bar(branch.work.xid, soon()) is Evidence.BARRED
    assert (await branch.commit_one_phase((), soon())).winner is Decision.ABORT
    assert at.data == {}


async def test_an_anchor_commits_with_the_log_or_not_at_all() -> None:
    """Its decision and its data are one."""
    log = AsyncMemoryDecisionLog()
    at = AsyncMemoryParticipant("a", log=log, prepares=False)
    assert await log.stands_in(at, soon())
    for decided, want in ((False, Decision.COMMIT), (True, Decision.ABORT)):
        name = xid()
        branch = await at.begin(BranchOptions(name), soon())
        branch.session()[name.gtrid] = 1
        if decided:
            await log.decide(name.gtrid, Decision.ABORT, ["a", "b"], "r", soon())
        deciding = log.anchor_statements(name.gtrid, ["a", "b"], "c", "memory")
        assert (await branch.commit_one_phase(deciding, soon())).winner is want
        assert (name.gtrid in at.data) is (want is Decision.COMMIT)
        row = await log.row(name.gtrid, soon())
        assert row is not None
        assert row.decision is want


async def test_two_branches_cannot_write_one_key() -> None:
    """The second one is doomed; reading ones cannot write at all."""
    at = AsyncMemoryParticipant("a")
    one, two = await at.begin(BranchOptions(xid()), soon()), await at.begin(BranchOptions(xid()), soon())
    one.session()["n"] = 1
    with pytest.raises(TransactionRolledBack):
        two.session()["n"] = 2
    assert two.doomed
    assert (await two.prepare(soon())).vote is Vote.NO
    reading = await at.begin(BranchOptions(xid(), reading=True), soon())
    with pytest.raises(UsageError):
        reading.session()["m"] = 1
