"""What MariaDB is asked before it takes part, and what its answers mean. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from regionkit.transactions.findings import Finding
from regionkit.transactions.xid import Xid, xid_of_xa

__all__ = [
    "ALONE",
    "LISTING",
    "QUESTIONS",
    "SOUND",
    "Look",
    "findings",
    "lock_of",
    "look_of",
    "position_of",
    "xid_listed",
]

QUESTIONS = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'innodb_flush_log_at_trx_commit', 'innodb_flush_method', "
    "'log_bin', 'sync_binlog', 'wsrep_on', 'server_id', 'server_uid', 'server_uuid')",
    "SHOW GLOBAL STATUS WHERE Variable_name = 'Slaves_connected'",
    "SELECT 'database', DATABASE() UNION ALL SELECT 'marker', TABLE_NAME FROM information_schema.TABLES "
    "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{table}'",
    "SELECT 'table', CONCAT(t.TABLE_NAME, ' (', t.ENGINE, ')') FROM information_schema.TABLES t "
    "JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE WHERE t.TABLE_SCHEMA = DATABASE() "
    "AND t.TABLE_TYPE = 'BASE TABLE' AND (e.XA <> 'YES' OR e.TRANSACTIONS <> 'YES') ORDER BY t.TABLE_NAME LIMIT 1",
)
SOUND = (
    "IF @@global.innodb_flush_log_at_trx_commit <> 1 OR (@@global.log_bin AND @@global.sync_binlog <> 1) THEN "
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'regionkit: the server does not flush what it acknowledges any more'; END IF; "
)
"""Asked in the message that opens a branch: SET GLOBAL changes it at any time."""
ALONE = (
    "IF @@global.log_bin AND (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = "
    "'SLAVES_CONNECTED') > 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'regionkit: the server has replicas now, and "
    "takes no XA'; END IF; "
)
"""The same, where a branch may only be prepared while no replica follows."""
"""Each answers with pairs of a name and a value. {table}: of markers."""
LISTING = "XA RECOVER"
UNFLUSHED = ("nosync", "littlesync")
"""Values of innodb_flush_method that leave flushing to the system."""


class Look(msgspec.Struct, frozen=True, gc=False):
    """What the answers said: `told` by name in lower case; `copies`: replicas that the topology knows."""

    told: Mapping[str, str]
    copies: int

    @property
    def database(self) -> str:
        """Where markers stand."""
        return self.told["database"]

    @property
    def marked(self) -> bool:
        """Whether the table of markers is there."""
        return "marker" in self.told

    @property
    def instance(self) -> str:
        """Of server and database. Not `server_uid`: it changes with the host's network address; `server_id` is 1 on all that
        nobody gave one, so a number noted beside the markers tells them apart.
        """
        return f"{self.told.get('server_uuid') or self.told['server_id']}/{self.database}/{self.told.get('noted', '')}"

    @property
    def run(self) -> str:
        """Which server it is now: an acknowledgement of another one is asked for again."""
        names = ("server_id", "server_uid", "server_uuid")
        return "/".join(self.told[name] for name in names if name in self.told)

    @property
    def replicated(self) -> bool:
        """Whether a replica follows its binary log, or has been seen to: one that is down will go on where it was."""
        follows = int(self.told.get("slaves_connected", 0)) > 0 or self.copies > 0 or "followed" in self.told
        return self.told.get("log_bin") == "ON" and follows


def look_of(answers: list[Any], copies: int) -> Look:
    """From rows of pairs."""
    return Look({str(name).lower(): str(value) for rows in answers for name, value in rows}, copies)


def findings(name: str, look: Look, *, unsafe: bool, replicated_xa: bool) -> list[Finding]:
    """What is wrong, or risky. `unsafe`: what is not flushed is only said; `replicated_xa`: XA with replicas too."""
    told = look.told
    found: list[Finding] = []
    if "mariadb" not in told["version"].lower():
        what = f"it is MySQL ({told['version']}), whose branches detach and are listed in another way"
        found.append(Finding("refused", name, what, "take MariaDB, PostgreSQL or SQLite for now."))
    if told.get("wsrep_on") == "ON":
        what = "it is a Galera cluster (wsrep_on), which has no XA, and whose commits other nodes may refuse"
        found.append(Finding("refused", name, what, "take a MariaDB without Galera."))
    unflushed = []
    if told.get("innodb_flush_log_at_trx_commit") != "1":
        unflushed.append(("innodb_flush_log_at_trx_commit", "1"))
    if told.get("innodb_flush_method", "").lower() in UNFLUSHED:
        unflushed.append(("innodb_flush_method", "fsync, or O_DIRECT"))
    if told.get("log_bin") == "ON" and told.get("sync_binlog") != "1":
        unflushed.append(("sync_binlog", "1"))
    for setting, value in unflushed:
        what = f"{setting} is {told.get(setting)}: what is prepared may be gone after a crash"
        found.append(Finding("warning" if unsafe else "refused", name, what, f"set {setting} = {value}."))
    if "table" in told:
        what = f"its database has a table that cannot be rolled back: {told['table']}"
        fix = "ALTER TABLE ... ENGINE=InnoDB, or keep such tables in another database."
        found.append(Finding("refused", name, what, fix))
    if look.replicated and replicated_xa:
        what = "it has replicas: a crash may leave branches prepared on them for ever, and end their replication"
        found.append(Finding("warning", name, what, "leave unsafe_replicated_xa, and let it be the anchor."))
    elif look.replicated:
        what = (
            "it has replicas, so it is the ANCHOR only, or alone: MariaDB does not replicate prepared branches safely"
        )
        fix = "keep the decision log in its database; unsafe_replicated_xa=True where replicas may be rebuilt."
        found.append(Finding("warning", name, what, fix))
    return found


def lock_of(xid: Xid) -> str:
    """Name of the lock that a branch's session holds: at most 58 characters, of the 64 that MariaDB takes."""
    return f"rk:{xid.gtrid}:{xid.branch}"


def xid_listed(row: Any) -> Xid | None:
    """A row of XA RECOVER, where it is one of regionkit's; data of others may be any bytes."""
    format_id, gtrid_length, bqual_length, data = row
    raw = data.encode() if isinstance(data, str) else bytes(data)
    if not raw.isascii() or len(raw) != int(gtrid_length) + int(bqual_length):
        return None
    text, at = raw.decode("ascii"), int(gtrid_length)
    return xid_of_xa(int(format_id), text[:at], text[at:])


def position_of(told: str) -> tuple[tuple[int, ...], ...] | None:
    """A GTID position (`0-1-17,7-2-1`) as facts have it; None where nothing is logged."""
    return tuple(sorted(tuple(int(n) for n in one.split("-")) for one in told.split(","))) if told else None
