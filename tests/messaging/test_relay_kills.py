"""Many writers, and a relay that is killed again and again: nothing is lost, and each key is in order.

In the same rig a poller that keeps a cursor, as outboxes are mostly written, loses some: it passes rows whose transactions
commit late. REGIONKIT_OUTBOX_EVENTS=20000 for a campaign.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from regionkit.messaging import Outbox
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.envelope import decode

from .landing import Judge

pytestmark = pytest.mark.slow

EVENTS = int(os.environ.get("REGIONKIT_OUTBOX_EVENTS", "5000"))
WRITERS = 8
AT_ONCE = 4
"""Events of a transaction."""
KEYS = 10
KILLS = 4


class Written:
    """What writers have committed: events in the order of the commits, by key."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url, pool_size=WRITERS + 2)
        self.outbox = Outbox(self.engine)
        self.outbox.create_tables()
        with self.engine.begin() as db:
            db.execute(text("CREATE TABLE landed (at BIGSERIAL PRIMARY KEY, body BYTEA NOT NULL)"))
            db.execute(text("CREATE TABLE plain (seq BIGSERIAL PRIMARY KEY, event INT NOT NULL)"))
        self.errors: list[BaseException] = []

    def write(self, writer: int) -> None:
        chance = random.Random(writer)
        try:
            for first in range(writer * AT_ONCE, EVENTS, WRITERS * AT_ONCE):
                with Session(self.engine) as db, db.begin():
                    for event in range(first, min(first + AT_ONCE, EVENTS)):
                        db.execute(text("INSERT INTO plain (event) VALUES (:event)"), {"event": event})
                        self.outbox.publish(db, "made", event, key=f"k{chance.randrange(KEYS)}")
                    if chance.random() < 0.3:
                        time.sleep(chance.random() * 0.004)
        except BaseException as error:
            self.errors.append(error)

    def count(self, table: str) -> int:
        with self.engine.connect() as db:
            return int(db.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def with_a_cursor(url: str, stop: threading.Event, seen: set[int]) -> None:
    """The usual poller."""
    engine, last = create_engine(url), 0
    while True:
        over = stop.is_set()
        with engine.connect() as db:
            found = db.execute(
                text("SELECT seq, event FROM plain WHERE seq > :last ORDER BY seq LIMIT 500"), {"last": last}
            )
            for seq, event in found:
                last = seq
                seen.add(event)
        if over:
            break
    engine.dispose()


def test_nothing_is_lost_when_relays_are_killed(pg: Any) -> None:
    """And the poller with a cursor loses some."""
    url = pg.primary.url_for(pg.database())
    written, stop, seen = Written(url), threading.Event(), set[int]()
    poller = threading.Thread(target=with_a_cursor, args=(url, stop, seen))
    writers = [threading.Thread(target=written.write, args=(writer,)) for writer in range(WRITERS)]
    command = [sys.executable, str(Path(__file__).parent / "relay_child.py"), url]
    kills, landed, began = 0, 0, time.monotonic()
    relay = subprocess.Popen(command)
    for thread in (poller, *writers):
        thread.start()
    try:
        while any(thread.is_alive() for thread in writers) or written.count("regionkit_rk_outbox"):
            time.sleep(0.01)
            if kills < KILLS and written.count("landed") > landed:  # it has just published
                relay.kill()
                relay.wait()
                kills, landed = kills + 1, written.count("landed")
                relay = subprocess.Popen(command)
            assert time.monotonic() - began < 100.0 + EVENTS / 100.0
    finally:
        relay.kill()
        relay.wait()
        stop.set()
        poller.join()
    assert written.errors == []
    with written.engine.connect() as db:
        came = [decode(bytes(body)) for (body,) in db.execute(text("SELECT body FROM landed ORDER BY at"))]
    consumer = Judge()
    for envelope in came:
        consumer.take(envelope)
    applied = sorted(event for events in consumer.applied.values() for event in events)  # type: ignore[type-var]
    lost = EVENTS - len(seen)
    print(f"{EVENTS} events, {kills} kills, {len(came) - EVENTS} copies; with a cursor {lost} lost")
    assert applied == list(range(EVENTS))
    assert set(consumer.verdicts) <= {Verdict.APPLY, Verdict.DUPLICATE}, "no gaps: each key came in order"
    assert lost > 0
    assert len(came) > EVENTS, "no kill has hit a relay between publishing and settling"
    written.outbox.close()
    written.engine.dispose()
