"""A placement: which home a key has, as one versioned row of a directory. A value only."""

from __future__ import annotations

import msgspec

from regionkit.facts.record import Record

__all__ = ["HASHED_TABLE", "Placement", "placement_in", "placement_kind", "placement_record"]

HASHED_TABLE = ""
"""Key of the row that keeps the regions of `Hashed`: no key of an application is empty."""


class Placement(msgspec.Struct, frozen=True, gc=False):
    """One row of a directory. `epoch`: of the placement, raised by each move; `version`: of the row."""

    store: str
    key: str
    home: str
    epoch: int = 1
    version: int = 1


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    home: str
    epoch: int


def placement_kind(store: str) -> str:
    """The kind of the records that keep a store's placements."""
    return f"placement/{store}"


def placement_record(row: Placement) -> Record:
    """A placement as the record that keeps it."""
    value = msgspec.json.encode(_Kept(row.home, row.epoch))
    return Record(placement_kind(row.store), row.key, value, row.version)


def placement_in(store: str, record: Record) -> Placement:
    """The placement that a record keeps."""
    kept = msgspec.json.decode(record.value, type=_Kept)
    return Placement(store, record.key, kept.home, kept.epoch, record.version)
