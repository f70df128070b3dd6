# Generated from test_settling_async.py by scripts/twins.py. Do not edit.
"""What became of a write that died is asked for once, in the background: no get waits for the answer longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import text

from regionkit.caching import Cache, Local, WriteThrough
from regionkit.caching.events import IntentSettled
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import gather, sleep
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionUnavailable

IS_ASYNC = False
MODULE = f"regionkit.caching.settling{'_async' if IS_ASYNC else ''}"
ID = b"0123456789abcdef"


class Rig:
    """A cache over one database, and a write whose intent is over its time: it stands in its transaction."""

    def __init__(self, accounts: Any) -> None:
        self.engine = accounts.make(is_async=IS_ASYNC)
        self.loads, self.asked = 0, 0
        strategy = WriteThrough(load=self.load, store=self.load, ttl=300, write_timeout=0.1)
        self.cache: Cache[int] = Cache("accounts", int, tiers=[Local()], backing=self.engine, strategy=strategy)
        self.events: list[Any] = []
        self.cache.subscribe(self.events.append)
        self.intents = self.cache._writer.intents
        self.never = self.intents.never
        self.intents.never = self.counted

    def load(self, key: str) -> int | None:
        self.loads += 1
        with self.engine.connect() as db:
            return (db.execute(text("SELECT n FROM accounts WHERE id = :id"), {"id": key})).scalar()  # type: ignore[no-any-return]

    def counted(self, id: bytes, deadline: Deadline) -> Any:
        self.asked += 1
        return self.never(id, deadline)

    def stands(self, db: Any) -> None:
        """A writer of "a" has done all but its COMMIT, and its intent is over its time."""
        self.cache._writer.intend(["a"], ID)
        db.execute(self.intents.statement(ID, "w", self.cache._writer.names(["a"])))
        db.execute(text("UPDATE accounts SET n = 2 WHERE id = 'a'"))
        sleep(0.2)

    def cached(self, expected: int) -> None:
        """Until a get loads nothing."""
        end, loads = time.monotonic() + 20.0, -1
        while loads != self.loads:
            assert time.monotonic() < end, "it is not cached again"
            loads = self.loads
            assert self.cache.get("a") == expected


@pytest.fixture
def rig(accounts: Any) -> Iterator[Rig]:
    """With a row."""
    if accounts.url.startswith("sqlite"):
        pytest.skip("SQLite has one writer")
    made = Rig(accounts)
    with made.cache:
        made.cache.create_tables()
        with made.engine.begin() as db:
            db.execute(text("INSERT INTO accounts VALUES ('a', 1)"))
        yield made
    made.engine.dispose()


def test_the_question_goes_on_when_no_get_waits_for_it(rig: Rig) -> None:
    """Its answer counts when it comes: the key is cached again, and the write was asked for once."""
    with mock.patch(f"{MODULE}.SETTLED_WITHIN", 0.05), mock.patch(f"{MODULE}.ASKED_AGAIN", 3600.0):
        with rig.engine.connect() as db:
            rig.stands(db)
            found = gather([lambda: rig.cache.get("a")] * 4)
            assert (found, rig.cache.get("a"), rig.asked) == ([1] * 4, 1, 1)
            db.commit()
        end = time.monotonic() + 20.0
        while not rig.events:
            assert time.monotonic() < end, "nobody heard what became of it"
            sleep(0.01)
        rig.cached(2)
    assert (rig.asked, rig.events) == (1, [IntentSettled("accounts", True)])


def test_a_question_without_an_answer_is_asked_again_later(rig: Rig) -> None:
    """Not at each get."""

    def away(id: bytes, deadline: Deadline) -> bool:
        rig.asked += 1
        raise RegionUnavailable("it is away", why="", fix="")

    rig.intents.never = away
    settling = rig.cache._writer.settling
    with mock.patch(f"{MODULE}.ASKED_AGAIN", 3600.0):
        with rig.engine.connect() as db:
            rig.stands(db)
            for _ in range(3):
                assert rig.cache.get("a") == 1
            assert rig.asked == 1
            db.rollback()
    rig.intents.never = rig.never
    assert (rig.cache.get("a"), rig.events) == (1, [])
    settling._unsettled = dict.fromkeys(settling._unsettled, 0.0)  # an hour later
    rig.cached(1)
    assert rig.events == [IntentSettled("accounts", False)]


def test_a_cache_that_is_closed_asks_no_more(rig: Rig) -> None:
    """Its question ends with it, or as soon as its database answers."""
    with mock.patch(f"{MODULE}.SETTLED_WITHIN", 0.05):
        with rig.engine.connect() as db:
            rig.stands(db)
            assert rig.cache.get("a") == 1
            rig.cache.close()
            db.rollback()
    settling = rig.cache._writer.settling
    end = time.monotonic() + 20.0
    while settling._asked:
        assert time.monotonic() < end
        sleep(0.01)


def test_no_more_questions_than_are_allowed(rig: Rig) -> None:
    """A get that meets one more reads the owner; so does one whose intent never fell due."""
    settling = rig.cache._writer.settling
    with mock.patch(f"{MODULE}.MOST_ASKED", 0):
        assert not settling.settle([ID], "a", "a")
    assert rig.asked == 0
    assert settling.settle([], "a", "a")
    assert settling.settle([ID], "a", "a")
    assert not rig.never(ID, Deadline(SYSTEM_CLOCK, 20.0)), "a tombstone stands"
