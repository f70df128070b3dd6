"""The ear of a shared tier: it reads the news of the cache at the server, and knows when it may have missed some.

1. News are numbered within a generation. Anything but the next number of the same generation means that some were missed: all
   that this process holds goes.
2. The ear hears something from the server every `BEAT` seconds at least: news, or the number of the last. When it has heard
   nothing for `max_local_stale` seconds, what this process holds goes, and nothing is taken until it hears again.
3. It begins at the last number: what this process holds then, it has taken since.
4. After news it pauses for `TOGETHER`, so that a process which writes much does not spend its time on one question a write.
5. Each round also keeps the account's clock going, and shows that the server still takes writes: one that was demoted does not.
"""

from __future__ import annotations

from typing import Any

from regionkit.caching.hearing_shared_async import BEAT, AsyncHearing
from regionkit.caching.steps import TierDown
from regionkit.core.clock import Clock

__all__ = ["AsyncEar"]

AGAIN = 0.1
"""Seconds between two attempts to hear a server that is down."""
MOST_NEWS = 1000
"""News taken in one question."""
TOGETHER = 0.001
"""Seconds after news until the next question: what is told meanwhile is read together, and late by no more than that."""


class AsyncEar(AsyncHearing):
    """The ear of one tier. Runs in the background from the first question on."""

    def __init__(self, tier: Any, clock: Clock, max_stale: float) -> None:
        super().__init__(tier, clock)
        self._max_stale = max_stale

    def _begin(self) -> None:
        self.live = False
        self._after: bytes | None = None
        self._number = 0
        self._generation = b""
        self._heard_at = 0.0
        self._news = False

    def listen(self) -> None:
        """Start, unless it runs."""
        if not self._closed:
            self._supervisor.start("cache news reader", self._round, self._missed, longest_back_off=AGAIN)

    async def _round(self) -> float | None:
        try:
            await self._tier.ask(self._listened, trips=3, listens=BEAT)
        except TierDown:
            self._silent()
            return AGAIN
        self._silent()
        return TOGETHER if self._news else 0.0

    def _missed(self, error: BaseException) -> None:
        self._after = None  # what is no news of ours is not read again
        self._silent()

    def _silent(self) -> None:
        """When nothing was heard for too long, nothing that is held here counts any more."""
        if self.live and self._clock.monotonic() - self._heard_at >= self._max_stale:
            self.live, self._after = False, None  # it begins anew
            self._tier.lost(live=False)

    async def _listened(self, connection: Any) -> None:
        tier = self._tier
        asked_at = self._clock.monotonic()
        self._news = False
        generation, number = await self._hello(connection)
        if self._after is None or generation != self._generation:
            await self._from_now_on(connection, generation)
            return
        given = await connection.ask_one(
            b"XREAD", b"COUNT", MOST_NEWS, b"BLOCK", round(BEAT * 1000), b"STREAMS", tier.news_key, self._after
        )
        self._news = bool(given)
        for id, fields in _entries(given):
            self._hear(id, fields)
        if self._number >= number or generation != self._generation:
            self._heard_at = asked_at
        elif not given:  # they were told, and are not there: deleted, or numbered by a clock that has gone back
            self._after = None
            tier.lost(live=self.live)

    async def _hello(self, connection: Any) -> tuple[bytes, int]:
        tier = self._tier
        observation = connection.observation
        run = f"{connection.run}/{observation.origin}"
        generation, clock, number, _ = await tier.run_on(connection, "hello", [], [run])
        if tier.opened(generation, int(clock)):
            tier.lost(live=self.live)
        return generation, int(number)

    async def _from_now_on(self, connection: Any, generation: bytes) -> None:
        """Begin at the last news: what is told between the two questions is heard again, as news that do not fit."""
        tier = self._tier
        asked_at = self._clock.monotonic()
        last = _entries([[b"", await connection.ask_one(b"XREVRANGE", tier.news_key, b"+", b"-", b"COUNT", 1)]])
        now, number = await self._hello(connection)
        self._after, self._number, self._generation = (last[0][0] if last else b"0-0"), number, now
        self._heard_at = asked_at
        tier.lost(live=True)  # before `live`: what is known of tags is of a time without news
        self.live = True

    def _hear(self, id: bytes, fields: dict[bytes, bytes]) -> None:
        tier = self._tier
        number, generation = int(fields[b"n"]), fields[b"g"]
        self._after = id
        expected = self._number + 1
        self._number = number
        if number != expected or (generation != self._generation and fields[b"k"] != b"c"):
            tier.lost(live=True)
        if generation != self._generation:
            self._generation = generation
            tier.unsure()  # news come late: the account may be further on
        tier.news(fields[b"k"], fields[b"d"], fields[b"s"])


def _entries(given: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """What XREAD answers, in either protocol: (id, fields) of one stream."""
    if not given:
        return []
    [(_, found)] = given.items() if isinstance(given, dict) else given
    if found and isinstance(found[0], list) and len(found) == 1 and found[0] and isinstance(found[0][0], list):
        found = found[0]
    return [(id, dict(zip(words[::2], words[1::2], strict=True))) for id, words in found]
