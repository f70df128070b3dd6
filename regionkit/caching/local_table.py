"""The local tier's table: entries of one process, bounded by items and by bytes, evicted by S3-FIFO.

1. A reader takes an entry with one look into a dict, without a lock. Whoever changes the table holds the lock.
2. S3-FIFO (Yang et al., SOSP 2023): what is new waits in a small queue, a tenth of the room. What was read there moves to the
   main queue when its turn comes, all else leaves, and is remembered by name for a while: when it comes back it goes to the
   main queue at once. The main queue turns those that were read since, and lets go of the others.
3. An entry that must no longer be served is taken out; `drop_all` exchanges the dicts, whatever they hold.
4. An entry belongs to the table that it was made for: one that comes after a `drop_all`, or after its key was invalidated while
   it was on its way (`Mark`), is not put in.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from regionkit.caching.keys import Stored

__all__ = ["FEW", "Entry", "LocalTable", "Mark"]

SMALL = 0.1
"""Share of the small queue, as in the paper."""
FEW = 255
"""Hits that are counted by small numbers, which CPython keeps: a hit takes a tenth less."""
OVERHEAD = 560
"""Bytes that an entry takes besides its value: the object, its places in dict and queue, its key. Measured on CPython 3.11."""


class Entry:
    """One cached value, or the knowledge that there is none.

    Attributes:
        asked: the key as the application gave it; None where nobody has loaded it here.
        value: None where nothing is there, or where it is decoded at each hit.
        fresh_until: monotonic seconds until which a hit needs no further look. Minus infinity: it always does.
        number_until: the same of an entry whose key is an int: 1, True and 1.0 are one key of a dict, so for those who did not
            ask with an int `fresh_until` is minus infinity.
        soft: after which it is reloaded in the background.
        hard: after which it is served only when its load fails.
        kept: after which it is not served at all.
        made: when it was loaded.
        body: its encoded value, where it is decoded at each hit. `head`: of the entry at a server that it came from.
        found: whether there is a value.
        lo: version that it surely has. `stamp`: of the load or the write that made it.
        hi: version that covers all that reading it may have shown; "" where nobody knows.
        tags: digests.
        size: bytes.
        hits: how often it was read here, besides `more_hits`: up to FEW. `turned`: what that was when its turn came in its queue.
    """

    __slots__ = (
        "asked",
        "body",
        "digest",
        "found",
        "fresh_until",
        "hard",
        "head",
        "hi",
        "hits",
        "kept",
        "key",
        "lo",
        "made",
        "more_hits",
        "number_until",
        "size",
        "soft",
        "stamp",
        "tags",
        "turned",
        "value",
    )

    def __init__(self, key: Stored, value: Any, *, found: bool = True) -> None:
        self.key = key
        self.asked: Any = None
        self.digest = b""
        self.value = value
        self.found = found
        self.hits = self.turned = self.more_hits = 0
        self.fresh_until = self.number_until = self.soft = self.hard = self.kept = -math.inf
        self.made = 0.0
        self.body: Any = None
        self.head = b""
        self.lo = self.hi = ""
        self.stamp = 0
        self.tags: tuple[bytes, ...] = ()
        self.size = OVERHEAD


class Mark:
    """An entry on its way into the table.

    `spoiled`: its key was invalidated meanwhile. `told`: the same, for an entry whose stamp is below this one; 0: it was not.
    """

    __slots__ = ("digest", "key", "spoiled", "table", "told")

    def __init__(self, key: Stored, digest: bytes, table: object) -> None:
        self.key = key
        self.digest = digest
        self.table = table
        self.spoiled = False
        self.told = 0


class LocalTable:
    """The entries of one cache in this process. Thread-safe.

    Args:
        max_items: entries at most.
        max_bytes: of all of them, overhead included, at most.
        began: told the dict to look up texts and ints as the application gives them, whenever it is another one. Other keys
            are not in it: what stands as bytes may be equal to bytes of the application's.
    """

    def __init__(self, max_items: int, max_bytes: int, began: Callable[[dict[Any, Any]], None] | None = None) -> None:
        self._began = began
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self.open = True
        self._hits_gone = 0
        self._begin()

    @property
    def hits(self) -> int:
        """How often entries were read here, those that are gone included."""
        with self._lock:
            return self._hits_gone + self._hits_here()

    def _hits_here(self) -> int:
        return sum(entry.hits + entry.more_hits for entry in self.entries.values())

    def _begin(self) -> None:
        self.entries: dict[Stored, Entry] = {}
        self.get = self.entries.get
        self._given: dict[Any, Entry] = {}
        self._small: deque[Entry] = deque()
        self._main: deque[Entry] = deque()
        self._ghosts: dict[int, None] = {}
        self._by_tag: dict[bytes, set[Stored]] = {}
        self._marks: dict[Stored, set[Mark]] = {}
        self._names: dict[bytes, Stored] = {}
        self.bytes = 0
        if self._began is not None:
            self._began(self._given)

    def __len__(self) -> int:
        return len(self.entries)

    def some(self, most: int, place: float) -> list[Entry]:
        """At most so many entries that stand one after the other, from `place` (0 to 1) on."""
        with self._lock:
            start = int(place * max(0, len(self.entries) - most + 1))
            return list(islice(self.entries.values(), start, start + most))

    def mark(self, key: Stored, digest: bytes = b"") -> Mark:
        """An entry for `key` is on its way. `digest`: by which other processes know the key."""
        with self._lock:
            mark = Mark(key, digest, self.entries)
            self._marks.setdefault(key, set()).add(mark)
            if digest:
                self._names[digest] = key
            return mark

    def unmark(self, mark: Mark) -> None:
        """It is not, after all. Twice is no error."""
        with self._lock:
            self._forget(mark)

    def put(self, entry: Entry, mark: Mark) -> bool:
        """Put the entry in, in place of an older one; False when it came too late, or is too large."""
        with self._lock:
            self._forget(mark)
            if mark.spoiled or mark.told > entry.stamp or mark.table is not self.entries:
                return False
            if not self.open or entry.size > self._max_bytes // 4:
                return False
            self._remove(entry.key)
            self.entries[entry.key] = entry
            if isinstance(entry.key, str):
                self._given[entry.key] = entry
            elif entry.key[:1] == b"i":
                entry.number_until, entry.fresh_until = entry.fresh_until, -math.inf
                self._given[int(entry.key[1:])] = entry
            entry.digest = mark.digest
            if mark.digest:
                self._names[mark.digest] = entry.key
            self.bytes += entry.size
            for tag in entry.tags:
                self._by_tag.setdefault(tag, set()).add(entry.key)
            ghost = hash(entry.key)
            if ghost in self._ghosts:
                del self._ghosts[ghost]
                self._main.append(entry)
            else:
                self._small.append(entry)
            while len(self.entries) > self._max_items or self.bytes > self._max_bytes:
                self._evict()
            return True

    def invalidate(self, key: Stored) -> None:
        """Take the key out, and spoil what is on its way."""
        with self._lock:
            self._spoil(key)
            self._remove(key)

    def invalidate_digest(self, digest: bytes, stamp: int) -> Stored | None:
        """The same for what other processes know by its digest, but for an entry that is not older than `stamp` (0: for any).

        The key, where it stands here or is on its way.
        """
        with self._lock:
            key = self._names.get(digest)
            if key is not None:
                if stamp > 0:
                    for mark in self._marks.get(key, ()):
                        mark.told = max(mark.told, stamp)
                else:
                    self._spoil(key)
                entry = self.entries.get(key)
                if entry is not None and not 0 < stamp <= entry.stamp:
                    self._remove(key)
            return key

    def invalidate_tag(self, tag: bytes) -> None:
        """Take out what carries the tag, and spoil all that is on its way: its tags are not known yet."""
        with self._lock:
            for key in self._by_tag.pop(tag, ()):
                self._remove(key)
            for key in list(self._marks):
                self._spoil(key)

    def take_out_digest(self, digest: bytes) -> None:
        """Take out what other processes know by its digest; what is on its way is let in."""
        with self._lock:
            key = self._names.get(digest)
            if key is not None:
                self._remove(key)

    def drop_all(self, *, open: bool | None = None) -> None:
        """Forget everything, and what is on its way. `open`: whether entries are taken from now on; None: as before."""
        with self._lock:
            self.open = self.open if open is None else open
            self._hits_gone += self._hits_here()
            self._begin()

    def renew(self) -> None:
        """After a fork: another thread may have held the lock."""
        self._lock = threading.Lock()
        self._begin()

    def _forget(self, mark: Mark) -> None:
        marks = self._marks.get(mark.key)
        if marks is not None:
            marks.discard(mark)
            if not marks:
                del self._marks[mark.key]
                self._unname(mark.digest, mark.key)

    def _spoil(self, key: Stored) -> None:
        for mark in self._marks.pop(key, ()):
            mark.spoiled = True
            self._unname(mark.digest, key)

    def _unname(self, digest: bytes, key: Stored) -> None:
        if digest and key not in self.entries and key not in self._marks:
            self._names.pop(digest, None)

    def _remove(self, key: Stored) -> None:
        """Out of the dict at once; out of its queue when its turn comes there."""
        entry = self.entries.pop(key, None)
        if entry is None:
            return
        if isinstance(key, str):
            self._given.pop(key, None)
        elif key[:1] == b"i":
            self._given.pop(int(key[1:]), None)
        self.bytes -= entry.size
        self._hits_gone += entry.hits + entry.more_hits
        self._unname(entry.digest, key)
        for tag in entry.tags:
            keys = self._by_tag.get(tag)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._by_tag[tag]
        if len(self._small) + len(self._main) > 2 * len(self.entries) + _SLACK:
            self._compact()

    def _compact(self) -> None:
        """Entries that were taken out leave their queues too."""
        for name in ("_small", "_main"):
            kept = deque(entry for entry in getattr(self, name) if self.entries.get(entry.key) is entry)
            setattr(self, name, kept)

    def _evict(self) -> None:
        """Let one entry go."""
        small, main, entries = self._small, self._main, self.entries
        while small or main:
            if small and (len(small) > SMALL * len(entries) or not main):
                entry = small.popleft()
                if entries.get(entry.key) is not entry:
                    continue
                if entry.hits != entry.turned:
                    entry.turned = entry.hits
                    main.append(entry)
                    continue
                self._ghosts[hash(entry.key)] = None
                if len(self._ghosts) > self._max_items:
                    del self._ghosts[next(iter(self._ghosts))]
            else:
                entry = main.popleft()
                if entries.get(entry.key) is not entry:
                    continue
                if entry.hits != entry.turned:
                    entry.turned = entry.hits
                    main.append(entry)
                    continue
            self._remove(entry.key)
            return


_SLACK = 64
"""Entries in the queues beyond twice those that stand, before the queues are swept."""
