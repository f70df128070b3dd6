"""What is asked of a store: the kind of a call, how its block was asked for, and the whole question. Values only."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from regionkit.facts.bookmark import Entry
from regionkit.facts.consistency import ON_STALE, SESSION, Consistency, OnStale

__all__ = ["BlockMode", "Kind", "Request"]


class Kind(StrEnum):
    """What the caller declared."""

    READ = "read"
    WRITE = "write"


class Request(msgspec.Struct, frozen=True, gc=False):
    """What is asked.

    Attributes:
        kind: read or write.
        consistency: level of a read.
        entries: what the bookmark asks of this store's partition.
        signed: the entries come from this process or carry our signature.
        on_stale: steps when the first in order is not proved.
        latency_window: endpoints whose round trips differ by less than this, seconds, are equals.
        pin: index of the endpoint that this session read last, or -1.
        excluded: endpoints that failed in this very call.
        waited: endpoints that this call has already waited for.
        fresh: endpoints that answered a question sent within this call.
        wait_until: monotonic instant after which nothing is waited for.
        regions: regions that come first, in this order; then the local one, then the others.
        weights: shares of calls by region; when there are any, they decide instead of nearness.
        home: region of the key's home, the only one that takes a write where there is no owner; "": any.
    """

    kind: Kind = Kind.READ
    consistency: Consistency = SESSION
    entries: tuple[Entry, ...] = ()
    signed: bool = True
    on_stale: tuple[OnStale, ...] = ON_STALE
    latency_window: float = 0.015
    pin: int = -1
    excluded: frozenset[int] = frozenset()
    waited: frozenset[int] = frozenset()
    fresh: frozenset[int] = frozenset()
    wait_until: float = 0.0
    regions: tuple[str, ...] = ()
    weights: tuple[tuple[str, float], ...] = ()
    home: str = ""


class BlockMode(msgspec.Struct, frozen=True, gc=False):
    """How a block was asked for.

    Attributes:
        core: on SQL a Connection instead of a Session.
        snapshot: a read as one repeatable-read transaction.
        transaction: a write as one transaction, where that is not always so.
        consistency: level of a read.
    """

    core: bool = False
    snapshot: bool = False
    transaction: bool = False
    consistency: Consistency = SESSION
