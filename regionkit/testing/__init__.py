"""What tests of code over several regions need: real servers, faults between them, a clock that obeys.

Nothing is imported before it is used; drivers are needed only for the servers that are started.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regionkit.testing import servers
    from regionkit.testing.checking import check, check_outcomes, check_sessions, check_staleness, check_survival
    from regionkit.testing.clock import VirtualClock
    from regionkit.testing.crash import crash_points
    from regionkit.testing.guarantees import Guarantee, Violation
    from regionkit.testing.history import History, Operation
    from regionkit.testing.proxy import FaultProxy
    from regionkit.testing.recorder import Recorder
    from regionkit.testing.servers import ServerUnavailable

__all__ = [
    "FaultProxy",
    "Guarantee",
    "History",
    "Operation",
    "Recorder",
    "ServerUnavailable",
    "Violation",
    "VirtualClock",
    "check",
    "check_outcomes",
    "check_sessions",
    "check_staleness",
    "check_survival",
    "crash_points",
    "servers",
]

_HOMES = MappingProxyType(
    {
        "FaultProxy": "regionkit.testing.proxy",
        "Guarantee": "regionkit.testing.guarantees",
        "History": "regionkit.testing.history",
        "Operation": "regionkit.testing.history",
        "Recorder": "regionkit.testing.recorder",
        "ServerUnavailable": "regionkit.testing.servers.provider",
        "Violation": "regionkit.testing.guarantees",
        "VirtualClock": "regionkit.testing.clock",
        "check": "regionkit.testing.checking",
        "check_outcomes": "regionkit.testing.checking",
        "check_sessions": "regionkit.testing.checking",
        "check_staleness": "regionkit.testing.checking",
        "check_survival": "regionkit.testing.checking",
        "crash_points": "regionkit.testing.crash",
    }
)


def __getattr__(name: str) -> Any:
    if name == "servers":
        return importlib.import_module("regionkit.testing.servers")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
