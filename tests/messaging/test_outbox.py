# Generated from test_outbox_async.py by scripts/twins.py. Do not edit.
"""An outbox: what is published is there exactly when its transaction committed; numbers have no holes, whoever takes them."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from regionkit.errors import ConfigurationError, UsageError
from regionkit.messaging.envelope import LARGEST_MESSAGE, NOTHING_BEFORE
from regionkit.messaging.outbox import MOST_EVENTS, Outbox
from regionkit.messaging.relay import Relay
from regionkit.messaging.router import Router

from .landing import Landing, payloads

IS_ASYNC = False


class Rig:
    """An outbox of two destinations, a relay, and where its messages land."""

    def __init__(self, accounts: Any, **options: Any) -> None:
        self.engine = accounts.make(is_async=IS_ASYNC)
        self.outbox = Outbox(self.engine, **({"destinations": ["first", "second"]} | options))
        self.first, self.second = Landing(), Landing()
        targets = {"first": self.first, "second": self.second}
        self.relay = Relay(self.outbox, to={name: targets[name] for name in self.outbox.destinations})

    def __enter__(self) -> Rig:
        self.outbox.create_tables()
        return self

    def __exit__(self, *_: object) -> None:
        self.relay.stop()
        self.outbox.close()
        self.engine.dispose()


def test_a_commit_publishes_and_a_rollback_does_not(accounts: Any) -> None:
    """Effect and event commit together."""
    with Rig(accounts) as rig:
        for number, ends in ((1, "commit"), (2, "rollback"), (3, "commit")):
            with Session(rig.engine) as db:
                db.execute(text("INSERT INTO accounts VALUES (:id, 1)"), {"id": f"a{number}"})
                rig.outbox.publish(db, "made", {"n": number}, key="a")
                getattr(db, ends)()
        rig.relay.run_once()
        assert payloads(rig.first.came) == [{"n": 1}, {"n": 3}]
        assert [accounts.value(f"a{number}") for number in (1, 2, 3)] == [1, None, 1]


def test_a_savepoint_takes_its_events_along(accounts: Any) -> None:
    """What was published in one that is rolled back is not published, and takes no number."""
    with Rig(accounts) as rig, Session(rig.engine) as db:
        rig.outbox.publish(db, "made", 1, key="a")
        inner = db.begin_nested()
        rig.outbox.publish(db, "made", 2, key="a")
        inner.rollback()
        inner = db.begin_nested()
        rig.outbox.publish(db, "made", 3, key="a")
        inner.commit()
        db.commit()
        rig.relay.run_once()
        assert payloads(rig.first.came) == [1, 3]
        assert [envelope.number.n for envelope in rig.first.came if envelope.number] == [1, 2]


def test_numbers_of_each_key_and_destination(accounts: Any) -> None:
    """No holes; `prev` is the one before; what has no key has none; the lineage stays."""
    with Rig(accounts) as rig:
        for number in range(3):
            with Session(rig.engine) as db:
                rig.outbox.publish(db, "made", number, key="b", to=["first", "second"])
                rig.outbox.publish(db, "made", number, key="a")
                rig.outbox.publish(db, "made", number, key="a")
                rig.outbox.publish(db, "told", number)
                db.commit()
        rig.relay.run_once()
        for landing, key, last in ((rig.first, "a", 6), (rig.first, "b", 3), (rig.second, "b", 3)):
            came = [envelope for envelope in landing.came if envelope.key == key]
            before = NOTHING_BEFORE
            for n, envelope in enumerate(came, 1):
                assert envelope.number is not None and (envelope.number.n, envelope.prev) == (n, before)
                before = envelope.number
            assert len(came) == last
        assert {envelope.lineage for envelope in rig.first.came if envelope.key} == {rig.second.came[0].lineage}
        assert all(envelope.number is None for envelope in rig.first.came if envelope.key is None)
        ids = [envelope.id for envelope in rig.first.came if envelope.key == "b"]
        assert ids == [envelope.id for envelope in rig.second.came]


def test_flush_writes_what_was_published_until_now(accounts: Any) -> None:
    """Numbers are taken at once; the rest goes with the COMMIT. On a Connection as well."""
    with Rig(accounts) as rig:
        with rig.engine.connect() as db:
            db.begin()
            rig.outbox.publish(db, "made", 1, key="a")
            assert rig.outbox.flush(db) == 1
            assert rig.outbox.flush(db) == 0
            rig.outbox.publish(db, "made", 2, key="a")
            db.commit()
        rig.relay.run_once()
        assert payloads(rig.first.came) == [1, 2]


def test_fire_and_forget(accounts: Any) -> None:
    """It is durable when `send` returns."""
    with Rig(accounts) as rig:
        sent = rig.outbox.send("second", {"n": 1}, key="a")
        rig.relay.run_once()
        assert [(envelope.id, envelope.type) for envelope in rig.second.came] == [(sent, "second")]


def test_what_is_delayed_takes_its_number_when_it_is_due(accounts: Any) -> None:
    """Its place among the events of its key is that of its time, and the number before it is there."""
    with Rig(accounts) as rig:
        rig.outbox.send("first", "late", key="a", delay=1.0)
        rig.outbox.send("first", "gone", key="a", delay=0.5, expires_in=0.01)
        rig.outbox.send("first", "soon", key="a")
        moved = (rig.relay.run_once()).moved
        while moved < 2:
            moved += (rig.relay.run_once()).moved
        assert payloads(rig.first.came) == ["soon", "late"]
        assert rig.first.came[1].number is not None
        assert (rig.first.came[1].number.n, rig.first.came[1].prev) == (2, rig.first.came[0].number)


def test_what_cannot_be_published_is_refused_at_once(accounts: Any) -> None:
    """By name, before anything is written; the transaction goes on, and what else it publishes is published."""
    bad: list[dict[str, Any]] = [
        {"payload": object()},
        {"payload": 1 << 70},
        {"payload": b"x" * LARGEST_MESSAGE},
        {"type": ""},
        {"type": "t" * 121},
        {"key": 7},
        {"expires_in": 0},
        {"expires_in": -1.0},
        {"expires_in": float("nan")},
        {"delay": -1.0},
        {"delay": 1e12},
        {"headers": {"a": 1}},
        {"to": "third"},
        {"to": []},
    ]
    with Rig(accounts) as rig, Session(rig.engine) as db:
        rig.outbox.publish(db, "made", 1)
        for wrong in bad:
            given = {"type": "made", "payload": 1} | wrong
            with pytest.raises(UsageError):
                rig.outbox.publish(db, given.pop("type"), given.pop("payload"), **given)
        db.commit()
        rig.relay.run_once()
        assert payloads(rig.first.came) == [1]


def test_no_transaction_no_event(accounts: Any) -> None:
    """Whatever cannot be joined is refused."""
    with Rig(accounts) as rig:
        with rig.engine.connect() as db:
            with pytest.raises(UsageError, match="no open transaction"):
                rig.outbox.publish(db, "made", 1)
        with pytest.raises(ConfigurationError, match="no transaction that can be joined"):
            rig.outbox.publish(object(), "made", 1)


def test_too_many_events_of_one_transaction(accounts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is told, and what was noted before it stays."""
    monkeypatch.setattr(sys.modules[Outbox.__module__], "MOST_EVENTS", 2)
    assert MOST_EVENTS > 2
    with Rig(accounts) as rig, Session(rig.engine) as db:
        rig.outbox.publish(db, "made", 1)
        rig.outbox.publish(db, "made", 2)
        with pytest.raises(UsageError, match="more than 2 events"):
            rig.outbox.publish(db, "made", 3)
        rig.outbox.flush(db)
        rig.outbox.publish(db, "made", 4)
        db.commit()
        rig.relay.run_once()
        assert payloads(rig.first.came) == [1, 2, 4]


def test_a_router_names_the_destination(accounts: Any) -> None:
    """Decided when it is published; a key that is split has numbers without holes at each."""
    router = Router(by="header:tier", routes={"gold": "second"}, default="first")
    with Rig(accounts, router=router, destinations=["first", "second"]) as rig, Session(rig.engine) as db:
        for number in range(4):
            rig.outbox.publish(db, "made", number, key="a", headers={"tier": "gold" if number % 2 else "tin"})
        db.commit()
        rig.relay.run_once()
        assert (payloads(rig.first.came), payloads(rig.second.came)) == ([0, 2], [1, 3])
        assert [envelope.number.n for envelope in rig.second.came if envelope.number] == [1, 2]


def test_missing_tables_roll_the_transaction_back(accounts: Any) -> None:
    """The COMMIT fails, and neither effect nor event is there."""
    engine = accounts.make(is_async=IS_ASYNC)
    outbox = Outbox(engine)
    with Session(engine) as db:
        db.execute(text("INSERT INTO accounts VALUES ('a', 1)"))
        outbox.publish(db, "made", 1, key="a")
        with pytest.raises(ConfigurationError, match="create_tables"):
            db.commit()
    assert accounts.value("a") is None
    outbox.close()
    engine.dispose()
