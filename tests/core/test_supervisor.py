# Generated from test_supervisor_async.py by scripts/twins.py. Do not edit.
"""Background jobs: again after an error, stopped within a bound, and never twice."""

from __future__ import annotations

import time

from regionkit.core.concurrency import Flag, sleep
from regionkit.core.supervisor import Supervisor


def until(condition: Flag) -> None:
    assert condition.wait(10.0), "it did not come about"


def test_rounds_follow_each_other_until_none() -> None:
    """A job says when its next round is; None ends it."""
    jobs, rounds, done = Supervisor(), [0.001, 0.001, None], Flag()

    def run() -> float | None:
        pause = rounds.pop(0)
        if pause is None:
            done.set()
        return pause

    jobs.start("counting", run, lambda error: None)
    until(done)
    assert rounds == []
    jobs.stop()


def test_a_round_that_raises_is_told_and_the_next_one_comes() -> None:
    """With a bounded back-off."""
    jobs, told, done, tries = Supervisor(), [], Flag(), []

    def run() -> float | None:
        tries.append(time.monotonic())
        if len(tries) < 4:
            raise ValueError(len(tries))
        done.set()
        return None

    jobs.start("failing", run, told.append, longest_back_off=0.01)
    until(done)
    assert [str(error) for error in told] == ["1", "2", "3"]
    jobs.stop()


def test_a_name_runs_once() -> None:
    """Starting it again while it runs is nothing."""
    jobs, started, hold = Supervisor(), [], Flag()

    def run() -> float | None:
        started.append(1)
        hold.wait(10.0)
        return None

    jobs.start("one", run, lambda error: None)
    jobs.start("one", run, lambda error: None)
    sleep(0.05)
    assert started == [1] and jobs.running == {"one"}
    hold.set()
    jobs.stop()
    assert jobs.running == frozenset()


def test_stop_lets_a_round_end_and_waits_for_no_pause() -> None:
    """A round under way is finished; a job that pauses for an hour ends at once."""
    jobs, begun, finished = Supervisor(), Flag(), []

    def working() -> float | None:
        begun.set()
        sleep(0.1)
        finished.append(1)
        return 3600.0

    def pausing() -> float | None:
        return 3600.0

    jobs.start("working", working, lambda error: None)
    jobs.start("pausing", pausing, lambda error: None)
    until(begun)
    before = time.monotonic()
    jobs.stop(within=5.0)
    assert finished == [1] and time.monotonic() - before < 4.0


def test_after_a_renewal_the_same_name_starts_anew() -> None:
    """As in the child of a fork, where the parent's jobs do not run."""
    jobs, ran, hold = Supervisor(), [], Flag()

    def run() -> float | None:
        ran.append(1)
        hold.wait(0.2)
        return None

    jobs.start("one", run, lambda error: None)
    sleep(0.05)
    jobs.renew()
    assert jobs.running == frozenset()
    jobs.start("one", run, lambda error: None)
    sleep(0.05)
    assert ran == [1, 1]
    hold.set()
    jobs.stop()
