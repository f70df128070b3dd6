"""A record: one small versioned row of regionkit's own, known by kind and key. A value only."""

from __future__ import annotations

import msgspec

__all__ = ["LARGEST_RECORD", "Record"]

LARGEST_RECORD = 4096
"""Largest value of a record, bytes: it shares a row with its key on every server; more belongs into a table of its own."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it stands. `version`: 1 when it was made, one more with each change."""

    kind: str
    key: str
    value: bytes
    version: int = 1
