# Generated from homes_source_async.py by scripts/twins.py. Do not edit.
"""Loads of a store whose keys have homes: each part of it is a source of its own, and a key is loaded where it lives.

1. Which part a key lives in is what the store says of its partition key: the key of the cache itself, or what `partition` makes
   of it.
2. Positions are of one part. Versions of two keys are compared only within a part: a floor of a key is of its home, what is told
   of a tag or of everything has no version, and only loads from owners are stored under it.
3. A loader of many keys is called once for each part, with the keys that live there.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Protocol

from regionkit.caching.outcome import Outcome, Wanted
from regionkit.caching.store_source import StoreSource, View
from regionkit.caching.version import OWNER_ONLY
from regionkit.contract.backing import Backing
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError

__all__ = ["Homes", "HomesSource", "KeyHomes"]


class Homes(Protocol):
    """The homes of a store.

    Attributes:
        parts: where each part keeps its rows, by its name; the nearest first.
    """

    parts: Mapping[str, Backing]

    def part_of(self, key: str, deadline: Deadline) -> str:
        """The part where a partition key has its home.

        Raises:
            UnknownHome: it has none.
        """
        ...


class KeyHomes:
    """Finds the homes of the keys of one cache. Safe to share between threads (tasks of one loop).

    Args:
        homes: of the store.
        known: the parts that the cache knows.
        partition: rule 1.
        deadline: of one question.
    """

    def __init__(
        self,
        homes: Homes,
        known: Container[str],
        partition: Callable[[Any], str] | None,
        deadline: Callable[[], Deadline],
    ) -> None:
        self._homes = homes
        self._known = known
        self._partition = partition
        self._deadline = deadline

    def of(self, key: Any) -> str:
        """The part where a key lives.

        Raises:
            ConfigurationError: it has no partition key, or its part came after the cache.
            UnknownHome: its partition key has no home.
        """
        found = key if self._partition is None else self._partition(key)
        if not isinstance(found, str):
            raise ConfigurationError(
                f"a key of type {type(key).__name__} names no home.",
                why=f"the home of a key is found by a text, and its partition key is a {type(found).__name__}.",
                fix="give kit.cache(partition=...): a function from the cache's key to the store's key.",
            )
        part = self._homes.part_of(found, self._deadline())
        if part not in self._known:
            raise ConfigurationError(
                f"the cache does not know the partition {part!r} of its store.",
                why="the topology was replaced by one with other partitions after the cache was created.",
                fix="close the cache and create it again.",
            )
        return part


class HomesSource:
    """Loaders of the application's over the parts of one store. Safe to share between threads (tasks of one loop)."""

    def __init__(
        self, homes: Homes, sources: Mapping[str, StoreSource], partition: Callable[[Any], str] | None
    ) -> None:
        self._sources = sources
        self._any = next(iter(sources.values()))
        self.home = KeyHomes(homes, sources, partition, self._any.deadline).of

    def load(self, key: Any, wanted: Wanted) -> Outcome:
        """Load one key in its home."""
        return self._sources[self.home(key)].load(key, wanted)

    def load_many(self, keys: Sequence[Any], wanted: Wanted) -> dict[Any, Outcome]:
        """Load several that live in one part."""
        return self._sources[self.home(keys[0])].load_many(keys, wanted)

    def view(self, given: Any, key: Any) -> View | None:
        """What the session has to be shown of the part where the key lives; of no key nothing that could be compared."""
        if key is None or not self._any.looks(given):
            return None
        return self._sources[self.home(key)].view(given, key)

    def covers(self, lo: str, view: View | None) -> bool:
        """Whether a value that surely has `lo` shows all that the session wrote or saw there."""
        return self._any.covers(lo, view)

    def saw(self, hi: str, view: View | None) -> None:
        """The session was shown a value that may have shown all up to `hi` of its part."""
        if view is not None:
            self._sources[view.part].saw(hi, view)

    def wrote(self, stamp: Any, part: str) -> None:
        """The current session has written in a part."""
        self._sources[part].wrote(stamp, part)

    def newest(self, view: View | None, part: str | None) -> str:
        """An upper bound of all that was committed until now in a part; of all parts together there is none."""
        return OWNER_ONLY if part is None else self._sources[part].newest(view, part)
