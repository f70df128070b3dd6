"""Where data lives: regions, stores, endpoints and the rules about them, as frozen values.

No I/O but reading the TOML file. Everything here is checked when it is made: a topology that exists can
work, as far as can be told without a server.
"""

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names
from regionkit.topology.caches import CacheTiers
from regionkit.topology.endpoints import Endpoint, Role
from regionkit.topology.homes import HOMES, Contextual, Directory, Hashed, Home, Intrinsic
from regionkit.topology.options import SessionOptions, SqlOptions
from regionkit.topology.preferences import PREFERENCES, ByGeography, ByProfile, Nearest, Preference, Weighted
from regionkit.topology.profiles import PROFILES, Profile, profile
from regionkit.topology.regions import Region
from regionkit.topology.residency import Residency
from regionkit.topology.sql_parameters import sql_parameters
from regionkit.topology.stores import AsyncYields, SqlStore, Store, Yields
from regionkit.topology.strategies import STRATEGIES, LocalReadGlobalWrite, Shard, Strategy, WritePartitioning
from regionkit.topology.topology import Topology
from regionkit.topology.urls import ParsedUrl, Tls, mask_url, sql_url

if TYPE_CHECKING:
    from regionkit.topology.cassandra_store import CassandraStore
    from regionkit.topology.client_options import CassandraOptions, MongoOptions, RedisOptions
    from regionkit.topology.loading import Loaded, load_toml, parse_toml
    from regionkit.topology.memory_store import MemoryStore
    from regionkit.topology.mongo_store import MongoStore
    from regionkit.topology.redis_store import RedisStore
    from regionkit.topology.server_urls import ServerUrl, server_url

__all__ = [
    "HOMES",
    "PREFERENCES",
    "PROFILES",
    "STRATEGIES",
    "AsyncYields",
    "ByGeography",
    "ByProfile",
    "CacheTiers",
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
    "sql_parameters",
    "sql_url",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CassandraOptions": "client_options",
        "CassandraStore": "cassandra_store",
        "Loaded": "loading",
        "MemoryStore": "memory_store",
        "MongoOptions": "client_options",
        "MongoStore": "mongo_store",
        "RedisOptions": "client_options",
        "RedisStore": "redis_store",
        "ServerUrl": "server_urls",
        "load_toml": "loading",
        "parse_toml": "loading",
        "server_url": "server_urls",
    },
)
"""Not every application has every kind of store, or a TOML file."""
