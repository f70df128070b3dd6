# Generated from kit_replace_async.py by scripts/twins.py. Do not edit.
"""The part of a kit that swaps its topology.

1. The swap is one step under one lock, with the start of the new monitor: of several calls at once each replaces the one before,
   and each topology is let go by the call that replaced it.
2. What was replaced is stopped and closed after the swap, but for the stores that stayed. A call cancelled there
   leaves the rest to the next one, or to `close`.
3. Nobody connects to an endpoint that the new topology does not have or does not allow: it is closed, and asked whether it is
   where a connection is made, by whoever decided earlier to make one.
"""

from __future__ import annotations

import threading

from regionkit.core.given import shown
from regionkit.errors import ConfigurationError, UsageError
from regionkit.kit_stores import Stores
from regionkit.routing.monitor import Monitor
from regionkit.topology import Topology

__all__ = ["Gone", "ReplacesTopology", "check_topology"]


def check_topology(given: object) -> None:
    """Refuse what is none.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(given, Topology):
        raise ConfigurationError(
            f"{shown(given)} is not a topology.",
            fix="pass a Topology; a TOML file is read by from_toml(path, local=...).",
        )


Gone = tuple[Monitor, Stores, Stores]
"""A monitor and stores that were replaced, and the stores that they were replaced by."""


class ReplacesTopology:
    """What `RegionKit` does to swap its topology."""

    _topology: Topology
    _local: str
    _all: Stores
    _monitor: Monitor
    _owner: object
    _closed: bool
    _starting: threading.Lock
    _gone: list[Gone]
    _inherited: list[Gone]

    def replace(self, topology: Topology) -> None:
        """Swap the topology while the kit runs. Stores that did not change keep their connections and what is known of them.

        Several calls at once come one after the other; the last one's topology stays. When it returns, no connection is made to
        an endpoint that the new topology does not have or does not allow: an open block that has none yet reads elsewhere, or
        fails with RegionUnavailable and may be run again. Other blocks that are open on a store that did change end on the old
        one; on MongoDB and Cassandra, whose blocks share connections, they fail with RegionUnavailable, or OutcomeUnknown once
        they have written.

        Raises:
            ConfigurationError: it is none; the new topology lacks the local region, or has another namespace.
            UsageError: the kit is closed.
        """
        check_topology(topology)
        if topology.namespace != self._topology.namespace:
            raise ConfigurationError(
                "the namespace of a running kit cannot change.",
                why="its tables and bookmarks carry it.",
                fix="make a new kit.",
            )
        topology.region(self._local)
        with self._starting:
            if self._closed:
                raise UsageError("the kit is closed.", fix="make a new one.")
            before, monitor = self._all, self._monitor
            after = before.replaced(topology)
            self._all, self._topology = after, topology
            self._monitor = Monitor(list(after.shards()))
            if self._owner is not None:
                self._monitor.start()
            self._gone.append((monitor, before, after))
        self._let_go()

    def _let_go(self) -> None:
        """Stop and close what was replaced. What a call left behind as it was cancelled, the next one or `close` does."""
        for gone in tuple(self._gone):
            monitor, before, after = gone
            monitor.stop()
            before.close(but=after)
            with self._starting:
                if gone in self._gone:
                    self._gone.remove(gone)
