"""The shared tier: the steps of a cache on one Redis or Valkey server. How it is asked stands in `account_shared`."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TypeVar

from regionkit.caching.account_shared_async import MOST_TAGS_KNOWN, AsyncSharedAccount
from regionkit.caching.entry import GENERATION, STAMP, tags_in
from regionkit.caching.inside_async import AsyncInside
from regionkit.caching.keys import Stored
from regionkit.caching.ledger import Lease, Verdict
from regionkit.caching.policy import longest_tagged
from regionkit.caching.replies_shared import NO_VERSION, VERDICTS, found_in
from regionkit.caching.steps import BATCH, FIRST_POLL, Found, RowState, Sealing, TierDown
from regionkit.caching.strategies import TTL, Lazy
from regionkit.caching.tiers import Shared
from regionkit.contract.backing_async import HERE
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import Clock
from regionkit.core.concurrency_async import asleep, spawn_async
from regionkit.topology import Endpoint, RedisStore, Role, profile

__all__ = ["MOST_TAGS_KNOWN", "AsyncSharedTier", "opened_tier"]

IS_ASYNC = True
T = TypeVar("T")

LONGEST_AWAY = 43_200.0
"""Seconds without anybody who tails the intents, after which how far they were told is not known: half of what rows are kept."""


class AsyncSharedTier(AsyncSharedAccount):
    """The account of one cache at one server. Safe to share between threads (tasks of one loop)."""

    async def glance(self, key: Stored) -> Any:
        """The entry of a key as it stands at the server, tags not looked at; NotImplemented where `read` is the way."""
        return await self._quick((b"GET", self._value(key)))

    async def read(self, keys: Sequence[Stored], *, sure: bool = False) -> list[bytes | None]:
        """The entries of keys, one round trip for all; one more for tags that are not known here. `sure`: and one where an entry
        is of another generation than is known here: news of a `clear` may be under way.
        """
        names = [self._value(key) for key in keys]
        found = await self._slid(names) if self._slides else await self._read(names)
        if sure and any(data and self.times(data[GENERATION]) is None for data in found):
            generation, clock = await self.run("tags", [], [])
            self._is_open(generation, int(clock))
        tagged = {at: tags for at, data in enumerate(found) if data and (tags := tags_in(data))}
        if tagged:
            floors = await self._floors_of({tag for tags in tagged.values() for tag in tags})
            for at, tags in tagged.items():
                data = found[at]
                assert data is not None
                stamp = data[STAMP]
                if not stamp.isdigit() or any(int(stamp) <= floors[tag] for tag in tags):
                    found[at] = None
        return found

    async def _read(self, names: Sequence[bytes]) -> list[bytes | None]:
        words = (b"GET", names[0]) if len(names) == 1 else (b"MGET", *names)
        answer = await self._quick(words)
        if answer is NotImplemented:

            async def asked(connection: Any) -> Any:
                return await connection.ask_one(*words)

            answer = await self.ask(asked)
        return [answer] if len(names) == 1 else list(answer)

    async def _slid(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The same, and each entry's time begins anew."""

        async def asked(connection: Any) -> Any:
            packed = [part for name in names for part in connection.pack((b"GETEX", name, b"PX", self._slides))]
            return await connection.exchange(b"".join(packed), len(names))

        return list(await self.ask(asked))

    async def _floors_of(self, tags: set[bytes]) -> dict[bytes, int]:
        """The stamps of tags' floors: asked for where they are not known; what is known holds while news come."""
        if not self.ear.live:
            self._tag_floors.forget_all()
        known, era = self._tag_floors.known(tags)
        unknown = [tag for tag in tags if tag not in known]
        if not unknown:
            return known
        generation, clock, *stamps = await self.run("tags", [], unknown)
        self._is_open(generation, int(clock))
        told = {tag: int(stamp or 0) for tag, stamp in zip(unknown, stamps, strict=True)}
        return self._tag_floors.learned(known | told, era)

    async def buffered(self, key: Stored) -> bytes:
        """The entry of a key that a write-back buffer has, dirty or parked; b"" without one."""
        return bytes(await self.run("back_peek", [key], []))

    async def begin(self, key: Stored, rejected: bytes, lasts: float) -> Found:
        """Ask for the right to load."""
        return (await self.begin_many([(key, rejected)], lasts))[0]

    async def begin_many(self, wanted: Sequence[tuple[Stored, bytes]], lasts: float) -> list[Found]:
        """The same for several keys."""
        if len(wanted) > BATCH:
            parts = [wanted[at : at + BATCH] for at in range(0, len(wanted), BATCH)]
            return [found for part in parts for found in await self.begin_many(part, lasts)]
        keys: list[Stored] = []
        words: list[Any] = [round(lasts * 1000)]
        for key, rejected in wanted:
            digest = self.digest(key)
            keys.append(key)
            words += (digest, os.urandom(8).hex().encode(), rejected)
            self._waiting.enter(digest)  # before the question: the answer may come after the news
        found: list[Found] = []
        try:
            generation, clock, *answers = await self.run("fill_begin", keys, words)
            self._is_open(generation, int(clock))
            found = [found_in(answer, generation) for answer in answers]
        except BaseException as error:
            if not isinstance(error, TierDown) or error.sent:
                self._give_up(keys, words[2::3])
            raise
        finally:
            for at, digest in enumerate(words[1::3]):
                if at >= len(found) or found[at].verdict is not Verdict.WAIT:
                    self._waiting.leave(digest)
        return found

    def _give_up(self, keys: list[Stored], tokens: list[bytes]) -> None:
        """The caller has not heard whether it may load, and does not: nobody waits for it. In the background."""

        async def run() -> None:
            for key, token in zip(keys, tokens, strict=True):
                try:
                    await self.abandon(key, Lease(token, 0, 0, b""))
                except TierDown:
                    return  # leases end by themselves

        spawn_async("regionkit give up", run)

    async def wait(self, key: Stored, seconds: float) -> None:
        """Until the load of another has ended, or `seconds` have."""
        digest = self.digest(key)
        flag = self._waiting.mine(digest)
        try:
            if flag is not None and self.ear.live:
                await flag.wait(seconds)
                return
        finally:
            self._waiting.leave(digest)
        pause, lease = FIRST_POLL, self._lease(key)

        async def held(connection: Any) -> Any:
            return await connection.ask_one(b"EXISTS", lease)

        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and await self.ask(held):
            await asleep(min(pause, max(0.0, until - self._clock.monotonic())))
            pause *= 1.5

    async def commit(self, key: Stored, lease: Lease, sealing: Sealing) -> Verdict:
        """Store what was loaded, if it may be."""
        return (await self.commit_many([(key, lease, sealing)]))[0]

    async def commit_many(self, loads: Sequence[tuple[Stored, Lease, Sealing]]) -> list[Verdict]:
        """The same for several keys."""
        if not loads:
            return []
        if len(loads) > BATCH:
            parts = [loads[at : at + BATCH] for at in range(0, len(loads), BATCH)]
            return [verdict for part in parts for verdict in await self.commit_many(part)]
        words: list[Any] = []
        for key, lease, sealing in loads:
            words += (
                self.digest(key),
                lease.token,
                lease.generation,
                sealing.version or NO_VERSION,
                int(sealing.owner),
            )
            words += (sealing.data, max(1, round(sealing.kept * 1000)))
        keys = [key for key, _, _ in loads]
        self._stores(keys)
        _, _, *verdicts = await self.run("fill_commit", keys, words)
        found = [VERDICTS[verdict] for verdict in verdicts]
        if self.tracking is not None:
            self._stores_not([key for key, verdict in zip(keys, found, strict=True) if verdict is not Verdict.STORED])
        return found

    async def abandon(self, key: Stored, lease: Lease) -> bool:
        """The load failed: a waiting caller may try."""
        return bool(await self.run("fill_abandon", [key], [self.digest(key), lease.token]))

    async def invalidate(self, keys: Sequence[Stored], version: str, id: bytes = b"") -> None:
        """Keys are not what they were. `id`: of the row that says so, which is done with then."""
        await self.run("invalidate", keys, [version, *map(self.digest, keys), id])

    async def rows(self, ids: Sequence[bytes]) -> dict[bytes, RowState]:
        """What this region knows of the rows of writes."""
        keys = [b"%b:%b:%b" % (self._keys[0], kind, id) for id in ids for kind in (b"d", b"w")]

        async def asked(connection: Any) -> Any:
            return await connection.ask_one(b"MGET", *keys)

        found = await self.ask(asked)
        states = {}
        for id, done, writing in zip(ids, found[::2], found[1::2], strict=True):
            states[id] = (
                RowState.DONE if done is not None else RowState.PENDING if writing is not None else RowState.NEW
            )
        return states

    async def invalidate_named(self, named: Sequence[tuple[bytes, bytes]], version: str) -> None:
        """The same for keys as rows of intents have them: names and digests."""
        names = [word for name, _ in named for word in (self._prefix + b":v:" + name, self._prefix + b":l:" + name)]
        words = [version, *(digest for _, digest in named), b""]

        async def asked(connection: Any) -> Any:
            return await self.run_on(connection, "invalidate", names, words)

        await self.ask(asked)

    async def tail(self, id: bytes, moved_to: int | None, lasts: float, part: str) -> int | None:
        """Hold the tail of the intents, and say how far it has come; how far it had, or None when another process holds it.

        -1: it has not begun. -2: it is too long ago.
        """
        words = [id, "" if moved_to is None else str(moved_to), round(lasts * 1000), round(LONGEST_AWAY * 1000), part]
        held, at = await self.run("tail", [], words)
        return int(at) if held else None

    async def invalidate_tag(self, tag: bytes, version: str, id: bytes = b"") -> bool:
        """What carries the tag is not what it was; False where the whole cache was cleared in its place."""
        try:
            generation, clock, fits = await self.run("invalidate_tag", [], [tag, version, id])
        finally:
            self._tag_floors.forget(tag)
        self._is_open(generation, int(clock))
        return bool(fits)

    async def clear(self, version: str, id: bytes = b"") -> None:
        """Nothing is what it was."""
        generation, clock = await self.run("clear", [], [version, id])
        self._is_open(generation, int(clock))

    async def expire(self, keys: Sequence[Stored]) -> None:
        """Entries are to be loaded anew, and may be served when that fails."""
        generation, clock = await self.run("expire", keys, [self.digest(key) for key in keys])
        self._is_open(generation, int(clock))

    async def put(self, key: Stored, sealing: Sealing) -> int:
        """Set a value by itself; its stamp."""
        self._stores([key])
        stamp = await self.run("put", [key], [self.digest(key), sealing.data, max(1, round(sealing.kept * 1000))])
        if not int(stamp):
            self._stores_not([key])
            raise TierDown("the server is at the limit of its memory (maxmemory)", sent=True)
        return int(stamp)

    async def intend(self, keys: Sequence[Stored], id: bytes, seconds: float) -> None:
        """A write of these keys is about to commit."""
        await self.run("intend", keys, [id, round(seconds * 1000), *map(self.digest, keys)])

    async def publish(self, key: Stored, id: bytes, sealing: Sealing, hi: str) -> tuple[Verdict, int]:
        """The write has committed: store its value if it may be stored, else act as `invalidate`. The verdict, and the stamp."""
        kept = max(1, round(sealing.kept * 1000))
        words = [self.digest(key), id, sealing.version, hi, sealing.data, kept]
        self._stores([key])
        verdict, stamp = await self.run("publish", [key], words)
        found = VERDICTS[verdict]
        if found is not Verdict.STORED:
            self._stores_not([key])
        return found, int(stamp)

    async def abort(self, keys: Sequence[Stored], id: bytes) -> None:
        """The write has surely done nothing."""
        await self.run("abort", keys, [id, *map(self.digest, keys)])

    def renew(self) -> None:
        """After a fork: the parent's connections are not used, and its ear is deaf here."""
        if self._owns:  # else the kit does it
            self._backend.abandon()
        self._generation, self.down = b"", ""
        self._opening = threading.Lock()
        self._waiting.renew()
        self._tag_floors.renew()
        self.ear.renew()
        if self.tracking is not None:
            self.tracking.renew()

    async def close(self) -> None:
        """Close the connections. May be called twice."""
        await self.ear.close()
        if self.tracking is not None:
            await self.tracking.close()
        if self._owns:
            await self._backend.close()


def opened_tier(cache: AsyncInside, shared: Shared, clock: Clock, floor_life: float) -> AsyncSharedTier:
    """The shared tier of a cache, by URL or beside a client of the application's. Connects to nothing."""
    server = shared.server
    if isinstance(server, str) and "://" not in server:
        return _tier(cache, shared, clock, floor_life, cache.endpoint_named(server), owns=False)
    url, client = (server, None) if isinstance(server, str) else (None, server)
    context = EndpointContext(
        namespace=cache.namespace,
        store=RedisStore(f"cache-{cache.name}", options={"pool_size": shared.pool_size}),
        endpoint=Endpoint(HERE, Role.PRIMARY, url, client=client, tls=shared.tls).named(HERE),
        profile=profile("balanced"),
        clock=clock,
        is_async=IS_ASYNC,
    )
    factory = import_module(f"regionkit.backends.factory{'_async' if IS_ASYNC else ''}")
    return _tier(cache, shared, clock, floor_life, factory.async_plain_backend_of(context), owns=True)


def _tier(
    cache: AsyncInside, shared: Shared, clock: Clock, floor_life: float, backend: Any, *, owns: bool
) -> AsyncSharedTier:
    return AsyncSharedTier(
        backend,
        cache.heard,
        shared,
        clock,
        cache.emit,
        name=cache.name,
        scope=cache.scope,
        floor_life=floor_life,
        tag_life=longest_tagged(cache.strategy),
        settles=cache.settles,
        owns=owns,
        buffers=isinstance(cache.strategy, Lazy) and cache.strategy.buffers,
        tracks=shared.tracking and cache.local is not None,
        slides=cache.strategy.ttl if isinstance(cache.strategy, TTL) and cache.strategy.sliding else 0.0,
    )
