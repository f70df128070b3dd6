"""Where data lives: regions, stores, endpoints and the rules about them, as frozen values.

No I/O but reading the TOML file. Everything here is checked when it is made: a topology that exists can
work, as far as can be told without a server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from regionkit.topology.endpoints import Endpoint, Role
from regionkit.topology.homes import HOMES, Contextual, Directory, Hashed, Home, Intrinsic
from regionkit.topology.options import SessionOptions, SqlOptions
from regionkit.topology.preferences import PREFERENCES, ByGeography, ByProfile, Nearest, Preference, Weighted
from regionkit.topology.profiles import PROFILES, Profile, profile
from regionkit.topology.regions import Region
from regionkit.topology.residency import Residency
from regionkit.topology.stores import AsyncYields, SqlStore, Store, Yields
from regionkit.topology.strategies import STRATEGIES, LocalReadGlobalWrite, Shard, Strategy, WritePartitioning
from regionkit.topology.topology import Topology
from regionkit.topology.urls import ParsedUrl, Tls, mask_url, sql_url

if TYPE_CHECKING:
    from regionkit.topology.client_options import CassandraOptions, MongoOptions, RedisOptions
    from regionkit.topology.client_stores import CassandraStore, MemoryStore, MongoStore, RedisStore
    from regionkit.topology.loading import Loaded, load_toml, parse_toml
    from regionkit.topology.server_urls import ServerUrl, server_url

__all__ = [
    "HOMES",
    "PREFERENCES",
    "PROFILES",
    "STRATEGIES",
    "AsyncYields",
    "ByGeography",
    "ByProfile",
    "CassandraOptions",
    "CassandraStore",
    "Contextual",
    "Directory",
    "Endpoint",
    "Hashed",
    "Home",
    "Intrinsic",
    "Loaded",
    "LocalReadGlobalWrite",
    "MemoryStore",
    "MongoOptions",
    "MongoStore",
    "Nearest",
    "ParsedUrl",
    "Preference",
    "Profile",
    "RedisOptions",
    "RedisStore",
    "Region",
    "Residency",
    "Role",
    "ServerUrl",
    "SessionOptions",
    "Shard",
    "SqlOptions",
    "SqlStore",
    "Store",
    "Strategy",
    "Tls",
    "Topology",
    "Weighted",
    "WritePartitioning",
    "Yields",
    "load_toml",
    "mask_url",
    "parse_toml",
    "profile",
    "server_url",
    "sql_url",
]

_LATER = {
    "CassandraOptions": "client_options",
    "CassandraStore": "client_stores",
    "Loaded": "loading",
    "MemoryStore": "client_stores",
    "MongoOptions": "client_options",
    "MongoStore": "client_stores",
    "RedisOptions": "client_options",
    "RedisStore": "client_stores",
    "ServerUrl": "server_urls",
    "load_toml": "loading",
    "parse_toml": "loading",
    "server_url": "server_urls",
}
"""Names loaded when they are asked for: not every application has every kind of store, or a TOML file."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"regionkit.topology.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
