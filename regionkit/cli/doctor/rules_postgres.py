"""Rules about PostgreSQL's settings. Sources: PostgreSQL manual, "Replication", "Write Ahead Log", "Hot Standby". Pure."""

from __future__ import annotations

from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts, Facts
from regionkit.cli.doctor.findings import Finding
from regionkit.cli.doctor.rules_sql import delayed

__all__ = ["postgres"]

BRANCHES = "tpc_branch"
"""The table of transactions in the databases of their branches."""
MANY_BYTES = 1 << 30
"""Bytes that an unused slot keeps before it is a warning: a standby that was restarted fetches them within a minute."""
MODERN = ("replica", "logical")


def postgres(facts: Facts) -> Iterator[Finding]:
    """Of every PostgreSQL endpoint."""
    for e in facts.endpoints:
        if e.examined is None or e.examined.server != "postgresql":
            continue
        has_copies = len(facts.of(e.store, e.partition)) > 1
        yield from _durable(e)
        if e.is_primary:
            yield from _primary(e, has_copies)
        else:
            yield from _replica(facts, e)
        yield from _rights(e, has_copies)


def _durable(e: EndpointFacts) -> Iterator[Finding]:
    for name, harm in (("fsync", "loses or damages data"), ("full_page_writes", "damages data")):
        if e.setting(name) == "off":
            yield Finding(
                "D404",
                "error",
                e.subject,
                f"{name} is off.",
                f"a crash of the machine {harm} that was acknowledged.",
                f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();",
            )
    if e.is_primary and e.setting("synchronous_commit") == "off":
        yield Finding(
            "D404",
            "warning",
            e.subject,
            "synchronous_commit is off.",
            "a crash of the server loses its last acknowledged commits.",
            "ALTER SYSTEM SET synchronous_commit = on, unless that loss is accepted.",
        )


def _primary(e: EndpointFacts, has_copies: bool) -> Iterator[Finding]:
    assert e.examined is not None
    level = e.setting("wal_level")
    if level and level not in MODERN:
        yield Finding(
            "D401",
            "warning",
            e.subject,
            f"wal_level is {level}.",
            "no replica can follow this server, and it cannot be restored to a point in time.",
            "ALTER SYSTEM SET wal_level = replica, and restart the server.",
        )
    if e.setting("max_prepared_transactions") == "0" and BRANCHES in (e.examined.tables or {}):
        yield Finding(
            "D403",
            "error",
            e.subject,
            "max_prepared_transactions is 0, and global transactions keep tables here.",
            "PREPARE TRANSACTION is refused: such a transaction raises TransactionAborted.",
            "ALTER SYSTEM SET max_prepared_transactions = 64 (the same on every replica), and restart.",
        )
    if e.setting("synchronous_standby_names") and e.setting("sync_standbys") == "0":
        yield Finding(
            "D405",
            "error",
            e.subject,
            "synchronous_standby_names names standbys, and none of them is connected.",
            "each commit waits until its deadline.",
            "bring the standby back, or empty synchronous_standby_names.",
        )
    lost = e.setting("lost_slots")
    for slot in filter(None, e.setting("idle_slots").split(",")):
        name, _, kept = slot.rpartition(":")
        is_lost, large = name in lost.split(","), int(kept or 0) > MANY_BYTES
        yield Finding(
            "D406",
            "warning" if is_lost or large else "note",
            e.subject,
            f"replication slot {name} has no consumer and keeps {int(kept or 0) / 1e6:.0f} MB"
            + (", and it is invalid." if is_lost else "."),
            "the server keeps WAL for it until the disk is full.",
            f"let its standby connect again, or SELECT pg_drop_replication_slot('{name}');",
        )


def _replica(facts: Facts, e: EndpointFacts) -> Iterator[Finding]:
    delay = e.setting("max_standby_streaming_delay")
    if e.setting("hot_standby_feedback") == "off" and delay:
        short = 0 <= int(delay) / 1000.0 < facts.profile.read_deadline
        yield Finding(
            "D402",
            "warning" if short else "note",
            e.subject,
            f"hot_standby_feedback is off, and max_standby_streaming_delay {int(delay) / 1000.0:g} s.",
            f"reads here that take longer than that are cancelled; read_deadline is {facts.profile.read_deadline:g} s.",
            "ALTER SYSTEM SET hot_standby_feedback = on, on the replica; or raise the delay.",
        )
    if e.setting("replay_paused") == "on":
        yield Finding(
            "D407",
            "error",
            e.subject,
            "its replay is paused.",
            "it shows nothing new, and a failover to it loses later commits.",
            "SELECT pg_wal_replay_resume();",
        )
    elif e.setting("receives") == "off":
        yield Finding(
            "D407",
            "error",
            e.subject,
            "it receives nothing from a primary.",
            "it shows nothing new. (A standby that only reads an archive is always far behind.)",
            "check primary_conninfo and the log of the standby.",
        )
    if e.setting("recovery_min_apply_delay") not in ("", "0"):
        seconds = int(e.setting("recovery_min_apply_delay")) / 1000.0
        yield delayed(e, f"recovery_min_apply_delay is {seconds:g} s.")


def _rights(e: EndpointFacts, has_copies: bool) -> Iterator[Finding]:
    assert e.examined is not None
    rights = e.examined.rights
    if "everything" in rights or not rights or not e.is_primary:
        return
    if has_copies and "replication" not in rights:
        yield Finding(
            "D506",
            "note",
            e.subject,
            f"{e.examined.account} lacks REPLICATION.",
            "after a promotion the new primary takes no writes until an operator runs `regionkit adopt`.",
            f'ALTER ROLE "{e.examined.account}" REPLICATION; and a replication line in pg_hba.conf.',
        )
    if e.setting("synchronous_standby_names") and "reads statistics" not in rights:
        yield Finding(
            "D507",
            "warning",
            e.subject,
            f"{e.examined.account} lacks pg_read_all_stats, and commits wait for a standby.",
            "waiting commits of other accounts are not visible, so what the standby shows is not proved.",
            f'GRANT pg_read_all_stats TO "{e.examined.account}";',
        )
