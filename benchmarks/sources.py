"""Sources of messages: a fetch and its acknowledgement, 100 messages and one, against the same by hand.

By hand on Redis: XREADGROUP and XACK of redis-py; nobody's lost messages are claimed, no hole is seen, and XACK asks nobody whose
an entry is. By hand on PostgreSQL: psycopg, a claim with SKIP LOCKED that commits, and a DELETE by id and token that commits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psycopg
import redis
import sqlalchemy

from benchmarks.harness import Candidate, Report, Row, Settings, measure, pin, pin_children
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.messaging.sources import RedisStream, SqlQueue
from regionkit.testing import servers

BATCH = 100
BODY = os.urandom(300)
OPS = 30
STREAM_MOST = 2.5
QUEUE_MOST = 1.6
CLAIM = """WITH ready AS (SELECT id FROM hand WHERE due_at <= clock_timestamp() ORDER BY due_at, id LIMIT %s
FOR UPDATE SKIP LOCKED) UPDATE hand SET due_at = clock_timestamp() + interval '30 s', token = %s, given = given + 1
FROM ready WHERE hand.id = ready.id RETURNING hand.id, hand.body, hand.given"""
FILL = "INSERT INTO hand (due_at, given, body) SELECT clock_timestamp(), 0, %s FROM generate_series(1, %s)"
TABLE = """CREATE TABLE hand (id bigserial PRIMARY KEY, due_at timestamptz NOT NULL, given int NOT NULL, token bytea,
body bytea NOT NULL); CREATE INDEX ON hand (due_at, id)"""


def run(settings: Settings) -> list[Report]:
    """One report."""
    core = pin()
    report = Report("sources", "Fetch and acknowledge, 300 bytes a message", settings)
    with ExitStack() as stack:
        stream = stack.enter_context(servers.redis(0))
        database = stack.enter_context(servers.postgresql(0))
        pin_children(core)
        for count, most in ((BATCH, STREAM_MOST), (1, None)):
            _redis(stream.primary.url, count, most, report, settings)
        for count, most in ((BATCH, QUEUE_MOST), (1, None)):
            _postgresql(database, count, most, report, settings)
    return [report]


def _soon() -> Deadline:
    return Deadline(SYSTEM_CLOCK, 30.0)


def _timed(fill: Callable[[], Any], work: Callable[[], int], count: int) -> Callable[[], float]:
    """The seconds that `work` takes, which empties what was filled in."""

    def run() -> float:
        fill()
        began = time.perf_counter()
        done = work()
        took = time.perf_counter() - began
        assert done == count, (done, count)
        return took

    return run


def _source(source: Any, count: int) -> Callable[[], float]:
    bodies = [(None, BODY)] * count
    return _timed(lambda: source.publish(bodies, _soon()), lambda: int(source.ack(source.fetch(count, 0.0))), count)


def _redis(url: str, count: int, most: float | None, report: Report, settings: Settings) -> None:
    ours, plain = f"RedisStream, {count}", f"XREADGROUP and XACK, {count}"
    with redis.Redis.from_url(url) as client:
        client.flushall()
        source = RedisStream(url, "ours", group="g")
        source.open(_soon())
        client.xgroup_create("hand", "g", "0", mkstream=True)

        def fill() -> None:
            with client.pipeline(transaction=False) as pipeline:
                for _ in range(count):
                    pipeline.xadd("hand", {"rk": BODY})
                pipeline.execute()

        def work() -> int:
            [[_, entries]] = client.xreadgroup("g", "c", {"hand": ">"}, count=count)
            return int(client.xack("hand", "g", *[id for id, _ in entries]))

        candidates = [
            Candidate(ours, _source(source, count), own=True),
            Candidate(plain, _timed(fill, work, count), own=True),
        ]
        spreads = measure(candidates, settings, OPS)
        source.close()
    report.add([Row(f"{ours} / by hand", ours, plain, most=most)], spreads)


def _postgresql(database: Any, count: int, most: float | None, report: Report, settings: Settings) -> None:
    ours, plain = f"SqlQueue, {count}", f"SKIP LOCKED by hand, {count}"
    url = database.primary.url_for(database.database())
    engine = sqlalchemy.create_engine(url)
    queue = SqlQueue(engine, "ours")
    queue.create_tables()
    queue.open(_soon())
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(TABLE)

        def work() -> int:
            token = os.urandom(16)
            with connection.transaction():
                rows = connection.execute(CLAIM, (count, token)).fetchall()
            with connection.transaction():
                gone = connection.execute(
                    "DELETE FROM hand WHERE id = ANY(%s) AND token = %s", ([row[0] for row in rows], token)
                )
            return gone.rowcount

        def fill() -> None:
            connection.execute(FILL, (BODY, count))

        candidates = [
            Candidate(ours, _source(queue, count), own=True),
            Candidate(plain, _timed(fill, work, count), own=True),
        ]
        spreads = measure(candidates, settings, OPS)
    queue.close()
    engine.dispose()
    report.add([Row(f"{ours} / by hand", ours, plain, most=most)], spreads)
