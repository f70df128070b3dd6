"""Joining the application's own transaction in asyncio, and transactions of regionkit's own blocks."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy
from enlist_engines import ASYNC_DRIVERS, Base, Item, insert, really_begin, server_url
from fix_rigs import NAMESPACE, REGIONS, Rig
from sqlalchemy import text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)

from regionkit import AsyncRegionKit, Endpoint, OutcomeUnknown, Region, Role, SqlStore, Topology
from regionkit.contract.enlist import enlist
from regionkit.errors import UsageError
from regionkit.testing import FaultProxy, crash_points

PUT = "INSERT INTO items (id, name) VALUES (:id, :name)"


@pytest.fixture(params=ASYNC_DRIVERS)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[AsyncEngine]:
    """An application's engine."""
    made = create_async_engine(server_url(request.param, request))
    really_begin(made.sync_engine)
    async with made.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield made
    await made.dispose()


async def committed(engine: AsyncEngine) -> list[str]:
    """What is committed."""
    async with engine.connect() as connection:
        return list((await connection.execute(text("SELECT name FROM items ORDER BY id"))).scalars())


async def test_an_async_session_commits_with_its_calls(engine: AsyncEngine) -> None:
    """Calls are plain functions; the outcome is told once, and the next transaction starts anew."""
    seen: list[Any] = []
    async with AsyncSession(engine) as session:
        with pytest.raises(UsageError, match="run_sync"):
            enlist(session)
        session.add(Item(id=1, name="item 1"))
        joined = await session.run_sync(enlist)
        assert joined is enlist(session)
        joined.before_commit(lambda: seen.append(joined.execute("SELECT count(*) FROM items").scalar()))
        joined.before_commit(lambda: joined.execute(PUT, {"id": 2, "name": "item 2"}))
        joined.before_commit(lambda: session.add(Item(id=3, name="item 3")))
        joined.on_outcome(seen.append)
        await session.commit()
        assert seen == [1, "yes"]
        await session.execute(insert(4))
        enlist(session).on_outcome(seen.append)
        await session.rollback()
    assert seen == [1, "yes", "no"]
    assert await committed(engine) == ["item 1", "item 2", "item 3"]


async def test_an_async_connection_commits_with_its_calls(engine: AsyncEngine) -> None:
    """Savepoints, errors of calls, and ends past SQLAlchemy, as without asyncio."""
    seen: list[str] = []
    async with engine.connect() as connection:
        with pytest.raises(UsageError, match="begin one"):
            enlist(connection)
        async with connection.begin():
            enlist(connection).on_outcome(seen.append)
            savepoint = await connection.begin_nested()
            enlist(connection).on_outcome(seen.append)
            await savepoint.rollback()
            await connection.execute(insert(1))
        assert seen == ["no", "yes"]
        with pytest.raises(ZeroDivisionError):
            async with connection.begin():
                await connection.execute(insert(2))
                enlist(connection).before_commit(lambda: 1 / 0)
                enlist(connection).on_outcome(seen.append)
        assert seen[2:] == ["no"]
        await connection.execute(insert(3))
        enlist(connection).on_outcome(seen.append)
        await connection.execute(text("COMMIT"))
        with pytest.raises(UsageError, match="past SQLAlchemy"):
            await connection.commit()
        await connection.rollback()
    assert seen[3:] == ["unknown"]
    assert await committed(engine) == ["item 1", "item 3"]
    with pytest.raises(UsageError, match="not started"):
        enlist(engine.connect())


async def test_a_savepoint_of_an_async_session(engine: AsyncEngine) -> None:
    """One that has no connection of its own yet cannot be waited for either."""
    seen: list[str] = []
    async with AsyncSession(engine) as session:
        await session.execute(insert(1))
        enlist(session).on_outcome(lambda outcome: seen.append(f"outside: {outcome}"))
        async with session.begin_nested() as savepoint:
            with pytest.raises(UsageError, match="savepoint"):
                enlist(session)
            await session.execute(insert(2))
            enlist(session).on_outcome(lambda outcome: seen.append(f"inside: {outcome}"))
            await savepoint.rollback()
        await session.commit()
    assert seen == ["inside: no", "outside: yes"]
    assert await committed(engine) == ["item 1"]


async def test_an_async_scoped_session_is_its_session(engine: AsyncEngine) -> None:
    """async_scoped_session stands for the task's own AsyncSession."""
    scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)
    seen: list[str] = []
    await scoped.connection()
    enlist(scoped).on_outcome(seen.append)
    assert enlist(scoped) is enlist(scoped())
    await scoped.commit()
    await scoped.remove()
    assert seen == ["yes"]


async def test_a_cancelled_commit_is_unknown(engine: AsyncEngine) -> None:
    """The COMMIT may have been delivered; a cancellation before it was sent is a "no"."""
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no wire")
    with FaultProxy(f"{engine.url.host}:{engine.url.port}") as proxy:
        host, _, port = proxy.url.removeprefix("tcp://").rpartition(":")
        through = create_async_engine(engine.url.set(host=host, port=int(port)))
        for early in (False, True):
            seen: list[str] = []
            session = AsyncSession(through)
            await session.execute(insert(1 + early))
            joined = enlist(session)
            if early:
                joined.before_commit(proxy.freeze)
                joined.before_commit(lambda j=joined: j.execute("SELECT 1"))
            else:
                joined.before_commit(proxy.freeze)
            joined.on_outcome(seen.append)
            asyncio.get_running_loop().call_later(1.5, proxy.heal)  # psycopg waits ten seconds for a silent server
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await session.commit()
            assert seen == ["no" if early else "unknown"]
            proxy.heal()
            await session.close()
        await through.dispose()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # psycopg's, of the socket
@pytest.mark.filterwarnings("ignore:The garbage collector is trying to clean up:sqlalchemy.exc.SAWarning")
async def test_a_forgotten_async_session_is_no(engine: AsyncEngine) -> None:
    """Left to the garbage collector, and found by it."""
    others = set(threading.enumerate())  # of earlier tests
    seen: list[str] = []
    session = AsyncSession(engine)
    await session.execute(insert(1))
    joined = enlist(session)
    joined.on_outcome(seen.append)
    known = weakref.ref(joined.connection)
    del session, joined
    gc.collect()
    assert known() is None
    assert seen == ["no"]
    for thread in set(threading.enumerate()) - others:
        if "_connection_worker_thread" in thread.name:  # aiosqlite's ends on its own, and tells this loop
            await asyncio.to_thread(thread.join, 5.0)


def async_url(url: str) -> sqlalchemy.URL:
    """The same database, with a driver for asyncio."""
    made = sqlalchemy.make_url(url)
    name = made.get_backend_name()
    return made.set(
        drivername={"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}.get(name, "mysql+aiomysql")
    )


@pytest.mark.parametrize("core", [False, True])
@pytest.mark.parametrize("own_engine", [False, True])
async def test_a_block_of_ours(rig: Rig, core: bool, own_engine: bool) -> None:
    """A write block is joined like any transaction; a read block in autocommit is refused."""
    seen: list[str] = []
    engines = [create_async_engine(async_url(url)) for url in rig.urls] if own_engine else []
    roles = [Role.PRIMARY, Role.REPLICA, Role.REPLICA]
    endpoints = [Endpoint(r, role, client=e) for r, role, e in zip(REGIONS, roles, engines, strict=False)]
    topology = Topology(
        namespace=NAMESPACE,
        regions=[Region(r) for r in REGIONS],
        stores=[SqlStore("orders", endpoints=endpoints)] if own_engine else [],
    )
    chosen = topology if own_engine else rig.topology()
    async with AsyncRegionKit(chosen, local="us-east-1") as kit, kit.session() as s:
        await kit.create_tables()
        async with s.write("orders", core=core) as db:
            joined = await db.run_sync(enlist)
            joined.before_commit(lambda: joined.execute("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
            joined.on_outcome(seen.append)
        assert seen == ["yes"]
        with pytest.raises(LookupError):
            async with s.write("orders", core=core) as db:
                joined = await db.run_sync(enlist)
                joined.on_outcome(seen.append)
                raise LookupError
        assert seen == ["yes", "no"]
        async with s.read("orders", core=core) as db:
            if own_engine:  # a transaction that only reads, and is rolled back at the end
                (await db.run_sync(enlist)).on_outcome(lambda outcome: seen.append(f"read: {outcome}"))
            else:
                with pytest.raises(UsageError):
                    await db.run_sync(enlist)
        with crash_points({"write.commit_sent": "drop_reply"}), pytest.raises((OutcomeUnknown, ConnectionError)):
            async with s.write("orders", core=core) as db:
                joined = await db.run_sync(enlist)
                await db.execute(text("INSERT INTO orders (id, item) VALUES (2, 'tea')"))
                joined.on_outcome(seen.append)
        assert seen[2:] == ["read: no", "unknown"] if own_engine else ["unknown"]
    for made in engines:
        await made.dispose()
    assert rig.count() == 2
