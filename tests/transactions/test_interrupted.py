"""Whoever waits for a transaction is stopped at any instant: a task cancelled, the main thread struck, a process forked."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from regionkit.core.events import set_crash_hook
from regionkit.errors import UsageError
from regionkit.transactions.points import POINTS
from regionkit.transactions.protocol import Outcome
from regionkit.transactions.transaction_async import AsyncTransaction

from .memory_rig import MemoryRig
from .memory_rig_async import AsyncMemoryRig

ALWAYS = [point for point in POINTS if "rollback" not in point and "bar" not in point and "acknowledge" not in point]
LONGEST = 400
"""Turns of the loop that a transaction here takes at most."""


@pytest.fixture(autouse=True)
def _no_hook() -> Iterator[None]:
    yield
    set_crash_hook(None)


async def over(rig: AsyncMemoryRig) -> None:
    """Until no coordinator is at work."""
    async with asyncio.timeout(30):
        while rig.tm._ground.coordinators:
            await asyncio.sleep(0.002)


def whole(rig: AsyncMemoryRig | MemoryRig) -> bool:
    """All or none, and nothing is left; whether it is all."""
    assert rig.prepared == []
    assert rig.committed in ([True, True], [False, False])
    assert not rig.accounts._locked
    return rig.committed[0]


@pytest.mark.parametrize("anchored", [False, True])
@pytest.mark.parametrize("point", ALWAYS)
async def test_cancelled_at_a_point(point: str, anchored: bool) -> None:
    """All or none; the error says which, once it is known, and the caller does not wait for it."""
    rig = AsyncMemoryRig(anchored=anchored)
    task = asyncio.create_task(rig.transfer())
    passed: list[str] = []

    def hook(at: str) -> None:
        if at == point and not passed:
            passed.append(at)
            task.cancel()

    set_crash_hook(hook)
    try:
        await task
    except asyncio.CancelledError as error:
        tx = getattr(error, "transaction", None)
        await over(rig)
        committed = whole(rig)
        if tx is not None:
            assert tx.outcome is (Outcome.COMMITTED if committed else Outcome.ABORTED)
            assert tx.gtrid in error.__notes__[0]
        else:
            assert not committed
    else:
        assert whole(rig)
        assert not passed or point in ("tpc.ended", "tpc.commit.last.after")
    if POINTS.index(point) > POINTS.index("tpc.decided"):
        assert whole(rig)


async def test_cancelled_at_every_turn_of_the_loop() -> None:
    """Wherever the await is: no half, nothing left behind, the next transaction begins."""
    seen = {True: 0, False: 0}
    for turns in range(LONGEST):
        rig = AsyncMemoryRig()
        rig.log.faults.plan("acknowledge", "refuse")
        task = asyncio.create_task(rig.transfer())
        for _ in range(turns):
            await asyncio.sleep(0)
        done = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await over(rig)
        seen[whole(rig)] += 1
        assert not rig.tm._ground.begun
        if done:
            break
    assert min(seen.values()) > 3, seen


async def test_a_caller_does_not_wait_for_a_frozen_branch() -> None:
    """`asyncio.timeout` around the block: over in time, and the coordinator ends what it has begun."""
    rig = AsyncMemoryRig()
    rig.payments.faults.plan("prepare", "block")
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await rig.transfer(timeout=20.0, settle=10.0)
    assert time.monotonic() - began < 5.0
    rig.payments.faults.release()
    await over(rig)
    assert not whole(rig)


async def test_a_cancelled_body_waits_a_bounded_time_for_its_rollback() -> None:
    """The branch's server is frozen: the cancellation goes on."""
    rig = AsyncMemoryRig()

    async def body() -> None:
        async with rig.tm.begin(settle=20.0) as tx:
            session: Any = await tx.session("accounts")
            session["moved"] = 1
            await asyncio.sleep(60.0)

    class Frozen:
        async def finish(self, commit: bool, deadline: object) -> None:
            await asyncio.sleep(60.0)

    opened = rig.accounts.begin

    async def begin(*given: Any) -> Any:
        branch = await opened(*given)
        monkey(branch, "finish", Frozen().finish)
        return branch

    monkey(rig.accounts, "begin", begin)
    task = asyncio.create_task(body())
    await asyncio.sleep(0.05)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert time.monotonic() - began < 10.0
    assert isinstance(caught.value.transaction, AsyncTransaction)  # type: ignore[attr-defined]


def monkey(thing: object, name: str, value: object) -> None:
    setattr(thing, name, value)


def test_tasks_side_by_side() -> None:
    """Each has a transaction of its own: only one inside of another is refused."""
    rig = AsyncMemoryRig()

    async def one(key: str) -> None:
        async with rig.tm.begin() as tx:
            session: Any = await tx.session("accounts")
            session[key] = 1
            await asyncio.sleep(0.01)

    async def both() -> None:
        async with rig.tm.begin() as tx:
            await tx.session("payments")
            await asyncio.gather(one("a"), one("b"))

    asyncio.run(both())
    assert set(rig.accounts.data) == {"a", "b"}


class Interrupted(BaseException):
    """As a signal handler raises it."""


@pytest.mark.parametrize(
    "point", ["tpc.prepare.first.before", "tpc.decide.before", "tpc.decided", "tpc.commit.first.before"]
)
def test_a_signal_in_the_main_thread(point: str) -> None:
    """The wait is interrupted at once, the coordinator's thread goes on: all or none, and the error has the transaction."""
    rig = MemoryRig()
    reached, go_on = threading.Event(), threading.Event()

    def hook(at: str) -> None:
        if at == point:
            reached.set()
            go_on.wait(20.0)

    def struck(*_: object) -> None:
        raise Interrupted

    def strike() -> None:
        reached.wait(20.0)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, struck)
    try:
        set_crash_hook(hook)
        threading.Thread(target=strike, daemon=True).start()
        with pytest.raises(Interrupted) as caught:
            rig.transfer(timeout=30.0, settle=30.0)
    finally:
        signal.signal(signal.SIGUSR1, before)
        go_on.set()
    tx = caught.value.transaction  # type: ignore[attr-defined]
    assert tx.wait_settled(20.0)
    committed = whole(rig)
    assert tx.outcome is (Outcome.COMMITTED if committed else Outcome.ABORTED)
    assert committed or "decided" not in point
    assert not committed or "prepare" not in point


def test_a_thread_that_is_not_the_main_one() -> None:
    """It runs its coordinator itself, and the same comes of it."""
    rig = MemoryRig()
    threads: set[int] = set()
    set_crash_hook(lambda at: threads.add(threading.get_ident()) if at == "tpc.decided" else None)
    worker = threading.Thread(target=rig.transfer)
    worker.start()
    worker.join(20.0)
    assert whole(rig)
    assert threads == {worker.ident}


def test_a_child_process_may_not_use_it() -> None:
    """Every use raises, its end too, and what it wrote is the parent's alone; a manager that was inherited begins its own."""
    rig = MemoryRig()
    with rig.tm.begin() as tx:
        session = tx.session("accounts")
        session["moved"] = 1
        tx.session("payments")["moved"] = 1
        child = os.fork()
        if not child:
            code = 1
            try:
                refused = 0
                for use in (lambda: tx.session("accounts"), tx.doom, lambda: tx.__exit__(None, None, None)):
                    try:
                        use()
                    except UsageError as error:
                        refused += "child process" in error.what
                with rig.tm.begin() as own:
                    own.session("accounts")["child"] = 1
                code = 0 if refused == 3 and "child" in rig.accounts.data else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert whole(rig)
    assert "child" not in rig.accounts.data
