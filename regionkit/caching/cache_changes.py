# Generated from cache_changes_async.py by scripts/twins.py. Do not edit.
"""The verbs of a cache that change something. `cache` has those that look and load."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from regionkit.caching.back.receipt import Receipt
from regionkit.caching.back.verbs import BackVerbs
from regionkit.caching.calls import Calls
from regionkit.caching.fetch import Fetcher
from regionkit.caching.keys import CacheKey, Stored, canonical, several
from regionkit.caching.local_table import LocalTable
from regionkit.caching.outcome import Outcome, tag_digest
from regionkit.caching.steps import TierDown
from regionkit.caching.strategies import Strategy, check_verb
from regionkit.caching.telling import Teller
from regionkit.caching.tier import Tier
from regionkit.caching.version import NOTHING, of_row
from regionkit.caching.write_through import Writer
from regionkit.errors import CacheError, DurabilityUnknown, UsageError

if TYPE_CHECKING:
    from regionkit.caching.track_sql import Tracked

__all__ = ["CacheChanges"]

V = TypeVar("V")

IS_ASYNC = False


class CacheChanges(BackVerbs[V]):
    """What changes values, and what says that they have changed."""

    # An object of more than 30 attributes that has them in a dict takes an eighth longer for a hit.
    __slots__ = (
        *("name", "namespace", "scope", "strategy", "local", "shared", "floor_life", "settles", "spreads", "routed"),
        *("back", "homes", "counters", "source", "heard", "tier", "teller", "fetcher", "emit"),
        *("_always_open", "_background", "_backing", "_calls", "_clock", "_closed", "_flights", "_fresh", "_glance"),
        *("_hooks", "_made", "_many", "_table", "_tails", "_tracked", "_writer", "__weakref__"),
    )

    name: str
    strategy: Strategy
    scope: bytes
    tier: Tier
    teller: Teller
    fetcher: Fetcher
    _calls: Calls
    _table: LocalTable
    _writer: Writer
    _tracked: ContextVar[Tracked | None]
    _usable: Callable[[], None]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {type(self.strategy).__name__}>"

    def set(self, key: CacheKey, value: V, *, ttl: float | None = None) -> None:
        """Set a value (TTL only). A later set or delete wins over an earlier one, and over loads that began before.

        Raises:
            UsageError: the strategy has no set.
            CacheError: the value cannot be cached, or the shared tier did not take it.
        """
        check_verb("set", self.strategy, self.name)
        call = self._calls.of(key, ttl, None, False, None, loads=False)
        life = self.fetcher.parts.shaper.life(ttl=ttl)
        entry, sealing = self.fetcher.parts.shaper.sealed(call.stored, Outcome(value), life)
        if sealing is None:
            raise CacheError(
                f"a value for cache {self.name!r} is too large.",
                why=f"at most {self.fetcher.parts.shaper.coder.largest} bytes are cached.",
                fix="raise max_value_bytes, or cache less of it.",
            )
        self.teller.told(call.stored)
        mark = self._table.mark(call.stored, self.fetcher.parts.shaper.digest(call.stored))
        try:
            entry.stamp = self.tier.put(call.stored, sealing)
            self._table.put(entry, mark)
        except TierDown as down:
            raise self.teller.not_told(down, "set") from down
        finally:
            self._table.unmark(mark)

    def delete(
        self, key: CacheKey, *, if_version: int | None = None, again: DurabilityUnknown | None = None
    ) -> Receipt:
        """Forget a value (TTL); have its row deleted (WriteBack, with the arguments and errors of `put`)."""
        check_verb("delete", self.strategy, self.name)
        if self.back is not None:
            self._usable()
            return self.back.putting.put(key, None, deleted=True, expected=if_version, again=again)
        self.teller.invalidate([canonical(key)], NOTHING)
        return Receipt(0, "cache")

    def put(
        self, key: CacheKey, value: V, *, if_version: int | None = None, again: DurabilityUnknown | None = None
    ) -> Receipt:
        """Write a value to the store and the cache (WriteThrough), or to the buffer, whence the row follows (WriteBack).

        See `regionkit.caching.write_through_async` and `regionkit.caching.back.rules`.

        Args:
            key: of the value.
            value: of the cache's type.
            if_version: WriteBack: only where the key has this version, as a Receipt has it; 0: only where nothing is there.
            again: WriteBack: the error of this very put, whose answer was lost. It is done once.

        Raises:
            UsageError: the strategy has no put; WriteBack: `if_version` is no version, or `again` not of this put.
            VersionConflict: WriteBack: the key has another version; nothing was put.
            Backpressure: WriteBack: the buffer does not take it now; nothing was put.
            DurabilityUnknown: WriteBack: whether it is in the buffer, or durable, is not known.
            CacheError: the value cannot be cached, or the shared tier could not be told first; nothing was written.
            Exception: what `store` or its COMMIT raised; `committed` of a RegionKitError says what became of the write.
        """
        check_verb("put", self.strategy, self.name)
        self._usable()
        if self.back is not None:
            return self.back.putting.put(key, value, expected=if_version, again=again)
        if if_version is not None or again is not None:
            raise UsageError("if_version and again are arguments of WriteBack.", fix="leave them out.")
        self._writer.put(key, canonical(key), value)
        return Receipt(0, "store")

    def track(self, session: Any) -> Tracked:
        """Track the transaction of a Session or a Connection (WriteThrough only): what it writes is not what it was, from its
        COMMIT on. Again for each transaction, before it writes: what was written before is not seen. See
        `regionkit.caching.track_sql`.

        Raises:
            UsageError: the strategy has no track, or there is no transaction to join.
        """
        check_verb("track", self.strategy, self.name)
        self._usable()
        module = import_module(f"regionkit.caching.track_sql{'_async' if IS_ASYNC else ''}")
        tracked: Tracked = module.Tracked(self, self._writer, session)
        self._tracked.set(tracked)
        return tracked

    def untracked(self, tracked: Any) -> None:
        """A tracked transaction is over."""
        if self._tracked.get() is tracked:
            self._tracked.set(None)

    def touch(self, keys: Iterable[CacheKey] = (), tags: Iterable[str] = (), *, all: bool = False) -> None:
        """Say which keys (or tags, or all) the tracked transaction of this thread (task) writes by bulk, Core or text statements.

        Raises:
            UsageError: nothing is tracked here.
        """
        check_verb("touch", self.strategy, self.name)
        tracked = self._tracked.get()
        if tracked is None:
            raise UsageError(
                f"no transaction is tracked by cache {self.name!r} here.",
                fix="call track(session) in it first; after your own commit call invalidate_many(keys).",
            )
        tracked.touch(keys, tags, all=all)

    def invalidate(self, key: CacheKey, *, version: int | None = None, session: Any = None) -> None:
        """The value is not what it was: no reader keeps it, and no load that began before is stored.

        Call it after your own write has committed.

        Args:
            key: of the value.
            version: of the row now, where loaders tell versions: a load from a copy that lags is refused, too.
            session: of a kit, whose write it was. Default: the current one; without one the owner is asked how far it is.

        Raises:
            CacheError: the shared tier did not take it; it is told again until it does, and meanwhile others may serve the
                old value.
        """
        self.invalidate_many([key], version=version, session=session)

    def invalidate_many(self, keys: Iterable[CacheKey], *, version: int | None = None, session: Any = None) -> None:
        """The same for several keys, in one round trip for each hundred."""
        self._usable()
        several_keys = several("invalidate_many", keys)
        for key in several_keys:
            canonical(key)  # none is told when one is no key

        def tell(stored: Sequence[Stored], covers: str, ids: Sequence[bytes]) -> None:
            self.teller.invalidate(stored, covers if version is None else of_row(version), ids)

        self._writer.tell_keys(several_keys, session, tell)

    def invalidate_tag(self, tag: str, *, session: Any = None) -> None:
        """What carries the tag is not what it was."""
        self._usable()
        digest = tag_digest(tag, self.scope)

        def tell(covers: str, ids: Sequence[bytes]) -> None:
            self.teller.invalidate_tag(digest, covers, *ids)

        self._writer.tell("t", [(b"", digest)], None, session, tell)

    def clear(self, *, session: Any = None) -> None:
        """Nothing is what it was."""
        self._usable()

        def tell(covers: str, ids: Sequence[bytes]) -> None:
            self.teller.clear(covers, *ids)

        self._writer.tell("c", [], None, session, tell)

    def expire(self, key: CacheKey) -> None:
        """Load the key at its next get, and serve what there is if that fails. Another verb than `invalidate`."""
        self._usable()
        stored = canonical(key)
        entry = self._table.get(stored)
        if entry is not None:
            entry.fresh_until = entry.number_until = entry.soft = entry.hard = -math.inf
        try:
            self.tier.expire([stored])
        except TierDown as down:
            raise self.teller.not_told(down, "expire") from down
