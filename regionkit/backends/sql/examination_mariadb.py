"""What MariaDB and an account of it say of themselves. Sources: MariaDB documentation, "Replication and Binary Log System
Variables", "SHOW REPLICA STATUS", "SHOW GRANTS".
"""

from __future__ import annotations

import re
import ssl

from regionkit.backends.sql.asking import Asking
from regionkit.contract.examination import Examined

__all__ = ["ask_mariadb", "granted"]

SETTINGS = (
    *("server_id", "log_bin", "log_slave_updates", "binlog_format", "gtid_strict_mode", "read_only", "sync_binlog"),
    *("innodb_flush_log_at_trx_commit", "rpl_semi_sync_master_enabled", "rpl_semi_sync_slave_enabled"),
    *("rpl_semi_sync_master_wait_point", "max_connections", "default_storage_engine"),
)
STATUS = ("Ssl_cipher", "Ssl_server_not_after", "Rpl_semi_sync_master_clients", "Rpl_semi_sync_master_status")
NEEDED = {"history": ("SELECT", "INSERT")} | dict.fromkeys(
    ("marker", "record"), ("SELECT", "INSERT", "UPDATE", "DELETE")
)
PAST_READ_ONLY = ("SUPER", "READ_ONLY ADMIN", "READ ONLY ADMIN")
"""Rights of which one writes to a server in spite of read_only."""
MOST_NAMED = 20
_GRANT = re.compile(r"GRANT (.+?) ON (\S+) TO ")


def ask_mariadb(asking: Asking) -> Examined:
    """Ask on one account's connection."""
    run, one = asking.run, asking.one
    listed = ", ".join(f"'{name}'" for name in SETTINGS)
    settings = {str(n).lower(): str(v) for n, v in run(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")}
    listed = ", ".join(f"'{name}'" for name in STATUS)
    status = {str(name): str(value) for name, value in run(f"SHOW STATUS WHERE Variable_name IN ({listed})")}
    for name in ("Rpl_semi_sync_master_clients", "Rpl_semi_sync_master_status"):
        if name in status:
            settings[name.lower()] = status[name]
    settings |= _replication(asking)
    account = str(one("SELECT CURRENT_USER()") or "")
    grants = [str(row[0]) for row in run("SHOW GRANTS")]
    tables = asking.kept()
    database = str(one("SELECT DATABASE()") or "")
    skew, skew_error = asking.clock("SELECT UNIX_TIMESTAMP(NOW(6))")
    ends = status.get("Ssl_server_not_after", "")
    version = str(one("SELECT VERSION()") or "")
    return Examined(
        server="mariadb" if "mariadb" in version.lower() else "mysql",  # which has other settings: no rule speaks of it
        version=version.partition("-")[0],
        encrypted=bool(status["Ssl_cipher"]) if "Ssl_cipher" in status else None,
        certificate_ends=ssl.cert_time_to_seconds(ends) if ends else None,
        skew=skew,
        skew_error=skew_error,
        settings=settings,
        account=account,
        rights=_rights(grants),
        tables=tables,
        writers=_writers(asking, tables, database, account),
        lacks=_lacks(asking, tables, grants, database, account),
    )


def granted(grants: list[str]) -> list[tuple[frozenset[str], str]]:
    """(rights, on what) of lines of SHOW GRANTS. Pure."""
    found = []
    for line in grants:
        match = _GRANT.match(line)
        if match:
            rights = re.sub(r"\([^)]*\)", "", match[1])  # rights on columns
            names = frozenset(name.strip().upper() for name in rights.split(","))
            found.append((names, match[2].replace("`", "").replace("\\", "")))
    return found


def _rights(grants: list[str]) -> frozenset[str]:
    found = set()
    for names, on in granted(grants):
        whole = "ALL PRIVILEGES" in names
        if on == "*.*" and (whole or names.intersection(PAST_READ_ONLY)):
            found.add("past read_only")
        if on == "*.*" and whole:
            found.add("everything")
        if whole or names & {"INSERT", "UPDATE", "DELETE"}:
            found.add("writes")
    return frozenset(found)


def _replication(asking: Asking) -> dict[str, str]:
    """The replica's threads, where the account may see them (REPLICA MONITOR)."""
    rows = asking.named("SHOW SLAVE STATUS")
    if not rows:
        return {}
    row = rows[0]
    return {
        "receives": str(row["Slave_IO_Running"]),
        "applies": str(row["Slave_SQL_Running"]),
        "replication_error": str(row["Last_SQL_Error"] or row["Last_IO_Error"] or ""),
        "uses_gtid": str(row["Using_Gtid"]),
    }


def _writers(asking: Asking, tables: dict[str, int] | None, database: str, account: str) -> tuple[str, ...]:
    """Other accounts with rights on the database or the tables, where mysql.* may be read."""
    names = list(asking.routing_tables(tables).values())
    if not names:
        return ()
    me = account.replace("'", "")
    on_database = asking.run(
        "SELECT DISTINCT CONCAT(User, '@', Host) FROM mysql.db "
        "WHERE :database LIKE Db AND 'Y' IN (Insert_priv, Update_priv, Delete_priv)",
        database=database,
    )
    listed = ", ".join(f"'{name}'" for name in names)
    on_tables = asking.run(
        "SELECT DISTINCT CONCAT(User, '@', Host) FROM mysql.tables_priv WHERE Db = :database "  # noqa: S608  # checked names
        f"AND Table_name IN ({listed}) AND Table_priv REGEXP 'Insert|Update|Delete'",
        database=database,
    )
    found = sorted({str(row[0]) for row in (*on_database, *on_tables)} - {me})
    return tuple(found[:MOST_NAMED])


def _lacks(
    asking: Asking, tables: dict[str, int] | None, grants: list[str], database: str, account: str
) -> tuple[tuple[str, str], ...]:
    held = granted(grants)
    if not held or any(line.startswith("GRANT `") or " ROLE" in line for line in grants):
        return ()  # rights by a role are not in the list
    found = []
    for name, whole in asking.routing_tables(tables).items():
        have: set[str] = set()
        for names, on in held:
            if on in ("*.*", f"{database}.*", f"{database}.{whole}") or "%" in on:
                have |= names
        if "ALL PRIVILEGES" in have:
            continue
        needed = NEEDED[name] if asking.is_primary else ("SELECT",)
        found += [
            (f"{right} on {whole}", f"GRANT {right} ON {database}.{whole} TO {account};")
            for right in needed
            if right not in have
        ]
    return tuple(found)
