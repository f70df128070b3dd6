"""What tests of code over several regions need: real servers, faults between them, a clock that obeys.

Nothing is imported before it is used; drivers are needed only for the servers that are started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.testing import servers
    from regionkit.testing.chaos import ChaosSource
    from regionkit.testing.chaos_async import AsyncChaosSource
    from regionkit.testing.checking import check, check_outcomes, check_sessions, check_staleness, check_survival
    from regionkit.testing.clock import VirtualClock
    from regionkit.testing.crash import crash_points
    from regionkit.testing.guarantees import Guarantee, Violation
    from regionkit.testing.history import History, Operation
    from regionkit.testing.participants import ParticipantContract, ParticipantData
    from regionkit.testing.participants_async import AsyncParticipantContract, AsyncParticipantData
    from regionkit.testing.proxy import FaultProxy
    from regionkit.testing.recorder import Recorder
    from regionkit.testing.servers import ServerUnavailable
    from regionkit.testing.wan import Wan, WanUnavailable

__all__ = [
    "AsyncChaosSource",
    "AsyncParticipantContract",
    "AsyncParticipantData",
    "ChaosSource",
    "FaultProxy",
    "Guarantee",
    "History",
    "Operation",
    "ParticipantContract",
    "ParticipantData",
    "Recorder",
    "ServerUnavailable",
    "Violation",
    "VirtualClock",
    "Wan",
    "WanUnavailable",
    "check",
    "check_outcomes",
    "check_sessions",
    "check_staleness",
    "check_survival",
    "crash_points",
    "servers",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AsyncChaosSource": "chaos_async",
        "AsyncParticipantContract": "participants_async",
        "AsyncParticipantData": "participants_async",
        "ChaosSource": "chaos",
        "FaultProxy": "proxy",
        "Guarantee": "guarantees",
        "History": "history",
        "Operation": "history",
        "ParticipantContract": "participants",
        "ParticipantData": "participants",
        "Recorder": "recorder",
        "ServerUnavailable": "servers.provider",
        "Violation": "guarantees",
        "VirtualClock": "clock",
        "Wan": "wan",
        "WanUnavailable": "wan",
        "check": "checking",
        "check_outcomes": "checking",
        "check_sessions": "checking",
        "check_staleness": "checking",
        "check_survival": "checking",
        "crash_points": "crash",
        "servers": "",
    },
)
