"""The kit: a topology, the connections to its stores, and the sessions that use them."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar
from weakref import WeakSet

from regionkit.contract.current_session import current_session
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency_async import aowner
from regionkit.core.events import EventHooks, Hook
from regionkit.errors import ConfigurationError, OutcomeUnknown, UsageError
from regionkit.facts.bookmark import Signer
from regionkit.facts.consistency import SESSION, Consistency
from regionkit.facts.placement import Placement
from regionkit.kit_caches_async import AsyncCaches, AsyncMakesCaches
from regionkit.kit_homes_async import AsyncServesPillars
from regionkit.kit_replace_async import AsyncReplacesTopology, check_topology
from regionkit.kit_stores_async import AsyncStores, Here
from regionkit.operations_async import AsyncOperations
from regionkit.routing.backing_async import AsyncStoreBacking
from regionkit.routing.call_checks import check_kind, check_store
from regionkit.routing.explain import Explanation
from regionkit.routing.fanned_async import fanned_out
from regionkit.routing.fanout_async import CONCURRENCY, AsyncFanOut
from regionkit.routing.host_answers import own_folder
from regionkit.routing.monitor_async import AsyncMonitor
from regionkit.routing.partitions_async import AsyncPartitionedStore, not_partitioned
from regionkit.routing.session_async import AsyncRegionSession
from regionkit.routing.status import Status, status_of
from regionkit.routing.store_async import AsyncRoutedStore
from regionkit.topology import Profile, Store, Topology
from regionkit.topology import profile as profile_of
from regionkit.topology.homes import check_key
from regionkit.topology.validation import shown

__all__ = ["AsyncRegionKit"]

T = TypeVar("T")

IS_ASYNC = True


class AsyncRegionKit(AsyncMakesCaches, AsyncServesPillars, AsyncReplacesTopology):
    """Reads and writes of a topology from one region.

    Shared by all threads (AsyncRegionKit: by all tasks of one loop). Its monitor starts at first use, and again after a
    fork. A context manager; `close` may be called twice.

    Args:
        topology: regions and stores.
        local: the region this process runs in; default $REGIONKIT_REGION.
        profile: "gentle", "balanced" or "aggressive", a mapping that overrides fields, or a Profile.
        bookmark_keys: keys that sign bookmarks, the current one first. Without keys bookmarks are unsigned: for trusted
            callers only.
        folder: a folder of this host and account (default $REGIONKIT_FOLDER) where the newest history of each store
            outlives its processes: a new process writes to no primary that was replaced, even while the new primary is down.
            Processes of a host share the answers of servers there; without it, in a folder under the system's temporary one.
        clock: the clock to use.

    Raises:
        ConfigurationError: an unknown region, a bad profile, a short key, a folder that others can write to.
        MissingDriver: a store needs a driver that is not installed.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        local: str | None = None,
        profile: str | Mapping[str, Any] | Profile = "balanced",
        bookmark_keys: Sequence[str] = (),
        folder: str | Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_topology(topology)
        if local is not None and not isinstance(local, str):
            raise ConfigurationError(f"local={shown(local)} is not a region.", fix="pass the name of one region.")
        self._local = local or os.environ.get("REGIONKIT_REGION", "")
        if not self._local:
            raise ConfigurationError(
                "the kit does not know its local region.",
                why="reads go to the nearest copy, so the local region must be known.",
                fix="pass local=, or set REGIONKIT_REGION.",
            )
        self._profile = profile_of(profile)
        self._clock = clock
        self._hooks = EventHooks()
        self._owner: object = None
        self._made_in = os.getpid()
        self._starting = threading.Lock()
        self._closed = False
        self._signer = Signer(topology.namespace, bookmark_keys)
        self._topology = topology
        topology.region(self._local)
        kept_in = own_folder(folder or os.environ.get("REGIONKIT_FOLDER"))
        self._all = AsyncStores(topology, Here(self._local, self._profile, clock, self._hooks, kept_in))
        self._monitor = AsyncMonitor(list(self._all.shards()))
        self._operations = AsyncOperations(self._local, self._profile, clock, self._hooks)
        self._caches = AsyncCaches(self._local, clock, self._hooks, self.current_session)
        self._gone, self._inherited = [], []
        self._pieces = WeakSet()

    @classmethod
    def from_toml(
        cls,
        path: str | Path,
        *,
        local: str | None = None,
        folder: str | Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
        environ: Mapping[str, str] | None = None,
    ) -> AsyncRegionKit:
        """A kit as a TOML file describes it.

        Raises:
            ConfigurationError: with the file, the path of the mistake and a near match.
        """
        from regionkit.topology.loading import load_toml  # not every application has a TOML file

        loaded = load_toml(path, environ=environ)
        topology, profile, keys = loaded.topology, loaded.profile, loaded.bookmark_keys
        return cls(topology, local=local, profile=profile, bookmark_keys=keys, folder=folder, clock=clock)

    async def __aenter__(self) -> AsyncRegionKit:
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        await self.close()

    async def close(self) -> None:
        """End the monitor, close pools and connections. May be called twice."""
        await self._caches.close()
        if self.transactions is not None:
            await self.transactions.close()
        with self._starting:  # a replace is done, or finds the kit closed
            self._closed = True
        await self._monitor.stop()
        await self._all.close()
        await self._let_go()

    def session(
        self,
        *,
        bookmark: str | Sequence[str] | None = None,
        key: str | None = None,
        home: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> AsyncRegionSession:
        """A session that respects what `bookmark` says was written or seen.

        Args:
            bookmark: a text that `s.bookmark()` gave, several of them (merged), or None or "" for nothing seen.
            key: whose data the session is about: it is locked to this key in every partitioned store.
            home: the home of `key`, for stores whose homes are `Contextual`.
            attributes: of the user, for preferences: `{"nationality": "KR", "geography": "KR"}`.

        Raises:
            InvalidBookmark: tampered with, foreign, too long. Nothing is asked of a server for it.
            UsageError: the kit is closed, or belongs to another event loop.
            ConfigurationError: an unusable key, or attributes that are not strings.
        """
        self._started()
        begun_with = self._signer.decode(bookmark)
        if key is None and home is None and not attributes:
            return AsyncRegionSession(self._used, self._signer, begun_with, kit=self)
        if key is not None:
            check_key(key)
        given = attributes or {}
        if not isinstance(given, Mapping) or not all(isinstance(text, str) for pair in given.items() for text in pair):
            raise ConfigurationError("attributes are texts by name.", fix='write attributes={"nationality": "KR"}.')
        return AsyncRegionSession(
            self._used, self._signer, begun_with, kit=self, key=key, home=home, attributes=dict(given)
        )

    def current_session(self) -> AsyncRegionSession | None:
        """The session of this context: that of the innermost `with kit.session()`, or the web middleware's; None without.

        Tasks started inside inherit it, and so do threads to which a framework passes the context.
        """
        found: AsyncRegionSession | None = current_session(self)
        return found

    @property
    def signer(self) -> Signer:
        """What signs and reads its bookmarks, for what carries them between processes."""
        return self._signer

    def backing(self, store: str | Store) -> AsyncStoreBacking:
        """A store as the place where a pillar keeps its rows. See `regionkit.contract.backing`."""
        self._started()
        return AsyncStoreBacking(self._found(store), self._topology.namespace)

    def _started(self) -> None:
        if self._closed or self._owner != aowner():
            self._start()

    def _start(self) -> None:
        """First use in this process (and loop): start the monitor."""
        with self._starting:
            here = aowner()
            if self._closed:
                raise UsageError("the kit is closed.", fix="make a new one.")
            if self._owner == here:
                return
            if self._owner is not None:
                self._renew()
            elif self._made_in != os.getpid():  # forked before its first use
                self._all.renew()
            self._owner = here
            self._monitor.start()

    def _renew(self) -> None:
        """The kit came into another process by a fork: nothing of the parent's is used or closed here."""
        if IS_ASYNC:
            raise UsageError(
                "the kit belongs to another event loop.",
                why="its connections and background tasks live in the loop in which it was first used.",
                fix="make one kit per loop, or keep one loop.",
            )
        self._all.renew()
        self._inherited, self._gone = [*self._inherited, *self._gone], []
        self._monitor = AsyncMonitor(list(self._all.shards()))

    def _found(self, store: str | Store) -> Callable[[], AsyncRoutedStore | AsyncPartitionedStore]:
        return lambda: self._store(store) if IS_ASYNC else self._used(store)  # a pillar may be the first after a fork

    def _used(self, store: str | Store) -> AsyncRoutedStore | AsyncPartitionedStore:
        """A store for a call of a session, which may have come here by a fork, or into another event loop."""
        if self._closed or self._owner != aowner():
            self._start()
        return self._all.get(store if isinstance(store, str) else check_store(store))

    def _store(self, store: str | Store) -> AsyncRoutedStore | AsyncPartitionedStore:
        if self._closed:
            raise UsageError("the kit is closed.", fix="make a new one.")
        return self._all.get(store if isinstance(store, str) else check_store(store))

    async def create_tables(self) -> None:
        """Create regionkit's tables beside the data, on the owner of every store. Idempotent; many processes may call it at once.

        Without it a store has no history: reads and writes work, its bookmarks say "read from the owner".
        """
        self._started()
        await self._operations.create_tables(self._all)
        await self._caches.create_tables()
        await self._create_kept()

    async def adopt(self, store: str | Store, region: str, *, key: str | None = None, home: str | None = None) -> None:
        """Declare which primary is valid from now on, after a promotion that the servers cannot prove.

        Writes a history row there: its parent is the newest one found, its fork the primary's position now; a primary that
        lost its data gets its tables first. The row stands in the data, and every process takes it with its next probe: of
        primaries whose histories lie apart the one that was adopted last counts. Bookmarks of a history that was given up are
        `StaleRead` with `lost`. Those of writes that were lost with an old primary cannot be told from others, unless their
        position lies past the fork.

        Args:
            store: name of a store, or its value.
            region: the primary's region, or its endpoint's id. If a region has several endpoints, the one is meant that
                reports to be primary and is not taken for the owner.
            key: for a partitioned store: only the partition that holds this key is adopted.
            home: the home of `key`, for stores whose homes are `Contextual`.

        Raises:
            ConfigurationError: no such endpoint, several of them, or it does not report the role of a primary.
            UsageError, UnknownHome: the store is not partitioned, or the key has no home.
            RegionUnavailable, DeadlineExceeded: it does not answer.
        """
        self._started()
        await self._operations.adopt(self._store(store), region, key, home)

    async def resolve(self, error: OutcomeUnknown) -> Literal["yes", "no", "unknown"]:
        """Whether the write of an OutcomeUnknown took effect.

        The answer is "no" only after a tombstone was committed under its key, so the attempt cannot commit later; it means
        "not on the surviving history". "unknown" without a key.

        Raises:
            UsageError: more than 12 hours after the attempt: its marker may be gone.
        """
        self._started()
        return await self._operations.resolve(self._store, error)

    async def place(self, store: str | Store, *, key: str, home: str) -> Placement:
        """Give `key` its first home in the store's Directory, by compare-and-set on absence.

        Returns the placement that stands. The same home again is no error.

        Raises:
            UsageError: the store has no Directory, or the key has another home already.
            UnknownHome: `home` is none of the store's homes.
            RegionUnavailable, DeadlineExceeded: the directory does not answer.
        """
        self._started()
        return await self._operations.place(self._store(store), key=key, home=home)

    def explain(
        self,
        store: str | Store,
        kind: Literal["read", "write"] = "read",
        *,
        key: str | None = None,
        home: str | None = None,
        consistency: Consistency = SESSION,
        bookmark: str | Sequence[str] | None = None,
    ) -> Explanation:
        """What a read or write would do on what is known now, and why every other endpoint is not taken. No I/O.

        Raises:
            UsageError: a partitioned store without a key, or a key whose home would have to be looked up first.
        """
        found = self._store(store)
        if isinstance(found, AsyncPartitionedStore):
            found = found.explained(key, home)
        elif key is not None or home is not None:
            raise not_partitioned(found.name)
        entries = self._signer.decode(bookmark).entries(found.name, found.partition)
        return found.explanation(check_kind(kind), consistency, entries, signed=self._signer.signs)

    def status(self) -> Status:
        """The known state of every store and endpoint; prints as a table, `.to_dict()` for JSON. No I/O."""
        hot, now = self._all.hot_keys(), self._clock.monotonic()
        return status_of(self._all.looked_at(), self._local, now, hot, self._caches.to_dict())

    @property
    def hooks(self) -> EventHooks:
        """Its hooks, for what stands on the kit and tells events of its own."""
        return self._hooks

    def subscribe(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with a frozen details object at each event; call the result to unsubscribe."""
        return self._hooks.add(hook)

    def instrument(self, *, tracer_provider: Any = None, meter_provider: Any = None) -> Callable[[], None]:
        """Give spans and metrics to OpenTelemetry; the result ends that. See docs/operations/metrics.md.

        A span a block, the current one inside it; no attribute holds a key or a value. Without an exporter a block costs a few
        microseconds more.

        Args:
            tracer_provider: default the global one.
            meter_provider: default the global one.

        Raises:
            MissingDriver: OpenTelemetry is not installed: the extra "otel".
            UsageError: the kit is instrumented already.
        """
        from regionkit.kit_telemetry import instrumented  # an extra

        return instrumented(self._hooks, lambda: list(self._all.shards()), tracer_provider, meter_provider)

    def fan_out(
        self,
        store: str | Store,
        work: Callable[[Any], Awaitable[T]],
        *,
        kind: Literal["read", "write"] = "read",
        consistency: Consistency = SESSION,
        timeout: float | None = None,
        concurrency: int = CONCURRENCY,
        bookmark: str | Sequence[str] | None = None,
    ) -> AsyncFanOut[T]:
        """Run `work` on every partition, in parallel: `for partition, result in kit.fan_out("carts", count): ...`.

        Results come as they are ready: `Result(value)` or `Result(error=...)`; one that fails or is late delays no other.

        Args:
            store: name of a store, or its value.
            work: called with what a block of the store yields.
            kind: read (each partition's nearest proved copy) or write (its owner).
            consistency: level of the reads.
            timeout: seconds for all of it; default the profile's.
            concurrency: partitions asked at once.
            bookmark: what each partition must show at least.

        Raises:
            ConfigurationError: a concurrency below 1.
        """
        self._started()
        found, begun_with = self._store(store), self._signer.decode(bookmark)
        return fanned_out(
            found,
            work,
            self._signer,
            begun_with,
            self._clock,
            kind=kind,
            consistency=consistency,
            timeout=timeout,
            concurrency=concurrency,
        )
