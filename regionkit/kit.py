# Generated from kit_async.py by scripts/twins.py. Do not edit.
"""The kit: a topology, the connections to its stores, and the sessions that use them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from regionkit.backends.base import EndpointBackend
from regionkit.backends.values import Claim
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency import gather, owner
from regionkit.core.deadline import Deadline
from regionkit.core.events import EventHooks, HistoryWritten, Hook
from regionkit.core.ids import uuid7
from regionkit.errors import ConfigurationError, OutcomeUnknown, RegionKitError, RegionUnavailable, UsageError
from regionkit.routing.bookmark import Signer
from regionkit.routing.consistency import SESSION, Consistency
from regionkit.routing.decision import Kind
from regionkit.routing.explain import Explanation
from regionkit.routing.history import HistoryRow
from regionkit.routing.monitor import Monitor
from regionkit.routing.observed import ObservedStore
from regionkit.routing.position import as_position
from regionkit.routing.session import RegionSession
from regionkit.routing.status import Status, status_of
from regionkit.routing.store import RoutedStore
from regionkit.topology import Endpoint, Profile, SqlStore, Store, Topology, load_toml, profile

__all__ = ["RegionKit"]

IS_ASYNC = False
RESOLVE_WITHIN = 43_200.0
"""Seconds after an attempt in which `resolve` answers: half of what markers are kept, so that absence still means "no"."""


class RegionKit:
    """Reads and writes of a topology from one region.

    Shared by all threads (RegionKit: by all tasks of one loop). Its monitor starts at first use, and again after a
    fork. A context manager; `close` may be called twice.

    Args:
        topology: what there is.
        local: the region this process runs in; default $REGIONKIT_REGION.
        profile: "gentle", "balanced" or "aggressive", a mapping that overrides fields, or a Profile.
        bookmark_keys: keys that sign bookmarks, the current one first. Without keys bookmarks are unsigned: for trusted
            callers only.
        clock: where time is read.

    Raises:
        ConfigurationError: an unknown region, a bad profile, a short key.
        MissingDriver: a store needs a driver that is not installed.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        local: str | None = None,
        profile: str | Mapping[str, Any] | Profile = "balanced",
        bookmark_keys: Sequence[str] = (),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._local = local or os.environ.get("REGIONKIT_REGION", "")
        if not self._local:
            raise ConfigurationError(
                "the kit was not told where it runs.",
                why="reads go to the nearest copy, so the local region has to be known.",
                fix="pass local=, or set REGIONKIT_REGION.",
            )
        self._profile = _profile(profile)
        self._clock = clock
        self._hooks = EventHooks()
        self._owner: object = None
        self._starting = threading.Lock()
        self._closed = False
        self._signer = Signer(topology.namespace, bookmark_keys)
        self._build(topology)

    @classmethod
    def from_toml(
        cls,
        path: str | Path,
        *,
        local: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        environ: Mapping[str, str] | None = None,
    ) -> RegionKit:
        """A kit as a TOML file describes it.

        Raises:
            ConfigurationError: with the file, the path of the mistake and a near match.
        """
        loaded = load_toml(path, environ=environ)
        return cls(
            loaded.topology, local=local, profile=loaded.profile, bookmark_keys=loaded.bookmark_keys, clock=clock
        )

    def _build(self, topology: Topology) -> None:
        topology.region(self._local)
        self._topology = topology
        self._stores = {store.name: self._routed(store) for store in topology.stores}
        self._monitor = Monitor(list(self._stores.values()))

    def _routed(self, store: Store) -> RoutedStore:
        observed = ObservedStore(store, self._topology, self._local, self._profile, self._clock, self._hooks)
        backends = [
            self._backend(store, endpoint) if self._topology.allowed(store, endpoint) else None
            for endpoint in store.endpoints
        ]
        return RoutedStore(observed, backends, self._profile, self._clock, self._hooks)

    def _backend(self, store: Store, endpoint: Endpoint) -> EndpointBackend:
        if not isinstance(store, SqlStore):
            raise ConfigurationError(
                f"store {store.name!r}: backend {store.backend!r} is not in this version.", fix="this version has: sql."
            )
        if endpoint.client is not None:
            raise ConfigurationError(
                f"store {store.name!r}: endpoint {endpoint.id!r} has a client= of yours.",
                why="this version drives its own connections only: its deadlines and positions need them.",
                fix="give the endpoint a url=.",
            )
        from regionkit.backends.sql.engine import SqlEndpoint
        from regionkit.backends.sql.server import Place

        place = Place(
            namespace=self._topology.namespace,
            store=store,
            endpoint=endpoint,
            profile=self._profile,
            clock=self._clock,
            is_async=IS_ASYNC,
        )
        return SqlEndpoint(place)

    def __enter__(self) -> RegionKit:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the monitor, close pools and connections. May be called twice."""
        self._closed = True
        self._monitor.stop()
        for store in self._stores.values():
            for backend in store.backends:
                if backend is not None:
                    backend.close()

    def session(self, *, bookmark: str | Sequence[str] | None = None) -> RegionSession:
        """A session that respects what `bookmark` says was written or seen.

        Args:
            bookmark: a text that `s.bookmark()` gave, several of them (merged), or None or "" for nothing seen.

        Raises:
            InvalidBookmark: tampered with, foreign, too long. Nothing is asked of a server for it.
            UsageError: the kit is closed, or belongs to another event loop.
        """
        self._started()
        return RegionSession(self._store, self._signer, self._signer.decode(bookmark))

    def _started(self) -> None:
        if self._closed or self._owner != owner():
            self._start()

    def _start(self) -> None:
        """First use in this process (and loop): start the monitor."""
        with self._starting:
            here = owner()
            if self._closed:
                raise UsageError("the kit is closed.", fix="make a new one.")
            if self._owner == here:
                return
            if self._owner is not None:
                self._renew()
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
        for store in self._stores.values():
            store.observed.renew()
            for backend in store.backends:
                if backend is not None:
                    backend.abandon()
        self._monitor = Monitor(list(self._stores.values()))

    def _store(self, store: str | Store) -> RoutedStore:
        if self._closed:
            raise UsageError("the kit is closed.", fix="make a new one.")
        name = store if isinstance(store, str) else store.name
        found = self._stores.get(name)
        if found is None:
            self._topology.store(name)  # raises, with a near match
            raise UsageError(f"store {name!r} is being replaced.", fix="try again.", retryable=True)
        return found

    def explain(
        self,
        store: str | Store,
        kind: Literal["read", "write"] = "read",
        *,
        consistency: Consistency = SESSION,
        bookmark: str | Sequence[str] | None = None,
    ) -> Explanation:
        """What a read or write would do on what is known now, and why every other endpoint is not taken. No I/O."""
        routed = self._store(store)
        entries = self._signer.decode(bookmark).entries(routed.name)
        return routed.explanation(Kind(kind), consistency, entries, signed=self._signer.signs)

    def status(self) -> Status:
        """What is known of every store and endpoint now; prints as a table, `.to_dict()` for JSON. No I/O."""
        return status_of([store.observed for store in self._stores.values()], self._local, self._clock.monotonic())

    def subscribe(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with a frozen details object at each event; the result takes it away again."""
        return self._hooks.add(hook)

    def create_tables(self) -> None:
        """Make what regionkit keeps beside the data, on the owner of every store. Idempotent.

        Without it a store has no history: reads and writes work, its bookmarks say "read from the owner".
        """
        self._started()
        for store in self._stores.values():
            index = self._owner_of(store)
            deadline = Deadline(self._clock, self._profile.write_deadline)

            def root(origin: str) -> HistoryRow:
                return HistoryRow(uuid7().hex, None, None, 1, origin)

            store.backend(index).create_tables(deadline, root)
            self._ask_all(store)

    def _ask_all(self, store: RoutedStore) -> None:
        indexes = [i for i, backend in enumerate(store.backends) if backend is not None]
        gather([lambda i=i: store.probe(i) for i in indexes])  # type: ignore[misc]  # a default binds the loop's value

    def _owner_of(self, store: RoutedStore) -> int:
        self._ask_all(store)
        index = store.observed.snapshot.owner
        if index < 0:
            raise RegionUnavailable(
                f"store {store.name!r} has no primary now.", fix="see kit.status().", store=store.name
            )
        return index

    def adopt(self, store: str | Store, region: str) -> None:
        """Say which primary counts from now on, after a promotion that the servers can not prove.

        Writes a history row there: its parent is the newest one found, its fork the primary's position now. Bookmarks of
        writes that were lost with the old primary can not be told from others, unless their position lies past the fork.

        Raises:
            ConfigurationError: no such endpoint, or it does not report to be primary.
            RegionUnavailable, DeadlineExceeded: it does not answer.
        """
        self._started()
        routed = self._store(store)
        index = next((i for i, e in enumerate(routed.store.endpoints) if region in (e.id, e.region)), -1)
        if index < 0 or routed.backends[index] is None:
            raise ConfigurationError(f"store {routed.name!r} has no endpoint {region!r} that may be used.")
        seen = routed.probe(index)
        if seen is None:
            raise RegionUnavailable(
                f"{region!r} does not answer.", fix="see kit.status().", store=routed.name, region=region
            )
        if seen.role is not None and seen.role.value != "primary":
            raise ConfigurationError(
                f"{region!r} reports to be a {seen.role}.",
                why="only a primary can own the data.",
                fix="promote it on the server first.",
            )
        if seen.lineage is None:
            raise ConfigurationError(
                f"{region!r} has no history rows.", fix="call kit.create_tables() once it is primary."
            )
        parent = seen.lineage.current
        if not seen.recorded:
            fork = None if seen.reached is None else as_position(seen.reached)
            row = HistoryRow(uuid7().hex, parent.history, fork, parent.epoch + 1, seen.origin)
            routed.backend(index).write_history(Deadline(self._clock, self._profile.write_deadline), row)
            event = HistoryWritten(
                routed.name, region, row.history, parent.history, row.epoch, "adopted by an operator"
            )
            self._hooks.emit(event)
            seen = routed.probe(index)
        routed.observed.adopt(None if seen is None else seen.lineage)

    def resolve(self, error: OutcomeUnknown) -> Literal["yes", "no", "unknown"]:
        """Whether the write of an OutcomeUnknown took effect.

        "no" is said only after a tombstone was committed under its key, so the attempt can not commit later; it means
        "not on the surviving history". "unknown" without a key.

        Raises:
            UsageError: more than 12 hours after the attempt: its marker may be gone.
        """
        if error.idempotency_key is None:
            return "unknown"
        if self._clock.wall() - error.began_at > RESOLVE_WITHIN:
            raise UsageError(
                "the attempt is too long ago to be resolved.",
                why=f"markers are kept 24 hours, and absence is proof only within {RESOLVE_WITHIN / 3600:.0f}.",
                fix="look at the data itself.",
            )
        self._started()
        routed = self._store(error.store)
        claim = Claim(error.idempotency_key, "", uuid7().hex)
        try:
            index = self._owner_of(routed)
            marker = routed.backend(index).settle(Deadline(self._clock, self._profile.write_deadline), claim)
        except RegionKitError:
            return "unknown"
        return "yes" if marker.applied else "no"

    def replace(self, topology: Topology) -> None:
        """Swap the topology while the kit runs. Blocks that are open end on the old one; stores that did not change keep
        their connections and what is known of them.

        Raises:
            ConfigurationError: the new topology lacks the local region, or has another namespace.
        """
        if topology.namespace != self._topology.namespace:
            raise ConfigurationError(
                "the namespace of a running kit can not change.",
                why="its tables and bookmarks carry it.",
                fix="make a new kit.",
            )
        topology.region(self._local)
        if self._closed:
            raise UsageError("the kit is closed.", fix="make a new one.")
        before, monitor, started = self._stores, self._monitor, self._owner is not None
        old, self._topology = self._topology, topology
        after = {}
        try:
            for store in topology.stores:
                known = before.get(store.name)
                same = known is not None and known.store == store and _same_rules(old, topology, store)
                after[store.name] = known if known is not None and same else self._routed(store)
        except BaseException:
            self._topology = old
            raise
        self._stores = after
        self._monitor = Monitor(list(after.values()))
        monitor.stop()
        if started:
            self._monitor.start()
        for name, routed in before.items():
            if after.get(name) is not routed:
                for backend in routed.backends:
                    if backend is not None:
                        backend.close()


def _same_rules(old: Topology, new: Topology, store: Store) -> bool:
    return all(old.allowed(store.name, e) == new.allowed(store, e) for e in store.endpoints)


def _profile(spec: str | Mapping[str, Any] | Profile) -> Profile:
    return profile(spec)
