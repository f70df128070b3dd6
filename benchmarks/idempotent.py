"""An idempotent function in memory, and on Redis beside a GET of redis-py and aws-lambda-powertools; PostgreSQL is printed.

Everything is on: key, fingerprint over a dictionary of four fields, typed result encoded and decoded, lease, heartbeat. The first
call of a key is two round trips on Redis, a repeat one.
"""

from __future__ import annotations

import itertools
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import blake2b
from typing import Any

import msgspec
import redis
import sqlalchemy

from benchmarks.harness import Candidate, Report, Row, Settings, measure, pin, pin_children
from regionkit.messaging import MemoryRecords, RedisRecords, SqlRecords, idempotent
from regionkit.testing import servers

MOST_MEMORY, MOST_FIRST, MOST_DUPLICATE = 3.0, 2.5, 1.2
BULK, TURNS, OPS = 200, 20, 200
FIRST, DUPLICATE, FLOOR = "regionkit, first", "regionkit, duplicate", "lock, fingerprint, codec by hand"
GET, UPDATE = "redis-py GET", "a bare UPDATE and COMMIT"
POWERTOOLS_FIRST, POWERTOOLS_DUPLICATE = "powertools, first", "powertools, duplicate"
Order = dict[str, int]


def run(settings: Settings) -> list[Report]:
    """One report."""
    core = pin()
    report = Report("idempotent", "An idempotent function", settings)
    _memory(report, settings)
    with servers.redis() as found:
        pin_children(core)
        _redis(found.primary.url, report, settings)
    with servers.postgresql(settings={"fsync": "on"}) as found:
        pin_children(core)
        _postgresql(found.primary.url, report, settings)
    return [report]


def _order(id: int) -> Order:
    return {"id": id, "cents": 1200, "customer": 7, "shop": 3}


def _calls(store: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A first call of a new key, and a repeat."""

    @idempotent(store, key=lambda order: order["id"], name="pay")
    def pay(order: Order) -> Order:
        return order

    numbers = itertools.count(1)
    pay(_order(0))
    return lambda: pay(_order(next(numbers))), lambda: pay(_order(0))


def _memory(report: Report, settings: Settings) -> None:
    first, duplicate = _calls(MemoryRecords())
    lock = threading.Lock()
    table: dict[int, Any] = {}
    numbers = itertools.count(1)
    fingerprint = msgspec.msgpack.Encoder(order="deterministic").encode
    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Order).decode

    def by_hand() -> Any:
        order = _order(next(numbers))
        told = blake2b(fingerprint(order), digest_size=16).digest()
        with lock:
            table[order["id"]] = told
        data = encode(order)
        with lock:
            table[order["id"]] = (told, data)
        return decode(data)

    candidates = [
        Candidate(FIRST, first, bulk=BULK),
        Candidate(DUPLICATE, duplicate, bulk=BULK),
        Candidate(FLOOR, by_hand, bulk=BULK),
    ]
    rows = [
        Row("first call of a key", FIRST, way="time", most=MOST_MEMORY),
        Row("duplicate", DUPLICATE, way="time", most=MOST_MEMORY),
        Row("the floor: lock, fingerprint and codec, by hand", FLOOR, way="time"),
    ]
    report.add(rows, measure(candidates, settings, TURNS), "memory")


def _redis(url: str, report: Report, settings: Settings) -> None:
    with redis.Redis.from_url(url) as client, ExitStack() as stack:
        store = RedisRecords(client)
        stack.callback(store.close)
        first, duplicate = _calls(store)
        client.set("order", b"v" * 40)
        candidates = [
            Candidate(FIRST, first),
            Candidate(DUPLICATE, duplicate),
            Candidate(GET, lambda: client.get("order")),
        ]
        rows = [
            Row("first call of a key / GET", FIRST, GET, most=MOST_FIRST),
            Row("duplicate / GET", DUPLICATE, GET, most=MOST_DUPLICATE),
        ]
        peer = _powertools(url)
        if peer is None:
            report.note("aws-lambda-powertools is not installed: not measured.")
        else:
            candidates += [Candidate(POWERTOOLS_FIRST, peer[0]), Candidate(POWERTOOLS_DUPLICATE, peer[1])]
            rows += [
                Row("powertools, first / GET", POWERTOOLS_FIRST, GET),
                Row("powertools, duplicate / GET", POWERTOOLS_DUPLICATE, GET),
            ]
        report.add(rows, measure(candidates, settings, OPS), "Redis")


def _powertools(url: str) -> tuple[Callable[[], Any], Callable[[], Any]] | None:
    """The same function under aws-lambda-powertools, without the validation that breaks its repeats on Redis."""
    try:
        from aws_lambda_powertools.utilities.idempotency import (  # type: ignore[import-not-found]
            IdempotencyConfig,
            idempotent_function,
        )
        from aws_lambda_powertools.utilities.idempotency.persistence.cache import (  # type: ignore[import-not-found]
            CachePersistenceLayer,
        )
    except ImportError:
        return None
    layer = CachePersistenceLayer(client=redis.Redis.from_url(url, decode_responses=True))
    config = IdempotencyConfig(event_key_jmespath="id", expires_after_seconds=86_400)

    @idempotent_function(data_keyword_argument="order", persistence_store=layer, config=config)  # type: ignore[misc]
    def pay(order: Order) -> Order:
        return order

    numbers = itertools.count(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # outside of a Lambda it does not know how long a call may run
        pay(order=_order(0))

    def quietly(call: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return call()

        return run

    return quietly(lambda: pay(order=_order(next(numbers)))), quietly(lambda: pay(order=_order(0)))


def _postgresql(url: str, report: Report, settings: Settings) -> None:
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as db:
        db.execute(sqlalchemy.text("CREATE TABLE account (id int PRIMARY KEY, cents int)"))
        db.execute(sqlalchemy.text("INSERT INTO account VALUES (1, 0)"))
    update = sqlalchemy.text("UPDATE account SET cents = cents + 1 WHERE id = 1")

    def bare() -> None:
        with engine.begin() as db:
            db.execute(update)

    store = SqlRecords(engine)
    store.create_tables()
    first, duplicate = _calls(store)
    candidates = [Candidate(FIRST, first), Candidate(DUPLICATE, duplicate), Candidate(UPDATE, bare)]
    rows = [
        Row("first call of a key / an UPDATE", FIRST, UPDATE),
        Row("duplicate / an UPDATE", DUPLICATE, UPDATE),
        Row("first call of a key", FIRST, way="time"),
    ]
    report.add(rows, measure(candidates, settings, OPS), "PostgreSQL, fsync on")
    store.close()
    engine.dispose()
