"""Rules about what regionkit keeps beside the data. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts, Facts
from regionkit.cli.doctor.findings import Finding

__all__ = ["tables"]


def tables(facts: Facts) -> Iterator[Finding]:
    """Of each endpoint that takes writes: copies show what it has."""
    leaderless = {store.name for store in facts.stores.values() if store.leaderless}
    once: set[str] = set()
    for e in facts.endpoints:
        if e.found not in ("owner", "any") or e.examined is None:
            continue
        if e.store in leaderless and e.store in once:
            continue  # the data centres of a cluster have the same tables
        once.add(e.store)
        yield from _missing(facts, e)
        yield from _versions(facts, e)
        yield from _writers(e)


def _family(facts: Facts, e: EndpointFacts) -> str:
    store = facts.stores.get(e.store)
    server = "" if e.examined is None else e.examined.server
    return server if server == "sqlite" else "" if store is None else store.backend


def _missing(facts: Facts, e: EndpointFacts) -> Iterator[Finding]:
    assert e.examined is not None
    wanted = facts.tables.get(_family(facts, e), {})
    there = e.examined.tables or {}
    missing = sorted(name for name in wanted if name not in there)
    if missing:
        yield Finding(
            "D601",
            "warning",
            e.subject,
            f"it lacks regionkit's tables {', '.join(missing)}.",
            'without a history, bookmarks say "read from the owner", and promotions are not recognised; '
            "idempotency keys are refused.",
            "call kit.create_tables() once, and at each deployment.",
        )


def _versions(facts: Facts, e: EndpointFacts) -> Iterator[Finding]:
    assert e.examined is not None
    for name, version in sorted((e.examined.tables or {}).items()):
        want = facts.known.get(name)
        if want is None or version == want:
            continue
        newer = version > want
        yield Finding(
            "D602",
            "error",
            e.subject,
            f"table {name} has version {version}, and this regionkit needs {want}.",
            "a newer regionkit changed it." if newer else "an older regionkit made it.",
            "update this application's regionkit."
            if newer
            else "run the migration that the changelog names, then kit.create_tables().",
        )


def _writers(e: EndpointFacts) -> Iterator[Finding]:
    assert e.examined is not None
    if e.examined.writers:
        yield Finding(
            "D603",
            "warning",
            e.subject,
            f"other accounts may write the tables of regionkit: {', '.join(e.examined.writers)}.",
            "a row that others change there breaks promises: histories, idempotency keys, placements.",
            "revoke their rights on the tables NAMESPACE_rk_..., unless they run the same application.",
        )
