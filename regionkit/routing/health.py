"""The circuit breaker of one endpoint and one use (read or write), as pure transitions.

| state     | event                                    | next      |
|-----------|------------------------------------------|-----------|
| CLOSED    | success                                  | CLOSED, errors in a row := 0 |
| CLOSED    | connection error, or too slow            | CLOSED; OPEN at `trip_errors` in a row, or ... |
|           |                                          | ... at `trip_share` of >= `trip_calls` calls in `trip_window` s |
| CLOSED    | probe failed                             | CLOSED; OPEN at `trip_probes` in a row |
| OPEN      | its time is over                         | HALF_OPEN |
| HALF_OPEN | `half_open_probes` probes in a row pass  | CLOSED, readers held down for `hold_down` s |
| HALF_OPEN | probe failed                             | OPEN, twice as long, at most `open_longest` |
| any       | application error                        | unchanged: it says nothing about the endpoint |

Whose fault a failure is (`speaks_against`):

| what happened                                        | the server had               | counts |
|------------------------------------------------------|------------------------------|--------|
| it broke or refused a connection                     | any time                     | yes    |
| it was silent until the call's deadline              | its budget of time, or more  | yes    |
|                                                      | less: the call came too late | no     |
| either, on a connection older than the last failure that counted | any time         | no: it is the same event |
| a wait for a permit, a look-up elsewhere             | was not asked                | no     |

OPEN and HALF_OPEN admit no traffic, only probes. Lengths are jittered by a tenth either way, by the caller's random
number in [0, 1), so that many processes do not come back in one instant.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from regionkit.topology import Profile

__all__ = ["Breaker", "BreakerState", "after_probe", "failed", "speaks_against", "succeeded"]


class BreakerState(StrEnum):
    """States of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of one endpoint and use. Instants are monotonic seconds."""

    state: BreakerState = BreakerState.CLOSED
    errors: int = 0
    probes_failed: int = 0
    probes_passed: int = 0
    window_start: float = 0.0
    window_failed: int = 0
    until: float = 0.0
    length: float = 0.0
    held_until: float = 0.0
    reason: str = ""

    @property
    def admits(self) -> bool:
        """Whether traffic may pass."""
        return self.state is BreakerState.CLOSED


def speaks_against(*, silent: bool, had: float, budget: float, since: float, counted_at: float) -> bool:
    """Whether a failure speaks against the endpoint, by the table above.

    Args:
        silent: it did not answer; else it broke or refused the connection.
        had: seconds that it had for the answer.
        budget: seconds that it may take.
        since: when the connection was taken, or began to be made.
        counted_at: when a failure of this endpoint counted last.
    """
    return since > counted_at and (not silent or had >= budget)


def succeeded(breaker: Breaker) -> Breaker:
    """A call went well."""
    return msgspec.structs.replace(breaker, errors=0) if breaker.errors else breaker


def failed(breaker: Breaker, profile: Profile, now: float, calls: int, reason: str, random: float) -> Breaker:
    """A call failed in a way that speaks of the endpoint; `calls`: all calls since the window began."""
    if breaker.state is not BreakerState.CLOSED:
        return breaker
    expired = now - breaker.window_start > profile.trip_window
    start = now if expired else breaker.window_start
    failures = 1 if expired else breaker.window_failed + 1
    errors = breaker.errors + 1
    share = calls >= profile.trip_calls and failures >= profile.trip_share * calls
    counted = msgspec.structs.replace(breaker, errors=errors, window_start=start, window_failed=failures, reason=reason)
    if errors >= profile.trip_errors or share:
        return _opened(counted, profile.open_first, now, random)
    return counted


def after_probe(breaker: Breaker, profile: Profile, now: float, ok: bool, reason: str, random: float) -> Breaker:
    """A probe came back, or its time passed without."""
    replace = msgspec.structs.replace
    if breaker.state is BreakerState.OPEN:
        if now < breaker.until:
            return breaker
        breaker = replace(breaker, state=BreakerState.HALF_OPEN, probes_passed=0)
    if breaker.state is BreakerState.CLOSED:
        if ok:
            return replace(breaker, probes_failed=0) if breaker.probes_failed else breaker
        count = breaker.probes_failed + 1
        counted = replace(breaker, probes_failed=count, reason=reason)
        return _opened(counted, profile.open_first, now, random) if count >= profile.trip_probes else counted
    if not ok:
        longer = min(profile.open_longest, max(profile.open_first, breaker.length * 2.0))
        return _opened(replace(breaker, reason=reason), longer, now, random)
    passed = breaker.probes_passed + 1
    if passed < profile.half_open_probes:
        return replace(breaker, probes_passed=passed)
    return Breaker(held_until=now + profile.hold_down)


def _opened(breaker: Breaker, length: float, now: float, random: float) -> Breaker:
    jittered = length * (0.9 + 0.2 * random)
    return Breaker(state=BreakerState.OPEN, until=now + jittered, length=length, reason=breaker.reason)
