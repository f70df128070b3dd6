"""Rules that hold for every SQL server: its connections, and time zones of one store's servers. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts, Facts
from regionkit.cli.doctor.findings import Finding

__all__ = ["delayed", "sql"]


def sql(facts: Facts) -> Iterator[Finding]:
    """Of every endpoint of a SQL store."""
    for e in facts.endpoints:
        yield from _connections(facts, e)
    for store in facts.stores:
        yield from _time_zones(facts.of(store))


def delayed(e: EndpointFacts, what: str) -> Finding:
    """Of a replica that is configured to apply late; `what` says how."""
    return Finding(
        "D407",
        "warning",
        e.subject,
        what,
        "it is always that far behind: SESSION reads after a write never use it.",
        "remove it from the topology, or set the delay to 0.",
    )


def _connections(facts: Facts, e: EndpointFacts) -> Iterator[Finding]:
    store, most = facts.stores.get(e.store), e.setting("max_connections")
    if store is None or not most or not store.pool_size:
        return
    usable = int(most) - int(e.setting("superuser_reserved_connections") or 0)
    wanted = 2 * store.pool_size + 1
    if wanted > usable:
        yield Finding(
            "D408",
            "warning",
            e.subject,
            f"one process may open {wanted} connections, and the server takes {usable}.",
            "the server refuses the rest under load: RegionUnavailable.",
            "lower options.pool_size and max_overflow, or raise max_connections; count every process.",
        )


def _time_zones(endpoints: list[EndpointFacts]) -> Iterator[Finding]:
    """Zones differ where a day in winter or in summer begins at another moment; names of one zone may differ."""
    known = [e for e in endpoints if e.setting("zone_days")]
    if not known:
        return
    first = next((e for e in known if e.is_primary), known[0])
    for e in known:
        if e.setting("zone_days") != first.setting("zone_days"):
            yield Finding(
                "D306",
                "warning",
                e.subject,
                f"its time zone is {_zone(e)}, and that of {first.endpoint} is {_zone(first)}.",
                "local times and dates of one TIMESTAMP depend on the server that a read uses.",
                "set one time zone, UTC, on all servers of the store.",
            )


def _zone(e: EndpointFacts) -> str:
    return "unknown" if e.examined is None else e.examined.settings.get("time_zone", "unknown")
