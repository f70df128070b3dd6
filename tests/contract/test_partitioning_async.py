"""Write partitioning: a key's writes go to its home, its reads to the nearest proved copy of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fix_rig_partitions import HOMES, PartitionRig
from placing_async import set_placement
from waiting_async import seen

from regionkit import (
    EVENTUAL,
    STRONG,
    AsyncRegionKit,
    ConfigurationError,
    Contextual,
    Directory,
    Endpoint,
    Hashed,
    Intrinsic,
    OutcomeUnknown,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
    UnknownHome,
    UsageError,
)
from regionkit.core.concurrency_async import asleep
from regionkit.facts.placement import Placement

KEY = "a key of more than sixteen characters"
PATTERN = Intrinsic("^(?P<region>[a-z0-9-]+):")
US, KR = HOMES


@pytest.fixture
async def kit(partition_rig: PartitionRig) -> AsyncIterator[AsyncRegionKit]:
    """A kit in ap-northeast-2; keys begin with their home."""
    async with AsyncRegionKit(partition_rig.topology(PATTERN), local=KR, bookmark_keys=[KEY]) as kit:
        yield await seen(kit)


async def test_writes_go_home(kit: AsyncRegionKit, partition_rig: PartitionRig) -> None:
    """Each key's to its own region, and nowhere else."""
    do = partition_rig.AsyncActions
    async with kit.session() as s:
        for home in HOMES:
            async with s.write("carts", key=f"{home}:c9") as db:
                await do.put(db, f"{home}:c9", "tea")
            assert s.last_route is not None
            assert s.last_route.region == home
    assert [partition_rig.value(home, f"{home}:c9") for home in HOMES] == ["tea", "tea"]
    assert [partition_rig.value(home, f"{other}:c9") for home, other in zip(HOMES, reversed(HOMES))] == [None, None]


async def test_reads_are_near_and_see_the_session(kit: AsyncRegionKit, partition_rig: PartitionRig) -> None:
    """A key of the other home is read from the local copy once that is proved, and never before."""
    do, key = partition_rig.AsyncActions, f"{US}:c9"
    with partition_rig.hold(US):
        async with kit.session() as s:
            async with s.write("carts", key=key) as db:
                await do.put(db, key, "tea")
            async with s.read("carts", key=key, consistency=EVENTUAL) as db:
                assert await do.get(db, key) is None
            assert s.last_route is not None
            assert s.last_route.region == KR
            async with s.read("carts", key=key) as db:
                assert await do.get(db, key) == "tea"
            assert s.last_route.region == US
            bookmark = await s.bookmark()
    end = time.monotonic() + 10
    while True:
        async with kit.session(bookmark=bookmark) as s:
            async with s.read("carts", key=key) as db:
                assert await do.get(db, key) == "tea"
            assert s.last_route is not None
            if s.last_route.region == KR:
                break
        assert time.monotonic() < end, "the local copy never served"
        await asleep(0.05)


async def test_a_partition_without_an_entry_is_read_from_its_owner(
    kit: AsyncRegionKit, partition_rig: PartitionRig
) -> None:
    """A bookmark with entries of one partition proves nothing of another: that one may have been written, too."""
    do = partition_rig.AsyncActions
    async with kit.session() as s:
        async with s.write("carts", key=f"{KR}:c9") as db:
            await do.put(db, f"{KR}:c9", "tea")
        await s.bookmark()  # where the position is taken late, it is there now
        async with s.read("carts", key=f"{US}:c9") as db:
            await do.get(db, f"{US}:c9")
        assert s.last_route is not None
        assert s.last_route.region == US


async def test_a_session_is_locked_to_its_key(kit: AsyncRegionKit, partition_rig: PartitionRig) -> None:
    """Another key is an error unless it is asked for; stores without partitions are not concerned."""
    do = partition_rig.AsyncActions
    async with kit.session(key=f"{US}:t42") as s:
        async with s.write("carts") as db:
            await do.put(db, "a", "tea")
        async with s.read("carts", key=f"{US}:t42") as db:
            assert await do.get(db, "a") == "tea"
        for call in (s.read, s.write):
            with pytest.raises(UsageError, match="locked to key"):
                call("carts", key=f"{KR}:t43")
        with pytest.raises(UsageError, match="locked to key"):
            await s.execute_read("carts", lambda db: do.get(db, "a"), key=f"{KR}:t43")
        async with s.read("carts", key=f"{KR}:t43", unlocked=True) as db:
            assert await do.get(db, "a") is None
        async with s.read("orders"):
            pass


async def test_keys_that_can_not_be_placed_are_refused(kit: AsyncRegionKit) -> None:
    """No key, a key without a home, an unknown home, a home given by the caller: each says what to do."""
    async with kit.session() as s:
        with pytest.raises(UsageError, match="has no key"):
            s.read("carts")
        with pytest.raises(UnknownHome, match="does not say where its home is"):
            s.read("carts", key="c9")
        with pytest.raises(UnknownHome, match="did you mean"):
            s.write("carts", key="us-east-2:c9")
        with pytest.raises(UsageError, match="two answers"):
            s.write("carts", key=f"{US}:c9", home=KR)
        with pytest.raises(ConfigurationError, match="not usable"):
            s.write("carts", key="")
        with pytest.raises(UsageError, match="not partitioned"):
            s.write("orders", key=f"{US}:c9")
    with pytest.raises(UsageError, match="has no key"):
        kit.explain("carts")


async def test_the_caller_may_say_the_home(partition_rig: PartitionRig) -> None:
    """Contextual: on the session, or on the call; checked."""
    do = partition_rig.AsyncActions
    async with AsyncRegionKit(partition_rig.topology(Contextual()), local=KR) as kit:
        await seen(kit)
        async with kit.session(key="c9", home=US) as s:
            async with s.write("carts") as db:
                await do.put(db, "c9", "tea")
            with pytest.raises(UnknownHome):
                s.read("carts", home="mars")
        async with kit.session() as s:
            with pytest.raises(UsageError, match="without the home"):
                s.write("carts", key="c9")
            async with s.read("carts", key="c9", home=US, consistency=STRONG) as db:
                assert await do.get(db, "c9") == "tea"
    assert partition_rig.value(US, "c9") == "tea"


async def test_keys_are_spread_by_hash(partition_rig: PartitionRig) -> None:
    """Every key's write is found at the region that the function names."""
    do, home = partition_rig.AsyncActions, Hashed(HOMES)
    async with AsyncRegionKit(partition_rig.topology(home), local=KR) as kit:
        await seen(kit)
        async with kit.session() as s:
            for number in range(12):
                async with s.write("carts", key=f"c{number}") as db:
                    await do.put(db, f"c{number}", "tea")
    for number in range(12):
        assert partition_rig.value(home.of(f"c{number}"), f"c{number}") == "tea"


async def test_a_changed_list_of_regions_is_refused(partition_rig: PartitionRig) -> None:
    """By the stored table, at create_tables and at the first use of a process that never calls it."""
    do = partition_rig.AsyncActions
    async with AsyncRegionKit(partition_rig.topology(Hashed(HOMES)), local=KR) as kit:
        await seen(kit)
    other = partition_rig.topology(Hashed(tuple(reversed(HOMES))))
    async with AsyncRegionKit(other, local=KR) as kit:
        async with kit.session() as s:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="the stored table"):
                    async with s.write("carts", key="c9") as db:
                        await do.put(db, "c9", "tea")
        with pytest.raises(ConfigurationError, match="the stored table"):
            await kit.create_tables()


async def test_a_copy_that_lacks_the_list_does_not_say_that_there_is_none(partition_rig: PartitionRig) -> None:
    """It lags, or was just rebuilt: the owner is asked. What nobody could say is not taken for verified."""
    with partition_rig.hold(US):
        async with AsyncRegionKit(partition_rig.topology(Hashed(HOMES)), local=KR) as kit:
            await kit.create_tables()
        other = Hashed(tuple(reversed(HOMES)))
        key = next(key for number in range(100) if other.of(key := f"c{number}") == US)
        async with AsyncRegionKit(partition_rig.topology(other), local=KR) as kit, kit.session() as s:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="the stored table"):
                    async with s.write("carts", key=key):
                        pass
        async with AsyncRegionKit(partition_rig.topology(other), local=KR) as kit, kit.session() as s:
            shard: Any = kit._store("carts")._by_home[US]

            async def unheard(*_: Any) -> None:
                raise RegionUnavailable("nobody answers.")

            for backend in shard.backends:
                backend.records.get = unheard
            with pytest.raises(RegionUnavailable, match="could not be compared"):
                async with s.write("carts", key=key):
                    pass


async def test_a_directory_places_and_finds(partition_rig: PartitionRig, tmp_path: Path) -> None:
    """A first home by compare-and-set; an absent key is never remembered as absent; another process finds the row."""
    do = partition_rig.AsyncActions
    topology = partition_rig.topology(Directory())
    async with AsyncRegionKit(topology, local=KR) as kit:
        await seen(kit)
        async with kit.session() as s:
            for _ in range(2):
                with pytest.raises(UnknownHome, match="has no home yet"):
                    async with s.write("carts", key="c9"):
                        pass
            placed = await kit.place("carts", key="c9", home=US)
            assert (placed.home, placed.epoch, placed.version) == (US, 1, 1)
            assert await kit.place("carts", key="c9", home=US) == placed
            with pytest.raises(UsageError, match="already"):
                await kit.place("carts", key="c9", home=KR)
            with pytest.raises(UnknownHome):
                await kit.place("carts", key="c8", home="mars")
            async with s.write("carts", key="c9") as db:
                await do.put(db, "c9", "tea")
            assert s.last_route is not None
            assert s.last_route.region == US
    async with AsyncRegionKit(topology, local=KR) as other:
        with pytest.raises(UsageError, match="not known here yet"):
            other.explain("carts", key="c9")
        async with other.session() as s:
            assert "us-east-1" in str(await s.explain("carts", "write", key="c9"))
            found = await s.execute_read("carts", lambda db: do.get(db, "c9"), key="c9", consistency=STRONG)
            assert found == "tea"
        assert "us-east-1" in str(other.explain("carts", "write", key="c9"))
    assert partition_rig.value(US, "c9") == "tea"


async def test_a_row_that_points_nowhere_is_told(partition_rig: PartitionRig) -> None:
    """A region that the topology does not have any more: UnknownHome, with what there is."""
    async with AsyncRegionKit(partition_rig.topology(Directory()), local=KR) as kit:
        await seen(kit)
        found: Any = kit._store("carts")
        await found.directory.place("c9", "eu-north-1", _deadline(found))
        async with kit.session() as s:
            with pytest.raises(UnknownHome, match="key 'c9' has the home 'eu-north-1', which the store does not have"):
                async with s.write("carts", key="c9"):
                    pass


def _deadline(found: Any) -> Any:
    from regionkit.core.deadline import Deadline

    return Deadline(found.shards[0].clock, 5.0)


async def test_a_lost_directory_does_not_stop_known_keys(partition_rig: PartitionRig, tmp_path: Path) -> None:
    """In the process that knew them, and in one that starts later with the copy on disk; an unknown key is an error."""
    do = partition_rig.AsyncActions
    home = Directory("places", max_age=0.05, copy=str(tmp_path / "copy"))
    places = SqlStore("places", endpoints=[Endpoint(US, Role.PRIMARY, partition_rig.directory_url)])
    gone = SqlStore("places", endpoints=[Endpoint(US, Role.PRIMARY, f"sqlite:///{tmp_path}/no/such/folder.db")])

    def topology(kept_in: SqlStore) -> Topology:
        whole = partition_rig.topology(PATTERN)
        return Topology(namespace="shop", regions=whole.regions, stores=[partition_rig.carts(home), kept_in])

    async with AsyncRegionKit(topology(places), local=KR) as kit:
        await seen(kit)
        await kit.place("carts", key="c9", home=US)
        directory: Any = kit._store("carts")
        assert directory.directory.home_without_io("c9") == US
        await asleep(0.1)
        assert directory.directory.home_without_io("c9") is None
    async with AsyncRegionKit(topology(gone), local=KR, profile={"probe_timeout": 0.2}) as kit, kit.session() as s:
        async with s.write("carts", key="c9") as db:
            await do.put(db, "c9", "tea")
        with pytest.raises((RegionUnavailable, ConfigurationError)):
            async with s.write("carts", key="c8"):
                pass
    assert partition_rig.value(US, "c9") == "tea"


async def test_a_newer_row_wins(partition_rig: PartitionRig) -> None:
    """A remembered row is asked for again after its age, and its successor is used."""
    async with AsyncRegionKit(partition_rig.topology(Directory(max_age=0.05)), local=KR) as kit:
        await seen(kit)
        await kit.place("carts", key="c9", home=US)
        found: Any = kit._store("carts")
        owner = found.directory.kept_in
        moved = Placement("carts", "c9", KR, 2, 2)
        await set_placement(owner.backend(owner.state.snapshot.owner), _deadline(found), moved, expected=1)
        end = time.monotonic() + 10
        async with kit.session() as s:
            while True:
                async with s.write("carts", key="c9"):
                    pass
                assert s.last_route is not None
                if s.last_route.region == KR:
                    break
                assert time.monotonic() < end
                await asleep(0.05)


async def test_a_fan_out_asks_every_partition(kit: AsyncRegionKit, partition_rig: PartitionRig) -> None:
    """Values by partition; a failing one is a value, too; what was seen is in its bookmark."""
    do = partition_rig.AsyncActions
    async with kit.session() as s:
        for home in HOMES:
            async with s.write("carts", key=f"{home}:a") as db:
                await do.put(db, "a", home)
        bookmark = await s.bookmark()

    async def look(db: Any) -> Any:
        found = await do.get(db, "a")
        if found == KR:
            raise ValueError(found)
        return found

    results = {name: result async for name, result in kit.fan_out("carts", look, bookmark=bookmark)}
    assert results[US].value == US
    assert results[US].ok
    assert isinstance(results[KR].error, ValueError)
    assert not results[KR].ok

    async def simple(db: Any) -> Any:
        return await do.get(db, "a")

    fan = kit.fan_out("carts", simple, concurrency=1)
    assert sorted([(name, result.ok) async for name, result in fan]) == [(KR, True), (US, True)]
    assert await fan.bookmark() != ""


async def test_a_fan_out_ends_at_its_deadline(kit: AsyncRegionKit) -> None:
    """A slow partition is a value with an error, and the others were there before."""

    async def slow(db: Any) -> str:
        if kit.status().endpoints:
            await asleep(0.5)
        return "late"

    began = time.monotonic()
    results = {name: result async for name, result in kit.fan_out("carts", slow, timeout=0.2)}
    assert time.monotonic() - began < 5.0
    assert all(isinstance(result.error, TimeoutError) for result in results.values())
    with pytest.raises(ConfigurationError, match="concurrency"):
        kit.fan_out("carts", slow, concurrency=0)


async def test_hot_keys_are_in_the_status(kit: AsyncRegionKit, partition_rig: PartitionRig) -> None:
    """By partition, with their share."""
    found: Any = kit._store("carts")
    for number in range(4000):
        found.home_without_io(f"{US}:hot" if number % 2 else f"{US}:c{number}", None)
    (half,) = kit.status().hot_keys[f"carts/{US}"]  # taking turns with others hides nothing
    assert half.key == f"{US}:hot"
    assert 0.4 < half.share < 0.6
    for _ in range(4000):
        found.home_without_io(f"{US}:hot", None)
    status = kit.status()
    assert status.hot_keys[f"carts/{US}"][0].key == f"{US}:hot"
    assert f"hot in carts/{US}: {US}:hot has" in str(status)
    assert status.to_dict()["hot_keys"][f"carts/{US}"][0]["key"] == f"{US}:hot"


async def test_an_idempotency_key_counts_in_its_partition(kit: AsyncRegionKit, partition_rig: PartitionRig) -> None:
    """Two partitions are two stores: one key takes effect once in each; of two keys of one partition the second does nothing."""
    do = partition_rig.AsyncActions
    async with kit.session() as s:

        def put(key: str) -> Any:
            async def work(db: Any) -> str:
                await do.put(db, key, "tea")
                return f"put {key}"

            return work

        first, other, same = f"{US}:c1", f"{KR}:c1", f"{US}:c2"
        told = [
            await s.execute_write("carts", put(key), key=key, idempotency_key="k1")
            for key in (first, other, same, first, other)
        ]
    assert told == [f"put {first}", f"put {other}", f"put {first}", f"put {first}", f"put {other}"]
    assert partition_rig.value(US, first) == partition_rig.value(KR, other) == "tea"
    assert partition_rig.value(US, same) is None


async def test_a_keyed_write_knows_its_partition(kit: AsyncRegionKit, partition_rig: PartitionRig) -> None:
    """The idempotency marker stands with the effect, in the key's home."""
    do = partition_rig.AsyncActions
    key = f"{US}:c9"

    async def add(db: Any) -> str:
        await do.add(db, key)
        return "added"

    async with kit.session() as s:
        async with s.write("carts", key=key) as db:
            await do.put(db, key, "0")
        for _ in range(2):
            assert await s.execute_write("carts", add, key=key, idempotency_key="k1") == "added"
    assert partition_rig.value(US, key) == "1"


async def test_an_unknown_write_is_resolved_in_its_partition(kit: AsyncRegionKit, partition_rig: PartitionRig) -> None:
    """The tombstone or the marker stands where the write went, whatever the other partitions hold."""
    do = partition_rig.AsyncActions

    async def add(db: Any) -> None:
        await do.put(db, "a", "1")

    async with kit.session() as s:
        await s.execute_write("carts", add, key=f"{KR}:c9", idempotency_key="k1")
    for partition, answer in ((KR, "yes"), (US, "no"), ("gone", "unknown")):
        error = OutcomeUnknown("lost", store="carts", partition=partition, idempotency_key="k1", began_at=time.time())
        assert await kit.resolve(error) == answer


async def test_adopting_names_one_endpoint(kit: AsyncRegionKit) -> None:
    """A region with endpoints of several partitions is ambiguous unless one of them asks, or a key says which part is meant."""
    with pytest.raises(ConfigurationError, match="name the endpoint by its id"):
        await kit.adopt("carts", US)
    with pytest.raises(ConfigurationError, match="no endpoint 'mars'"):
        await kit.adopt("carts", "mars")
    with pytest.raises(ConfigurationError, match="reports the role replica"):
        await kit.adopt("carts", US, key=f"{KR}:c9")
    before = {e.partition: e.epoch for e in kit.status().endpoints if e.store == "carts" and e.role == "owner"}
    await kit.adopt("carts", US, key=f"{US}:c9")
    after = {e.partition: e.epoch for e in kit.status().endpoints if e.store == "carts" and e.role == "owner"}
    assert after == {**before, US: (before[US] or 0) + 1}
    with pytest.raises(UsageError, match="has no key"):
        await kit.adopt("carts", US, home=US)
    with pytest.raises(UsageError, match="not partitioned"):
        await kit.adopt("orders", US, key="c9")


async def test_a_bookmark_makes_an_older_placement_doubtful(partition_rig: PartitionRig) -> None:
    """A process that remembers the old home asks again when a session has seen a newer row, within the row's age."""
    do = partition_rig.AsyncActions
    topology = partition_rig.topology(Directory(max_age=3600.0))
    async with AsyncRegionKit(topology, local=KR, bookmark_keys=[KEY]) as old:
        await seen(old)
        await old.place("carts", key="c9", home=US)
        async with old.session() as s, s.write("carts", key="c9"):
            pass
        found: Any = old._store("carts")
        owner = found.directory.kept_in
        moved = Placement("carts", "c9", KR, 2, 2)
        await set_placement(owner.backend(owner.state.snapshot.owner), _deadline(found), moved, expected=1)
        async with AsyncRegionKit(topology, local=US, bookmark_keys=[KEY]) as new:
            await seen(new)
            async with new.session(key="c9") as s:
                async with s.write("carts") as db:
                    await do.put(db, "c9", "tea")
                assert s.last_route is not None
                assert s.last_route.region == KR
                bookmark = await s.bookmark()
        assert found.home_without_io("c9", None).partition == US
        async with old.session(key="c9", bookmark=bookmark) as s:
            async with s.read("carts") as db:
                assert await do.get(db, "c9") == "tea"
