"""A stamp: what a unit's COMMIT is known by everywhere. And an owner: who may write. Values only."""

from __future__ import annotations

import msgspec

from regionkit.facts.position import Position

__all__ = ["Owner", "Stamp"]


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """An upper bound of a commit: whoever has reached it shows all of the unit."""

    history: str
    epoch: int
    position: Position


class Owner(msgspec.Struct, frozen=True, gc=False):
    """Who owns a partition now: as configured or by descent, until leases of ownership exist. `history` "": not known."""

    region: str
    endpoint: str
    history: str
    epoch: int
