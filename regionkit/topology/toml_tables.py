"""The tables of the file, as written: `${NAME}` still in its texts. The reference of the file is made from them."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

__all__ = [
    "CacheTable",
    "CassandraTable",
    "ControlTable",
    "EndpointTable",
    "File",
    "MemoryTable",
    "MongoTable",
    "RedisTable",
    "RegionTable",
    "ResidencyTable",
    "SqlTable",
    "StoreTable",
]


def _of(description: str) -> Meta:
    return Meta(description=description)


_ENDPOINTS = _of("the servers, one `[[stores.NAME.endpoints]]` each")
_URL = _of(
    "one URL for the whole cluster; `${NAME}` is put in after it is parsed, so a password needs no percent-encoding"
)
_TLS = _of('`"require"` (the default off loopback) or `"off"`')


class Table(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A table; an unknown key is refused."""


class ControlTable(Table):
    """`[control]`"""

    store: Annotated[str, _of("a store that cannot lose an acknowledged write; home directories are kept there")]


class RegionTable(Table):
    """`[regions.NAME]`"""

    jurisdiction: Annotated[str | None, _of("what `residency` may name in place of the region")] = None


class ResidencyTable(Table):
    """`residency = { ... }`"""

    allow: Annotated[list[str] | None, _of("jurisdictions or regions that may hold the data; left out: everywhere")] = (
        None
    )
    deny: Annotated[list[str], _of("those that may not, even if `allow` names them")] = []


class EndpointTable(Table):
    """`[[stores.NAME.endpoints]]`"""

    region: Annotated[str, _of("region of the server; one of `[regions]`")]
    role: Annotated[
        str, _of('`"primary"` or `"replica"`: the initial role. The role that the server reports takes precedence')
    ]
    url: Annotated[str, _of("the server; `${NAME}` as above. The driver is chosen by regionkit")]
    of: Annotated[str | None, _of("the region of the primary that a replica copies, if there are several")] = None
    tls: Annotated[str | None, _TLS] = None
    read_url: Annotated[str | None, _of("another account, for reads")] = None
    partitions: Annotated[list[str], _of("names that the home function gives out and this primary owns")] = []


class StoreTable(Table, kw_only=True):
    """`[stores.NAME]`"""

    backend: Annotated[str, _of('`"sql"`, `"redis"`, `"mongo"`, `"cassandra"` or `"memory"`')]
    strategy: Annotated[
        str | dict[str, Any],
        _of(
            '`"local-read-global-write"`, or `{ name = "write-partitioning", home = ... }`: '
            "[home regions](../how-to/write-partitioning.md)"
        ),
    ] = "local-read-global-write"
    residency: Annotated[ResidencyTable | None, _of("where the data may be")] = None
    prefer: Annotated[str | dict[str, Any], _of("[choice among copies](../how-to/choose-a-copy.md)")] = "nearest"
    fence: Annotated[str | None, _of("reserved for failover; refused in this version")] = None


class SqlTable(StoreTable, kw_only=True):
    """`backend = "sql"`"""

    endpoints: Annotated[list[EndpointTable], _ENDPOINTS]
    options: Annotated[dict[str, Any], _of("of the engine of each endpoint, see below")] = {}
    session: Annotated[dict[str, Any], _of("of the sessions that blocks yield, see below")] = {}


class RedisTable(StoreTable, kw_only=True):
    """`backend = "redis"`"""

    endpoints: Annotated[list[EndpointTable], _ENDPOINTS]
    options: Annotated[dict[str, Any], _of("of the connections to each server, see below")] = {}


class MongoTable(StoreTable, kw_only=True):
    """`backend = "mongo"`: `url`, or `endpoints`"""

    url: Annotated[str | None, _URL] = None
    tls: Annotated[str | None, _TLS] = None
    endpoints: Annotated[list[EndpointTable], _of("with write partitioning: one replica set per home region")] = []
    options: Annotated[dict[str, Any], _of("of the client of each member, see below")] = {}


class CassandraTable(StoreTable, kw_only=True):
    """`backend = "cassandra"`"""

    url: Annotated[str, _URL]
    tls: Annotated[str | None, _TLS] = None
    datacenters: Annotated[dict[str, str], _of("region = data centre, if the names differ")] = {}
    options: Annotated[dict[str, Any], _of("see below")] = {}


class MemoryTable(StoreTable, kw_only=True):
    """`backend = "memory"`, for tests"""

    endpoints: Annotated[list[EndpointTable], _ENDPOINTS]


class CacheTable(Table):
    """`[caches.NAME]`"""

    shared: Annotated[str | None, _of("a Redis store with a primary in each region: the shared tier")] = None
    local: Annotated[dict[str, Any] | None, _of("options of the local tier: `max_items`, `max_bytes`, `ttl`")] = None


class File(Table):
    """Top level"""

    regions: Annotated[dict[str, Any], _of("where the application runs and data may be")]
    namespace: Annotated[str, _of("prefix of every table, key, queue and transaction that regionkit makes")] = (
        "regionkit"
    )
    profile: Annotated[
        str | dict[str, Any],
        _of(
            '`"gentle"`, `"balanced"` or `"aggressive"`, or `{ base = "balanced", read_deadline = 3.0 }`: '
            "[choose a profile](../how-to/choose-a-profile.md)"
        ),
    ] = "balanced"
    bookmark_keys: Annotated[list[str], _of("keys that sign bookmarks, the current one first; none: unsigned")] = []
    control: Annotated[ControlTable | None, _of("not needed to read and write")] = None
    stores: Annotated[dict[str, Any], _of("the data")] = {}
    caches: Annotated[dict[str, Any], _of("tiers of the caches that `kit.cache` makes")] = {}
