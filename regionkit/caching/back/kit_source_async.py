"""Write-back in a kit: one buffer for all regions, which stands in the home of the data; loads and sessions around it.

Where keys have homes, each home has a buffer: `homed_async`.

| what                               | where it goes |
|------------------------------------|---------------|
| a put; a get that `Local` has not  | to the buffer's server in the home region, from each region |
| a flush                            | through the kit's routing to the store's owner: epochs fence, residency is asked |
| a load                             | to the owner: what is loaded has the row's own version |
| news                               | to all regions: they share the server, and so its stream of news |

1. The home is named by the topology (the region of the store's primary, as configured) or by `home=`: every process finds the
   same. It does not follow a promotion of the database: what is dirty stays where it is, and the flusher follows the owner.
2. Two homes of one cache would take the table from each other: the sink's epochs fence one of them (`BufferContended`).
3. A value that is dirty has no position of the store. So sessions are shown what was put, whatever their bookmark says; what a
   session itself has written into the table, past the cache, it has to `invalidate`. Once `flush` has returned, or a put was
   written through, the current session has seen all that the owner had then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regionkit.caching.source_async import AsyncPlainSource
from regionkit.contract.backing_async import AsyncBacking
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, RegionKitError, UsageError
from regionkit.facts.consistency import STRONG

__all__ = ["AsyncBufferSource", "check_sink"]


class AsyncBufferSource(AsyncPlainSource):
    """The loader of a write-back cache in a kit. Safe to share between threads (tasks of one loop).

    Args:
        backing: the store whose rows the sink writes.
        current: finds the session of this context.
        timeout: seconds that the owner may take to say where it stands.
        part: of a store whose keys have homes: that of the backing.
    """

    def __init__(
        self,
        scope: bytes,
        backing: AsyncBacking,
        current: Callable[[], Any],
        clock: Clock,
        timeout: float,
        part: str = "",
    ) -> None:
        super().__init__(scope)
        self._backing = backing
        self._current = current
        self._clock = clock
        self._timeout = timeout
        self._part = part

    async def view(self, given: Any, key: Any) -> Any:
        """None: rule 3.

        Raises:
            UsageError: a session was given.
        """
        if given is not None and given is not False:
            raise UsageError(
                "a write-back cache takes no session.",
                why="it shows what was put last, which no bookmark speaks of before its row is written.",
                fix="leave session= out. To read the row in a session, flush(key) first: the current session has seen it then.",
            )
        return None

    async def flushed(self) -> None:
        """Rows were written that the current session, if there is one, has to be shown from now on."""
        session = self._current()
        if session is None:
            return
        stamp = None
        try:
            deadline = Deadline(self._clock, self._timeout)
            async with self._backing.read(consistency=STRONG, deadline=deadline) as unit:
                stamp = await unit.take_stamp()
        except RegionKitError:
            pass  # nobody knows how much: the session reads the owner
        session.saw(self._backing.name, stamp, self._part)


def check_sink(name: str, sink: Any, backing: AsyncBacking) -> None:
    """Refuse a sink that writes past the kit.

    Raises:
        ConfigurationError: it has an engine or client of its own, or another store.
    """
    given = getattr(sink, "backing", None)
    if given is None or (getattr(given, "routed", False) and given.name == backing.name):
        return  # a function of the application's, or a sink of its own, knows where it writes
    raise ConfigurationError(
        f"the sink of cache {name!r} writes to {given.name!r}, past the kit.",
        why="rows go through the kit's routing to the store's owner: so epochs fence them, and residency is asked.",
        fix=f'give it the kit: SqlSink(kit, table, store="{backing.name}").',
    )
