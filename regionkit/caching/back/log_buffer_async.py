"""The write-back buffer of a cache in log mode, at its server: what `log_rules` says, one script and one round trip a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from regionkit.caching.back.buffer_async import AsyncBuffer
from regionkit.caching.back.record import Record, reason_bytes, unpacked
from regionkit.caching.back.rules import text_of
from regionkit.caching.back.steps import CLAIM_BYTES, Claimed, Claims, claimed_in
from regionkit.caching.keys import Stored
from regionkit.caching.steps import BATCH

__all__ = ["AsyncLogBuffer"]


class AsyncLogBuffer(AsyncBuffer):
    """Safe to share between threads (tasks of one loop)."""

    mode: ClassVar[str] = "l"

    async def since(self, stored: Stored) -> int | None:
        """The time of the first entry of all, where the key is dirty; None: it is not. Nothing is written before that entry."""
        return None if await super().since(stored) is None else (await self.status()).since

    async def first(self, count: int, lasts: float, alive: float, token: bytes) -> Claims:
        """The first entries, in order; nobody else gets any for a while. None where another has the lease.

        Args:
            count: at most, and no more than a step may take.
            lasts: seconds of the lease.
            alive: seconds for which this flusher counts as alive.
            token: of this lease, a new one each time.
        """
        words = [min(count, BATCH), CLAIM_BYTES, round(lasts * 1000), round(alive * 1000), token]
        is_open, epoch, at, *found = await self._tier.run("back_log_claim", [], words, of_run=True)
        if not is_open:
            self._tier.reconnect()
        return Claims(bool(is_open), int(epoch), tuple(claimed_in(found, int(at), int(epoch))))

    async def done(self, token: bytes, through: int) -> int:
        """The sink has all entries up to a version (0: none); the lease is given back. How many entries went."""
        return int(await self._tier.run("back_log_done", [], [token, text_of(through) if through else ""]))

    async def failed(self, token: bytes, pause: float, version: int = 0) -> int:
        """Nothing more is written under this lease; nobody claims for `pause` seconds. Tries of the entry named."""
        words = [token, round(pause * 1000), text_of(version) if version else ""]
        return int(await self._tier.run("back_log_fail", [], words))

    async def park_first(self, token: bytes, tried: Claimed, why: str) -> bool:
        """Set an entry aside, with the reason; whether it was there, and the lease still this one."""
        words = [text_of(tried.record.version), reason_bytes(why), token]
        return bool(await self._tier.run("back_log_park", [], words))

    async def retry(self, names: Sequence[bytes]) -> list[str]:
        """Put parked entries at the end of the log: "dirty", or "gone". Names: as a page of parked ones has them."""
        told: list[str] = []
        for at in range(0, len(names), BATCH):
            part = await self._tier.run("back_log_retry", [], names[at : at + BATCH], of_run=True)
            told += [word.decode() for word in part]
        return told

    async def discard(self, names: Sequence[bytes]) -> int:
        """Forget parked entries. How many were parked."""
        parts = [names[at : at + BATCH] for at in range(0, len(names), BATCH)]
        return sum([sum(await self._tier.run("back_log_discard", [], part)) for part in parts])

    async def set_aside(self, name: bytes) -> Record | None:
        """A parked entry, whole."""
        record = await self._tier.run("back_log_peek", [], [name])
        return unpacked(record) if record else None
