"""Where data lives: regions, stores, endpoints and the rules about them, as frozen values.

No I/O but reading the TOML file. Everything here is checked when it is made: a topology that exists can
work, as far as can be told without a server.
"""

from regionkit.topology.endpoints import Endpoint, Role
from regionkit.topology.loading import Loaded, load_toml, parse_toml
from regionkit.topology.options import SessionOptions, SqlOptions
from regionkit.topology.preferences import PREFERENCES, Nearest, Preference
from regionkit.topology.profiles import PROFILES, Profile, profile
from regionkit.topology.regions import Region
from regionkit.topology.residency import Residency
from regionkit.topology.stores import SqlStore, Store
from regionkit.topology.strategies import STRATEGIES, LocalReadGlobalWrite, Strategy
from regionkit.topology.topology import Topology
from regionkit.topology.urls import ParsedUrl, Tls, mask_url, sql_url

__all__ = [
    "PREFERENCES",
    "PROFILES",
    "STRATEGIES",
    "Endpoint",
    "Loaded",
    "LocalReadGlobalWrite",
    "Nearest",
    "ParsedUrl",
    "Preference",
    "Profile",
    "Region",
    "Residency",
    "Role",
    "SessionOptions",
    "SqlOptions",
    "SqlStore",
    "Store",
    "Strategy",
    "Tls",
    "Topology",
    "load_toml",
    "mask_url",
    "parse_toml",
    "profile",
    "sql_url",
]
