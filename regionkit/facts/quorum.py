"""Which pairs of Cassandra consistency levels overlap: arithmetic of replicas, without a server. Pure.

What a level needs of the replicas of a row, at least: so many in each data centre, and so many in all. A write and a read
overlap, whatever replicas answered, iff

1. for some data centre the needs of both together exceed its replicas: w + r > RF(dc), or
2. the totals do: sum(w) + sum(r) > sum(RF).

Else replicas can be found that acknowledged the write and none of which the read asked: LOCAL_QUORUM and QUORUM over 3 + 3
replicas is such a pair. A read that has to overlap with several writes is raised to the least level that overlaps with each of
them and asks for all that its own level asks for: EACH_QUORUM for LOCAL_QUORUM in every data centre.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

__all__ = ["LEVELS", "RAISED", "Replication", "covers", "overlaps", "overlaps_everywhere", "raised"]

Replication = tuple[tuple[str, int], ...]
"""(data centre, replicas there), sorted; those without replicas are left out."""

LEVELS = ("ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM", "EACH_QUORUM")
"""Levels whose needs are known here; any other one overlaps with nothing."""

RAISED = ("QUORUM", "EACH_QUORUM", "ALL")
"""Levels that a read may be raised to, those that ask fewest first. Each needs several data centres."""

_COUNTS = {"ONE": 1, "TWO": 2, "THREE": 3}
MOST_REMEMBERED = 4096
"""Answers kept: levels times data centres, squared, of a few keyspaces."""


class _Needs(NamedTuple):
    each: tuple[int, ...]
    total: int


def _needs(level: str, datacenter: str, replication: Replication) -> _Needs | None:
    """What a level asked for in `datacenter` needs, in the order of `replication`; None where it cannot be had."""
    factors = dict(replication)
    here = factors.get(datacenter, 0)
    each = dict.fromkeys(factors, 0)
    match level:
        case "ONE" | "TWO" | "THREE":
            return _Needs(tuple(each.values()), _COUNTS[level])
        case "QUORUM":
            return _Needs(tuple(each.values()), sum(factors.values()) // 2 + 1)
        case "ALL":
            each = factors
        case "EACH_QUORUM":
            each = {name: factor // 2 + 1 for name, factor in factors.items()}
        case "LOCAL_ONE" if here:
            each[datacenter] = 1
        case "LOCAL_QUORUM" if here:
            each[datacenter] = here // 2 + 1
        case _:
            return None
    return _Needs(tuple(each.values()), sum(each.values()))


@lru_cache(MOST_REMEMBERED)
def overlaps(write: tuple[str, str], read: tuple[str, str], replication: Replication) -> bool:
    """Whether a read sees every write that was acknowledged before it began; each is (data centre, level)."""
    written, shown = _needs(write[1], write[0], replication), _needs(read[1], read[0], replication)
    if written is None or shown is None:
        return False
    factors = [factor for _, factor in replication]
    local = any(w + r > factor for w, r, factor in zip(written.each, shown.each, factors, strict=True))
    return local or written.total + shown.total > sum(factors)


@lru_cache(MOST_REMEMBERED)
def overlaps_everywhere(write_level: str, read: tuple[str, str], replication: Replication) -> bool:
    """Whether a read sees every write acknowledged at `write_level`, whatever data centre took it."""
    return all(overlaps((name, write_level), read, replication) for name, _ in replication)


@lru_cache(MOST_REMEMBERED)
def raised(read: tuple[str, str], writes: frozenset[tuple[str, str]], replication: Replication) -> str:
    """The least of RAISED at which a read in its data centre sees all writes acknowledged at `writes`; "" where none does."""
    datacenter, least = read
    fit = (level for level in RAISED if covers(level, least, datacenter, replication))
    return next((x for x in fit if all(overlaps(one, (datacenter, x), replication) for one in writes)), "")


@lru_cache(MOST_REMEMBERED)
def covers(level: str, least: str, datacenter: str, replication: Replication) -> bool:
    """Whether `level` asks for all that `least` asks for, both in `datacenter`: then it overlaps with all that `least` does."""
    more, less = _needs(level, datacenter, replication), _needs(least, datacenter, replication)
    if more is None or less is None:
        return level == least
    return more.total >= less.total and all(a >= b for a, b in zip(more.each, less.each, strict=True))
