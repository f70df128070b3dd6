"""Consumers of a Redis stream: regionkit beside a raw loop, FastStream and taskiq, with the same handler and the same effect.

The effect is a HINCRBY of a field of the message's own, so that what was lost and what was done twice can be counted. A
consumer is measured from its first handler to its last; "raw" is XREADGROUP of 100 and one XACK, without any effect. What
becomes of copies, and of messages whose consumer is killed after the effect and before the acknowledgement, is counted too.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import msgspec
import redis
import redis.asyncio
import sqlalchemy

from benchmarks.harness import Candidate, Report, Row, Settings, measure, pin, pin_children
from regionkit.core.ids import uuid7
from regionkit.messaging import AsyncConsumer, AsyncRedisInbox, Consumer, RedisInbox
from regionkit.messaging.envelope import Envelope, encode
from regionkit.messaging.sources import AsyncRedisStream, RedisStream
from regionkit.testing import servers

MESSAGES, FETCH, ROUNDS = 1000, 100, 3
KILLED, DIES_AT, AWAY = 200, 50, 2.0
"""Messages of a killed consumer, the one after which it dies, and the seconds after which its messages are another's."""
QUIET, LONGEST, DIED = 6.0, 60.0, 9
RAW, EXACT, LEASED = "raw", "regionkit, effect in Redis", "regionkit, handler with lease"
ASYNC_EXACT, ASYNC_LEASED = "regionkit in asyncio, effect in Redis", "regionkit in asyncio, handler with lease"
HAND, FAST, FAST_BATCH, TASKIQ = "hand-written loop", "FastStream", "FastStream, batches", "taskiq"
NEEDS = {FAST: "faststream", FAST_BATCH: "faststream", TASKIQ: "taskiq_redis"}
STREAM, GROUP, HITS = "work", "g", "hits"
RECLAIMS = "FastStream, a second subscriber reclaims"


class Progress:
    """How many handlers have run, and when. The process ends at the last one, or where it is to die."""

    def __init__(self, count: int, dies_at: int = 0) -> None:
        self.count, self.dies_at = count, dies_at
        self.done, self.began = 0, 0.0

    def tick(self, messages: int = 1) -> None:
        """So many are done."""
        self.began = self.began or time.perf_counter()
        self.done += messages
        if self.dies_at and self.done >= self.dies_at:
            os._exit(DIED)
        if self.done >= self.count:
            print((time.perf_counter() - self.began) / (self.count - 1), flush=True)
            os._exit(0)


def run(settings: Settings) -> list[Report]:
    """One report."""
    logging.getLogger("taskiq").setLevel(logging.ERROR)
    core = pin()
    report = Report("streams", "Consumers of a Redis stream", settings)
    here = [name for name in (FAST, FAST_BATCH, TASKIQ) if importlib.util.find_spec(NEEDS[name])]
    for package in sorted({NEEDS[name] for name in NEEDS if name not in here}):
        report.note(f"{package} is not installed: not measured. `pip install 'regionkit[bench]'` brings it.")
    with servers.redis(0) as found, tempfile.TemporaryDirectory() as folder:
        pin_children(core)
        url = found.primary.url
        names = [RAW, EXACT, LEASED, HAND, ASYNC_EXACT, ASYNC_LEASED, *here]
        candidates = [Candidate(name, _timed(name, url, folder), own=True) for name in names]
        speeds = Settings(min(settings.rounds, ROUNDS), share=0.0)
        report.add(_rows(here), measure(candidates, speeds, 1))
        for name in (EXACT, LEASED, HAND, *here[:1], *([RECLAIMS] if here[:1] == [FAST] else []), *here[2:]):
            _faults(report, name, url, folder)
    return [report]


def _rows(here: list[str]) -> list[Row]:
    return [
        Row("raw / effect in Redis, one script a message", RAW, EXACT, least=0.45),
        Row("raw / handler with lease", RAW, LEASED, least=0.22),
        Row("raw / hand-written loop", RAW, HAND),
        *[Row(f"raw / {name}", RAW, name) for name in here],
        *[Row(f"{ASYNC_EXACT} / {name}", ASYNC_EXACT, name) for name in here],
        *[Row(f"{ASYNC_LEASED} / {name}", ASYNC_LEASED, name) for name in here],
    ]


# filling the stream, in the form of each


def _fill(name: str, url: str, numbers: list[int]) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    _publish(name, url, numbers)


def _publish(name: str, url: str, numbers: list[int]) -> None:
    if name == TASKIQ:
        asyncio.run(_by_taskiq(url, numbers))
    elif name in (FAST, FAST_BATCH, RECLAIMS):
        asyncio.run(_by_faststream(url, numbers))
    else:
        with redis.Redis.from_url(url) as client, client.pipeline(transaction=False) as pipeline:
            for n in numbers:
                pipeline.xadd(STREAM, {"rk": _body(name, n)})
            pipeline.execute()


def _body(name: str, n: int) -> bytes:
    if name in (RAW, HAND):
        return str(n).encode()
    id = f"copy-{n}" if n < 0 else str(uuid7())  # what is below zero is published twice
    return encode(Envelope(id, "work", msgspec.msgpack.encode(n)))


async def _by_faststream(url: str, numbers: list[int]) -> None:
    from faststream.redis import RedisBroker  # type: ignore[import-not-found]

    broker = RedisBroker(url, logger=None)
    await broker.connect()
    for n in numbers:
        await broker.publish(n, stream=STREAM, correlation_id=str(n))
    await broker.stop()


async def _by_taskiq(url: str, numbers: list[int]) -> None:
    broker, task = _taskiq(url, Progress(0), None)
    await broker.startup()
    for n in numbers:
        await task.kicker().with_task_id(str(n)).kiq(n)
    await broker.shutdown()


# consuming it


def _timed(name: str, url: str, folder: str) -> Callable[[], float]:
    def call() -> float:
        _fill(name, url, list(range(MESSAGES)))
        with _child(name, url, folder, count=MESSAGES) as child:
            said, _ = child.communicate(timeout=LONGEST)
        assert child.returncode == 0, (name, child.returncode)
        return float(said)

    return call


def _consume(name: str, url: str, folder: str, progress: Progress) -> None:
    if name in (RAW, HAND):
        _loop(name, url, progress)
    elif name in (EXACT, LEASED):
        _threads(name, url, folder, progress)
    else:
        made = {TASKIQ: _with_taskiq, FAST: _with_faststream, FAST_BATCH: _with_faststream, RECLAIMS: _with_faststream}
        asyncio.run(made.get(name, _in_asyncio)(name, url, folder, progress))


def _loop(name: str, url: str, progress: Progress) -> None:
    """As one writes it: what a dead member had is claimed when it has been idle for long enough."""
    me = str(os.getpid())
    with redis.Redis.from_url(url) as client:
        progress.began = time.perf_counter()
        while True:
            found = client.xreadgroup(GROUP, me, {STREAM: ">"}, count=FETCH)
            entries = found[0][1] if found else []
            if not entries and name == HAND:
                time.sleep(0.05)
                entries = client.xautoclaim(STREAM, GROUP, me, round(AWAY * 1000), count=FETCH)[1]
            if name == RAW:
                client.xack(STREAM, GROUP, *[id for id, _ in entries])
                progress.tick(len(entries))
                continue
            for id, fields in entries:
                client.hincrby(HITS, fields[b"rk"], 1)
                progress.tick()
                client.xack(STREAM, GROUP, id)


def _engine(folder: str) -> Any:
    return sqlalchemy.create_engine(f"sqlite:///{folder}/cases-{os.getpid()}.db")


def _threads(name: str, url: str, folder: str, progress: Progress) -> None:
    engine, client = _engine(folder), redis.Redis.from_url(url)
    inbox = _dying(RedisInbox, progress)(client, hospital=engine)
    inbox.create_tables()
    consumer = Consumer(RedisStream(url, STREAM, group=GROUP, lease=AWAY), inbox=inbox)
    if name == EXACT:

        @consumer.handler("work", effect="redis")
        def commands(message: Any) -> Any:
            return _commands(message, progress)
    else:

        @consumer.handler("work", effect="external", lease=AWAY, on_in_doubt="retry")
        def call(message: Any, context: Any) -> None:
            client.hincrby(HITS, message.payload, 1)
            progress.tick()

    consumer.run()


def _commands(message: Any, progress: Progress) -> list[tuple[Any, ...]]:
    if not progress.dies_at:
        progress.tick()
    return [("HINCRBY", HITS, message.payload, 1)]


def _dying(kind: Any, progress: Progress) -> Any:
    """An inbox whose process dies when an effect is done, and not acknowledged."""
    if not progress.dies_at:
        return kind

    class Dying(kind):  # type: ignore[misc]
        def apply_many(self, wishes: Any, *args: Any, **options: Any) -> Any:
            told = super().apply_many(wishes, *args, **options)
            progress.tick(len(wishes))
            return told

    return Dying


async def _in_asyncio(name: str, url: str, folder: str, progress: Progress) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/cases-async-{os.getpid()}.db")
    client = redis.asyncio.Redis.from_url(url)
    inbox = AsyncRedisInbox(client, hospital=engine)
    await inbox.create_tables()
    consumer = AsyncConsumer(AsyncRedisStream(url, STREAM, group=GROUP, lease=AWAY), inbox=inbox)
    if name == ASYNC_EXACT:

        @consumer.handler("work", effect="redis")
        async def commands(message: Any) -> Any:
            return _commands(message, progress)
    else:

        @consumer.handler("work", effect="external", lease=AWAY, on_in_doubt="retry")
        async def call(message: Any, context: Any) -> None:
            await client.hincrby(HITS, str(message.payload), 1)
            progress.tick()

    await consumer.run()


async def _with_faststream(name: str, url: str, folder: str, progress: Progress) -> None:
    from faststream.redis import RedisBroker, StreamSub

    client, broker, me = redis.asyncio.Redis.from_url(url), RedisBroker(url, logger=None), str(os.getpid())

    async def many(numbers: list[int]) -> None:
        async with client.pipeline(transaction=False) as pipeline:
            for n in numbers:
                pipeline.hincrby(HITS, str(n), 1)
            await pipeline.execute()
        progress.tick(len(numbers))

    async def one(number: int) -> None:
        await client.hincrby(HITS, str(number), 1)
        progress.tick()

    batch = name == FAST_BATCH
    kinds = [StreamSub(STREAM, group=GROUP, consumer=me, max_records=FETCH, batch=batch)]
    if name == RECLAIMS:
        kinds.append(StreamSub(STREAM, group=GROUP, consumer=me, max_records=1, min_idle_time=round(AWAY * 1000)))
    for kind in kinds:
        broker.subscriber(stream=kind)(many if batch else one)
    await broker.start()
    await asyncio.Event().wait()


def _taskiq(url: str, progress: Progress, client: Any) -> tuple[Any, Any]:
    from taskiq_redis import RedisStreamBroker  # type: ignore[import-not-found]

    broker = RedisStreamBroker(
        url, STREAM, consumer_group_name=GROUP, consumer_id="0", idle_timeout=round(AWAY * 1000), xread_block=500
    )

    @broker.task(task_name="work")  # type: ignore[misc]
    async def work(number: int) -> None:
        await client.hincrby(HITS, str(number), 1)
        progress.tick()

    return broker, work


async def _with_taskiq(name: str, url: str, folder: str, progress: Progress) -> None:
    from taskiq.api import run_receiver_task  # type: ignore[import-not-found]

    broker, _ = _taskiq(url, progress, redis.asyncio.Redis.from_url(url))
    await broker.startup()
    await run_receiver_task(broker)


# copies and a kill


def _faults(report: Report, name: str, url: str, folder: str) -> None:
    """What becomes of copies, and of what a consumer had that died after an effect."""
    most = 0.0 if name == EXACT else None
    copies = [-n for n in range(1, KILLED + 1)] * 2
    _fill(name, url, copies)
    with _child(name, url, folder) as child:
        done, _ = _settled(url)
        child.kill()
    report.figure(f"{name}: of {KILLED} copies took effect", done - KILLED, "", most=most)
    _fill(name, url, list(range(1, KILLED + 1)))
    with _child(name, url, folder, dies_at=DIES_AT) as child:
        assert child.wait(LONGEST) == DIED, name
    with _child(name, url, folder) as child:
        _publish(
            name, url, [KILLED + 1]
        )  # it shows that the other one works; and taskiq looks for what is left only then
        _until_done(url, KILLED + 1)
        done, fields = (count - 1 for count in _settled(url))
        child.kill()
    report.figure(f"{name}: of {KILLED} messages lost after a kill", KILLED - fields, "", most=most)
    report.figure(f"{name}: of {KILLED} messages done twice after a kill", done - fields, "", most=most)


def _child(name: str, url: str, folder: str, *, count: int = 1 << 60, dies_at: int = 0) -> subprocess.Popen[str]:
    words = [sys.executable, __file__, name, url, folder, str(count), str(dies_at)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def _until_done(url: str, number: int) -> None:
    until = time.monotonic() + LONGEST
    with redis.Redis.from_url(url) as client:
        while not client.hexists(HITS, str(number)):
            assert time.monotonic() < until, number
            time.sleep(0.1)


def _settled(url: str) -> tuple[int, int]:
    """Effects, and messages that had any, when nothing has changed for a while."""
    with redis.Redis.from_url(url) as client:
        until, changed, before = time.monotonic() + LONGEST, time.monotonic(), (0, 0)
        while time.monotonic() < until and (time.monotonic() - changed < QUIET or before == (0, 0)):
            time.sleep(0.1)
            counts = client.hvals(HITS)
            now = (sum(int(count) for count in counts), len(counts))
            if now != before:
                before, changed = now, time.monotonic()
        return before


if __name__ == "__main__":
    logging.getLogger("taskiq").setLevel(logging.ERROR)
    _consume(*sys.argv[1:4], Progress(*map(int, sys.argv[4:])))
