"""Rules about MariaDB's settings. Sources: MariaDB documentation, "Replication", "GTID", "Semisynchronous Replication". Pure."""

from __future__ import annotations

from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts, Facts
from regionkit.cli.doctor.findings import Finding
from regionkit.cli.doctor.rules_binlog import OFF, binlog_format, durable, replication, semi_synchronous, server_ids

__all__ = ["mariadb"]

SEMI = ("rpl_semi_sync_master_enabled", "rpl_semi_sync_master_clients", "rpl_semi_sync_master_status")


def mariadb(facts: Facts) -> Iterator[Finding]:
    """Of every MariaDB endpoint."""
    ours = [e for e in facts.endpoints if e.examined is not None and e.examined.server == "mariadb"]
    for e in ours:
        yield from _log(e)
        yield from binlog_format(e)
        yield from _rights(e)
        if e.is_primary:
            yield from durable(e)
        else:
            yield from _replica(e)
            yield from replication(e)
        yield from semi_synchronous(
            e, SEMI, "SET GLOBAL rpl_semi_sync_slave_enabled = ON on a replica, and restart its replication."
        )
    for store in dict.fromkeys(e.store for e in ours):
        yield from server_ids(
            [e for e in ours if e.store == store],
            "server_id",
            "a server skips what its own id has written, so the two do not replicate from each other.",
            "give each server an id of its own.",
        )


def _log(e: EndpointFacts) -> Iterator[Finding]:
    if e.setting("log_bin") in OFF:
        yield Finding(
            "D411",
            "error",
            e.subject,
            "log_bin is off.",
            "the position of a COMMIT is its GTID, which only the binary log gives it.",
            "set log_bin in the server's file, and restart it.",
        )
    elif not e.is_primary and e.setting("log_slave_updates") in OFF:
        yield Finding(
            "D411",
            "error",
            e.subject,
            "log_slave_updates is off.",
            "the replica's binary log does not contain what it has applied, so nothing proves what it shows.",
            "set log_slave_updates = ON, and restart the replica.",
        )
    if e.setting("gtid_strict_mode") in OFF:
        yield Finding(
            "D412",
            "warning",
            e.subject,
            "gtid_strict_mode is off.",
            "a server may accept transactions out of order, and then two histories have the same positions.",
            "SET GLOBAL gtid_strict_mode = ON, and set it in the server's file.",
        )


def _replica(e: EndpointFacts) -> Iterator[Finding]:
    if e.setting("read_only") in OFF:
        yield Finding(
            "D413",
            "error",
            e.subject,
            "read_only is off on a replica.",
            "a write there makes it differ from its primary, and replication stops.",
            "SET GLOBAL read_only = ON, and set it in the server's file.",
        )
    if e.setting("uses_gtid") == "no":
        yield Finding(
            "D412",
            "error",
            e.subject,
            "it replicates by file and offset, not by GTID.",
            "its GTIDs do not say what it has applied.",
            "STOP REPLICA; CHANGE MASTER TO master_use_gtid = slave_pos; START REPLICA;",
        )


def _rights(e: EndpointFacts) -> Iterator[Finding]:
    assert e.examined is not None
    if "past read_only" in e.examined.rights:
        yield Finding(
            "D504",
            "error",
            e.subject,
            f"{e.examined.account} has SUPER or READ_ONLY ADMIN.",
            "it writes to a replica in spite of read_only, and replication then stops.",
            f"REVOKE SUPER, READ_ONLY ADMIN ON *.* FROM {e.examined.account};",
        )
