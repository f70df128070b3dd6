"""A hint across processes: whoever waits elsewhere is woken, and nothing is lost where the hint is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from regionkit.backends.sql.bridge_async import create_async_engine
from regionkit.core.concurrency_async import AsyncFlag, asleep, spawn_async
from regionkit.errors import ConfigurationError
from regionkit.messaging.outbox_async import AsyncOutbox
from regionkit.messaging.postgres_wake_async import LISTENING, AsyncPostgresWake
from regionkit.messaging.relay_async import AsyncRelay
from regionkit.messaging.sources import AsyncSqlQueue

from .landing_async import AsyncLanding, payloads

WITHIN = 60.0
"""Seconds in which something has to come, however busy the machine is."""


class Process:
    """What another process would have: an engine, and a wake of its own."""

    def __init__(self, url: str) -> None:
        self.engine: Any = create_async_engine(sqlalchemy.make_url(url))
        self.wake = AsyncPostgresWake(self.engine)

    async def __aenter__(self) -> Process:
        await self.wake.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.wake.stop()
        await self.engine.dispose()


async def until(so: Callable[[], bool]) -> None:
    """Wait until it is so."""
    ends = time.monotonic() + WITHIN
    while not so():
        assert time.monotonic() < ends, "it does not come"
        await asleep(0.02)


async def test_others_hear_it_and_oneself_does_not(pg: Any) -> None:
    """By subject; many at once are few hints; after `hear` is taken away, nothing."""
    url = pg.primary.url_for(pg.database())
    async with Process(url) as one, Process(url) as two:
        await until(lambda: one.wake.state == two.wake.state == LISTENING)
        heard: list[str] = []
        own: list[str] = []
        deaf = two.wake.hear("a", lambda: heard.append("a"))
        two.wake.hear("b", lambda: heard.append("b"))
        one.wake.hear("a", lambda: own.append("a"))
        for _ in range(1000):
            one.wake.tell("a")
            await asleep(0.0)
        await until(lambda: "a" in heard)
        await asleep(0.2)
        assert len(heard) < 500 and own == []
        deaf()
        heard.clear()
        one.wake.tell("a")
        one.wake.tell("b")
        await until(lambda: heard == ["b"])
    assert one.wake.state == "stopped"


async def test_a_commit_wakes_relays_of_other_processes(pg: Any) -> None:
    """And a rollback does not; `explain()` says whether they are."""
    url = pg.primary.url_for(pg.database())
    async with Process(url) as one, Process(url) as two:
        await until(lambda: two.wake.state == LISTENING)
        here, there = AsyncOutbox(one.engine, wake=one.wake), AsyncOutbox(two.engine, wake=two.wake)
        await here.create_tables()
        woken = AsyncFlag()
        there.listen(woken.set)
        for ends in ("rollback", "commit"):
            async with AsyncSession(one.engine) as db:
                await here.publish(db, "made", ends, key="a")
                await getattr(db, ends)()
            assert await woken.wait(0.5 if ends == "rollback" else WITHIN) is (ends == "commit")
        landing = AsyncLanding()
        relay = AsyncRelay(there, to=landing)
        assert "woken by other processes: listening" in str(relay.explain())
        await relay.run_once()
        assert payloads(landing.came) == ["commit"]
        await relay.stop()
        await here.close()
        await there.close()


async def test_a_queue_is_looked_at_when_another_process_publishes(pg: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its pauses have become."""
    module = sys.modules[AsyncSqlQueue.__module__]
    monkeypatch.setattr(module, "FIRST_LOOK", 10.0 * WITHIN)
    monkeypatch.setattr(module, "LONGEST_LOOK", 10.0 * WITHIN)
    url = pg.primary.url_for(pg.database())
    async with Process(url) as one, Process(url) as two:
        await until(lambda: two.wake.state == LISTENING)
        target = AsyncSqlQueue(one.engine, "orders", wake=one.wake)
        source = AsyncSqlQueue(two.engine, "orders", group="billing", wake=two.wake)
        await target.create_tables()
        await source.open()
        assert source.facts.notes == ()

        async def publish() -> None:
            await asleep(0.5)
            await target.publish([(None, b"one")])

        task = spawn_async("publish", publish)
        began = time.monotonic()
        [came] = await source.fetch(1, WITHIN)
        assert came.body == b"one" and time.monotonic() - began < WITHIN / 2.0, "it was not woken, it looked in the end"
        await source.ack([came])
        await task.ended(WITHIN)
        await source.close()
        await target.close()


async def test_a_lost_connection_is_made_anew_and_wakes_everybody(pg: Any) -> None:
    """What was told meanwhile is gone: so all look."""
    url = pg.primary.url_for(pg.database())
    async with Process(url) as one:
        await until(lambda: one.wake.state == LISTENING)
        woken = AsyncFlag()
        one.wake.hear("a", woken.set)
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as db:
            ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            assert db.execute(text(ended)).scalar_one() == 1
        engine.dispose()
        assert await woken.wait(WITHIN)
        assert one.wake.state == LISTENING


async def test_behind_a_pooler_there_are_only_the_polls(pg: Any, bouncers: Any) -> None:
    """It says so by name, in `explain()` and in what a queue promises; what is published comes all the same."""
    database = pg.database()
    through = bouncers[0].url_for(database)
    async with Process(through) as one:
        await until(lambda: "PgBouncer" in one.wake.state)
        engine: Any = create_async_engine(sqlalchemy.make_url(pg.primary.url_for(database)))
        outbox, landing = AsyncOutbox(engine, wake=one.wake), AsyncLanding()
        await outbox.create_tables()
        relay = AsyncRelay(outbox, to=landing)
        assert "woken by other processes: a pooler (PgBouncer) is in front of the server" in str(relay.explain())
        queue = AsyncSqlQueue(engine, "orders", wake=one.wake)
        [note] = queue.facts.notes
        assert "PgBouncer" in note and "0.5 s at most" in note
        await outbox.send("default", 1)
        await relay.run_once()
        assert payloads(landing.came) == [1]
        await relay.stop()
        await outbox.close()
        await queue.close()
        await engine.dispose()


async def test_what_cannot_listen_is_refused() -> None:
    """Another server, another driver, no engine."""
    for given in (create_async_engine(sqlalchemy.make_url("sqlite+aiosqlite://")), object()):
        with pytest.raises(ConfigurationError, match="NOTIFY and LISTEN are PostgreSQL's"):
            AsyncPostgresWake(given)
