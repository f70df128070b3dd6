"""The hand-written pair: one test for both forms, the sync one called through a bridge that awaits nothing."""

from __future__ import annotations

import ast
import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from regionkit.core import concurrency, concurrency_async
from regionkit.core.concurrency import Flag, Slots, Task, Workers
from regionkit.core.concurrency_async import AsyncFlag, AsyncSlots, AsyncTask, AsyncWorkers

NAMES = {"STOP_WAIT": "STOP_WAIT", "AsyncFlag": "Flag", "AsyncLock": "Lock", "AsyncSlots": "Slots", "AsyncTask": "Task"}
NAMES |= {
    "acollect": "collect",
    "agather": "gather",
    "aowner": "owner",
    "acaller": "caller",
    "aelsewhere": "elsewhere",
    "asleep": "sleep",
    "aelapse": "elapse",
    "astray": "stray",
    "awithin": "within",
    "Elapsed": "Elapsed",
    "spawn_async": "spawn",
    "athread": "thread",
    "AsyncWorkers": "Workers",
}

SYNC = {
    "Flag": Flag,
    "Slots": Slots,
    "collect": concurrency.collect,
    "gather": concurrency.gather,
    "sleep": concurrency.sleep,
    "within": concurrency.within,
    "spawn": concurrency.spawn,
}
ASYNC = {
    "Flag": AsyncFlag,
    "Slots": AsyncSlots,
    "collect": concurrency_async.acollect,
    "gather": concurrency_async.agather,
    "sleep": concurrency_async.asleep,
    "within": concurrency_async.awithin,
    "spawn": concurrency_async.spawn_async,
}
both = pytest.mark.parametrize("form", [SYNC, ASYNC], ids=["threads", "asyncio"])


async def done(value: Any) -> Any:
    """The result of either form."""
    return await value if inspect.isawaitable(value) else value


def call(form: dict[str, Any], work: Callable[[], Any]) -> Callable[[], Any]:
    """`work` as either form calls it."""
    if form is SYNC:
        return work

    async def later() -> Any:
        await asyncio.sleep(0)
        return work()

    return later


def test_the_pair_has_the_same_names_and_members() -> None:
    """Modulo Async, a prefix, and what asyncio's Lock is by itself."""
    assert {NAMES[name] for name in concurrency_async.__all__} == set(concurrency.__all__)
    for twin, name in NAMES.items():
        a, b = getattr(concurrency_async, twin), getattr(concurrency, name)
        if inspect.isclass(a) and name not in ("Lock", "Elapsed"):
            mine = {m: inspect.signature(f) for m, f in vars(a).items() if not m.startswith("_") and callable(f)}
            theirs = {m: inspect.signature(f) for m, f in vars(b).items() if not m.startswith("_") and callable(f)}
            assert {m: list(s.parameters) for m, s in mine.items()} == {
                m: list(s.parameters) for m, s in theirs.items()
            }
            assert [getattr(a, m).__doc__ is not None for m in mine] == [True] * len(mine)
            shown = [[name for name in form.__slots__ if not name.startswith("_")] for form in (a, b)]
            assert shown[0] == shown[1]


def test_neither_form_imports_the_other() -> None:
    """The generator swaps one module for the other; a shared line would tie them."""
    for module in (concurrency, concurrency_async):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any(name and name.startswith("regionkit") for name in imported)


@both
async def test_what_a_thread_does_is_waited_for_and_goes_on(form: dict[str, Any]) -> None:
    """Its result, its error, and the end of the wait, which is not the end of the work."""
    future: Future[int] = Future()
    with pytest.raises(concurrency.Elapsed if form is SYNC else concurrency_async.Elapsed):
        await done(form["collect"](future, 0.01))
    assert not future.cancelled()
    threading.Timer(0.02, lambda: future.set_result(7)).start()
    assert await done(form["collect"](future, 30.0)) == 7
    failed: Future[int] = Future()
    failed.set_exception(TimeoutError("its own"))
    with pytest.raises(TimeoutError, match="its own"):
        await done(form["collect"](failed, 30.0))


@both
async def test_gather_gives_results_and_errors_in_order(form: dict[str, Any]) -> None:
    """An error is a value, also one raised before the first await; nothing else is disturbed."""

    def broken() -> Any:
        raise ValueError("x")

    assert await done(form["gather"]([])) == []
    calls = [call(form, lambda: 1), broken, call(form, broken), call(form, lambda: 4)]
    results = await done(form["gather"](calls))
    assert results[0] == 1 and results[3] == 4 and [type(r) for r in results[1:3]] == [ValueError, ValueError]
    assert type((await done(form["gather"]([broken])))[0]) is ValueError


@both
async def test_gather_runs_all_at_once(form: dict[str, Any]) -> None:
    """Twenty calls that wait until all twenty are there."""
    together, threads = asyncio.Barrier(20), threading.Barrier(20, timeout=20.0)

    async def meet() -> None:
        async with asyncio.timeout(20.0):
            await together.wait()

    await done(form["gather"]([meet if form is ASYNC else threads.wait] * 20))


@both
async def test_an_event_wakes_and_times_out(form: dict[str, Any]) -> None:
    """Unset it is False after the time-out, zero and less included; set it is True at once, until cleared."""
    event = form["Flag"]()
    assert not event.is_set()
    for seconds in (0.0, -1.0, 0.01):
        assert await done(event.wait(seconds)) is False
    event.set()
    assert event.is_set()
    for seconds in (0.0, -1.0, 5.0):
        assert await done(event.wait(seconds)) is True
    event.clear()
    assert await done(event.wait(0.0)) is False


@both
async def test_an_event_wakes_a_waiter(form: dict[str, Any]) -> None:
    """Long before its time-out."""
    event, began = form["Flag"](), time.monotonic()
    threading.Timer(0.02, event.set).start() if form is SYNC else asyncio.get_running_loop().call_later(0.02, event.set)
    assert await done(event.wait(30.0)) is True
    assert time.monotonic() - began < 5.0


@both
async def test_slots_are_bounded(form: dict[str, Any]) -> None:
    """No more permits than there are, with and without waiting; one given back can be taken again."""
    slots = form["Slots"](2)
    assert slots.try_acquire() and await done(slots.acquire(0.0)) is True
    assert not slots.try_acquire()
    for seconds in (0.0, -1.0, 0.01):
        assert await done(slots.acquire(seconds)) is False
    slots.release()
    assert await done(slots.acquire(-1.0)) is True, "a free permit needs no time"
    assert not slots.try_acquire()


@both
async def test_who_came_first_is_served_first(form: dict[str, Any]) -> None:
    """Nobody overtakes: neither one who comes while others wait, nor one who gives a permit back and wants it again."""
    slots, order = form["Slots"](1), list[int]()
    assert slots.try_acquire()

    async def wait(number: int) -> None:
        assert await slots.acquire(10.0)
        order.append(number)
        slots.release()

    if form is ASYNC:
        tasks = []
        for number in range(20):
            tasks.append(asyncio.create_task(wait(number)))
            await asyncio.sleep(0)
        slots.release()
        assert not slots.try_acquire()
        await asyncio.gather(*tasks)
    else:
        threads = []
        for number in range(20):
            threads.append(
                threading.Thread(target=lambda n=number: (slots.acquire(10.0), order.append(n), slots.release()))
            )
            threads[-1].start()
            while len(slots._waiting) < number + 1:
                time.sleep(0.001)
        slots.release()
        assert not slots.try_acquire() or len(order) == 20
        for thread in threads:
            thread.join(10.0)
    assert order == list(range(20))


async def test_a_cancelled_waiter_takes_no_permit() -> None:
    """Cancelled while it waits, or in the very step in which it was given one."""
    slots = AsyncSlots(1)
    assert slots.try_acquire()
    for release_first in (False, True):
        waiter = asyncio.create_task(slots.acquire(5.0))
        await asyncio.sleep(0)
        if release_first:
            slots.release()
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        if release_first:
            assert slots.try_acquire(), "the permit came back"
    assert not slots.try_acquire()


async def test_timeouts_and_releases_that_race_lose_no_permit() -> None:
    """Many short waits against many short holds: in the end all permits are there, and no more."""
    slots = AsyncSlots(3)

    async def use(n: int) -> None:
        if await slots.acquire(0.001 * (n % 5)):
            await asyncio.sleep(0.001 * (n % 3))
            slots.release()

    await asyncio.gather(*(use(n) for n in range(300)))
    assert [slots.try_acquire() for _ in range(4)] == [True, True, True, False]


def test_slots_between_threads_lose_no_permit() -> None:
    """The same for threads."""
    slots, inside, most = Slots(3), [], []

    def use(n: int) -> None:
        if slots.acquire(0.001 * (n % 5)):
            inside.append(n)
            most.append(len(inside))
            time.sleep(0.0005)
            inside.remove(n)
            slots.release()

    threads = [threading.Thread(target=use, args=(n,)) for n in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 3
    assert [slots.try_acquire() for _ in range(4)] == [True, True, True, False]


@both
async def test_a_task_runs_and_stops(form: dict[str, Any]) -> None:
    """It runs beside its maker, stops when told, and stopping again does nothing."""
    event, ran = form["Flag"](), form["Flag"]()

    async def loop() -> None:
        ran.set()
        await event.wait(30.0)

    def thread() -> None:
        ran.set()
        event.wait(30.0)

    task = form["spawn"]("worker", loop if form is ASYNC else thread)
    assert isinstance(task, AsyncTask | Task)
    assert await done(ran.wait(5.0))
    event.set()
    await done(task.stop())
    await done(task.stop())


@both
async def test_a_task_may_stop_itself(form: dict[str, Any]) -> None:
    """It does not wait for its own end."""
    tasks: list[Any] = []
    ready, ended = form["Flag"](), form["Flag"]()

    async def loop() -> None:
        await ready.wait(5.0)
        await tasks[0].stop()
        ended.set()

    def thread() -> None:
        ready.wait(5.0)
        tasks[0].stop()
        ended.set()

    tasks.append(form["spawn"]("worker", loop if form is ASYNC else thread))
    ready.set()
    assert await done(ended.wait(5.0))
    await done(tasks[0].stop())


def test_a_stuck_thread_is_left_behind() -> None:
    """Stopping waits a moment, not for ever; the thread is a daemon."""
    hold = threading.Event()
    task = concurrency.spawn("stuck", lambda: hold.wait(30.0) and None)
    began = time.monotonic()
    task.stop()
    assert time.monotonic() - began < 5.0 and task._thread.daemon
    hold.set()
    task._thread.join(5.0)


async def test_owners_and_sleep() -> None:
    """A kit belongs to its process, or to its loop; sleeping takes about as long as asked."""
    assert concurrency_async.aowner() is asyncio.get_running_loop() and concurrency.owner() == concurrency.owner()
    for sleep in (concurrency.sleep, concurrency_async.asleep):
        began = time.monotonic()
        await done(sleep(0.02))
        assert time.monotonic() - began >= 0.015


@both
async def test_a_bounded_call_gives_its_result_or_its_error(form: dict[str, Any]) -> None:
    """An error of its own stays its own, a TimeoutError too."""

    def raises() -> None:
        raise TimeoutError("its own")

    assert await done(form["within"](5.0, call(form, lambda: 7))) == 7
    with pytest.raises(TimeoutError, match="its own"):
        await done(form["within"](5.0, call(form, raises)))


@both
async def test_a_bounded_call_is_left_behind_when_its_time_is_over(form: dict[str, Any]) -> None:
    """Threads are left behind, tasks cancelled; the caller goes on."""
    freed = threading.Event()

    async def hangs() -> None:
        await asyncio.sleep(30.0)

    began = time.monotonic()
    with pytest.raises(concurrency.Elapsed if form is SYNC else concurrency_async.Elapsed):
        await done(form["within"](0.05, freed.wait if form is SYNC else hangs))
    assert time.monotonic() - began < 10.0
    freed.set()


def test_a_bounded_call_of_threads_runs_in_the_callers_context() -> None:
    """Context variables are seen: the current session is one."""
    seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="")
    seen.set("here")
    assert concurrency.within(5.0, seen.get) == "here"


def test_a_thread_of_its_own_runs_beside_a_blocked_loop() -> None:
    """Of both forms: a daemon, and in asyncio with an event loop that is not the caller's."""
    ran: list[str] = []

    async def in_loop() -> None:
        await asyncio.sleep(0)
        ran.append("asyncio")

    async def main() -> None:
        thread = concurrency_async.athread("own loop", in_loop)
        thread.join(20)  # the loop is blocked meanwhile
        assert thread.daemon

    asyncio.run(main())
    started = concurrency.thread("plain", lambda: ran.append("threads"))
    started.join(20)
    assert started.daemon and ran == ["asyncio", "threads"]


async def test_what_is_launched_goes_on_without_its_caller() -> None:
    """A caller that is cancelled leaves it behind."""
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        await go_on.wait()
        ended.set()

    async def caller() -> None:
        workers.launch("test", run)
        await ended.wait()

    workers = AsyncWorkers()
    task = asyncio.create_task(caller())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.wait_for(ended.wait(), 10.0)


def test_what_is_launched_runs_elsewhere_only_where_signals_strike() -> None:
    """The main thread's has a thread of its own, in the same context; another thread runs its own itself."""
    here = contextvars.ContextVar("here", default=0)
    ran: list[tuple[int, int]] = []

    def run() -> None:
        ran.append((threading.get_ident(), here.get()))

    here.set(1)
    workers, over = Workers(), threading.Event()
    workers.launch("test", lambda: (run(), over.set())[0])
    assert over.wait(10.0)
    worker = threading.Thread(target=lambda: workers.launch("test", run))
    worker.start()
    worker.join(10.0)
    assert [seen for _, seen in ran] == [1, 0]
    assert ran[0][0] != threading.get_ident()
    assert ran[1][0] == worker.ident


def test_workers_are_kept_for_the_next_work_and_end_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread does one thing after the other; who is at work is not waited for; one that has waited long enough ends."""
    monkeypatch.setattr(concurrency, "IDLE_FOR", 1.5)
    workers, ran, gate = Workers(), list[int](), threading.Event()

    def work() -> None:
        ran.append(threading.get_ident())

    def idle(count: int) -> None:
        until = time.monotonic() + 20.0
        while len(workers._idle) != count:
            assert time.monotonic() < until
            time.sleep(0.001)

    workers.spawn("first", work)
    idle(1)
    workers.spawn("second", lambda: (work(), gate.wait(20.0))[0])
    workers.spawn("third", work)
    idle(1)
    gate.set()
    idle(2)
    assert ran[0] == ran[1] != ran[2]
    idle(0)
    workers.spawn("last", work)
    idle(1)
    assert len(ran) == 4


def test_no_work_is_lost_between_an_idle_worker_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be given work in the very moment in which it gives up waiting."""
    monkeypatch.setattr(concurrency, "IDLE_FOR", 0.0)
    workers, done = Workers(), [threading.Event() for _ in range(300)]
    for one in done:
        workers.spawn("work", one.set)
    assert all(one.wait(20.0) for one in done)


def test_what_is_launched_runs_here_where_no_thread_is_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to be done: at the interpreter's end, or at the limit of threads."""

    def refuse(self: object) -> None:
        raise RuntimeError("can't start new thread")

    ran: list[int] = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    Workers().launch("test", lambda: ran.append(1))
    assert ran == [1]


def test_a_thread_that_comes_to_wait_while_an_event_is_set_does_not_miss_it() -> None:
    """However the two meet; whoever gave up waiting is not kept."""
    for _ in range(2_000):
        event = Flag()
        waiter = threading.Thread(target=event.wait, args=(30.0,))
        waiter.start()
        event.set()
        waiter.join(20.0)
        assert not waiter.is_alive()
    event = Flag()
    assert event.wait(0.0) is False
    assert event._waiting == []
