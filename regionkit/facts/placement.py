"""A placement: which home a key has, as one versioned row of a directory. A value only."""

from __future__ import annotations

import msgspec

__all__ = ["HASHED_TABLE", "Placement"]

HASHED_TABLE = ""
"""Key of the row that keeps the regions of `Hashed`: no key of an application is empty."""


class Placement(msgspec.Struct, frozen=True, gc=False):
    """One row of a directory. `epoch`: of the placement, raised by each move; `version`: of the row."""

    store: str
    key: str
    home: str
    epoch: int = 1
    version: int = 1
