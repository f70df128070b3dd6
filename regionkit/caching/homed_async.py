"""Write-back over a store whose keys have homes: each home has a buffer of its own, and a key is always of one.

1. A key's puts go to the buffer in the home region of the key; its row is written in that home. So each home has a cache of its
   own, whose name ends in digits that stand for the home: its epochs are given out there, and no other buffer writes its rows.
2. A call without a key (`buffer`, `dirty`, `parked`, `flush()`, ...) asks all homes at once. If one does not answer, its error
   is raised when all have been asked. A call with a key asks only the home of that key.
3. A flusher works for all homes, unless it is given some of them: so no value waits for a region without a flusher. If a home
   does not answer at the start, the flusher tries it again in the background; if no home answers, it does not start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from regionkit.caching.back.flusher_async import AsyncFlusher
from regionkit.caching.back.receipt import BufferState, Flushed, Parked, Receipt
from regionkit.caching.cache_async import AsyncCache
from regionkit.caching.explanation import CacheExplanation
from regionkit.caching.homes_source_async import AsyncKeyHomes
from regionkit.caching.keys import CacheKey, several
from regionkit.caching.lookup import Lookup
from regionkit.core.clock import Clock
from regionkit.core.concurrency_async import agather
from regionkit.core.events import Hook
from regionkit.core.supervisor_async import AsyncSupervisor
from regionkit.errors import CacheError, ConfigurationError, UsageError

__all__ = ["AsyncHomedCache", "AsyncHomedFlusher", "homed_name"]

V = TypeVar("V")
T = TypeVar("T")
K = TypeVar("K", bound=CacheKey)

IS_ASYNC = True
DIGITS = 4
"""Of a home in the name of its cache: a store has a handful of homes, and a name 22 characters."""
LONGEST_NAME = 22 - DIGITS - 1
START_AGAIN = 2.0
"""Seconds at most after which a home that did not answer is tried again."""


def homed_name(name: str, part: str) -> str:
    """The name of the cache of one home.

    Raises:
        ConfigurationError: it would be too long.
    """
    if len(name) > LONGEST_NAME:
        raise ConfigurationError(
            f"the name {name!r} is too long for a write-back cache over a store whose keys have homes.",
            why="each home has a buffer with a name of its own, which ends in digits that stand for the home.",
            fix=f"take at most {LONGEST_NAME} characters.",
        )
    return f"{name}_{hashlib.sha256(part.encode()).hexdigest()[:DIGITS]}"


class AsyncHomedFlusher:
    """Flushers of several homes, as one. A context manager; leaving it writes what is dirty."""

    def __init__(self, flushers: Mapping[str, AsyncFlusher], clock: Clock) -> None:
        self.flushers = flushers
        self._supervisor = AsyncSupervisor(clock)

    async def __aenter__(self) -> AsyncHomedFlusher:
        await self.start()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Flush in the background, until `stop`: rule 3.

        Raises:
            ConfigurationError: a home's sink cannot hold what is promised, or its server not give the durability.
            CacheError: no home answers.
        """
        names = list(self.flushers)
        told = await agather([self.flushers[name].start for name in names])
        errors = {name: error for name, error in zip(names, told, strict=True) if isinstance(error, BaseException)}
        wrong = [error for error in errors.values() if not isinstance(error, CacheError)]
        if wrong or len(errors) == len(names):
            await self.stop(drain=0.0)
            raise (wrong or list(errors.values()))[0]
        for name in errors:
            again = partial(self._again, name)
            self._supervisor.start(f"write-back of {name}", again, _nothing, longest_back_off=START_AGAIN)

    async def _again(self, name: str) -> None:
        """Start one that did not answer."""
        await self.flushers[name].start()

    async def stop(self, *, drain: float | None = None) -> bool:
        """Write what is dirty, for at most `drain` seconds, and end; whether nothing is dirty."""
        await self._supervisor.stop()
        return all(await _all([partial(flusher.stop, drain=drain) for flusher in self.flushers.values()]))


def _nothing(error: BaseException) -> None:
    """It is tried again."""


class AsyncHomedCache(Generic[V]):
    """A write-back cache over a store whose keys have homes, with the verbs of `AsyncCache`. Shared by all threads (tasks of one
    loop).

    Attributes:
        name: as it was made.
        by_home: the cache of each home, by the home's name.
    """

    def __init__(self, name: str, by_home: Mapping[str, AsyncCache[V]], homes: AsyncKeyHomes, clock: Clock) -> None:
        names = {cache.name for cache in by_home.values()}
        if len(names) < len(by_home):
            raise ConfigurationError(
                f"the homes of cache {name!r} cannot be told apart by {DIGITS} digits.", fix="give it another name."
            )
        self.name = name
        self.by_home = by_home
        self._homes = homes
        self._clock = clock
        self.strategy = next(iter(by_home.values())).strategy

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {len(self.by_home)} homes>"

    async def __aenter__(self) -> AsyncHomedCache[V]:
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        await self.close()

    async def of(self, key: CacheKey) -> AsyncCache[V]:
        """The cache of the key's home.

        Raises:
            ConfigurationError: the key is no text, and there is no partition= that makes one of it.
            UnknownHome: it has no home.
        """
        return self.by_home[await self._homes.of(key)]

    async def _each(self, ask: Callable[[AsyncCache[V]], Awaitable[T]]) -> list[T]:
        """Rule 2."""
        return await _all([partial(ask, cache) for cache in self.by_home.values()])

    # of one key

    async def get(
        self, key: CacheKey, ttl: float | None = None, max_stale: float | None = None, **options: Any
    ) -> V | None:
        """As `AsyncCache.get`, in the key's home."""
        return await (await self.of(key)).get(key, ttl, max_stale, **options)

    async def peek(self, key: CacheKey) -> V | None:
        """As `AsyncCache.peek`."""
        return await (await self.of(key)).peek(key)

    async def lookup(self, key: CacheKey, **options: Any) -> Lookup[V | None]:
        """As `AsyncCache.lookup`."""
        return await (await self.of(key)).lookup(key, **options)

    async def get_or_load(self, key: CacheKey, load: Callable[..., Any], **options: Any) -> V | None:
        """As `AsyncCache.get_or_load`."""
        return await (await self.of(key)).get_or_load(key, load, **options)

    async def put(self, key: CacheKey, value: V, **options: Any) -> Receipt:
        """As `AsyncCache.put`."""
        return await (await self.of(key)).put(key, value, **options)

    async def delete(self, key: CacheKey, **options: Any) -> Receipt:
        """As `AsyncCache.delete`."""
        return await (await self.of(key)).delete(key, **options)

    async def update(self, key: CacheKey, change: Callable[[V | None], V]) -> Receipt:
        """As `AsyncCache.update`."""
        return await (await self.of(key)).update(key, change)

    async def invalidate(self, key: CacheKey, **options: Any) -> None:
        """As `AsyncCache.invalidate`."""
        await (await self.of(key)).invalidate(key, **options)

    async def expire(self, key: CacheKey) -> None:
        """As `AsyncCache.expire`."""
        await (await self.of(key)).expire(key)

    async def discard(self, key: CacheKey) -> bool:
        """As `AsyncCache.discard`."""
        return await (await self.of(key)).discard(key)

    # of several

    async def _by_home(self, keys: Iterable[K]) -> dict[str, list[K]]:
        found: dict[str, list[K]] = {}
        for key in keys:
            found.setdefault(await self._homes.of(key), []).append(key)
        return found

    async def get_many(self, keys: Iterable[K], **options: Any) -> dict[K, V]:
        """As `AsyncCache.get_many`: one question for each home, at once."""
        shared = await self._by_home(several("get_many", keys))
        found: dict[K, V] = {}
        for part in await _all([partial(self.by_home[home].get_many, own, **options) for home, own in shared.items()]):
            found |= part
        return found

    async def invalidate_many(self, keys: Iterable[CacheKey], **options: Any) -> None:
        """As `AsyncCache.invalidate_many`."""
        for home, own in (await self._by_home(several("invalidate_many", keys))).items():
            await self.by_home[home].invalidate_many(own, **options)

    async def invalidate_tag(self, tag: str, **options: Any) -> None:
        """As `AsyncCache.invalidate_tag`, in all homes."""
        await self._each(lambda cache: cache.invalidate_tag(tag, **options))

    async def clear(self, **options: Any) -> None:
        """As `AsyncCache.clear`, in all homes."""
        await self._each(lambda cache: cache.clear(**options))

    # of the buffers

    async def flush(self, key: CacheKey | None = None, *, timeout: float | None = None) -> Flushed:
        """As `AsyncCache.flush`: of one key, or of all homes at once."""
        if key is not None:
            return await (await self.of(key)).flush(key, timeout=timeout)
        found = await self._each(lambda cache: cache.flush(timeout=timeout))
        if not IS_ASYNC:  # threads that are asked at once do not have the caller's session
            for cache, flushed in zip(self.by_home.values(), found, strict=True):
                if flushed.clean and cache.back is not None:
                    await cache.back.flushed()
        return Flushed(all(found), sum(one.dirty for one in found), sum(one.parked for one in found))

    async def buffer(self) -> BufferState:
        """All buffers as one: numbers are sums, times those of the home that is most behind."""
        found = await self._each(lambda cache: cache.buffer())
        return BufferState(
            sum(one.dirty for one in found),
            sum(one.parked for one in found),
            sum(one.bytes for one in found),
            max(one.oldest for one in found),
            max(one.flusher for one in found),
            sum(one.entries for one in found),
        )

    async def dirty(self, limit: int = 1000) -> list[Any]:
        """As `AsyncCache.dirty`."""
        return [key for part in await self._each(lambda cache: cache.dirty(limit)) for key in part][:limit]

    async def parked(self, limit: int = 1000) -> list[Parked[V]]:
        """As `AsyncCache.parked`."""
        return [one for part in await self._each(lambda cache: cache.parked(limit)) for one in part][:limit]

    async def retry(self, key: CacheKey | None = None) -> int:
        """As `AsyncCache.retry`."""
        if key is not None:
            return await (await self.of(key)).retry(key)
        return sum(await self._each(lambda cache: cache.retry()))

    def flusher(self, *, drain: float = 10.0, homes: Iterable[str] | None = None) -> AsyncHomedFlusher:
        """A flusher of this process.

        Args:
            drain: as of `AsyncCache.flusher`.
            homes: those that it works for; default: all. Near a home it works faster.

        Raises:
            UsageError: there is no such home.
        """
        names = list(self.by_home) if homes is None else list(homes)
        unknown = [name for name in names if name not in self.by_home]
        if unknown or not names:
            raise UsageError(
                f"cache {self.name!r} has no home {unknown[0]!r}." if unknown else "a flusher needs a home.",
                fix=f"name some of {', '.join(map(repr, self.by_home))}.",
            )
        return AsyncHomedFlusher({name: self.by_home[name].flusher(drain=drain) for name in names}, self._clock)

    # of all

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return all(cache.closed for cache in self.by_home.values())

    async def create_tables(self) -> None:
        """Make what the sink keeps, in each home; `kit.create_tables()` does this."""
        await self._each(lambda cache: cache.create_tables())

    async def close(self) -> None:
        """As `AsyncCache.close`. May be called twice."""
        await self._each(lambda cache: cache.close())

    def explain(self) -> CacheExplanation:
        """What it promises: the same in each home."""
        one = next(iter(self.by_home.values())).explain()
        buffers = ", ".join(f"{home} as {cache.name}" for home, cache in self.by_home.items())
        return msgspec.structs.replace(
            one,
            cache=self.name,
            promises=(*one.promises, f"a key's puts are buffered and written in its home: {buffers}"),
        )

    def subscribe(self, hook: Hook) -> Callable[[], None]:
        """As `AsyncCache.subscribe`; events name the cache of the home."""
        return next(iter(self.by_home.values())).subscribe(hook)  # a kit's caches share their hooks

    def status(self) -> dict[str, Any]:
        """What it has done so far: sums over its homes."""
        told: dict[str, Any] = {}
        for cache in self.by_home.values():
            for name, value in cache.status().items():
                told[name] = told[name] + value if isinstance(value, int | float) and name in told else value
        return told


async def _all(asks: list[Callable[[], Awaitable[T]]]) -> list[T]:
    """Ask all at once; when all have answered, the first error is raised."""
    found: list[T] = []
    for one in await agather(asks):
        if isinstance(one, BaseException):
            raise one
        found.append(one)
    return found
