"""Placements of a directory, written past it: by compare-and-set on the record that keeps them, at one endpoint."""

from __future__ import annotations

from typing import Any

from regionkit.core.deadline import Deadline
from regionkit.facts.placement import Placement, placement_in, placement_kind, placement_record

__all__ = ["find_placement", "set_placement"]


async def find_placement(backend: Any, deadline: Deadline, store: str, key: str) -> Placement | None:
    """The row that the endpoint has; None when it has none."""
    found = await backend.records.get(deadline, placement_kind(store), key)
    return None if found is None else placement_in(store, found)


async def set_placement(backend: Any, deadline: Deadline, row: Placement, *, expected: int) -> Placement:
    """Put `row` where the version is `expected`; the row that stands then."""
    stands = await backend.records.put(deadline, placement_record(row), expected=expected)
    return row if stands is None else placement_in(row.store, stands)
