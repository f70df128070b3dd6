"""A transaction over participants in memory: what its block raises, what it leaves, and who may use it how."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import asleep, spawn_async
from regionkit.core.deadline import Deadline
from regionkit.core.events import set_crash_hook
from regionkit.errors import (
    ConfigurationError,
    HeuristicOutcome,
    RegionKitError,
    RegionUnavailable,
    TransactionAborted,
    TransactionInDoubt,
    TransactionRolledBack,
    UsageError,
)
from regionkit.transactions.events import (
    AbortDecided,
    AcknowledgeFailed,
    CallbackFailed,
    CommitDecided,
    CommitFoundOut,
    HazardMet,
    LeftInDoubt,
)
from regionkit.transactions.ground_async import AsyncGround
from regionkit.transactions.manager_async import AsyncTransactionManager
from regionkit.transactions.memory_faults_async import AsyncFaults
from regionkit.transactions.participants.memory_async import AsyncMemoryParticipant
from regionkit.transactions.participants.participant_async import BranchOptions
from regionkit.transactions.points import POINTS
from regionkit.transactions.protocol import Decision, Outcome
from regionkit.transactions.xid import Xid

from .memory_rig_async import AsyncMemoryRig, write

GROUND = sys.modules[AsyncGround.__module__]
Hooked = Callable[[dict[str, Callable[[], object]]], list[str]]


@pytest.fixture
def at_points() -> Iterator[Hooked]:
    """Do something, once, when the code is at a named point; the points passed, in order."""
    passed: list[str] = []

    def hooked(acts: dict[str, Callable[[], object]]) -> list[str]:
        waiting = dict(acts)

        def hook(point: str) -> None:
            passed.append(point)
            act = waiting.pop(point, None)
            if act is not None:
                act()

        set_crash_hook(hook)
        return passed

    yield hooked
    set_crash_hook(None)


def soon() -> Deadline:
    return Deadline(SYSTEM_CLOCK, 10.0)


# -- what commits


@pytest.mark.parametrize(("anchored", "prepares"), [(False, True), (True, True), (True, False)])
async def test_both_or_none(anchored: bool, prepares: bool) -> None:
    """Both commit, the decision stands, the log hears of it, and no branch is left."""
    rig = AsyncMemoryRig(anchored=anchored, prepares=prepares)
    tx = await rig.transfer()
    assert (tx.outcome, tx.pending, rig.committed, rig.prepared) == (Outcome.COMMITTED, (), [True, True], [])
    assert rig.payments.faults.seen.count("prepare") == (0 if anchored else 1)
    assert rig.log.faults.seen.count("decide") == (0 if anchored else 1)
    assert [event.pending for event in rig.seen(CommitDecided)] == [()]  # type: ignore[attr-defined]
    assert await rig.tm.close() == ()
    [row] = rig.log.rows_now.values()
    assert (row.decision, row.done) == (Decision.COMMIT, True)
    assert row.branches == {"accounts": rig.accounts.history, "payments": rig.payments.history}


async def test_what_does_not_write_needs_no_decision() -> None:
    """Nothing, reading branches, and one that writes: no row; the writing one under its marker."""
    rig = AsyncMemoryRig()
    async with rig.tm.begin() as tx:
        pass
    assert tx.outcome is Outcome.COMMITTED
    async with rig.tm.begin() as tx:
        assert len(await tx.session("accounts", read_only=True)) == 0
    async with rig.tm.begin() as tx:
        session = await tx.session("accounts")
        session["moved"] = 1
        assert len(await tx.session("payments", read_only=True)) == 0
    assert rig.committed == [True, False]
    assert rig.decisions == []
    assert [marked.phases for marked in await rig.accounts.markers(await log_id(rig), "", 9, soon())] == [1]


async def log_id(rig: AsyncMemoryRig) -> str:
    return (await rig.log.open("shop", soon())).id


async def test_deferred_work_goes_with_prepare() -> None:
    """`tx.defer`."""
    rig = AsyncMemoryRig()
    async with rig.tm.begin() as tx:
        await tx.defer("accounts", "moved=1")
        await tx.defer("payments", "moved=1")
    assert rig.committed == [True, True]


# -- what the block raises


async def test_what_the_block_raises_is_raised_on() -> None:
    """As it is, and nothing is left: no draft, no lock, no prepared branch, no row."""
    rig = AsyncMemoryRig()
    with pytest.raises(ZeroDivisionError):
        async with rig.tm.begin() as tx:
            await write(tx)
            _ = 1 / 0
    assert (tx.outcome, rig.committed, rig.prepared, rig.decisions) == (Outcome.ABORTED, [False, False], [], [])
    [event] = rig.seen(AbortDecided)
    assert "ZeroDivisionError" in event.why  # type: ignore[attr-defined]
    await rig.transfer()  # its keys are free
    assert rig.committed == [True, True]


async def test_a_vote_no_rolls_all_back() -> None:
    """TransactionAborted says that nothing committed and that it may be run again, and why."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("prepare", "refuse")
    with pytest.raises(TransactionAborted, match="payments did not prepare") as caught:
        await rig.transfer()
    assert (caught.value.committed, caught.value.retryable) == ("no", True)
    assert (rig.committed, rig.prepared, rig.decisions) == ([False, False], [], [])


@pytest.mark.parametrize(("fault", "left"), [("lose", 0), ("late", 1)])
async def test_a_prepare_without_an_answer(fault: Any, left: int) -> None:
    """Aborted under a tombstone; one that may still come is pending, and stays named."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("prepare", fault)
    with pytest.raises(TransactionAborted) as caught:
        await rig.transfer()
    assert caught.value.pending == ("payments",) * left  # type: ignore[attr-defined]
    assert (rig.committed, rig.decisions) == ([False, False], ["ABORT"])
    rig.payments.faults.release()
    assert len(rig.prepared) == left


async def test_a_branch_whose_statement_failed_cannot_commit() -> None:
    """Caught or not: the error was the branch's end."""
    rig = AsyncMemoryRig()
    async with rig.tm.begin() as other:
        await write(other)
        with pytest.raises(TransactionAborted, match="locked"):
            async with rig.manager().begin() as tx:
                session = await tx.session("payments")
                with pytest.raises(TransactionRolledBack):
                    session["moved"] = 2
    assert rig.payments.data["moved"] == other.gtrid


@pytest.mark.parametrize("fault", ["refuse", "lose"])
async def test_a_branch_that_did_not_open_is_not_left_out(fault: Any) -> None:
    """The block caught the error and went on: it would commit in part."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("begin", fault)
    with pytest.raises(TransactionAborted, match="'payments' did not open") as caught:
        async with rig.tm.begin() as tx:
            (await tx.session("accounts"))["moved"] = tx.gtrid
            with contextlib.suppress(Exception):
                await tx.session("payments")
    assert caught.value.retryable
    assert (rig.committed, rig.decisions) == ([False, False], [])


async def test_a_branch_that_opened_in_the_end_is_not_lacking() -> None:
    """The block asked again; or what asked for it was a reader, or a mistake."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("begin", "refuse")
    async with rig.tm.begin() as tx:
        with pytest.raises(RegionKitError):
            await tx.session("payments", read_only=True)
        (await tx.session("accounts"))["moved"] = tx.gtrid
    assert rig.committed == [True, False]
    rig.payments.faults.plan("begin", "refuse", "refuse")
    async with rig.tm.begin() as tx:
        for refused in ({"read_only": True}, {}):
            with pytest.raises(RegionKitError):
                await tx.session("payments", **refused)
        with pytest.raises(UsageError, match="no participant"):
            await tx.session("payment")
        await write(tx)
    assert rig.committed == [True, True]


async def test_doomed() -> None:
    """It works on, and does not commit; running it again would end so again."""
    rig = AsyncMemoryRig()
    with pytest.raises(TransactionAborted, match="no stock") as caught:
        async with rig.tm.begin() as tx:
            tx.doom("no stock")
            await write(tx)
    assert not caught.value.retryable
    assert rig.committed == [False, False]


async def test_the_deadline_is_to_the_decision() -> None:
    """A branch that hangs in PREPARE: rolled back at the time-out, not later than the branches' time after it."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("prepare", "block")
    began = time.monotonic()
    with pytest.raises(TransactionAborted) as caught:
        await rig.transfer(timeout=0.3, settle=0.5)
    assert 0.3 <= time.monotonic() - began < 5.0
    assert caught.value.pending == ("payments",)  # type: ignore[attr-defined]
    assert rig.committed == [False, False]


async def test_a_deadline_that_passed_in_the_block() -> None:
    """Nothing is sent any more."""
    rig = AsyncMemoryRig()
    with pytest.raises(TransactionAborted):
        async with rig.tm.begin(timeout=0.05) as tx:
            await write(tx)
            time.sleep(0.1)
    assert (rig.committed, rig.prepared) == ([False, False], [])


# -- the decision


async def test_a_log_that_was_not_reached() -> None:
    """COMMIT was never sent, so it is an abort, for sure, though the log could not be informed."""
    rig = AsyncMemoryRig()
    await rig.transfer()
    rig.log.faults.plan("decide", "refuse", "refuse")
    with pytest.raises(TransactionAborted, match="log was not reached"):
        await rig.transfer()
    assert (rig.prepared, rig.decisions) == ([], ["COMMIT"])


@pytest.mark.parametrize(("fault", "outcome"), [("lose", Outcome.COMMITTED), ("late", Outcome.ABORTED)])
async def test_a_decision_without_an_answer(fault: Any, outcome: Outcome) -> None:
    """The coordinator's own tombstone finds it out: it loses to a COMMIT that stands, and bars one that comes late."""
    rig = AsyncMemoryRig()
    rig.log.faults.plan("decide", fault)
    if outcome is Outcome.COMMITTED:
        assert (await rig.transfer()).outcome is outcome
    else:
        with pytest.raises(TransactionAborted):
            await rig.transfer()
    rig.log.faults.release()
    done = outcome is Outcome.COMMITTED
    assert (rig.committed, rig.prepared) == ([done, done], [])
    assert rig.decisions == ["COMMIT" if done else "ABORT"]


async def test_a_log_that_goes_silent_leaves_it_in_doubt(at_points: Hooked) -> None:
    """Nobody guesses: both stay prepared, and the error says unknown. Later the log tells."""
    rig = AsyncMemoryRig()
    rig.log.faults.plan("decide", "lose")

    def silent() -> None:
        rig.log.faults.down = True

    at_points({"tpc.bar.before": silent})
    with pytest.raises(TransactionInDoubt) as caught:
        async with rig.tm.begin(timeout=2.0, settle=0.3) as tx:
            await write(tx)
    assert (caught.value.committed, caught.value.retryable) == ("unknown", False)
    assert tx.outcome is Outcome.IN_DOUBT
    assert tx.pending == ("accounts", "payments")
    assert len(rig.prepared) == 2
    assert len(rig.seen(LeftInDoubt)) == 1
    with pytest.raises(RegionUnavailable):
        await tx.wait_settled(0.2)
    rig.log.faults.down = False
    assert not await tx.wait_settled(0.2)
    assert tx.outcome is Outcome.COMMITTED  # as the log says
    assert tx.pending == ("accounts", "payments")


@pytest.mark.parametrize("commits", [True, False])
async def test_one_phase_in_doubt_is_settled_at_its_participant(commits: bool, at_points: Hooked) -> None:
    """The log knows nothing of it: the marker's key says what became of it, and bars what has not come yet."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("commit", "lose" if commits else "block")

    def away() -> None:
        rig.payments.faults.down = True

    at_points({"tpc.bar.before": away})
    with pytest.raises(TransactionInDoubt):
        async with rig.tm.begin(timeout=0.5, settle=0.3) as tx:
            (await tx.session("payments"))["moved"] = tx.gtrid
    assert tx.pending == ("payments",)
    with pytest.raises(RegionUnavailable):
        await tx.wait_settled(0.2)
    assert tx.outcome is Outcome.IN_DOUBT
    rig.payments.faults.down = False
    assert await tx.wait_settled(5.0)
    assert (tx.outcome, tx.pending) == (Outcome.COMMITTED if commits else Outcome.ABORTED, ())
    rig.payments.faults.release()
    assert ("moved" in rig.payments.data) is commits


@pytest.mark.parametrize("commits", [True, False])
async def test_recovery_finds_out_what_became_of_one_phase(commits: bool, at_points: Hooked) -> None:
    """While its participant is away it is shown; who only looks bars nothing; then it is told, once, and is no doubt any more."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("commit", "lose" if commits else "block")

    def away() -> None:
        rig.payments.faults.down = True

    at_points({"tpc.bar.before": away})
    with pytest.raises(TransactionInDoubt):
        async with rig.tm.begin(timeout=0.5, settle=0.3) as tx:
            (await tx.session("payments"))["moved"] = tx.gtrid
    report = await rig.tm.recover()
    [shown] = report.in_doubt
    assert (shown.gtrid, shown.decision, [b.state for b in shown.branches]) == (tx.gtrid, "none", ["unreachable"])
    assert not report.clean and tx.outcome is Outcome.IN_DOUBT
    rig.payments.faults.down = False
    looked = await rig.tm.in_doubt()
    assert [(one.gtrid, one.branches[0].state) for one in looked] == ([] if commits else [(tx.gtrid, "unknown")])
    report = await rig.tm.recover()
    assert report.settled == ({} if commits else {tx.gtrid: "ABORT"})
    assert report.clean
    assert (tx.outcome, tx.pending) == (Outcome.COMMITTED if commits else Outcome.ABORTED, ())
    assert await tx.wait_settled(5.0)
    rig.payments.faults.release()
    assert ("moved" in rig.payments.data) is commits
    found = rig.seen(CommitFoundOut)
    assert [(one.gtrid, one.branch, one.committed) for one in found] == [(tx.gtrid, "payments", commits)]
    assert (await rig.tm.recover()).settled == {}


async def test_a_coordinator_that_fails_itself(at_points: Hooked) -> None:
    """As if it had died: nothing is ended, the error is no guess and has the cause, and recovery may act."""

    def fail() -> None:
        raise LookupError("a bug")

    rig = AsyncMemoryRig()
    at_points({"tpc.decide.before": fail})
    with pytest.raises(TransactionInDoubt) as caught:
        await rig.transfer()
    assert isinstance(caught.value.__cause__, LookupError)
    assert caught.value.pending == ("accounts", "payments")  # type: ignore[attr-defined]
    assert (len(rig.prepared), rig.decisions) == (2, [])
    for point, left in (("tpc.decided", 2), ("tpc.commit.last.before", 1)):  # what is decided is decided
        rig = AsyncMemoryRig()
        at_points({point: fail})
        tx = await rig.transfer()
        assert (tx.outcome, rig.decisions) == (Outcome.COMMITTED, ["COMMIT"])
        assert len(rig.prepared) == left
        assert "payments" in tx.pending
        assert not await tx.wait_settled(0.2)
    assert len(rig.seen(LeftInDoubt)) == 1
    assert await rig.tm.close() == ()


async def test_a_recoverer_was_faster(at_points: Hooked) -> None:
    """A coordinator that was frozen before its decision meets the tombstone."""
    rig = AsyncMemoryRig()

    def barred() -> None:
        [gtrid] = {work.xid.gtrid for work in rig.accounts.prepared.values()}
        rig.log.put(gtrid, Decision.ABORT, [], "recovery")

    at_points({"tpc.decide.before": barred})
    with pytest.raises(TransactionAborted, match="abandoned"):
        await rig.transfer()
    assert (rig.committed, rig.prepared) == ([False, False], [])


async def test_an_anchor_that_was_barred(at_points: Hooked) -> None:
    """The same where the decision is the anchor's own COMMIT."""
    rig = AsyncMemoryRig(anchored=True)

    def barred() -> None:
        [gtrid] = {work.xid.gtrid for work in rig.accounts.prepared.values()}
        rig.log.put(gtrid, Decision.ABORT, [], "recovery")

    at_points({"tpc.anchor.before": barred})
    with pytest.raises(TransactionAborted, match="another decision"):
        await rig.transfer()
    assert (rig.committed, rig.prepared) == ([False, False], [])


@pytest.mark.parametrize("anchored", [True, False])
@pytest.mark.parametrize(("fault", "commits"), [("lose", True), ("late", False)])
async def test_an_own_commit_without_an_answer(fault: Any, commits: bool, anchored: bool) -> None:
    """Of the anchor, the log says it; of a branch alone its marker's key: what comes late is refused by it."""
    rig = AsyncMemoryRig(anchored=True)
    rig.payments.faults.plan("commit", fault)
    names = ("accounts", "payments") if anchored else ("payments",)
    caught: TransactionAborted | None = None
    try:
        async with rig.tm.begin(timeout=5.0, settle=1.0) as tx:
            for name in names:
                session = await tx.session(name)
                session["moved"] = 1
    except TransactionAborted as error:
        caught = error
    rig.payments.faults.release()
    assert (caught is None) is commits
    assert rig.committed == [commits and anchored, commits]
    assert rig.prepared == []


# -- after the decision


async def test_an_acknowledgement_that_was_lost() -> None:
    """COMMIT happened; asked again there is no such branch, and its marker says why."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("finish", "lose")
    tx = await rig.transfer()
    assert (tx.outcome, tx.pending, rig.committed) == (Outcome.COMMITTED, (), [True, True])
    await rig.tm.close()
    assert [row.done for row in rig.log.rows_now.values()] == [True]


async def test_a_participant_that_is_away_is_pending(at_points: Hooked) -> None:
    """The block ends well, says what is left, and nobody rolls back; its row is not done. Later it has settled."""
    rig = AsyncMemoryRig()

    def away() -> None:
        rig.payments.faults.down = True

    at_points({"tpc.decided": away})
    tx = await rig.transfer(settle=0.3)
    assert (tx.outcome, tx.pending) == (Outcome.COMMITTED, ("payments",))
    assert rig.committed == [True, False]
    rig.payments.faults.down = False
    assert not await tx.wait_settled(0.2)
    await rig.tm.close()
    [row] = rig.log.rows_now.values()
    assert not row.done
    [work] = rig.payments.prepared.values()
    rig.payments.end(work.xid, commit=True)  # as recovery does
    await rig.log.acknowledge({tx.gtrid: {"payments": rig.payments.history}}, soon())
    assert await tx.wait_settled(5.0)
    assert tx.pending == ()


async def test_a_branch_that_was_ended_by_hand(at_points: Hooked) -> None:
    """A HAZARD: kept in the log, an event, and an error that is none of the others."""
    rig = AsyncMemoryRig()

    def by_hand() -> None:
        [work] = rig.payments.prepared.values()
        rig.payments.end(work.xid, commit=False)

    at_points({"tpc.decided": by_hand})
    with pytest.raises(HeuristicOutcome, match="neither prepared nor committed"):
        await rig.transfer(settle=0.3)
    assert rig.committed == [True, False]
    assert len(rig.seen(HazardMet)) == 1
    await rig.tm.close()
    [row] = rig.log.rows_now.values()
    assert set(row.hazards) == {"payments"}
    assert not row.done


async def test_acknowledgements_wait_for_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails is an event, and is told again."""
    monkeypatch.setattr(GROUND, "ACKNOWLEDGE_EVERY", 0.05)
    rig = AsyncMemoryRig()
    rig.log.faults.plan("acknowledge", "refuse")
    await rig.transfer()
    while not rig.seen(AcknowledgeFailed):
        await rig.transfer()
    await rig.tm.close()
    assert all(row.done for row in rig.log.rows_now.values())


async def test_callbacks() -> None:
    """After the decision, after the end; one that raises is an event, and nothing else."""
    rig = AsyncMemoryRig()
    told: list[object] = []

    def broken() -> None:
        raise ValueError("no mail")

    async def mail() -> None:
        told.append(rig.decisions)

    async with rig.tm.begin() as tx:
        tx.on_committed(broken)
        tx.on_committed(mail)
        tx.on_completed(told.append)
        await write(tx)
        assert told == []
    assert await tx.wait_settled(5.0)
    assert told == [["COMMIT"], Outcome.COMMITTED]
    assert len(rig.seen(CallbackFailed)) == 1
    with pytest.raises(ZeroDivisionError):
        async with rig.tm.begin() as tx:
            tx.on_committed(mail)
            tx.on_completed(told.append)
            _ = 1 / 0
    assert told[2:] == [Outcome.ABORTED]


async def test_decided_is_enough_where_somebody_recovers() -> None:
    """Without a heartbeat it is refused; with one the block ends while a branch is still being told."""
    rig = AsyncMemoryRig()
    with pytest.raises(ConfigurationError, match="recoverer"):
        await rig.transfer(ack="decided")
    await rig.log.beat(30.0, soon())
    rig.payments.faults.plan("finish", "block")
    tx = await rig.transfer(ack="decided", settle=30.0)
    assert tx.outcome is Outcome.COMMITTED
    assert rig.committed[1] is False
    assert not await tx.wait_settled(0.2)
    rig.payments.faults.release()
    assert await tx.wait_settled(10.0)
    assert rig.committed == [True, True]


async def test_what_was_read_is_held_till_the_decision() -> None:
    """And no longer: a branch that is slow to commit does not keep a reader's snapshot open."""
    rig = AsyncMemoryRig()
    closed: list[str] = []
    reports = AsyncMemoryParticipant("reports")
    begin = reports.begin

    async def begun(*given: Any) -> Any:
        branch = await begin(*given)
        branch.close = closing  # type: ignore[method-assign]
        return branch

    async def closing() -> None:
        closed.extend(rig.decisions)

    reports.begin = begun  # type: ignore[method-assign]
    three = {"accounts": rig.accounts, "payments": rig.payments, "reports": reports}
    tm = AsyncTransactionManager(namespace="shop", log=rig.log, participants=three)
    await rig.log.beat(30.0, soon())
    rig.payments.faults.plan("finish", "block")
    async with tm.begin(settle=30.0, ack="decided") as tx:
        await tx.session("reports", read_only=True)
        await write(tx)
    while not closed:
        await asleep(0.01)
    assert closed == ["COMMIT"]
    assert rig.committed[1] is False
    rig.payments.faults.release()
    assert await tx.wait_settled(10.0)


async def test_close_lets_end_what_is_under_way() -> None:
    """Within its bound; what does not is named, and left to recovery."""
    rig = AsyncMemoryRig()
    await rig.log.beat(30.0, soon())
    for within, ends in ((20.0, True), (0.1, False)):
        tm = rig.manager()
        rig.payments.faults = AsyncFaults()
        rig.payments.faults.plan("finish", "block")
        tx = await rig.transfer(tm, ack="decided", settle=30.0)
        if ends:
            spawn_async("release", partial(released, rig))
        assert await tm.close(within) == (() if ends else (tx.gtrid,))
        rig.payments.faults.release()
        assert await tx.wait_settled(10.0)


async def released(rig: AsyncMemoryRig) -> None:
    await asleep(0.2)
    rig.payments.faults.release()


# -- run again


async def test_run() -> None:
    """After an abort that may do better, in all within its time; what it gives is the run's that committed."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("prepare", "refuse", "refuse")
    runs: list[str] = []

    async def transfer(tx: Any) -> int:
        runs.append(tx.gtrid)
        await write(tx)
        return len(runs)

    assert await rig.tm.run(transfer) == 3
    assert len(set(runs)) == 3
    rig.payments.faults.plan("prepare", *["refuse"] * 9)  # type: ignore[list-item]
    with pytest.raises(TransactionAborted):
        await rig.tm.run(transfer)
    assert len(runs) == 6

    async def broken(tx: Any) -> None:
        runs.append(tx.gtrid)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await rig.tm.run(broken)
    assert len(runs) == 7


# -- how it is used


async def test_wrong_uses_are_told() -> None:
    """Each an error of its own, and none of them ends the transaction that is under way."""
    rig = AsyncMemoryRig()
    assert rig.tm.current is None
    async with rig.tm.begin() as tx:
        assert rig.tm.current is tx
        with pytest.raises(UsageError, match="did you mean 'payments'"):
            await tx.session("paymets")
        with pytest.raises(UsageError, match="inside of another"):
            async with rig.tm.begin():
                pass
        with pytest.raises(UsageError, match="twice"):
            await tx.__aenter__()
        await tx.session("accounts", read_only=True)
        with pytest.raises(UsageError, match="writing one"):
            await tx.session("accounts")
        await tx.session("payments")
        with pytest.raises(UsageError, match="reading one"):
            await tx.session("payments", read_only=True)
        assert await tx.session("payments") is await tx.session("payments")
        assert await tx.session("payments") is await tx.connection("payments")
    assert rig.tm.current is None
    for use in (tx.session, tx.connection):
        with pytest.raises(UsageError, match="over"):
            await use("payments")
    with pytest.raises(UsageError, match="over"):
        tx.doom()
    with pytest.raises(UsageError, match="has not begun"):
        rig.tm.begin().on_committed(print)
    odd: tuple[dict[str, Any], ...] = ({"timeout": "5"}, {"timeout": True}, {"settle": None}, {"settle": True})
    for wrong in ({"timeout": 0.0}, {"timeout": 4000.0}, {"settle": 0.0}, {"ack": "never"}, *odd):
        with pytest.raises(UsageError):
            rig.tm.begin(**wrong)
    assert await rig.tm.close() == ()
    assert await rig.tm.close() == ()
    with pytest.raises(UsageError, match="closed"):
        rig.tm.begin()


def test_wrong_managers_are_told() -> None:
    """Names that no server takes, one database twice, a participant of another name."""
    rig = AsyncMemoryRig()
    given: list[tuple[str, dict[str, Any]]] = [
        ("shop'; --", {"accounts": rig.accounts}),
        ("a" * 23, {"accounts": rig.accounts}),
        ("shop", {"Accounts": rig.accounts}),
        ("shop", {"accounts": rig.accounts, "again": rig.accounts}),
        ("shop", {"orders": rig.accounts}),
        ("shop", {"orders": (rig, "a"), "again": (rig, "a")}),
    ]
    for namespace, participants in given:
        with pytest.raises(ConfigurationError):
            AsyncTransactionManager(namespace=namespace, log=rig.log, participants=participants)


async def test_what_cannot_prepare_is_alone_or_the_anchor() -> None:
    """Refused when the branch is opened, not when it commits."""
    rig = AsyncMemoryRig(prepares=False)  # the log is elsewhere
    async with rig.tm.begin() as tx:
        await tx.session("accounts")
        with pytest.raises(UsageError, match="log is in another database"):
            await tx.session("payments")
        await tx.session("payments", read_only=True)
    both = {name: AsyncMemoryParticipant(name, log=rig.log, prepares=False) for name in ("a", "b")}
    tm = AsyncTransactionManager(namespace="shop", log=rig.log, participants={**both})
    async with tm.begin() as tx:
        await tx.session("a")
        with pytest.raises(UsageError, match="only one of all"):
            await tx.session("b")


async def test_another_server_under_the_name_is_refused() -> None:
    """A copy's branches are not the original's."""
    rig = AsyncMemoryRig()
    await rig.transfer()
    rig.accounts = AsyncMemoryParticipant("accounts")
    with pytest.raises(ConfigurationError, match="another server or database"):
        await rig.transfer(rig.manager())


async def test_a_log_of_another_history_is_refused() -> None:
    """Its decisions may be missing."""
    rig = AsyncMemoryRig()
    rig.log.history = "another"
    with pytest.raises(ConfigurationError, match="history"):
        await rig.transfer()
    await rig.log.adopt(soon())
    await rig.transfer()


async def test_too_many_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others have left counts too; none begins until some have ended."""
    monkeypatch.setattr(GROUND, "MOST_IN_DOUBT", 2)
    monkeypatch.setattr(GROUND, "LOOK_AGAIN", 0.0)
    rig = AsyncMemoryRig()
    id = await log_id(rig)
    tx = await rig.transfer()
    [done] = rig.log.rows_now
    assert done == tx.gtrid
    works = []
    for number in range(2):
        xid = Xid("shop", id, f"{number:032x}", "accounts", 0)
        works.append(xid)
        branch = await rig.accounts.begin(BranchOptions(xid), soon())
        branch.session()[f"k{number}"] = 1
        await branch.prepare(soon())
    tm = rig.manager()
    await rig.transfer(tm)  # it does not know yet
    with pytest.raises(TransactionInDoubt, match="no new one") as caught:
        await rig.transfer(tm)
    assert (caught.value.committed, caught.value.retryable) == ("no", True)
    rig.accounts.end(works[0], commit=False)
    rig.payments.faults.plan("prepare", "late")
    with pytest.raises(TransactionAborted):
        await rig.transfer(tm)
    rig.payments.faults.release()
    with pytest.raises(TransactionInDoubt, match="no new one"):  # its own count, too
        await rig.transfer(tm)
    rig.accounts.end(works[1], commit=False)
    async with tm.begin():
        pass


async def test_every_point_is_passed(at_points: Hooked) -> None:
    """The points where kill tests strike are there, and no other."""
    passed = at_points({})
    for anchored in (True, False):
        rig = AsyncMemoryRig(anchored=anchored)
        await rig.transfer()
        async with rig.tm.begin() as tx:
            session = await tx.session("accounts")
            session["alone"] = 1
        rig.log.faults.plan("decide", "lose")
        await rig.transfer()
        with pytest.raises(ZeroDivisionError):
            async with rig.tm.begin() as tx:
                await write(tx)
                _ = 1 / 0
        await rig.tm.close()
    assert set(passed) == set(POINTS)
    assert len(POINTS) == len(set(POINTS)) >= 25


@pytest.mark.parametrize("wrong", [{"namespace": 5}, {"log": None}, {"log": "sqlite://"}])
def test_odd_arguments_are_refused_at_once(wrong: dict[str, Any]) -> None:
    """Not at the first transaction."""
    rig = AsyncMemoryRig()
    with pytest.raises(ConfigurationError):
        AsyncTransactionManager(**{"namespace": "shop", "log": rig.log, "participants": {}, **wrong})
