"""Through PgBouncer in transaction mode: what its page says works, and what it says is refused is refused early."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import msgspec
import pytest
import sqlalchemy
from fix_pgbouncer import READER, Bouncer
from fix_rigs import NAMESPACE, Order, make_tables
from sqlalchemy import text

from regionkit import (
    EVENTUAL,
    SESSION,
    STRONG,
    AsyncRegionKit,
    ConfigurationError,
    Endpoint,
    Region,
    Role,
    SqlStore,
    Topology,
    UsageError,
)
from regionkit.backends.sql.bridge_async import adrive
from regionkit.core.concurrency_async import agather, asleep

pytestmark = pytest.mark.postgresql

HOME, HERE = "us-east-1", "ap-northeast-2"
KEY = "a key of more than sixteen characters"
ALL = 12
"""Sessions at once, on two server connections."""
RUNS = 8
"""More than the runs after which a statement is prepared."""


def topology(*endpoints: Endpoint) -> Topology:
    """One store."""
    store = SqlStore("orders", endpoints=endpoints)
    return Topology(namespace=NAMESPACE, regions=[Region(HOME), Region(HERE)], stores=[store])


@pytest.fixture
def database(pg: Any) -> str:
    """With the application's tables."""
    name = str(pg.database())
    make_tables(pg.primary.url_for(name))
    pg.wait_for_replicas()
    return name


@pytest.fixture
async def kit(bouncers: tuple[Bouncer, Bouncer], database: str) -> AsyncIterator[AsyncRegionKit]:
    """A primary and a standby, each behind a PgBouncer of its own."""
    first, second = bouncers
    primary = Endpoint(HOME, Role.PRIMARY, first.url_for(database), read_url=first.url_for(database, READER))
    standby = Endpoint(HERE, Role.REPLICA, second.url_for(database))
    async with AsyncRegionKit(topology(primary, standby), local=HERE, bookmark_keys=[KEY]) as kit:
        await kit.create_tables()
        yield kit


async def test_sessions_read_what_they_wrote(kit: AsyncRegionKit) -> None:
    """At the standby or at the primary, on server connections that all share; bookmarks go from session to session."""

    async def visit(number: int) -> None:
        async with kit.session() as s:
            async with s.write("orders", timeout=20) as db:
                db.add(Order(id=number, item=f"tea {number}"))
            async with s.read("orders", consistency=SESSION, timeout=20) as db:
                assert (await db.get(Order, number)).item == f"tea {number}"
            bookmark = await s.bookmark()
        async with kit.session(bookmark=bookmark) as later:
            async with later.read("orders", consistency=SESSION, timeout=20) as db:
                assert (await db.get(Order, number)).item == f"tea {number}"

    assert await agather([partial(visit, number) for number in range(ALL)]) == [None] * ALL
    async with kit.session() as s, s.read("orders", consistency=STRONG, core=True) as db:
        assert (await db.execute(text("SELECT count(*) FROM orders"))).scalar() == ALL


async def read_here(s: Any) -> None:
    """Read order 1, until the standby has it and serves it."""
    for _ in range(1000):
        async with s.read("orders", consistency=SESSION) as db:
            assert await db.get(Order, 1) is not None
        if s.last_route.region == HERE:
            return
        await asleep(0.02)
    raise AssertionError(f"it was read at {s.last_route}")


async def test_the_standby_serves_session_reads(kit: AsyncRegionKit) -> None:
    """Its position is proved through its own PgBouncer."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            db.add(Order(id=1, item="tea"))
        await read_here(s)


async def test_nothing_is_prepared(kit: AsyncRegionKit) -> None:
    """Without an option: a prepared statement would be looked for on another server connection."""
    async with kit.session() as s:
        for number in range(RUNS):
            async with s.write("orders", core=True) as db:
                for turn in range(RUNS):
                    item = {"id": number * RUNS + turn}
                    await db.execute(text("INSERT INTO orders (id, item) VALUES (:id, 'tea')"), item)
            async with s.read("orders", core=True, consistency=EVENTUAL) as db:
                for _ in range(RUNS):
                    await db.execute(text("SELECT count(*) FROM orders"))
        async with s.write("orders", core=True) as db:
            assert (await db.execute(text("SELECT count(*) FROM pg_prepared_statements"))).scalar() == 0


async def test_what_a_block_sets_ends_with_it(kit: AsyncRegionKit) -> None:
    """The next one gets the same server connection. A longer deadline of a call is not told to the server either."""
    async with kit.session() as s:
        for _ in range(4):
            async with s.write("orders", core=True, timeout=60) as db:
                await db.execute(text("SET work_mem = '1MB'"))
                await db.execute(text("CREATE TEMP TABLE mine (id int)"))
                await db.execute(text("SELECT pg_advisory_lock(42)"))
        async with s.write("orders", core=True) as db:
            assert (await db.execute(text("SHOW work_mem"))).scalar() == "4MB"
            assert (await db.execute(text("SHOW statement_timeout"))).scalar() == "0"
            assert (await db.execute(text("SELECT to_regclass('mine')"))).scalar() is None
            held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            assert (await db.execute(held)).scalar() == 0


def streamed(db: Any) -> int:
    """How many orders there are, fetched fifty at a time, by a Connection of SQLAlchemy's synchronous code."""
    return sum(1 for _ in db.execute(sqlalchemy.select(Order.id), execution_options={"yield_per": 50}))


async def test_keys_and_streams(kit: AsyncRegionKit) -> None:
    """A keyed write is one transaction; a stream stands in one, of a write or of a snapshot."""

    async def order(db: Any) -> int:
        db.add_all([Order(id=number, item="tea") for number in range(500)])
        return 500

    async with kit.session() as s:
        for _ in range(2):
            assert await s.execute_write("orders", order, idempotency_key="k") == 500
        async with s.read("orders", core=True, consistency=STRONG, snapshot=True) as db:
            plain = getattr(db, "sync_connection", db)
            assert await adrive(streamed, plain) == 500


async def test_reads_cannot_write(kit: AsyncRegionKit) -> None:
    """The server says so."""
    for level in (EVENTUAL, STRONG):
        with pytest.raises(UsageError, match="a write was tried"):
            async with kit.session() as s, s.read("orders", core=True, consistency=level) as db:
                await db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))


async def test_what_a_read_sets_needs_the_poolers_reset(
    pg: Any, bouncer_of: Callable[..., Bouncer], database: str
) -> None:
    """`server_reset_query_always`: the one server connection comes to the next client as new."""
    resets = bouncer_of(pg.replicas[0], server_reset_query_always="1", default_pool_size="1")
    standby = Endpoint(HERE, Role.REPLICA, resets.url_for(database))
    primary = Endpoint(HOME, Role.PRIMARY, pg.primary.url_for(database))
    async with AsyncRegionKit(topology(primary, standby), local=HERE) as kit, kit.session() as s:
        for _ in range(3):
            async with s.read("orders", core=True, consistency=EVENTUAL) as db:
                assert (await db.execute(text("SHOW work_mem"))).scalar() == "4MB"
                await db.execute(text("SET work_mem = '1MB'"))


async def test_a_promotion_is_not_proved(kit: AsyncRegionKit) -> None:
    """PgBouncer refuses the replication protocol."""
    async with kit.session() as s, s.write("orders") as db:
        db.add(Order(id=1, item="tea"))
    store = kit._store("orders")
    lineage, observation = store.state.snapshot.lineage, store.state.snapshot.endpoints[0].observation
    assert lineage is not None
    assert observation is not None
    system = lineage.current.origin.partition(":")[0]
    parent = msgspec.structs.replace(lineage.current, origin=f"{system}:0")
    assert await store.backends[0].prove_promotion(10.0, parent, observation) is None  # type: ignore[union-attr]


async def test_a_primary_whose_reads_could_write_is_refused(bouncers: tuple[Bouncer, Bouncer], database: str) -> None:
    """PgBouncer has dropped what we set, and the account of the URL may write."""
    primary = Endpoint(HOME, Role.PRIMARY, bouncers[0].url_for(database))
    async with AsyncRegionKit(topology(primary), local=HOME) as kit, kit.session() as s:
        with pytest.raises(ConfigurationError, match="read_url whose account has default_transaction_read_only"):
            async with s.read("orders", core=True, consistency=EVENTUAL) as db:
                await db.execute(text("SELECT 1"))


async def test_options_of_the_url_are_refused(bouncers: tuple[Bouncer, Bouncer], database: str) -> None:
    """They would be dropped in silence."""
    url = f"{bouncers[0].url_for(database)}?options=-c%20work_mem%3D2MB"
    primary = Endpoint(HOME, Role.PRIMARY, url)
    async with AsyncRegionKit(topology(primary), local=HOME) as kit, kit.session() as s:
        with pytest.raises(ConfigurationError, match="do not reach the server"):
            async with s.write("orders", core=True) as db:
                await db.execute(text("SELECT 1"))


async def test_a_bouncer_that_takes_no_options_is_refused(
    pg: Any, bouncer_of: Callable[..., Bouncer], database: str
) -> None:
    """The error says which setting it lacks."""
    strict = bouncer_of(pg.primary, ignore_startup_parameters="extra_float_digits")
    primary = Endpoint(HOME, Role.PRIMARY, strict.url_for(database))
    async with AsyncRegionKit(topology(primary), local=HOME) as kit, kit.session() as s:
        with pytest.raises(ConfigurationError, match="ignore_startup_parameters = options"):
            async with s.write("orders", core=True) as db:
                await db.execute(text("SELECT 1"))


async def test_another_server_behind_an_old_connection_is_noticed(
    pg: Any, bouncers: tuple[Bouncer, Bouncer], kit: AsyncRegionKit
) -> None:
    """The client's connection stays when PgBouncer leads elsewhere: each block asks who is there, and takes no older copy."""
    held = pg.replicas[1]
    held.pause_replay()
    try:
        async with kit.session() as s:
            async with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
            await read_here(s)
            bouncers[1].lead_to(held)
            for _ in range(10):
                async with s.read("orders", consistency=SESSION) as db:
                    assert await db.get(Order, 1) is not None
    finally:
        held.resume_replay()
        bouncers[1].lead_to(pg.replicas[0])
