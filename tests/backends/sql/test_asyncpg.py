"""PostgreSQL through asyncpg: what the contracts, which it passes too, do not ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import NAMESPACE, Rig
from sqlalchemy import text
from waiting_async import seen

from regionkit import (
    EVENTUAL,
    AsyncRegionKit,
    ConfigurationError,
    Endpoint,
    OutcomeUnknown,
    Region,
    RegionKit,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
    UsageError,
)
from regionkit.backends.sql.driver import as_driver
from regionkit.testing import FaultProxy

pytest.importorskip("asyncpg", reason='pip install "regionkit[asyncpg]"')

HERE = "us-east-1"


@pytest.fixture
async def kit(asyncpg_rig: Rig) -> AsyncIterator[AsyncRegionKit]:
    """A kit beside the owner, its tables made."""
    async with AsyncRegionKit(asyncpg_rig.topology(), local=HERE) as made:
        yield await seen(made)


def kit_of(url: str, **endpoint: Any) -> AsyncRegionKit:
    """A kit of one endpoint."""
    store = SqlStore("orders", endpoints=[Endpoint(HERE, Role.PRIMARY, url, **endpoint)])
    return AsyncRegionKit(Topology(namespace=NAMESPACE, regions=[Region(HERE)], stores=[store]), local=HERE)


def insert(number: int) -> sqlalchemy.TextClause:
    """A row of the application's."""
    return text(f"INSERT INTO orders (id, item) VALUES ({number}, 'tea')")


async def test_a_write_takes_two_messages_once_its_plan_is_kept(kit: AsyncRegionKit) -> None:
    """BEGIN travels with the statement, and the position with COMMIT: as through psycopg."""
    counts: list[int] = []
    for number in range(3):
        async with kit.session() as s:
            async with s.write("orders", core=True) as connection:
                driver = as_driver((await connection.get_raw_connection()).dbapi_connection)
                sent: list[bytes] = []
                write, transport = driver.tap._transport.write, driver.tap._transport
                transport.write = lambda data, sent=sent, write=write: (sent.append(bytes(data)), write(data))[1]
                try:
                    await connection.execute(text("INSERT INTO orders (id, item) VALUES (:id, 'tea')"), {"id": number})
                    await connection.commit()
                finally:
                    del transport.write
            assert await s.bookmark() != ""
        kinds = [piece[:1] for piece in sent]
        counts.append(
            sum(
                kind in (b"Q", b"B") or piece.endswith(b"S\x00\x00\x00\x04")
                for kind, piece in zip(kinds, sent, strict=True)
            )
        )
    assert counts[-1] == 2


async def test_a_begin_that_fails_takes_its_statement_with_it(kit: AsyncRegionKit, asyncpg_rig: Rig) -> None:
    """The server skips what stands behind it: nothing is committed by itself."""
    with pytest.raises(sqlalchemy.exc.DBAPIError):
        async with kit.session() as s, s.write("orders", core=True) as connection:
            driver = as_driver((await connection.get_raw_connection()).dbapi_connection)
            driver.level = "NO SUCH LEVEL"
            await connection.execute(insert(1))
    driver.level = ""
    assert asyncpg_rig.count() == 0
    async with kit.session() as s, s.write("orders") as db:
        await db.execute(insert(2))
    assert asyncpg_rig.count() == 1


async def test_json_comes_as_values_and_costs_no_question(kit: AsyncRegionKit) -> None:
    """In a text's answer, too; SQLAlchemy's own adapter asks the server of each new connection."""
    async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
        row = (
            await db.execute(text("""SELECT '{"a": [1]}'::jsonb, '2'::json, NULL::jsonb, now(), 1.5::numeric"""))
        ).one()
        assert row[:3] == ({"a": [1]}, 2, None)


async def test_a_frozen_server_is_left_at_the_deadline(asyncpg_rig: Rig) -> None:
    """asyncpg's own time-outs would ask it to cancel, and wait."""
    with FaultProxy(asyncpg_rig.urls[0]) as proxy:
        async with kit_of(proxy.url) as kit:
            await kit.create_tables()
            async with kit.session() as s, s.read("orders") as db:
                await db.execute(text("SELECT 1"))
            proxy.freeze()
            began = time.monotonic()
            with pytest.raises((TimeoutError, ConnectionError)):
                async with kit.session() as s, s.read("orders", timeout=0.5) as db:
                    await db.execute(text("SELECT 1"))
            assert time.monotonic() - began < 5.0
            proxy.heal()


async def test_a_commit_without_an_answer_is_unknown(asyncpg_rig: Rig) -> None:
    """It was sent, and may have been done."""
    with FaultProxy(asyncpg_rig.urls[0]) as proxy:
        async with kit_of(proxy.url) as kit:
            await kit.create_tables()
            with pytest.raises(OutcomeUnknown):
                async with kit.session() as s, s.write("orders", timeout=1.0) as db:
                    await db.execute(insert(1))
                    proxy.drop_replies()
            proxy.heal()


async def test_a_cancelled_statement_closes_its_connection(kit: AsyncRegionKit, asyncpg_rig: Rig) -> None:
    """At once, and without a word to the server: that may be frozen. Its transaction is gone."""
    with pytest.raises(TimeoutError):
        async with kit.session() as s, s.write("orders", core=True) as connection:
            driver = as_driver((await connection.get_raw_connection()).dbapi_connection)
            await connection.execute(insert(1))
            async with asyncio.timeout(0.2):
                await connection.execute(text("SELECT pg_sleep(30)"))
    assert driver.is_closed()
    assert asyncpg_rig.count() == 0
    async with kit.session() as s, s.write("orders") as db:
        await db.execute(insert(2))
    assert asyncpg_rig.count() == 1


async def test_what_the_driver_is_told_is_the_blocks(kit: AsyncRegionKit, asyncpg_rig: Rig) -> None:
    """asyncpg's own calls stand in the block's transaction, and are rolled back with it."""
    with pytest.raises(ZeroDivisionError):
        async with kit.session() as s, s.write("orders", core=True) as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.execute("INSERT INTO orders (id, item) VALUES ($1, $2)", 1, "tea")
            await driver.executemany("INSERT INTO orders (id, item) VALUES ($1, 'tea')", [(2,), (3,)])
            await driver.copy_records_to_table("orders", records=[(4, "tea")], columns=["id", "item"])
            assert await driver.fetchval("SELECT count(*) FROM orders") == 4
            raise ZeroDivisionError
    assert asyncpg_rig.count() == 0


async def test_a_read_is_read_only_on_the_server(kit: AsyncRegionKit) -> None:
    """A mistake is the server's error, told as one of use."""
    with pytest.raises(UsageError, match="a write was tried in a read block"):
        async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            await db.execute(insert(1))


async def test_a_wrong_password_names_the_account(asyncpg_rig: Rig) -> None:
    """And shows no secret."""
    url = asyncpg_rig.urls[0].replace("app:app@", "nobody:canary-s3cret@")
    async with kit_of(url) as kit:
        with pytest.raises(RegionUnavailable) as caught:
            async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
                await db.execute(text("SELECT 1"))
    assert "canary" not in str(caught.value)
    assert caught.value.retryable is False


async def test_parameters_that_asyncpg_has_not_are_refused_by_name() -> None:
    """None is dropped in silence."""
    for parameter in ("channel_binding=require", "require_auth=scram-sha-256", "sslnegotiation=direct"):
        with pytest.raises(ConfigurationError, match=parameter.partition("=")[0]):
            async with kit_of(f"postgresql+asyncpg://app@localhost/shop?{parameter}") as kit:
                await kit.create_tables()


def test_in_threads_psycopg_serves_its_url(asyncpg_rig: Rig) -> None:
    """A process that has both kinds of kits writes one URL."""
    with RegionKit(asyncpg_rig.topology(), local=HERE) as kit, kit.session() as s, s.write("orders") as db:
        db.execute(insert(1))
    assert asyncpg_rig.count() == 1


async def test_plans_of_a_changed_table_are_made_anew(kit: AsyncRegionKit, asyncpg_rig: Rig) -> None:
    """A migration between two reads on one connection."""
    async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
        await db.execute(text("SELECT * FROM orders"))
    engine = sqlalchemy.create_engine(asyncpg_rig.plain)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE orders ADD COLUMN colour VARCHAR(10)"))
    engine.dispose()
    async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
        assert (await db.execute(text("SELECT * FROM orders"))).keys() >= {"id", "item", "colour"}
