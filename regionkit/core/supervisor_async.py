"""Background jobs that go on: run again after an error of their own, stopped within a bound, and new after a fork.

1. A job is a function that does one round and says after how many seconds the next follows; None ends the job.
2. A round that raises is reported (`on_error`), and the next one follows after a back-off that doubles up to `LONGEST_BACK_OFF`;
   a round that goes well resets it.
3. Pauses are jittered by a tenth either way, so that many processes do not come in one instant.
4. A cancellation that strikes inside of a round, and is not the job's own, is an error of the round; in a thread all errors
   are. One of `on_error` is logged.
5. `stop` lets a round that is under way end within its bound, and leaves one behind that does not. No job keeps the process
   alive.
6. After a fork the parent's jobs are forgotten, never stopped: they run in the parent.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Awaitable, Callable

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency_async import STOP_WAIT, AsyncFlag, AsyncTask, astray, spawn_async

__all__ = ["FIRST_BACK_OFF", "LONGEST_BACK_OFF", "STOP_WITHIN", "AsyncSupervisor"]

IS_ASYNC = True

LOG = logging.getLogger("regionkit.jobs")
FIRST_BACK_OFF = 0.5
"""Seconds after a first error of a job's own: long enough not to spin, short enough not to be missed."""
LONGEST_BACK_OFF = 30.0
"""Seconds between two rounds of a job that keeps failing, at most."""
STOP_WITHIN = 5.0
"""Seconds that `stop` gives a round that is under way."""

AsyncRound = Callable[[], Awaitable[float | None]]
"""One round of a job: seconds until the next; None when the job is done."""


class AsyncSupervisor:
    """The background jobs of one owner. Safe to share between threads (tasks of one loop)."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._starting = threading.Lock()
        self._stopping = AsyncFlag()
        self._tasks: dict[str, AsyncTask] = {}

    @property
    def running(self) -> frozenset[str]:
        """Names of the jobs that were started and have not been stopped."""
        return frozenset(self._tasks)

    def start(
        self,
        name: str,
        run: AsyncRound,
        on_error: Callable[[BaseException], None],
        *,
        longest_back_off: float = LONGEST_BACK_OFF,
    ) -> None:
        """Run `run` again and again in the background. A job of that name that runs already stays."""
        with self._starting:
            if name in self._tasks:
                return
            stopping, tasks = self._stopping, self._tasks

            async def job() -> None:
                try:
                    await _job(run, on_error, stopping, longest_back_off)
                finally:
                    with self._starting:  # a job of that name may be started again
                        tasks.pop(name, None)

            tasks[name] = spawn_async(f"regionkit {name}", job)

    async def stop(self, within: float = STOP_WITHIN) -> None:
        """End all jobs: those that are pausing at once, others when their round is over or `within` seconds are."""
        with self._starting:  # a job that is started from here on is another set's
            stopping, self._stopping = self._stopping, AsyncFlag()
            tasks, self._tasks = list(self._tasks.values()), {}
        stopping.set()
        for seconds, end in ((within, AsyncTask.ended), (STOP_WAIT, AsyncTask.stop)):
            until = self._clock.monotonic() + seconds
            for task in tasks:
                await end(task, max(0.0, until - self._clock.monotonic()))

    def renew(self) -> None:
        """After a fork: the parent's jobs are not ours."""
        self._starting = threading.Lock()
        self._tasks = {}
        self._stopping = AsyncFlag()


async def _job(run: AsyncRound, on_error: Callable[[BaseException], None], stopping: AsyncFlag, longest: float) -> None:
    chance, first = random.Random(), min(FIRST_BACK_OFF, longest)
    back_off = first
    while not stopping.is_set():
        pause: float | None
        try:
            pause, back_off = await run(), first
        except BaseException as error:
            if IS_ASYNC and not (isinstance(error, Exception) or astray(error)):
                raise  # it is the loop's; in a thread of its own SystemExit would end the job without a word
            try:
                on_error(error)
            except Exception:
                LOG.exception("the error handler of a job failed")
            pause, back_off = back_off, min(2.0 * back_off, longest)
        if pause is None:
            return
        await stopping.wait(pause * (0.9 + 0.2 * chance.random()))
