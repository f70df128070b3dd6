"""Records on Redis: compare-and-set that says yes, no or unknown; ends by the server's clock; any kind and key."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fix_redis_endpoints import context_of
from fix_rig_redis import RedisRig
from fix_store_rigs import NAMESPACE

from regionkit import ConfigurationError, DeadlineExceeded, OutcomeUnknown, RegionUnavailable
from regionkit.backends.redis.endpoint_async import AsyncRedisEndpoint
from regionkit.contract.record_checks import LONGEST_KEY, LONGEST_KIND
from regionkit.contract.records_async import AsyncRecords
from regionkit.core.clock import SystemClock
from regionkit.core.concurrency_async import agather, asleep
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table
from regionkit.facts.record import LARGEST_RECORD, Record
from regionkit.testing import FaultProxy

pytestmark = pytest.mark.redis


def soon(seconds: float = 20.0) -> Deadline:
    """A deadline."""
    return Deadline(SystemClock(), seconds)


@pytest.fixture(params=[{}, {"protocol": 3, "decode_responses": True}], ids=["bytes", "texts"])
async def endpoint(request: pytest.FixtureRequest, redis_store_rig: RedisRig) -> AsyncIterator[AsyncRedisEndpoint]:
    """The primary."""
    made = AsyncRedisEndpoint(context_of(redis_store_rig.urls[0], **request.param))
    yield made
    await made.close()


@pytest.fixture
def records(endpoint: AsyncRedisEndpoint) -> AsyncRecords:
    """Its records."""
    return endpoint.records


@pytest.fixture
async def proxied(redis_store_rig: RedisRig) -> AsyncIterator[tuple[AsyncRecords, FaultProxy]]:
    """Records of a server that knows their scripts, through a proxy."""
    with FaultProxy(redis_store_rig.urls[0]) as proxy:
        made = AsyncRedisEndpoint(context_of(proxy.url))
        assert await made.records.put(soon(), Record("k", "first", b""), expected=0)
        assert await made.records.delete(soon(), "k", "first", expected=1) is None
        yield made.records, proxy
        await made.close()


async def test_a_record_is_put_on_absence_changed_and_deleted(records: AsyncRecords) -> None:
    """What stands then is the answer; the record itself says that the change was made."""
    first, second = Record("k", "a", b"\x00\xff tea"), Record("k", "a", b"coffee", 2)
    assert await records.get(soon(), "k", "a") is None
    assert await records.put(soon(), first, expected=0) is first
    assert await records.get(soon(), "k", "a") == first
    assert await records.put(soon(), Record("k", "a", b"other"), expected=0) == first
    assert await records.put(soon(), second, expected=1) is second
    assert await records.put(soon(), Record("k", "a", b"late", 2), expected=1) == second
    assert await records.delete(soon(), "k", "a", expected=1) == second
    assert await records.delete(soon(), "k", "a", expected=2) is None
    assert await records.get(soon(), "k", "a") is None


async def test_nothing_is_put_where_nothing_stands_but_something_was_expected(records: AsyncRecords) -> None:
    """None says so; nothing was made."""
    assert await records.put(soon(), Record("k", "a", b"", 2), expected=1) is None
    assert await records.delete(soon(), "k", "a", expected=1) is None
    assert await records.get(soon(), "k", "a") is None


async def test_what_stands_as_asked_for_but_was_put_by_another_is_no_success(records: AsyncRecords) -> None:
    """An equal record is another's: only the object itself means that the change was made."""
    mine, theirs = Record("k", "a", b"tea"), Record("k", "a", b"tea")
    assert await records.put(soon(), theirs, expected=0) is theirs
    stands = await records.put(soon(), mine, expected=0)
    assert stands == mine
    assert stands is not mine


async def test_an_ended_record_is_not_there(records: AsyncRecords) -> None:
    """From its end on its version is 0; one that is put anew without an end stays."""
    assert await records.put(soon(), Record("k", "a", b"tea"), expected=0, lasts=0.3)
    assert await records.put(soon(), Record("k", "b", b"tea"), expected=0, lasts=0.3)
    kept = Record("k", "b", b"tea", 2)
    assert await records.put(soon(), kept, expected=1) is kept
    found = await records.get(soon(), "k", "a")
    assert found is not None
    await asleep(0.4)
    assert await records.get(soon(), "k", "a") is None
    assert await records.put(soon(), Record("k", "a", b"late", 2), expected=1) is None
    assert await records.delete(soon(), "k", "a", expected=1) is None
    again = Record("k", "a", b"again")
    assert await records.put(soon(), again, expected=0) is again
    assert await records.get(soon(), "k", "b") == kept
    assert await records.put(soon(), Record("k", "b", b"tea", 3), expected=2, lasts=0.0001)
    await asleep(0.01)
    assert await records.get(soon(), "k", "b") is None


async def test_of_fifty_racing_writers_one_wins_each_version(records: AsyncRecords) -> None:
    """And all others see who did."""
    for version in range(4):

        async def put(number: int, version: int = version) -> bool:
            mine = Record("k", "raced", str(number).encode(), version + 1)
            stands = await records.put(soon(), mine, expected=version)
            assert stands is not None
            assert stands.version == version + 1
            return stands is mine

        won = await agather([lambda n=n: put(n) for n in range(50)])  # type: ignore[misc]  # a default binds the loop's value
        assert sorted(won, key=bool) == [False] * 49 + [True]
        stands = await records.get(soon(), "k", "raced")
        assert stands is not None
        assert stands.value == str(won.index(True)).encode()


async def test_no_two_kinds_and_keys_share_a_record(records: AsyncRecords, redis_store_rig: RedisRig) -> None:
    """Blanks, colons, case, accents and normal forms count."""
    words = [
        "a",
        "a:",
        ":a",
        "a:b",
        "a%3Ab",
        "%3A",
        ":",
        "%",
        " ",
        "a ",
        "A",
        "é",
        "e\u0301",
        "\n",
        "\U0001f375",
        "x" * LONGEST_KEY,
    ]
    made = [
        Record(kind[:LONGEST_KIND], key, f"{n}/{m}".encode())
        for n, kind in enumerate(words)
        for m, key in enumerate(["", *words])
    ]
    for record in made:
        assert await records.put(soon(), record, expected=0) is record
    for record in made:
        assert await records.get(soon(), record.kind, record.key) == record
    with redis_store_rig.client() as client:
        names = list(client.scan_iter(f"{NAMESPACE}:rk:record:*", count=1000))
    assert len(names) == len(made)


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("", "a"),
        ("k", "a\x00"),
        ("k\x00", "a"),
        ("k", "\ud800"),
        ("k", "x" * (LONGEST_KEY + 1)),
        ("x" * (LONGEST_KIND + 1), "a"),
    ],
)
async def test_what_some_server_could_not_tell_apart_is_refused(records: AsyncRecords, kind: str, key: str) -> None:
    """NUL, surrogates, too long; before anything is sent."""
    with pytest.raises(ConfigurationError, match="is not usable"):
        await records.get(soon(), kind, key)
    with pytest.raises(ConfigurationError, match="is not usable"):
        await records.put(soon(), Record(kind, key, b""), expected=0)
    with pytest.raises(ConfigurationError, match="is not usable"):
        await records.delete(soon(), kind, key, expected=1)


async def test_size_end_and_unit_are_checked(records: AsyncRecords) -> None:
    """The largest fits; more does not. No end in the past, none in a hundred years, and no unit, which is no transaction."""
    largest = Record("k", "a", b"\xff" * LARGEST_RECORD)
    assert await records.put(soon(), largest, expected=0) is largest
    assert await records.get(soon(), "k", "a") == largest
    with pytest.raises(ConfigurationError, match="at most 4096"):
        await records.put(soon(), Record("k", "b", b"x" * (LARGEST_RECORD + 1)), expected=0)
    for lasts in (0.0, -1.0, float("inf"), float("nan"), 3e9):
        with pytest.raises(ConfigurationError, match="cannot last"):
            await records.put(soon(), Record("k", "b", b""), expected=0, lasts=lasts)
    with pytest.raises(ConfigurationError, match="not a transaction"):
        await records.put(soon(), Record("k", "b", b""), expected=0, within=object())
    assert await records.get(soon(), "k", "b") is None


async def test_a_lost_reply_is_unknown(proxied: tuple[AsyncRecords, FaultProxy]) -> None:
    """The change was made; a look tells."""
    records, proxy = proxied
    proxy.drop_replies()
    with pytest.raises(OutcomeUnknown) as caught:
        await records.put(soon(), Record("k", "a", b"tea"), expected=0)
    assert caught.value.committed == "unknown"
    proxy.heal()
    assert await records.get(soon(), "k", "a") == Record("k", "a", b"tea")
    proxy.drop_replies()
    with pytest.raises(OutcomeUnknown):
        await records.delete(soon(), "k", "a", expected=1)
    proxy.heal()
    assert await records.get(soon(), "k", "a") is None
    proxy.drop_replies()
    with pytest.raises(RegionUnavailable):
        await records.get(soon(), "k", "a")


async def test_a_frozen_server_costs_no_more_than_the_deadline(proxied: tuple[AsyncRecords, FaultProxy]) -> None:
    """A look fails for sure, a change is unknown; and it may still come."""
    records, proxy = proxied
    assert await records.get(soon(), "k", "a") is None
    proxy.freeze()
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        await records.put(soon(0.3), Record("k", "a", b"tea"), expected=0)
    with pytest.raises(DeadlineExceeded) as caught:
        await records.get(soon(0.3), "k", "a")
    assert caught.value.committed == "no"
    assert time.monotonic() - began < 2.0
    proxy.heal()


async def test_a_server_that_is_not_reached_did_nothing(proxied: tuple[AsyncRecords, FaultProxy]) -> None:
    """Nothing was sent, and that is told."""
    records, proxy = proxied
    proxy.cut()
    await asleep(0.1)
    with pytest.raises(RegionUnavailable) as caught:
        await records.put(soon(), Record("k", "a", b"tea"), expected=0)
    assert caught.value.committed == "no"
    proxy.heal()
    assert await records.get(soon(), "k", "a") is None


async def test_a_replica_shows_records_and_changes_none(redis_store_rig: RedisRig, records: AsyncRecords) -> None:
    """A primary that was demoted says so, and nothing was done."""
    stands = Record("k", "a", b"tea")
    assert await records.put(soon(), stands, expected=0) is stands
    redis_store_rig.servers.wait_for_replicas()
    replica = AsyncRedisEndpoint(context_of(redis_store_rig.urls[1]))
    assert await replica.records.get(soon(), "k", "a") == stands
    with pytest.raises(RegionUnavailable, match="is a replica") as caught:
        await replica.records.put(soon(), Record("k", "a", b"", 2), expected=1)
    assert caught.value.committed == "no"
    with pytest.raises(RegionUnavailable, match="is a replica"):
        await replica.records.delete(soon(), "k", "a", expected=1)
    await replica.close()


async def test_a_full_server_refuses_a_record_whole(own_redis: Any) -> None:
    """Nothing was done, and that is told; what frees memory is done."""
    servers = own_redis(0)
    endpoint = AsyncRedisEndpoint(context_of(servers.primary.url))
    stands = Record("k", "a", b"tea")
    assert await endpoint.records.put(soon(), stands, expected=0) is stands
    with servers.primary.client() as client:
        client.config_set("maxmemory", 1)
    for record, expected in ((Record("k", "a", b"", 2), 1), (Record("k", "b", b""), 0)):
        with pytest.raises(RegionUnavailable, match="maxmemory") as caught:
            await endpoint.records.put(soon(), record, expected=expected)
        assert caught.value.committed == "no"
    assert await endpoint.records.get(soon(), "k", "a") == stands
    assert await endpoint.records.delete(soon(), "k", "a", expected=1) is None
    await endpoint.close()


async def test_versions_of_tables_are_noted_once_and_never_changed(
    endpoint: AsyncRedisEndpoint, redis_store_rig: RedisRig
) -> None:
    """Many may do it at once; another version is an error that notes nothing."""
    wanted = [Table("routing", "record"), Table("messaging", "inbox", 3)]

    async def make() -> None:
        await endpoint.make_tables(soon(), wanted)

    assert await agather([make] * 20) == [None] * 20
    changed = [Table("caching", "new"), Table("messaging", "inbox", 4)]
    with pytest.raises(ConfigurationError, match=r"version 3, and this regionkit needs 4"):
        await endpoint.make_tables(soon(), changed)
    with redis_store_rig.client() as client:
        assert client.hgetall(f"{NAMESPACE}:rk:tables") == {b"record": b"1", b"inbox": b"3"}
    await endpoint.make_tables(soon(), [*wanted, changed[0]])
    await endpoint.make_tables(soon(), [])
