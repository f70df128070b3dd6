"""An application's own exceptions, raised in a block: they leave as themselves, and no server is blamed for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pymysql
import pytest
import redis
from cassandra.cluster import NoHostAvailable
from fix_store_rigs import StoreRig
from pymongo.errors import AutoReconnect

from regionkit import EVENTUAL, AsyncRegionKit, RegionUnavailable

TIMES = 4
"""More than the failures in a row that would bar an endpoint."""


class Late(TimeoutError):
    """A time limit of the application's."""


class Over(BaseException):
    """What a time-out of greenlets is."""


class Mute(Exception):
    """An error that cannot say anything, and has no `orig` to look at either."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    @property
    def orig(self) -> object:
        """What SQLAlchemy's errors have."""
        raise RuntimeError("nor this")


class Speechless(Exception):
    """The same, of an ordinary class."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


OWN = (
    Mute(),
    Speechless(),
    FileNotFoundError("no such order"),
    ConnectionRefusedError("another service's"),
    TimeoutError("the request took too long"),
    Late("the request took too long"),
    Over("the request took too long"),
    RegionUnavailable("a block of another store, inside of this one", store="another", region="us-east-1"),
)


ANOTHERS = (
    psycopg.OperationalError("server closed the connection unexpectedly"),
    pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query"),
    redis.exceptions.ConnectionError("Connection closed by server."),
    redis.exceptions.TimeoutError("Timeout reading from socket"),
    AutoReconnect("connection closed"),
    NoHostAvailable("Unable to complete the operation against any hosts", {}),
)
"""Errors of clients that are the application's own, of whichever server."""


@pytest.fixture
async def kit(store_rig: StoreRig) -> AsyncIterator[AsyncRegionKit]:
    """A kit with its tables."""
    async with AsyncRegionKit(store_rig.topology(), local="ap-northeast-2") as kit:
        await kit.create_tables()
        yield kit


def counted(kit: AsyncRegionKit) -> int:
    """Failures that count against an endpoint."""
    breakers = kit._store("orders").state._breakers.values()
    return sum(breaker.errors + breaker.window_failed for breaker in breakers)


async def test_they_leave_as_themselves(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Out of reads and writes that have sent something; the next calls are served."""
    do = store_rig.AsyncActions
    owns = OWN if store_rig.server == "sqlite" else (*OWN, *ANOTHERS)  # nobody can tell whose error of a file it is
    async with kit.session() as s:
        for own in owns * TIMES:
            with pytest.raises(type(own)) as caught:
                async with s.read("orders", consistency=EVENTUAL) as db:
                    await do.get(db, "a")
                    raise own
            assert caught.value is own
            with pytest.raises(type(own)) as caught:
                async with s.write("orders") as db:
                    await do.put(db, "a", "tea")
                    raise own
            assert caught.value is own
        assert counted(kit) == 0
        async with s.write("orders") as db:
            await do.put(db, "a", "milk")
    assert store_rig.value("a") == "milk"
