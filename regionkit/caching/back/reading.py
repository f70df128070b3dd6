# Generated from reading_async.py by scripts/twins.py. Do not edit.
"""A get of a key that a write-back buffer has, or may have: whatever the call asks for, there is nothing newer than that."""

from __future__ import annotations

from regionkit.caching.entry import HEADER, Unreadable
from regionkit.caching.local_table import Entry, Mark
from regionkit.caching.parts import Call, Parts
from regionkit.errors import CacheError, UsageError

__all__ = ["buffered", "unsure", "without_row"]


def buffered(parts: Parts, call: Call, data: bytes, mark: Mark) -> Entry:
    """The entry of a key that is dirty or parked.

    Raises:
        CacheError: this process cannot read it, and the row would be older than what was acknowledged.
    """
    try:
        envelope = parts.shaper.envelope(call.stored, data)
        entry = parts.shaper.parsed(call.stored, envelope, envelope.made)
    except Unreadable as error:
        parts.counters.unreadable_because(error.reason)
        raise CacheError(
            f"a value of cache {parts.name!r} that is not in its row yet cannot be read here.",
            why=f"{error.reason}: a process with another version of the type wrote it.",
            fix="read it there, or again when it is flushed.",
            retryable=True,
        ) from error
    entry.head, entry.asked = data[:HEADER], call.key
    parts.counters.shared_hits += 1
    parts.table.put(entry, mark)
    return entry


def without_row(cache: str, key: object, refused: Exception) -> UsageError:
    """The error of a call whose key has no row of its own in the sink."""
    return UsageError(
        f"{key!r} is no key of cache {cache!r}.",
        why=f"{refused}. The row of another key could be taken for its own.",
        fix="give a key of the types that the table's key has.",
    )


def unsure(cache: str, why: str) -> CacheError:
    """The error of a get that cannot tell whether a put is acknowledged that the row does not show yet."""
    return CacheError(
        f"cache {cache!r} cannot tell what the value is.",
        why=f"{why}. A put may be acknowledged that its row does not show yet.",
        fix="try again.",
        retryable=True,
    )
