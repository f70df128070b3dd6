"""What happens to a write-back buffer, as events. None carries a key or a value: they may be anybody's data."""

from __future__ import annotations

import logging
from typing import ClassVar

from regionkit.caching.events import CacheEvent

__all__ = [
    "BufferContended",
    "BufferOpened",
    "FlusherMissing",
    "JournalRefused",
    "JournalReplayed",
    "RecordParked",
    "RecordUnreadable",
    "SinkAway",
    "SinkBack",
    "SinkFailed",
]


class BufferOpened(CacheEvent, frozen=True, gc=False):
    """The buffer begins an `epoch`: its server was restarted or replaced, or part of it was lost. `dirty`: keys that stand.

    In a mode that does not survive what happened, values that were acknowledged before may be gone.
    """

    level: ClassVar[int] = logging.WARNING
    epoch: int
    dirty: int


class BufferContended(CacheEvent, frozen=True, gc=False):
    """Another server buffers this cache too, and each takes the table from the other. This one stops: its rows stay behind.

    What is dirty here stays dirty; puts are refused after a while. Let one server buffer a cache, or name the caches apart.

    Attributes:
        epoch: number of the buffer's epoch.
    """

    level: ClassVar[int] = logging.ERROR
    epoch: int


class FlusherMissing(CacheEvent, frozen=True, gc=False):
    """No flusher has worked for `silent` seconds: rows stay behind, and puts are refused in the end.

    Attributes:
        dirty: keys whose rows are behind.
    """

    level: ClassVar[int] = logging.WARNING
    silent: float
    dirty: int


class SinkAway(CacheEvent, frozen=True, gc=False):
    """The sink takes nothing at the moment. Nothing is lost: what is dirty is tried again. `oldest`: see BufferState.

    Attributes:
        why: in the words of what failed.
    """

    level: ClassVar[int] = logging.WARNING
    why: str


class SinkBack(CacheEvent, frozen=True, gc=False):
    """The sink takes rows again."""


class SinkFailed(CacheEvent, frozen=True, gc=False):
    """The sink raised at one value what no sink should: a fault in it. The value stays dirty and is tried again; others go on.

    Attributes:
        why: in the words of what failed.
    """

    level: ClassVar[int] = logging.ERROR
    why: str


class RecordParked(CacheEvent, frozen=True, gc=False):
    """The sink refuses a value; it stands aside, and readers still get it. `conflict`: another writer's row was found.

    Attributes:
        why: in the words of what failed.
    """

    level: ClassVar[int] = logging.ERROR
    why: str
    conflict: bool


class RecordUnreadable(CacheEvent, frozen=True, gc=False):
    """This version of the application cannot read a dirty value that another one has put; it waits for a flusher that can.

    Attributes:
        why: in the words of what failed.
    """

    level: ClassVar[int] = logging.ERROR
    why: str


class JournalReplayed(CacheEvent, frozen=True, gc=False):
    """What the buffer had lost came back from its journal.

    Attributes:
        records: that their rows show, or a later value.
        refused: that the sink did not take: they are dirty again, and will be parked.
    """

    level: ClassVar[int] = logging.WARNING
    records: int
    refused: int


class JournalRefused(CacheEvent, frozen=True, gc=False):
    """A journal, or a record of it, is not replayed or not settled. Nothing of it is deleted.

    Attributes:
        why: with the name of the file, where there is one.
    """

    level: ClassVar[int] = logging.ERROR
    why: str
