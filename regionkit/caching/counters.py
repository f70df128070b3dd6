"""What a cache has done so far, as numbers. Counted without a lock: two threads in one instant may count as one."""

from __future__ import annotations

from typing import Any

__all__ = ["Counters"]

_NAMES = {
    "local_hits": "served from this process",
    "shared_hits": "served from the shared tier",
    "loads": "loads that ended well",
    "load_errors": "loads that raised",
    "load_timeouts": "loads that were not over in time",
    "joined": "gets that took what another caller of this process loaded",
    "waits": "gets that waited for another process's load",
    "negative": "gets that found nothing, without a load",
    "stale_serves": "gets that were served between soft and hard end",
    "error_serves": "gets that were served an ended value because the load failed",
    "refreshes": "loads in the background",
    "refused_fills": "loads that were not stored: the key was invalidated in between, or the copy lagged",
    "bypassed": "loads that were not stored because a write was under way, or another version of the type owns the entry",
    "unreadable": "entries that were no entries of this cache and key",
    "unstorable": "values that were not stored: too large",
    "invalidations": "invalidations of keys and tags, and clears",
    "bus_losses": "how often all local entries were dropped because notifications may have been missed",
    "shared_down": "times that the shared tier did not answer",
    "sampled": "hits compared with the owner",
    "inconsistent": "of these, those that were not what the owner had",
    "puts": "puts and deletes that a write-back buffer took, or that were written through",
    "flushed": "records of a write-back buffer that this process has written",
    "parked": "of these, those that the sink did not take",
}


class Counters:
    """Numbers of one cache, by name. What each counts: `Counters.meaning(name)`."""

    __slots__ = (*_NAMES, "by_reason")

    local_hits: int
    shared_hits: int
    loads: int
    load_errors: int
    load_timeouts: int
    joined: int
    waits: int
    negative: int
    stale_serves: int
    error_serves: int
    refreshes: int
    refused_fills: int
    bypassed: int
    unreadable: int
    unstorable: int
    invalidations: int
    bus_losses: int
    shared_down: int
    sampled: int
    inconsistent: int
    puts: int
    flushed: int
    parked: int

    def __init__(self) -> None:
        for name in _NAMES:
            setattr(self, name, 0)
        self.by_reason: dict[str, int] = {}

    @staticmethod
    def meaning(name: str) -> str:
        """What a number counts."""
        return _NAMES[name]

    def unreadable_because(self, reason: str) -> None:
        """An entry was none of this cache and key."""
        self.unreadable += 1
        self.by_reason[reason] = self.by_reason.get(reason, 0) + 1

    def to_dict(self) -> dict[str, Any]:
        """All of them."""
        return {name: getattr(self, name) for name in _NAMES} | {"unreadable_by_reason": dict(self.by_reason)}
