"""Rules about MySQL's settings. Sources: MySQL manual, "Replication with Global Transaction Identifiers", "Server System
Variables", "XA Transactions". Settings have the names of MySQL 8.4. Pure.

A replica without read_only reports to be a primary, so it is fenced. Whether it is still a replica its replication threads say,
where the account may see them; else it may as well have been promoted, and the finding says both.
"""

from __future__ import annotations

from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts, Facts
from regionkit.cli.doctor.findings import Finding, Severity
from regionkit.cli.doctor.rules_binlog import OFF, binlog_format, durable, replication, semi_synchronous, server_ids

__all__ = ["mysql"]

BRANCHES = "tpc_branch"
"""The table of transactions that is where their branches run."""
LONGEST_IDLE = 3600
"""Seconds of wait_timeout that are worth a note: locks of a client that was cut off should not outlast an hour."""
SEMI = ("rpl_semi_sync_source_enabled", "rpl_semi_sync_source_clients", "rpl_semi_sync_source_status")


def mysql(facts: Facts) -> Iterator[Finding]:
    """Of every MySQL endpoint."""
    ours = [e for e in facts.endpoints if e.examined is not None and e.examined.server == "mysql"]
    for e in ours:
        has_copies = len(facts.of(e.store, e.partition)) > 1
        yield from _log(e)
        yield from _gtids(e, has_copies)
        yield from binlog_format(e)
        yield from _writable(e)
        if _is_replica(e):
            yield from _replica(e)
            yield from replication(e)
        else:
            yield from durable(e)
            yield from _primary(e)
        yield from _rights(e)
        yield from semi_synchronous(
            e, SEMI, "SET GLOBAL rpl_semi_sync_replica_enabled = ON on a replica, and restart its replication."
        )
    for store in dict.fromkeys(e.store for e in ours):
        of_store = [e for e in ours if e.store == store]
        yield from server_ids(
            of_store,
            "server_id",
            "a server skips what its own id has written, so the two do not replicate from each other.",
            "give each server an id of its own.",
        )
        yield from server_ids(
            of_store,
            "server_uuid",
            "both count their transactions under it, so positions of the two are mixed up.",
            "stop the server that was cloned, remove auto.cnf from its data, and start it.",
        )


def _is_replica(e: EndpointFacts) -> bool:
    """By what it reports, by its threads, or, where it is fenced, by the topology."""
    return not e.is_primary or bool(e.setting("receives")) or (e.declared == "replica" and _is_fenced(e))


def _is_fenced(e: EndpointFacts) -> bool:
    return e.state.startswith("fenced")


def _log(e: EndpointFacts) -> Iterator[Finding]:
    if not _is_replica(e) and e.setting("log_bin") in OFF:
        yield Finding(
            "D411",
            "error",
            e.subject,
            "log_bin is off.",
            "its transactions get no GTID, so nothing tells the position of a COMMIT, and no replica can follow.",
            "remove skip-log-bin (disable-log-bin) from the server's file, and restart it.",
        )
    elif _is_replica(e) and (e.setting("log_bin") in OFF or e.setting("log_replica_updates") in OFF):
        name = "log_bin" if e.setting("log_bin") in OFF else "log_replica_updates"
        yield Finding(
            "D411",
            "warning",
            e.subject,
            f"{name} is off on a replica.",
            "after a promotion of this server no replica can follow it.",
            "set log_bin and log_replica_updates (before 8.0.26: log_slave_updates) in its file, and restart it.",
        )


def _gtids(e: EndpointFacts, has_copies: bool) -> Iterator[Finding]:
    mode = e.setting("gtid_mode")
    if not mode or mode == "on":
        return
    severity: Severity = "error" if has_copies else "note"
    consistent = e.setting("enforce_gtid_consistency").upper() or "unknown"
    yield Finding(
        "D412",
        severity,
        e.subject,
        f"gtid_mode is {mode.upper()}, and enforce_gtid_consistency is {consistent}.",
        "nothing is proved about copies: SESSION and BOUNDED reads go to the primary.",
        "on every server, one step after the other: SET GLOBAL enforce_gtid_consistency = ON; SET GLOBAL gtid_mode = "
        "OFF_PERMISSIVE, then ON_PERMISSIVE, then ON; and set both in the server's file.",
    )


def _writable(e: EndpointFacts) -> Iterator[Finding]:
    """Of what the topology calls a replica, or what replicates."""
    if e.setting("read_only") in OFF and e.setting("super_read_only") not in ("on", "1"):
        replicates = bool(e.setting("receives"))
        if not replicates and not (e.declared == "replica" and _is_fenced(e)):
            return
        yield Finding(
            "D413",
            "error",
            e.subject,
            "read_only is off on a replica."
            if replicates
            else "read_only is off on what the topology calls a replica.",
            "it reports to be a primary, so it is fenced; and a write there makes it differ from its primary.",
            "SET GLOBAL super_read_only = ON, and set it in the server's file."
            if replicates
            else "if it is a replica: SET GLOBAL super_read_only = ON, and set it in its file. If it was promoted: "
            "`regionkit adopt`.",
        )
    elif e.setting("read_only") in ("on", "1") and e.setting("super_read_only") in OFF:
        yield Finding(
            "D413",
            "note",
            e.subject,
            "super_read_only is off on a replica.",
            "an administrator's write there gets a GTID of its own, which the primary does not have.",
            "SET GLOBAL super_read_only = ON, and set it in the server's file.",
        )


def _replica(e: EndpointFacts) -> Iterator[Finding]:
    if e.setting("uses_gtid") == "no":
        yield Finding(
            "D412",
            "warning",
            e.subject,
            "it replicates by file and offset, not by GTID.",
            "after a promotion it cannot find its place in another server's log.",
            "STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION = 1 (before 8.0.23: CHANGE MASTER TO "
            "MASTER_AUTO_POSITION = 1); START REPLICA;",
        )
    workers = e.setting("replica_parallel_workers")
    if workers.isdecimal() and int(workers) > 1 and e.setting("replica_preserve_commit_order") in OFF:
        yield Finding(
            "D417",
            "warning",
            e.subject,
            f"{workers} workers apply, and replica_preserve_commit_order is off.",
            "a read there may see a transaction without one that was committed before it, and proofs come later.",
            "STOP REPLICA SQL_THREAD; SET GLOBAL replica_preserve_commit_order = ON (before 8.0.26: "
            "slave_preserve_commit_order); START REPLICA SQL_THREAD; and set it in the server's file.",
        )


def _primary(e: EndpointFacts) -> Iterator[Finding]:
    seconds = e.setting("wait_timeout")
    if seconds.isdecimal() and int(seconds) > LONGEST_IDLE:
        yield Finding(
            "D418",
            "note",
            e.subject,
            f"wait_timeout is {int(seconds) / 3600:g} hours.",
            "a transaction whose client was cut off keeps its locks that long: MySQL does not end it earlier.",
            "SET GLOBAL wait_timeout = 600, and set it in the server's file.",
        )


def _rights(e: EndpointFacts) -> Iterator[Finding]:
    assert e.examined is not None
    rights, account = e.examined.rights, e.examined.account
    if "past read_only" in rights:
        stops = e.setting("super_read_only") in ("on", "1")
        yield Finding(
            "D504",
            "warning" if stops or not _is_replica(e) else "error",
            e.subject,
            f"{account} has SUPER or CONNECTION_ADMIN.",
            "it writes to a replica in spite of read_only; only super_read_only stops it.",
            f"REVOKE SUPER, CONNECTION_ADMIN ON *.* FROM {account};",
        )
    recovers = "recovers branches" in rights or "known" not in rights
    if not _is_replica(e) and BRANCHES in (e.examined.tables or {}) and not recovers:
        yield Finding(
            "D508",
            "error",
            e.subject,
            f"{account} lacks XA_RECOVER_ADMIN, and global transactions keep tables here.",
            "recovery cannot list prepared branches, and what is left in doubt keeps its locks.",
            f"GRANT XA_RECOVER_ADMIN ON *.* TO {account};",
        )
