"""The shared tier: values and account of a cache on one Redis or Valkey server, by the scripts in `scripts/`.

1. A hit is one GET, several are one MGET. Every other step is one script, and so one round trip.
2. A connection tells which run of the server it speaks to before anything else is asked on it; another run than the account's
   opens a new generation (hello.lua). What of another generation is found is a miss.
3. A call ends at its time: `Shared.timeout` and the round trips that it takes. `TRIPS_DOWN` calls in a row that did not end well,
   or one that found no server, and the tier is down: calls fail at once, and the ear (`ear`) tries again. A server whose
   memory is full is not down: it still takes what deletes.
4. Commands are never sent twice: what was not answered may have been done, and the steps bear that.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

import redis

from regionkit.caching.ear_async import AsyncEar
from regionkit.caching.entry import MOST_TAGS
from regionkit.caching.events import SharedDown, SharedUp
from regionkit.caching.keys import Stored, digest_of, stored_name
from regionkit.caching.ledger import Lease, Verdict
from regionkit.caching.ledger_tier_async import MOST_FLOORS
from regionkit.caching.making_async import longest_life
from regionkit.caching.steps import Found, Heard, Sealing, TierDown
from regionkit.caching.tiers import Shared
from regionkit.caching.version import NOTHING
from regionkit.contract.backing_async import HERE
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import Clock
from regionkit.core.concurrency_async import AsyncFlag, asleep
from regionkit.core.deadline import Deadline
from regionkit.core.events import Event
from regionkit.errors import BackendError, OutcomeUnknown
from regionkit.facts.request import Kind
from regionkit.topology import Endpoint, RedisStore, Role, profile

__all__ = ["AsyncSharedTier", "opened_tier"]

IS_ASYNC = True
T = TypeVar("T")

CONNECT_WITHIN = 3.0
"""Seconds that a call waits for a first connection: a dozen round trips to the other side of the world."""
TRIPS_DOWN = 3
"""Calls in a row without an answer: one may be this process's own pause, or a lost packet."""
FIRST_POLL = 0.02
"""Seconds between two looks at another's lease, where no news come; each pause is half as long again."""
MOST_TAGS_KNOWN = 10_000
"""Tags whose floors are remembered while news come; beyond, all are asked for again."""
LONGEST_AWAY = 43_200.0
"""Seconds without anybody who tails the intents, after which how far they were told is not known: half of what rows are kept."""
_VERSION_0 = "0" * 27


class AsyncSharedTier:
    """The account of one cache at one server. Safe to share between threads (tasks of one loop)."""

    def __init__(
        self,
        backend: Any,
        heard: Heard,
        options: Shared,
        clock: Clock,
        emit: Callable[[Event], None],
        *,
        name: str,
        tenant: bytes,
        floor_life: float,
        tag_life: float,
        settles: bool,
        owns: bool,
    ) -> None:
        self._backend = backend
        self._owns = owns
        self._clock = clock
        self._emit = emit
        self._options = options
        self._name = name
        self._tenant = tenant
        self._prefix: bytes = backend.key("cache", name).encode()
        self._keys = [self._prefix + b":account", self._prefix + b":ends", self._prefix + b":news"]
        self._fixed = [round(floor_life * 1000), round(tag_life * 1000), MOST_FLOORS, int(settles)]
        scripts = import_module(f"regionkit.backends.redis.script{'_async' if IS_ASYNC else ''}")
        make = scripts.AsyncScript
        self._scripts = {word: make(word, "regionkit.caching") for word in _SCRIPTS}
        self._heard = heard
        self._waiting: dict[bytes, list[AsyncFlag]] = {}
        self._tag_stamps: dict[bytes, int] = {}
        self._generation = b""
        self._at = (0, 0.0)
        self.news_key = self._keys[2]
        self._rtt = 0.0
        self._failed = 0
        self.down = ""
        self._refusing = False
        self.ear = AsyncEar(self, clock, options.max_local_stale)

    def opened(self, generation: bytes, clock: int) -> bool:
        """The account's generation and clock, as a script has answered; whether the generation is another than was known."""
        self._at = (clock, self._clock.monotonic())
        if generation == self._generation:
            return False
        self._generation = generation
        self._tag_stamps.clear()
        return True

    def news(self, kind: bytes, of: bytes, stamp: bytes) -> None:
        """Something happened to the cache."""
        if kind == b"t":
            self._tag_stamps[of] = max(int(stamp), self._tag_stamps.get(of, 0))
            self._heard.tag_invalidated(of)
            return
        if kind == b"c":
            self.lost(live=True)
            return
        if kind != b"f":
            self._heard.invalidated(of, int(stamp or 0))
        for flag in self._waiting.pop(of, ()):
            flag.set()

    def lost(self, *, live: bool) -> None:
        """News may have been missed."""
        self._tag_stamps.clear()
        waiting, self._waiting = self._waiting, {}
        self._heard.lost(live=live)
        for flags in waiting.values():
            for flag in flags:
                flag.set()

    def times(self, generation: bytes) -> int | None:
        """The clock of the account, milliseconds, as far as is known here; None when `generation` is not the present one."""
        return self.clock_now() if generation == self._generation else None

    def clock_now(self) -> int:
        """The clock of the account, milliseconds, as far as is known here."""
        clock, at = self._at
        return clock + int((self._clock.monotonic() - at) * 1000)

    async def ask(self, question: Callable[[Any], Awaitable[T]], *, trips: int = 1, listens: float = 0.0) -> T:
        """What a question gives, on a connection that has been greeted.

        Raises:
            TierDown: it gives nothing.
        """
        if self.down and not listens:
            raise TierDown(self.down)
        within = (self._options.timeout + (trips + 1) * self._rtt + listens) if self._generation else CONNECT_WITHIN

        async def greeted(connection: Any) -> T:
            if connection.greeted is not self:
                await self.greet(connection)
            return await question(connection)

        try:
            given: T = await self._backend.ask(Kind.WRITE, Deadline(self._clock, within), greeted, changes=True)
        except OutcomeUnknown as error:
            raise self._fell(error, sent=True) from error
        except BackendError as error:
            if _is_full(error.__cause__):
                raise self._refused(error.why) from error
            raise self._fell(error, sent=False) from error
        except redis.exceptions.RedisError as error:
            raise self._fell(error, sent=True) from error
        self._failed = 0
        if self.down or (self._refusing and listens):
            self.down, self._refusing = "", False
            self._emit(SharedUp(self._name, False))
        return given

    def _refused(self, why: str) -> TierDown:
        """The server's memory is full: it stores nothing, and invalidations still go through, as they delete first."""
        if not self._refusing:
            self._refusing = True
            self._emit(SharedDown(self._name, why))
        self.ear.listen()
        return TierDown(why, sent=True)

    def _fell(self, error: Exception, *, sent: bool) -> TierDown:
        self._failed += 1
        why = getattr(error, "why", "") or str(error)
        if not self.down and (self._failed >= TRIPS_DOWN or not sent):
            self.down = f"the shared tier does not answer: {why}"
            self._backend.evict()
            self._emit(SharedDown(self._name, why))
        self.ear.listen()
        return TierDown(why, sent=sent)

    async def greet(self, connection: Any) -> None:
        """Tell a new connection's server which run it is, and hear which generation is open."""
        observation = connection.observation
        run = f"{connection.run}/{observation.origin}"
        self._rtt = max(observation.rtt, self._rtt * 0.9)
        generation, clock, _, _ = await self.run_on(connection, "hello", [], [run])
        connection.greeted = self
        if self.opened(generation, int(clock)):
            self.lost(live=self.ear.live)
        self.ear.listen()

    async def run_on(self, connection: Any, script: str, names: list[bytes], words: Sequence[Any]) -> Any:
        """A script's reply, on a connection."""
        keys = [*self._keys, *names]
        reply: Any = await self._scripts[script].run(connection, keys, [os.urandom(8), *self._fixed, *words])
        return reply

    async def _run(self, script: str, keys: Sequence[Stored], words: Sequence[Any]) -> Any:
        names = [name for key in keys for name in (self._value(key), self._lease(key))]

        async def asked(connection: Any) -> Any:
            return await self.run_on(connection, script, names, words)

        return await self.ask(asked)

    def _value(self, key: Stored) -> bytes:
        return b"%b:v:%b" % (self._prefix, stored_name(key))

    def _lease(self, key: Stored) -> bytes:
        return b"%b:l:%b" % (self._prefix, stored_name(key))

    def digest(self, key: Stored) -> bytes:
        """By which scripts know a key."""
        return digest_of(key, self._tenant)

    async def read(self, keys: Sequence[Stored]) -> list[bytes | None]:
        """The entries of keys, one round trip for all; one more for tags that are not known here."""
        names = [self._value(key) for key in keys]

        async def asked(connection: Any) -> list[bytes | None]:
            if len(names) == 1:
                return [await connection.ask_one(b"GET", names[0])]
            return await connection.ask_one(b"MGET", *names)  # type: ignore[no-any-return]

        found = await self.ask(asked)
        tagged = {at: tags for at, data in enumerate(found) if data and (tags := _tags(data))}
        if tagged:
            await self._learn({tag for tags in tagged.values() for tag in tags})
            for at, tags in tagged.items():
                data = found[at]
                assert data is not None
                stamp = data[35:51]
                if not stamp.isdigit() or any(int(stamp) <= self._tag_stamps.get(tag, 0) for tag in tags):
                    found[at] = None
        return found

    async def _learn(self, tags: set[bytes]) -> None:
        """Ask for the floors of tags that are not known; what is known holds while news come."""
        if not self.ear.live:
            self._tag_stamps.clear()
        unknown = [tag for tag in tags if tag not in self._tag_stamps]
        if not unknown:
            return
        generation, clock, *stamps = await self._run("tags", [], unknown)
        if self.opened(generation, int(clock)):
            self.lost(live=self.ear.live)
        if len(self._tag_stamps) > MOST_TAGS_KNOWN:
            self._tag_stamps.clear()
        for tag, stamp in zip(unknown, stamps, strict=True):
            self._tag_stamps[tag] = max(int(stamp or 0), self._tag_stamps.get(tag, 0))

    async def begin(self, key: Stored, rejected: bytes, lasts: float) -> Found:
        """Ask for the right to load."""
        return (await self.begin_many([(key, rejected)], lasts))[0]

    async def begin_many(self, wanted: Sequence[tuple[Stored, bytes]], lasts: float) -> list[Found]:
        """The same for several keys."""
        keys = [key for key, _ in wanted]
        digests = [self.digest(key) for key in keys]
        words: list[Any] = [round(lasts * 1000)]
        for digest, (_, rejected) in zip(digests, wanted, strict=True):
            words += [digest, os.urandom(8).hex(), rejected]
        flags = [AsyncFlag() for _ in keys]
        for digest, flag in zip(digests, flags, strict=True):  # before the question: the answer may come after the news
            self._waiting.setdefault(digest, []).append(flag)
        found: list[Found] = []
        try:
            generation, clock, *answers = await self._run("fill_begin", keys, words)
            if self.opened(generation, int(clock)):
                self.lost(live=self.ear.live)
            found = [_found(answer, generation) for answer in answers]
        finally:
            for at, (digest, flag) in enumerate(zip(digests, flags, strict=True)):
                if at >= len(found) or found[at].verdict is not Verdict.WAIT:
                    self._deaf(digest, flag)
        return found

    def _deaf(self, digest: bytes, flag: AsyncFlag) -> None:
        flags = self._waiting.get(digest)
        if flags is not None and flag in flags:
            flags.remove(flag)
            if not flags:
                self._waiting.pop(digest, None)

    async def wait(self, key: Stored, seconds: float) -> None:
        """Until the load of another has ended, or `seconds` have."""
        digest = self.digest(key)
        flags = self._waiting.get(digest)
        if flags and self.ear.live:
            flag = flags[-1]
            await flag.wait(seconds)
            self._deaf(digest, flag)
            return
        pause, lease = FIRST_POLL, self._lease(key)

        async def held(connection: Any) -> Any:
            return await connection.ask_one(b"EXISTS", lease)

        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and await self.ask(held):
            await asleep(min(pause, max(0.0, until - self._clock.monotonic())))
            pause *= 1.5

    async def commit(self, key: Stored, lease: Lease, sealing: Sealing) -> Verdict:
        """Store what was loaded, if it may be."""
        words = [
            *(self.digest(key), lease.token, lease.generation, sealing.version or _VERSION_0, int(sealing.owner)),
            *(sealing.data, max(1, round(sealing.kept * 1000))),
        ]
        _, _, verdict = await self._run("fill_commit", [key], words)
        return Verdict(verdict.decode())

    async def abandon(self, key: Stored, lease: Lease) -> bool:
        """The load came to nothing: whoever waits may try."""
        return bool(await self._run("fill_abandon", [key], [self.digest(key), lease.token]))

    async def invalidate(self, keys: Sequence[Stored], version: str) -> None:
        """Keys are not what they were."""
        await self._run("invalidate", keys, [version, *map(self.digest, keys)])

    async def invalidate_named(self, named: Sequence[tuple[bytes, bytes]], version: str) -> None:
        """The same for keys as rows of intents have them: names and digests."""
        names = [word for name, _ in named for word in (self._prefix + b":v:" + name, self._prefix + b":l:" + name)]
        words = [version, *(digest for _, digest in named)]

        async def asked(connection: Any) -> Any:
            return await self.run_on(connection, "invalidate", names, words)

        await self.ask(asked)

    async def tail(self, id: bytes, moved_to: int | None, lasts: float) -> int | None:
        """Hold the tail of the intents, and say how far it has come; how far it had, or None when another process holds it.

        -1: nobody knows how far.
        """
        words = [id, "" if moved_to is None else str(moved_to), round(lasts * 1000), round(LONGEST_AWAY * 1000)]
        held, at = await self._run("tail", [], words)
        return int(at) if held else None

    async def invalidate_tag(self, tag: bytes, version: str) -> bool:
        """What carries the tag is not what it was; False where the whole cache was cleared in its place."""
        self._tag_stamps.pop(tag, None)
        return bool(await self._run("invalidate_tag", [], [tag, version]))

    async def clear(self, version: str) -> None:
        """Nothing is what it was."""
        await self._run("clear", [], [version])

    async def expire(self, keys: Sequence[Stored]) -> None:
        """Entries are to be loaded anew, and may be served when that fails."""
        await self._run("expire", keys, [self.digest(key) for key in keys])

    async def put(self, key: Stored, sealing: Sealing) -> int:
        """Set a value by itself; its stamp."""
        return int(await self._run("put", [key], [self.digest(key), sealing.data, max(1, round(sealing.kept * 1000))]))

    async def intend(self, keys: Sequence[Stored], id: bytes, seconds: float) -> None:
        """A write of these keys is about to commit."""
        await self._run("intend", keys, [id, round(seconds * 1000), *map(self.digest, keys)])

    async def publish(self, key: Stored, id: bytes, sealing: Sealing, hi: str) -> tuple[Verdict, int]:
        """The write has committed: store its value if it may be stored, else act as `invalidate`. The verdict, and the stamp."""
        kept = max(1, round(sealing.kept * 1000))
        words = [self.digest(key), id, sealing.version, hi, sealing.data, kept]
        verdict, stamp = await self._run("publish", [key], words)
        return Verdict(verdict.decode()), int(stamp)

    async def abort(self, keys: Sequence[Stored], id: bytes) -> None:
        """The write has surely done nothing."""
        await self._run("abort", keys, [id, *map(self.digest, keys)])

    def renew(self) -> None:
        """After a fork: the parent's connections are not used, and its ear is deaf here."""
        if self._owns:  # else the kit does it
            self._backend.abandon()
        self._waiting, self._generation, self.down = {}, b"", ""
        self._tag_stamps = {}
        self.ear.renew()

    async def close(self) -> None:
        """Close the connections. May be called twice."""
        await self.ear.close()
        if self._owns:
            await self._backend.close()


_SCRIPTS = (
    *("abort", "clear", "expire", "fill_abandon", "fill_begin", "fill_commit", "hello", "intend", "invalidate"),
    *("invalidate_tag", "publish", "put", "tags", "tail"),
)


def _is_full(error: BaseException | None) -> bool:
    """Whether the server has no memory left; before Redis 7 a script's error says so in its text."""
    full = isinstance(error, redis.exceptions.OutOfMemoryError)
    return full or (isinstance(error, redis.exceptions.ResponseError) and "-OOM " in str(error))


def _tags(data: bytes) -> list[bytes]:
    """The tags of an entry; of what is no entry none, which is found out when it is opened."""
    count = data[118:120]
    if count == b"00" or not count.isdigit() or int(count) > MOST_TAGS:
        return []
    return [data[at : at + 16] for at in range(120, 120 + 16 * int(count), 16)]


def _found(answer: list[Any], generation: bytes) -> Found:
    verdict = Verdict(answer[0].decode())
    if verdict is Verdict.STORED:
        return Found(verdict, answer[1])
    floor = answer[3].decode()
    floor = NOTHING if floor == _VERSION_0 else floor
    lease = None
    if verdict is Verdict.LOAD:
        lease = Lease(answer[1], int(answer[2]), 0, generation, floor, bool(answer[4]))
    intents = answer[5] if verdict is Verdict.SETTLE else b""
    ids = tuple(intents[at : at + 16] for at in range(0, len(intents), 16))
    return Found(verdict, b"", lease, floor, ids, answer[6] / 1000 if verdict is Verdict.WAIT else 0.0)


def opened_tier(cache: Any, shared: Shared, clock: Clock, floor_life: float) -> AsyncSharedTier:
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


def _tier(cache: Any, shared: Shared, clock: Clock, floor_life: float, backend: Any, *, owns: bool) -> AsyncSharedTier:
    return AsyncSharedTier(
        backend,
        cache.heard,
        shared,
        clock,
        cache.emit,
        name=cache.name,
        tenant=cache.tenant,
        floor_life=floor_life,
        tag_life=longest_life(cache.strategy),
        settles=cache.settles,
        owns=owns,
    )
