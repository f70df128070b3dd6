"""The state of every store and endpoint as one process sees it: a table for people, plain data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from regionkit.facts.request import Kind
from regionkit.routing.hotkeys import HotKey
from regionkit.routing.snapshot import EndpointState
from regionkit.routing.store_state import StoreState

__all__ = ["EndpointStatus", "Status", "status_of"]


REFUSED = "refused by residency"


class EndpointStatus(msgspec.Struct, frozen=True):
    """One endpoint. `partition`: of the shard that it belongs to, "" where there is one.

    `lag`: seconds it may be behind, None when not known; `rtt`: seconds; `state`: in words; `advice`: what to do about an
    endpoint that does not answer, "" where there is nothing to say; `server`: what it is, where its URL does not tell
    ("MySQL 8.0.36", "MariaDB 10.11.6"), "" elsewhere or before it has answered.
    """

    store: str
    endpoint: str
    region: str
    role: str
    state: str
    lag: float | None
    rtt: float | None
    epoch: int | None
    read_breaker: str
    write_breaker: str
    in_flight: int
    partition: str = ""
    advice: str = ""
    server: str = ""


class Status(msgspec.Struct, frozen=True):
    """All endpoints of all stores, as seen from `local`."""

    local: str
    endpoints: tuple[EndpointStatus, ...]
    hot_keys: dict[str, tuple[HotKey, ...]] = {}
    caches: dict[str, dict[str, Any]] = {}

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON. Its keys are stable."""
        return {
            "local": self.local,
            "endpoints": [msgspec.structs.asdict(e) for e in self.endpoints],
            "hot_keys": {source: [msgspec.structs.asdict(k) for k in keys] for source, keys in self.hot_keys.items()},
            "caches": self.caches,
        }

    def __str__(self) -> str:
        heads: tuple[str, ...] = ("store", "endpoint", "role", "state", "lag", "rtt", "epoch")
        rows = [heads, *(_row(e, self.local) for e in self.endpoints)]
        if any(e.server for e in self.endpoints):
            heads = (*heads, "server")
            rows = [heads, *((*row, e.server) for row, e in zip(rows[1:], self.endpoints, strict=True))]
        widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
        lines = ["  ".join(f"{text:<{w}}" for text, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        for advice in dict.fromkeys(e.advice for e in self.endpoints if e.advice):
            ids = ", ".join(dict.fromkeys(f"{e.store} {e.endpoint}" for e in self.endpoints if e.advice == advice))
            lines.append(f"{ids}: {advice}")
        for source, keys in self.hot_keys.items():
            lines += [f"hot in {source}: {k.key} has {k.share * 100:.0f} % of the calls" for k in keys]
        for cache, told in self.caches.items():
            lines.append(
                f"cache {cache}: {told['local_hits']} local and {told['shared_hits']} shared hits, {told['loads']} loads, "
                f"{told['refused_fills']} refused fills, {told['local_items']} items here"
            )
        if len({e.store for e in self.endpoints}) > 1:
            lines += ["", self.drawing()]
        return "\n".join(lines)

    __repr__ = __str__

    def drawing(self) -> str:
        """Regions by stores, one letter an endpoint.

        P owns what it holds; p reports to be primary and does not own; r copies; * takes writes like any other (Cassandra);
        in brackets: down, fenced or not seen yet; x: refused by residency; . nothing there.
        """
        stores = list(dict.fromkeys(e.store for e in self.endpoints))
        regions = list(dict.fromkeys(e.region or "?" for e in self.endpoints))
        rows = [("", *stores)]
        for region in regions:
            cells = (
                " ".join(_letter(e) for e in self.endpoints if e.store == store and (e.region or "?") == region) or "."
                for store in stores
            )
            rows.append((region + (" (here)" if region == self.local else ""), *cells))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return "\n".join(
            "  ".join(f"{text:<{w}}" for text, w in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def _letter(e: EndpointStatus) -> str:
    if e.state == REFUSED:
        return "x"
    letter = {"owner": "P", "primary": "p", "any": "*"}.get(e.role, "r")
    return letter if e.state == "up" else f"({letter})"


def _row(e: EndpointStatus, local: str) -> tuple[str, ...]:
    return (
        e.store,
        e.endpoint + (" (here)" if e.region == local else ""),
        e.role,
        e.state,
        "" if e.lag is None else f"{e.lag * 1000:.0f} ms",
        "" if e.rtt is None else f"{e.rtt * 1000:.1f} ms",
        "" if e.epoch is None else str(e.epoch),
    )


def status_of(
    stores: Iterable[StoreState],
    local: str,
    now: float,
    hot_keys: Mapping[str, tuple[HotKey, ...]] | None = None,
    caches: Mapping[str, dict[str, Any]] | None = None,
) -> Status:
    """The status of what is observed at `now` (monotonic seconds). `hot_keys` by source, `caches` by name."""
    rows = []
    for state in stores:
        snapshot = state.snapshot
        for index, e in enumerate(snapshot.endpoints):
            lineage = None if e.observation is None else e.observation.lineage
            lag = 0.0 if index == snapshot.owner and e.observation is not None else None
            if index != snapshot.owner and e.fresh_at is not None:
                lag = max(0.0, now - e.fresh_at)
            rows.append(
                EndpointStatus(
                    store=snapshot.store,
                    endpoint=e.id,
                    region=e.region,
                    role="owner" if index == snapshot.owner else "any" if snapshot.leaderless else e.role.value,
                    state=_state(e),
                    lag=lag,
                    rtt=e.rtt,
                    epoch=None if lineage is None else lineage.current.epoch,
                    read_breaker=state.breaker(index, Kind.READ).state.value,
                    write_breaker=state.breaker(index, Kind.WRITE).state.value,
                    in_flight=state.loads[index],
                    partition=state.shard.name,
                    advice=e.advice or e.remedy if e.allowed or not e.region else "",
                    server="" if e.observation is None else e.observation.server,
                )
            )
    return Status(local, tuple(rows), dict(hot_keys or {}), dict(caches or {}))


def _state(e: EndpointState) -> str:
    if not e.allowed and e.region:
        return REFUSED
    if e.barred:
        return f"fenced: {e.barred}"
    if e.read_open or e.write_open:
        return e.read_open or e.write_open
    if e.observation is not None:
        return "up"
    return f"not seen yet: {e.trouble}" if e.trouble else "not seen yet"
