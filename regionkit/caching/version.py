"""Versions of cached values: texts of one width that compare as what they stand for. Pure.

    kind(1) epoch(6) value(20)        digits only, so that Lua, SQL and Python compare them alike

1. A cache has versions of one kind: positions of the store it is filled from, or numbers of rows. Two kinds do not compare.
2. A position is counted within a history; the epoch before it orders histories, so a later history is above an earlier one.
3. `lo` is what a value surely has, `hi` covers all that a write (or a read) may have shown. Floors take `hi`, values take `lo`.
4. MariaDB's positions are versions while one replication domain is written, MySQL's while one server writes in a history;
   Cassandra's levels are none.
"""

from __future__ import annotations

from regionkit.errors import ConfigurationError
from regionkit.facts.position import Position, Uuids
from regionkit.facts.stamp import Stamp

__all__ = ["NOTHING", "OWNER_ONLY", "WIDTH", "of_position", "of_row", "of_stamp", "position_of", "reaches"]

WIDTH = 27
"""Characters of a version."""
NOTHING = ""
"""No version: below every other."""
OWNER_ONLY = "9" * WIDTH
"""Above every version: as a floor it takes nothing but what was read from the owner."""

_POSITION, _ROW = "1", "2"
_EPOCH, _VALUE = 10**6, 10**20


def of_position(epoch: int, position: Position | None) -> str:
    """The version of a position in the history of that epoch; NOTHING where it is no single number."""
    if isinstance(position, tuple):
        position = position[0][2] if len(position) == 1 else None
    elif isinstance(position, Uuids):
        position = position.upto[0][1] if len(position.upto) == 1 else None
    if not isinstance(position, int) or not 0 <= position < _VALUE or not 0 <= epoch < _EPOCH:
        return NOTHING
    return f"{_POSITION}{epoch:06d}{position:020d}"


def of_stamp(stamp: Stamp | None) -> str:
    """The version of a stamp; NOTHING without one, or where its position is no single number."""
    return NOTHING if stamp is None else of_position(stamp.epoch, stamp.position)


def of_row(number: int) -> str:
    """The version of a row.

    Raises:
        ConfigurationError: it is no whole number from 0 to 10^20 - 1.
    """
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _VALUE:
        raise ConfigurationError(
            f"version={number!r} is not a version of a row.",
            fix="give a whole number that grows with each change of the row.",
        )
    return f"{_ROW}{0:06d}{number:020d}"


def reaches(version: str, needed: str) -> bool:
    """Whether a version is of the same kind as the one that is needed, and not below it. NOTHING is needed: always."""
    return not needed or (version[:1] == needed[:1] and version >= needed)


def position_of(version: str) -> tuple[int, int] | None:
    """(epoch, position) of a version that is one of a position of one number; else None."""
    if len(version) != WIDTH or version[0] != _POSITION:
        return None
    return int(version[1:7]), int(version[7:])
