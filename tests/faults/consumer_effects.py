"""What consumers that die do, by inbox: move an account by one, and append what was applied to a ledger. Not a test."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import pymongo
import redis
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy
from sqlalchemy import create_engine, text

from regionkit.messaging.delivery import Judged, Verdict
from regionkit.messaging.inboxes.cassandra import CassandraInbox
from regionkit.messaging.inboxes.mongo import MongoInbox
from regionkit.messaging.inboxes.redis import RedisInbox
from regionkit.messaging.inboxes.sql import SqlInbox
from regionkit.topology import server_url

__all__ = ["effects_of"]

SERIAL = {
    "postgresql": "seq BIGSERIAL PRIMARY KEY",
    "mysql": "seq BIGINT PRIMARY KEY AUTO_INCREMENT",
    "sqlite": "seq INTEGER PRIMARY KEY AUTOINCREMENT",
}
Strike = Callable[[], None]


class SqlEffects:
    """In the transaction of a `SqlInbox`."""

    order: Any = "key"
    idle = 1.0
    """Seconds, above the leases: what a dead one had has come to another one by then."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)

    def inbox(self) -> Any:
        """A new one."""
        return SqlInbox(self._engine)

    def prepare(self, keys: list[str]) -> None:
        """The tables of the effect."""
        with self._engine.begin() as db:
            serial = SERIAL[self._engine.dialect.name.replace("mariadb", "mysql")]
            db.execute(text(f"CREATE TABLE ledger ({serial}, k VARCHAR(40) NOT NULL, n INTEGER NOT NULL)"))
            db.execute(text("CREATE TABLE accounts (id VARCHAR(40) PRIMARY KEY, n INTEGER NOT NULL)"))
            for key in keys:
                db.execute(text("INSERT INTO accounts VALUES (:k, 0)"), {"k": key})

    @staticmethod
    def register(consumer: Any, strike: Strike) -> None:
        """The handler; `strike` is called in the middle of it."""

        @consumer.handler("moved")  # type: ignore[untyped-decorator]
        def apply(message: Any, db: Any) -> None:
            db.execute(text("INSERT INTO ledger (k, n) VALUES (:k, :n)"), message.payload)
            strike()
            db.execute(text("UPDATE accounts SET n = n + 1 WHERE id = :k"), message.payload)

    def applied(self) -> tuple[dict[str, list[int]], dict[str, int]]:
        """By key: what the ledger says, and what the account says."""
        found: dict[str, list[int]] = {}
        with self._engine.connect() as db:
            for key, n in db.execute(text("SELECT k, n FROM ledger ORDER BY seq")):
                found.setdefault(key, []).append(n)
            accounts = dict(db.execute(text("SELECT id, n FROM accounts")).all())  # type: ignore[arg-type]
        return found, accounts

    @staticmethod
    def forget_claims(inbox: Any) -> None:
        """What the matrix has to find out: without them copies take effect."""
        inbox.judge = lambda *_, **__: Judged(Verdict.APPLY)

    def close(self) -> None:
        """Its connections."""
        self._engine.dispose()


class MongoEffects:
    """In the transaction of a `MongoInbox`. An entry of the ledger has the account's number as its place."""

    order, idle = SqlEffects.order, SqlEffects.idle

    forget_claims = staticmethod(SqlEffects.forget_claims)

    def __init__(self, url: str) -> None:
        self._client: Any = pymongo.MongoClient(url)
        self._database = self._client.get_default_database()

    def inbox(self) -> Any:
        """A new one."""
        return MongoInbox(self._database)

    def prepare(self, keys: list[str]) -> None:
        """The accounts."""
        self._database.accounts.insert_many([{"_id": key, "n": 0} for key in keys])
        self._database.create_collection("ledger")

    @staticmethod
    def register(consumer: Any, strike: Strike) -> None:
        """The handler; `strike` is called in the middle of it."""

        @consumer.handler("moved")  # type: ignore[untyped-decorator]
        def apply(message: Any, db: Any) -> None:
            account = {"_id": message.payload["k"]}
            at = db.accounts.find_one(account)["n"]
            db.ledger.insert_one({**message.payload, "at": at})
            strike()
            db.accounts.update_one(account, {"$inc": {"n": 1}})

    def applied(self) -> tuple[dict[str, list[int]], dict[str, int]]:
        """By key: what the ledger says, and what the account says."""
        found: dict[str, list[int]] = {}
        for one in self._database.ledger.find().sort("at", 1):
            found.setdefault(one["k"], []).append(one["n"])
        return found, {one["_id"]: one["n"] for one in self._database.accounts.find()}

    def close(self) -> None:
        """Its connections."""
        self._client.close()


class RedisEffects:
    """In the script of a `RedisInbox`, whose cases are in SQLite. It keeps no order of keys."""

    order, idle = None, SqlEffects.idle

    def __init__(self, url: str, hospital: str, prefix: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._hospital = create_engine(hospital)
        self._prefix = prefix

    def inbox(self) -> Any:
        """A new one."""
        return RedisInbox(self._client, hospital=self._hospital, namespace=self._prefix)

    def prepare(self, keys: list[str]) -> None:
        """Nothing: a key is made by its first command."""

    def register(self, consumer: Any, strike: Strike) -> None:
        """The handler; `strike` is called in it."""

        @consumer.handler("moved", effect="redis", batch=3)  # type: ignore[untyped-decorator]  # few, to die in many
        def apply(message: Any) -> Any:
            strike()
            key, n = message.payload["k"], message.payload["n"]
            return [["RPUSH", f"{self._prefix}:{key}", n], ["HINCRBY", f"{self._prefix}:accounts", key, 1]]

    def applied(self) -> tuple[dict[str, list[int]], dict[str, int]]:
        """By key: what the ledger says, and what the account says."""
        accounts = {key.decode(): int(n) for key, n in self._client.hgetall(f"{self._prefix}:accounts").items()}
        ledger = {key: sorted(map(int, self._client.lrange(f"{self._prefix}:{key}", 0, -1))) for key in accounts}
        return ledger, accounts

    @staticmethod
    def forget_claims(inbox: Any) -> None:
        """Each copy has a record of its own."""
        done = inbox.apply_many
        inbox.apply_many = lambda wishes, *given, **more: done(
            [msgspec.structs.replace(wish, id=os.urandom(8)) for wish in wishes], *given, **more
        )

    def close(self) -> None:
        """Its connections."""
        self._client.close()
        self._hospital.dispose()


class OutsideEffects:
    """At a provider, which notes each call by its key and can be asked: a file of SQLite. The inbox keeps claims with leases."""

    idle = 2.5
    lease = 1.0

    def __init__(self, cell: dict[str, Any]) -> None:
        self._url, self._kind = cell["inbox"], cell["inbox"].partition(":")[0].partition("+")[0]
        self._hospital, self._provider = create_engine(cell["hospital"]), create_engine(cell["provider"])
        self.order: Any = "key" if self._kind in ("postgresql", "mongodb") else None
        self._opened = ExitStack()

    def inbox(self) -> Any:
        """A new one."""
        match self._kind:
            case "postgresql":
                engine = create_engine(self._url)
                self._opened.callback(engine.dispose)
                return SqlInbox(engine)
            case "mongodb":
                return MongoInbox(self._opened.enter_context(pymongo.MongoClient(self._url)).get_default_database())
            case "redis":
                return RedisInbox(redis.Redis.from_url(self._url), hospital=self._hospital)
            case _:
                return CassandraInbox(self._opened.enter_context(cassandra_session(self._url)), hospital=self._hospital)

    def prepare(self, keys: list[str]) -> None:
        """The provider's book."""
        with self._provider.begin() as db:
            db.execute(text(f"CREATE TABLE calls ({SERIAL['sqlite']}, id VARCHAR(80), k VARCHAR(40), n INTEGER)"))

    def register(self, consumer: Any, strike: Strike) -> None:
        """The handler; `strike` is called when the provider has done it."""

        def resolve(message: Any, context: Any) -> str:
            with self._provider.connect() as db:
                said = {"id": context.idempotency_key}
                return "yes" if db.execute(text("SELECT 1 FROM calls WHERE id = :id"), said).first() else "no"

        @consumer.handler("moved", effect="external", lease=self.lease, resolve=resolve)  # type: ignore[untyped-decorator]
        def apply(message: Any, context: Any) -> None:
            context.check_fence()
            with self._provider.begin() as db:
                said = {"id": context.idempotency_key, **message.payload}
                db.execute(text("INSERT INTO calls (id, k, n) VALUES (:id, :k, :n)"), said)
            strike()

    def applied(self) -> tuple[dict[str, list[int]], dict[str, int]]:
        """By key: the calls, each where it came first, and how many there were."""
        found: dict[str, list[int]] = {}
        counts: Counter[str] = Counter()
        with self._provider.connect() as db:
            for key, n in db.execute(text("SELECT k, n FROM calls ORDER BY seq")):
                counts[key] += 1
                if n not in found.setdefault(key, []):
                    found[key].append(n)
        return found if self.order else {key: sorted(numbers) for key, numbers in found.items()}, dict(counts)

    @staticmethod
    def forget_claims(inbox: Any) -> None:
        """Each copy has a record of its own."""
        claims = inbox.records.claims
        claim, step = claims.claim, claims.step

        def own(wish: Any) -> Any:
            return msgspec.structs.replace(wish, id=wish.owner)

        claims.claim = lambda wish, **more: claim(own(wish), **more)
        claims.step = lambda what, wish, *more, **options: step(what, own(wish), *more, **options)

    def close(self) -> None:
        """Its connections."""
        self._opened.close()
        self._provider.dispose()
        self._hospital.dispose()


@contextmanager
def cassandra_session(url: str) -> Iterator[Any]:
    """In a keyspace of a cluster, with its first data centre at hand."""
    found = server_url("cassandra", url)
    hosts, port = [host for host, _ in found.hosts], found.hosts[0][1]
    profile = ExecutionProfile(load_balancing_policy=DCAwareRoundRobinPolicy("us-east-1"))
    cluster = Cluster(hosts, port=port, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    try:
        yield cluster.connect(found.database)
    finally:
        cluster.shutdown()


def effects_of(cell: dict[str, Any]) -> Any:
    """Those of a cell, by the address of its inbox."""
    url = cell["inbox"]
    if cell.get("provider"):
        return OutsideEffects(cell)
    if url.startswith("redis:"):
        return RedisEffects(url, cell["hospital"], cell["prefix"])
    return (MongoEffects if url.startswith("mongodb:") else SqlEffects)(url)
