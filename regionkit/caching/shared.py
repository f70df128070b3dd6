# Generated from shared_async.py by scripts/twins.py. Do not edit.
"""The shared tier: the steps of a cache on one Redis or Valkey server. How it is asked stands in `account_shared`."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TypeVar

from regionkit.caching.account_shared import MOST_TAGS_KNOWN, SharedAccount
from regionkit.caching.entry import GENERATION, STAMP, tags_in
from regionkit.caching.inside import Inside
from regionkit.caching.keys import Stored
from regionkit.caching.ledger import Lease, Verdict
from regionkit.caching.policy import longest_tagged
from regionkit.caching.replies_shared import NO_VERSION, VERDICTS, found_in
from regionkit.caching.steps import BATCH, FIRST_POLL, Found, RowState, Sealing, TierDown
from regionkit.caching.strategies import TTL, Lazy
from regionkit.caching.tiers import Shared
from regionkit.contract.backing import HERE
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import Clock
from regionkit.core.concurrency import sleep, spawn
from regionkit.topology import Endpoint, RedisStore, Role, profile

__all__ = ["MOST_TAGS_KNOWN", "SharedTier", "opened_tier"]

IS_ASYNC = False
T = TypeVar("T")

LONGEST_AWAY = 43_200.0
"""Seconds without anybody who tails the intents, after which how far they were told is not known: half of what rows are kept."""


class SharedTier(SharedAccount):
    """The account of one cache at one server. Safe to share between threads (tasks of one loop)."""

    def glance(self, key: Stored) -> Any:
        """The entry of a key as it stands at the server, tags not looked at; NotImplemented where `read` is the way."""
        return self._quick((b"GET", self._value(key)))

    def read(self, keys: Sequence[Stored], *, sure: bool = False) -> list[bytes | None]:
        """The entries of keys, one round trip for all; one more for tags that are not known here. `sure`: and one where an entry
        is of another generation than is known here: news of a `clear` may be under way.
        """
        names = [self._value(key) for key in keys]
        found = self._slid(names) if self._slides else self._read(names)
        if sure and any(data and self.times(data[GENERATION]) is None for data in found):
            generation, clock = self.run("tags", [], [])
            self._is_open(generation, int(clock))
        tagged = {at: tags for at, data in enumerate(found) if data and (tags := tags_in(data))}
        if tagged:
            floors = self._floors_of({tag for tags in tagged.values() for tag in tags})
            for at, tags in tagged.items():
                data = found[at]
                assert data is not None
                stamp = data[STAMP]
                if not stamp.isdigit() or any(int(stamp) <= floors[tag] for tag in tags):
                    found[at] = None
        return found

    def _read(self, names: Sequence[bytes]) -> list[bytes | None]:
        words = (b"GET", names[0]) if len(names) == 1 else (b"MGET", *names)
        answer = self._quick(words)
        if answer is NotImplemented:

            def asked(connection: Any) -> Any:
                return connection.ask_one(*words)

            answer = self.ask(asked)
        return [answer] if len(names) == 1 else list(answer)

    def _slid(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The same, and each entry's time begins anew."""

        def asked(connection: Any) -> Any:
            packed = [part for name in names for part in connection.pack((b"GETEX", name, b"PX", self._slides))]
            return connection.exchange(b"".join(packed), len(names))

        return list(self.ask(asked))

    def _floors_of(self, tags: set[bytes]) -> dict[bytes, int]:
        """The stamps of tags' floors: asked for where they are not known; what is known holds while news come."""
        if not self.ear.live:
            self._tag_floors.forget_all()
        known, era = self._tag_floors.known(tags)
        unknown = [tag for tag in tags if tag not in known]
        if not unknown:
            return known
        generation, clock, *stamps = self.run("tags", [], unknown)
        self._is_open(generation, int(clock))
        told = {tag: int(stamp or 0) for tag, stamp in zip(unknown, stamps, strict=True)}
        return self._tag_floors.learned(known | told, era)

    def buffered(self, key: Stored) -> bytes:
        """The entry of a key that a write-back buffer has, dirty or parked; b"" without one."""
        return bytes(self.run("back_peek", [key], []))

    def begin(self, key: Stored, rejected: bytes, lasts: float) -> Found:
        """Ask for the right to load."""
        return (self.begin_many([(key, rejected)], lasts))[0]

    def begin_many(self, wanted: Sequence[tuple[Stored, bytes]], lasts: float) -> list[Found]:
        """The same for several keys."""
        if len(wanted) > BATCH:
            parts = [wanted[at : at + BATCH] for at in range(0, len(wanted), BATCH)]
            return [found for part in parts for found in self.begin_many(part, lasts)]
        keys: list[Stored] = []
        words: list[Any] = [round(lasts * 1000)]
        for key, rejected in wanted:
            digest = self.digest(key)
            keys.append(key)
            words += (digest, os.urandom(8).hex().encode(), rejected)
            self._waiting.enter(digest)  # before the question: the answer may come after the news
        found: list[Found] = []
        try:
            generation, clock, *answers = self.run("fill_begin", keys, words)
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

        def run() -> None:
            for key, token in zip(keys, tokens, strict=True):
                try:
                    self.abandon(key, Lease(token, 0, 0, b""))
                except TierDown:
                    return  # leases end by themselves

        spawn("regionkit give up", run)

    def wait(self, key: Stored, seconds: float) -> None:
        """Until the load of another has ended, or `seconds` have."""
        digest = self.digest(key)
        flag = self._waiting.mine(digest)
        try:
            if flag is not None and self.ear.live:
                flag.wait(seconds)
                return
        finally:
            self._waiting.leave(digest)
        pause, lease = FIRST_POLL, self._lease(key)

        def held(connection: Any) -> Any:
            return connection.ask_one(b"EXISTS", lease)

        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and self.ask(held):
            sleep(min(pause, max(0.0, until - self._clock.monotonic())))
            pause *= 1.5

    def commit(self, key: Stored, lease: Lease, sealing: Sealing) -> Verdict:
        """Store what was loaded, if it may be."""
        return (self.commit_many([(key, lease, sealing)]))[0]

    def commit_many(self, loads: Sequence[tuple[Stored, Lease, Sealing]]) -> list[Verdict]:
        """The same for several keys."""
        if not loads:
            return []
        if len(loads) > BATCH:
            parts = [loads[at : at + BATCH] for at in range(0, len(loads), BATCH)]
            return [verdict for part in parts for verdict in self.commit_many(part)]
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
        _, _, *verdicts = self.run("fill_commit", keys, words)
        found = [VERDICTS[verdict] for verdict in verdicts]
        if self.tracking is not None:
            self._stores_not([key for key, verdict in zip(keys, found, strict=True) if verdict is not Verdict.STORED])
        return found

    def abandon(self, key: Stored, lease: Lease) -> bool:
        """The load failed: a waiting caller may try."""
        return bool(self.run("fill_abandon", [key], [self.digest(key), lease.token]))

    def invalidate(self, keys: Sequence[Stored], version: str, id: bytes = b"") -> None:
        """Keys are not what they were. `id`: of the row that says so, which is done with then."""
        self.run("invalidate", keys, [version, *map(self.digest, keys), id])

    def rows(self, ids: Sequence[bytes]) -> dict[bytes, RowState]:
        """What this region knows of the rows of writes."""
        keys = [b"%b:%b:%b" % (self._keys[0], kind, id) for id in ids for kind in (b"d", b"w")]

        def asked(connection: Any) -> Any:
            return connection.ask_one(b"MGET", *keys)

        found = self.ask(asked)
        states = {}
        for id, done, writing in zip(ids, found[::2], found[1::2], strict=True):
            states[id] = (
                RowState.DONE if done is not None else RowState.PENDING if writing is not None else RowState.NEW
            )
        return states

    def invalidate_named(self, named: Sequence[tuple[bytes, bytes]], version: str) -> None:
        """The same for keys as rows of intents have them: names and digests."""
        names = [word for name, _ in named for word in (self._prefix + b":v:" + name, self._prefix + b":l:" + name)]
        words = [version, *(digest for _, digest in named), b""]

        def asked(connection: Any) -> Any:
            return self.run_on(connection, "invalidate", names, words)

        self.ask(asked)

    def tail(self, id: bytes, moved_to: int | None, lasts: float, part: str) -> int | None:
        """Hold the tail of the intents, and say how far it has come; how far it had, or None when another process holds it.

        -1: it has not begun. -2: it is too long ago.
        """
        words = [id, "" if moved_to is None else str(moved_to), round(lasts * 1000), round(LONGEST_AWAY * 1000), part]
        held, at = self.run("tail", [], words)
        return int(at) if held else None

    def invalidate_tag(self, tag: bytes, version: str, id: bytes = b"") -> bool:
        """What carries the tag is not what it was; False where the whole cache was cleared in its place."""
        try:
            generation, clock, fits = self.run("invalidate_tag", [], [tag, version, id])
        finally:
            self._tag_floors.forget(tag)
        self._is_open(generation, int(clock))
        return bool(fits)

    def clear(self, version: str, id: bytes = b"") -> None:
        """Nothing is what it was."""
        generation, clock = self.run("clear", [], [version, id])
        self._is_open(generation, int(clock))

    def expire(self, keys: Sequence[Stored]) -> None:
        """Entries are to be loaded anew, and may be served when that fails."""
        generation, clock = self.run("expire", keys, [self.digest(key) for key in keys])
        self._is_open(generation, int(clock))

    def put(self, key: Stored, sealing: Sealing) -> int:
        """Set a value by itself; its stamp."""
        self._stores([key])
        stamp = self.run("put", [key], [self.digest(key), sealing.data, max(1, round(sealing.kept * 1000))])
        if not int(stamp):
            self._stores_not([key])
            raise TierDown("the server is at the limit of its memory (maxmemory)", sent=True)
        return int(stamp)

    def intend(self, keys: Sequence[Stored], id: bytes, seconds: float) -> None:
        """A write of these keys is about to commit."""
        self.run("intend", keys, [id, round(seconds * 1000), *map(self.digest, keys)])

    def publish(self, key: Stored, id: bytes, sealing: Sealing, hi: str) -> tuple[Verdict, int]:
        """The write has committed: store its value if it may be stored, else act as `invalidate`. The verdict, and the stamp."""
        kept = max(1, round(sealing.kept * 1000))
        words = [self.digest(key), id, sealing.version, hi, sealing.data, kept]
        self._stores([key])
        verdict, stamp = self.run("publish", [key], words)
        found = VERDICTS[verdict]
        if found is not Verdict.STORED:
            self._stores_not([key])
        return found, int(stamp)

    def abort(self, keys: Sequence[Stored], id: bytes) -> None:
        """The write has surely done nothing."""
        self.run("abort", keys, [id, *map(self.digest, keys)])

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

    def close(self) -> None:
        """Close the connections. May be called twice."""
        self.ear.close()
        if self.tracking is not None:
            self.tracking.close()
        if self._owns:
            self._backend.close()


def opened_tier(cache: Inside, shared: Shared, clock: Clock, floor_life: float) -> SharedTier:
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
    return _tier(cache, shared, clock, floor_life, factory.plain_backend_of(context), owns=True)


def _tier(cache: Inside, shared: Shared, clock: Clock, floor_life: float, backend: Any, *, owns: bool) -> SharedTier:
    return SharedTier(
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
