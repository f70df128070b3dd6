"""What only tasks do to a job, and what only threads do to `start`."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest

from regionkit.core.supervisor import Supervisor
from regionkit.core.supervisor_async import AsyncSupervisor


async def test_a_cancellation_inside_of_a_round_is_an_error_of_the_round() -> None:
    """Something that it waited for was cancelled; the job was not."""
    jobs, rounds, told = AsyncSupervisor(), 0, []

    async def round_() -> float:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise asyncio.CancelledError
        return 0.001

    jobs.start("job", round_, told.append, longest_back_off=0.01)
    for _ in range(2000):
        if rounds > 3:
            break
        await asyncio.sleep(0.005)
    assert rounds > 3 and [type(error) for error in told] == [asyncio.CancelledError]
    await jobs.stop()


async def test_a_job_that_swallows_its_cancellation_is_left_behind() -> None:
    """`stop` ends within its bound."""
    jobs, release = AsyncSupervisor(), asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    jobs.start("job", stubborn, lambda error: None)  # type: ignore[arg-type]
    await asyncio.sleep(0.02)
    began = time.monotonic()
    await jobs.stop(within=0.1)
    assert time.monotonic() - began < 1.5
    release.set()


@pytest.mark.parametrize("round_", range(20))
def test_threads_that_start_one_job_at_once_start_it_once(round_: int) -> None:
    """Safe to share between threads."""
    jobs, runs, barrier, interval = Supervisor(), [], threading.Barrier(4), sys.getswitchinterval()

    def start() -> None:
        barrier.wait()
        jobs.start("job", lambda: runs.append(1) or 60.0, lambda error: None)  # type: ignore[func-returns-value]

    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    time.sleep(0.01)
    jobs.stop()
    assert len(runs) == 1
