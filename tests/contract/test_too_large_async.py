"""What a server will not take, as it is too large, is the application's error: it says so, and no server is blamed."""

from __future__ import annotations

from typing import Any

import pymysql
import pytest
import redis
import sqlalchemy
from fix_rigs import NAMESPACE, Rig
from pymongo.errors import DocumentTooLarge, WriteError
from sqlalchemy import text

from regionkit import EVENTUAL, AsyncRegionKit, Endpoint, RedisStore, Region, Role, Topology

HOME = "us-east-1"
TIMES = 4
"""More than the failures in a row that would bar an endpoint."""
INSERT = text("INSERT INTO orders (id, item) VALUES (1, :item)")


def counted(kit: AsyncRegionKit) -> int:
    """Failures that count against an endpoint."""
    breakers = kit._store("orders").state._breakers.values()
    return sum(breaker.errors + breaker.window_failed for breaker in breakers)


async def test_a_statement_for_mariadb(mariadb_rig: Rig) -> None:
    """Above max_allowed_packet the server hangs up in the midst of it: it is not sent, and the connection stands."""
    limit = 1 << 24
    async with AsyncRegionKit(mariadb_rig.topology(), local=HOME) as kit, kit.session() as s:
        await kit.create_tables()
        for size in (limit - 10, limit, 2 * limit):
            with pytest.raises(sqlalchemy.exc.OperationalError, match="max_allowed_packet") as caught:
                async with s.write("orders", core=True) as db:
                    await db.execute(text("DELETE FROM orders"))
                    await db.execute(INSERT, {"item": "x" * size})
            assert isinstance(caught.value.orig, pymysql.err.OperationalError)
            assert caught.value.orig.args[0] == 1153
            with pytest.raises(sqlalchemy.exc.OperationalError, match="max_allowed_packet"):
                async with s.read("orders", core=True, consistency=EVENTUAL) as db:
                    await db.execute(text("SELECT length(:item)"), {"item": "x" * size})
        assert counted(kit) == 0
        async with s.write("orders", core=True) as db:
            with pytest.raises(sqlalchemy.exc.OperationalError, match="not sent"):
                await db.execute(INSERT, {"item": "x" * limit})
            await db.execute(INSERT, {"item": "tea"})
    assert mariadb_rig.count() == 1


async def test_a_value_for_postgresql(postgresql_rig: Rig) -> None:
    """The server answers, and stays."""
    async with AsyncRegionKit(postgresql_rig.topology(), local=HOME) as kit, kit.session() as s:
        for _ in range(TIMES):
            with pytest.raises(sqlalchemy.exc.OperationalError, match="too large"):
                async with s.read("orders", core=True, consistency=EVENTUAL) as db:
                    await db.execute(text("SELECT length(repeat('x', 2000000000))"))
        assert counted(kit) == 0


async def test_a_value_for_redis(own_redis: Any) -> None:
    """Above proto-max-bulk-len the server answers at its first bytes, and hangs up: that answer is told, and nothing was done."""
    servers = own_redis(0, settings=["--proto-max-bulk-len", "1mb"])
    store = RedisStore("orders", endpoints=[Endpoint(HOME, Role.PRIMARY, servers.primary.url)])
    made = Topology(namespace=NAMESPACE, regions=[Region(HOME)], stores=[store])
    async with AsyncRegionKit(made, local=HOME) as kit, kit.session() as s:
        await kit.create_tables()
        for size in (1 << 20, 3 << 20, 30 << 20):
            value = b"x" * (size + 1)
            with pytest.raises(redis.exceptions.ResponseError, match="invalid bulk length"):
                async with s.write("orders") as client:
                    await client.set("a", value)
            with pytest.raises(redis.exceptions.ResponseError, match="invalid bulk length"):
                async with s.read("orders") as client:
                    await client.get(value)
        assert counted(kit) == 0
        async with s.write("orders") as client:
            assert await client.get("a") is None


@pytest.mark.parametrize("size", [(1 << 20) + 1, 30 << 20])
@pytest.mark.parametrize("transaction", [True, False])
async def test_one_value_of_a_pipeline_for_redis(own_redis: Any, transaction: bool, size: int) -> None:
    """What was done is known: the commands before it, or nothing of a transaction. The rest of the pipeline is not run."""
    servers = own_redis(0, settings=["--proto-max-bulk-len", "1mb"])
    store = RedisStore("orders", endpoints=[Endpoint(HOME, Role.PRIMARY, servers.primary.url)])
    made = Topology(namespace=NAMESPACE, regions=[Region(HOME)], stores=[store])
    async with AsyncRegionKit(made, local=HOME) as kit, kit.session() as s:
        await kit.create_tables()
        for _ in range(TIMES):
            with pytest.raises(redis.exceptions.ResponseError, match="invalid bulk length") as caught:
                async with s.write("orders") as client:
                    pipeline = client.pipeline(transaction=transaction)
                    pipeline.set("before", "1").get("before")
                    pipeline.set("large", b"x" * size).set("after", "1")
                    await pipeline.execute()
            done = 0 if transaction else 1
            assert f"{done} writes before it in the pipeline are done" in " ".join(caught.value.__notes__)
        assert counted(kit) == 0
        async with s.write("orders") as client:
            expected = [None] * 3 if transaction else [b"1", None, None]
            assert await client.mget("before", "large", "after") == expected


async def test_a_refused_command_before_it_counts_for_nothing(own_redis: Any) -> None:
    """Of two errors the driver tells the first that it reads: its answers may have come before the server hung up, or not."""
    servers = own_redis(0, settings=["--proto-max-bulk-len", "1mb"])
    store = RedisStore("orders", endpoints=[Endpoint(HOME, Role.PRIMARY, servers.primary.url)])
    made = Topology(namespace=NAMESPACE, regions=[Region(HOME)], stores=[store])
    async with AsyncRegionKit(made, local=HOME) as kit, kit.session() as s:
        await kit.create_tables()
        async with s.write("orders") as client:
            await client.set("text", "no list")
        for _ in range(TIMES):
            with pytest.raises(redis.exceptions.ResponseError) as caught:
                async with s.write("orders") as client:
                    pipeline = client.pipeline(transaction=False)
                    pipeline.set("before", "1").lpush("text", "refused").set("large", b"x" * ((1 << 20) + 1))
                    await pipeline.set("after", "1").execute()
            told = " ".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
            assert "WRONGTYPE" in told or "1 writes before it in the pipeline are done" in told
        assert counted(kit) == 0
        async with s.write("orders") as client:
            assert await client.mget("before", "large", "after") == [b"1", None, None]


async def test_a_document_for_mongodb(mongo_store_rig: Any) -> None:
    """PyMongo does not send it, or the server answers; a bulk of several messages is split."""
    async with AsyncRegionKit(mongo_store_rig.topology(), local=HOME) as kit, kit.session() as s:
        await kit.create_tables()
        for size in (1 << 24, 20_000_000, 60_000_000):
            with pytest.raises((DocumentTooLarge, WriteError)):
                async with s.write("orders") as db:
                    await db.things.insert_one({"_id": "a", "value": "x" * size})
            with pytest.raises(DocumentTooLarge):
                async with s.read("orders", consistency=EVENTUAL) as db:
                    await db.things.find_one({"value": "x" * size})
        assert counted(kit) == 0
        async with s.write("orders") as db:
            assert await db.things.find_one({"_id": "a"}) is None
