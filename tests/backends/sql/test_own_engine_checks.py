"""Which engines and clients of the application's can serve an endpoint. Nothing connects."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool, StaticPool

from regionkit import (
    AsyncRegionKit,
    ConfigurationError,
    Endpoint,
    RedisStore,
    Region,
    RegionKit,
    Role,
    SqlStore,
    Topology,
)
from regionkit.topology import MemoryStore, Store

REGIONS = ("us-east-1", "ap-northeast-2")
FILE = "sqlite:///orders.db"
ASYNC_FILE = "sqlite+aiosqlite:///orders.db"


def topology(kind: type[Store], *endpoints: Endpoint) -> Topology:
    """One store."""
    store = kind("orders", endpoints=endpoints)
    return Topology(namespace="shop", regions=[Region(r) for r in REGIONS], stores=[store])


def refusal(made: Any, client: Any, kind: type[Store] = SqlStore) -> str:
    """What a kit says of an endpoint with this client."""
    with pytest.raises(ConfigurationError) as caught:
        made(topology(kind, Endpoint("us-east-1", Role.PRIMARY, client=client)), local="us-east-1")
    return str(caught.value)


@pytest.mark.parametrize(
    ("made", "given", "needed"),
    [
        (RegionKit, create_async_engine(ASYNC_FILE), "RegionKit needs a SQLAlchemy Engine"),
        (RegionKit, create_async_engine(ASYNC_FILE).sync_engine, "AsyncRegionKit with the AsyncEngine itself"),
        (RegionKit, FILE, "RegionKit needs a SQLAlchemy Engine"),
        (AsyncRegionKit, create_engine(FILE), "AsyncRegionKit needs a SQLAlchemy AsyncEngine"),
    ],
)
def test_the_other_kind_of_engine_is_refused(made: Any, given: Any, needed: str) -> None:
    """The error names the kind that is needed."""
    assert needed in refusal(made, given)


@pytest.mark.parametrize("url", ["sqlite://", FILE])
def test_one_connection_for_everybody_is_refused(url: str) -> None:
    """Blocks and the application would run in one another's transactions."""
    assert "StaticPool" in refusal(RegionKit, create_engine(url, poolclass=StaticPool))
    assert "StaticPool" in refusal(AsyncRegionKit, create_async_engine("sqlite+aiosqlite://"))
    assert "SingletonThreadPool" in refusal(RegionKit, create_engine("sqlite://"))


def test_a_database_in_memory_is_refused_when_it_is_seen() -> None:
    """A pool cannot tell: the connection does."""
    engine = create_engine("sqlite://", poolclass=NullPool)
    one = topology(SqlStore, Endpoint("us-east-1", Role.PRIMARY, client=engine))
    with RegionKit(one, local="us-east-1") as kit, pytest.raises(ConfigurationError, match="in memory"):
        kit.create_tables()


def test_engines_of_two_kinds_of_servers_are_refused() -> None:
    """Also where one is an engine and the other a URL."""
    url = "postgresql+psycopg://app@127.0.0.1/shop"
    for other in (
        Endpoint(REGIONS[1], Role.REPLICA, url),
        Endpoint(REGIONS[1], Role.REPLICA, client=create_engine(url)),
    ):
        mixed = topology(SqlStore, Endpoint(REGIONS[0], Role.PRIMARY, client=create_engine(FILE)), other)
        with pytest.raises(ConfigurationError, match="stores of their own"):
            RegionKit(mixed, local="us-east-1")


def test_a_dialect_that_is_not_known_is_refused() -> None:
    """The error names those that are."""
    engine = create_engine(FILE)
    engine.dialect.name = "oracle"
    assert "postgresql" in refusal(RegionKit, engine)


@pytest.mark.parametrize("made", [RegionKit, AsyncRegionKit])
def test_a_redis_client_is_refused(made: Any) -> None:
    """Its positions need connections that regionkit opens."""
    assert "a redis store takes a url" in refusal(made, object(), RedisStore)


def test_a_memory_store_takes_no_client() -> None:
    """It is refused when the store is described."""
    with pytest.raises(ConfigurationError, match="takes a url"):
        MemoryStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, client=object())])


def test_a_store_with_both_names_whose_engine_it_is() -> None:
    """The note is there wherever the handed-in engine stands in the store, and on no other store."""
    own = Endpoint(REGIONS[1], Role.REPLICA, client=create_engine(FILE))
    one = topology(SqlStore, Endpoint(REGIONS[0], Role.PRIMARY, "sqlite:///us.db"), own)
    with RegionKit(one, local="us-east-1") as kit:
        assert "the engine of ap-northeast-2 is the application's" in " ".join(str(kit.explain("orders")).split())
    two = topology(SqlStore, Endpoint(REGIONS[0], Role.PRIMARY, "sqlite:///us.db"))
    with RegionKit(two, local="us-east-1") as kit:
        assert "the application's" not in str(kit.explain("orders"))
