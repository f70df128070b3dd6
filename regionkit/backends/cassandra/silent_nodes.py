"""Nodes that did not answer a request in time are asked last for a while: one that hangs keeps its connections open.

A data centre of several nodes has its quorum without it, and the driver finds out only after seconds of heartbeats.

| state  | event                                | next                             |
|--------|--------------------------------------|----------------------------------|
| -      | it was silent                        | silent, for `SILENT_FOR`         |
| silent | its time is over, and it is asked for | on trial: this one request goes there, the others do not |
| trial  | it was silent                        | silent, for `SILENT_FOR`         |
| trial  | `SILENT_FOR` without a complaint     | -                                |
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from cassandra import OperationTimedOut
from cassandra.policies import TokenAwarePolicy

__all__ = ["SILENT_FOR", "SilentNodes", "SpeakersFirst"]

SILENT_FOR = 5.0
"""Seconds for which a silent node comes last: as often as the driver tries an idle connection."""


class SilentNodes:
    """Which nodes of a data centre were silent a moment ago. Thread-safe."""

    __slots__ = ("_lock", "_monotonic", "_trials", "_until")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._until: dict[Any, float] = {}
        self._trials: set[Any] = set()

    def note(self, error: BaseException) -> None:
        """Remember the node that a time-out speaks of."""
        node = getattr(error, "last_host", None) if isinstance(error, OperationTimedOut) else None
        if node is not None:
            name = getattr(node, "endpoint", node)
            with self._lock:
                self._until[name] = self._monotonic() + SILENT_FOR
                self._trials.discard(name)

    def comes_last(self, node: Any) -> bool:
        """Whether others are asked before it."""
        name = node.endpoint
        if name not in self._until:
            return False
        with self._lock:
            now = self._monotonic()
            if now < self._until.get(name, now):
                return True
            if name in self._trials:
                self._trials.discard(name)
                self._until.pop(name, None)
            else:
                self._trials.add(name)
                self._until[name] = now + SILENT_FOR
            return False


class SpeakersFirst(TokenAwarePolicy):  # type: ignore[misc]  # it ships no types
    """The driver's own order, with silent nodes last."""

    def __init__(self, child_policy: Any, silent: SilentNodes) -> None:
        super().__init__(child_policy)
        self.silent = silent

    def make_query_plan(self, working_keyspace: Any = None, query: Any = None) -> Iterator[Any]:
        """Nodes in the order in which they are asked."""
        last = []
        for node in super().make_query_plan(working_keyspace, query):
            if self.silent.comes_last(node):
                last.append(node)
            else:
                yield node
        yield from last
