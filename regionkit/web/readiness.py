"""Whether a process may be given requests, as a balancer asks. Pure.

1. A store is proved while one of its endpoints, wherever it is, has answered, has told its position, and is refused by
   nothing (residency, fencing, a breaker). Of a partitioned store each partition has to be.
2. A process is ready once every store has been proved since it runs; a store that the topology gains later counts too.
3. It stays ready: a store that is down everywhere is down for every process, and taking all of them out of the balancer
   takes down what does not need that store. `?now` asks for this moment.
4. Closed: not ready.
5. The body names stores, partitions and regions, never an address or an error's text: anybody may read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from regionkit.routing.status import EndpointStatus

__all__ = ["CLOSED", "Readiness", "readiness"]

OF_READINESS = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
"""Headers of such an answer."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """An answer, and the sources (store and partition) that were ever proved."""

    status: int
    body: bytes
    proved: frozenset[tuple[str, str]]


CLOSED = Readiness(503, b'{"ready":false,"why":"the kit is closed"}', frozenset())
"""Rule 4."""


def readiness(
    local: str, endpoints: Iterable[EndpointStatus], proved: frozenset[tuple[str, str]], *, now: bool
) -> Readiness:
    """What to answer, from what `kit.status()` says. `proved`: sources that earlier answers found so. `now`: rule 3."""
    regions: dict[tuple[str, str], dict[str, str]] = {}
    here: set[tuple[str, str]] = set()
    for e in endpoints:
        source = (e.store, e.partition)
        up = e.state == "up"
        known = regions.setdefault(source, {})
        if up or e.region not in known:
            known[e.region or "unknown"] = "up" if up else _in_a_word(e.state)
        if up:
            here.add(source)
    proved = proved | here
    counts = here if now else proved
    stores = [
        {"store": store, "partition": partition, "ready": (store, partition) in counts, "regions": found}
        for (store, partition), found in regions.items()
    ]
    ready = all(source in counts for source in regions)
    body = {"ready": ready, "local": local, "stores": stores}
    return Readiness(200 if ready else 503, msgspec.json.encode(body), proved & regions.keys())


def _in_a_word(state: str) -> str:
    """A state without what follows it: reasons hold addresses."""
    for word in ("refused by residency", "fenced", "not seen yet"):
        if state.startswith(word):
            return word
    return "down"
