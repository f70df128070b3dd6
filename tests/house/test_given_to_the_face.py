"""What a public class is given is judged at once: what is no number, flag, function or handle is refused, by an error of ours.

A class that is new has to be made here: `test_none_is_left_out`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
from sqlalchemy import BigInteger, Column, MetaData, String, Table, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

import regionkit
from regionkit import caching, messaging, transactions, web
from regionkit.embedded import SqliteRegions
from regionkit.errors import RegionKitError
from regionkit.messaging import sources

ROOMS = (regionkit, caching, messaging, sources, transactions, web)
ELSEWHERE = frozenset({"CassandraSink", "Profile", "RegionSession", "Relayed", "Summary", "Transaction"})
"""No application makes one, or not without a server: of the numbers of a profile and a Cassandra sink, see their tests."""
JUDGED_LATER = frozenset({"Loaded", "SourceFacts", "Unchanged"})
"""What a function or a source of the application returns: judged where it arrives."""
UNBOUNDED = frozenset({("Nearest", "latency_window")})
"""As large as one likes: then no region is nearer than another."""

ROWS = Table("t", MetaData(), Column("id", String(20), primary_key=True), Column("rk_ver", BigInteger, nullable=False))


def engine() -> Any:
    return create_engine("sqlite:///unused.db")  # a pool of its own; nobody connects


def mongo() -> Any:
    return pymongo.MongoClient("mongodb://127.0.0.1:1/shop?replicaSet=rs", connect=False)["shop"]


def load(key: Any) -> int:
    return 1


def participant(kind: str, url: str, **given: Any) -> Any:
    return getattr(transactions, f"{kind}Participant")("bank", create_engine(url), namespace="shop", **given)


def queue() -> Any:
    return sources.MemoryQueue("orders", group="billing")


MAKE: dict[str, Callable[..., Any]] = {
    "Directory": regionkit.Directory,
    "Nearest": regionkit.Nearest,
    "Cache": lambda **given: caching.Cache(
        "prices", int, strategy=caching.TTL(ttl=5), tiers=[caching.Local()], **given
    ),
    "CallSink": lambda **given: caching.CallSink(
        **{"function": load, "epochs": lambda cache, above: above + 1, **given}
    ),
    "MongoSink": lambda **given: caching.MongoSink(mongo(), "t", **given),
    "SqlSink": lambda **given: caching.SqlSink(engine(), ROWS, **given),
    "SqlLogSink": lambda **given: caching.SqlLogSink(engine(), **{"function": load, **given}),
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
    "MemoryParticipant": lambda **given: transactions.MemoryParticipant("bank", **given),
    "PostgresParticipant": lambda **given: participant("Postgres", "postgresql+psycopg://", **given),
    "MysqlParticipant": lambda **given: participant("Mysql", "mysql+pymysql://", **given),
    "MariaParticipant": lambda **given: participant("Maria", "mariadb+pymysql://", **given),
    "SqliteParticipant": lambda **given: participant("Sqlite", "sqlite:///unused.db", **given),
    "FilesParticipant": lambda **given: transactions.FilesParticipant("bank", "folder", **given),
    "FileDecisionLog": lambda **given: transactions.FileDecisionLog("log", **given),
    "SqlDecisionLog": lambda **given: transactions.SqlDecisionLog(engine(), **given),
    "Cached": lambda **given: caching.Cached(**{"function": load, "cache": caching.Lazy(ttl=5), **given}),
    "Cookie": web.Cookie,
}
"""With the least that each needs."""


Kind = str
WRONG: dict[Kind, tuple[Any, ...]] = {
    "number": (-1, math.nan, "x", b"x", True, [], 10**30),
    "flag": ("no", 1, 0, []),
    "function": (5, "x"),
}


def kind_of(annotation: str) -> Kind | None:
    """What a parameter takes, where it takes one kind alone."""
    words = annotation.replace("|", " ").split()
    if "float" in words or "int" in words:
        return "number"
    if words[:1] == ["bool"]:
        return "flag"
    return "function" if annotation.startswith("Callable") and "str" not in words else None


def parameters() -> Iterator[tuple[str, str, Kind, bool]]:
    """Of each public class: its name, a parameter, its kind, and whether it may be None."""
    for room in ROOMS:
        for name in room.__all__:
            given = getattr(room, name)
            if not inspect.isclass(given) or issubclass(given, BaseException) or name.startswith("Async"):
                continue
            for one in inspect.signature(given).parameters.values():
                kind = kind_of(str(one.annotation))
                if kind is not None and one.kind is not one.VAR_KEYWORD:
                    yield name, one.name, kind, str(one.annotation).endswith("| None")


FACE = sorted(set(parameters()))


def test_none_is_left_out() -> None:
    assert len(FACE) > 60
    assert {name for name, *_ in FACE} - ELSEWHERE - JUDGED_LATER - set(MAKE) == set()


@pytest.mark.parametrize(("name", "parameter", "kind", "optional"), [one for one in FACE if one[0] in MAKE])
def test_what_is_none_is_refused(name: str, parameter: str, kind: Kind, optional: bool) -> None:
    MAKE[name]()
    for wrong in (*WRONG[kind], *(() if optional else (None,))):
        if wrong == 10**30 and (name, parameter) in UNBOUNDED:
            continue
        with pytest.raises(RegionKitError):
            MAKE[name](**{parameter: wrong})
            pytest.fail(f"{name}({parameter}={wrong!r}) was taken")


HANDLES: dict[str, Callable[[Any], Any]] = {
    "Consumer": lambda given: messaging.Consumer(given, inbox=messaging.SqlInbox(engine())),
    "Consumer, inbox": lambda given: messaging.Consumer(queue(), inbox=given),
    "FileDecisionLog": transactions.FileDecisionLog,
    "Hospital": messaging.Hospital,
    "MongoInbox": messaging.MongoInbox,
    "MongoOutbox": messaging.MongoOutbox,
    "MongoSink": lambda given: caching.MongoSink(given, "t"),
    "Outbox": messaging.Outbox,
    "RedisInbox": lambda given: messaging.RedisInbox(given, hospital=engine()),
    "RedisInbox, hospital": lambda given: messaging.RedisInbox(redis.Redis(), hospital=given),
    "RedisStream": lambda given: sources.RedisStream(given, "orders"),
    "Relay": lambda given: messaging.Relay(given, to=queue()),
    "Relay, target": lambda given: messaging.Relay(messaging.Outbox(engine()), to=given),
    "SqlDecisionLog": transactions.SqlDecisionLog,
    "SqlInbox": messaging.SqlInbox,
    "SqlQueue": lambda given: sources.SqlQueue(given, "orders"),
    "SqlSink": lambda given: caching.SqlSink(given, ROWS),
    "TransactionManager": lambda given: transactions.TransactionManager(
        namespace="shop", log=given, participants={"bank": engine()}
    ),
    "TransactionManager, participant": lambda given: transactions.TransactionManager(
        namespace="shop", log=transactions.SqlDecisionLog(engine()), participants={"bank": given}
    ),
    "WriteBack": lambda given: caching.WriteBack(sink=given, durability="memory", load=load, ttl=5),
    "idempotent": lambda given: messaging.idempotent(given, key="order_id")(lambda order_id: 1),
}
"""What is given a server, or a part that stands on one."""
TAKES = {
    "FileDecisionLog": {"text"},
    "Hospital": {"mongo"},
    "MongoInbox": {"mongo"},
    "MongoOutbox": {"mongo"},
    "MongoSink": {"mongo"},
    "RedisInbox": {"redis"},
    "RedisInbox, hospital": {"mongo"},
    "RedisStream": {"redis", "text"},
}


@pytest.mark.parametrize("name", HANDLES)
def test_a_handle_that_does_not_fit_is_refused(name: str) -> None:
    """A client of another server, of the other world, a class, a text: a database of PyMongo's has each attribute."""
    others = {
        "none": None,
        "number": 5,
        "text": "redis://127.0.0.1",
        "class": object,
        "async": create_async_engine("sqlite+aiosqlite:///unused.db"),
        "redis": redis.Redis(),
        "mongo": mongo(),
        "client": pymongo.MongoClient(connect=False),
    }
    for kind, given in others.items():
        if kind in TAKES.get(name, ()):
            HANDLES[name](given)
            continue
        with pytest.raises(RegionKitError):
            HANDLES[name](given)
            pytest.fail(f"{name} took {kind}")


ODD: tuple[Any, ...] = (None, 5, 1.5, True, "\ud800", b"x", [], {}, object())


def none_of(name: str, call: Callable[[Any], Any], *takes: type) -> None:
    """Each is refused by an error of ours. Only values of a type in `takes` may be accepted."""
    for wrong in ODD:
        try:
            call(wrong)
        except RegionKitError:
            continue
        if not isinstance(wrong, takes):
            pytest.fail(f"{name} took {wrong!r}")


def test_methods_of_a_kit_refuse_what_they_cannot_use(tmp_path: Path) -> None:
    with SqliteRegions(tmp_path, store="shop", primary="us", replicas=["kr"]) as regions:
        with regionkit.RegionKit(regions.topology, local="kr") as kit:
            lazy = caching.Lazy(load=lambda key, store: 1, ttl=5)
            none_of("replace", kit.replace)
            none_of("cache, name", lambda given: kit.cache(given, int, store="shop", strategy=lazy))
            none_of("cache, store", lambda given: kit.cache("prices", int, store=given, strategy=lazy))
            none_of("cache, strategy", lambda given: kit.cache("prices", int, store="shop", strategy=given))
            none_of("session, bookmark", lambda given: kit.session(bookmark=given), type(None), list, dict)
            session = kit.session()
            none_of("read", session.read)
            none_of("write", session.write)
            none_of("execute_write", lambda given: session.execute_write("shop", given))


def test_methods_of_a_transaction_refuse_what_they_cannot_use(tmp_path: Path) -> None:
    bank = create_engine(f"sqlite:///{tmp_path / 'bank.db'}")
    log = transactions.SqlDecisionLog(bank)
    with transactions.TransactionManager(namespace="shop", log=log, participants={"bank": bank}) as tm:
        tm.create_tables()
        with tm.begin() as tx:
            none_of("session", tx.session)
            none_of("defer, name", lambda given: tx.defer(given, "SELECT 1"))
            none_of("on_committed", tx.on_committed)
            none_of("on_completed", tx.on_completed)
        none_of("run", tm.run)
        none_of("recover", lambda given: tm.recover(timeout=given), int, float)
    bank.dispose()


def test_methods_of_messaging_refuse_what_they_cannot_use(tmp_path: Path) -> None:
    shop = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    outbox, hospital, inbox = messaging.Outbox(shop), messaging.Hospital(shop), messaging.SqlInbox(shop)
    for kept in (outbox, hospital, inbox):
        kept.create_tables()
    with shop.begin() as db:
        none_of("publish, type", lambda given: outbox.publish(db, given, {}))
        none_of("publish, to", lambda given: outbox.publish(db, "x", {}, to=given), type(None))
        none_of("publish, key", lambda given: outbox.publish(db, "x", {}, key=given), type(None))
        none_of("publish, delay", lambda given: outbox.publish(db, "x", {}, delay=given), type(None), float, int)
    for verb in ("show", "retry", "retry_group", "release"):
        none_of(verb, getattr(hospital, verb))
    none_of("bury", lambda given: hospital.bury(given, reason="old"))
    for name in ("status", "key", "consumer", "type"):
        none_of(f"cases, {name}", lambda given, name=name: hospital.cases(**{name: given}), type(None))  # type: ignore[misc]
    consumer = messaging.Consumer(queue(), inbox=inbox)
    none_of("handler", lambda given: consumer.handler(given)(load))
    none_of("handler, function", lambda given: consumer.handler("x")(given))
    none_of("statement", lambda given: consumer.statement("x", given))
    none_of("run", lambda given: consumer.run(until_idle=given))
    for kept in (outbox, hospital, inbox):
        kept.close()
    shop.dispose()
