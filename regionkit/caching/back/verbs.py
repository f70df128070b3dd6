# Generated from verbs_async.py by scripts/twins.py. Do not edit.
"""The verbs that a cache has with WriteBack only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from regionkit.caching.back.receipt import BufferState, Flushed, Parked, Receipt
from regionkit.caching.keys import CacheKey
from regionkit.caching.strategies import Strategy, check_verb
from regionkit.errors import CacheError, VersionConflict

if TYPE_CHECKING:
    from regionkit.caching.back.flusher import Flusher
    from regionkit.caching.back.made import Back
    from regionkit.caching.lookup import Lookup

__all__ = ["BackVerbs"]

V = TypeVar("V")

MOST_UPDATES = 50
"""Times that `update` reads and tries: by then the key is written all the time."""


class BackVerbs(Generic[V]):
    """What a write-back cache can do besides `put` and `delete`."""

    __slots__ = ()

    name: str
    strategy: Strategy
    back: Back | None
    _usable: Callable[[], None]

    if TYPE_CHECKING:

        def lookup(self, key: CacheKey) -> Lookup[V | None]:
            """As the cache has it."""
            ...

    def _back(self, verb: str) -> Back:
        check_verb(verb, self.strategy, self.name)
        self._usable()
        assert self.back is not None
        return self.back

    def update(self, key: CacheKey, change: Callable[[V | None], V]) -> Receipt:
        """Put what `change` makes of the present value (None where nothing is there), if nobody has put another meanwhile; else
        read and try again (WriteBack only).

        `change` may be called several times. Not for counters of many writers: each waits for the others.

        Raises:
            VersionConflict: the key is written all the time; nothing was put.
            CacheError: as `put`.
            Exception: what `change` raised; nothing was put.
        """
        back = self._back("update")
        for _ in range(MOST_UPDATES):
            found = self.lookup(key)
            if found.found and not found.version:
                raise CacheError(
                    f"cache {self.name!r} has a value without a version.",
                    why="its loader returns no version, and update() replaces one version by the next.",
                    fix="return Loaded(value, version=...), or leave load= out: the sink loads the row then.",
                )
            new = change(found.value)
            try:
                return back.putting.put(key, new, expected=int(found.version[7:]) if found.version else 0)
            except VersionConflict:
                back.forget_here(key)
        raise VersionConflict(
            f"an update of cache {self.name!r} did not come through in {MOST_UPDATES} attempts.",
            why="its key is written all the time. Nothing was put.",
            fix="write it in one place.",
        )

    def flush(self, key: CacheKey | None = None, *, timeout: float | None = None) -> Flushed:
        """Write the rows of what is dirty now (WriteBack only), and wait until that is so, or it is parked.

        Args:
            key: only that key is waited for.
            timeout: seconds. Default: the strategy's `write_timeout`. When they are over, `clean` of what it returns is False.

        Raises:
            CacheError: the buffer does not answer; or the sink has not, not even once.
        """
        return self._back("flush").looking.flush(key, timeout)

    def buffer(self) -> BufferState:
        """How much is dirty and for how long, and whether a flusher works (WriteBack only)."""
        return self._back("buffer").looking.state()

    def dirty(self, limit: int = 1000) -> list[Any]:
        """Keys whose row is behind (WriteBack only), at most `limit`, in no order."""
        return self._back("dirty").looking.dirty(limit)

    def parked(self, limit: int = 1000) -> list[Parked[V]]:
        """Values that the table did not take, with the reason (WriteBack only). Readers still get them."""
        return self._back("parked").looking.parked(limit)

    def retry(self, key: CacheKey | None = None) -> int:
        """Have a parked value (None: all of them) written after all; how many are tried again (WriteBack only)."""
        return self._back("retry").looking.retry(key)

    def discard(self, key: CacheKey) -> bool:
        """Forget a parked value for good: readers get the row (WriteBack only). Whether there was one."""
        return self._back("discard").looking.discard(key)

    def flusher(self, *, drain: float = 10.0) -> Flusher:
        """A flusher of this process: `with cache.flusher():` (WriteBack only). Leaving it writes what is dirty.

        Args:
            drain: seconds that leaving waits for that at most; what is left then, another flusher writes.
        """
        return self._back("flusher").flusher(drain)
