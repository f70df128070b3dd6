# Generated from sink_async.py by scripts/twins.py. Do not edit.
"""Where a write-back cache's rows are. A sink of the application's own implements this."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from regionkit.caching.back.refusals import SinkDown, SinkFenced, SinkRefused
from regionkit.caching.back.rules import Change, Verdict
from regionkit.caching.strategies import Loaded

__all__ = ["Sink", "SinkDown", "SinkFenced", "SinkRefused"]


class Sink(Protocol):
    """Safe to share between threads (Sink: tasks of one loop).

    `flush` is one transaction: all of the changes, or none when it raises. It gets at most 100. Where a sink has the attributes
    `most_changes` and `timeout` (seconds that a flush may take), it gets more while many wait and it is quick (rule 6 of
    `flush_rules`).
    """

    def check(self) -> None:
        """Look at the place that is written: a version column that cannot be null, what else would break the guard.

        Raises:
            ConfigurationError: it cannot hold what is promised, with what to change.
            SinkDown: it could not be looked at.
        """
        ...

    def create_tables(self) -> None:
        """Make what the sink keeps beside the rows: epochs and marks. Idempotent."""
        ...

    def raise_epoch(self, cache: str, above: int) -> int:
        """Give out the next epoch of a cache, above `above` and above each that was given out before.

        Raises:
            SinkDown: it was not given out, or nobody knows; a lost one is never used.
            ConfigurationError: the place is another cache's.
        """
        ...

    def flush(self, cache: str, epoch: int, changes: Sequence[Change]) -> list[Verdict]:
        """Write changes, each where the row's version is below its own. In one transaction, keys in one order.

        Args:
            cache: its name.
            epoch: that the flusher knows; a sink that has given out a later one writes nothing and raises SinkFenced.
            changes: of different keys.

        Raises:
            SinkDown: try again; some or all may have been written.
            SinkFenced: a later epoch was given out; nothing was written.
            SinkRefused: at least one change cannot be written; nothing was.
        """
        ...

    def load(self, key: Any, owner: bool = False) -> Loaded[Any] | None:
        """The row of a key at the owner, with its version; None without one. It is always read there, whatever `owner` says."""
        ...

    def forget_marks(self, cache: str, below: int, before: float = math.inf) -> int:
        """Drop some marks of deletes with versions below `below`, made before a time (seconds since 1970); how many.

        A flusher calls it now and then, with a time that is `MARKS_STAY` ago.
        """
        ...

    def close(self) -> None:
        """Close what the sink opened. May be called twice."""
        ...
