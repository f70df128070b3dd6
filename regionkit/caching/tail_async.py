"""The tail of the intents: what was written or told in any region is told to the tier of this one.

1. Rows come with the data: one that stands at this region's copy says that the copy has the write. So a value that is loaded
   after this was told is a new one, and other copies have to reach as far (the version that covers the rows read).
2. One process of a region tails for all (`tier.tail`); another takes over within `HELD` seconds. A cache without a shared tier
   tails for itself.
3. How far it has come is kept with the account. Where it has not begun there, it begins with the rows of the last `BEFORE`
   seconds: what was stored since the account was opened is told once more. After a longer time all that is held goes.
4. A row may come after one with a higher number. Numbers that were left out are asked for until `RESCAN` seconds later.
5. Numbers are of one history. A promotion that lost rows, or a database that was restored, gives them out again, and what was
   cached may never have survived: in another history nobody knows how far (3).
6. Of a store whose keys have homes each part is tailed for itself: rows of one say nothing of how far another's copy is.
"""

from __future__ import annotations

import os
import zlib
from typing import Any

from regionkit.caching.events import TailFailed
from regionkit.caching.inside_async import AsyncInside
from regionkit.caching.steps import BATCH, RowState
from regionkit.caching.version import OWNER_ONLY
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.core.supervisor_async import AsyncSupervisor

__all__ = ["EVERY", "AsyncTail"]

EVERY = 0.25
"""Seconds between two looks at the rows of intents: what a region adds to the lag of its copy."""
HELD = 3.0
"""Seconds for which one process holds the tail: as long as nobody looks when it dies."""
RESCAN = 30.0
"""Seconds for which a row may be late: longer than transactions that write cached keys should take."""
MOST_LEFT_OUT = 500
"""Numbers that are asked for at once: transactions under way, and what was rolled back."""
MANY = 500
"""Rows of one look after which there may be more already."""
BEFORE = 300.0
"""Seconds of rows that are told again when a tail begins: what clocks of writers may be apart, and a start may take."""
NEW = 30.0
"""Seconds after its start in which a tail says nothing of a table that is not there: a copy that lags gets it later."""
WITHIN = 3.0
"""Seconds that one look may take."""
SWEEP_EVERY = 600.0
"""Seconds between two sweeps of rows that nobody needs any more; a second while there are many."""
_NUMBERS = 1 << 64
"""Numbers of one history, as it is kept how far the tail has come."""


class AsyncTail:
    """The tail of one cache in this process, in one part of its store. `alone`: there are no others."""

    def __init__(self, cache: AsyncInside, intents: Any, clock: Clock, part: str = "", *, alone: bool = True) -> None:
        self._cache = cache
        self._intents = intents
        self._clock = clock
        self._part = part
        self._alone = alone
        self._id = os.urandom(8).hex().encode()
        self._supervisor = AsyncSupervisor(clock)
        self._history = self._high = -1
        self._began = clock.monotonic()
        self._left_out: dict[int, float] = {}
        self._swept_next = 0.0
        self._told = ""
        self._behind = False

    def start(self) -> None:
        """Tail from now on, unless it does."""
        self._supervisor.start(f"cache tail {self._part}".rstrip(), self._round, self._failed, longest_back_off=HELD)

    def _failed(self, error: BaseException) -> None:
        """It is looked again after a pause. Said once for each kind of error."""
        if self._intents.lacking(error) and self._clock.monotonic() - self._began < NEW:
            return
        if type(error).__name__ != self._told:
            self._told = type(error).__name__
            self._cache.emit(TailFailed(self._cache.name, self._told))

    async def _round(self) -> float | None:
        tier = self._cache.tier
        at = await tier.tail(self._id, None, HELD, self._part)
        if at is None:
            self._high = -1
            return EVERY
        deadline = Deadline(self._clock, WITHIN)
        if self._high < 0 and at >= 0:
            (self._history, self._high), self._left_out = divmod(at, _NUMBERS), {}
        elif self._high < 0:
            await self._begin(deadline, anew=at < -1 or self._clock.monotonic() - self._began > BEFORE / 2)
        if not await self._looked(deadline):
            await self._begin(deadline, anew=True)
        come = min(self._left_out, default=self._high + 1) - 1
        await tier.tail(self._id, self._history * _NUMBERS + come, HELD, self._part)
        self._told = ""
        if self._clock.monotonic() >= self._swept_next:
            self._swept_next = self._clock.monotonic() + SWEEP_EVERY
            if await self._intents.sweep(Deadline(self._clock, WITHIN)):
                self._swept_next = self._clock.monotonic() + 1.0
        return EVERY / 50 if self._behind else EVERY

    async def _begin(self, deadline: Deadline, *, anew: bool) -> None:
        """Begin with the rows of the last time; `anew`: what is held may be older than that."""
        history, self._high = await self._intents.made_before(BEFORE, deadline)
        self._history, self._left_out = _mark(history), {}
        if anew:
            await self._cache.teller.clear("")

    async def _looked(self, deadline: Deadline) -> bool:
        """Tell what came; False in another history than the numbers are of."""
        now = self._clock.monotonic()
        self._left_out = {seq: at for seq, at in self._left_out.items() if now - at < RESCAN}
        history, rows, version = await self._intents.after(self._high, list(self._left_out), deadline)
        mark = _mark(history)
        if mark and self._history and mark != self._history:
            return False
        self._history = mark or self._history
        self._behind = len(rows) >= MANY
        ours = [row for row in rows if row.kind]
        states = await self._cache.tier.rows([row.id for row in ours]) if ours else {}
        told = [row for row in ours if states[row.id] is RowState.NEW]
        named = [pair for row in told if row.kind in ("w", "k") for pair in row.names]
        for start in range(0, len(named), BATCH):
            await self._tell(named[start : start + BATCH], version)
        everywhere = version if self._alone else OWNER_ONLY  # what a tag is of may stand in another part
        for row in told:
            if row.kind == "t":
                for _, tag in row.names:
                    await self._cache.teller.invalidate_tag(tag, everywhere)
            elif row.kind == "c":
                await self._cache.teller.clear(everywhere)
        for row in rows:
            self._passed(row.seq, now)
            if row.kind and states[row.id] is RowState.PENDING:  # its writer is of this region, and alive
                self._left_out[row.seq] = now
        return True

    def _passed(self, seq: int, now: float) -> None:
        """A row was told; the numbers below it that were not there may come yet."""
        self._left_out.pop(seq, None)
        if seq > self._high:
            for number in range(max(self._high + 1, seq - MOST_LEFT_OUT), seq):
                self._left_out[number] = now
            self._high = seq
        while len(self._left_out) > MOST_LEFT_OUT:
            del self._left_out[next(iter(self._left_out))]

    async def _tell(self, named: list[tuple[bytes, bytes]], version: str) -> None:
        cache = self._cache
        for _, digest in named:
            cache.heard.invalidated(digest, 0)
        await cache.tier.invalidate_named(named, version)
        for _, digest in named:
            cache.heard.invalidated(digest, 0)

    def renew(self) -> None:
        """After a fork: the parent tails."""
        self._supervisor.renew()
        self._id = os.urandom(8).hex().encode()
        self._history, self._high, self._left_out = -1, -1, {}

    async def close(self) -> None:
        """Tail no more."""
        await self._supervisor.stop(within=WITHIN)


def _mark(history: str) -> int:
    """A history as a number; 0 where it is not known yet."""
    return zlib.crc32(history.encode())
