"""The one retry layer: how often, how long between, and within which budget.

1. A retry happens only after a failure that says it is safe; the success path never comes here.
2. Waits are exponential with full jitter (tenacity computes them), never past the deadline.
3. Retries cost tokens; successes refund slowly. During an outage at most a tenth of the calls are retried, with a
   floor, so that retries never keep an overload alive (Google SRE book, chapter 22; U3 of the reliability notes).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenacity.wait import wait_base

__all__ = ["RetryBudget", "RetryPolicy"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a unit of work is run again.

    Attributes:
        attempts: started runs in all, the first included. Three, as in most SDKs: more only feeds an outage.
        base: longest first wait, seconds. 50 ms outlives a hiccup and is short beside a cross-region round trip.
        cap: longest single wait, seconds. Two, so that one wait leaves room in the default deadlines.
    """

    attempts: int = 3
    base: float = 0.05
    cap: float = 2.0

    def waits(self) -> wait_base:
        """The waiting rule as tenacity's, full jitter."""
        from tenacity import wait_random_exponential

        return wait_random_exponential(multiplier=self.base, max=self.cap)


class RetryBudget:
    """A token bucket that bounds retries to a share of the calls. Thread-safe.

    Args:
        tokens: size of the bucket; full at the start.
        cost: tokens per retry.
        refund: tokens per successful call. cost / refund = 10: at most one retry to ten calls once the bucket is empty.
    """

    __slots__ = ("_cost", "_lock", "_refund", "_size", "_tokens")

    def __init__(self, tokens: float = 500.0, cost: float = 10.0, refund: float = 1.0) -> None:
        self._size = self._tokens = tokens
        self._cost = cost
        self._refund = refund
        self._lock = threading.Lock()

    def spend(self) -> bool:
        """Take the price of one retry; False when the budget is empty."""
        with self._lock:
            if self._tokens < self._cost:
                return False
            self._tokens -= self._cost
            return True

    def succeeded(self) -> None:
        """A call went well: refund."""
        if self._tokens < self._size:  # unlocked look: the full bucket is the common case
            with self._lock:
                self._tokens = min(self._size, self._tokens + self._refund)
