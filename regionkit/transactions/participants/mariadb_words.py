"""MariaDB as a participant: what differs from MySQL. Pure.

Source: MariaDB Knowledge Base, "XA Transactions", "GET_LOCK", "KILL", "BEGIN NOT ATOMIC".
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from regionkit.facts.position import Position
from regionkit.transactions.findings import Finding
from regionkit.transactions.participants.xa_words import (
    PLACE,
    Look,
    XaWords,
    replica_findings,
    table_findings,
    unflushed,
    xid_of_bytes,
)
from regionkit.transactions.xid import Xid

__all__ = ["MARIADB"]

QUESTIONS = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'innodb_flush_log_at_trx_commit', 'innodb_flush_method', "
    "'log_bin', 'sync_binlog', 'wsrep_on', 'server_id', 'server_uid', 'server_uuid')",
    "SHOW GLOBAL STATUS WHERE Variable_name = 'Slaves_connected'",
    *PLACE,
)
SOUND = (
    "IF @@global.innodb_flush_log_at_trx_commit <> 1 OR (@@global.log_bin AND @@global.sync_binlog <> 1) THEN "
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'regionkit: the server does not flush what it acknowledges any more'; END IF; "
)
ALONE = (
    "IF @@global.log_bin AND (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = "
    "'SLAVES_CONNECTED') > 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'regionkit: the server has replicas now, and "
    "takes no XA'; END IF; "
)
LOCKED = (
    "IF GET_LOCK('{lock}', 0) <> 1 THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1440, "
    "MESSAGE_TEXT = 'another session has this branch'; END IF; "
)
"""Fails with XAER_DUPID's code, before XA START, where a session has the branch."""


def opening(seconds: int, checks: Sequence[str], lock: str) -> list[str]:
    """See `XaWords`."""
    waits = f"SET @@session.innodb_lock_wait_timeout = {seconds}, @@session.lock_wait_timeout = {seconds}"
    looked = "".join(checks) + (LOCKED.format(lock=lock) if lock else "")
    return [waits, *([f"BEGIN NOT ATOMIC {looked}END"] if looked else [])]


def free(lock: str) -> str:
    """See `XaWords`. What its handler does not catch (KILL QUERY) says by its code that it is unsure."""
    return f"BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; DO RELEASE_LOCK('{lock}'); END"


def xid_listed(row: Any) -> Xid | None:
    """A row of XA RECOVER: data of others may be any bytes, and are read as a text or not."""
    data = row[3]
    return xid_of_bytes(row[0], row[1], row[2], data.encode() if isinstance(data, str) else bytes(data))


def position_of(row: Sequence[Any]) -> Position | None:
    """A GTID position (`0-1-17,7-2-1`) as facts have it."""
    told = str(row[0] or "")
    if not told:
        return None
    return tuple(
        sorted((int(domain), int(server), int(n)) for domain, server, n in (o.split("-") for o in told.split(",")))
    )


def prepares(look: Look, replicated_xa: bool) -> bool:
    """See `XaWords`."""
    return replicated_xa or not look.replicated


def findings(name: str, look: Look, unsafe: bool, replicated_xa: bool) -> list[Finding]:
    """See `XaWords`."""
    found: list[Finding] = []
    if look.told.get("wsrep_on") == "ON":
        what = "it is a Galera cluster (wsrep_on), which has no XA, and whose commits other nodes may refuse"
        found.append(Finding("refused", name, what, "take a MariaDB without Galera."))
    found += unflushed(name, look, unsafe)
    found += table_findings(name, look)
    return [*found, *replica_findings("MariaDB", name, look, replicated_xa)]


MARIADB = XaWords(
    "mariadb",
    QUESTIONS,
    ("XA RECOVER", xid_listed),
    MappingProxyType({}),
    SOUND,
    ALONE,
    opening,
    ("SET @@session.check_constraint_checks = 1",),
    free,
    ("SELECT @@gtid_binlog_pos", position_of),
    prepares,
    findings,
)
