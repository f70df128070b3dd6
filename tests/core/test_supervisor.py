# Generated from test_supervisor_async.py by scripts/twins.py. Do not edit.
"""Background jobs: rounds that follow, an error that is told and does not end them, an end within a bound."""

from __future__ import annotations

import time

import pytest

from regionkit.core.concurrency import Flag, sleep
from regionkit.core.supervisor import Supervisor

IS_ASYNC = False
PATIENCE = 20.0
"""Seconds until a job that does not come is given up."""


class Job:
    """Rounds that are counted; `said` is what each of them says, the last one again and again."""

    def __init__(self, *said: float | BaseException | None) -> None:
        self.said = list(said)
        self.rounds = 0
        self.errors: list[BaseException] = []

    def round(self) -> float | None:
        """One round."""
        self.rounds += 1
        said = self.said[min(self.rounds, len(self.said)) - 1]
        if isinstance(said, BaseException):
            raise said
        return said


def reached(job: Job, rounds: int) -> None:
    """Wait until a job has done so many."""
    end = time.monotonic() + PATIENCE
    while job.rounds < rounds:
        assert time.monotonic() < end, f"{job.rounds} rounds"
        sleep(0.002)


def test_rounds_follow_one_another_until_it_is_stopped() -> None:
    """And none comes after."""
    jobs, job = Supervisor(), Job(0.001)
    jobs.start("job", job.round, job.errors.append)
    reached(job, 5)
    assert jobs.running == {"job"}
    jobs.stop()
    assert jobs.running == frozenset()
    done = job.rounds
    sleep(0.05)
    assert job.rounds == done


@pytest.mark.skipif(IS_ASYNC, reason="a loop ends with such an error")
def test_no_error_ends_a_job_in_a_thread() -> None:
    """Code of the application's that it calls may exit: the process goes on, and so has the job."""
    jobs, job = Supervisor(), Job(SystemExit(1), 0.001)
    jobs.start("job", job.round, job.errors.append, longest_back_off=0.01)
    reached(job, 3)
    assert [type(error) for error in job.errors] == [SystemExit]
    jobs.stop()


def test_a_job_that_says_none_is_done() -> None:
    """Others go on."""
    jobs, once, often = Supervisor(), Job(None), Job(0.001)
    jobs.start("once", once.round, once.errors.append)
    jobs.start("often", often.round, often.errors.append)
    reached(often, 10)
    assert once.rounds == 1
    jobs.stop()


def test_a_name_has_one_job() -> None:
    """Who starts it again finds it running."""
    jobs, first, second = Supervisor(), Job(0.001), Job(0.001)
    jobs.start("job", first.round, first.errors.append)
    jobs.start("job", second.round, second.errors.append)
    reached(first, 5)
    assert second.rounds == 0
    jobs.stop()


def test_an_error_is_told_and_the_next_round_comes() -> None:
    """The very error, once a round; a good round in between changes nothing."""
    jobs, wrong = Supervisor(), ZeroDivisionError("why")
    job = Job(wrong, 0.001, wrong, 0.001)
    jobs.start("job", job.round, job.errors.append, longest_back_off=0.01)
    reached(job, 6)
    jobs.stop()
    assert job.errors == [wrong, wrong]


def test_a_failing_job_backs_off_and_a_good_round_resets_it() -> None:
    """10, 20, 40, 40 ms less a tenth: 99 ms at least for five rounds of which the first four fail."""
    jobs, wrong = Supervisor(), ZeroDivisionError("why")
    failing, pausing = Job(wrong), Job(0.0)
    began = time.monotonic()
    jobs.start("failing", failing.round, failing.errors.append, longest_back_off=0.04)
    reached(failing, 4)
    assert time.monotonic() - began >= 3 * 0.04 * 0.9
    jobs.start("pausing", pausing.round, pausing.errors.append)
    reached(pausing, 50)
    assert failing.rounds < 20, "it spins"
    jobs.stop()


def test_a_pause_is_cut_short_by_the_end() -> None:
    """Nobody waits an hour for a job that sleeps for one."""
    jobs, job = Supervisor(), Job(3600.0)
    jobs.start("job", job.round, job.errors.append)
    reached(job, 1)
    began = time.monotonic()
    jobs.stop()
    assert time.monotonic() - began < PATIENCE


def test_a_round_under_way_may_end_and_one_that_is_stuck_is_left() -> None:
    """Within the bound that was given."""
    jobs, ended, begun = Supervisor(), Flag(), Flag()

    def slow() -> float | None:
        begun.set()
        sleep(0.1)
        ended.set()
        return 0.0

    jobs.start("slow", slow, lambda error: None)
    assert begun.wait(PATIENCE)
    jobs.stop(within=PATIENCE)
    assert ended.is_set()

    stuck, let_go = Flag(), Flag()

    def hang() -> float | None:
        stuck.set()
        let_go.wait(3600.0)
        return None

    jobs.start("stuck", hang, lambda error: None)
    assert stuck.wait(PATIENCE)
    began = time.monotonic()
    jobs.stop(within=0.05)
    assert time.monotonic() - began < PATIENCE
    assert jobs.running == frozenset()
    let_go.set()


def test_it_starts_again_after_its_end_and_after_a_fork() -> None:
    """The parent's jobs are forgotten, not stopped: a job of the same name is a new one."""
    jobs, first, second, third = Supervisor(), Job(0.001), Job(0.001), Job(0.001)
    jobs.start("job", first.round, first.errors.append)
    reached(first, 1)
    jobs.stop()
    jobs.start("job", second.round, second.errors.append)
    reached(second, 3)
    tasks = dict(jobs._tasks)
    parents = jobs._stopping
    jobs.renew()
    assert jobs.running == frozenset()
    jobs.start("job", third.round, third.errors.append)
    reached(third, 3)
    done = second.rounds
    reached(second, done + 3)
    jobs.stop()
    parents.set()
    for task in tasks.values():
        task.stop()


def test_what_is_told_of_an_error_may_raise_itself() -> None:
    """It is logged, and the job goes on."""
    jobs, job = Supervisor(), Job(ValueError("a round"), 0.001)

    def raises(error: BaseException) -> None:
        raise LookupError("who listens")

    jobs.start("job", job.round, raises, longest_back_off=0.01)
    reached(job, 5)
    jobs.stop()


def test_a_job_that_is_done_may_be_started_again() -> None:
    """Its name is free."""
    jobs, once, often = Supervisor(), Job(None), Job(0.001)
    jobs.start("job", once.round, once.errors.append)
    end = time.monotonic() + PATIENCE
    while jobs.running:
        assert time.monotonic() < end
        sleep(0.002)
    jobs.start("job", often.round, often.errors.append)
    reached(often, 3)
    jobs.stop()


def test_stopping_many_that_hang_takes_no_longer_than_one() -> None:
    """The bound is the call's, not each job's."""
    jobs, hangs = Supervisor(), Flag()

    def hang() -> None:
        hangs.wait(PATIENCE)

    for number in range(8):
        jobs.start(str(number), hang, lambda error: None)  # type: ignore[arg-type]
    sleep(0.05)
    began = time.monotonic()
    jobs.stop(within=0.1)
    assert time.monotonic() - began < 8 * 0.2
    hangs.set()
