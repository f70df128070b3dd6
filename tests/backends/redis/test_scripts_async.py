"""Scripts run by their digest: one round trip, and the text travels once in each run of a server."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis
from fix_redis_endpoints import context_of
from fix_rig_redis import RedisRig

from regionkit import AsyncRegionKit, RegionUnavailable, UsageError
from regionkit.backends.redis.endpoint_async import AsyncRedisEndpoint
from regionkit.backends.redis.lua import lua
from regionkit.backends.redis.script_async import AsyncScript
from regionkit.backends.redis.stream_async import AsyncRedis
from regionkit.core.clock import SystemClock
from regionkit.core.concurrency_async import agather
from regionkit.core.deadline import Deadline
from regionkit.facts.request import Kind

pytestmark = pytest.mark.redis

PROVIDERS = pytest.mark.parametrize("provider", ["local", "wheel"])
PUT = AsyncScript("put_record")
DELETE = AsyncScript("delete_record")
REFUSED = (redis.exceptions.ResponseError, RegionUnavailable)
PACKAGE = "regionkit.backends.redis"
WAYS: dict[str, dict[str, Any]] = {
    "connection": {"protocol": 2},
    "decoding connection": {"protocol": 3, "decode_responses": True},
    "client": {"protocol": 2},
    "client of RESP3": {"protocol": 3},
    "decoding client": {"protocol": 3, "decode_responses": True},
    "client of another encoding": {"encoding": "latin-1", "decode_responses": True},
}


def patient() -> Deadline:
    """Longer than any of these takes."""
    return Deadline(SystemClock(), 30.0)


class Way:
    """What a script is run through: a connection of ours or a client, made anew on each call."""

    def __init__(self, url: str, name: str) -> None:
        self._client: Any = None
        self._endpoint = AsyncRedisEndpoint(context_of(url, **WAYS[name] if name.endswith("connection") else {}))
        if not name.endswith("connection"):
            self._client = AsyncRedis.from_url(url, **WAYS[name])

    async def run(self, script: AsyncScript, *args: Any, **options: Any) -> Any:
        """Run a script."""
        if self._client is not None:
            return await script.run(self._client, *args, **options)

        async def ask(connection: Any) -> Any:
            return await script.run(connection, *args, **options)

        return await self._endpoint.ask(Kind.WRITE, patient(), ask)

    async def close(self) -> None:
        """Close both."""
        await self._endpoint.close()
        if self._client is not None:
            async with self._client:
                pass


@pytest.fixture(params=WAYS)
async def way(request: pytest.FixtureRequest, redis_store_rig: RedisRig) -> AsyncIterator[Way]:
    """Each way to the primary."""
    made = Way(redis_store_rig.urls[0], request.param)
    yield made
    await made.close()


def before_7(servers: Any) -> bool:
    """Whether the server knows no read-only scripts."""
    with servers.primary.client(decode_responses=True) as client:
        about: Any = client.info("server")
    return int(about["redis_version"].partition(".")[0]) < 7


def calls(client: redis.Redis, command: str) -> int:
    """How often a server ran a command."""
    found: Any = client.info("commandstats")
    return int(found.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def test_a_server_that_forgot_a_script_learns_it_in_one_more_trip(way: Way, redis_store_rig: RedisRig) -> None:
    """EVAL once, EVALSHA from then on; replies are bytes and numbers, and values of all bytes come back."""
    with redis_store_rig.client() as plain:
        plain.script_flush()
        before = calls(plain, "eval")
        value = b"\x00\xff\xe9 \r\n"
        assert await way.run(PUT, ["k é"], [0, 1, value, ""]) == 1
        assert await way.run(PUT, ["k é"], [0, 1, b"other", ""]) == [b"1", value]
        assert calls(plain, "eval") - before == 1
        plain.script_flush()
        assert await way.run(PUT, ["k é"], [1, 2, "é", ""]) == 1
        assert calls(plain, "eval") - before == 2
        assert await way.run(DELETE, ["none"], [5]) == [None, None]
        assert plain.hgetall("k é") == {b"version": b"2", b"value": "é".encode()}


@pytest.mark.parametrize("name", ["connection", "client"])
async def test_the_text_travels_once_in_each_run_of_a_server(own_redis: Any, name: str) -> None:
    """Bytes that a server of our own received, before and after it was started anew."""
    servers = own_redis(0)
    length = len(lua(PACKAGE, "put_record").text)
    way = Way(servers.primary.url, name)

    async def received(number: int) -> int:
        with servers.primary.client() as plain:
            before: Any = plain.info("stats")
            assert await way.run(PUT, [f"k{number}"], [0, 1, b"v", ""]) == 1
            after: Any = plain.info("stats")
        return int(after["total_net_input_bytes"] - before["total_net_input_bytes"])

    for _ in range(2):
        with servers.primary.client() as plain:
            plain.flushall()
        await way._endpoint.ask(Kind.READ, patient(), introduced)
        assert await received(1) > length
        assert await received(2) < length / 2
        servers.primary.kill()
        servers.primary.start()
    await way.close()


async def introduced(connection: Any) -> Any:
    """A connection is there, so that the next block counts its own bytes only."""
    return await connection.ask_one("PING")


@PROVIDERS
@pytest.mark.parametrize("name", ["connection", "client"])
async def test_fifty_at_once_may_be_the_first(
    own_redis: Any, provider: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its own answer, and one has put the record."""
    monkeypatch.setenv("REGIONKIT_TEST_PROVIDERS", provider)
    way = Way(own_redis(0).primary.url, name)

    async def put(number: int) -> Any:
        return await way.run(PUT, ["k"], [0, 1, str(number), ""])

    answers = await agather([lambda n=n: put(n) for n in range(50)])  # type: ignore[misc]  # a default binds the loop's value
    assert answers.count(1) == 1
    winner = str(answers.index(1)).encode()
    assert [answer for answer in answers if answer != 1] == [[b"1", winner]] * 49
    await way.close()


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_replica_runs_a_script_that_only_reads(redis_store_rig: RedisRig, read_only: bool) -> None:
    """It learns the script by itself, and refuses one that writes."""
    for name in ("connection", "decoding connection", "client", "decoding client"):
        way = Way(redis_store_rig.urls[1], name)
        assert await way.run(DELETE, ["none"], [5], read_only=read_only) == [None, None]
        with pytest.raises(REFUSED, match=r"read only|READONLY|read-only"):
            await way.run(PUT, ["k"], [0, 1, b"v", ""], read_only=read_only)
        await way.close()


@PROVIDERS
@pytest.mark.parametrize("name", ["connection", "client"])
async def test_a_read_only_run_writes_nothing(
    own_redis: Any, provider: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a primary, where the script could."""
    monkeypatch.setenv("REGIONKIT_TEST_PROVIDERS", provider)
    servers = own_redis(0)
    if before_7(servers):
        pytest.skip("this server runs read-only scripts as any")
    way = Way(servers.primary.url, name)
    with pytest.raises(REFUSED, match="read-only"):
        await way.run(PUT, ["k"], [0, 1, b"v", ""], read_only=True)
    assert await way.run(PUT, ["k"], [0, 1, b"v", ""]) == 1
    assert await way.run(PUT, ["k"], [0, 1, b"v", ""], read_only=True) == [b"1", b"v"]
    await way.close()


@pytest.mark.parametrize("name", ["connection", "client"])
async def test_a_server_without_read_only_scripts_runs_them_as_any(own_redis: Any, name: str) -> None:
    """As Redis 6.2; it is asked once through a client."""
    servers = own_redis(0)
    if not before_7(servers):
        servers = own_redis(0, settings=("--rename-command", "EVALSHA_RO", "", "--rename-command", "EVAL_RO", ""))
    way = Way(servers.primary.url, name)
    for _ in range(2):
        assert await way.run(DELETE, ["none"], [5], read_only=True) == [None, None]
    with servers.primary.client() as plain:
        assert calls(plain, "evalsha") == 2
    await way.close()


async def test_in_a_pipeline_or_in_multi_it_is_refused(redis_store_rig: RedisRig) -> None:
    """NOSCRIPT would come when nothing can be sent any more."""
    async with AsyncRedis.from_url(redis_store_rig.urls[0]) as client:
        with pytest.raises(UsageError, match="in a pipeline"):
            await PUT.run(client.pipeline(), ["k"], [0, 1, b"v", ""])
        with pytest.raises(UsageError, match="through a dict"):
            await PUT.run({}, ["k"], [0, 1, b"v", ""])
    async with AsyncRegionKit(redis_store_rig.topology(), local="us-east-1") as kit:
        await kit.create_tables()
        async with kit.session() as s, s.write("orders") as block:
            assert await PUT.run(block, ["k"], [0, 1, b"v", ""]) == 1
            await block.execute_command("MULTI")
            with pytest.raises(UsageError, match="inside MULTI"):
                await PUT.run(block, ["k"], [1, 2, b"v", ""])
            await block.execute_command("DISCARD")


async def test_a_keyed_write_on_a_server_that_forgot_its_script_happens_once(redis_store_rig: RedisRig) -> None:
    """NOSCRIPT says for sure that nothing was done: it is run again at once, and counts once."""
    async with AsyncRegionKit(redis_store_rig.topology(), local="us-east-1") as kit:
        await kit.create_tables()

        async def work(pipe: Any) -> None:
            pipe.incr("n")

        async with kit.session() as s:
            for number in range(3):
                with redis_store_rig.client() as plain:
                    plain.script_flush()
                assert await s.execute_write("orders", work, idempotency_key=f"k{number}") == [number + 1]
                assert await s.execute_write("orders", work, idempotency_key=f"k{number}") == [number + 1]
    assert redis_store_rig.value("n") == "3"


def test_each_script_says_what_it_does() -> None:
    """KEYS, ARGV and what it returns stand at its head."""
    folder = Path(__file__).parents[3] / "regionkit" / "backends" / "redis" / "scripts"
    scripts = sorted(folder.glob("*.lua"))
    assert len(scripts) == 7
    for path in scripts:
        head = list(itertools.takewhile(lambda line: line.startswith("-- "), path.read_text().splitlines()))
        assert all(word in " ".join(head) for word in ("KEYS: ", "Returns ")), path
        assert lua(PACKAGE, path.stem).text == path.read_bytes()
