"""Whether a SQL server may lose what it acknowledged: one question to each kind of server, and what its answer means.

A log may not. A failover to a copy that acknowledged nothing loses decisions, and so does a server that does not flush.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

__all__ = ["DENIED", "QUESTIONS", "Risk", "Standing", "standing"]

_POSTGRES = """
SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_standby_names'),
  substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
  (SELECT count(*) FROM pg_stat_replication r WHERE r.state IS DISTINCT FROM 'backup' AND NOT EXISTS
    (SELECT 1 FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical'))
  + (SELECT count(*) FROM pg_replication_slots s WHERE s.slot_type = 'physical' AND NOT s.active AND NOT s.temporary),
  (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('{log}'))
"""
_FLUSHING = "'innodb_flush_log_at_trx_commit', 'innodb_flush_method', 'log_bin', 'sync_binlog'"
_MARIADB = (
    f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({_FLUSHING}, 'server_id', 'server_uid', 'server_uuid') "
    "OR Variable_name LIKE 'rpl_semi_sync_master%'",
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('Slaves_connected', 'Rpl_semi_sync_master_status')",
)
_MYSQL = (
    f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({_FLUSHING}, 'server_id', 'server_uuid') "
    "OR Variable_name LIKE 'rpl_semi_sync_master%' OR Variable_name LIKE 'rpl_semi_sync_source%'",
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('Rpl_semi_sync_master_status', 'Rpl_semi_sync_source_status')",
    "SELECT 'slaves_connected', COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'",
    "SELECT 'seen', 1 FROM information_schema.INNODB_CMPMEM LIMIT 1",
)
"""The last one needs PROCESS, without which the one before it sees the account's own sessions only."""
QUESTIONS = MappingProxyType(
    {"postgresql": (_POSTGRES,), "mariadb": _MARIADB, "mysql": _MYSQL, "sqlite": ("PRAGMA synchronous",)}
)
"""By server; {log} is the name of the table of decisions."""
DENIED = (1227,)
"""Codes of a question that the account may not ask: its answer has no rows."""
LONG_ENOUGH = 3_600_000
"""Milliseconds: semi-synchronous replication that gives up sooner goes on without its replica, and tells nobody."""


class Risk(msgspec.Struct, frozen=True, gc=False):
    """By what a log may lose what it acknowledged, and what to do."""

    what: str
    fix: str


class Standing(msgspec.Struct, frozen=True, gc=False):
    """Where a log stands: `here`: which server, or run of it; `schema`: of its tables, where there are schemas."""

    here: str
    risks: tuple[Risk, ...]
    schema: str = ""


def standing(server: str, answers: list[Any], copies: int) -> Standing:
    """What the answers to the questions say; `copies`: that may become the owner's, by the topology."""
    if server == "postgresql":
        return _postgres(answers[0][0], copies)
    if server in ("mariadb", "mysql"):
        told = {str(name).lower(): str(value) for rows in answers for name, value in rows}
        return _mariadb(told, copies) if server == "mariadb" else _mysql(told, copies)
    risks = []
    if int(answers[0][0][0]) < 2:
        risks.append(Risk("SQLite does not flush its commits", "leave PRAGMA synchronous at FULL, its default."))
    if copies:
        risks.append(Risk("the file is copied to regions that may take over", "keep the log in a file of its own."))
    return Standing("", tuple(risks))


def _postgres(row: Any, copies: int) -> Standing:
    fsync, pages, names, timeline, replicas, schema = row
    risks = [
        Risk(f"PostgreSQL runs with {name} = off", f"set {name} = on.")
        for name, value in (("fsync", fsync), ("full_page_writes", pages))
        if value != "on"
    ]
    if not names and (int(replicas) or copies):
        risks.append(
            Risk(
                "its replicas are asynchronous: one that is promoted lacks decisions",
                "set synchronous_standby_names, and promote synchronous replicas only.",
            )
        )
    return Standing(str(timeline), tuple(risks), str(schema or ""))


def _unflushed(who: str, told: Mapping[str, str]) -> list[Risk]:
    risks = []
    if told.get("innodb_flush_log_at_trx_commit") != "1":
        risks.append(Risk(f"{who} does not flush its commits", "set innodb_flush_log_at_trx_commit = 1."))
    if told.get("innodb_flush_method", "").lower() in ("nosync", "littlesync"):
        risks.append(Risk(f"{who} leaves flushing to the system", "set innodb_flush_method = fsync or O_DIRECT."))
    if told.get("log_bin") == "ON" and told.get("sync_binlog") != "1":
        risks.append(Risk(f"{who} does not flush its binary log", "set sync_binlog = 1."))
    return risks


def _asynchronous(prefix: str) -> Risk:
    return Risk(
        "its replicas are asynchronous: one that is promoted lacks decisions",
        f"let {prefix}_enabled = ON, its wait_point = AFTER_SYNC, its timeout be an hour or more, and its wait for no "
        "replica (wait_no_slave, wait_no_replica) be ON.",
    )


def _here(told: Mapping[str, str]) -> str:
    names = ("server_id", "server_uid", "server_uuid")
    return "/".join(told[name] for name in names if name in told)


def _mariadb(told: Mapping[str, str], copies: int) -> Standing:
    risks = _unflushed("MariaDB", told)
    if (int(told.get("slaves_connected", 0)) or copies) and not _waits(told, "rpl_semi_sync_master"):
        risks.append(_asynchronous("rpl_semi_sync_master"))
    return Standing(_here(told), tuple(risks))


def _mysql(told: Mapping[str, str], copies: int) -> Standing:
    """Semi-synchronous replication has new names since 8.0.26, by the plugin that is loaded."""
    risks = _unflushed("MySQL", told)
    prefix = "rpl_semi_sync_source" if "rpl_semi_sync_source_enabled" in told else "rpl_semi_sync_master"
    if not _waits(told, prefix):
        if int(told.get("slaves_connected", 0)) or copies:
            risks.append(_asynchronous(prefix))
        elif told.get("log_bin") == "ON" and "seen" not in told:
            what = "its account cannot see whether asynchronous replicas follow: one that is promoted lacks decisions"
            risks.append(Risk(what, "GRANT PROCESS ON *.* TO the account, or replicate semi-synchronously."))
    return Standing(_here(told), tuple(risks))


def _waits(told: Mapping[str, str], prefix: str) -> bool:
    """Whether a COMMIT waits for a replica, for hours, and also while none is there."""
    alone = [told.get(f"{prefix}_wait_no_{word}", "ON") for word in ("slave", "replica")]
    return (
        told.get(f"{prefix}_enabled") == "ON"
        and told.get(f"{prefix}_status") == "ON"
        and told.get(f"{prefix}_wait_point") == "AFTER_SYNC"
        and int(told.get(f"{prefix}_timeout", 0)) >= LONG_ENOUGH
        and set(alone) == {"ON"}
    )
