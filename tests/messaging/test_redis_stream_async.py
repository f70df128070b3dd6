"""What only a stream of Redis has: entries of others, holes, trims, fences, servers that take nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import redis

from regionkit import AsyncRegionKit, Endpoint, RedisStore, Region, Role, Topology
from regionkit.core.concurrency_async import asleep
from regionkit.errors import ConfigurationError, Fenced, RegionUnavailable, SourceGap
from regionkit.messaging.envelope import LARGEST_MESSAGE, Malformed, decode
from regionkit.messaging.sources import AsyncRedisStream

from .source_engines import client_of
from .source_rigs_async import drained, soon

IS_ASYNC = True
LEASE = 0.5


@pytest.fixture
async def stream(redis_server: Any) -> AsyncIterator[Any]:
    """Makes members; the stream is empty at first."""
    made: list[Any] = []
    with redis.Redis.from_url(redis_server.primary.url) as client:
        for key in client.keys("*orders*"):
            client.delete(key)

    async def make(group: str | None = "billing", lease: float = LEASE, **options: Any) -> Any:
        source = AsyncRedisStream(redis_server.primary.url, "orders", group=group, lease=lease, **options)
        made.append(source)
        if group:
            await source.open(soon())
        return source

    yield make
    for source in made:
        await source.close()


@pytest.fixture
def client(redis_server: Any) -> Any:
    """The server, past the library."""
    with redis.Redis.from_url(redis_server.primary.url, decode_responses=True) as made:
        yield made


async def publish(source: Any, *bodies: bytes) -> None:
    assert all(sent.confirmed for sent in await source.publish([(None, body) for body in bodies], soon()))


def has_counters(client: Any) -> bool:
    """Whether the server counts what it trims."""
    return int(client.info("server")["redis_version"].partition(".")[0]) >= 7


async def test_entries_of_others_come_as_bytes_that_do_not_decode(stream: Any, client: Any) -> None:
    """The hospital has their fields."""
    source = await stream()
    client.xadd("orders", {"user": "7", "action": "clicked"})
    [found] = await drained(source, 1)
    assert msgspec.msgpack.decode(found.body) == [b"user", b"7", b"action", b"clicked"]
    with pytest.raises(Malformed):
        decode(found.body)
    assert await source.ack([found]) == 1


async def test_a_plain_acknowledgement_would_take_anothers(stream: Any, client: Any) -> None:
    """Appendix 7 of the research: the server's XACK asks nobody; ours counts owner and deliveries; a heartbeat is none."""
    a, b = await stream(), await stream()
    await publish(a, b"x", b"y")
    first, second = await drained(a, 2)
    theirs = await drained(b, 2)
    assert client.xack("orders", "billing", first.receipt[0]) == 1  # what this library never sends
    assert await a.ack([second]) == 0
    await b.extend(theirs)
    [pending] = client.xpending_range("orders", "billing", "-", "+", 10)
    assert (pending["consumer"], pending["times_delivered"]) == (b._me, 2)
    assert pending["time_since_delivered"] < LEASE * 1000
    assert await b.ack(theirs) == 1


async def test_owner_and_count_are_both_looked_at(stream: Any, client: Any) -> None:
    """A claim whose answer was lost is the same member's, and another delivery; a tool's XCLAIM JUSTID counts as no delivery."""
    one, same = await stream(), await stream()
    same._me = one._me
    await publish(one, b"a", b"b")
    found = await drained(one, 2)
    again = await drained(same, 2)
    assert await one.ack(found[:1]) == 0
    client.xclaim("orders", "billing", "a tool", 0, [again[1].receipt[0]], justid=True)
    assert await same.ack(again) == 1


async def test_an_acknowledgement_without_an_answer_lets_go(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease is over in time, whether or not others are extended, and it comes again where it was not acknowledged."""
    source = await stream(lease=60.0)
    await publish(source, b"a")
    found = await drained(source, 1)

    async def away(*words: Any) -> Any:
        raise RegionUnavailable("the server does not answer.", fix="wait.")

    with monkeypatch.context() as lost:
        lost.setattr(source, "_run", away)
        with pytest.raises(RegionUnavailable):
            await source.ack(found)
    assert source._mine == {}


async def test_a_trim_above_what_was_delivered_is_told_until_it_is_skipped(stream: Any, client: Any) -> None:
    """Rule 11: 101 undelivered entries were taken without a trace."""
    if not has_counters(client):
        pytest.skip("before Redis 7 the server does not count")
    source = await stream(lease=30.0)
    await publish(source, *(b"%d" % n for n in range(10)))
    assert len(await source.fetch(3, 5.0)) == 3
    client.xtrim("orders", maxlen=4, approximate=False)
    for _ in range(2):
        with pytest.raises(SourceGap) as raised:
            await source.fetch(10, 0.0)
        assert (raised.value.source, raised.value.lost) == ("orders", 3)
    again = await stream(lease=30.0)
    with pytest.raises(SourceGap):
        await again.fetch(10, 0.0)
    assert await source.skip_gap() == 3
    assert [delivery.body for delivery in await source.fetch(10, 5.0)] == [b"6", b"7", b"8", b"9"]
    assert await source.skip_gap() == 0
    client.xtrim("orders", maxlen=0, approximate=False)
    await publish(source, b"new")
    assert [delivery.body for delivery in await source.fetch(10, 5.0)] == [
        b"new"
    ]  # all trimmed ones had been delivered


async def test_what_was_trimmed_before_a_group_came_is_no_hole(stream: Any, client: Any) -> None:
    """It begins at the earliest; then all of a stream may go without a word, once it is acknowledged."""
    target = await stream(None)
    await publish(target, *(b"%d" % n for n in range(10)))
    client.xtrim("orders", maxlen=4, approximate=False)
    source = await stream()
    found = await drained(source, 4)
    assert await source.ack(found) == 4
    assert await source.trim() == 4
    assert await source.fetch(1, 0.0) == []
    await publish(source, b"new")
    assert len(await drained(source, 1)) == 1


async def test_a_trim_of_what_somebody_has_is_told(stream: Any, client: Any) -> None:
    """When it would have come again; what is left comes all the same."""
    source, other = await stream(), await stream()
    await publish(source, b"a", b"b", b"c")
    assert len(await drained(source, 3)) == 3
    client.xtrim("orders", maxlen=1, approximate=False)
    await asleep(LEASE * 1.2)
    found: list[Any] = []
    with pytest.raises(SourceGap) as raised:
        for _ in range(50):
            found += await other.fetch(10, 0.1)
    assert raised.value.lost == 2
    assert [delivery.body for delivery in found] == [b"c"] or [d.body for d in await drained(other, 1)] == [b"c"]


async def test_a_flush_makes_the_group_anew(stream: Any, client: Any) -> None:
    """With `SourceGap` where it had undelivered or unacknowledged entries; in silence where all was done."""
    source = await stream()
    await publish(source, b"a")
    assert await source.ack(await drained(source, 1)) == 1
    client.delete("orders")
    await publish(source, b"b", b"c")
    first = await drained(source, 1)
    assert first[0].body == b"b"
    await source.fetch(1, 0.0)
    client.delete("orders")
    with pytest.raises(SourceGap, match="flushed"):
        await source.fetch(10, 2.0)
    assert await source.ack(first) == 0
    await publish(source, b"d")
    assert [delivery.body for delivery in await drained(source, 1)] == [b"d"]


async def test_trim_spares_what_any_group_needs(stream: Any, client: Any) -> None:
    """Undelivered to one, pending at another; and what is younger than asked for."""
    billing, audit = await stream("billing", 30.0), await stream("audit", 30.0)
    await publish(billing, *(b"%d" % n for n in range(10)))
    found = await drained(billing, 10)
    assert await billing.ack([*found[:5], *found[6:]]) == 9
    assert await billing.trim() == 0
    seen = await drained(audit, 8)
    assert await audit.ack(seen) == 8
    assert await billing.trim(older_than=3600.0) == 0
    assert await billing.trim() == 5  # the sixth is pending at billing
    assert await billing.ack([found[5]]) == 1
    assert await billing.trim() == 3
    assert client.xlen("orders") == 2
    assert [delivery.body for delivery in await drained(audit, 2)] == [b"8", b"9"]


async def test_a_bounded_stream_makes_room_only_of_what_is_done(stream: Any, client: Any) -> None:
    """Beyond, messages are not confirmed, in order; nothing that is needed is trimmed."""
    source = await stream(maxlen=5, lease=30.0)
    sent = await source.publish([(None, b"%d" % n) for n in range(8)], soon())
    assert [one.confirmed for one in sent] == [True] * 5 + [False] * 3
    assert not any(one.refused for one in sent)
    with pytest.raises(RegionUnavailable, match="accepts nothing now"):
        await source.publish([(None, b"x")], soon())
    assert await source.ack((await drained(source, 5))[:2]) == 2
    sent = await source.publish([(None, b"%d" % n) for n in range(5, 8)], soon())
    assert [one.confirmed for one in sent] == [True, True, False]
    assert client.xlen("orders") == 5


async def test_a_message_that_is_too_large_is_refused_alone(stream: Any) -> None:
    """For good; its neighbours are confirmed."""
    source = await stream()
    sent = await source.publish([(None, b"a"), (None, b"x" * (LARGEST_MESSAGE + 1)), (None, b"b")], soon())
    assert [(one.confirmed, one.refused) for one in sent] == [(True, ""), (False, "too_large"), (True, "")]
    assert [delivery.body for delivery in await drained(source, 2)] == [b"a", b"b"]


async def test_a_key_that_is_no_stream_is_told(stream: Any, client: Any) -> None:
    """To a target as something that does not pass, to a source when it is opened."""
    client.set("orders", "x")
    target = await stream(None)
    with pytest.raises(RegionUnavailable, match="WRONGTYPE") as raised:
        await target.publish([(None, b"a")], soon())
    assert not raised.value.retryable
    with pytest.raises(RegionUnavailable, match="WRONGTYPE"):
        await stream()
    client.delete("orders")


async def test_a_server_without_memory_takes_nothing_and_loses_nothing(own_redis: Any) -> None:
    """OOM is told, messages before it are confirmed; the group goes on when there is room."""
    servers = own_redis(settings=["--maxmemory", "8mb", "--maxmemory-policy", "noeviction"])
    source = AsyncRedisStream(servers.primary.url, "orders", group="billing", lease=30.0)
    await source.open(soon())
    confirmed = 0
    with pytest.raises(RegionUnavailable, match=r"OOM|maxmemory"):
        while True:
            sent = await source.publish([(None, b"x" * 200_000)] * 5, soon())
            assert [one.confirmed for one in sent] == sorted((one.confirmed for one in sent), reverse=True)
            confirmed += sum(one.confirmed for one in sent)
    assert confirmed
    with servers.primary.client() as client:
        client.config_set("maxmemory", "64mb")
    assert len(await drained(source, confirmed)) == confirmed
    await source.close()


async def test_a_fence_keeps_out_who_was_succeeded(stream: Any, client: Any) -> None:
    """Rule 24: in the script that adds the entries, by name."""
    target = await stream(None)

    async def fenced(name: str, epoch: int, body: bytes) -> Any:
        return await target.publish([(None, body)], soon(), fence=(name, epoch))

    assert (await fenced("p1", 1, b"a"))[0].confirmed
    assert (await fenced("p1", 2, b"b"))[0].confirmed
    with pytest.raises(Fenced):
        await fenced("p1", 1, b"late")
    assert (await fenced("p2", 1, b"c"))[0].confirmed
    assert (await fenced("p1", 2, b"d"))[0].confirmed
    assert client.xlen("orders") == 4


async def test_members_that_are_gone_leave_the_group(stream: Any, client: Any) -> None:
    """One that closes, at once; one that died, when another one comes much later; never one that has something."""
    one = await stream(lease=30.0)
    client.xgroup_createconsumer("orders", "billing", "dead")
    client.xadd("orders", {"rk": "a"})
    client.xreadgroup("billing", "stuck", {"orders": ">"})
    await one._run("open", ["billing", one._me, -1])
    names = {consumer["name"] for consumer in client.xinfo_consumers("orders", "billing")}
    assert "stuck" in names and "dead" not in names
    await one.fetch(1, 0.0)
    await one.close()
    assert {consumer["name"] for consumer in client.xinfo_consumers("orders", "billing")} == {"stuck"}


async def test_members_have_names_of_their_own(stream: Any) -> None:
    """Also in one process."""
    one, other = await stream(), await stream()
    assert one._me != other._me


async def test_a_source_needs_a_group() -> None:
    """A target does not."""
    source = AsyncRedisStream("redis://127.0.0.1:1", "orders")
    with pytest.raises(ConfigurationError, match="group="):
        await source.open(soon())
    await source.close()


async def test_facts_say_what_the_server_does_not_keep(stream: Any) -> None:
    """Here no file is written."""
    source = await stream()
    assert any("append-only" in note for note in source.facts.notes)


async def test_a_client_of_the_applications_and_a_kits_store(stream: Any, redis_server: Any) -> None:
    """The client's own retries never send an entry twice: its connections are not used."""
    given = client_of(redis_server.primary.url, IS_ASYNC)
    source = AsyncRedisStream(given, "orders", group="billing")
    await source.open(soon())
    await publish(source, b"a")
    assert [delivery.body for delivery in await drained(source, 1)] == [b"a"]
    await source.close()
    store = RedisStore("events", endpoints=[Endpoint("here", Role.PRIMARY, redis_server.primary.url)])
    async with AsyncRegionKit(Topology("shop", regions=[Region("here")], stores=[store]), local="here") as kit:
        of_kit = AsyncRedisStream(kit, "orders", group="audit", store="events")
        await of_kit.open(soon())
        assert [delivery.body for delivery in await drained(of_kit, 1)] == [b"a"]
        await publish(of_kit, b"b")
        await of_kit.close()


async def test_a_kits_stream_goes_on_at_the_promoted_replica(own_redis: Any) -> None:
    """What was pending is pending there; its new owner is found as everywhere."""
    servers = own_redis(1)
    primary, replica = servers.primary, servers.replicas[0]
    endpoints = [Endpoint("us", Role.PRIMARY, primary.url), Endpoint("kr", Role.REPLICA, replica.url)]
    topology = Topology(
        "shop", regions=[Region("us"), Region("kr")], stores=[RedisStore("events", endpoints=endpoints)]
    )
    async with AsyncRegionKit(topology, local="kr") as kit:
        await kit.create_tables()
        source = AsyncRedisStream(kit, "orders", group="billing", store="events", lease=LEASE)
        await source.open(soon())
        await publish(source, *(b"%d" % n for n in range(10)))
        assert await source.ack((await drained(source, 4))[:2]) == 2
        servers.wait_for_replicas()
        primary.kill()
        replica.promote()
        found: set[bytes] = set()
        deadline = soon(60.0)
        while len(found) < 8:
            deadline.require("going on")
            try:
                found |= {delivery.body for delivery in await source.fetch(10, 0.2)}
            except RegionUnavailable:
                await asleep(0.1)
        assert found == {b"%d" % n for n in range(2, 10)}
        await publish(source, b"new")
        await source.close()


async def test_maxlen_leaves_room() -> None:
    """For one at least."""
    with pytest.raises(ConfigurationError, match="maxlen"):
        AsyncRedisStream("redis://127.0.0.1:1", "orders", maxlen=0)
