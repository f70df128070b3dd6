"""What is asked of a store, and what the filters may answer of one endpoint. Values only."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from regionkit.routing.bookmark import Entry
from regionkit.routing.consistency import ON_STALE, SESSION, Consistency, OnStale

__all__ = ["Filter", "Kind", "Outcome", "Refusal", "Request", "Standing", "Verdict"]


class Kind(StrEnum):
    """What the caller declared."""

    READ = "read"
    WRITE = "write"


class Filter(StrEnum):
    """Filters in the order in which they are applied, then the reason why a good endpoint was not taken."""

    RESIDENCY = "residency"
    EPOCH = "epoch"
    ROLE = "role"
    HEALTH = "health"
    BOOKMARK = "bookmark"
    STALENESS = "staleness"
    PREFERENCE = "preference"


class Outcome(StrEnum):
    """What to do."""

    USE = "use"
    WAIT = "wait"
    REFUSE = "refuse"


class Refusal(StrEnum):
    """What kind of error a refusal is."""

    NONE = ""
    RESIDENCY = "residency"
    FENCED = "fenced"
    STALE = "stale"
    LOST = "lost"
    INVALID = "invalid"
    NO_ENDPOINT = "no endpoint"


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


class Standing(StrEnum):
    """How an endpoint stands to what is asked of its data."""

    PROVED = "proved"
    BEHIND = "behind"  # or not known: worth waiting for
    NEVER = "never"  # waiting does not help
    UNSETTLED = "unsettled"  # the owner must be asked afresh
    LOST = "lost"
    INVALID = "invalid"


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What the filters say of one endpoint: the first that refuses it, and how its data stands."""

    refused_by: Filter | None
    reason: str
    standing: Standing = Standing.NEVER
