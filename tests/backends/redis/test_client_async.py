"""What is special to Redis: the client of a block, what it refuses, keyed pipelines, connections that are left clean."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from fix_rig_redis import RedisRig
from fix_store_rigs import NAMESPACE

from regionkit import (
    EVENTUAL,
    AlreadyApplied,
    AsyncRegionKit,
    ConfigurationError,
    DeadlineExceeded,
    Endpoint,
    RedisStore,
    Region,
    RegionUnavailable,
    Role,
    Topology,
    UsageError,
)
from regionkit.contract.idempotency import Claim
from regionkit.core.concurrency_async import agather
from regionkit.core.deadline import Deadline
from regionkit.testing import FaultProxy
from regionkit.testing.servers.process import free_port

pytestmark = pytest.mark.redis

PATIENT = {"base": "balanced", "probe_timeout": 3.0, "trip_probes": 20, "read_deadline": 20.0, "write_deadline": 20.0}
"""A busy machine is no dead server."""


def one_region(url: str, **options: Any) -> Topology:
    """A store with one endpoint."""
    store = RedisStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, url)], options=options or None)
    return Topology(namespace=NAMESPACE, regions=[Region("us-east-1")], stores=[store])


@pytest.fixture
async def kit(redis_store_rig: RedisRig) -> AsyncIterator[AsyncRegionKit]:
    """A kit beside the primary."""
    async with AsyncRegionKit(redis_store_rig.topology(), local="us-east-1", profile=PATIENT) as kit:
        await kit.create_tables()
        yield kit


async def ids(client: Any) -> list[Any]:
    """The connection that each way of sending uses, as the server numbers it."""
    found = [await client.client_id()]
    for transaction in (True, False):
        async with client.pipeline(transaction=transaction) as pipe:
            pipe.client_id()
            found += await pipe.execute()
    async with client.pipeline() as pipe:
        await pipe.watch("watched")
        found.append(await pipe.client_id())
        pipe.multi()
        pipe.client_id()
        found += await pipe.execute()
    return found


async def test_all_of_a_block_runs_on_one_connection(kit: AsyncRegionKit) -> None:
    """Commands, pipelines and WATCH: else a check would speak of another connection than the one that reads."""
    async with kit.session() as s:
        for block in (s.read("orders"), s.write("orders")):
            async with block as client:
                assert len(set(await ids(client))) == 1


async def test_scripts_locks_and_transactions_of_the_driver_work(
    kit: AsyncRegionKit, redis_store_rig: RedisRig
) -> None:
    """What redis-py builds on its client runs in a write block as anywhere."""
    async with kit.session() as s, s.write("orders") as client:
        script = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        assert await script(keys=["n"], args=[2]) == 2
        async with client.pipeline() as pipe:
            await script(keys=["n"], args=[3], client=pipe)
            assert await pipe.execute() == [5]
        async with client.lock("lock", timeout=10):
            assert await client.exists("lock") == 1
        assert await client.exists("lock") == 0
        assert [key async for key in client.scan_iter("n*")] == [b"n"]
    assert redis_store_rig.value("n") == "5"


@pytest.mark.parametrize(
    "args",
    [
        ("SET", "a", "1"),
        ("set", "a", "1"),
        (b"SET", "a", "1"),
        ("GETEX", "a", "EX", "1"),
        ("EVAL", "return redis.call('SET', 'a', '1')", 0),
        ("FLUSHDB",),
        ("CONFIG SET", "maxmemory", "0"),
        ("CONFIG", "SET", "maxmemory", "0"),
        ("PUBLISH", "channel", "message"),
        ("NO.SUCH.COMMAND", "a"),
    ],
)
async def test_a_read_block_sends_nothing_that_may_write(
    kit: AsyncRegionKit, redis_store_rig: RedisRig, args: tuple[Any, ...]
) -> None:
    """At the primary, where the server would have done it; alone, in a pipeline and in a transaction."""
    with redis_store_rig.client() as client:
        client.set("a", "old")
    for transaction in (None, False, True):
        async with kit.session() as s:
            with pytest.raises(UsageError, match="read block"):
                async with s.read("orders") as db:
                    if transaction is None:
                        await db.execute_command(*args)
                    else:
                        pipe = db.pipeline(transaction=transaction)
                        pipe.get("a")
                        pipe.execute_command(*args)
                        await pipe.execute()
    assert redis_store_rig.value("a") == "old"


async def test_what_would_outlive_its_block_is_refused_by_name(kit: AsyncRegionKit) -> None:
    """Subscriptions, MONITOR, a client without a block."""
    async with kit.session() as s, s.write("orders") as client:
        for method in ("pubsub", "monitor", "client", "keyspace_notifications"):
            with pytest.raises(UsageError, match=method):
                getattr(client, method)()
        for words in (("SUBSCRIBE", "c"), ("CLIENT", "REPLY", "OFF"), ("HELLO", "3"), ("RESET",), ("MONITOR",)):
            with pytest.raises(UsageError, match=words[0]):
                await client.execute_command(*words)
        assert await client.ping()


async def test_no_block_notices_what_another_did_to_its_connection(kit: AsyncRegionKit) -> None:
    """Another database, a name, an open transaction, a watch: the connection goes, and the next block has a new one."""

    async def number(client: Any) -> Any:
        return (await client.client_info())["id"]

    async def select(client: Any) -> Any:
        return await client.select(5)

    async def watch(client: Any) -> Any:
        return await client.pipeline().watch("a")

    async def rename(client: Any) -> Any:
        return await client.client_setname("mine")

    seen = set()
    for change in (select, watch, rename):
        async with kit.session() as s, s.read("orders") as client:
            found = await number(client)
            assert found not in seen
            seen.add(found)
            info = await client.client_info()
            assert (info["db"], info["name"], info["multi"]) == (1, "", -1)
            await change(client)
    async with kit.session() as s, s.read("orders") as client:
        kept = await number(client)
    async with kit.session() as s, s.read("orders") as client:
        assert await number(client) == kept  # an ordinary block leaves it to the next


async def test_a_block_may_not_end_inside_a_transaction(kit: AsyncRegionKit, redis_store_rig: RedisRig) -> None:
    """What was queued is dropped, and that is told."""
    async with kit.session() as s:
        with pytest.raises(UsageError, match="MULTI"):
            async with s.write("orders") as client:
                await client.execute_command("MULTI")
                await client.execute_command("SET", "a", "1")
    assert redis_store_rig.value("a") is None


async def test_a_pipeline_is_dead_after_its_block(kit: AsyncRegionKit, redis_store_rig: RedisRig) -> None:
    """Also one that holds the connection for a watch."""
    async with kit.session() as s:
        async with s.write("orders") as client:
            late = client.pipeline()
            late.set("a", "late")
            watching = client.pipeline()
            await watching.watch("a")
        for pipe in (late, watching):
            with pytest.raises((UsageError, redis.exceptions.ConnectionError)):
                pipe.multi() if pipe is watching else None
                pipe.set("a", "late")
                await pipe.execute()
    assert redis_store_rig.value("a") is None


async def test_a_client_may_be_used_by_several_at_once(kit: AsyncRegionKit) -> None:
    """Each gets its own reply, one after the other."""
    async with kit.session() as s, s.write("orders") as client:
        for number in range(20):
            await client.set(f"k{number}", number)

        async def get(number: int) -> Any:
            return await client.get(f"k{number}")

        got = await agather([lambda n=n: get(n) for n in range(20)])  # type: ignore[misc]  # a default binds the loop's value
        assert got == [str(number).encode() for number in range(20)]


async def test_an_idle_connection_that_the_server_closed_is_not_used(
    kit: AsyncRegionKit, redis_store_rig: RedisRig
) -> None:
    """The next block connects anew."""
    async with kit.session() as s:
        async with s.read("orders") as client:
            number = await client.client_id()
        with redis_store_rig.client() as other:
            other.client_kill_filter(_id=number)
        async with s.read("orders") as client:
            assert await client.client_id() != number


@pytest.mark.parametrize("protocol", [2, 3])
async def test_replies_are_those_of_redis_py(redis_store_rig: RedisRig, protocol: int) -> None:
    """Texts and shapes as the options say, in blocks and in keyed writes."""
    options = {"decode_responses": True, "protocol": protocol}
    topology = one_region(redis_store_rig.urls[0], **options)
    async with AsyncRegionKit(topology, local="us-east-1", profile=PATIENT) as kit, kit.session() as s:
        await kit.create_tables()
        async with s.write("orders") as client:
            await client.hset("h", mapping={"a": "1"})
            await client.zadd("z", {"m": 1.5})
            with redis_store_rig.client(**options) as plain:
                assert await client.hgetall("h") == plain.hgetall("h") == {"a": "1"}
                assert await client.zrange("z", 0, -1, withscores=True) == plain.zrange("z", 0, -1, withscores=True)
                assert await client.get("none") is plain.get("none") is None

        async def work(pipe: Any) -> None:
            pipe.hgetall("h")
            pipe.set("a", "é")
            pipe.get("a")
            pipe.get("none")
            pipe.zscore("z", "m")
            pipe.lrange("none", 0, -1)

        expected = [{"a": "1"}, True, "é", None, 1.5, []]
        for _ in range(2):
            assert await s.execute_write("orders", work, idempotency_key=f"p{protocol}") == expected


async def test_a_keyed_write_keeps_its_replies_or_its_result(kit: AsyncRegionKit, redis_store_rig: RedisRig) -> None:
    """A function that returns nothing has the replies, also the second time; one that returns data has that."""

    async def silent(pipe: Any) -> None:
        pipe.incr("n")
        pipe.set("bytes", b"\x00\xff")
        pipe.get("bytes")
        pipe.mget("n", "none")

    async def spoken(pipe: Any) -> Any:
        pipe.incr("n")
        return {"placed": [1, "x"]}

    async def itself(pipe: Any) -> Any:
        return pipe.incr("n")

    async def object_(pipe: Any) -> Any:
        pipe.incr("n")
        return object

    async with kit.session() as s:
        for _ in range(2):
            replies = await s.execute_write("orders", silent, idempotency_key="k1")
            assert replies == [1, True, b"\x00\xff", [b"1", None]]
            assert await s.execute_write("orders", spoken, idempotency_key="k2") == {"placed": [1, "x"]}
        assert await s.execute_write("orders", itself, idempotency_key="k3") == [3]
        assert await s.execute_write("orders", object_, idempotency_key="k4") is object
        with pytest.raises(AlreadyApplied):
            await s.execute_write("orders", object_, idempotency_key="k4")
    assert redis_store_rig.value("n") == "4"
    with redis_store_rig.client() as client:
        assert client.pttl(f"{NAMESPACE}:rk:marker:orders:k1") > 24 * 3_600_000


async def test_replies_too_large_to_keep_are_not_kept(kit: AsyncRegionKit, redis_store_rig: RedisRig) -> None:
    """The effect happens once all the same."""

    async def work(pipe: Any) -> None:
        pipe.append("n", "x" * 5000)
        pipe.get("n")

    async with kit.session() as s:
        assert len((await s.execute_write("orders", work, idempotency_key="k"))[1]) == 5000
        with pytest.raises(AlreadyApplied):
            await s.execute_write("orders", work, idempotency_key="k")
    assert len(redis_store_rig.value("n")) == 5000


async def test_a_failing_command_of_a_keyed_write(kit: AsyncRegionKit, redis_store_rig: RedisRig) -> None:
    """As the first it leaves the key free; later, what ran before it stays and the key is used."""

    async def first(pipe: Any) -> None:
        pipe.lpush("text", "x")
        pipe.incr("n")

    async def later(pipe: Any) -> None:
        pipe.incr("n")
        pipe.lpush("text", "x")
        pipe.incr("n")

    async with kit.session() as s:
        async with s.write("orders") as client:
            await client.set("text", "a")
        with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
            await s.execute_write("orders", first, idempotency_key="k")
        assert redis_store_rig.value("n") is None
        with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
            await s.execute_write("orders", later, idempotency_key="k")
        assert redis_store_rig.value("n") == "1"
        with pytest.raises(AlreadyApplied):
            await s.execute_write("orders", later, idempotency_key="k")
    assert redis_store_rig.value("n") == "1"


@pytest.mark.parametrize(
    "name", ["blpop", "watch", "execute", "multi", "xread", "eval", "flushdb", "sort", "config_get", "subscribe"]
)
async def test_what_a_keyed_write_can_not_hold_is_refused_by_name(
    kit: AsyncRegionKit, redis_store_rig: RedisRig, name: str
) -> None:
    """Before anything is sent: the key stays free."""
    calls: dict[str, tuple[Any, ...]] = {
        "blpop": ("q",),
        "watch": ("a",),
        "xread": ({"stream": "$"},),
        "eval": ("return 1", 0),
        "sort": ("a",),
        "config_get": ("dir",),
    }

    async def work(pipe: Any) -> None:
        pipe.incr("n")
        if name == "subscribe":
            pipe.execute_command("SUBSCRIBE", "c")
        else:
            found = getattr(pipe, name)(*calls.get(name, ()))
            if hasattr(found, "__await__"):
                await found

    async with kit.session() as s:
        with pytest.raises(UsageError, match="keyed write"):
            await s.execute_write("orders", work, idempotency_key="k")
    with redis_store_rig.client() as client:
        assert client.exists("n", f"{NAMESPACE}:rk:marker:orders:k") == 0


async def test_a_keyed_write_on_a_full_server_is_whole_or_nothing(own_redis: Any) -> None:
    """What needs memory is refused and leaves the key free; what needs none comes with its marker."""
    servers = own_redis(0)
    async with AsyncRegionKit(one_region(servers.primary.url), local="us-east-1", profile=PATIENT) as kit:
        await kit.create_tables()

        async def add(pipe: Any) -> None:
            pipe.incr("n")

        async def remove(pipe: Any) -> None:
            pipe.delete("a")

        async with kit.session() as s:
            async with s.write("orders") as client:
                await client.set("a", "x" * 100)
                await client.config_set("maxmemory", 1)
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                await s.execute_write("orders", add, idempotency_key="k1")
            assert await s.execute_write("orders", remove, idempotency_key="k2") == [1]
            assert await s.execute_write("orders", remove, idempotency_key="k2") == [1]
            async with s.write("orders") as client:
                await client.config_set("maxmemory", 0)
            assert await s.execute_write("orders", add, idempotency_key="k1") == [1]


async def test_a_command_with_too_many_words_for_a_script_is_refused(kit: AsyncRegionKit) -> None:
    """Before it is sent: Lua would fail in the middle."""

    async def work(pipe: Any, count: int) -> None:
        pipe.incr("n")
        pipe.mset({f"k{number}": number for number in range(count)})

    async with kit.session() as s:
        with pytest.raises(UsageError, match="words"):
            await s.execute_write("orders", lambda pipe: work(pipe, 3000), idempotency_key="k")
        assert await s.execute_write("orders", lambda pipe: work(pipe, 2400), idempotency_key="k") == [1, True]


async def test_a_tombstone_bars_the_attempts_that_had_not_seen_it(
    kit: AsyncRegionKit, redis_store_rig: RedisRig
) -> None:
    """One that is on its way does nothing; a new one replaces the tombstone it saw, and no later one."""
    shard = kit._store("orders").shards[0]
    backend = shard.backend(0)
    runs = 0

    async def settle() -> None:
        marker = await backend.settle(Deadline(shard.clock, 10.0), Claim("k", "", f"settled {runs}"))
        assert marker.applied is False

    async def work(pipe: Any) -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            await settle()  # between the look-up and the script
        pipe.incr("n")

    async with kit.session() as s:
        assert await s.execute_write("orders", work, idempotency_key="k") == [1]
    assert runs == 3
    assert redis_store_rig.value("n") == "1"
    after = await backend.settle(Deadline(shard.clock, 10.0), Claim("k", "", "late"))
    assert after.applied is True


async def test_the_position_of_a_write_comes_with_its_answer_where_that_saves_a_round_trip(
    redis_store_rig: RedisRig,
) -> None:
    """Over a distance: single commands, pipelines, transactions and keyed writes leave a bookmark without a question."""
    with FaultProxy(redis_store_rig.urls[0]) as proxy:
        proxy.latency(0.005)
        async with AsyncRegionKit(one_region(proxy.url), local="us-east-1", profile=PATIENT) as kit:
            await kit.create_tables()
            positions = []

            async def keyed(pipe: Any) -> None:
                pipe.set("a", "5")

            for kind in ("command", "pipeline", "transaction", "script", "keyed"):
                async with kit.session() as s:
                    if kind == "keyed":
                        await s.execute_write("orders", keyed, idempotency_key="k")
                    else:
                        block = s.write("orders")
                        async with block as client:
                            if kind == "command":
                                await client.set("a", "1")
                            elif kind == "script":
                                await client.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, "a", "4")
                            else:
                                async with client.pipeline(transaction=kind == "transaction") as pipe:
                                    pipe.set("a", "2")
                                    pipe.set("a", "3")
                                    await pipe.execute()
                    [entry] = s._state.bookmark.entries("orders", "")
                    with redis_store_rig.client() as plain:
                        offset = plain.info("replication")["master_repl_offset"]
                    assert entry.position is not None
                    assert not s._state._untaken
                    positions.append((entry.position, offset))
            ends = [end for _, end in positions]
            starts = [0, *ends[:-1]]
            assert all(a < position <= end for a, (position, end) in zip(starts, positions, strict=True)), positions


def port_of_a_member() -> int:
    """A free port whose bus, which is 10,000 above it, is a port too; Redis 6.2 takes no other bus."""
    while (port := free_port()) > 55_535:
        pass
    return port


async def test_a_member_of_a_cluster_is_refused_at_first_contact(
    own_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys move there by themselves: said at once, not with the first MOVED."""
    monkeypatch.setattr("regionkit.testing.servers.nodes.free_port", port_of_a_member)
    servers = own_redis(0, settings=["--cluster-enabled", "yes"])
    async with AsyncRegionKit(one_region(servers.primary.url), local="us-east-1", profile=PATIENT) as kit:
        with pytest.raises(ConfigurationError, match="cluster"):
            async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as client:
                await client.get("a")


@pytest.mark.parametrize("fault", ["password", "permission", "tls", "database"])
async def test_a_server_that_can_not_be_spoken_to_is_named(redis_store_rig: RedisRig, fault: str) -> None:
    """A wrong password, an account without INFO, TLS where there is none, a database that is not there: no secret is shown."""
    url = redis_store_rig.urls[0]
    with redis_store_rig.client() as client:
        client.acl_setuser("poor", enabled=True, passwords=["+secret-word"], commands=["+get"], keys=["*"])
    changed = {
        "password": url.replace("redis://", "redis://poor:wrong-word@"),
        "permission": url.replace("redis://", "redis://poor:secret-word@"),
        "tls": url.replace("redis://", "rediss://"),
        "database": url.removesuffix("/1") + "/99",
    }
    async with AsyncRegionKit(one_region(changed[fault]), local="us-east-1", profile=PATIENT) as kit:
        expected = DeadlineExceeded if fault == "tls" else RegionUnavailable  # Redis waits for the rest of a line
        with pytest.raises(expected) as caught:
            async with kit.session() as s, s.read("orders", consistency=EVENTUAL, timeout=1.0) as client:
                await client.get("a")
    text = f"{caught.value} {caught.value!r} {kit.status()}"
    assert "-word" not in text
    assert caught.value.retryable is (fault == "tls")
    with redis_store_rig.client() as client:
        client.acl_deluser("poor")
