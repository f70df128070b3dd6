"""What publishing does to transactions: no deadlocks of keys, locks only for the COMMIT, two phases."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from regionkit.contract.enlist import enlist
from regionkit.messaging import Outbox, Relay

from .landing import Landing, payloads

WRITERS = 8
EACH = 15


@pytest.mark.parametrize("accounts", ["postgresql", "mariadb"], indirect=True)
def test_two_keys_of_many_writers_do_not_deadlock(accounts: Any) -> None:
    """Rule 21: each transaction takes two keys of four, in whatever order; none fails, and numbers have no holes."""
    engine = create_engine(accounts.url, pool_size=WRITERS)
    outbox, landing, errors = Outbox(engine), Landing(), []
    outbox.create_tables()

    def write(writer: int) -> None:
        try:
            for n in range(EACH):
                with Session(engine) as db, db.begin():
                    keys = [f"k{(writer + n) % 4}", f"k{(writer * 3 + n + 1) % 4}"]
                    for key in keys if writer % 2 else reversed(keys):
                        outbox.publish(db, "made", n, key=key)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    Relay(outbox, to=landing, gated=True).run_once()
    for key in {envelope.key for envelope in landing.came}:
        found = [envelope.number.n for envelope in landing.came if envelope.key == key and envelope.number]
        assert found == list(range(1, len(found) + 1))
    assert len(landing.came) == WRITERS * EACH * 2
    outbox.close()
    engine.dispose()


@pytest.mark.parametrize("accounts", ["postgresql", "mariadb"], indirect=True)
def test_a_key_is_locked_by_the_commit_alone(accounts: Any) -> None:
    """Two transactions that publish for one key may be open at once; the one that commits first is the first."""
    engine = create_engine(accounts.url)
    outbox, landing = Outbox(engine), Landing()
    outbox.create_tables()
    with Session(engine) as one, Session(engine) as other:
        outbox.publish(one, "made", "published first", key="a")
        outbox.publish(other, "made", "committed first", key="a")
        other.commit()
        one.commit()
    Relay(outbox, to=landing).run_once()
    assert payloads(landing.came) == ["committed first", "published first"]
    outbox.close()
    engine.dispose()


def test_numbers_are_taken_last(accounts: Any) -> None:
    """After whatever else was registered before the COMMIT, also later than the event was published."""
    engine, seen = create_engine(accounts.url), list[int]()
    outbox = Outbox(engine)
    outbox.create_tables()
    with Session(engine) as db, db.begin():
        outbox.publish(db, "made", 1, key="a")
        joined = enlist(db)
        rows = "SELECT count(*) FROM regionkit_rk_outbox_key"
        joined.before_commit(lambda: seen.append(joined.execute(rows).scalar_one()))
    with engine.connect() as db:
        seen.append(db.execute(text(rows)).scalar_one())
    assert seen == [0, 1]
    outbox.close()
    engine.dispose()


@pytest.mark.parametrize("ends", ["commit", "rollback"])
@pytest.mark.parametrize("accounts", ["postgresql", "mariadb"], indirect=True)
def test_two_phases(accounts: Any, ends: str) -> None:
    """Rows are written before PREPARE. While it is in doubt its key waits, and no other one does."""
    engine = create_engine(accounts.url)
    outbox, landing = Outbox(engine), Landing()
    outbox.create_tables()
    relay = Relay(outbox, to=landing)
    with engine.connect() as db:
        branch = db.begin_twophase(uuid.uuid4().hex[:20])
        outbox.publish(db, "made", 1, key="a")
        branch.prepare()
        outbox.send("default", 2, key="b")
        relay.run_once()
        assert payloads(landing.came) == [2]
        getattr(branch, ends)()
    outbox.send("default", 3, key="a")
    relay.run_once()
    assert payloads(landing.came) == ([2, 1, 3] if ends == "commit" else [2, 3])
    relay.stop()
    outbox.close()
    engine.dispose()


@pytest.mark.parametrize("accounts", ["postgresql", "mariadb"], indirect=True)
def test_one_delayed_by_a_key_in_doubt_keeps_no_other(accounts: Any) -> None:
    """A key that somebody locks for long: what is due for it waits, what is published for others does not."""
    engine = create_engine(accounts.url)
    outbox, landing = Outbox(engine), Landing()
    outbox.create_tables()
    outbox.send("default", 1, key="a", delay=0.001)
    relay = Relay(outbox, to=landing)
    with engine.connect() as db, db.begin():
        outbox.publish(db, "made", 2, key="a")
        outbox.flush(db)
        outbox.send("default", 3, key="b")
        relay.run_once()
        assert payloads(landing.came) == [3]
    while len(landing.came) < 3:
        relay.run_once()
    assert payloads(landing.came) == [3, 2, 1]
    relay.stop()
    outbox.close()
    engine.dispose()
