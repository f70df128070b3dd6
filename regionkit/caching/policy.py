"""What a reader does with what it finds, and how long what is loaded lives. Pure.

| state     | when                                                       | a get |
|-----------|------------------------------------------------------------|-------|
| FRESH     | before its soft end, young enough for the caller           | serves it |
| SOFT      | between its soft and its hard end                          | serves it; one caller reloads it in the background |
| EXPIRED   | after its hard end, or after `expire`, but still kept      | loads; serves it only when the load fails |
| GONE      | nothing is there: never loaded, invalidated, under a write | loads; a load that fails is the caller's error |

1. "Nothing is there" (a negative entry) goes through the same states, with `negative_ttl`. It is never served on an error.
2. What was invalidated, or is being written, is gone at once: it has no state in which it could be served.
3. A caller that asks for a younger value than there is (`max_stale`), or for a load (`refresh`), finds it EXPIRED.
4. Lives are shortened at random by the strategy's jitter; the time for which a value is kept on an error is not.
5. Before its soft end an entry may be reloaded early, ever more likely towards that end, so that callers of many processes do
   not all come at the end: each process draws an earlier soft end of its own.
6. An entry with tags lives no longer than the floor of a tag is remembered (`longest_tagged`), whatever a call or a loader asks
   for: afterwards nobody would know that its tag was invalidated.
7. While a failed load is not to be tried again (`error_pause`), EXPIRED is served as it is.
"""

from __future__ import annotations

import math
from enum import Enum

import msgspec

from regionkit.caching.strategies import LONGEST_TTL, TTL, Lazy, Strategy

__all__ = ["Life", "State", "bounded", "drawn_soft", "life_of", "longest_tagged", "state_of"]


class State(Enum):
    """What was found."""

    FRESH = "fresh"
    SOFT = "soft"
    EXPIRED = "expired"
    GONE = "gone"


class Life(msgspec.Struct, frozen=True, gc=False):
    """Seconds from the load: until the soft end, the hard end, and the end of being kept."""

    soft: float
    hard: float
    kept: float


def state_of(
    now: float,
    soft: float,
    hard: float,
    kept: float,
    *,
    youngest: float = 0.0,
    made: float = 0.0,
    refresh: bool = False,
) -> State:
    """The state of an entry with these ends (monotonic seconds), for a caller that takes nothing made before `youngest`."""
    if now >= kept:
        return State.GONE
    if refresh or now >= hard or made < youngest:
        return State.EXPIRED
    return State.FRESH if now < soft else State.SOFT


def life_of(strategy: Strategy, chance: float, *, found: bool = True, ttl: float | None = None) -> Life | None:
    """How long an entry lives; None: it is not stored.

    Args:
        strategy: of the cache.
        chance: from 0 to 1, at random.
        found: whether there is a value.
        ttl: what the loader or the caller said, in place of the strategy's.
    """
    share = 1.0 - strategy.jitter * chance
    if isinstance(strategy, TTL):
        life = (strategy.ttl if ttl is None else ttl) * share
        return Life(life, life, life)
    if not found:
        if strategy.negative_ttl is None:
            return None
        life = strategy.negative_ttl * share
        return Life(life, life, life)
    hard = strategy.ttl if ttl is None else ttl
    soft = hard if strategy.soft_ttl is None else hard * strategy.soft_ttl / strategy.ttl
    return Life(soft * share, hard * share, hard * share + strategy.stale_if_error)


def longest_tagged(strategy: Strategy) -> float:
    """Seconds that an entry with tags is kept at most, and that the floor of a tag is remembered."""
    kept = strategy.stale_if_error if isinstance(strategy, Lazy) else 0.0
    return min(LONGEST_TTL, max(86_400.0, 10 * strategy.ttl) + kept)


def bounded(life: Life, longest: float) -> Life:
    """A life that is over after `longest` seconds."""
    return Life(min(life.soft, longest), min(life.hard, longest), min(life.kept, longest))


def drawn_soft(strategy: Strategy, made: float, soft: float, chance: float) -> float:
    """A soft end, not after `soft`, of an entry that was made at `made`: drawn when it is stored here or read at a server.

    As likely as not it lies in the last sixth of the time in which a reload may come early. `chance`: from 0 to 1, at random.
    """
    early = strategy.early if isinstance(strategy, Lazy) else 0.0
    return soft - early * (soft - made) * (1.0 - math.sqrt(math.sqrt(chance)))
