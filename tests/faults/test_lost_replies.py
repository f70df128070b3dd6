"""The reply of a write is lost: it is executed once, and the caller is told the truth."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy
from fix_rigs import NAMESPACE, Order, make_tables, wait_until
from sqlalchemy import text

from regionkit import (
    Endpoint,
    OutcomeUnknown,
    Region,
    RegionKit,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
    TransactionRolledBack,
    UsageError,
)
from regionkit.testing import FaultProxy, crash_points


def one_region(url: str, **options: Any) -> Topology:
    """A store with one endpoint."""
    store = SqlStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, url)], **options)
    return Topology(namespace=NAMESPACE, regions=[Region("us-east-1")], stores=[store])


QUICK = {"base": "aggressive", "open_first": 0.1, "open_longest": 0.2, "hold_down": 0.1}
COLLIDES = text("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$")


@pytest.fixture(params=["postgresql", "mariadb", "mysql"])
def proxied(request: pytest.FixtureRequest) -> Iterator[tuple[RegionKit, FaultProxy, str]]:
    """A kit that reaches its server through a proxy, the proxy, and the server's own URL."""
    servers = request.getfixturevalue({"postgresql": "pg"}.get(request.param, request.param))
    url = servers.primary.url_for(servers.database())
    make_tables(url)
    with FaultProxy(url) as proxy, RegionKit(one_region(proxy.url), local="us-east-1", profile=QUICK) as kit:
        kit.create_tables()
        yield kit, proxy, url


def count(url: str) -> int:
    """Rows on the server, asked past proxy and library."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT count(*) FROM orders")).scalar()
    engine.dispose()
    return int(found or 0)


def heal(kit: RegionKit, proxy: FaultProxy) -> None:
    """Heal the network and wait until the breaker lets writes through again."""
    proxy.heal()
    wait_until(lambda: kit.explain("orders", "write").decision.outcome == "use")


def insert(db: Any) -> str:
    """Not idempotent: the key is the server's."""
    db.execute(text("INSERT INTO orders (id, item) SELECT coalesce(max(id), 0) + 1, 'tea' FROM orders"))
    return "placed"


def test_a_lost_commit_is_unknown_and_not_run_again(proxied: tuple[RegionKit, FaultProxy, str]) -> None:
    """Without a key: OutcomeUnknown, committed "unknown", one row on the server; a naive retry makes two."""
    kit, proxy, url = proxied
    with kit.session() as s:
        s.execute_write("orders", lambda db: db.execute(text("DELETE FROM orders")))
        with crash_points({"write.before_commit": proxy.drop_replies}), pytest.raises(OutcomeUnknown) as caught:
            s.execute_write("orders", insert, timeout=2.0)
        heal(kit, proxy)
        assert caught.value.committed == "unknown"
        assert not caught.value.retryable
        assert caught.value.store == "orders"
        assert kit.resolve(caught.value) == "unknown"
        assert count(url) == 1
        s.execute_write("orders", insert)  # what a caller that retries blindly would do
        assert count(url) == 2


def test_a_commit_in_the_block_is_unknown_too(proxied: tuple[RegionKit, FaultProxy, str]) -> None:
    """db.commit() itself raises OutcomeUnknown, inside the block."""
    kit, proxy, url = proxied
    with kit.session() as s, pytest.raises(OutcomeUnknown), s.write("orders", timeout=2.0) as db:
        insert(db)
        with crash_points({"write.before_commit": proxy.drop_replies}), pytest.raises(OutcomeUnknown):
            db.commit()
        heal(kit, proxy)
        db.commit()  # a caller that swallows it and goes on is told again
    assert count(url) == 1


def test_a_keyed_write_takes_effect_once(proxied: tuple[RegionKit, FaultProxy, str]) -> None:
    """With a key the library runs it again itself; the marker keeps the effect to one, and the result is there."""
    kit, proxy, url = proxied
    strikes = iter([proxy.drop_replies])
    with kit.session() as s:

        def strike() -> None:
            next(strikes, lambda: None)()
            threading.Timer(0.1, proxy.heal).start()

        with crash_points({"write.before_commit": strike}) as reached:
            assert s.execute_write("orders", insert, idempotency_key="order-1", timeout=8.0) == "placed"
        assert reached["write.before_commit"] == 1
        assert count(url) == 1
        with s.read("orders") as db:
            assert len(db.query(Order).all()) == 1


def test_resolve_says_yes_after_a_lost_commit(proxied: tuple[RegionKit, FaultProxy, str]) -> None:
    """The marker committed with the effect is the proof."""
    kit, proxy, url = proxied
    with kit.session() as s:
        with crash_points({"write.before_commit": proxy.drop_replies}), pytest.raises(OutcomeUnknown) as caught:
            s.execute_write("orders", insert, idempotency_key="order-1", timeout=1.0)
        heal(kit, proxy)
        assert caught.value.idempotency_key == "order-1"
        assert kit.resolve(caught.value) == "yes"
        assert count(url) == 1
        assert s.execute_write("orders", insert, idempotency_key="order-1") == "placed"
        assert count(url) == 1


def test_resolve_says_no_only_with_a_tombstone(proxied: tuple[RegionKit, FaultProxy, str]) -> None:
    """A request that never reached the server: "no", and the late attempt cannot commit under that key."""
    kit, proxy, url = proxied
    with kit.session() as s:
        with crash_points({"write.before_commit": proxy.cut}), pytest.raises(OutcomeUnknown) as caught:
            s.execute_write("orders", insert, idempotency_key="order-1", timeout=1.0)
        heal(kit, proxy)
        assert kit.resolve(caught.value) == "no"
        assert kit.resolve(caught.value) == "no"
        assert count(url) == 0
        assert s.execute_write("orders", insert, idempotency_key="order-1") == "placed"
        assert count(url) == 1
        caught.value.began_at -= 13 * 3600
        with pytest.raises(UsageError, match="12"):
            kit.resolve(caught.value)


def test_resolve_waits_for_the_attempt_that_holds_the_key(proxied: tuple[RegionKit, FaultProxy, str]) -> None:
    """COMMIT is still on its way when resolve asks: it waits for that transaction, and says yes."""
    kit, _, url = proxied
    error = OutcomeUnknown("x", store="orders", idempotency_key="order-1", began_at=time.time())
    with RegionKit(one_region(url), local="us-east-1") as other, other.session() as s:
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(kit.resolve(error)))

        def slow(db: Any) -> None:
            insert(db)
            asking.start()
            time.sleep(1.0)
            assert not answers, "resolve answered while the attempt could still commit"

        s.execute_write("orders", slow, idempotency_key="order-1")
        asking.join(10)
        assert answers == ["yes"]
    assert count(url) == 1


def test_a_connection_lost_before_commit_committed_nothing(proxied: tuple[RegionKit, FaultProxy, str]) -> None:
    """RegionUnavailable, committed "no", and the next block works."""
    kit, proxy, url = proxied
    with kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught, s.write("orders", timeout=3.0) as db:
            insert(db)
            proxy.cut()
            insert(db)
        assert caught.value.committed == "no"
        assert caught.value.retryable
        heal(kit, proxy)
        assert count(url) == 0
        s.execute_write("orders", insert)
    assert count(url) == 1


def test_a_swallowed_error_is_no_commit(pg: Any) -> None:
    """PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error: we raise."""
    url = pg.primary.url_for(pg.database())
    make_tables(url)
    with RegionKit(one_region(url), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        with pytest.raises(TransactionRolledBack) as caught, s.write("orders", core=True) as connection:
            connection.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
            try:
                connection.exec_driver_sql("SELECT 1/0")
            except sqlalchemy.exc.DBAPIError:
                pass
        assert caught.value.committed == "no"
        assert s.bookmark() == ""
    assert count(url) == 0


def test_serialization_failures_run_again(pg: Any) -> None:
    """40001 is a rollback that the server proves: execute_write runs the function again, a block does not."""
    url = pg.primary.url_for(pg.database())
    make_tables(url)
    with RegionKit(one_region(url), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        runs = []

        def collide(db: Any) -> None:
            runs.append(1)
            insert(db)
            if len(runs) < 3:
                db.execute(COLLIDES)

        s.execute_write("orders", collide)
        assert len(runs) == 3
        runs.clear()
        with pytest.raises(sqlalchemy.exc.OperationalError), s.write("orders") as db:
            collide(db)

        def always(db: Any) -> None:
            db.execute(COLLIDES)

        with pytest.raises(TransactionRolledBack):
            s.execute_write("orders", always)
    assert count(url) == 1


def test_collisions_after_a_lost_commit_leave_the_outcome_open(pg: Any) -> None:
    """That each later run was rolled back says nothing of the first one."""
    url = pg.primary.url_for(pg.database())
    make_tables(url)
    with FaultProxy(url) as proxy, RegionKit(one_region(proxy.url), local="us-east-1", profile=QUICK) as kit:
        kit.create_tables()
        runs = []

        def strike() -> None:
            proxy.cut()
            threading.Timer(0.1, proxy.heal).start()

        def work(db: Any) -> None:
            runs.append(1)
            insert(db)
            if len(runs) > 1:
                db.execute(COLLIDES)

        with kit.session() as s, crash_points({"write.before_commit": strike}), pytest.raises(OutcomeUnknown) as caught:
            s.execute_write("orders", work, idempotency_key="k", timeout=3.0)
        assert len(runs) > 2
        assert caught.value.idempotency_key == "k"


@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_an_implicit_commit_is_never_replayed(server: str, request: pytest.FixtureRequest) -> None:
    """DDL in a block commits by itself there: the error says unknown, and nothing runs again."""
    servers = request.getfixturevalue(server)
    url = servers.primary.url_for(servers.database())
    make_tables(url)
    with RegionKit(one_region(url), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        runs = []

        def ddl(db: Any) -> None:
            runs.append(1)
            insert(db)
            db.execute(text("CREATE TABLE t (i int)"))
            raise pymysql.err.OperationalError(1213, "Deadlock found")

        with pytest.raises(Exception) as caught:
            s.execute_write("orders", ddl, idempotency_key="k")
        notes = " ".join(getattr(caught.value, "__notes__", []))
        assert isinstance(caught.value, OutcomeUnknown) or "unknown" in notes
        assert len(runs) == 1
    assert count(url) == 1


def test_synchronous_commit_off_is_read_back(pg: Any) -> None:
    """SET LOCAL synchronous_commit=off: the position covers the commit all the same, 200 times of 200."""
    name = pg.database()
    url = pg.primary.url_for(name)
    make_tables(url)
    with (
        RegionKit(one_region(url), local="us-east-1") as kit,
        psycopg.connect(pg.primary.url.replace("+psycopg", ""), autocommit=True) as admin,
    ):
        kit.create_tables()
        for number in range(1, 201):
            with kit.session() as s:
                with s.write("orders") as db:
                    db.execute(text("SET LOCAL synchronous_commit = off"))
                    db.add(Order(id=number, item="tea"))
                (entry,) = s._state.bookmark.entries("orders")
            row = admin.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
            assert row is not None
            assert entry.position is not None
            assert int(row[0]) - 100 <= int(entry.position) <= int(row[0])  # type: ignore[arg-type]
