"""regionkit: read near, write home. Data that lives in many regions, with the native clients you know.

The public names every user needs; `regionkit.testing`, `regionkit.embedded` and `regionkit.errors` hold the rest.
Importing this loads no driver.
"""

from regionkit.errors import (
    AlreadyApplied,
    BackendError,
    ConfigurationError,
    DeadlineExceeded,
    Fenced,
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
    TransactionRolledBack,
    UnknownHome,
    UsageError,
)
from regionkit.kit import RegionKit
from regionkit.kit_async import AsyncRegionKit
from regionkit.routing.consistency import BOUNDED, EVENTUAL, SESSION, STRONG, Consistency
from regionkit.routing.session import RegionSession
from regionkit.routing.session_async import AsyncRegionSession
from regionkit.topology import (
    Endpoint,
    LocalReadGlobalWrite,
    Nearest,
    Profile,
    Region,
    Residency,
    Role,
    SqlStore,
    Store,
    Topology,
)

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 - grouped as users look for them
    # the kit
    "AsyncRegionKit",
    "AsyncRegionSession",
    "RegionKit",
    "RegionSession",
    # topology
    "Endpoint",
    "LocalReadGlobalWrite",
    "Nearest",
    "Profile",
    "Region",
    "Residency",
    "Role",
    "SqlStore",
    "Store",
    "Topology",
    # consistency
    "BOUNDED",
    "EVENTUAL",
    "SESSION",
    "STRONG",
    "Consistency",
    # errors
    "AlreadyApplied",
    "BackendError",
    "ConfigurationError",
    "DeadlineExceeded",
    "Fenced",
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
    "TransactionRolledBack",
    "UnknownHome",
    "UsageError",
]
