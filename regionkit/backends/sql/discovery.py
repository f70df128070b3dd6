"""Which servers a PostgreSQL or a MariaDB knows as its primary and its replicas, for `regionkit init`. Nothing is changed.

A primary knows where its replicas call from, not where they listen; a replica knows its primary's address. MariaDB's replicas
say their address where they have `report_host`.
"""

from __future__ import annotations

from typing import Any

from regionkit.backends.sql.asking import Asking
from regionkit.contract.examination import Discovered
from regionkit.core.deadline import Deadline
from regionkit.facts.request import Kind
from regionkit.topology import ParsedUrl, sql_url

__all__ = ["discover"]

_RECEIVER = "SELECT sender_host, sender_port FROM pg_stat_wal_receiver"
_REPLICAS = """
SELECT DISTINCT coalesce(host(client_addr), ''), coalesce(application_name, '') FROM pg_stat_replication ORDER BY 1, 2"""
NO_PORT = "only its address is known: say where it listens."
NOT_SEEN = "replicas of this server are there; the account may not see where (pg_read_all_stats)."


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
    host, port = url.host or "", url.port or 3306
    status = asking.named("SHOW SLAVE STATUS")
    if status:
        row = status[0]
        primary = Discovered(host=str(row["Master_Host"]), port=int(row["Master_Port"]), role="primary")
        return [Discovered(host=host, port=port, role="replica"), primary]
    found = [
        Discovered(host=host, port=port, role="replica" if str(asking.one("SELECT @@read_only")) == "1" else "primary")
    ]
    for row in asking.named("SHOW SLAVE HOSTS"):
        there = str(row["Host"] or "")
        note = (
            "" if there else f"server_id {row['Server_id']}: it has no report_host, so nobody knows where it listens."
        )
        found.append(Discovered(host=there, port=int(row["Port"] or 3306) if there else 0, role="replica", note=note))
    return found
