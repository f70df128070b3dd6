"""What a cache and its tier say to each other. Values, and what a cache hears."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

import msgspec

from regionkit.caching.ledger import Lease, Verdict
from regionkit.caching.version import NOTHING

__all__ = [
    "BATCH",
    "CONNECT_WITHIN",
    "FIRST_POLL",
    "TRIPS_DOWN",
    "Found",
    "Heard",
    "RowState",
    "Sealing",
    "TierDown",
]

BATCH = 100
"""Keys of one step: a server does nothing else meanwhile."""
CONNECT_WITHIN = 3.0
"""Seconds that a call waits for a first connection: a dozen round trips to the other side of the world."""
FIRST_POLL = 0.02
"""Seconds between two looks at another's lease, where no news come; each pause is half as long again."""
TRIPS_DOWN = 3
"""Calls in a row without an answer that mean "down": one may be this process's own pause, or a lost packet."""


class RowState(Enum):
    """What a region knows of the row of a write: nothing, that its writer is about to tell, or that it has told."""

    NEW = "new"
    PENDING = "pending"
    DONE = "done"


class TierDown(Exception):
    """The tier does not answer, or refuses. `sent`: it may have been done. `fix`: what to do, where waiting is no use."""

    def __init__(self, why: str, *, sent: bool = False, fix: str = "") -> None:
        super().__init__(why.rstrip("."))
        self.sent = sent
        self.fix = fix


class Found(msgspec.Struct, frozen=True):
    """What `begin` answers: a verdict; with data a hit.

    Attributes:
        verdict: of the ledger; STORED: there is an entry, `data`.
        lease: of LOAD.
        floor: what a load has to reach.
        intents: of SETTLE.
        wait: seconds that a lease still has at most, of WAIT.
        buffered: of STORED: the entry is what a write-back buffer has, and there is nothing newer to load.
    """

    verdict: Verdict
    data: bytes = b""
    lease: Lease | None = None
    floor: str = NOTHING
    intents: tuple[bytes, ...] = ()
    wait: float = 0.0
    buffered: bool = False


class Sealing(msgspec.Struct, frozen=True):
    """What is stored when a step allows it.

    Attributes:
        data: the entry, without generation and stamp, its times from its making on: the tier puts in what it knows.
        kept: seconds after which a server forgets it.
        version: `lo`: what the value surely has.
        owner: it was read from the owner.
        tags: digests.
    """

    data: bytes
    kept: float
    version: str = NOTHING
    owner: bool = False
    tags: tuple[bytes, ...] = ()


class Heard(Protocol):
    """What a cache hears from its tier, in the tier's own thread or task. Must be quick."""

    def invalidated(self, digest: bytes, stamp: int) -> None:
        """A key is not what it was before `stamp` (0: at all). By digest, as other processes know no other name."""
        ...

    def expired(self, digest: bytes) -> None:
        """A key is to be loaded anew; what there is may be served when that fails. By digest."""
        ...

    def tag_invalidated(self, tag: bytes) -> None:
        """What carries a tag is not what it was."""
        ...

    def lost(self, *, live: bool | None) -> None:
        """Something may have been missed: all that is held here goes. `live`: news arrive from now on; None: as before."""
        ...
