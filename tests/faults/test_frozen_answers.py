# Generated from test_frozen_answers_async.py by scripts/twins.py. Do not edit.
"""Every call that takes a time answers within it and a stated margin, while its server is frozen (SIGSTOP).

Each is made twice: on the connection that it has, and when it has to make one. What an application's own engine is given is
its URL and nothing else: no time-out of the driver helps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy
from fix_inboxes import InboxStore
from fix_plain import owner_of, plain_of
from sqlalchemy import text

from regionkit.caching import Cache, Lazy, Shared, SqlSink, WriteBack
from regionkit.core.concurrency import sleep
from regionkit.messaging import (
    CassandraRecords,
    Hospital,
    MongoRecords,
    RedisRecords,
    SqlRecords,
    idempotent,
)
from regionkit.transactions import (
    FileDecisionLog,
    MariaParticipant,
    PostgresParticipant,
    SqlDecisionLog,
    TransactionManager,
)

IS_ASYNC = False
Call = Callable[[], Any]
WITHIN = 0.5
"""Seconds that a call is given."""
MARGIN = 1.0
"""Seconds on top of a call's own: what its docstring says (the last answer of `idempotent`), and a busy machine."""
SQL = ("postgresql", "mariadb")
RECORDS: dict[str, Any] = {
    **dict.fromkeys(("postgresql", "mariadb", "mysql"), SqlRecords),
    **{"redis": RedisRecords, "mongo": MongoRecords, "cassandra": CassandraRecords},
}
PARTICIPANTS: dict[str, Any] = {"postgresql": PostgresParticipant, "mariadb": MariaParticipant}


class Place(NamedTuple):
    """What a call is made on."""

    server: str
    given: Any
    folder: Path
    rows: Any
    closers: list[Call]

    def records(self) -> Any:
        """Records of calls."""
        return RECORDS[self.server](self.given, namespace="frozen")


def _idempotent(place: Place) -> Call:
    """With nobody else at it, and a `wait_timeout`."""
    records = place.records()
    records.create_tables()
    place.closers.append(records.close)

    @idempotent(records, key=lambda number: number, name="frozen", wait_timeout=WITHIN)
    def once(number: int) -> int:
        return number

    numbers = iter(range(100, 200))
    once(next(numbers))

    def call() -> int:
        return once(next(numbers))

    return call


def _inbox(place: Place) -> Call:
    inbox = InboxStore(place.server, None).made(place.given, is_async=IS_ASYNC)
    place.closers.append(inbox.close)
    inbox.create_tables()

    def call() -> None:
        inbox.create_tables(timeout=WITHIN)

    return call


def _hospital(place: Place) -> Call:
    hospital = Hospital(place.given, namespace="frozen")
    place.closers.append(hospital.close)
    hospital.create_tables()

    def call() -> None:
        hospital.create_tables(timeout=WITHIN)

    return call


def _manager(place: Place, *, by_file: bool) -> Any:
    bank = PARTICIPANTS[place.server]("bank", place.given, namespace="frozen", unsafe_no_flush=True)
    log = FileDecisionLog(place.folder / "log") if by_file else SqlDecisionLog(place.given, unsafe_async_replica=True)
    made = TransactionManager(namespace="frozen", log=log, participants={"bank": bank})
    made.create_tables()

    def close() -> None:
        made.close(within=0.5)

    place.closers.append(close)
    _paid(made, 30.0)
    return made


def _paid(manager: Any, timeout: float = WITHIN) -> None:
    with manager.begin(timeout=timeout, settle=0.5) as tx:
        (tx.connection("bank")).execute(text("SELECT 1"))


def _of_manager(what: str, *, by_file: bool = False) -> Callable[[Place], Call]:
    def make(place: Place) -> Call:
        manager = _manager(place, by_file=by_file)

        def work(tx: Any) -> None:
            (tx.connection("bank")).execute(text("SELECT 1"))

        def call() -> Any:
            if what == "begin":
                return _paid(manager)
            if what == "run":
                return manager.run(work, timeout=WITHIN, settle=0.5)
            if what == "close":
                manager.start_recovery(0.1)
                sleep(0.3)
                began = time.monotonic()
                left = manager.close(within=WITHIN)
                assert time.monotonic() - began < WITHIN + MARGIN
                return left
            return getattr(manager, what)(timeout=WITHIN)

        return call

    return make


def _flush(place: Place) -> Call:
    """A write-back cache on a frozen Redis; its sink answers."""
    table = sqlalchemy.Table(
        "frozen",
        sqlalchemy.MetaData(),
        sqlalchemy.Column("id", sqlalchemy.String(40), primary_key=True),
        sqlalchemy.Column("value", sqlalchemy.String(40)),
        sqlalchemy.Column("rk_ver", sqlalchemy.BigInteger, nullable=False, server_default="0"),
    )
    with place.rows.begin() as db:
        words = "id VARCHAR(40) PRIMARY KEY, value VARCHAR(40), rk_ver BIGINT NOT NULL DEFAULT 0"
        db.execute(text(f"CREATE TABLE frozen ({words})"))
    sink = SqlSink(place.rows, table)
    cache = Cache(
        "frozen", dict, strategy=WriteBack(sink=sink, durability="memory", ttl=300.0), tiers=[Shared(place.given)]
    )
    place.closers.append(cache.close)
    cache.create_tables()
    cache.put("a", {"id": "a", "value": "1"})

    def call() -> Any:
        return cache.flush(timeout=WITHIN)

    return call


def _get(place: Place) -> Call:
    """It loads by itself then."""
    cache = Cache(
        "frozen", str, strategy=Lazy(load=lambda key: "loaded", ttl=300.0), tiers=[Shared(place.given, timeout=0.5)]
    )
    place.closers.append(cache.close)
    cache.get("warm")
    keys = iter("abcdef")

    def call() -> Any:
        assert cache.get(next(keys)) == "loaded"

    return call


ROWS: dict[str, tuple[tuple[str, ...], float, Callable[[Place], Call]]] = {
    "idempotent": (tuple(RECORDS), WITHIN, _idempotent),
    "Inbox.create_tables": ((*SQL, "mongo"), WITHIN, _inbox),
    "Hospital.create_tables": (SQL, WITHIN, _hospital),
    "begin": (SQL, WITHIN + 0.5, _of_manager("begin")),
    "begin, log on a file": (SQL, WITHIN + 0.5, _of_manager("begin", by_file=True)),
    "run": (SQL, WITHIN + 0.5, _of_manager("run")),
    "recover": (SQL, WITHIN, _of_manager("recover")),
    "recover, log on a file": (SQL, WITHIN, _of_manager("recover", by_file=True)),
    "in_doubt": (SQL, WITHIN, _of_manager("in_doubt")),
    "doctor": (SQL, WITHIN, _of_manager("doctor")),
    "manager.create_tables": (SQL, WITHIN, _of_manager("create_tables")),
    "close": (SQL, WITHIN + 0.3, _of_manager("close", by_file=True)),
    "Cache.get": (("redis",), 1.5, _get),  # it looks, connects, and stores
    "Cache.flush": (("redis",), WITHIN, _flush),
}


def _node(server: str, request: pytest.FixtureRequest) -> Any:
    fixture = {"postgresql": "pg", "redis": "redis_server"}.get(server, server)
    found = request.getfixturevalue(fixture)
    return found.nodes[0] if server in ("mongo", "cassandra") else found.primary


@pytest.mark.parametrize(("server", "name"), [(server, name) for name, row in ROWS.items() for server in row[0]])
def test_it_answers_in_its_time(
    server: str, name: str, request: pytest.FixtureRequest, data_path: Path, tmp_path: Path
) -> None:
    """Whatever it says."""
    _, seconds, make = ROWS[name]
    home = request.getfixturevalue("mongo_home") if server == "mongo" else None
    if home is not None:
        home.be_primary()
    node, rows, closers = _node(server, request), owner_of("sqlite", request, data_path), []
    with plain_of(owner_of(server, request, data_path)) as given, plain_of(rows) as engine:
        call = make(Place(server, given, tmp_path, engine, closers))
        took: list[float] = []
        said: list[Exception] = []
        node.freeze()
        try:
            for _ in range(2):
                began = time.monotonic()
                try:
                    call()
                except Exception as error:
                    said.append(error)
                took.append(time.monotonic() - began)
        finally:
            node.thaw()
            if home is not None:
                home.be_primary_again()
        for close in closers:
            close()
    assert max(took) < seconds + MARGIN, (took, said)
