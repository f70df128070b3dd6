"""What waits for what, and how long: looks at a dead server, the end of a manager, branches whose PREPARE was not answered."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

import pytest

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import AsyncFlag, agather, asleep, spawn_async
from regionkit.core.deadline import Deadline
from regionkit.errors import DeadlineExceeded, RegionKitError, TransactionAborted, TransactionInDoubt, UsageError
from regionkit.transactions.coordinator_async import AsyncCoordinator
from regionkit.transactions.manager_async import AsyncTransactionManager
from regionkit.transactions.memory_faults_async import AsyncFaults
from regionkit.transactions.participants.memory_async import AsyncMemoryParticipant
from regionkit.transactions.protocol import Outcome
from regionkit.transactions.recovery_async import AsyncRecovery
from regionkit.transactions.xid import MOST_BRANCHES

from .memory_rig_async import AsyncMemoryRig, write

COORDINATOR, RECOVERY = sys.modules[AsyncCoordinator.__module__], sys.modules[AsyncRecovery.__module__]


def soon() -> Deadline:
    return Deadline(SYSTEM_CLOCK, 10.0)


async def until(done: Any, seconds: float = 20.0) -> None:
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        await asleep(0.01)


# -- looks


async def test_a_dead_participant_holds_up_nobody_who_does_not_use_it() -> None:
    """And whoever does waits until a deadline of their own."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("open", "block")
    took: dict[str, float] = {}

    async def one(name: str, timeout: float) -> None:
        began = time.monotonic()
        try:
            async with rig.tm.begin(timeout=timeout) as tx:
                await tx.session(name)
        finally:
            took[f"{name} {timeout:.0f}"] = time.monotonic() - began

    async def looker() -> None:
        with pytest.raises(RegionKitError):
            await one("payments", 5.0)

    async def others() -> None:
        await until(lambda: "open" in rig.payments.faults.seen)
        with pytest.raises(DeadlineExceeded, match="looking at participant 'payments'"):
            await one("payments", 1.0)
        await one("accounts", 3.0)

    for error in await agather([looker, others]):
        assert error is None, error
    assert took["payments 1"] < 3.5 < took["payments 5"]
    assert took["accounts 3"] < 3.0


async def test_a_run_of_recovery_is_waited_for_until_the_deadline() -> None:
    """One that hangs is not the next one's wait."""
    rig = AsyncMemoryRig()
    rig.accounts.faults.plan("open", "block")
    hanging = spawn_async("recovery", partial(recovered, rig))
    await until(lambda: "open" in rig.accounts.faults.seen)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="recovery did not begin"):
        await rig.tm.in_doubt(timeout=0.3)
    assert time.monotonic() - began < 3.0
    rig.accounts.faults.release()
    await hanging.ended(10.0)
    assert await rig.tm.in_doubt(timeout=5.0) == ()


async def recovered(rig: AsyncMemoryRig) -> None:
    await rig.tm.recover(timeout=10.0)


async def test_one_branch_too_many_is_refused_before_it_opens() -> None:
    """Not at the decision, when all the others are prepared."""
    rig = AsyncMemoryRig()
    many = {f"p{number}": AsyncMemoryParticipant(f"p{number}") for number in range(MOST_BRANCHES + 1)}
    tm = AsyncTransactionManager(namespace="shop", log=rig.log, participants=many)
    with pytest.raises(UsageError, match="cannot be the branches"):
        async with tm.begin() as tx:
            for name in many:
                await tx.session(name)
    await tm.close()


# -- a PREPARE that was not answered


async def test_a_branch_that_may_still_come_is_not_settled_by_its_absence() -> None:
    """Behind a tombstone of its own it cannot come any more."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("prepare", "late")
    with pytest.raises(TransactionAborted):
        async with rig.tm.begin(timeout=5.0, settle=0.3) as tx:
            await write(tx)
    assert tx.pending == ("payments",)
    assert await tx.wait_settled(5.0)
    assert (tx.outcome, tx.pending) == (Outcome.ABORTED, ())
    rig.payments.faults.release()
    assert (rig.prepared, rig.committed) == ([], [False, False])


async def test_it_is_waited_for_where_its_key_is_not_to_be_had() -> None:
    """It may be about to be prepared: nobody says that it has ended."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("prepare", "late")
    with pytest.raises(TransactionAborted):
        async with rig.tm.begin(timeout=5.0, settle=0.3) as tx:
            await write(tx)
    rig.payments.faults.plan("bar", *["refuse"] * 9)
    assert not await tx.wait_settled(0.3)
    rig.payments.faults.release()
    assert rig.prepared != []
    assert not await tx.wait_settled(0.3)
    await rig.tm.operator().rollback(tx.gtrid, soon())
    assert await tx.wait_settled(5.0)
    assert rig.prepared == []


@pytest.mark.parametrize("commits", [True, False])
async def test_one_phase_in_doubt_is_settled_by_its_markers_key(commits: bool) -> None:
    """Nobody but the participant knows of it."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("commit", "lose" if commits else "late")
    rig.payments.faults.plan("bar", *["refuse"] * 40)
    with pytest.raises(TransactionInDoubt):
        async with rig.tm.begin(timeout=5.0, settle=0.1) as tx:
            session = await tx.session("payments")
            session["moved"] = 1
    rig.payments.faults.__init__()  # type: ignore[misc]  # all is well again
    assert await tx.wait_settled(5.0)
    assert tx.outcome is (Outcome.COMMITTED if commits else Outcome.ABORTED)
    assert rig.committed == [False, commits]


# -- after the decision


async def test_calls_for_the_commit_do_not_wait_for_a_branch_that_is_away() -> None:
    """They come once, when it does not answer; not after all the time that it is given."""
    rig = AsyncMemoryRig()
    called: list[float] = []
    rig.payments.faults.plan("finish", *["refuse"] * 1000)
    began = time.monotonic()
    async with rig.tm.begin(timeout=5.0, settle=4.0) as tx:
        await write(tx)
        tx.on_committed(lambda: called.append(time.monotonic() - began))
    assert tx.pending == ("payments",)
    assert len(called) == 1
    assert called[0] < 2.0


async def test_without_a_task_for_the_second_phase_it_runs_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread can be had: the branches are ended all the same, and the transaction is not at work for ever."""
    rig = AsyncMemoryRig()
    await rig.log.beat(30.0, soon())
    monkeypatch.setattr(rig.tm._ground.workers.__class__, "spawn", no_thread)
    tx = await rig.transfer(ack="decided")
    assert await tx.wait_settled(10.0)
    assert rig.committed == [True, True]
    assert await rig.tm.close() == ()


async def test_without_a_task_at_all_it_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent."""
    rig = AsyncMemoryRig()
    monkeypatch.setattr(rig.tm._ground.workers.__class__, "launch", no_thread)
    with pytest.raises(TransactionAborted, match="could not run") as caught:
        await rig.transfer()
    assert (caught.value.committed, caught.value.retryable) == ("no", True)
    assert (rig.committed, rig.prepared) == ([False, False], [])
    monkeypatch.undo()
    await rig.transfer()
    assert await rig.tm.close() == ()


def no_thread(*_: object) -> None:
    raise RuntimeError("can't start new thread")


# -- the end of a manager


async def test_close_waits_for_a_block_that_is_open() -> None:
    """It commits, and the log hears of it."""
    rig = AsyncMemoryRig()
    inside, go = AsyncFlag(), AsyncFlag()

    async def block() -> None:
        async with rig.tm.begin(timeout=20.0) as tx:
            await write(tx)
            inside.set()
            await go.wait(20.0)

    async def closer() -> None:
        await inside.wait(20.0)
        letting = spawn_async("go", partial(later, go))
        assert await rig.tm.close(20.0) == ()
        await letting.ended(5.0)

    for error in await agather([block, closer]):
        assert error is None, error
    assert rig.committed == [True, True]
    assert all(row.done for row in rig.log.rows_now.values())


async def later(flag: AsyncFlag) -> None:
    await asleep(0.3)
    flag.set()


async def test_close_names_a_block_that_stays_open() -> None:
    """Its end rolls back what its connections hold, starts nothing, and opens nothing."""
    rig = AsyncMemoryRig()
    await rig.transfer()
    for participant in (rig.accounts, rig.payments):
        participant.data.clear()
    with pytest.raises(TransactionAborted, match="closed"):
        async with rig.tm.begin(timeout=20.0) as own:
            began = time.monotonic()
            left = await rig.tm.close(5.0)  # in the block itself it does not wait for it
            assert (left, time.monotonic() - began < 4.0) == ((own.gtrid,), True)
    rig.tm = rig.manager()
    inside, go = AsyncFlag(), AsyncFlag()
    seen: list[str] = []
    caught: list[TransactionAborted] = []

    async def block() -> None:
        try:
            async with rig.tm.begin(timeout=20.0) as tx:
                session = await tx.session("accounts")
                session["moved"] = 1
                seen.append(tx.gtrid)
                inside.set()
                await go.wait(20.0)
                with pytest.raises(UsageError, match="closed"):
                    await tx.session("payments")
        except TransactionAborted as error:
            caught.append(error)

    async def closer() -> None:
        await inside.wait(20.0)
        assert await rig.tm.close(0.2) == tuple(seen)
        rig.log.faults = AsyncFaults()
        go.set()

    for error in await agather([block, closer]):
        assert error is None, error
    assert "closed" in caught[0].why
    assert not caught[0].retryable
    assert rig.committed == [False, False]
    assert rig.log.faults.seen == []
    assert not rig.tm._ground.supervisor.running


async def test_no_job_is_left_behind_by_what_ends_after_close() -> None:
    """A branch that was slow to commit is acknowledged by nobody here; recovery asks its marker."""
    rig = AsyncMemoryRig()
    await rig.log.beat(30.0, soon())
    rig.payments.faults.plan("finish", "block")
    tx = await rig.transfer(ack="decided", settle=30.0)
    assert await rig.tm.close(0.1) == (tx.gtrid,)
    rig.payments.faults.release()
    assert await tx.wait_settled(10.0)
    assert rig.committed == [True, True]
    assert not rig.tm._ground.supervisor.running
