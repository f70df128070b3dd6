# Generated from test_own_engine_async.py by scripts/twins.py. Do not edit.
"""Endpoints whose engine is the application's: the contract's heart holds, and the engine comes back as it was."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import NAMESPACE, REGIONS, Order, Rig, make_tables
from placing import find_placement, set_placement
from sqlalchemy import text
from waiting import seen

from regionkit import (
    BOUNDED,
    EVENTUAL,
    STRONG,
    ConfigurationError,
    DeadlineExceeded,
    Endpoint,
    OutcomeUnknown,
    Region,
    RegionKit,
    Role,
    SqlStore,
    StaleRead,
    Topology,
    TransactionRolledBack,
    UsageError,
)
from regionkit.backends.sql.bridge import Engine, create_engine, drive
from regionkit.contract.outcomes import Failure
from regionkit.contract.records import Records
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.facts.placement import Placement
from regionkit.facts.record import Record
from regionkit.facts.request import Kind
from regionkit.testing import FaultProxy, crash_points

IS_ASYNC = False
KEY = "a key of more than sixteen characters"
HERE = "ap-northeast-2"
COUNT = text("SELECT count(*) FROM orders")
ASYNC_DRIVERS = {
    "postgresql+psycopg": "postgresql+psycopg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "mysql+pymysql": "mysql+aiomysql",
    "sqlite": "sqlite+aiosqlite",
}


def engine_of(url: str, **options: Any) -> Engine:
    """An engine as an application makes it."""
    parsed = sqlalchemy.make_url(url)
    if IS_ASYNC:
        parsed = parsed.set(drivername=ASYNC_DRIVERS[parsed.drivername])
    engine: Engine = create_engine(parsed, **options)
    return engine


def pool_of(engine: Engine) -> Any:
    """Its pool."""
    return getattr(engine, "sync_engine", engine).pool


def topology_of(engines: list[Any], **options: Any) -> Topology:
    """The rig's regions, on engines."""
    roles = [Role.PRIMARY, Role.REPLICA, Role.REPLICA]
    endpoints = [Endpoint(region, role, client=e) for region, role, e in zip(REGIONS, roles, engines, strict=False)]
    store = SqlStore("orders", endpoints=endpoints, **options)
    return Topology(namespace=NAMESPACE, regions=[Region(r) for r in REGIONS], stores=[store])


def records_of(kit: RegionKit) -> Records:
    """The records of the owner."""
    backend: Any = kit._store("orders").backends[0]
    found: Records = backend.records
    return found


def soon() -> Deadline:
    """A deadline."""
    return Deadline(SYSTEM_CLOCK, 20)


@pytest.fixture
def engines(rig: Rig) -> Iterator[list[Engine]]:
    """The application's, each with one connection: whatever a block leaves behind, the next one meets."""
    made = [engine_of(url, pool_size=1, max_overflow=0, pool_timeout=5) for url in rig.urls]
    yield made
    for engine in made:
        engine.dispose()


@pytest.fixture
def kit(engines: list[Engine]) -> Iterator[RegionKit]:
    """A kit in ap-northeast-2, its tables made, every endpoint seen."""
    with RegionKit(topology_of(engines), local=HERE, bookmark_keys=[KEY]) as kit:
        seen(kit)
        yield kit


def insert(engine: Engine, number: int) -> None:
    """One more order, as the application writes without the kit."""
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO orders (id, item) VALUES ({number}, 'tea')"))


def test_a_write_goes_to_the_owner(kit: RegionKit, rig: Rig, engines: list[Engine]) -> None:
    """It is one transaction on the application's engine, committed at the block's end, and the connection is back."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.add(Order(id=1, item="tea"))
            db.flush()
            assert pool_of(engines[0]).checkedout() == 1
            assert rig.count() == 0
        assert s.last_route is not None
        assert (s.last_route.region, s.last_route.epoch) == ("us-east-1", 1)
    assert rig.count() == 1
    assert pool_of(engines[0]).checkedout() == 0


def test_an_exception_rolls_back(kit: RegionKit, rig: Rig) -> None:
    """The application's error passes as it is; nothing is committed, and nothing is remembered."""
    with kit.session() as s:
        for core in (False, True):
            with pytest.raises(ZeroDivisionError):
                with s.write("orders", core=core) as db:
                    db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
                    raise ZeroDivisionError
        assert s.bookmark() == ""
    assert rig.count() == 0


def test_a_session_sees_its_own_write(kit: RegionKit, rig: Rig) -> None:
    """While the near copy is held, EVENTUAL reads it and misses; SESSION goes elsewhere and sees."""
    with rig.held():
        with kit.session() as s:
            with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
            with s.read("orders", consistency=EVENTUAL) as db:
                assert db.get(Order, 1) is None
            assert s.last_route is not None
            assert s.last_route.region == HERE
            with s.read("orders") as db:
                assert (db.get(Order, 1)).item == "tea"
            assert s.last_route.region != HERE
            with s.read("orders", consistency=STRONG) as db:
                assert (db.get(Order, 1)).item == "tea"
    with kit.session(bookmark=s.bookmark()) as s:
        end = time.monotonic() + 30
        while s.last_route is None or s.last_route.region != HERE:
            assert time.monotonic() < end, "the near copy never served the session"
            with s.read("orders") as db:
                assert (db.get(Order, 1)).item == "tea"


def test_a_bookmark_crosses_to_a_kit_that_opens_its_own(kit: RegionKit, rig: Rig) -> None:
    """Positions and histories mean the same on handed-in engines and on URLs, in both directions."""
    with RegionKit(rig.topology(), local=HERE, bookmark_keys=[KEY]) as other:
        seen(other)
        with rig.held():
            for number, (one, two) in enumerate([(kit, other), (other, kit)], start=1):
                with one.session() as s:
                    with s.write("orders") as db:
                        db.add(Order(id=number, item="tea"))
                    bookmark = s.bookmark()
                assert bookmark
                with two.session(bookmark=bookmark) as s, s.read("orders") as db:
                    assert (db.get(Order, number)).item == "tea"


@pytest.mark.parametrize("options", [{}, {"core": True}, {"snapshot": True}], ids=str)
def test_a_write_in_a_read_block_is_refused(
    kit: RegionKit, engines: list[Engine], rig: Rig, options: dict[str, bool]
) -> None:
    """By the server, also after a commit inside; the engine's only connection takes the application's writes afterwards."""
    with kit.session() as s:
        for commits in (False, True):
            with pytest.raises(UsageError, match="read block"):
                with s.read("orders", consistency=STRONG, **options) as db:
                    db.execute(COUNT)
                    if commits:
                        db.commit()
                    db.execute(text("INSERT INTO orders (id, item) VALUES (7, 'tea')"))
        assert rig.count() == 0
        with s.read("orders", consistency=STRONG, **options) as db:
            db.execute(COUNT)
    insert(engines[0], 7)
    assert rig.count() == 1


def test_a_closed_connection_goes_back_writable(kit: RegionKit, engines: list[Engine], rig: Rig) -> None:
    """Closing the Connection inside a read block gives it back early, and as it came."""
    with kit.session() as s:
        with pytest.raises(UsageError, match="closed inside"):
            with s.read("orders", consistency=STRONG, core=True) as db:
                db.execute(COUNT)
                db.close()
                insert(engines[0], 7)
    assert rig.count() == 1


def test_a_snapshot_stays_and_a_read_after_it_moves_on(kit: RegionKit, rig: Rig, engines: list[Engine]) -> None:
    """A snapshot block sees one moment; the engine's isolation level is what it was."""
    with engines[0].connect() as connection:
        before = connection.get_isolation_level()
    writer = engine_of(rig.urls[0])
    with kit.session() as s:
        with s.read("orders", consistency=STRONG, snapshot=True) as db:
            assert (db.execute(COUNT)).scalar() == 0
            insert(writer, 1)
            assert (db.execute(COUNT)).scalar() == 0
        with s.read("orders", consistency=STRONG) as db:
            assert (db.execute(COUNT)).scalar() == 1
    writer.dispose()
    with engines[0].connect() as connection:
        assert connection.get_isolation_level() == before


@pytest.mark.slow
def test_a_bounded_read_looks_again(kit: RegionKit, rig: Rig) -> None:
    """A statement that begins after the bound ran out sees what came meanwhile, whatever the isolation level; or is refused."""
    with kit.session() as s, kit.session() as other:
        with s.read("orders", consistency=BOUNDED(2.0), timeout=30) as db:
            assert (db.execute(COUNT)).scalar() == 0
            with other.write("orders") as writing:
                writing.add(Order(id=1, item="tea"))
            sleep(2.2)
            assert (db.execute(COUNT)).scalar() == 1
        with rig.held():
            with pytest.raises(StaleRead):
                with s.read("orders", consistency=BOUNDED(2.0), timeout=30) as db:
                    db.execute(COUNT)
                    with other.write("orders") as writing:
                        writing.add(Order(id=2, item="tea"))
                    sleep(2.5)
                    db.execute(COUNT)


def test_a_look_in_the_midst_keeps_the_block_read_only(kit: RegionKit, rig: Rig) -> None:
    """Where the server stands is asked between two statements: the transaction that begins anew is read-only too."""
    backend: Any = kit._store("orders").backends[0]
    checkout = backend.check_out(Kind.READ, Deadline(SYSTEM_CLOCK, 20), 20.0)

    def work() -> None:
        checkout.connection.execute(COUNT)
        backend.observe(checkout.connection)
        checkout.connection.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))

    try:
        with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
            drive(work)
    finally:
        checkout.release()
    assert backend.classify(caught.value) is Failure.READ_ONLY
    assert rig.count() == 0


@pytest.mark.slow
def test_an_application_may_begin_sqlite_itself(sqlite_rig: Rig) -> None:
    """Its listeners send BEGIN: a block does not send another, and what is asked inside is not answered from a snapshot."""
    engines = [engine_of(url) for url in sqlite_rig.urls]
    for engine in engines:
        plain: Any = getattr(engine, "sync_engine", engine)
        sqlalchemy.event.listen(plain, "connect", lambda dbapi, _: setattr(dbapi, "isolation_level", None))
        sqlalchemy.event.listen(plain, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with RegionKit(topology_of(engines), local=HERE, bookmark_keys=[KEY]) as kit:
        seen(kit)
        with kit.session() as s, kit.session() as other:
            with s.read("orders", consistency=BOUNDED(2.0), timeout=30) as db:
                assert (db.execute(COUNT)).scalar() == 0
                with other.write("orders") as writing:
                    writing.add(Order(id=1, item="tea"))
                sleep(2.5)
                assert (db.execute(COUNT)).scalar() == 1
            with pytest.raises(ZeroDivisionError):
                with s.write("orders") as db:
                    db.execute(text("DELETE FROM orders"))
                    raise ZeroDivisionError
    assert sqlite_rig.count() == 1
    for engine in engines:
        engine.dispose()


def test_a_keyed_write_takes_effect_once(kit: RegionKit, rig: Rig) -> None:
    """The second call gives back the stored result; the function runs once."""
    runs = []

    def add(db: Any) -> dict[str, int]:
        runs.append(1)
        db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
        return {"id": 1}

    with kit.session() as s:
        for _ in range(2):
            assert s.execute_write("orders", add, idempotency_key="k", fingerprint="f") == {"id": 1}
        with pytest.raises(UsageError, match="ended its own transaction"):
            s.execute_write("orders", lambda db: db.commit(), idempotency_key="other")
    assert (len(runs), rig.count()) == (1, 1)


def test_a_swallowed_error_is_not_taken_for_a_commit(postgresql_rig: Rig) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK then, without an error; a savepoint around the statement saves the rest."""
    engine = engine_of(postgresql_rig.urls[0])
    with RegionKit(topology_of([engine]), local="us-east-1") as kit, kit.session() as s:
        for nested in (False, True):
            block = s.write("orders")
            try:
                with block as db:
                    db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
                    with pytest.raises(sqlalchemy.exc.ProgrammingError):
                        if nested:
                            with db.begin_nested():
                                db.execute(text("SELECT nothing"))
                        else:
                            db.execute(text("SELECT nothing"))
                committed = True
            except TransactionRolledBack:
                committed = False
            assert committed is nested
            assert postgresql_rig.count() == int(nested)
    engine.dispose()


def test_ddl_on_mariadb_is_not_told_as_rolled_back(mariadb_rig: Rig) -> None:
    """It commits what went before: an error of the server's behind it leaves the outcome open."""
    engine = engine_of(mariadb_rig.urls[0])
    with RegionKit(topology_of([engine]), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        with pytest.raises(OutcomeUnknown):
            with s.write("orders") as db:
                db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
                db.execute(text("CREATE TABLE more (id INT)"))
                db.execute(text("KILL CONNECTION_ID()"))
    engine.dispose()
    assert mariadb_rig.count() == 1


def test_closing_the_kit_leaves_the_engine(rig: Rig, engines: list[Engine]) -> None:
    """It is usable afterwards, with its pool as it was, and with another kit."""
    for number in (1, 2):
        with RegionKit(topology_of(engines), local="us-east-1") as kit:
            kit.create_tables()
            with kit.session() as s, s.write("orders") as db:
                db.add(Order(id=number, item="tea"))
        pool = pool_of(engines[0])
        assert (pool.checkedin(), pool.checkedout()) == (1, 0)
        insert(engines[0], number + 10)
        assert pool_of(engines[0]) is pool
    assert rig.count() == 4


@pytest.mark.slow
def test_an_exhausted_pool_is_no_dead_server(rig: Rig) -> None:
    """A block that gets no connection says so; the monitor has one of its own, and the endpoint stays up."""
    engine = engine_of(rig.urls[0], pool_size=1, max_overflow=0, pool_timeout=0.5)
    with RegionKit(topology_of([engine]), local="us-east-1") as kit:
        kit.create_tables()
        with engine.connect(), kit.session() as s:
            with pytest.raises(DeadlineExceeded, match=r"in use|in time"):
                with s.read("orders") as db:
                    db.execute(COUNT)
            sleep(1.0)
            assert [e.state for e in kit.status().endpoints] == ["up"]
        with kit.session() as s, s.read("orders") as db:
            db.execute(COUNT)
    engine.dispose()


def test_what_is_not_promised_is_printed(kit: RegionKit) -> None:
    """`explain` names the endpoints whose engines are the application's, and what that takes away."""
    shown = " ".join(str(kit.explain("orders")).split())
    assert "the engines of us-east-1, ap-northeast-2" in shown
    assert "time-outs and retries are its own" in shown
    assert "two round trips" in shown


def test_placements_are_kept_there(kit: RegionKit) -> None:
    """By compare-and-set, as on a URL."""
    backend: Any = kit._store("orders").backends[0]
    deadline = soon()
    one, two = Placement("carts", "k", "us-east-1", 1, 1), Placement("carts", "k", HERE, 2, 2)
    assert find_placement(backend, deadline, "carts", "k") is None
    assert set_placement(backend, deadline, one, expected=0) == one
    assert set_placement(backend, deadline, two, expected=0) == one
    assert set_placement(backend, deadline, two, expected=1) == two
    assert find_placement(backend, deadline, "carts", "k") == two


def test_records_are_kept_there(kit: RegionKit) -> None:
    """By compare-and-set, as on a URL: with ends, and within a block or a Core connection of its own transaction."""
    records = records_of(kit)
    one, two = Record("work", "k", bytes(range(256))), Record("work", "k", b"", 2)
    assert records.get(soon(), "work", "k") is None
    assert records.put(soon(), one, expected=0, lasts=1.0) is one
    assert records.get(soon(), "work", "k") == one
    assert records.put(soon(), Record("work", "k", b"lost"), expected=0) == one
    sleep(1.1)
    assert records.get(soon(), "work", "k") is None
    assert records.put(soon(), one, expected=0) is one
    with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            with s.write("orders") as db:
                assert records.put(soon(), two, expected=1, within=db) is two
                raise ZeroDivisionError
        assert records.get(soon(), "work", "k") == one
        with s.write("orders", core=True) as connection:
            assert records.put(soon(), two, expected=1, within=connection) is two
    assert records.get(soon(), "work", "k") == two
    assert records.delete(soon(), "work", "k", expected=1) == two
    assert records.delete(soon(), "work", "k", expected=2) is None
    assert records.get(soon(), "work", "k") is None


@pytest.mark.parametrize("strike", ["cut", "reply"])
def test_a_record_whose_commit_is_lost_is_an_unknown_outcome(proxied: Any, strike: str) -> None:
    """The connection broke as COMMIT was sent, or its answer never arrived."""
    proxy, _ = proxied
    engine = engine_of(proxy.url)
    with RegionKit(topology_of([engine]), local="us-east-1") as kit:
        kit.create_tables()
        points: dict[str, Any] = {
            "cut": {"write.before_commit": proxy.cut},
            "reply": {"write.commit_sent": "drop_reply"},
        }
        with pytest.raises(OutcomeUnknown) as caught, crash_points(points[strike]):
            records_of(kit).put(soon(), Record("work", "k", b""), expected=0)
        assert (caught.value.committed, caught.value.store) == ("unknown", "orders")
    engine.dispose()


@pytest.fixture(params=["postgresql", "mariadb"])
def proxied(request: pytest.FixtureRequest) -> Any:
    """A proxy before a server with the application's tables, and the server's own URL."""
    servers = request.getfixturevalue({"postgresql": "pg", "mariadb": "mariadb"}[request.param])
    url = servers.primary.url_for(servers.database())
    make_tables(url)
    with FaultProxy(url) as proxy:
        yield proxy, url


def test_dead_connections_are_replaced_after_a_change(proxied: Any) -> None:
    """Connections that were told of before a change are asked anew; one found dead then costs no block."""
    proxy, _ = proxied
    engine = engine_of(proxy.url)
    with RegionKit(topology_of([engine]), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        for kind in (s.read, s.write):
            with kind("orders") as db:
                db.execute(COUNT)
            backend: Any = kit._store("orders").backends[0]
            backend.evict()
            proxy.cut()
            proxy.heal()
            with kind("orders") as db:
                db.execute(COUNT)
    engine.dispose()


def test_a_commit_without_an_answer_is_an_unknown_outcome(proxied: Any) -> None:
    """The connection broke as COMMIT was sent: neither yes nor no is said, and the session goes on at the owner."""
    proxy, _ = proxied
    engine = engine_of(proxy.url)
    with RegionKit(topology_of([engine]), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        with pytest.raises(OutcomeUnknown) as caught, crash_points({"write.before_commit": proxy.cut}):
            with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
        assert caught.value.committed == "unknown"
        assert caught.value.store == "orders"
        assert s.bookmark() != ""
    engine.dispose()


def test_a_write_block_is_a_transaction_on_every_engine(rig: Rig) -> None:
    """A driver that commits by itself is refused; SQLAlchemy's own AUTOCOMMIT is set aside for the block, and back."""
    if rig.server != "sqlite":
        alone = engine_of(rig.urls[0], connect_args={"autocommit": True})
        with RegionKit(topology_of([alone]), local="us-east-1") as kit:
            with pytest.raises(ConfigurationError, match="commit each statement"):
                kit.create_tables()
        alone.dispose()
    levelled = engine_of(rig.urls[0], isolation_level="AUTOCOMMIT")
    with RegionKit(topology_of([levelled]), local="us-east-1") as kit:
        kit.create_tables()
        with pytest.raises(ZeroDivisionError):
            with kit.session() as s, s.write("orders") as db:
                db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
                raise ZeroDivisionError
    assert rig.count() == 0
    with levelled.connect() as connection:
        connection.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
        connection.rollback()
    assert rig.count() == 1
    levelled.dispose()
