"""The keyword arguments of a session's calls, as types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from regionkit.facts.consistency import Consistency, OnStale
from regionkit.topology import Preference

__all__ = ["BlockOptions", "ReadOptions", "WriteOptions"]


class BlockOptions(TypedDict, total=False):
    """Of every block.

    Attributes:
        key: whose data it is about, where the store is partitioned; default the session's.
        home: the key's home, where the store's homes are `Contextual`; default the session's.
        unlocked: allow another key than the one the session is locked to.
        timeout: seconds from the opening to the end of the block; default the profile's.
    """

    key: str | None
    home: str | None
    unlocked: bool
    timeout: float | None


class ReadOptions(BlockOptions, total=False):
    """Of a read block.

    Attributes:
        consistency: EVENTUAL, BOUNDED(s), SESSION (default) or STRONG.
        on_stale: what to do when the nearest copy is not proved, one step or several; default wait, next, primary.
        prefer: choice among equals; default the store's.
        snapshot: one repeatable-read transaction.
    """

    consistency: Consistency
    on_stale: OnStale | Sequence[OnStale] | None
    prefer: Preference | None
    snapshot: bool


class WriteOptions(BlockOptions, total=False):
    """Of a write block. `transaction`: one transaction, where that is not always so."""

    transaction: bool
