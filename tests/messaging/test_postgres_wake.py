# Generated from test_postgres_wake_async.py by scripts/twins.py. Do not edit.
"""A hint across processes: whoever waits elsewhere is woken, and nothing is lost where the hint is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.orm import Session

from regionkit.backends.sql.bridge import create_engine
from regionkit.core.concurrency import Flag, sleep, spawn
from regionkit.errors import ConfigurationError
from regionkit.messaging.outbox import Outbox
from regionkit.messaging.postgres_wake import LISTENING, PostgresWake
from regionkit.messaging.relay import Relay
from regionkit.messaging.sources import SqlQueue

from .landing import Landing, payloads

WITHIN = 60.0
"""Seconds in which something has to come, however busy the machine is."""


class Process:
    """What another process would have: an engine, and a wake of its own."""

    def __init__(self, url: str) -> None:
        self.engine: Any = create_engine(sqlalchemy.make_url(url))
        self.wake = PostgresWake(self.engine)

    def __enter__(self) -> Process:
        self.wake.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wake.stop()
        self.engine.dispose()


def until(so: Callable[[], bool]) -> None:
    """Wait until it is so."""
    ends = time.monotonic() + WITHIN
    while not so():
        assert time.monotonic() < ends, "it does not come"
        sleep(0.02)


def test_others_hear_it_and_oneself_does_not(pg: Any) -> None:
    """By subject; many at once are few hints; after `hear` is taken away, nothing."""
    url = pg.primary.url_for(pg.database())
    with Process(url) as one, Process(url) as two:
        until(lambda: one.wake.state == two.wake.state == LISTENING)
        heard: list[str] = []
        own: list[str] = []
        deaf = two.wake.hear("a", lambda: heard.append("a"))
        two.wake.hear("b", lambda: heard.append("b"))
        one.wake.hear("a", lambda: own.append("a"))
        for _ in range(1000):
            one.wake.tell("a")
            sleep(0.0)
        until(lambda: "a" in heard)
        sleep(0.2)
        assert len(heard) < 500 and own == []
        deaf()
        heard.clear()
        one.wake.tell("a")
        one.wake.tell("b")
        until(lambda: heard == ["b"])
    assert one.wake.state == "stopped"


def test_a_commit_wakes_relays_of_other_processes(pg: Any) -> None:
    """And a rollback does not; `explain()` says whether they are."""
    url = pg.primary.url_for(pg.database())
    with Process(url) as one, Process(url) as two:
        until(lambda: two.wake.state == LISTENING)
        here, there = Outbox(one.engine, wake=one.wake), Outbox(two.engine, wake=two.wake)
        here.create_tables()
        woken = Flag()
        there.listen(woken.set)
        for ends in ("rollback", "commit"):
            with Session(one.engine) as db:
                here.publish(db, "made", ends, key="a")
                getattr(db, ends)()
            assert woken.wait(0.5 if ends == "rollback" else WITHIN) is (ends == "commit")
        landing = Landing()
        relay = Relay(there, to=landing)
        assert "woken by other processes: listening" in str(relay.explain())
        relay.run_once()
        assert payloads(landing.came) == ["commit"]
        relay.stop()
        here.close()
        there.close()


def test_a_queue_is_looked_at_when_another_process_publishes(pg: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its pauses have become."""
    module = sys.modules[SqlQueue.__module__]
    monkeypatch.setattr(module, "FIRST_LOOK", 10.0 * WITHIN)
    monkeypatch.setattr(module, "LONGEST_LOOK", 10.0 * WITHIN)
    url = pg.primary.url_for(pg.database())
    with Process(url) as one, Process(url) as two:
        until(lambda: two.wake.state == LISTENING)
        target = SqlQueue(one.engine, "orders", wake=one.wake)
        source = SqlQueue(two.engine, "orders", group="billing", wake=two.wake)
        target.create_tables()
        source.open()
        assert source.facts.notes == ()

        def publish() -> None:
            sleep(0.5)
            target.publish([(None, b"one")])

        task = spawn("publish", publish)
        began = time.monotonic()
        [came] = source.fetch(1, WITHIN)
        assert came.body == b"one" and time.monotonic() - began < WITHIN / 2.0, "it was not woken, it looked in the end"
        source.ack([came])
        task.ended(WITHIN)
        source.close()
        target.close()


def test_a_lost_connection_is_made_anew_and_wakes_everybody(pg: Any) -> None:
    """What was told meanwhile is gone: so all look."""
    url = pg.primary.url_for(pg.database())
    with Process(url) as one:
        until(lambda: one.wake.state == LISTENING)
        woken = Flag()
        one.wake.hear("a", woken.set)
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as db:
            ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            assert db.execute(text(ended)).scalar_one() == 1
        engine.dispose()
        assert woken.wait(WITHIN)
        assert one.wake.state == LISTENING


def test_behind_a_pooler_there_are_only_the_polls(pg: Any, bouncers: Any) -> None:
    """It says so by name, in `explain()` and in what a queue promises; what is published comes all the same."""
    database = pg.database()
    through = bouncers[0].url_for(database)
    with Process(through) as one:
        until(lambda: "PgBouncer" in one.wake.state)
        engine: Any = create_engine(sqlalchemy.make_url(pg.primary.url_for(database)))
        outbox, landing = Outbox(engine, wake=one.wake), Landing()
        outbox.create_tables()
        relay = Relay(outbox, to=landing)
        assert "woken by other processes: a pooler (PgBouncer) is in front of the server" in str(relay.explain())
        queue = SqlQueue(engine, "orders", wake=one.wake)
        [note] = queue.facts.notes
        assert "PgBouncer" in note and "0.5 s at most" in note
        outbox.send("default", 1)
        relay.run_once()
        assert payloads(landing.came) == [1]
        relay.stop()
        outbox.close()
        queue.close()
        engine.dispose()


def test_what_cannot_listen_is_refused() -> None:
    """Another server, another driver, no engine."""
    for given in (create_engine(sqlalchemy.make_url("sqlite+aiosqlite://")), object()):
        with pytest.raises(ConfigurationError, match="NOTIFY and LISTEN are PostgreSQL's"):
            PostgresWake(given)
