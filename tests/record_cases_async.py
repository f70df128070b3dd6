"""What `AsyncRecords` promises, as cases that run over any backend's records: asserts come with a function each."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit.contract.records_async import AsyncRecords
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import agather
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, OutcomeUnknown
from regionkit.facts.record import LARGEST_RECORD, Record

ODD_KEYS = ("", " ", "a", "a ", "A", "\u00e4", "a\u0308", "\U0001f600", "$set", "a.b", "k" * 512, "'; --", "%s")
"""Each another key, whatever a server thinks of blanks, case and normal forms."""
WRITERS = 30


def soon(seconds: float = 20.0) -> Deadline:
    """A deadline that no test here is about."""
    return Deadline(SYSTEM_CLOCK, seconds)


async def versions_decide(records: AsyncRecords) -> None:
    """A change is made where the version is the one that was expected, and what stands is told else."""
    first = Record("home", "k", b"one", 1)
    assert await records.get(soon(), "home", "k") is None
    assert await records.put(soon(), Record("home", "k", b"four", 4), expected=3) is None
    assert await records.delete(soon(), "home", "k", expected=1) is None
    assert await records.put(soon(), first, expected=0) is first
    assert await records.get(soon(), "home", "k") == first
    assert await records.put(soon(), Record("home", "k", b"late", 1), expected=0) == first
    second = Record("home", "k", b"two", 2)
    assert await records.put(soon(), second, expected=1) is second
    again = await records.put(soon(), Record("home", "k", b"two", 2), expected=1)
    assert again == second
    assert again is not second
    assert await records.delete(soon(), "home", "k", expected=1) == second
    assert await records.delete(soon(), "home", "k", expected=0) == second
    assert await records.delete(soon(), "home", "k", expected=2) is None
    assert await records.get(soon(), "home", "k") is None
    assert await records.put(soon(), first, expected=0) is first


async def one_winner_a_version(records: AsyncRecords, *, doubts: bool = False) -> None:
    """Of thirty that put the same version one is told that it did, and that is what stands. `doubts`: losers may not know."""
    for version in (1, 2):
        tried = [Record("race", "k", f"{writer}".encode(), version) for writer in range(WRITERS)]
        stand = await agather([_put(records, one, version - 1) for one in tried])
        won = [one for one, found in zip(tried, stand, strict=True) if found is one]
        assert len(won) == 1, stand
        lost = [found for found in stand if found is not won[0]]
        assert [found for found in lost if found != won[0] and not (doubts and isinstance(found, OutcomeUnknown))] == []
        assert await records.get(soon(), "race", "k") == won[0]


def _put(records: AsyncRecords, record: Record, expected: int) -> Any:
    return lambda: records.put(soon(60.0), record, expected=expected)


async def odd_keys_are_keys(records: AsyncRecords) -> None:
    """Byte for byte, values too."""
    kept = {key: Record("odd", key, bytes([number]) + b"\x00\xff", 1) for number, key in enumerate(ODD_KEYS)}
    for record in kept.values():
        assert await records.put(soon(), record, expected=0) is record
    for key, record in kept.items():
        assert await records.get(soon(), "odd", key) == record
        assert await records.get(soon(), "Odd", key) is None


async def sizes_are_bounded(records: AsyncRecords) -> None:
    """What is too long, or no text, is refused before anything is sent."""
    whole = Record("k" * 120, "k" * 512, b"\x00" * LARGEST_RECORD, 1)
    assert await records.put(soon(), whole, expected=0) is whole
    assert await records.get(soon(), whole.kind, whole.key) == whole
    empty = Record("kind", "empty", b"", 1)
    assert await records.put(soon(), empty, expected=0) is empty
    assert await records.get(soon(), "kind", "empty") == empty
    with pytest.raises(ConfigurationError, match="bytes"):
        await records.put(soon(), Record("kind", "k", b"\x00" * (LARGEST_RECORD + 1), 1), expected=0)
    for kind, key in (("k" * 121, "k"), ("kind", "k" * 513), ("kind", "a\x00b"), ("kind", "\ud800"), ("\x00", "k")):
        with pytest.raises(ConfigurationError, match="not usable"):
            await records.get(soon(), kind, key)
        with pytest.raises(ConfigurationError, match="not usable"):
            await records.delete(soon(), kind, key, expected=1)
        with pytest.raises(ConfigurationError, match="not usable"):
            await records.put(soon(), Record(kind, key, b"", 1), expected=0)
    for lasts in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError, match="lasts"):
            await records.put(soon(), Record("kind", "k", b"", 1), expected=0, lasts=lasts)
