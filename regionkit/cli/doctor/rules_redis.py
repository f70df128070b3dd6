"""Rules about Redis and Valkey. Sources: Redis documentation, "Key eviction", "Persistence", "Replication". Pure."""

from __future__ import annotations

from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts, Facts
from regionkit.cli.doctor.findings import Finding

__all__ = ["redis"]


def redis(facts: Facts) -> Iterator[Finding]:
    """Of every Redis endpoint."""
    for e in facts.endpoints:
        if e.examined is None or e.examined.server not in ("redis", "valkey"):
            continue
        store = facts.stores.get(e.store)
        cache_only = store is not None and store.cache_only
        yield from _eviction(e, cache_only)
        yield from _persistence(e, cache_only)
        yield from _replication(e, len(facts.of(e.store, e.partition)) > 1)


def _eviction(e: EndpointFacts, cache_only: bool) -> Iterator[Finding]:
    policy = e.setting("maxmemory_policy")
    if not policy.startswith("allkeys"):
        return
    bounded = e.setting("maxmemory") not in ("", "0")
    if cache_only:
        what = "the account of a cache can be evicted: then each of its entries is a miss."
        fix = "CONFIG SET maxmemory-policy volatile-lfu"
    else:
        what = "when memory is full, it evicts regionkit's histories, idempotency keys and records, and their promises fail."
        fix = "CONFIG SET maxmemory-policy noeviction (or a volatile- one)"
    yield Finding(
        "D421",
        "warning" if cache_only and bounded else "error" if bounded else "note",
        e.subject,
        f"maxmemory-policy is {policy}{'' if bounded else ', and maxmemory is not set'}.",
        what,
        f"{fix}, and in the server's file.",
    )


def _persistence(e: EndpointFacts, cache_only: bool) -> Iterator[Finding]:
    assert e.examined is not None
    saves = e.examined.settings.get("save")
    if not cache_only and e.is_primary and e.setting("aof_enabled") == "0" and saves == "":
        yield Finding(
            "D422",
            "warning",
            e.subject,
            "it has neither an append-only file nor snapshots.",
            "after a restart it is empty: the data are lost, and writes raise Fenced until an operator adopts it.",
            "CONFIG SET appendonly yes, and in the server's file; or use the store only for caches.",
        )
    if e.setting("aof_enabled") == "1" and e.setting("appendfsync") == "no":
        yield Finding(
            "D422",
            "warning",
            e.subject,
            "appendfsync is no.",
            "a crash of the machine loses what the system has not written yet, up to about half a minute.",
            "CONFIG SET appendfsync everysec (or always), and in the server's file.",
        )
    failed = [name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if e.setting(name) == "err"]
    if failed:
        stops = e.setting("stop-writes-on-bgsave-error") != "no"
        yield Finding(
            "D423",
            "error",
            e.subject,
            f"its last write to disk failed ({', '.join(failed)}).",
            "its data are not on disk" + (", and it refuses writes." if stops else "."),
            "check its log: the disk is full, or the folder is not writable.",
        )


def _replication(e: EndpointFacts, has_copies: bool) -> Iterator[Finding]:
    if e.is_primary:
        if has_copies and e.setting("repl-backlog-ttl") not in ("", "0"):
            yield Finding(
                "D424",
                "note",
                e.subject,
                f"repl-backlog-ttl is {e.setting('repl-backlog-ttl')} s.",
                "if all replicas are disconnected that long, the primary changes its replication id, and older bookmarks say "
                '"read from the owner".',
                "CONFIG SET repl-backlog-ttl 0, and in the server's file.",
            )
        return
    if e.setting("slave_read_only") == "0":
        yield Finding(
            "D413",
            "error",
            e.subject,
            "replica-read-only is off.",
            "writes there are not on the primary, and they are lost at the next synchronisation.",
            "CONFIG SET replica-read-only yes, and in the server's file.",
        )
    if e.setting("master_link_status") == "down":
        yield Finding(
            "D415",
            "error",
            e.subject,
            "its link to the primary is down.",
            "it shows nothing new.",
            "check REPLICAOF, masterauth, and the network in between.",
        )
