# Generated from test_records_async.py by scripts/twins.py. Do not edit.
"""Records in a unit of the memory backend commit with it, as on the servers."""

from __future__ import annotations

import pytest

from regionkit import RegionKit
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.embedded import MemoryRegions
from regionkit.facts.record import Record


def soon() -> Deadline:
    """A deadline."""
    return Deadline(SYSTEM_CLOCK, 5)


def test_a_record_in_a_unit_goes_and_comes_with_it() -> None:
    """Seen inside, there after the end, gone after an error."""
    with MemoryRegions(store="orders", primary="us") as regions:
        with RegionKit(regions.topology, local="us") as kit:
            kit.create_tables()
            backing = kit.backing("orders")
            records, kept, lost = backing.records(), Record("job", "a", b"x", 1), Record("job", "b", b"x", 1)
            with backing.write(deadline=soon()) as u:
                assert records.put(soon(), kept, expected=0, within=u) == kept
                assert records.put(soon(), Record("job", "a", b"y", 1), expected=0, within=u) == kept
            with pytest.raises(ZeroDivisionError):
                with backing.write(deadline=soon()) as u:
                    assert records.put(soon(), lost, expected=0, within=u) == lost
                    raise ZeroDivisionError
            assert records.get(soon(), "job", "a") == kept
            assert records.get(soon(), "job", "b") is None
