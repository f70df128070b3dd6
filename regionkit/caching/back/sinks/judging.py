"""What a sink makes of a change that it did not write. Pure; every sink judges so.

| what stands there                                        | verdict  |
|----------------------------------------------------------|----------|
| the change's version                                     | APPLIED  |
| a later one, of the flusher's epoch or an earlier        | SUPERSEDED |
| a later one, of an epoch that nobody has given out       | CONFLICT |
| an earlier one, or nothing                               | CONFLICT: somebody hindered the write |
| nothing, and the change is a delete                      | APPLIED  |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from regionkit.caching.back.rules import EPOCH, Change, Verdict
from regionkit.caching.keys import canonical, digest_of, stored_name

__all__ = ["in_order", "judge", "mark_of"]


def judge(change: Change, found: int | None, epoch: int) -> Verdict:
    """The verdict on a change that wrote nothing. `found`: the version of the row, or of the mark of its delete."""
    if found is None:
        return Verdict.APPLIED if change.deleted else Verdict.CONFLICT
    if found == change.version:
        return Verdict.APPLIED
    return Verdict.SUPERSEDED if found > change.version and found // EPOCH <= epoch else Verdict.CONFLICT


def mark_of(key: Any) -> str:
    """How a key stands in the marks: 32 hex digits."""
    return digest_of(canonical(key)).hex()


def in_order(changes: Iterable[Change]) -> list[Change]:
    """Changes in the order in which every flusher locks their keys: two of them wait for each other, and never deadlock."""
    return sorted(changes, key=lambda change: stored_name(canonical(change.key)))
