"""The outbox: what publishing costs a transaction, and how fast a relay works off a backlog into a Redis stream.

Envelopes of 300 bytes in PostgreSQL with fsync, a key for each of 10,000; the stream's server appends to its file every second.
Client and servers are not bound to one core here: a relay is a process of its own, and so are they.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import redis
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.harness import Candidate, Report, Row, Settings, measure
from regionkit.messaging import Outbox, Relay
from regionkit.messaging.sources import RedisStream
from regionkit.testing import servers

BACKLOG = 60_000
KEYS = 10_000
MOST_US = 1e6 / 40_000
PAYLOAD = "x" * 180
"""With it an envelope has 300 bytes, its number included."""
PUBLISHES = 20


def run(settings: Settings) -> Report:
    """Both jobs."""
    report = Report("outbox_relay", "Outbox and relay, PostgreSQL to a Redis stream", settings)
    with servers.postgresql(0) as pg, servers.redis(0) as cache:
        engine = sqlalchemy.create_engine(pg.primary.url_for(pg.database()))
        outbox, stream = Outbox(engine), RedisStream(cache.primary.url, "bench")
        client = redis.Redis.from_url(cache.primary.url)
        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "everysec")
        outbox.create_tables()
        with engine.begin() as db:
            db.execute(text("CREATE TABLE orders (id BIGINT PRIMARY KEY, item TEXT)"))
        relaying = Settings(min(settings.rounds, 3), share=0.0)
        report.add(
            [
                Row("relay, one of a key at a time", "relay", way="time", most=MOST_US),
                Row("relay, gated", "gated relay", way="time", most=MOST_US),
            ],
            measure(_relays(outbox, stream, client, engine), relaying, 1),
            "backlog",
        )
        report.add(
            [
                Row("transaction that publishes / plain", "publishing", "plain"),
                Row("a publish in a transaction", "publishing", "plain", "difference"),
                Row("a publish without a key", "keyless", "plain", "difference"),
            ],
            measure(_publishing(outbox, engine), settings, PUBLISHES),
            "publish",
        )
        outbox.close()
        engine.dispose()
        stream.close()
        client.close()
    return report


def _relays(outbox: Outbox, stream: RedisStream, client: Any, engine: Any) -> list[Candidate]:
    def of(relay: Relay) -> Any:
        def drained() -> float:
            _fill(outbox, engine)
            began = time.perf_counter()
            done = relay.run_once()
            took = time.perf_counter() - began
            assert done.published == BACKLOG, done
            relay.stop()
            client.delete(stream.name)
            return took / BACKLOG

        return drained

    return [
        Candidate("relay", of(Relay(outbox, to=stream)), own=True),
        Candidate("gated relay", of(Relay(outbox, to=stream, gated=True)), own=True),
    ]


def _fill(outbox: Outbox, engine: Any) -> None:
    for _ in range(12):
        with Session(engine) as db, db.begin():
            for number in range(BACKLOG // 12):
                outbox.publish(db, "order.placed", {"id": number, "item": PAYLOAD}, key=f"key-{number % KEYS}")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text(f"VACUUM ANALYZE {outbox.sql.rows.name}"))


def _publishing(outbox: Outbox, engine: Any) -> list[Candidate]:
    ids = itertools.count()

    def work(*, publish: bool, key: bool = True) -> None:
        with Session(engine) as db, db.begin():
            number = next(ids)
            db.execute(text("INSERT INTO orders VALUES (:id, 'tea')"), {"id": number})
            if publish:
                payload = {"id": number, "item": PAYLOAD}
                outbox.publish(db, "order.placed", payload, key=f"key-{number % KEYS}" if key else None)

    return [
        Candidate("plain", lambda: work(publish=False)),
        Candidate("publishing", lambda: work(publish=True)),
        Candidate("keyless", lambda: work(publish=True, key=False)),
    ]
