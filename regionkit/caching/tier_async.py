"""What a cache asks of the place that its account is kept in: one process (`ledger_tier`), or a server (`shared`).

The steps and their answers are those of `ledger`. A tier that cannot be reached raises TierDown: nothing it holds is served, and
nothing is stored there meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from regionkit.caching.keys import Stored
from regionkit.caching.ledger import Lease, Verdict
from regionkit.caching.steps import Found, RowState, Sealing

__all__ = ["AsyncTier"]


class AsyncTier(Protocol):
    """The account of one cache. Safe to share between threads or tasks."""

    def times(self, generation: bytes) -> int | None:
        """The clock of the account, milliseconds, as far as is known here; None when `generation` is not the present one."""
        ...

    async def read(self, keys: Sequence[Stored], *, sure: bool = False) -> list[bytes | None]:
        """The entries of keys, one round trip for all. `sure`: where an entry is of another generation than is known here, the
        account is asked which one is open: for those who do not ask it for the right to load.
        """
        ...

    async def buffered(self, key: Stored) -> bytes:
        """The entry of a key that a write-back buffer has, dirty or parked; b"" without one."""
        ...

    async def begin(self, key: Stored, rejected: bytes, lasts: float) -> Found:
        """Ask for the right to load. `rejected`: head of the entry that the caller does not take."""
        ...

    async def begin_many(self, wanted: Sequence[tuple[Stored, bytes]], lasts: float) -> list[Found]:
        """The same for several keys, each with the head that is not taken, in one round trip."""
        ...

    async def commit(self, key: Stored, lease: Lease, sealing: Sealing) -> Verdict:
        """Store what was loaded, if it may be."""
        ...

    async def commit_many(self, loads: Sequence[tuple[Stored, Lease, Sealing]]) -> list[Verdict]:
        """The same for several keys, in one round trip."""
        ...

    async def abandon(self, key: Stored, lease: Lease) -> bool:
        """The load failed: a waiting caller may try. Returns whether nothing else has happened to the key."""
        ...

    async def wait(self, key: Stored, seconds: float) -> None:
        """Until the load of another has ended, or `seconds` have."""
        ...

    async def invalidate(self, keys: Sequence[Stored], version: str, id: bytes = b"") -> None:
        """Keys are not what they were. `id`: of the row that says so, which is done with then."""
        ...

    async def invalidate_named(self, named: Sequence[tuple[bytes, bytes]], version: str) -> None:
        """The same for keys as rows of intents have them: names and digests."""
        ...

    async def tail(self, id: bytes, moved_to: int | None, lasts: float, part: str) -> int | None:
        """Hold the tail of a part's intents, and say how far it has come; how far it had; None when another process holds it."""
        ...

    async def invalidate_tag(self, tag: bytes, version: str, id: bytes = b"") -> bool:
        """What carries the tag is not what it was; False where the whole cache was cleared in its place."""
        ...

    async def rows(self, ids: Sequence[bytes]) -> dict[bytes, RowState]:
        """What this region knows of the rows of writes."""
        ...

    async def clear(self, version: str, id: bytes = b"") -> None:
        """Nothing is what it was."""
        ...

    async def expire(self, keys: Sequence[Stored]) -> None:
        """Entries are to be loaded anew, and may be served when that fails."""
        ...

    async def put(self, key: Stored, sealing: Sealing) -> int:
        """Set a value by itself; its stamp."""
        ...

    async def intend(self, keys: Sequence[Stored], id: bytes, seconds: float) -> None:
        """A write of these keys is about to commit."""
        ...

    async def publish(self, key: Stored, id: bytes, sealing: Sealing, hi: str) -> tuple[Verdict, int]:
        """The write has committed: store its value if it may be stored, else act as `invalidate`. The verdict, and the stamp."""
        ...

    async def abort(self, keys: Sequence[Stored], id: bytes) -> None:
        """The write has surely done nothing."""
        ...

    def renew(self) -> None:
        """After a fork: nothing of the parent's is used or closed here."""
        ...

    async def close(self) -> None:
        """Give back what it holds. May be called twice."""
        ...
