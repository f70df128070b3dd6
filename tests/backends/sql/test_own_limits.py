# Generated from test_own_limits_async.py by scripts/twins.py. Do not edit.
"""Limits of the application's own, and what an operator ends: the application's error, and nobody's fault."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import Order, Rig
from sqlalchemy import text

from regionkit import DeadlineExceeded, RegionKit
from regionkit.backends.sql.bridge import drive
from regionkit.backends.sql.classify import code_of
from regionkit.backends.sql.driver import as_driver
from regionkit.contract.enlist import enlist
from regionkit.core.concurrency import sleep
from regionkit.facts.request import Kind

HERE = "us-east-1"
MANY = ", ".join(f"information_schema.COLLATIONS AS {name}" for name in "abcde")
SLOW = {
    "postgresql": "SELECT pg_sleep(60)",
    "mariadb": "SELECT SLEEP(60) FROM information_schema.ENGINES",
    "mysql": f"SELECT COUNT(*) FROM {MANY}",  # its SLEEP answers when it is ended
}
LIMITED = {
    "postgresql": ["SET statement_timeout = 50", SLOW["postgresql"]],
    "mariadb": ["SET STATEMENT max_statement_time=0.05 FOR " + SLOW["mariadb"]],
    "mysql": [SLOW["mysql"].replace("SELECT", "SELECT /*+ MAX_EXECUTION_TIME(50) */", 1)],
}
CODES = {"postgresql": {"57014"}, "mariadb": {1969, 1317}, "mysql": {3024, 1317}}
RUNNING = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
    "mariadb": "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '%SLEEP(60)%' AND ID <> CONNECTION_ID()",
}
RUNNING["mysql"] = RUNNING["mariadb"].replace("SLEEP(60)", "COLLATIONS AS")
ENDING = {"postgresql": "SELECT pg_cancel_backend({})", "mariadb": "KILL QUERY {}", "mysql": "KILL QUERY {}"}


@pytest.fixture
def kit(request: pytest.FixtureRequest) -> Iterator[RegionKit]:
    """A kit at the owner, its tables made."""
    rig: Rig = request.getfixturevalue(f"{request.node.callspec.params['server']}_rig")
    with RegionKit(rig.topology(), local=HERE) as kit:
        kit.create_tables()
        yield kit


def counted(kit: RegionKit) -> set[int]:
    """Errors that count against any endpoint."""
    store: Any = kit._store("orders").shards[0]
    return {store.state.breaker(index, use).errors for index in range(len(store.backends)) for use in Kind}


@contextlib.contextmanager
def operator(rig: Rig) -> Iterator[None]:
    """Somebody who ends each slow statement."""
    engine, over = sqlalchemy.create_engine(rig.plain, isolation_level="AUTOCOMMIT"), threading.Event()

    def run() -> None:
        with engine.connect() as connection:
            while not over.wait(0.02):
                for found in connection.execute(text(RUNNING[rig.server])).scalars().all():
                    with contextlib.suppress(sqlalchemy.exc.DBAPIError):  # it has ended meanwhile
                        connection.execute(text(ENDING[rig.server].format(found)))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        engine.dispose()


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("who", ["application", "operator"])
@pytest.mark.parametrize("server", ["postgresql", "mariadb", "mysql"])
def test_what_others_end_is_the_applications_error(
    kit: RegionKit, request: pytest.FixtureRequest, server: str, who: str, keyed: bool
) -> None:
    """As the driver raised it, long before our deadline; run once, rolled back, and counted against nobody."""
    rig: Rig = request.getfixturevalue(f"{server}_rig")
    texts = LIMITED[server] if who == "application" else [SLOW[server]]
    runs = []

    def slow(db: Any) -> None:
        runs.append(db)
        for each in texts:
            db.execute(text(each))

    def write(db: Any) -> None:
        db.add(Order(id=7, item="tea"))
        db.flush()
        slow(db)

    with operator(rig) if who == "operator" else contextlib.nullcontext():
        with kit.session() as s:
            with pytest.raises(sqlalchemy.exc.OperationalError) as caught:
                s.execute_write("orders", write, timeout=50.0, idempotency_key="k1" if keyed else None)
            assert code_of(caught.value) in CODES[server]
            if not keyed:
                with pytest.raises(sqlalchemy.exc.OperationalError) as caught:
                    s.execute_read("orders", slow, timeout=50.0)
                assert code_of(caught.value) in CODES[server]
    assert len(runs) == 2 - keyed
    assert rig.count() == 0
    assert counted(kit) == {0}
    with kit.session() as s, s.write("orders") as db:
        db.add(Order(id=8, item="tea"))
    assert rig.count() == 1


ENDLESS = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("kind", ["read", "write"])
def test_what_the_application_interrupts_on_sqlite_is_its_own_error(sqlite_rig: Rig, kind: str, own: bool) -> None:
    """By the driver's interrupt(). What we end at the deadline, by the same means, is told as that."""
    with RegionKit(sqlite_rig.topology(), local=HERE) as kit, kit.session() as s:
        kit.create_tables()

        def endless(db: Any) -> None:
            under = as_driver(db.connection().connection)
            timer = threading.Timer(0.1, under.interrupt)
            if own:
                timer.start()
            try:
                db.execute(ENDLESS)
            finally:
                timer.cancel()

        with pytest.raises(sqlalchemy.exc.OperationalError if own else DeadlineExceeded) as caught:
            with getattr(s, kind)("orders", timeout=50.0 if own else 0.5) as db:
                drive(endless, getattr(db, "sync_session", db))
        assert "interrupted" in str(caught.value)
        if own:
            assert counted(kit) == {0}


@pytest.mark.parametrize("server", ["postgresql"])
def test_a_transaction_that_idles_past_the_applications_limit_is_its_own_error(
    kit: RegionKit, request: pytest.FixtureRequest, server: str
) -> None:
    """The server hangs up, and says why; the next block has another connection."""
    rig: Rig = request.getfixturevalue(f"{server}_rig")
    with kit.session() as s:
        with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
            with s.write("orders", timeout=50.0) as db:
                db.add(Order(id=7, item="tea"))
                db.flush()
                db.execute(text("SET LOCAL idle_in_transaction_session_timeout = 50"))
                sleep(0.5)
                db.execute(text("SELECT 1"))
        assert code_of(caught.value) == "25P03"
        with s.write("orders") as db:
            db.add(Order(id=8, item="tea"))
    assert rig.count() == 1
    assert counted(kit) == {0}


@pytest.mark.parametrize("server", ["postgresql"])
def test_a_commit_that_was_cancelled_is_a_sure_no(kit: RegionKit, request: pytest.FixtureRequest, server: str) -> None:
    """PostgreSQL looks at deferred constraints before it writes the commit; after that nothing cancels it."""
    rig: Rig = request.getfixturevalue(f"{server}_rig")
    engine = sqlalchemy.create_engine(rig.plain)
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$"
            )
        )
        connection.execute(
            text(
                "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION slow()"
            )
        )
    told: list[str] = []
    with kit.session() as s:
        with operator(rig), pytest.raises(sqlalchemy.exc.OperationalError) as caught:
            with s.write("orders", timeout=50.0) as db:
                db.add(Order(id=7, item="tea"))
                db.flush()
                enlist(db).on_outcome(told.append)
        assert code_of(caught.value) == "57014"
    assert told == ["no"]
    assert rig.count() == 0
    engine.dispose()
