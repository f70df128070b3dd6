"""Whether a SQL server may lose what it acknowledged: one question to each kind of server, and what its answer means.

A log may not. A failover to a copy that acknowledged nothing loses decisions, and so does a server that does not flush.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from sqlalchemy import make_url

__all__ = ["QUESTIONS", "Risk", "Standing", "address_of", "standing"]

_POSTGRES = """
SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_standby_names'),
  substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
  (SELECT count(*) FROM pg_stat_replication r WHERE r.state IS DISTINCT FROM 'backup' AND NOT EXISTS
    (SELECT 1 FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical'))
  + (SELECT count(*) FROM pg_replication_slots s WHERE s.slot_type = 'physical' AND NOT s.active AND NOT s.temporary),
  (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('{log}'))
"""
_MARIADB = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'innodb_flush_method', 'log_bin', "
    "'sync_binlog', 'rpl_semi_sync_master_enabled', 'rpl_semi_sync_master_wait_point', 'rpl_semi_sync_master_timeout', "
    "'server_id', 'server_uid', 'server_uuid')",
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('Slaves_connected', 'Rpl_semi_sync_master_status')",
)
QUESTIONS = MappingProxyType({"postgresql": (_POSTGRES,), "mariadb": _MARIADB, "sqlite": ("PRAGMA synchronous",)})
"""By server; {log} is the name of the table of decisions."""
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
    if server == "mariadb":
        told = {str(name).lower(): str(value) for rows in answers for name, value in rows}
        return _mariadb(told, copies)
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


def _mariadb(told: Mapping[str, str], copies: int) -> Standing:
    risks = []
    if told.get("innodb_flush_log_at_trx_commit") != "1":
        risks.append(Risk("MariaDB does not flush its commits", "set innodb_flush_log_at_trx_commit = 1."))
    if told.get("innodb_flush_method", "").lower() in ("nosync", "littlesync"):
        risks.append(Risk("MariaDB leaves flushing to the system", "set innodb_flush_method = fsync or O_DIRECT."))
    if told.get("log_bin") == "ON" and told.get("sync_binlog") != "1":
        risks.append(Risk("MariaDB does not flush its binary log", "set sync_binlog = 1."))
    if (int(told.get("slaves_connected", 0)) or copies) and not _waits(told):
        risks.append(
            Risk(
                "its replicas are asynchronous: one that is promoted lacks decisions",
                "let rpl_semi_sync_master_enabled = ON, its wait_point = AFTER_SYNC and its timeout be an hour or more.",
            )
        )
    names = ("server_id", "server_uid", "server_uuid")
    return Standing("/".join(told[name] for name in names if name in told), tuple(risks))


def _waits(told: Mapping[str, str]) -> bool:
    return (
        told.get("rpl_semi_sync_master_enabled") == "ON"
        and told.get("rpl_semi_sync_master_status") == "ON"
        and told.get("rpl_semi_sync_master_wait_point") == "AFTER_SYNC"
        and int(told.get("rpl_semi_sync_master_timeout", 0)) >= LONG_ENOUGH
    )


def address_of(url: Any) -> tuple[Any, ...]:
    """What an engine's URL names, whatever its driver; not its password."""
    url = make_url(url)
    kind = {"mariadb": "mysql"}.get(url.get_backend_name(), url.get_backend_name())
    database = str(Path(url.database or "").resolve()) if kind == "sqlite" else url.database
    return kind, url.username, url.host, url.port, database
