# Generated from partitions_async.py by scripts/twins.py. Do not edit.
"""A partitioned store at run time: its shards, and which of them a key's home is.

1. The home function names a region or a partition; the shard that holds it takes the key's writes and serves its reads.
2. What can be told without a question (Intrinsic, Hashed, Contextual, a remembered row of a Directory) costs no await.
3. Where there is no owner, there is one shard for all homes: of its data centres a key's home is the one that writes it.
4. `Hashed`: before the first use of a shard the stored list of regions is compared with ours. Another list is refused: keys
   would have changed their home without their data.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from types import MappingProxyType
from typing import Any

import msgspec

from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, RegionKitError, RegionUnavailable, UnknownHome, UsageError
from regionkit.facts.bookmark import Bookmark
from regionkit.facts.consistency import ON_STALE, SESSION, OnStale, on_stale_steps
from regionkit.facts.placement import HASHED_TABLE, Placement, placement_in, placement_kind, placement_record
from regionkit.facts.request import BlockMode, Kind
from regionkit.routing.call_checks import check_consistency, check_prefer
from regionkit.routing.call_options import ReadOptions
from regionkit.routing.capability_checks import check_mode
from regionkit.routing.directory import HomeDirectory
from regionkit.routing.hotkeys import EVERY, HotKeys
from regionkit.routing.store import RoutedStore
from regionkit.routing.store_state import RequestClass
from regionkit.topology import Contextual, Hashed, Preference, Store, WritePartitioning
from regionkit.topology.homes import check_key
from regionkit.topology.validation import did_you_mean, shown

__all__ = ["CallOptions", "PartitionedStore", "keyed", "read_call"]


MOST_REMEMBERED = 16_384
"""Keys whose shard is remembered: a dictionary look-up instead of a hash or a match; a few megabytes."""


class CallOptions(msgspec.Struct, frozen=True, gc=False):
    """What a call asks of whichever shard serves it."""

    kind: Kind
    mode: BlockMode
    on_stale: tuple[OnStale, ...] = ON_STALE
    prefer: Preference | None = None
    attributes: Mapping[str, str] = MappingProxyType({})

    def request_class(self, store: RoutedStore) -> RequestClass:
        """The request class of this call at a shard.

        Raises:
            ConfigurationError: no level, no preference, or one that the store does not have.
        """
        mode = self.mode
        if mode.consistency is not SESSION:
            check_consistency(mode.consistency)
        if self.prefer is not None:
            check_prefer(self.prefer)
        if mode.core or mode.snapshot or mode.transaction:
            check_mode(store.name, store.capabilities, mode)
        if self.kind is Kind.WRITE:
            return store.write_class
        return store.class_of(mode.consistency, self.on_stale, self.prefer, self.attributes)


def read_call(options: ReadOptions, *, core: bool, attributes: Mapping[str, str]) -> CallOptions:
    """What the keyword arguments of a read ask for.

    Raises:
        TypeError: there is an argument that a read does not have.
    """
    unknown = options.keys() - ReadOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"execute_read() got unexpected arguments: {', '.join(sorted(unknown))}")
    mode = BlockMode(
        core=core, snapshot=options.get("snapshot", False), consistency=options.get("consistency", SESSION)
    )
    return CallOptions(Kind.READ, mode, on_stale_steps(options.get("on_stale")), options.get("prefer"), attributes)


class PartitionedStore:
    """Shared by all sessions of a kit."""

    def __init__(self, store: Store, shards: tuple[RoutedStore, ...], directory: HomeDirectory | None) -> None:
        assert isinstance(store.strategy, WritePartitioning)
        self.store = store
        self.name = store.name
        self.shards = shards
        self.directory = directory
        self.hot = {shard.partition: HotKeys() for shard in shards}
        self._by_home = {home: view for shard in shards for home, view in _homes(shard).items()}
        self._home: Any = store.strategy.home
        self._of = directory.home_without_io if directory is not None else getattr(self._home, "of", None)
        self._hashed = isinstance(self._home, Hashed)
        self._verified: set[str] = set()
        self._sampled = cycle([False] * (EVERY - 1) + [True])
        self._remembered: dict[str, tuple[RoutedStore, float | None]] = {}
        self._monotonic = shards[0].clock.monotonic

    def home_without_io(self, key: str, home: str | None) -> RoutedStore | None:
        """The shard of `key`; None when that needs a question first.

        Raises:
            UnknownHome: the key, or the caller, names no home of this store.
            UsageError: `home` is missing, or given where the home function does not take it.
        """
        try:
            shard, until = self._remembered[key]
        except KeyError:
            return self._resolved(key, home)
        if home is None and (until is None or self._monotonic() < until):
            if next(self._sampled):
                self.hot[shard.partition].add(key)
            return shard
        return self._resolved(key, home)

    def _resolved(self, key: str, home: str | None) -> RoutedStore | None:
        of = self._of
        found: str | None = self._by_caller(key, home) if of is None or home is not None else of(key)
        if found is None:
            return None
        shard = self._by_home.get(found)
        if shard is None:
            self.forget(key)
            raise self._unknown(key, found)
        if next(self._sampled):
            self.hot[shard.partition].add(key)
        if self._hashed and shard.partition not in self._verified:
            return None
        if home is None:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            until = None if self.directory is None else self.directory.fresh_until(key)
            self._remembered[key] = (shard, until)
        return shard

    def heed(self, bookmark: Bookmark) -> None:
        """A session begins that has seen placements: those that this process knows may be older."""
        version = bookmark.placements.get(self.name, 0)
        if self.directory is not None and version > 1 and self.directory.raise_floor(version):
            self._remembered.clear()

    def version_of(self, key: str) -> int:
        """The version of the row that placed `key`; 0 without a directory."""
        return 0 if self.directory is None else self.directory.version_of(key)

    def forget(self, key: str) -> None:
        """Find the home of `key` anew at its next use."""
        self._remembered.pop(key, None)
        if self.directory is not None:
            self.directory.forget(key)

    def locate(self, key: str, deadline: Deadline) -> RoutedStore:
        """The shard of `key`, after the question that it needs.

        Raises:
            UnknownHome: the directory has no row of the key, or one that names no home of this store.
            ConfigurationError: the stored list of `Hashed` is another one.
            RegionUnavailable, DeadlineExceeded: the directory does not answer, and the key is not known here.
        """
        if self.directory is not None:
            found = (self.directory.look_up(key, deadline)).home
        else:
            found = self._home.of(key)
        shard = self._by_home.get(found)
        if shard is None:
            self.forget(key)
            raise self._unknown(key, found)
        if self._hashed:
            self._verify(shard, deadline)
        return shard

    def explained(self, key: str | None, home: str | None) -> RoutedStore:
        """The shard of `key` without I/O.

        Raises:
            UsageError: no key, or one whose home would have to be looked up first.
        """
        if key is None:
            raise no_key(self.name)
        if self._hashed:
            shard = self._by_home.get(self._home.of(key))
        else:
            shard = self.home_without_io(key, home)
        if shard is None:
            raise UsageError(
                f"store {self.name!r}: the home of key {shown(key)} is not known here yet.",
                fix="use s.explain(), which looks it up.",
            )
        return shard

    def place(self, key: str, home: str, deadline: Deadline) -> Placement:
        """Give `key` its first home.

        Raises:
            UsageError: the store has no Directory, or the key has another home already.
            UnknownHome: none of the store's homes.
        """
        if self.directory is None:
            raise UsageError(
                f"store {self.name!r} has no Directory: its home function is {type(self._home).__name__}.",
                why="only a Directory keeps homes as rows that can be placed.",
                fix="use WritePartitioning(home=Directory()).",
            )
        self.shard_of(home)
        stands = self.directory.place(key, home, deadline)
        self._remembered.pop(key, None)
        if stands.home != home:
            raise UsageError(
                f"store {self.name!r}: key {shown(key)} has its home in {stands.home} already.",
                why="it was placed before; a key gets its first home only once.",
                fix="use it as it is; moving it is another operation.",
            )
        return stands

    def shard_of(self, home: str) -> RoutedStore:
        """The shard that holds a home.

        Raises:
            UnknownHome: none does.
        """
        shard = self._by_home.get(home)
        if shard is None:
            raise self._unknown("", home)
        return shard

    def store_table(self, shard: RoutedStore, index: int, deadline: Deadline) -> None:
        """Keep the list of `Hashed` beside the data of a shard, by its endpoint `index`; refuse another one that stands there.

        Raises:
            ConfigurationError: another list stands there.
        """
        if not self._hashed:
            return
        wanted = Placement(self.name, HASHED_TABLE, ",".join(self._home.regions))
        record = placement_record(wanted)
        stands = shard.backend(index).records.put(deadline, record, expected=0)
        self._compare(placement_in(self.name, stands or record), wanted)
        self._verified.add(shard.partition)

    def _verify(self, shard: RoutedStore, deadline: Deadline) -> None:
        """Compare the stored list with ours, once a shard. That none is stored is believed of the owner alone.

        Raises:
            ConfigurationError: another list is stored.
            RegionUnavailable: nobody can say. A list that was not compared has not passed.
        """
        if shard.partition in self._verified:
            return
        wanted = Placement(self.name, HASHED_TABLE, ",".join(self._home.regions))
        nearest, snapshot = shard.nearest(), shard.state.snapshot
        owner, lost = snapshot.owner, "it has no owner now"
        for index in dict.fromkeys([*nearest[:1], owner] if owner >= 0 else nearest):
            budget = max(4.0 * shard.profile.probe_timeout, shard.connecting(index))
            try:
                until = Deadline(shard.clock, min(deadline.remaining(), budget))
                stands = shard.backend(index).records.get(until, placement_kind(self.name), HASHED_TABLE)
            except ConfigurationError:  # no table of records: nobody keeps a list there
                stands = None
            except RegionKitError as error:
                lost = error.what
                continue
            if stands is not None:
                self._compare(placement_in(self.name, stands), wanted)
            elif index != owner and not snapshot.leaderless:
                continue  # a copy that lags, or was just rebuilt, lacks the list too
            self._verified.add(shard.partition)
            return
        raise RegionUnavailable(
            f"store {self.name!r}: the stored list of homes could not be compared with that of Hashed.",
            why=f"{lost}; a copy that lacks it proves nothing, and with another list keys would get a second home.",
            fix="see kit.status(); each process compares it once.",
            store=self.name,
        )

    def _compare(self, stands: Placement, wanted: Placement) -> None:
        if stands.home != wanted.home:
            raise ConfigurationError(
                f"store {self.name!r}: Hashed lists {wanted.home}, and the stored table {stands.home}.",
                why="with another list, keys change their home, and their data stay in the old one.",
                fix="list the same regions in the same order; partitions move one by one, not by this list.",
            )

    def _by_caller(self, key: str, home: str | None) -> str:
        name = type(self._home).__name__
        if isinstance(self._home, Contextual):
            if home is None:
                raise UsageError(
                    f"store {self.name!r}: a call without the home of its key {shown(key)}.",
                    why="its home function is Contextual: the caller must pass it.",
                    fix="pass home= to kit.session() or to the call.",
                )
            return home
        raise UsageError(
            f"store {self.name!r}: home= was given, and its home function is {name}.",
            why="with two answers, a key's writes would go to two regions.",
            fix="leave home= out.",
        )

    def _unknown(self, key: str, home: str) -> UnknownHome:
        return UnknownHome(
            f"store {self.name!r}: key {shown(key)} has the home {shown(home)}, which the store does not have.",
            why="no primary of the topology holds it, or that region is outside the store's residency.",
            fix=did_you_mean(home, self._by_home),
            key=key,
        )


def _homes(shard: RoutedStore) -> dict[str, RoutedStore]:
    """Who takes the writes of each home that a shard holds."""
    snapshot = shard.state.snapshot
    if not snapshot.leaderless:
        return dict.fromkeys(shard.state.shard.partitions, shard)
    return {e.region: shard.at_home(e.region) for e in snapshot.endpoints if e.allowed}


def keyed(
    store: RoutedStore | PartitionedStore, key: str | None, locked: str | None, unlocked: bool
) -> tuple[PartitionedStore, str]:
    """The partitioned store and the key that a call of a session is about, which is locked to the key `locked`.

    Raises:
        UsageError: a store without homes, no key, or another one than the session's.
        ConfigurationError: an unusable key.
    """
    if isinstance(store, RoutedStore):
        raise not_partitioned(store.name)
    if key is None:
        key = locked
    if key is None:
        raise no_key(store.name)
    if key != locked:
        check_key(key)
        if locked is not None and not unlocked:
            raise other_key(locked, key)
    return store, key


def not_partitioned(store: str) -> UsageError:
    """The error of a key for a store that has no homes."""
    return UsageError(
        f"store {store!r} was given key= or home=, and it is not partitioned.",
        why="its strategy has one owner for all keys.",
        fix="leave them out, or give the store WritePartitioning.",
    )


def no_key(store: str) -> UsageError:
    """The error of a partitioned store without a key."""
    return UsageError(
        f"store {store!r} is partitioned, and the call has no key.",
        why="the key says which region takes the write and whose copies may be read.",
        fix="pass key= to kit.session() or to the call; kit.fan_out() asks all partitions.",
    )


def other_key(locked: str, key: str) -> UsageError:
    """The error of another key in a locked session."""
    return UsageError(
        f"the session is locked to key {shown(locked)}, and the call has key {shown(key)}.",
        why="one user's request that touches another's data is nearly always a mistake.",
        fix="pass unlocked=True to the call if you mean it.",
    )
