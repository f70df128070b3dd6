"""What a put gives back, and what a look at the buffer does. Values."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

__all__ = ["BufferState", "Flushed", "Parked", "Receipt"]

V = TypeVar("V")


class Receipt(msgspec.Struct, frozen=True):
    """What was acknowledged.

    Attributes:
        version: of the value; a later put of the key has a higher one. 0 where the strategy gives no versions.
        durable_in: what holds the value when the call returns, and so what it survives: "redis-memory", "redis-aof-everysec",
            "redis-aof-always", "redis-aof-wait", "redis-replicated", "table" (written through). With "(assumed)": the server
            did not let itself be asked, and the application said so.
    """

    version: int
    durable_in: str


class Flushed(msgspec.Struct, frozen=True):
    """What `flush` has waited for.

    Attributes:
        clean: nothing that was dirty when it was called still is. What is parked is not dirty.
        dirty: keys that are dirty now.
        parked: keys whose value the table did not take.
    """

    clean: bool
    dirty: int
    parked: int

    def __bool__(self) -> bool:
        return self.clean


class Parked(msgspec.Struct, Generic[V], frozen=True):
    """A value that the table did not take. Readers still get it.

    Attributes:
        key: as the application gave it.
        version: of the value.
        reason: what the table said, or that another writer's row was found.
        value: None when it was a delete, or cannot be read by this version of the application.
        deleted: it was a delete.
        age: seconds since the put.
    """

    key: Any
    version: int
    reason: str
    value: V | None
    deleted: bool
    age: float


class BufferState(msgspec.Struct, frozen=True):
    """The buffer of a cache.

    Attributes:
        dirty: keys whose row is behind.
        parked: keys whose value the table did not take.
        bytes: of all of them.
        oldest: seconds for which the row that is most behind has been; 0 where none is. What a loss of the buffer would cost.
        flusher: seconds for which no flusher has worked; 0 while one does.
        entries: in log mode: puts that are not written.
    """

    dirty: int
    parked: int
    bytes: int
    oldest: float
    flusher: float
    entries: int = 0
