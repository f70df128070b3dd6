"""In which order the endpoints that are left are tried. Pure.

1. The regions that the request names, the local region, the replica that this session read last, then by round trip. Those that
   are equal so far by load: of the proved ones, those within the latency window of the nearest.
2. With weights: the replica that this session read last, then the fewest calls for its weight.
3. Endpoints that have just recovered come last until their hold-down is over.
4. Weights share out the calls that had a choice. Writes and calls of other weights do not count, and an endpoint that could not
   have been taken is owed nothing: it goes on from where the others stand, else it would get nearly all calls on its return.
5. They are counted in a window that slides: what is older counts half, again and again. What one region was given beside its
   share, for example by sessions that stay where they read, is made up for within a window or two, and no longer.
"""

from __future__ import annotations

from collections.abc import Sequence

from regionkit.core.deadline import FOREVER
from regionkit.facts.request import Request
from regionkit.routing.snapshot import Snapshot
from regionkit.routing.verdict import Verdict

__all__ = ["WINDOW", "counted", "ordered", "spread"]

WINDOW = 100.0
"""Calls of the lightest region in a window, the others' in proportion: shares are kept to one in a hundred, and 8 : 1 : 1 is
evened out within some 1,000 calls."""


def ordered(
    snapshot: Snapshot,
    request: Request,
    eligible: list[int],
    now: float,
    loads: Sequence[int],
    verdicts: tuple[Verdict, ...],
    starts: Sequence[float],
) -> tuple[list[int], bool]:
    """Eligible endpoints by preference, and whether load chose the first among equals."""
    if len(eligible) == 1:
        return eligible, False
    endpoints, local, pin, regions = snapshot.endpoints, snapshot.local, request.pin, request.regions
    ranks = []
    for i in eligible:
        e = endpoints[i]
        near: int | bool = e.region != local
        if regions:
            near = regions.index(e.region) if e.region in regions else len(regions) + near
        ranks.append((e.held_until > now, near, i != pin, FOREVER if e.rtt is None else e.rtt, i))
    ranks.sort()
    order = [rank[4] for rank in ranks]
    first, second = ranks[0], ranks[1]
    if not first[2] or second[:3] != first[:3]:
        return order, False
    group = [rank for rank in ranks if rank[:3] == first[:3]]
    proved = [rank for rank in group if verdicts[rank[4]].refused_by is None] or group
    window = proved[0][3] + request.latency_window
    equals = [rank[4] for rank in proved if rank[3] <= window]
    equals.sort(key=lambda i: (loads[i], starts[i] if starts else 0.0))
    return equals + [i for i in order if i not in equals], len(equals) > 1


def spread(
    snapshot: Snapshot,
    request: Request,
    eligible: list[int],
    now: float,
    calls: Sequence[float],
    starts: Sequence[float],
) -> list[int]:
    """Eligible endpoints by weight: the fewest calls for its weight first; those without weight last, nearest first.

    `calls`: as `counted` counts them, for these weights.
    """
    endpoints, weights = snapshot.endpoints, dict(request.weights)

    def rank(i: int) -> tuple[bool, bool, float, float, int]:
        e = endpoints[i]
        weight = weights.get(e.region)
        share = FOREVER if weight is None else (calls[i] + (starts[i] if starts else 1.0)) / weight
        return (e.held_until > now, i != request.pin, share, FOREVER if e.rtt is None else e.rtt, i)

    return sorted(eligible, key=rank)


def counted(
    calls: Sequence[float],
    snapshot: Snapshot,
    request: Request,
    verdicts: Sequence[Verdict],
    index: int,
    now: float,
    starts: Sequence[float] = (),
) -> list[float]:
    """The calls of some weights after one more at endpoint `index`. Those passed over for want of a proof or of health, or held
    down, are lifted to the lowest share of those that could have been taken. `starts`: as for `spread`.
    """
    weights, now_counted = dict(request.weights), list(calls)
    now_counted[index] += 1.0
    shares: dict[int, float] = {}
    away: list[tuple[int, float]] = []
    for i, (e, verdict) in enumerate(zip(snapshot.endpoints, verdicts, strict=True)):
        weight = weights.get(e.region)
        if weight is None:
            continue
        if i == index or (verdict.refused_by is None and e.held_until <= now):
            shares[i] = now_counted[i] / weight
        else:
            away.append((i, weight))
    floor = min(shares.values(), default=0.0)
    for i, weight in away:
        now_counted[i] = max(now_counted[i], floor * weight)
    if sum(now_counted) > WINDOW * sum(weights.values()) / min(weights.values()):
        begins = starts or [0.0] * len(now_counted)  # with them halved, who comes next is who came next before
        now_counted = [max(0.0, (c + s) / 2.0 - s) for c, s in zip(now_counted, begins, strict=True)]
    return now_counted
