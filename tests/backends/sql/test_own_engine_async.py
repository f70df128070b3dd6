"""Endpoints whose engine is the application's: the contract's heart holds, and the engine comes back as it was."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import NAMESPACE, REGIONS, Order, Rig, make_tables
from placing_async import find_placement, set_placement
from sqlalchemy import text
from waiting_async import seen

from regionkit import (
    BOUNDED,
    EVENTUAL,
    STRONG,
    AsyncRegionKit,
    ConfigurationError,
    DeadlineExceeded,
    Endpoint,
    OutcomeUnknown,
    Region,
    Role,
    SqlStore,
    StaleRead,
    Topology,
    TransactionRolledBack,
    UsageError,
)
from regionkit.backends.sql.bridge_async import AsyncEngine, adrive, create_async_engine
from regionkit.contract.outcomes import Failure
from regionkit.contract.records_async import AsyncRecords
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.facts.placement import Placement
from regionkit.facts.record import Record
from regionkit.facts.request import Kind
from regionkit.testing import FaultProxy, crash_points

IS_ASYNC = True
KEY = "a key of more than sixteen characters"
HERE = "ap-northeast-2"
COUNT = text("SELECT count(*) FROM orders")
ASYNC_DRIVERS = {
    "postgresql+psycopg": "postgresql+psycopg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "mysql+pymysql": "mysql+aiomysql",
    "sqlite": "sqlite+aiosqlite",
}


def engine_of(url: str, **options: Any) -> AsyncEngine:
    """An engine as an application makes it."""
    parsed = sqlalchemy.make_url(url)
    if IS_ASYNC:
        parsed = parsed.set(drivername=ASYNC_DRIVERS[parsed.drivername])
    engine: AsyncEngine = create_async_engine(parsed, **options)
    return engine


def pool_of(engine: AsyncEngine) -> Any:
    """Its pool."""
    return getattr(engine, "sync_engine", engine).pool


def topology_of(engines: list[Any], **options: Any) -> Topology:
    """The rig's regions, on engines."""
    roles = [Role.PRIMARY, Role.REPLICA, Role.REPLICA]
    endpoints = [Endpoint(region, role, client=e) for region, role, e in zip(REGIONS, roles, engines, strict=False)]
    store = SqlStore("orders", endpoints=endpoints, **options)
    return Topology(namespace=NAMESPACE, regions=[Region(r) for r in REGIONS], stores=[store])


def records_of(kit: AsyncRegionKit) -> AsyncRecords:
    """The records of the owner."""
    backend: Any = kit._store("orders").backends[0]
    found: AsyncRecords = backend.records
    return found


def soon() -> Deadline:
    """A deadline."""
    return Deadline(SYSTEM_CLOCK, 20)


@pytest.fixture
async def engines(rig: Rig) -> AsyncIterator[list[AsyncEngine]]:
    """The application's, each with one connection: whatever a block leaves behind, the next one meets."""
    made = [engine_of(url, pool_size=1, max_overflow=0, pool_timeout=5) for url in rig.urls]
    yield made
    for engine in made:
        await engine.dispose()


@pytest.fixture
async def kit(engines: list[AsyncEngine]) -> AsyncIterator[AsyncRegionKit]:
    """A kit in ap-northeast-2, its tables made, every endpoint seen."""
    async with AsyncRegionKit(topology_of(engines), local=HERE, bookmark_keys=[KEY]) as kit:
        await seen(kit)
        yield kit


async def insert(engine: AsyncEngine, number: int) -> None:
    """One more order, as the application writes without the kit."""
    async with engine.begin() as connection:
        await connection.execute(text(f"INSERT INTO orders (id, item) VALUES ({number}, 'tea')"))


async def test_a_write_goes_to_the_owner(kit: AsyncRegionKit, rig: Rig, engines: list[AsyncEngine]) -> None:
    """It is one transaction on the application's engine, committed at the block's end, and the connection is back."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            db.add(Order(id=1, item="tea"))
            await db.flush()
            assert pool_of(engines[0]).checkedout() == 1
            assert rig.count() == 0
        assert s.last_route is not None
        assert (s.last_route.region, s.last_route.epoch) == ("us-east-1", 1)
    assert rig.count() == 1
    assert pool_of(engines[0]).checkedout() == 0


async def test_an_exception_rolls_back(kit: AsyncRegionKit, rig: Rig) -> None:
    """The application's error passes as it is; nothing is committed, and nothing is remembered."""
    async with kit.session() as s:
        for core in (False, True):
            with pytest.raises(ZeroDivisionError):
                async with s.write("orders", core=core) as db:
                    await db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
                    raise ZeroDivisionError
        assert await s.bookmark() == ""
    assert rig.count() == 0


async def test_a_session_sees_its_own_write(kit: AsyncRegionKit, rig: Rig) -> None:
    """While the near copy is held, EVENTUAL reads it and misses; SESSION goes elsewhere and sees."""
    with rig.held():
        async with kit.session() as s:
            async with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
            async with s.read("orders", consistency=EVENTUAL) as db:
                assert await db.get(Order, 1) is None
            assert s.last_route is not None
            assert s.last_route.region == HERE
            async with s.read("orders") as db:
                assert (await db.get(Order, 1)).item == "tea"
            assert s.last_route.region != HERE
            async with s.read("orders", consistency=STRONG) as db:
                assert (await db.get(Order, 1)).item == "tea"
    async with kit.session(bookmark=await s.bookmark()) as s:
        end = time.monotonic() + 30
        while s.last_route is None or s.last_route.region != HERE:
            assert time.monotonic() < end, "the near copy never served the session"
            async with s.read("orders") as db:
                assert (await db.get(Order, 1)).item == "tea"


async def test_a_bookmark_crosses_to_a_kit_that_opens_its_own(kit: AsyncRegionKit, rig: Rig) -> None:
    """Positions and histories mean the same on handed-in engines and on URLs, in both directions."""
    async with AsyncRegionKit(rig.topology(), local=HERE, bookmark_keys=[KEY]) as other:
        await seen(other)
        with rig.held():
            for number, (one, two) in enumerate([(kit, other), (other, kit)], start=1):
                async with one.session() as s:
                    async with s.write("orders") as db:
                        db.add(Order(id=number, item="tea"))
                    bookmark = await s.bookmark()
                assert bookmark
                async with two.session(bookmark=bookmark) as s, s.read("orders") as db:
                    assert (await db.get(Order, number)).item == "tea"


@pytest.mark.parametrize("options", [{}, {"core": True}, {"snapshot": True}], ids=str)
async def test_a_write_in_a_read_block_is_refused(
    kit: AsyncRegionKit, engines: list[AsyncEngine], rig: Rig, options: dict[str, bool]
) -> None:
    """By the server, also after a commit inside; the engine's only connection takes the application's writes afterwards."""
    async with kit.session() as s:
        for commits in (False, True):
            with pytest.raises(UsageError, match="read block"):
                async with s.read("orders", consistency=STRONG, **options) as db:
                    await db.execute(COUNT)
                    if commits:
                        await db.commit()
                    await db.execute(text("INSERT INTO orders (id, item) VALUES (7, 'tea')"))
        assert rig.count() == 0
        async with s.read("orders", consistency=STRONG, **options) as db:
            await db.execute(COUNT)
    await insert(engines[0], 7)
    assert rig.count() == 1


async def test_a_closed_connection_goes_back_writable(
    kit: AsyncRegionKit, engines: list[AsyncEngine], rig: Rig
) -> None:
    """Closing the Connection inside a read block gives it back early, and as it came."""
    async with kit.session() as s:
        with pytest.raises(UsageError, match="closed inside"):
            async with s.read("orders", consistency=STRONG, core=True) as db:
                await db.execute(COUNT)
                await db.close()
                await insert(engines[0], 7)
    assert rig.count() == 1


async def test_a_snapshot_stays_and_a_read_after_it_moves_on(
    kit: AsyncRegionKit, rig: Rig, engines: list[AsyncEngine]
) -> None:
    """A snapshot block sees one moment; the engine's isolation level is what it was."""
    async with engines[0].connect() as connection:
        before = await connection.get_isolation_level()
    writer = engine_of(rig.urls[0])
    async with kit.session() as s:
        async with s.read("orders", consistency=STRONG, snapshot=True) as db:
            assert (await db.execute(COUNT)).scalar() == 0
            await insert(writer, 1)
            assert (await db.execute(COUNT)).scalar() == 0
        async with s.read("orders", consistency=STRONG) as db:
            assert (await db.execute(COUNT)).scalar() == 1
    await writer.dispose()
    async with engines[0].connect() as connection:
        assert await connection.get_isolation_level() == before


@pytest.mark.slow
async def test_a_bounded_read_looks_again(kit: AsyncRegionKit, rig: Rig) -> None:
    """A statement that begins after the bound ran out sees what came meanwhile, whatever the isolation level; or is refused."""
    async with kit.session() as s, kit.session() as other:
        async with s.read("orders", consistency=BOUNDED(2.0), timeout=30) as db:
            assert (await db.execute(COUNT)).scalar() == 0
            async with other.write("orders") as writing:
                writing.add(Order(id=1, item="tea"))
            await asleep(2.2)
            assert (await db.execute(COUNT)).scalar() == 1
        with rig.held():
            with pytest.raises(StaleRead):
                async with s.read("orders", consistency=BOUNDED(2.0), timeout=30) as db:
                    await db.execute(COUNT)
                    async with other.write("orders") as writing:
                        writing.add(Order(id=2, item="tea"))
                    await asleep(2.5)
                    await db.execute(COUNT)


async def test_a_look_in_the_midst_keeps_the_block_read_only(kit: AsyncRegionKit, rig: Rig) -> None:
    """Where the server stands is asked between two statements: the transaction that begins anew is read-only too."""
    backend: Any = kit._store("orders").backends[0]
    checkout = await backend.check_out(Kind.READ, Deadline(SYSTEM_CLOCK, 20), 20.0)

    def work() -> None:
        checkout.connection.execute(COUNT)
        backend.observe(checkout.connection)
        checkout.connection.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))

    try:
        with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
            await adrive(work)
    finally:
        await checkout.release()
    assert backend.classify(caught.value) is Failure.READ_ONLY
    assert rig.count() == 0


@pytest.mark.slow
async def test_an_application_may_begin_sqlite_itself(sqlite_rig: Rig) -> None:
    """Its listeners send BEGIN: a block does not send another, and what is asked inside is not answered from a snapshot."""
    engines = [engine_of(url) for url in sqlite_rig.urls]
    for engine in engines:
        plain: Any = getattr(engine, "sync_engine", engine)
        sqlalchemy.event.listen(plain, "connect", lambda dbapi, _: setattr(dbapi, "isolation_level", None))
        sqlalchemy.event.listen(plain, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    async with AsyncRegionKit(topology_of(engines), local=HERE, bookmark_keys=[KEY]) as kit:
        await seen(kit)
        async with kit.session() as s, kit.session() as other:
            async with s.read("orders", consistency=BOUNDED(2.0), timeout=30) as db:
                assert (await db.execute(COUNT)).scalar() == 0
                async with other.write("orders") as writing:
                    writing.add(Order(id=1, item="tea"))
                await asleep(2.5)
                assert (await db.execute(COUNT)).scalar() == 1
            with pytest.raises(ZeroDivisionError):
                async with s.write("orders") as db:
                    await db.execute(text("DELETE FROM orders"))
                    raise ZeroDivisionError
    assert sqlite_rig.count() == 1
    for engine in engines:
        await engine.dispose()


async def test_a_keyed_write_takes_effect_once(kit: AsyncRegionKit, rig: Rig) -> None:
    """The second call gives back the stored result; the function runs once."""
    runs = []

    async def add(db: Any) -> dict[str, int]:
        runs.append(1)
        await db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
        return {"id": 1}

    async with kit.session() as s:
        for _ in range(2):
            assert await s.execute_write("orders", add, idempotency_key="k", fingerprint="f") == {"id": 1}
        with pytest.raises(UsageError, match="ended its own transaction"):
            await s.execute_write("orders", lambda db: db.commit(), idempotency_key="other")
    assert (len(runs), rig.count()) == (1, 1)


async def test_a_swallowed_error_is_not_taken_for_a_commit(postgresql_rig: Rig) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK then, without an error; a savepoint around the statement saves the rest."""
    engine = engine_of(postgresql_rig.urls[0])
    async with AsyncRegionKit(topology_of([engine]), local="us-east-1") as kit, kit.session() as s:
        for nested in (False, True):
            block = s.write("orders")
            try:
                async with block as db:
                    await db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
                    with pytest.raises(sqlalchemy.exc.ProgrammingError):
                        if nested:
                            async with db.begin_nested():
                                await db.execute(text("SELECT nothing"))
                        else:
                            await db.execute(text("SELECT nothing"))
                committed = True
            except TransactionRolledBack:
                committed = False
            assert committed is nested
            assert postgresql_rig.count() == int(nested)
    await engine.dispose()


async def test_ddl_on_mariadb_is_not_told_as_rolled_back(mariadb_rig: Rig) -> None:
    """It commits what went before: an error of the server's behind it leaves the outcome open."""
    engine = engine_of(mariadb_rig.urls[0])
    async with AsyncRegionKit(topology_of([engine]), local="us-east-1") as kit, kit.session() as s:
        await kit.create_tables()
        with pytest.raises(OutcomeUnknown):
            async with s.write("orders") as db:
                await db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
                await db.execute(text("CREATE TABLE more (id INT)"))
                await db.execute(text("KILL CONNECTION_ID()"))
    await engine.dispose()
    assert mariadb_rig.count() == 1


async def test_closing_the_kit_leaves_the_engine(rig: Rig, engines: list[AsyncEngine]) -> None:
    """It is usable afterwards, with its pool as it was, and with another kit."""
    for number in (1, 2):
        async with AsyncRegionKit(topology_of(engines), local="us-east-1") as kit:
            await kit.create_tables()
            async with kit.session() as s, s.write("orders") as db:
                db.add(Order(id=number, item="tea"))
        pool = pool_of(engines[0])
        assert (pool.checkedin(), pool.checkedout()) == (1, 0)
        await insert(engines[0], number + 10)
        assert pool_of(engines[0]) is pool
    assert rig.count() == 4


@pytest.mark.slow
async def test_an_exhausted_pool_is_no_dead_server(rig: Rig) -> None:
    """A block that gets no connection says so; the monitor has one of its own, and the endpoint stays up."""
    engine = engine_of(rig.urls[0], pool_size=1, max_overflow=0, pool_timeout=0.5)
    async with AsyncRegionKit(topology_of([engine]), local="us-east-1") as kit:
        await kit.create_tables()
        async with engine.connect(), kit.session() as s:
            with pytest.raises(DeadlineExceeded, match=r"in use|in time"):
                async with s.read("orders") as db:
                    await db.execute(COUNT)
            await asleep(1.0)
            assert [e.state for e in kit.status().endpoints] == ["up"]
        async with kit.session() as s, s.read("orders") as db:
            await db.execute(COUNT)
    await engine.dispose()


async def test_what_is_not_promised_is_printed(kit: AsyncRegionKit) -> None:
    """`explain` names the endpoints whose engines are the application's, and what that takes away."""
    shown = " ".join(str(kit.explain("orders")).split())
    assert "the engines of us-east-1, ap-northeast-2" in shown
    assert "time-outs and retries are its own" in shown
    assert "two round trips" in shown


async def test_placements_are_kept_there(kit: AsyncRegionKit) -> None:
    """By compare-and-set, as on a URL."""
    backend: Any = kit._store("orders").backends[0]
    deadline = soon()
    one, two = Placement("carts", "k", "us-east-1", 1, 1), Placement("carts", "k", HERE, 2, 2)
    assert await find_placement(backend, deadline, "carts", "k") is None
    assert await set_placement(backend, deadline, one, expected=0) == one
    assert await set_placement(backend, deadline, two, expected=0) == one
    assert await set_placement(backend, deadline, two, expected=1) == two
    assert await find_placement(backend, deadline, "carts", "k") == two


async def test_records_are_kept_there(kit: AsyncRegionKit) -> None:
    """By compare-and-set, as on a URL: with ends, and within a block or a Core connection of its own transaction."""
    records = records_of(kit)
    one, two = Record("work", "k", bytes(range(256))), Record("work", "k", b"", 2)
    assert await records.get(soon(), "work", "k") is None
    assert await records.put(soon(), one, expected=0, lasts=1.0) is one
    assert await records.get(soon(), "work", "k") == one
    assert await records.put(soon(), Record("work", "k", b"lost"), expected=0) == one
    await asleep(1.1)
    assert await records.get(soon(), "work", "k") is None
    assert await records.put(soon(), one, expected=0) is one
    async with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            async with s.write("orders") as db:
                assert await records.put(soon(), two, expected=1, within=db) is two
                raise ZeroDivisionError
        assert await records.get(soon(), "work", "k") == one
        async with s.write("orders", core=True) as connection:
            assert await records.put(soon(), two, expected=1, within=connection) is two
    assert await records.get(soon(), "work", "k") == two
    assert await records.delete(soon(), "work", "k", expected=1) == two
    assert await records.delete(soon(), "work", "k", expected=2) is None
    assert await records.get(soon(), "work", "k") is None


@pytest.mark.parametrize("strike", ["cut", "reply"])
async def test_a_record_whose_commit_is_lost_is_an_unknown_outcome(proxied: Any, strike: str) -> None:
    """The connection broke as COMMIT was sent, or its answer never arrived."""
    proxy, _ = proxied
    engine = engine_of(proxy.url)
    async with AsyncRegionKit(topology_of([engine]), local="us-east-1") as kit:
        await kit.create_tables()
        points: dict[str, Any] = {
            "cut": {"write.before_commit": proxy.cut},
            "reply": {"write.commit_sent": "drop_reply"},
        }
        with pytest.raises(OutcomeUnknown) as caught, crash_points(points[strike]):
            await records_of(kit).put(soon(), Record("work", "k", b""), expected=0)
        assert (caught.value.committed, caught.value.store) == ("unknown", "orders")
    await engine.dispose()


@pytest.fixture(params=["postgresql", "mariadb"])
def proxied(request: pytest.FixtureRequest) -> Any:
    """A proxy before a server with the application's tables, and the server's own URL."""
    servers = request.getfixturevalue({"postgresql": "pg", "mariadb": "mariadb"}[request.param])
    url = servers.primary.url_for(servers.database())
    make_tables(url)
    with FaultProxy(url) as proxy:
        yield proxy, url


async def test_dead_connections_are_replaced_after_a_change(proxied: Any) -> None:
    """Connections that were told of before a change are asked anew; one found dead then costs no block."""
    proxy, _ = proxied
    engine = engine_of(proxy.url)
    async with AsyncRegionKit(topology_of([engine]), local="us-east-1") as kit, kit.session() as s:
        await kit.create_tables()
        for kind in (s.read, s.write):
            async with kind("orders") as db:
                await db.execute(COUNT)
            backend: Any = kit._store("orders").backends[0]
            backend.evict()
            proxy.cut()
            proxy.heal()
            async with kind("orders") as db:
                await db.execute(COUNT)
    await engine.dispose()


async def test_a_commit_without_an_answer_is_an_unknown_outcome(proxied: Any) -> None:
    """The connection broke as COMMIT was sent: neither yes nor no is said, and the session goes on at the owner."""
    proxy, _ = proxied
    engine = engine_of(proxy.url)
    async with AsyncRegionKit(topology_of([engine]), local="us-east-1") as kit, kit.session() as s:
        await kit.create_tables()
        with pytest.raises(OutcomeUnknown) as caught, crash_points({"write.before_commit": proxy.cut}):
            async with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
        assert caught.value.committed == "unknown"
        assert caught.value.store == "orders"
        assert await s.bookmark() != ""
    await engine.dispose()


async def test_a_write_block_is_a_transaction_on_every_engine(rig: Rig) -> None:
    """A driver that commits by itself is refused; SQLAlchemy's own AUTOCOMMIT is set aside for the block, and back."""
    if rig.server != "sqlite":
        alone = engine_of(rig.urls[0], connect_args={"autocommit": True})
        async with AsyncRegionKit(topology_of([alone]), local="us-east-1") as kit:
            with pytest.raises(ConfigurationError, match="commit each statement"):
                await kit.create_tables()
        await alone.dispose()
    levelled = engine_of(rig.urls[0], isolation_level="AUTOCOMMIT")
    async with AsyncRegionKit(topology_of([levelled]), local="us-east-1") as kit:
        await kit.create_tables()
        with pytest.raises(ZeroDivisionError):
            async with kit.session() as s, s.write("orders") as db:
                await db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
                raise ZeroDivisionError
    assert rig.count() == 0
    async with levelled.connect() as connection:
        await connection.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
        await connection.rollback()
    assert rig.count() == 1
    await levelled.dispose()
