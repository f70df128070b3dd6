"""MySQL 8 as a participant: what differs from MariaDB. Pure.

Seen on MySQL 8.0.15 (docs/how-to/mysql.md has the rest):

Source: MySQL Reference Manual, "XA Transactions", "Locking Functions", "KILL", "Restrictions on XA Transactions".
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from regionkit.facts.position import Position, Uuids
from regionkit.transactions.findings import Finding
from regionkit.transactions.participants.xa_words import (
    LISTING,
    PLACE,
    Look,
    XaWords,
    replica_findings,
    table_findings,
    unflushed,
)

__all__ = ["MYSQL"]

FOLLOWERS = "(SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%')"
"""How many replicas are connected; the account's own sessions only, without PROCESS."""
QUESTIONS = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'innodb_flush_log_at_trx_commit', 'innodb_flush_method', "
    "'log_bin', 'sync_binlog', 'wsrep_on', 'group_replication_group_name', 'server_id', 'server_uuid')",
    f"SELECT 'slaves_connected', {FOLLOWERS}",
    *PLACE,
)
PROBES = MappingProxyType(
    {"may_list": LISTING, "may_see_replicas": "SELECT 1 FROM information_schema.INNODB_CMPMEM LIMIT 1"}
)
"""XA_RECOVER_ADMIN; PROCESS, which that table needs, granted to the account or to one of its roles."""
SOUND = (
    "WHEN @@global.innodb_flush_log_at_trx_commit <> 1 OR (@@global.log_bin AND @@global.sync_binlog <> 1) "
    "THEN 'regionkit: the server does not flush what it acknowledges any more'"
)
ALONE = f"WHEN @@global.log_bin AND {FOLLOWERS} > 0 THEN 'regionkit: the server has replicas now, and takes no XA'"
LOCKED = "WHEN GET_LOCK('{lock}', 0) <> 1 THEN 'regionkit: another session has this branch'"


def opening(seconds: int, checks: Sequence[str], lock: str) -> list[str]:
    """See `XaWords`. Outside of procedures there is neither IF nor SIGNAL: a setting refuses a value that says why (1231)."""
    waits = f"SET @@session.innodb_lock_wait_timeout = {seconds}, @@session.lock_wait_timeout = {seconds}"
    looked = " ".join((*checks, *([LOCKED.format(lock=lock)] if lock else [])))
    return [f"{waits}, @@session.completion_type = CASE {looked} ELSE 'NO_CHAIN' END" if looked else waits]


def free(lock: str) -> str:
    """See `XaWords`."""
    return f"DO RELEASE_LOCK('{lock}')"


def position_of(row: Sequence[Any]) -> Position | None:
    """All of this server's transactions up to the newest: of its text "uuid:1-5:7,uuid:tag:1" those without a tag."""
    own, told = (str(value or "").lower() for value in row)
    for part in told.replace("\n", "").split(","):
        uuid, *items = part.strip().split(":")
        if uuid == own:
            newest = 0
            for item in items:
                if not item[:1].isdigit():
                    break
                newest = int(item.rpartition("-")[2])
            if newest:
                return Uuids(((own, newest),))
    return None


def prepares(look: Look, replicated_xa: bool) -> bool:
    """See `XaWords`. Replicas that cannot be seen are taken to be there."""
    if "may_list" not in look.told:
        return False
    return replicated_xa or not (look.replicated or _hidden(look))


def _hidden(look: Look) -> bool:
    return look.logs and "may_see_replicas" not in look.told


def findings(name: str, look: Look, unsafe: bool, replicated_xa: bool) -> list[Finding]:
    """See `XaWords`."""
    found: list[Finding] = []
    if look.told.get("wsrep_on") == "ON" or look.told.get("group_replication_group_name"):
        what = "it is a member of a cluster (Group Replication or wsrep), whose members may refuse what was prepared"
        found.append(Finding("refused", name, what, "take a MySQL that is no member of a group."))
    found += unflushed(name, look, unsafe)
    found += table_findings(name, look)
    if "may_list" not in look.told:
        what = (
            "its account may not list prepared branches, so it is the ANCHOR only, or alone: nobody could recover them"
        )
        found.append(Finding("warning", name, what, "GRANT XA_RECOVER_ADMIN ON *.* TO the account."))
    if not look.replicated and _hidden(look) and not replicated_xa:
        what = "its account cannot see whether replicas follow, so it is the ANCHOR only, or alone"
        found.append(Finding("warning", name, what, "GRANT PROCESS ON *.* TO the account."))
    return [*found, *replica_findings("MySQL", name, look, replicated_xa)]


MYSQL = XaWords(
    "mysql",
    QUESTIONS,
    PROBES,
    SOUND,
    ALONE,
    opening,
    (),
    free,
    ("SELECT @@server_uuid, @@global.gtid_executed", position_of),
    prepares,
    findings,
)
