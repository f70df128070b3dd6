"""What a data centre of a Cassandra cluster and the account say of themselves, for `regionkit doctor`. Nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from regionkit.backends.certificate import certificate_ends
from regionkit.contract.examination import Examined
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionKitError
from regionkit.facts.position import LevelsReached
from regionkit.topology.server_urls import server_url

__all__ = ["examine"]

CERTIFICATE_WITHIN = 3.0
MOST_NAMED = 20
_LOCAL = "SELECT release_version, data_center, schema_version, cluster_name FROM system.local"
_PEERS = "SELECT data_center, schema_version, native_address FROM system.peers_v2"
_NOW = "SELECT toUnixTimestamp(now()) FROM system.local"
_REPLICATION = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"
_ROLE = "SELECT is_superuser FROM system_auth.roles WHERE role = %s"
_WRITERS = "SELECT role, permissions FROM system_auth.role_permissions WHERE resource = %s ALLOW FILTERING"

Ask = Callable[..., list[Any]]


def examine(endpoint: Any, deadline: Deadline, *, is_primary: bool) -> Examined:
    """Ask a synchronous endpoint's data centre.

    Raises:
        RegionKitError: it cannot be reached.
    """
    here, context = endpoint._datacenter, endpoint._context
    opened = here.opened(deadline)

    def must(text: str, *values: Any) -> list[Any]:
        rows: list[Any] = here.run(deadline, text, values, level="LOCAL_ONE")
        return rows

    def ask(text: str, *values: Any) -> list[Any]:
        try:
            return must(text, *values)
        except RegionKitError:  # the account may not, or the table is not there
            return []

    (version, datacenter, schema, cluster), peers = must(_LOCAL)[0], must(_PEERS)
    began = context.clock.monotonic()
    said = ask(_NOW)
    taken = context.clock.monotonic() - began
    skew = float(said[0][0]) / 1000.0 - (context.clock.wall() - taken / 2.0) if said else None
    nodes = Counter([datacenter, *(where for where, _, _ in peers)])
    observation = endpoint.ask(opened, deadline.require("asking where it stands"))
    changed = observation.reached.changed if isinstance(observation.reached, LevelsReached) else ""
    live = observation.reached.replication if isinstance(observation.reached, LevelsReached) else ()
    settings = {f"replicas:{name}": str(count) for name, count in live}
    settings |= {f"nodes:{name}": str(count) for name, count in nodes.items()}
    settings |= {
        "datacenter": here.name,
        "cluster": str(cluster),
        "connected": str(opened.nodes()),
        "write_level": context.store.options.write_level,
        "read_level": context.store.options.read_level,
        "changed": changed,
        "schemas": str(len({str(schema), *(str(other) for _, other, _ in peers)})),
    }
    account = ""
    if context.endpoint.url is not None:
        account = server_url("cassandra", context.endpoint.url).username or ""
    kept = ask(_REPLICATION, "system_auth") if account else []
    if kept:
        settings |= {f"logins:{name}": str(count) for name, count in kept[0][0].items()}
    rights = {"everything"} if account and any(row[0] for row in ask(_ROLE, account)) else set()
    return Examined(
        server="cassandra",
        version=str(version),
        encrypted=_tls(endpoint),
        certificate_ends=_certificate_ends(endpoint),
        skew=skew,
        skew_error=taken / 2.0,
        settings=settings,
        account=account,
        rights=frozenset(rights),
        tables=_tables(endpoint, ask),
        writers=_writers(ask, here.keyspace, account) if account else (),
    )


def _tables(endpoint: Any, ask: Ask) -> dict[str, int] | None:
    rows = ask(endpoint._statements.versions)
    return {str(name): int(version) for name, version, _ in rows if version is not None} or None


def _writers(ask: Ask, keyspace: str, me: str) -> tuple[str, ...]:
    rows = ask(_WRITERS, f"data/{keyspace}")
    return tuple(sorted(str(role) for role, rights in rows if "MODIFY" in (rights or ()) and role != me)[:MOST_NAMED])


def _tls(endpoint: Any) -> bool | None:
    text = endpoint._context.endpoint.url
    return None if text is None else server_url("cassandra", text).tls(endpoint._context.endpoint.tls) == "require"


def _certificate_ends(endpoint: Any) -> float | None:
    if not _tls(endpoint):
        return None
    url = server_url("cassandra", endpoint._context.endpoint.url)
    [(host, port)] = url.hosts[:1]
    return certificate_ends(host, port, CERTIFICATE_WITHIN, trusted=dict(url.query).get("ssl_ca_certs"))
