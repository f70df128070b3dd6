"""Which servers a PostgreSQL, MariaDB or MySQL knows as its primary and its replicas, for `regionkit init`. Nothing is changed.

A primary knows where its replicas connect from, not where they listen; a replica knows its primary's address. Replicas of
MariaDB and MySQL tell their address where they have `report_host`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regionkit.backends.sql.asking import Asking
from regionkit.backends.sql.replication_state import channels, replicas_of, said
from regionkit.contract.examination import Discovered
from regionkit.core.deadline import Deadline
from regionkit.facts.request import Kind
from regionkit.topology import ParsedUrl, sql_url

__all__ = ["discover"]

_RECEIVER = "SELECT sender_host, sender_port FROM pg_stat_wal_receiver"
_REPLICAS = """
SELECT DISTINCT coalesce(host(client_addr), ''), coalesce(application_name, '') FROM pg_stat_replication ORDER BY 1, 2"""
NO_PORT = "only its address is known: add its port."
NOT_SEEN = "this server has replicas; the account may not see their addresses (pg_read_all_stats)."


def discover(endpoint: Any, deadline: Deadline) -> list[Discovered]:
    """The server itself first, then those that it names.

    Raises:
        RegionKitError: it cannot be reached.
    """
    url = sql_url(endpoint._context.endpoint.url, is_async=False)
    checkout = endpoint.check_out(Kind.READ, deadline, deadline.require("connecting"))
    try:
        asking = Asking(checkout.connection, endpoint._context, url, False)
        match checkout.connection.dialect.name:
            case "postgresql":
                return _postgres(asking, url)
            case "mysql" | "mariadb":
                return _mariadb(asking, url)
        return [Discovered(host="", port=0, role="primary")]
    finally:
        checkout.release()


def _postgres(asking: Asking, url: ParsedUrl) -> list[Discovered]:
    host, port = url.host or "", url.port or 5432
    if asking.one("SELECT pg_is_in_recovery()"):
        found = [Discovered(host=host, port=port, role="replica")]
        for sender, at in asking.run(_RECEIVER):
            if sender:
                found.append(Discovered(host=str(sender), port=int(at or 5432), role="primary"))
        return found
    found = [Discovered(host=host, port=port, role="primary")]
    for address, name in asking.run(_REPLICAS):
        note = f"{name}: {NO_PORT}" if address else NOT_SEEN
        found.append(Discovered(host=str(address), port=0, role="replica", note=note))
    return found


def _mariadb(asking: Asking, url: ParsedUrl) -> list[Discovered]:
    """MariaDB and MySQL."""
    host, port = url.host or "", url.port or 3306
    rows = channels(asking)
    if rows:
        found = [Discovered(host=host, port=port, role="replica")]
        return found + [
            Discovered(host=said(row, "Source_Host"), port=int(said(row, "Source_Port")), role="primary")
            for row in rows
        ]
    role = "replica" if str(asking.one("SELECT @@global.read_only")) == "1" else "primary"
    return [Discovered(host=host, port=port, role=role), *map(_connected, replicas_of(asking))]


def _connected(row: Mapping[str, Any]) -> Discovered:
    """A replica that a primary lists."""
    host = said(row, "Host")
    note = "" if host else f"server_id {said(row, 'Server_id')}: it has no report_host, so its address is not known."
    return Discovered(host=host, port=int(said(row, "Port") or 3306) if host else 0, role="replica", note=note)
