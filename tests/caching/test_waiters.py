# Generated from test_waiters_async.py by scripts/twins.py. Do not edit.
"""Who waits for another's load: each by a flag of its own, woken by key or with all."""

from __future__ import annotations

from regionkit.caching.waiters import Waiters
from regionkit.core.concurrency import gather

A, B = b"a", b"b"


def test_news_wake_who_waits_for_their_key() -> None:
    """And nobody else."""
    waiters = Waiters()
    waiters.enter(A)
    waiters.enter(B)
    of_a, of_b = waiters.mine(A), waiters.mine(B)
    assert of_a is not None
    assert of_b is not None
    assert (waiters.mine(A), waiters.mine(B)) == (of_a, of_b)
    waiters.wake(A)
    assert of_a.is_set()
    assert waiters.mine(A) is None
    assert not of_b.is_set()
    waiters.wake_all()
    assert of_b.is_set()
    assert len(waiters) == 0


def test_each_caller_waits_by_a_flag_of_its_own() -> None:
    """One that leaves takes no other's away."""
    waiters = Waiters()
    waiters.enter(A)
    mine = waiters.mine(A)
    assert mine is not None

    def comes_and_goes() -> bool:
        waiters.enter(A)
        own = waiters.mine(A)
        good = own is not mine and waiters.mine(A) is own
        waiters.leave(A)
        waiters.leave(A)
        return good and waiters.mine(A) is None

    assert gather([comes_and_goes, comes_and_goes]) == [True, True]
    assert waiters.mine(A) is mine
    waiters.wake(A)
    assert mine.is_set()
    assert len(waiters) == 0


def test_a_child_has_none_of_its_parents() -> None:
    """After a fork."""
    waiters = Waiters()
    waiters.enter(A)
    waiters.renew()
    assert waiters.mine(A) is None
    assert len(waiters) == 0
