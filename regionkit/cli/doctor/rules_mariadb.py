"""Rules about MariaDB's settings. Sources: MariaDB documentation, "Replication", "GTID", "Semisynchronous Replication". Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts, Facts
from regionkit.cli.doctor.findings import Finding

__all__ = ["mariadb"]

ON, OFF = ("on", "1", "yes"), ("off", "0", "no")


def mariadb(facts: Facts) -> Iterator[Finding]:
    """Of every MariaDB endpoint."""
    ours = [e for e in facts.endpoints if e.examined is not None and e.examined.server == "mariadb"]
    for e in ours:
        yield from _log(e)
        yield from _durable(e)
        yield from _rights(e)
        if not e.is_primary:
            yield from _replica(e)
        yield from _semi_synchronous(e)
    for store in dict.fromkeys(e.store for e in ours):
        yield from _server_ids([e for e in ours if e.store == store])


def _log(e: EndpointFacts) -> Iterator[Finding]:
    alone = "the position of a COMMIT is its GTID, which stands in the binary log."
    if e.setting("log_bin") in OFF:
        yield Finding(
            "D411", "error", e.subject, "log_bin is off.", alone, "set log_bin in the server's file, and restart it."
        )
    elif not e.is_primary and e.setting("log_slave_updates") in OFF:
        yield Finding(
            "D411",
            "error",
            e.subject,
            "log_slave_updates is off.",
            "the replica's binary log does not know what it has applied, so nothing proves what it shows.",
            "set log_slave_updates = ON, and restart the replica.",
        )
    if e.setting("binlog_format") not in ("", "row"):
        yield Finding(
            "D411",
            "warning",
            e.subject,
            f"binlog_format is {e.setting('binlog_format').upper()}.",
            "a statement may do something else on a replica than on its primary.",
            "SET GLOBAL binlog_format = ROW, and set it in the server's file.",
        )
    if e.setting("gtid_strict_mode") in OFF:
        yield Finding(
            "D412",
            "warning",
            e.subject,
            "gtid_strict_mode is off.",
            "a server may take transactions out of order, and then two histories have the same positions.",
            "SET GLOBAL gtid_strict_mode = ON, and set it in the server's file.",
        )


def _durable(e: EndpointFacts) -> Iterator[Finding]:
    if not e.is_primary:
        return
    for name in ("sync_binlog", "innodb_flush_log_at_trx_commit"):
        if e.setting(name) not in ("", "1"):
            yield Finding(
                "D404",
                "warning",
                e.subject,
                f"{name} is {e.setting(name)}.",
                "a crash of the machine loses commits that were acknowledged, or that replicas have already.",
                f"SET GLOBAL {name} = 1, and set it in the server's file.",
            )


def _replica(e: EndpointFacts) -> Iterator[Finding]:
    assert e.examined is not None
    if e.setting("read_only") in OFF:
        yield Finding(
            "D413",
            "error",
            e.subject,
            "read_only is off on a replica.",
            "whoever writes there makes it differ from its primary, and replication stops.",
            "SET GLOBAL read_only = ON, and set it in the server's file.",
        )
    stopped = [
        name for name in ("receives", "applies") if e.setting(name) not in ("", "yes", "connecting", "preparing")
    ]
    if stopped or e.setting("replication_error"):
        said = e.examined.settings.get("replication_error", "")
        what = {"receives": "the thread that receives", "applies": "the thread that applies"}
        threads = " and ".join(what[name] for name in stopped) or "its replication"
        yield Finding(
            "D415",
            "error",
            e.subject,
            f"{threads} stands still{f': {said}' if said else ''}.",
            "it shows nothing new.",
            "SHOW REPLICA STATUS says why; START REPLICA goes on.",
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


def _semi_synchronous(e: EndpointFacts) -> Iterator[Finding]:
    if not e.is_primary or e.setting("rpl_semi_sync_master_enabled") not in ON:
        return
    if e.setting("rpl_semi_sync_master_clients") == "0" or e.setting("rpl_semi_sync_master_status") in OFF:
        yield Finding(
            "D416",
            "warning",
            e.subject,
            "semi-synchronous replication is on, and no replica answers to it.",
            "commits are asynchronous now: a failover may lose them.",
            "SET GLOBAL rpl_semi_sync_slave_enabled = ON on a replica, and restart its replication.",
        )


def _server_ids(endpoints: list[EndpointFacts]) -> Iterator[Finding]:
    hosts = {e.host: e for e in endpoints}.values()  # one server may hold several partitions
    count = Counter(e.setting("server_id") for e in hosts)
    for e in hosts:
        number = e.setting("server_id")
        if number and count[number] > 1:
            yield Finding(
                "D414",
                "error",
                e.subject,
                f"its server_id {number} is another server's, too.",
                "a server skips what its own id has written, so the two do not replicate from each other.",
                "give each server an id of its own.",
            )
