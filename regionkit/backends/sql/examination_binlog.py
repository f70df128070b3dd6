"""What is asked of MariaDB and MySQL alike: settings, TLS, replication, rights, tables, clock and time zone."""

from __future__ import annotations

import ssl

from regionkit.backends.sql.asking import Asking
from regionkit.backends.sql.grants import Grants, other_writers, quoted
from regionkit.backends.sql.replication_state import channels, replication_settings
from regionkit.contract.examination import Examined

__all__ = ["ask_binlog"]

STATUS = (
    *("Ssl_cipher", "Ssl_server_not_after", "Rpl_semi_sync_master_clients", "Rpl_semi_sync_master_status"),
    *("Rpl_semi_sync_source_clients", "Rpl_semi_sync_source_status"),
)
_ZONE = """SELECT IF(@@session.time_zone = 'SYSTEM', @@system_time_zone, @@session.time_zone),
 CONCAT(UNIX_TIMESTAMP('2026-01-01 00:00:00'), ' ', UNIX_TIMESTAMP('2026-07-01 00:00:00'))"""
"""The name of the session's time zone, and when a day of its winter and of its summer began."""


def ask_binlog(asking: Asking, server: str, names: tuple[str, ...]) -> Examined:
    """Ask on one account's connection; `names`: of the settings."""
    run, one = asking.run, asking.one
    listed = ", ".join(f"'{name}'" for name in names)
    settings = {str(n).lower(): str(v) for n, v in run(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")}
    listed = ", ".join(f"'{name}'" for name in STATUS)
    status = {str(name): str(value) for name, value in run(f"SHOW STATUS WHERE Variable_name IN ({listed})")}
    settings |= {name.lower(): value for name, value in status.items() if name.startswith("Rpl_")}
    settings |= replication_settings(channels(asking))
    for name, days in run(_ZONE):
        settings |= {"time_zone": str(name), "zone_days": str(days)}
    account = str(one("SELECT CURRENT_USER()") or "")
    grants = Grants([str(row[0]) for row in run("SHOW GRANTS")], quoted(account))
    tables, database = asking.kept(), str(one("SELECT DATABASE()") or "")
    routing = asking.routing_tables(tables)
    skew, skew_error = asking.clock("SELECT UNIX_TIMESTAMP(NOW(6))")
    ends = status.get("Ssl_server_not_after", "")
    return Examined(
        server=server,
        version=str(one("SELECT VERSION()") or "").partition("-")[0],
        encrypted=bool(status["Ssl_cipher"]) if "Ssl_cipher" in status else None,
        certificate_ends=ssl.cert_time_to_seconds(ends) if ends else None,
        skew=skew,
        skew_error=skew_error,
        settings=settings,
        account=quoted(account),
        rights=grants.rights,
        tables=tables,
        writers=other_writers(asking, routing, database, account),
        lacks=grants.lacks(routing, database, is_primary=asking.is_primary),
    )
