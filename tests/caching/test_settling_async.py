"""What became of a write that died is asked for once, in the background: no get waits for the answer longer than a moment."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import text

from regionkit.caching import AsyncCache, Local, WriteThrough
from regionkit.caching.events import IntentSettled
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import agather, asleep
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionUnavailable

IS_ASYNC = True
MODULE = f"regionkit.caching.settling{'_async' if IS_ASYNC else ''}"
ID = b"0123456789abcdef"


class Rig:
    """A cache over one database, and a write whose intent is over its time: it stands in its transaction."""

    def __init__(self, accounts: Any) -> None:
        self.engine = accounts.make(is_async=IS_ASYNC)
        self.loads, self.asked = 0, 0
        strategy = WriteThrough(load=self.load, store=self.load, ttl=300, write_timeout=0.1)
        self.cache: AsyncCache[int] = AsyncCache(
            "accounts", int, tiers=[Local()], backing=self.engine, strategy=strategy
        )
        self.events: list[Any] = []
        self.cache.subscribe(self.events.append)
        self.intents = self.cache._writer.intents
        self.never = self.intents.never
        self.intents.never = self.counted

    async def load(self, key: str) -> int | None:
        self.loads += 1
        async with self.engine.connect() as db:
            return (await db.execute(text("SELECT n FROM accounts WHERE id = :id"), {"id": key})).scalar()  # type: ignore[no-any-return]

    async def counted(self, id: bytes, deadline: Deadline) -> Any:
        self.asked += 1
        return await self.never(id, deadline)

    async def stands(self, db: Any) -> None:
        """A writer of "a" has done all but its COMMIT, and its intent is over its time."""
        await self.cache._writer.intend(["a"], ID)
        await db.execute(self.intents.statement(ID, "w", self.cache._writer.names(["a"])))
        await db.execute(text("UPDATE accounts SET n = 2 WHERE id = 'a'"))
        await asleep(0.2)

    async def cached(self, expected: int) -> None:
        """Until a get loads nothing."""
        end, loads = time.monotonic() + 20.0, -1
        while loads != self.loads:
            assert time.monotonic() < end, "it is not cached again"
            loads = self.loads
            assert await self.cache.get("a") == expected


@pytest.fixture
async def rig(accounts: Any) -> AsyncIterator[Rig]:
    """With a row."""
    if accounts.url.startswith("sqlite"):
        pytest.skip("SQLite has one writer")
    made = Rig(accounts)
    async with made.cache:
        await made.cache.create_tables()
        async with made.engine.begin() as db:
            await db.execute(text("INSERT INTO accounts VALUES ('a', 1)"))
        yield made
    await made.engine.dispose()


async def test_the_question_goes_on_when_no_get_waits_for_it(rig: Rig) -> None:
    """Its answer counts when it comes: the key is cached again, and the write was asked for once."""
    with mock.patch(f"{MODULE}.SETTLED_WITHIN", 0.05), mock.patch(f"{MODULE}.ASKED_AGAIN", 3600.0):
        async with rig.engine.connect() as db:
            await rig.stands(db)
            found = await agather([lambda: rig.cache.get("a")] * 4)
            assert (found, await rig.cache.get("a"), rig.asked) == ([1] * 4, 1, 1)
            await db.commit()
        end = time.monotonic() + 20.0
        while not rig.events:
            assert time.monotonic() < end, "nobody heard what became of it"
            await asleep(0.01)
        await rig.cached(2)
    assert (rig.asked, rig.events) == (1, [IntentSettled("accounts", True)])


async def test_a_question_without_an_answer_is_asked_again_later(rig: Rig) -> None:
    """Not at each get."""

    async def away(id: bytes, deadline: Deadline) -> bool:
        rig.asked += 1
        raise RegionUnavailable("it is away", why="", fix="")

    rig.intents.never = away
    settling = rig.cache._writer.settling
    with mock.patch(f"{MODULE}.ASKED_AGAIN", 3600.0):
        async with rig.engine.connect() as db:
            await rig.stands(db)
            for _ in range(3):
                assert await rig.cache.get("a") == 1
            assert rig.asked == 1
            await db.rollback()
    rig.intents.never = rig.never
    assert (await rig.cache.get("a"), rig.events) == (1, [])
    settling._unsettled = dict.fromkeys(settling._unsettled, 0.0)  # an hour later
    await rig.cached(1)
    assert rig.events == [IntentSettled("accounts", False)]


async def test_a_cache_that_is_closed_asks_no_more(rig: Rig) -> None:
    """Its question ends with it, or as soon as its database answers."""
    with mock.patch(f"{MODULE}.SETTLED_WITHIN", 0.05):
        async with rig.engine.connect() as db:
            await rig.stands(db)
            assert await rig.cache.get("a") == 1
            await rig.cache.close()
            await db.rollback()
    settling = rig.cache._writer.settling
    end = time.monotonic() + 20.0
    while settling._asked:
        assert time.monotonic() < end
        await asleep(0.01)


async def test_no_more_questions_than_are_allowed(rig: Rig) -> None:
    """A get that meets one more reads the owner; so does one whose intent never fell due."""
    settling = rig.cache._writer.settling
    with mock.patch(f"{MODULE}.MOST_ASKED", 0):
        assert not await settling.settle([ID], "a", "a")
    assert rig.asked == 0
    assert await settling.settle([], "a", "a")
    assert await settling.settle([ID], "a", "a")
    assert not await rig.never(ID, Deadline(SYSTEM_CLOCK, 20.0)), "a tombstone stands"
