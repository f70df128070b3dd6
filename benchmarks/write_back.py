"""Write-back: a put beside a SET of the same bytes, and batches of a hundred rows beside SQLAlchemy Core's upsert.

The hand-written version that both stand beside is the usual one: LPUSH of the row, and a worker that pops and upserts. It keeps
neither the order of two workers nor what a worker has popped when it dies; `write_back_kill` counts the latter.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import redis
import redis.asyncio
from sqlalchemy import BigInteger, Column, Engine, Integer, MetaData, String, Table, create_engine
from sqlalchemy.dialects import mysql, postgresql, sqlite

from benchmarks import write_back_kill
from benchmarks.harness import Candidate, Report, Row, Settings, measure, measure_async, pin, pin_children
from regionkit.caching import AsyncCache, Cache, FileJournal, Shared, SqlSink, WriteBack
from regionkit.caching.back.flushing import Flushing
from regionkit.caching.back.rules import Change, Verdict
from regionkit.caching.back.sinks.statements_sql import Statements
from regionkit.testing import servers

MOST_APPEND, MOST_STATEMENT, MOST_DRAIN = 1.6, 1 / 2.5, 1 / 0.8
PUTS, TASK_ROUNDS, TASKS, DRAINS, BATCH, ROWS, QUEUE = 100, 6, 50, 5, 100, 1000, 2000
OURS, AGAIN, SET, PUSH = "put of a new key", "put of a dirty key", "redis-py SET", "redis-py LPUSH"
CORE, STATEMENT, FLUSH = "Core's upsert", "sink's statement", "sink's flush"
SYNCED = "write, fdatasync, SET"
DRAIN, LONG_DRAIN, WORKER = "claim to ACK", f"claim to ACK, of {QUEUE} dirty keys", "RPOP and upsert"
HEALTHY = 5.0
"""Seconds that a server may take: none of these jobs is about time-outs."""
LONG = 3600.0
"""Seconds: no flusher runs by itself here, and nobody is to miss it."""
AOF = ("--appendonly", "yes", "--appendfsync")
MODES = {"memory": (), "aof-everysec": (*AOF, "everysec"), "aof-always": (*AOF, "always")}


class Item(msgspec.Struct, frozen=True):
    """A row without its key."""

    name: str
    amount: int


ITEM = Item("x" * 80, 42)
BYTES = msgspec.msgpack.encode(ITEM)


class Nowhere:
    """A sink for puts that nobody flushes."""

    def check(self) -> None: ...

    def create_tables(self) -> None: ...

    def raise_epoch(self, cache: str, above: int) -> int:
        return above + 1

    def flush(self, cache: str, epoch: int, changes: Sequence[Change]) -> list[Verdict]:
        return [Verdict.APPLIED] * len(changes)

    def load(self, key: Any, owner: bool = False) -> None: ...

    def forget_marks(self, cache: str, below: int) -> int:
        return 0

    def close(self) -> None: ...


class AsyncNowhere:
    """The same for asyncio."""

    async def check(self) -> None: ...

    async def create_tables(self) -> None: ...

    async def raise_epoch(self, cache: str, above: int) -> int:
        return above + 1

    async def flush(self, cache: str, epoch: int, changes: Sequence[Change]) -> list[Verdict]:
        return [Verdict.APPLIED] * len(changes)

    async def load(self, key: Any, owner: bool = False) -> None: ...

    async def forget_marks(self, cache: str, below: int) -> int:
        return 0

    async def close(self) -> None: ...


def run(settings: Settings) -> list[Report]:
    """Appends and drains."""
    lost = write_back_kill.lost()
    pin()
    return [_appends(settings), _journaled(settings), _drains(settings, lost)]


def _strategy(sink: Any, mode: str = "memory", journal: Any = None) -> WriteBack:
    return WriteBack(sink=sink, durability=mode, journal=journal, max_age=LONG, max_dirty=10**6, ttl=LONG)


def _journaled(settings: Settings) -> Report:
    """A put with a file journal beside the least that it could be: a line that is synced, and a SET."""
    report = Report("write_back_journal", "Write-back: a put with a journal beside a synced line and a SET", settings)
    number = itertools.count().__next__
    with tempfile.TemporaryDirectory() as name, servers.redis() as found, ExitStack() as stack:
        url = found.primary.url
        plain = stack.enter_context(redis.Redis.from_url(url))
        line = stack.enter_context((Path(name) / "line").open("ab", buffering=0))
        strategy = _strategy(Nowhere(), "journal", FileJournal(name, unsafe_place=True))
        cache = stack.enter_context(
            Cache("puts", Item, strategy=strategy, tiers=[Shared(url, timeout=HEALTHY)], namespace="bench")
        )

        def by_hand() -> None:
            line.write(BYTES)
            os.fdatasync(line.fileno())
            plain.set(f"s{number()}", BYTES)

        candidates = [
            Candidate(OURS, lambda: cache.put(f"n{number()}", ITEM)),
            Candidate(AGAIN, lambda: cache.put(f"o{number() % 100}", ITEM)),
            Candidate(SYNCED, by_hand),
        ]
        for candidate in candidates:
            candidate.run()
        rows = [Row(f"{name} / {SYNCED}", name, SYNCED) for name in (OURS, AGAIN)]
        report.add(rows, measure(candidates, settings, PUTS), "journal, threads")
    report.note(
        "The line and the SET have no version, no order and no replay. A put has two round trips and a thread's turn."
    )
    return report


def _appends(settings: Settings) -> Report:
    report = Report(
        "write_back_append", "Write-back: a put beside a SET of the same bytes, with the same fsync", settings
    )
    for mode, words in MODES.items():
        with servers.redis(settings=words) as found:
            url = found.primary.url
            with redis.Redis.from_url(url) as admin:
                _threads(mode, url, admin, report, settings)
            asyncio.run(_asyncio(mode, url, report, settings))
    return report


def _threads(mode: str, url: str, admin: Any, report: Report, settings: Settings) -> None:
    number = itertools.count().__next__
    with (
        redis.Redis.from_url(url) as plain,
        Cache("puts", Item, strategy=_strategy(Nowhere(), mode), tiers=[Shared(url, timeout=HEALTHY)]) as cache,
    ):
        candidates = [
            Candidate(OURS, lambda: cache.put(f"n{number()}", ITEM)),
            Candidate(AGAIN, lambda: cache.put(f"o{number() % 100}", ITEM)),
            Candidate(SET, lambda: plain.set(f"s{number()}", BYTES)),
            Candidate(PUSH, lambda: plain.lpush("list", BYTES)),
        ]
        for candidate in candidates:
            candidate.run()
        admin.config_resetstat()
        report.add(_append_rows(), measure(candidates, settings, PUTS), f"{mode}, threads")
        script, set_ = (admin.info("commandstats")[f"cmdstat_{name}"]["usec_per_call"] for name in ("evalsha", "set"))
        report.note(f"{mode}: a put takes the server {script:.0f} us, a SET {set_:.1f} us.")


async def _asyncio(mode: str, url: str, report: Report, settings: Settings) -> None:
    number = itertools.count().__next__
    plain = redis.asyncio.Redis.from_url(url)
    strategy, tiers = _strategy(AsyncNowhere(), mode), [Shared(url, timeout=HEALTHY)]
    async with AsyncCache("puts", Item, strategy=strategy, tiers=tiers) as cache:
        calls: dict[str, Callable[[], Any]] = {
            OURS: lambda: cache.put(f"an{number()}", ITEM),
            AGAIN: lambda: cache.put(f"ao{number() % 100}", ITEM),
            SET: lambda: plain.set(f"as{number()}", BYTES),
            PUSH: lambda: plain.lpush("list", BYTES),
        }
        for call in calls.values():
            await call()
        candidates = [Candidate(name, call) for name, call in calls.items()]
        report.add(_append_rows(), await measure_async(candidates, settings, PUTS), f"{mode}, asyncio")

        def together(call: Callable[[], Any]) -> Callable[[], Any]:
            async def run() -> None:
                await asyncio.gather(*(call() for _ in range(TASKS)))

            return run

        many = [Candidate(name, together(call)) for name, call in calls.items()]
        found = await measure_async(many, settings, TASK_ROUNDS)
        report.add(_append_rows(), found, f"{mode}, asyncio, {TASKS} tasks at once")
    await plain.aclose()


def _append_rows() -> list[Row]:
    return [
        Row(f"{OURS} / SET", OURS, SET, most=MOST_APPEND),
        Row(f"{AGAIN} / SET", AGAIN, SET, most=MOST_APPEND),
        Row("LPUSH of the hand-written version / SET", PUSH, SET),
    ]


def _drains(settings: Settings, lost: str) -> Report:
    report = Report("write_back_drain", f"Write-back: {BATCH} rows beside SQLAlchemy Core's upsert", settings)
    core = pin()
    with servers.redis() as shared:
        for name, database in _DATABASES.items():
            with database() as url, ExitStack() as stack:
                pin_children(core)
                candidates = _candidates(stack, name, url, shared.primary.url)
                report.add(_drain_rows(), measure(candidates, settings, DRAINS), name)
    report.note(
        "The sink's statement is the guarded upsert alone. Its flush fences by epoch and looks for deletes too. Claim to ACK is "
        "that, and two scripts, decoding, and the value that becomes the cache's. Many dirty keys are written by larger "
        f"transactions: their time is that of {BATCH} rows."
    )
    report.note(lost)
    return report


def _drain_rows() -> list[Row]:
    return [
        Row(f"{STATEMENT} / {CORE}", STATEMENT, CORE, most=MOST_STATEMENT),
        Row(f"{FLUSH} / {CORE}", FLUSH, CORE),
        Row(f"{DRAIN} / {CORE}", DRAIN, CORE, most=MOST_DRAIN),
        Row(f"{LONG_DRAIN} / {CORE}", LONG_DRAIN, CORE, most=MOST_DRAIN),
        Row(f"{WORKER} / {CORE}", WORKER, CORE),
        Row(f"{DRAIN} / {WORKER}", DRAIN, WORKER),
    ]


def _candidates(stack: ExitStack, server: str, url: str, shared: str) -> list[Candidate]:
    engine = create_engine(url)
    stack.callback(engine.dispose)
    table, plain = (_table(MetaData(), name) for name in ("items", "plain"))
    for made in (table, plain):
        made.metadata.create_all(engine)
    sink = SqlSink(engine, table)
    tiers = [Shared(shared, timeout=HEALTHY)]
    cache = stack.enter_context(Cache(f"drain_{server}", Item, strategy=_strategy(sink), tiers=tiers))
    cache.create_tables()
    assert cache.back is not None
    flushing: Flushing = cache.back._flushing  # one batch, without the loop around it
    client = stack.enter_context(redis.Redis.from_url(shared))
    numbers, upsert = itertools.count(1), _upsert(engine, plain)

    def keys() -> list[str]:
        start = next(numbers) * BATCH
        return [f"key-{n % ROWS}" for n in range(start, start + BATCH)]

    def written(rows: list[dict[str, Any]]) -> None:
        with engine.begin() as db:
            db.execute(upsert, rows)

    def core() -> float:
        rows = [{"id": key, "name": ITEM.name, "amount": next(numbers), "rk_ver": next(numbers)} for key in keys()]
        return _timed(lambda: written(rows))

    said = Statements(sink._target, "regionkit", engine.dialect).upsert(("id", "name", "amount", "rk_ver"))

    def stated(rows: list[dict[str, Any]]) -> None:
        with engine.begin() as db:
            whole = None if said.whole is None else said.json.said(rows)
            if whole is None:
                db.execute(said.rows, rows)
            else:
                db.execute(said.whole, {"rows": whole})

    def statement() -> float:
        rows = [
            {"id": f"s{key}", "name": ITEM.name, "amount": next(numbers), "rk_ver": next(versions)} for key in keys()
        ]
        return _timed(lambda: stated(rows))

    def flush() -> float:
        epoch = max(1, cache.back._parts.buffer.epoch) if cache.back else 1
        changes = [Change(f"f{key}", next(versions), Item(ITEM.name, next(numbers))) for key in keys()]
        return _timed(lambda: sink.flush(cache.name, epoch, changes))

    def drained(dirty: Sequence[str]) -> float:
        for key in dirty:
            cache.put(key, Item(ITEM.name, next(numbers)))
        took = 0.0
        while cache.buffer().dirty:
            took += _timed(flushing.batch)
        return took

    def drain() -> float:
        return drained(keys())

    def long_drain() -> float:
        return drained([f"l{n}" for n in range(QUEUE)]) * BATCH / QUEUE

    def worker() -> float:
        client.lpush("work", *[msgspec.msgpack.encode((key, ITEM.name, next(numbers))) for key in keys()])

        def popped() -> None:
            bodies = [msgspec.msgpack.decode(one) for one in client.rpop("work", BATCH)]  # type: ignore[union-attr]
            written([{"id": k, "name": name, "amount": amount, "rk_ver": 0} for k, name, amount in bodies])

        return _timed(popped)

    cache.put("first", ITEM)
    flushing.batch()
    versions = itertools.count(cache.put("first", ITEM).version)
    flushing.batch()
    calls = {CORE: core, STATEMENT: statement, FLUSH: flush, DRAIN: drain, LONG_DRAIN: long_drain, WORKER: worker}
    return [Candidate(name, call, own=True) for name, call in calls.items()]


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _table(meta: MetaData, name: str) -> Table:
    return Table(
        name,
        meta,
        Column("id", String(40), primary_key=True),
        Column("name", String(100), nullable=False),
        Column("amount", Integer, nullable=False),
        Column("rk_ver", BigInteger, nullable=False, server_default="0"),
    )


def _upsert(engine: Engine, table: Table) -> Any:
    """As SQLAlchemy's documentation has it."""
    names = ("name", "amount", "rk_ver")
    if engine.dialect.name in ("mysql", "mariadb"):
        said = mysql.insert(table)
        return said.on_duplicate_key_update({name: said.inserted[name] for name in names})
    made = (postgresql if engine.dialect.name == "postgresql" else sqlite).insert(table)
    return made.on_conflict_do_update(index_elements=["id"], set_={name: made.excluded[name] for name in names})


@contextmanager
def _postgresql() -> Iterator[str]:
    with servers.postgresql(settings={"fsync": "on", "synchronous_commit": "on"}) as found:
        yield found.primary.url_for(found.database())


@contextmanager
def _mariadb() -> Iterator[str]:
    with servers.mariadb() as found:
        yield found.primary.url_for(found.database())


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'items.db'}"


_DATABASES = {"postgresql": _postgresql, "mariadb": _mariadb, "sqlite": _sqlite}
