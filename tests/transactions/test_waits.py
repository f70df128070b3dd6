# Generated from test_waits_async.py by scripts/twins.py. Do not edit.
"""What waits for what, and how long: looks at a dead server, the end of a manager, branches whose PREPARE was not answered."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

import pytest

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import Flag, gather, sleep, spawn
from regionkit.core.deadline import Deadline
from regionkit.errors import DeadlineExceeded, RegionKitError, TransactionAborted, TransactionInDoubt, UsageError
from regionkit.transactions.coordinator import Coordinator
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.memory_faults import Faults
from regionkit.transactions.participants.memory import MemoryParticipant
from regionkit.transactions.protocol import Outcome
from regionkit.transactions.recovery import Recovery
from regionkit.transactions.xid import MOST_BRANCHES

from .memory_rig import MemoryRig, write

COORDINATOR, RECOVERY = sys.modules[Coordinator.__module__], sys.modules[Recovery.__module__]


def soon() -> Deadline:
    return Deadline(SYSTEM_CLOCK, 10.0)


def until(done: Any, seconds: float = 20.0) -> None:
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        sleep(0.01)


# -- looks


def test_a_dead_participant_holds_up_nobody_who_does_not_use_it() -> None:
    """And whoever does waits until a deadline of their own."""
    rig = MemoryRig()
    rig.payments.faults.plan("open", "block")
    took: dict[str, float] = {}

    def one(name: str, timeout: float) -> None:
        began = time.monotonic()
        try:
            with rig.tm.begin(timeout=timeout) as tx:
                tx.session(name)
        finally:
            took[f"{name} {timeout:.0f}"] = time.monotonic() - began

    def looker() -> None:
        with pytest.raises(RegionKitError):
            one("payments", 5.0)

    def others() -> None:
        until(lambda: "open" in rig.payments.faults.seen)
        with pytest.raises(DeadlineExceeded, match="looking at participant 'payments'"):
            one("payments", 1.0)
        one("accounts", 3.0)

    for error in gather([looker, others]):
        assert error is None, error
    assert took["payments 1"] < 3.5 < took["payments 5"]
    assert took["accounts 3"] < 3.0


def test_a_run_of_recovery_is_waited_for_until_the_deadline() -> None:
    """One that hangs is not the next one's wait."""
    rig = MemoryRig()
    rig.accounts.faults.plan("open", "block")
    hanging = spawn("recovery", partial(recovered, rig))
    until(lambda: "open" in rig.accounts.faults.seen)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="recovery did not begin"):
        rig.tm.in_doubt(timeout=0.3)
    assert time.monotonic() - began < 3.0
    rig.accounts.faults.release()
    hanging.ended(10.0)
    assert rig.tm.in_doubt(timeout=5.0) == ()


def recovered(rig: MemoryRig) -> None:
    rig.tm.recover(timeout=10.0)


def test_one_branch_too_many_is_refused_before_it_opens() -> None:
    """Not at the decision, when all the others are prepared."""
    rig = MemoryRig()
    many = {f"p{number}": MemoryParticipant(f"p{number}") for number in range(MOST_BRANCHES + 1)}
    tm = TransactionManager(namespace="shop", log=rig.log, participants=many)
    with pytest.raises(UsageError, match="cannot be the branches"):
        with tm.begin() as tx:
            for name in many:
                tx.session(name)
    tm.close()


# -- a PREPARE that was not answered


def test_a_branch_that_may_still_come_is_not_settled_by_its_absence() -> None:
    """Behind a tombstone of its own it cannot come any more."""
    rig = MemoryRig()
    rig.payments.faults.plan("prepare", "late")
    with pytest.raises(TransactionAborted):
        with rig.tm.begin(timeout=5.0, settle=0.3) as tx:
            write(tx)
    assert tx.pending == ("payments",)
    assert tx.wait_settled(5.0)
    assert (tx.outcome, tx.pending) == (Outcome.ABORTED, ())
    rig.payments.faults.release()
    assert (rig.prepared, rig.committed) == ([], [False, False])


def test_it_is_waited_for_where_its_key_is_not_to_be_had() -> None:
    """It may be about to be prepared: nobody says that it has ended."""
    rig = MemoryRig()
    rig.payments.faults.plan("prepare", "late")
    with pytest.raises(TransactionAborted):
        with rig.tm.begin(timeout=5.0, settle=0.3) as tx:
            write(tx)
    rig.payments.faults.plan("bar", *["refuse"] * 9)
    assert not tx.wait_settled(0.3)
    rig.payments.faults.release()
    assert rig.prepared != []
    assert not tx.wait_settled(0.3)
    rig.tm.operator().rollback(tx.gtrid, soon())
    assert tx.wait_settled(5.0)
    assert rig.prepared == []


@pytest.mark.parametrize("commits", [True, False])
def test_one_phase_in_doubt_is_settled_by_its_markers_key(commits: bool) -> None:
    """Nobody but the participant knows of it."""
    rig = MemoryRig()
    rig.payments.faults.plan("commit", "lose" if commits else "late")
    rig.payments.faults.plan("bar", *["refuse"] * 40)
    with pytest.raises(TransactionInDoubt):
        with rig.tm.begin(timeout=5.0, settle=0.1) as tx:
            session = tx.session("payments")
            session["moved"] = 1
    rig.payments.faults.__init__()  # type: ignore[misc]  # all is well again
    assert tx.wait_settled(5.0)
    assert tx.outcome is (Outcome.COMMITTED if commits else Outcome.ABORTED)
    assert rig.committed == [False, commits]


# -- after the decision


def test_calls_for_the_commit_do_not_wait_for_a_branch_that_is_away() -> None:
    """They come once, when it does not answer; not after all the time that it is given."""
    rig = MemoryRig()
    called: list[float] = []
    rig.payments.faults.plan("finish", *["refuse"] * 1000)
    began = time.monotonic()
    with rig.tm.begin(timeout=5.0, settle=4.0) as tx:
        write(tx)
        tx.on_committed(lambda: called.append(time.monotonic() - began))
    assert tx.pending == ("payments",)
    assert len(called) == 1
    assert called[0] < 2.0


def test_without_a_task_for_the_second_phase_it_runs_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread can be had: the branches are ended all the same, and the transaction is not at work for ever."""
    rig = MemoryRig()
    rig.log.beat(30.0, soon())
    monkeypatch.setattr(rig.tm._ground.workers.__class__, "spawn", no_thread)
    tx = rig.transfer(ack="decided")
    assert tx.wait_settled(10.0)
    assert rig.committed == [True, True]
    assert rig.tm.close() == ()


def test_without_a_task_at_all_it_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent."""
    rig = MemoryRig()
    monkeypatch.setattr(rig.tm._ground.workers.__class__, "launch", no_thread)
    with pytest.raises(TransactionAborted, match="could not run") as caught:
        rig.transfer()
    assert (caught.value.committed, caught.value.retryable) == ("no", True)
    assert (rig.committed, rig.prepared) == ([False, False], [])
    monkeypatch.undo()
    rig.transfer()
    assert rig.tm.close() == ()


def no_thread(*_: object) -> None:
    raise RuntimeError("can't start new thread")


# -- the end of a manager


def test_close_waits_for_a_block_that_is_open() -> None:
    """It commits, and the log hears of it."""
    rig = MemoryRig()
    inside, go = Flag(), Flag()

    def block() -> None:
        with rig.tm.begin(timeout=20.0) as tx:
            write(tx)
            inside.set()
            go.wait(20.0)

    def closer() -> None:
        inside.wait(20.0)
        letting = spawn("go", partial(later, go))
        assert rig.tm.close(20.0) == ()
        letting.ended(5.0)

    for error in gather([block, closer]):
        assert error is None, error
    assert rig.committed == [True, True]
    assert all(row.done for row in rig.log.rows_now.values())


def later(flag: Flag) -> None:
    sleep(0.3)
    flag.set()


def test_close_names_a_block_that_stays_open() -> None:
    """Its end rolls back what its connections hold, starts nothing, and opens nothing."""
    rig = MemoryRig()
    rig.transfer()
    for participant in (rig.accounts, rig.payments):
        participant.data.clear()
    with pytest.raises(TransactionAborted, match="closed"):
        with rig.tm.begin(timeout=20.0) as own:
            began = time.monotonic()
            left = rig.tm.close(5.0)  # in the block itself it does not wait for it
            assert (left, time.monotonic() - began < 4.0) == ((own.gtrid,), True)
    rig.tm = rig.manager()
    inside, go = Flag(), Flag()
    seen: list[str] = []
    caught: list[TransactionAborted] = []

    def block() -> None:
        try:
            with rig.tm.begin(timeout=20.0) as tx:
                session = tx.session("accounts")
                session["moved"] = 1
                seen.append(tx.gtrid)
                inside.set()
                go.wait(20.0)
                with pytest.raises(UsageError, match="closed"):
                    tx.session("payments")
        except TransactionAborted as error:
            caught.append(error)

    def closer() -> None:
        inside.wait(20.0)
        assert rig.tm.close(0.2) == tuple(seen)
        rig.log.faults = Faults()
        go.set()

    for error in gather([block, closer]):
        assert error is None, error
    assert "closed" in caught[0].why
    assert not caught[0].retryable
    assert rig.committed == [False, False]
    assert rig.log.faults.seen == []
    assert not rig.tm._ground.supervisor.running


def test_no_job_is_left_behind_by_what_ends_after_close() -> None:
    """A branch that was slow to commit is acknowledged by nobody here; recovery asks its marker."""
    rig = MemoryRig()
    rig.log.beat(30.0, soon())
    rig.payments.faults.plan("finish", "block")
    tx = rig.transfer(ack="decided", settle=30.0)
    assert rig.tm.close(0.1) == (tx.gtrid,)
    rig.payments.faults.release()
    assert tx.wait_settled(10.0)
    assert rig.committed == [True, True]
    assert not rig.tm._ground.supervisor.running
