"""Where a block went, for people and their logs. Values only."""

from __future__ import annotations

import msgspec

__all__ = ["Attempt", "Route"]


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One endpoint tried. `kind`: "initial", "retry" or "wait"; `outcome`: "ok" or what went wrong."""

    region: str
    kind: str
    outcome: str
    seconds: float


class Route(msgspec.Struct, frozen=True):
    """Where a block went. `staleness`: seconds the endpoint may have been behind when it was chosen; None: not known."""

    store: str
    region: str
    role: str
    epoch: int | None
    staleness: float | None
    attempts: list[Attempt]
