"""The retry layer's numbers: a budget that bounds retries, waits with full jitter under a cap."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st
from tenacity import RetryCallState

from regionkit.core.retry import RetryBudget, RetryPolicy


@given(st.lists(st.booleans(), max_size=3000))
def test_retries_are_at_most_a_tenth_and_the_floor(calls: list[bool]) -> None:
    """Whatever the order of failures: retries <= bucket / cost + successes / 10."""
    budget, retried, succeeded = RetryBudget(), 0, 0
    for fails in calls:
        if fails:
            retried += budget.spend()
        else:
            budget.succeeded()
            succeeded += 1
        assert retried <= 50 + succeeded / 10


def test_an_outage_empties_it_and_successes_refill_it_slowly() -> None:
    """Fifty retries, then none, then one to ten good calls; never fuller than at the start."""
    budget = RetryBudget()
    assert sum(budget.spend() for _ in range(1000)) == 50
    for _ in range(9):
        budget.succeeded()
    assert not budget.spend()
    budget.succeeded()
    assert budget.spend() and not budget.spend()
    for _ in range(100_000):
        budget.succeeded()
    assert sum(budget.spend() for _ in range(1000)) == 50


def test_threads_never_overspend() -> None:
    """Exactly the bucket, however many ask at once."""
    budget, spent = RetryBudget(tokens=1000.0, cost=1.0), []

    def spend() -> None:
        spent.append(sum(budget.spend() for _ in range(500)))

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(spent) == 1000


def test_waits_are_jittered_and_capped() -> None:
    """Between nothing and base * 2^(n-1), never above the cap."""
    policy = RetryPolicy()
    waits = policy.waits()
    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    for attempt in range(1, 12):
        state.attempt_number = attempt
        found = [waits(state) for _ in range(200)]
        assert min(found) >= 0.0 and max(found) <= min(policy.cap, policy.base * 2 ** (attempt - 1))
        assert max(found) - min(found) > 0.3 * min(policy.cap, policy.base * 2 ** (attempt - 1))
    assert policy.attempts == 3
