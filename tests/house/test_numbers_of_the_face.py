"""Each number that a public class takes is judged when it is given: what is none is refused, by an error of ours.

A class that is new has to be made here: `test_none_is_left_out`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import pymongo
import pytest
import redis
from sqlalchemy import BigInteger, Column, MetaData, String, Table, create_engine

import regionkit
from regionkit import caching, messaging, transactions, web
from regionkit.errors import RegionKitError
from regionkit.messaging import sources

ROOMS = (regionkit, caching, messaging, sources, transactions, web)
WRONG: tuple[Any, ...] = (-1, math.nan, "x", b"x", True, [], 10**30)
MADE_BY_US = frozenset({"Profile", "Relayed", "Summary", "Transaction"})
"""No application makes one: of a profile's numbers, see the tests of profiles."""
JUDGED_LATER = frozenset({"Loaded", "SourceFacts", "Unchanged"})
"""What a function or a source of the application returns: judged where it arrives."""
UNBOUNDED = frozenset({("Nearest", "latency_window")})
"""As large as one likes: then no region is nearer than another."""

ROWS = Table("t", MetaData(), Column("id", String(20), primary_key=True), Column("rk_ver", BigInteger, nullable=False))


def engine() -> Any:
    return create_engine("sqlite://")


def mongo() -> Any:
    return pymongo.MongoClient("mongodb://127.0.0.1:1/shop?replicaSet=rs", connect=False)["shop"]


def load(key: Any) -> int:
    return 1


def queue() -> Any:
    return sources.MemoryQueue("orders", group="billing")


MAKE: dict[str, Callable[..., Any]] = {
    "Directory": regionkit.Directory,
    "Nearest": regionkit.Nearest,
    "Cache": lambda **given: caching.Cache(
        "prices", int, strategy=caching.TTL(ttl=5), tiers=[caching.Local()], **given
    ),
    "CallSink": lambda **given: caching.CallSink(load, epochs=lambda cache, above: above + 1, **given),
    "CassandraSink": lambda **given: caching.CassandraSink(engine(), "t", **given),
    "MongoSink": lambda **given: caching.MongoSink(mongo(), "t", **given),
    "SqlSink": lambda **given: caching.SqlSink(engine(), ROWS, **given),
    "SqlLogSink": lambda **given: caching.SqlLogSink(engine(), load, **given),
    "FileJournal": lambda **given: caching.FileJournal("journal", **given),
    "SqlJournal": lambda **given: caching.SqlJournal(engine(), **given),
    "TTL": lambda **given: caching.TTL(**{"ttl": 5, **given}),
    "Lazy": lambda **given: caching.Lazy(**{"load": load, "ttl": 5, **given}),
    "WriteThrough": lambda **given: caching.WriteThrough(**{"load": load, "ttl": 5, **given}),
    "WriteBack": lambda **given: caching.WriteBack(
        **{"sink": caching.SqlSink(engine(), ROWS), "durability": "memory", "load": load, "ttl": 5, **given}
    ),
    "Local": caching.Local,
    "Shared": lambda **given: caching.Shared("redis://127.0.0.1", **given),
    "Memcached": lambda **given: caching.Memcached("memcached://127.0.0.1", **given),
    "Consumer": lambda **given: messaging.Consumer(queue(), inbox=messaging.SqlInbox(engine()), **given),
    "Relay": lambda **given: messaging.Relay(messaging.Outbox(engine()), to=queue(), **given),
    "SqlInbox": lambda **given: messaging.SqlInbox(engine(), **given),
    "MemoryQueue": lambda **given: sources.MemoryQueue("orders", **given),
    "RedisStream": lambda **given: sources.RedisStream(redis.Redis(), "orders", **given),
    "SqlQueue": lambda **given: sources.SqlQueue(engine(), "orders", **given),
    "TransactionManager": lambda **given: transactions.TransactionManager(
        log=transactions.SqlDecisionLog(engine()), namespace="shop", participants={"bank": engine()}, **given
    ),
    "Cookie": web.Cookie,
}
"""With the least that each needs."""


def numbers() -> Iterator[tuple[str, str, bool]]:
    """Of each public class: its name, a parameter that is a number, and whether it may be None."""
    for room in ROOMS:
        for name in room.__all__:
            given = getattr(room, name)
            if not inspect.isclass(given) or issubclass(given, BaseException) or name.startswith("Async"):
                continue
            for one in inspect.signature(given).parameters.values():
                words = str(one.annotation).replace("|", " ").split()
                if "float" in words or "int" in words:
                    yield name, one.name, "None" in words


FACE = sorted(set(numbers()))


def test_none_is_left_out() -> None:
    assert len(FACE) > 50
    assert {name for name, _, _ in FACE} - MADE_BY_US - JUDGED_LATER == set(MAKE)


@pytest.mark.parametrize(("name", "number", "optional"), [one for one in FACE if one[0] in MAKE])
def test_what_is_no_number_is_refused(name: str, number: str, optional: bool) -> None:
    for wrong in (*WRONG, *(() if optional else (None,))):
        if wrong == 10**30 and (name, number) in UNBOUNDED:
            continue
        with pytest.raises(RegionKitError):
            MAKE[name](**{number: wrong})
            pytest.fail(f"{name}({number}={wrong!r}) was taken")
