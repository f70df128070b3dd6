"""Every call that takes a time answers within it and a stated margin, while its server is frozen (SIGSTOP).

Each is made twice: on the connection that it has, and when it has to make one. What an application's own engine is given is
its URL and nothing else: no time-out of the driver helps.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy
from fix_inboxes import InboxStore
from fix_plain import async_plain_of, owner_of
from sqlalchemy import text

from regionkit.caching import AsyncCache, AsyncSqlSink, Lazy, Shared, WriteBack
from regionkit.core.concurrency_async import asleep
from regionkit.messaging import (
    AsyncCassandraRecords,
    AsyncHospital,
    AsyncMongoRecords,
    AsyncRedisRecords,
    AsyncSqlRecords,
    idempotent,
)
from regionkit.transactions import (
    AsyncFileDecisionLog,
    AsyncMariaParticipant,
    AsyncPostgresParticipant,
    AsyncSqlDecisionLog,
    AsyncTransactionManager,
)

IS_ASYNC = True
Call = Callable[[], Awaitable[Any]]
WITHIN = 0.5
"""Seconds that a call is given."""
MARGIN = 1.0
"""Seconds on top of a call's own: what its docstring says (the last answer of `idempotent`), and a busy machine."""
SQL = ("postgresql", "mariadb")
RECORDS: dict[str, Any] = {
    **dict.fromkeys(("postgresql", "mariadb", "mysql"), AsyncSqlRecords),
    **{"redis": AsyncRedisRecords, "mongo": AsyncMongoRecords, "cassandra": AsyncCassandraRecords},
}
PARTICIPANTS: dict[str, Any] = {"postgresql": AsyncPostgresParticipant, "mariadb": AsyncMariaParticipant}


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


async def _idempotent(place: Place) -> Call:
    """With nobody else at it, and a `wait_timeout`."""
    records = place.records()
    await records.create_tables()
    place.closers.append(records.close)

    @idempotent(records, key=lambda number: number, name="frozen", wait_timeout=WITHIN)
    async def once(number: int) -> int:
        return number

    numbers = iter(range(100, 200))
    await once(next(numbers))

    async def call() -> int:
        return await once(next(numbers))

    return call


async def _inbox(place: Place) -> Call:
    inbox = InboxStore(place.server, None).made(place.given, is_async=IS_ASYNC)
    place.closers.append(inbox.close)
    await inbox.create_tables()

    async def call() -> None:
        await inbox.create_tables(timeout=WITHIN)

    return call


async def _hospital(place: Place) -> Call:
    hospital = AsyncHospital(place.given, namespace="frozen")
    place.closers.append(hospital.close)
    await hospital.create_tables()

    async def call() -> None:
        await hospital.create_tables(timeout=WITHIN)

    return call


async def _manager(place: Place, *, by_file: bool) -> Any:
    bank = PARTICIPANTS[place.server]("bank", place.given, namespace="frozen", unsafe_no_flush=True)
    log = (
        AsyncFileDecisionLog(place.folder / "log")
        if by_file
        else AsyncSqlDecisionLog(place.given, unsafe_async_replica=True)
    )
    made = AsyncTransactionManager(namespace="frozen", log=log, participants={"bank": bank})
    await made.create_tables()

    async def close() -> None:
        await made.close(within=0.5)

    place.closers.append(close)
    await _paid(made, 30.0)
    return made


async def _paid(manager: Any, timeout: float = WITHIN) -> None:
    async with manager.begin(timeout=timeout, settle=0.5) as tx:
        await (await tx.connection("bank")).execute(text("SELECT 1"))


def _of_manager(what: str, *, by_file: bool = False) -> Callable[[Place], Awaitable[Call]]:
    async def make(place: Place) -> Call:
        manager = await _manager(place, by_file=by_file)

        async def work(tx: Any) -> None:
            await (await tx.connection("bank")).execute(text("SELECT 1"))

        async def call() -> Any:
            if what == "begin":
                return await _paid(manager)
            if what == "run":
                return await manager.run(work, timeout=WITHIN, settle=0.5)
            if what == "close":
                await manager.start_recovery(0.1)
                await asleep(0.3)
                began = time.monotonic()
                left = await manager.close(within=WITHIN)
                assert time.monotonic() - began < WITHIN + MARGIN
                return left
            return await getattr(manager, what)(timeout=WITHIN)

        return call

    return make


async def _flush(place: Place) -> Call:
    """A write-back cache on a frozen Redis; its sink answers."""
    table = sqlalchemy.Table(
        "frozen",
        sqlalchemy.MetaData(),
        sqlalchemy.Column("id", sqlalchemy.String(40), primary_key=True),
        sqlalchemy.Column("value", sqlalchemy.String(40)),
        sqlalchemy.Column("rk_ver", sqlalchemy.BigInteger, nullable=False, server_default="0"),
    )
    async with place.rows.begin() as db:
        words = "id VARCHAR(40) PRIMARY KEY, value VARCHAR(40), rk_ver BIGINT NOT NULL DEFAULT 0"
        await db.execute(text(f"CREATE TABLE frozen ({words})"))
    sink = AsyncSqlSink(place.rows, table)
    cache = AsyncCache(
        "frozen", dict, strategy=WriteBack(sink=sink, durability="memory", ttl=300.0), tiers=[Shared(place.given)]
    )
    place.closers.append(cache.close)
    await cache.create_tables()
    await cache.put("a", {"id": "a", "value": "1"})

    async def call() -> Any:
        return await cache.flush(timeout=WITHIN)

    return call


async def _get(place: Place) -> Call:
    """It loads by itself then."""
    cache = AsyncCache(
        "frozen", str, strategy=Lazy(load=lambda key: "loaded", ttl=300.0), tiers=[Shared(place.given, timeout=0.5)]
    )
    place.closers.append(cache.close)
    await cache.get("warm")
    keys = iter("abcdef")

    async def call() -> Any:
        assert await cache.get(next(keys)) == "loaded"

    return call


ROWS: dict[str, tuple[tuple[str, ...], float, Callable[[Place], Awaitable[Call]]]] = {
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
async def test_it_answers_in_its_time(
    server: str, name: str, request: pytest.FixtureRequest, data_path: Path, tmp_path: Path
) -> None:
    """Whatever it says."""
    _, seconds, make = ROWS[name]
    home = request.getfixturevalue("mongo_home") if server == "mongo" else None
    if home is not None:
        home.be_primary()
    node, rows, closers = _node(server, request), owner_of("sqlite", request, data_path), []
    async with async_plain_of(owner_of(server, request, data_path)) as given, async_plain_of(rows) as engine:
        call = await make(Place(server, given, tmp_path, engine, closers))
        took: list[float] = []
        said: list[Exception] = []
        node.freeze()
        try:
            for _ in range(2):
                began = time.monotonic()
                try:
                    await call()
                except Exception as error:
                    said.append(error)
                took.append(time.monotonic() - began)
        finally:
            node.thaw()
            if home is not None:
                home.be_primary_again()
        for close in closers:
            await close()
    assert max(took) < seconds + MARGIN, (took, said)
