"""regionkit: read near, write home. Data that lives in many regions, with the native clients you know.

The public names every user needs; `regionkit.testing`, `regionkit.embedded` and `regionkit.errors` hold the rest.
Importing this loads no driver.
"""

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names
from regionkit.errors import (
    AlreadyApplied,
    BackendError,
    CacheError,
    ConfigurationError,
    DeadlineExceeded,
    Fenced,
    HeuristicOutcome,
    InvalidBookmark,
    MissingDriver,
    NoEligibleEndpoint,
    OutcomeUnknown,
    PayloadMismatch,
    RegionKitError,
    RegionUnavailable,
    ResidencyViolation,
    RoutingError,
    StaleRead,
    TransactionAborted,
    TransactionError,
    TransactionInDoubt,
    TransactionRolledBack,
    UnknownHome,
    UsageError,
)
from regionkit.facts.consistency import BOUNDED, EVENTUAL, SESSION, STRONG, Consistency
from regionkit.topology import (
    ByGeography,
    ByProfile,
    Contextual,
    Directory,
    Endpoint,
    Hashed,
    Intrinsic,
    LocalReadGlobalWrite,
    Nearest,
    Profile,
    Region,
    Residency,
    Role,
    SqlStore,
    Store,
    Topology,
    Weighted,
    WritePartitioning,
)

if TYPE_CHECKING:
    from regionkit.backends.sql import tables
    from regionkit.kit import RegionKit
    from regionkit.kit_async import AsyncRegionKit
    from regionkit.routing.events import (
        BreakerChanged,
        HistoryWritten,
        LossAccepted,
        MonitorFailed,
        ReadRouted,
        ReplicationUnknown,
        RoleChanged,
        WriteRouted,
    )
    from regionkit.routing.session import RegionSession
    from regionkit.routing.session_async import AsyncRegionSession
    from regionkit.topology import CassandraStore, MemoryStore, MongoStore, RedisStore

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 - grouped as users look for them
    # the kit
    "AsyncRegionKit",
    "AsyncRegionSession",
    "RegionKit",
    "RegionSession",
    # topology
    "CassandraStore",
    "Endpoint",
    "LocalReadGlobalWrite",
    "MemoryStore",
    "MongoStore",
    "Profile",
    "RedisStore",
    "Region",
    "Residency",
    "Role",
    "SqlStore",
    "Store",
    "Topology",
    "WritePartitioning",
    # homes of keys
    "Contextual",
    "Directory",
    "Hashed",
    "Intrinsic",
    # choice among equals
    "ByGeography",
    "ByProfile",
    "Nearest",
    "Weighted",
    # consistency
    "BOUNDED",
    "EVENTUAL",
    "SESSION",
    "STRONG",
    "Consistency",
    # errors
    "AlreadyApplied",
    "BackendError",
    "CacheError",
    "ConfigurationError",
    "DeadlineExceeded",
    "Fenced",
    "HeuristicOutcome",
    "InvalidBookmark",
    "MissingDriver",
    "NoEligibleEndpoint",
    "OutcomeUnknown",
    "PayloadMismatch",
    "RegionKitError",
    "RegionUnavailable",
    "ResidencyViolation",
    "RoutingError",
    "StaleRead",
    "TransactionAborted",
    "TransactionError",
    "TransactionInDoubt",
    "TransactionRolledBack",
    "UnknownHome",
    "UsageError",
    # events
    "BreakerChanged",
    "HistoryWritten",
    "LossAccepted",
    "MonitorFailed",
    "ReadRouted",
    "ReplicationUnknown",
    "RoleChanged",
    "WriteRouted",
    # migrations
    "tables",
]


__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AsyncRegionKit": "kit_async",
        "AsyncRegionSession": "routing.session_async",
        "BreakerChanged": "routing.events",
        "CassandraStore": "topology",
        "HistoryWritten": "routing.events",
        "LossAccepted": "routing.events",
        "MemoryStore": "topology",
        "MongoStore": "topology",
        "MonitorFailed": "routing.events",
        "ReadRouted": "routing.events",
        "RedisStore": "topology",
        "RegionKit": "kit",
        "RegionSession": "routing.session",
        "ReplicationUnknown": "routing.events",
        "RoleChanged": "routing.events",
        "WriteRouted": "routing.events",
        "tables": "backends.sql",
    },
)
"""Asyncio alone takes as long to import as all the rest; and the command line's help needs no kit."""
