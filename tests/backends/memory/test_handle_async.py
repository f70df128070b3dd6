"""What is special to the memory backend: the mapping, its transactions, its injected faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from regionkit import (
    EVENTUAL,
    STRONG,
    AlreadyApplied,
    AsyncRegionKit,
    ConfigurationError,
    DeadlineExceeded,
    Endpoint,
    Intrinsic,
    MemoryStore,
    NoEligibleEndpoint,
    OutcomeUnknown,
    Region,
    RegionUnavailable,
    Role,
    Topology,
    TransactionRolledBack,
    UsageError,
    WritePartitioning,
)
from regionkit.core.concurrency_async import asleep, spawn_async
from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.embedded import AsyncMemoryRegions
from regionkit.testing import VirtualClock, crash_points


@pytest.fixture
def clock() -> VirtualClock:
    """Moves when a test moves it, or waits on it."""
    return VirtualClock()


@pytest.fixture
async def regions(clock: VirtualClock) -> AsyncIterator[AsyncMemoryRegions]:
    """Two regions without lag."""
    async with AsyncMemoryRegions(store="orders", primary="us", replicas=["kr"], clock=clock) as regions:
        yield regions


@pytest.fixture
async def kit(regions: AsyncMemoryRegions, clock: VirtualClock) -> AsyncIterator[AsyncRegionKit]:
    """A kit in kr that knows both regions."""
    async with AsyncRegionKit(regions.topology, local="kr", clock=clock) as kit:
        await kit.create_tables()
        await regions.tell(kit)
        yield kit


async def put(kit: AsyncRegionKit, **values: Any) -> None:
    async with kit.session() as s, s.write("orders") as db:
        db.update(values)


async def test_the_handle_is_a_mutable_mapping(kit: AsyncRegionKit, regions: AsyncMemoryRegions) -> None:
    """All that a dict of texts does, in a write and in a read."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            db["a"] = 1
            db.update(b=[2], c=None)
            assert db.setdefault("a", 5) == 1
            assert (dict(db), len(db), "c" in db, "d" in db, 7 in db) == (
                {"a": 1, "b": [2], "c": None},
                3,
                True,
                False,
                False,
            )
            assert db.pop("c") is None
            del db["a"]
            with pytest.raises(KeyError):
                db["a"]
            with pytest.raises(KeyError):
                del db["a"]
            assert db.get("a") is None
            assert list(db) == ["b"]
        async with s.read("orders") as db:
            assert (dict(db), db.get("a", 9), "b" in db) == ({"b": [2]}, 9, True)
        async with s.write("orders") as db:
            db.clear()
            assert dict(db) == {}
    assert regions.contents("us") == {}


async def test_values_are_copied_in_and_out(kit: AsyncRegionKit, regions: AsyncMemoryRegions) -> None:
    """Neither the object that was stored nor the one that was read is the store's own."""
    mine = {"items": ["tea"]}
    await put(kit, a=mine)
    mine["items"].append("changed after it was stored")
    async with kit.session() as s:
        async with s.read("orders", consistency=EVENTUAL) as db:
            db["a"]["items"].append("changed by a reader")
        async with s.write("orders") as db:
            db["a"]["items"].append("changed by a writer that does not put it back")
            assert db["a"] == {"items": ["tea"]}
    regions.contents("kr")["a"]["items"].append("changed by a test")
    assert regions.contents("us") == regions.contents("kr") == {"a": {"items": ["tea"]}}


async def test_keys_are_texts(kit: AsyncRegionKit) -> None:
    """Said at once: another store would refuse it only in production."""
    async with kit.session() as s:
        with pytest.raises(UsageError, match="a key is a text"):
            async with s.write("orders") as db:
                db[1] = "one"


async def test_a_write_in_a_read_block_is_refused_at_once(kit: AsyncRegionKit) -> None:
    """Each way of writing, before anything is asked of a region."""
    async with kit.session() as s:
        async with s.read("orders") as db:
            for write in (lambda: db.update(a=1), lambda: db.setdefault("a", 1), lambda: db.__delitem__("a")):
                with pytest.raises(UsageError, match="read-only"):
                    write()
        with pytest.raises(UsageError, match="read-only"):
            async with s.read("orders", snapshot=True) as db:
                db["a"] = 1


async def test_a_mapping_shows_nothing_after_its_block(kit: AsyncRegionKit) -> None:
    """Reads, writes and lists are errors; printing it is not."""
    async with kit.session() as s, s.write("orders") as db:
        db["a"] = 1
    for use in (lambda: db["a"], lambda: list(db), lambda: len(db), lambda: "a" in db, lambda: db.update(a=2)):
        with pytest.raises(UsageError, match="after its block"):
            use()
    assert "tea" not in repr(db)


async def test_a_read_sees_what_is_committed_meanwhile_and_a_snapshot_does_not(kit: AsyncRegionKit) -> None:
    """As on the servers."""
    await put(kit, a=1, b=1)
    async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as plain:
        async with kit.session() as other, other.read("orders", consistency=EVENTUAL, snapshot=True) as snapshot:
            assert (plain["a"], snapshot["a"]) == (1, 1)
            await put(kit, a=2, b=2, c=2)
            assert (dict(plain), dict(snapshot)) == ({"a": 2, "b": 2, "c": 2}, {"a": 1, "b": 1})
        await put(kit, a=3)
        assert plain["a"] == 3


async def test_a_write_that_rests_on_what_changed_is_rolled_back(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions
) -> None:
    """Of two blocks that read one key the later fails, with the proof that it left nothing; both saw one state."""
    await put(kit, n=0, m=0)
    async with kit.session() as s:
        with pytest.raises(TransactionRolledBack) as caught:
            async with s.write("orders") as db:
                assert db["n"] == 0
                await put(kit, n=5, m=5)
                assert db["m"] == 0  # not half of the other's commit
                db["n"] += 1
        assert (caught.value.committed, caught.value.retryable) == ("no", True)
        assert await s.bookmark() == ""
    assert regions.contents("us") == {"n": 5, "m": 5}


async def test_listing_keys_rests_on_all_of_them(kit: AsyncRegionKit) -> None:
    """A key that came later would have been listed."""
    async with kit.session() as s:
        with pytest.raises(TransactionRolledBack):
            async with s.write("orders") as db:
                db["count"] = len(db)
                await put(kit, a=1)


async def test_writes_that_do_not_meet_both_commit(kit: AsyncRegionKit, regions: AsyncMemoryRegions) -> None:
    """Other keys, and keys that are only set: nobody waits, nothing fails."""
    await put(kit, n=0)
    async with kit.session() as s:
        async with s.write("orders") as db:
            db["mine"] = db["n"]
            db["both"] = "first"
            await put(kit, theirs=1, both="second")
    assert regions.contents("us") == {"n": 0, "mine": 0, "theirs": 1, "both": "first"}


async def test_execute_write_runs_again_after_a_conflict(kit: AsyncRegionKit, regions: AsyncMemoryRegions) -> None:
    """Ten that add one at a time to one number: none is lost."""
    await put(kit, n=0)

    async def add(db: Any) -> None:
        seen = db["n"]
        if seen == 3 and runs == 0:
            await put(kit, n=100)
        db["n"] = seen + 1

    async with kit.session() as s:
        for _ in range(10):
            runs = regions.contents("us")["n"] // 100
            await s.execute_write("orders", add)
    assert regions.contents("us")["n"] == 107


async def test_a_block_that_changes_nothing_has_no_position(kit: AsyncRegionKit, regions: AsyncMemoryRegions) -> None:
    """Nothing is committed, so copies have nothing to catch up with."""
    before = regions._world.owner.position
    async with kit.session() as s, s.write("orders") as db:
        assert len(db) == 0
    assert regions._world.owner.position == before


async def test_a_keyed_write_needs_the_tables(regions: AsyncMemoryRegions, clock: VirtualClock) -> None:
    """As on a server: the test finds the missing create_tables(), not the first deployment."""

    async def work(db: Any) -> None:
        db["a"] = 1

    async with AsyncRegionKit(regions.topology, local="kr", clock=clock) as kit, kit.session() as s:
        with pytest.raises(ConfigurationError, match=r"kit\.create_tables\(\)"):
            await s.execute_write("orders", work, idempotency_key="k")
        await s.execute_write("orders", work)


async def test_a_keyed_write_gives_its_stored_result(kit: AsyncRegionKit, regions: AsyncMemoryRegions) -> None:
    """Plain data comes back; what is no plain data raises AlreadyApplied."""

    async def add(db: Any) -> Any:
        db["n"] = db.get("n", 0) + 1
        return {"n": db["n"]}

    async def odd(db: Any) -> Any:
        db["odd"] = 1
        return object()

    async with kit.session() as s:
        for _ in range(3):
            assert await s.execute_write("orders", add, idempotency_key="k") == {"n": 1}
        await s.execute_write("orders", odd, idempotency_key="o")
        with pytest.raises(AlreadyApplied):
            await s.execute_write("orders", odd, idempotency_key="o")
    assert regions.contents("us") == {"n": 1, "odd": 1}


@pytest.mark.parametrize("committed", [True, False])
async def test_a_lost_reply_is_an_unknown_outcome(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, committed: bool
) -> None:
    """The block says so, whether or not it took effect; the session reads from the owner then. The next one is answered."""
    await regions.lose_reply(committed=committed)
    async with kit.session() as s:
        with pytest.raises(OutcomeUnknown) as caught:
            async with s.write("orders") as db:
                db["a"] = 1
        assert (caught.value.store, caught.value.region) == ("orders", "us")
        assert await kit.resolve(caught.value) == "unknown"
        async with s.read("orders") as db:
            assert ("a" in db) is committed
        assert s.last_route is not None
        assert s.last_route.region == "us"
    await put(kit, b=1)


@pytest.mark.parametrize("committed", [True, False])
async def test_a_keyed_write_survives_a_lost_reply(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, committed: bool
) -> None:
    """It is run again and finds its marker, or does not: one effect."""

    async def add(db: Any) -> int:
        db["n"] = db.get("n", 0) + 1
        return int(db["n"])

    await regions.lose_reply(committed=committed)
    async with kit.session() as s:
        assert await s.execute_write("orders", add, idempotency_key="k") == 1
    assert regions.contents("us") == {"n": 1}


async def test_resolve_says_yes_of_a_write_that_is_there(regions: AsyncMemoryRegions, kit: AsyncRegionKit) -> None:
    """Its marker stands beside its effect."""

    async def add(db: Any) -> None:
        db["n"] = 1

    async with kit.session() as s:
        await s.execute_write("orders", add, idempotency_key="k")
    error = OutcomeUnknown("lost", store="orders", idempotency_key="k", began_at=kit._clock.wall())
    assert await kit.resolve(error) == "yes"


async def test_resolve_says_no_and_makes_it_so(regions: AsyncMemoryRegions, kit: AsyncRegionKit) -> None:
    """An attempt that found its key free cannot commit once the tombstone stands there."""
    error = OutcomeUnknown("lost", store="orders", idempotency_key="k", began_at=kit._clock.wall())
    answers = []

    async def slow(db: Any) -> None:
        db["n"] = len(answers)
        if not answers:
            answers.append(await kit.resolve(error))

    async with kit.session() as s:
        await s.execute_write("orders", slow, idempotency_key="k")
    assert answers == ["no"]
    assert regions.contents("us") == {"n": 1}  # what the run of before the tombstone wrote is not there


async def test_crash_points_are_those_of_the_servers(kit: AsyncRegionKit, regions: AsyncMemoryRegions) -> None:
    """Before the commit nothing was sent, behind it the outcome is open."""
    async with kit.session() as s:
        with pytest.raises(RegionUnavailable) as before:
            with crash_points({"write.before_commit": "drop_reply"}):
                async with s.write("orders") as db:
                    db["a"] = 1
        assert before.value.committed == "no"
        assert regions.contents("us") == {}
        with pytest.raises(OutcomeUnknown):
            with crash_points({"write.commit_sent": "drop_reply"}):
                async with s.write("orders") as db:
                    db["a"] = 1
    assert regions.contents("us") == {"a": 1}


async def test_a_killed_region_breaks_open_blocks(kit: AsyncRegionKit, regions: AsyncMemoryRegions) -> None:
    """A command and a commit: both say that nothing was committed; a revived region takes new blocks, not the old one."""
    async with kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught:
            async with s.write("orders") as db:
                db["a"] = 1
                await regions.kill("us")
                await regions.revive("us")
                db["b"] = 2
        assert caught.value.committed == "no"
        with pytest.raises(RegionUnavailable) as caught:
            async with s.write("orders") as db:
                db["a"] = 1
                await regions.kill("us")
        assert caught.value.committed == "no"
        assert regions.contents("us") == {}
        with pytest.raises((RegionUnavailable, NoEligibleEndpoint)):
            async with s.write("orders") as db:
                db["a"] = 1


async def test_reads_leave_a_region_that_is_down(kit: AsyncRegionKit, regions: AsyncMemoryRegions) -> None:
    """In the same call: nothing was sent."""
    await put(kit, a=1)
    await regions.kill("kr")
    async with kit.session() as s:
        async with s.read("orders", consistency=EVENTUAL) as db:
            assert db["a"] == 1
        assert s.last_route is not None
        assert [(a.region, a.outcome) for a in s.last_route.attempts] == [("kr", "RegionUnavailable"), ("us", "ok")]


async def test_a_frozen_region_costs_its_deadline_and_no_more(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """A read gives it what its distance asks for and goes elsewhere; a command in an open block ends with its deadline."""
    await put(kit, a=1)
    await regions.freeze("kr")
    began = clock.monotonic()
    async with kit.session() as s, s.read("orders", consistency=EVENTUAL, timeout=2.0) as db:
        assert db["a"] == 1
    assert clock.monotonic() - began == 0.5
    await regions.thaw("kr")
    async with kit.session() as s:
        began = clock.monotonic()
        with pytest.raises(DeadlineExceeded, match="frozen"):
            async with s.read("orders", consistency=STRONG, timeout=2.0) as db:
                assert db["a"] == 1
                await regions.freeze("us")
                db["a"]
        assert clock.monotonic() - began == 2.0


async def test_a_commit_to_a_frozen_region_has_an_unknown_outcome(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """It was sent and nobody answered; here it is never done."""
    began = clock.monotonic()
    async with kit.session() as s:
        with pytest.raises(OutcomeUnknown):
            async with s.write("orders", timeout=2.0) as db:
                db["a"] = 1
                await regions.freeze("us")
    assert clock.monotonic() - began == 2.0
    await regions.thaw("us")
    assert regions.contents("us") == {}


async def test_a_block_that_takes_too_long_is_no_fault_of_the_region(
    kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock
) -> None:
    """Its next command, or its commit, raises; the region goes on serving others however often it happens."""
    async with kit.session() as s:
        for _ in range(6):
            with pytest.raises(DeadlineExceeded) as caught:
                async with s.write("orders", timeout=1.0) as db:
                    db["a"] = 1
                    clock.advance(1.5)
            assert caught.value.committed == "no"
        async with s.write("orders") as db:
            db["b"] = 1
    assert regions.contents("us") == {"b": 1}


async def test_a_frozen_region_is_waited_for_on_the_clock_of_the_machine() -> None:
    """Thawed in time, the call goes on; else it ends at its deadline."""
    async with AsyncMemoryRegions(store="orders", primary="us") as regions:
        async with AsyncRegionKit(regions.topology, local="us") as kit:
            await kit.create_tables()
            await regions.tell(kit)
            async with kit.session() as s:
                with pytest.raises(OutcomeUnknown):
                    async with s.write("orders", timeout=0.2) as db:
                        db["a"] = 1
                        await regions.freeze("us")
                await regions.thaw("us")
                async with s.write("orders", timeout=20.0) as db:
                    db["a"] = 2
                    await regions.freeze("us")
                    spawn_async("thaw", lambda: later(0.1, regions))
            assert regions.contents("us") == {"a": 2}


async def later(seconds: float, regions: AsyncMemoryRegions) -> None:
    await asleep(seconds)
    await regions.thaw("us")


def named(*names: str) -> Topology:
    endpoints = [
        Endpoint(region, Role.REPLICA if i else Role.PRIMARY, f"memory://{name}")
        for i, (region, name) in enumerate(zip(("us", "kr"), names, strict=False))
    ]
    regions = [Region("us"), Region("kr")]
    return Topology(namespace="shop", regions=regions, stores=[MemoryStore("orders", endpoints=endpoints)])


async def test_a_name_is_one_store_in_the_whole_process() -> None:
    """What one kit wrote another one finds, also after the first was closed."""
    topology = named(f"us.{uuid7().hex}", f"kr.{uuid7().hex}")
    for number in range(2):
        async with AsyncRegionKit(topology, local="us") as kit:
            async with kit.session() as s, s.write("orders") as db:
                assert db.get("n") == (number - 1 if number else None)
                db["n"] = number
    async with AsyncRegionKit(topology, local="kr") as kit:
        async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            assert db["n"] == 1


async def test_a_name_belongs_to_one_store() -> None:
    """Two topologies that mix the regions of two stores are told so."""
    async with (
        AsyncRegionKit(named("first-us", "first-kr"), local="us"),
        AsyncRegionKit(named("second-us", "second-kr"), local="us"),
    ):
        with pytest.raises(ConfigurationError, match="not one store"):
            AsyncRegionKit(named("first-us", "second-kr"), local="us")


async def test_a_region_that_joins_later_has_all_there_is() -> None:
    """It begins as a copy of the owner."""
    us, kr = f"us.{uuid7().hex}", f"kr.{uuid7().hex}"
    async with AsyncRegionKit(named(us), local="us") as kit:
        await put(kit, a=1)
        async with AsyncRegionKit(named(us, kr), local="kr") as other:
            async with other.session() as s, s.read("orders", consistency=EVENTUAL) as db:
                assert db["a"] == 1
            await put(kit, a=2)
            async with other.session() as s, s.read("orders", consistency=EVENTUAL) as db:
                assert db["a"] == 2


async def test_regions_and_kits_have_one_clock(regions: AsyncMemoryRegions) -> None:
    """Else lag would pass on one and waiting on the other."""
    with pytest.raises(ConfigurationError, match="different clocks"):
        AsyncRegionKit(regions.topology, local="kr")


async def test_old_markers_are_swept(kit: AsyncRegionKit, regions: AsyncMemoryRegions, clock: VirtualClock) -> None:
    """As many as asked for, the old ones only."""

    async def add(db: Any) -> None:
        db["n"] = db.get("n", 0) + 1

    shard: Any = kit._store("orders")
    async with kit.session() as s:
        for key in ("k1", "k2", "k3"):
            await s.execute_write("orders", add, idempotency_key=key)
        clock.advance(100.0)
        await s.execute_write("orders", add, idempotency_key="k4")
        backend = shard.backend(shard.state.snapshot.owner)
        assert [await backend.sweep(Deadline(clock, 5.0), 50.0, 2) for _ in range(3)] == [2, 1, 0]
        await s.execute_write("orders", add, idempotency_key="k4")
        assert regions.contents("us") == {"n": 4}
        await s.execute_write("orders", add, idempotency_key="k1")  # forgotten: a key is covered for a day
        assert regions.contents("us") == {"n": 5}


async def test_a_partitioned_store_has_an_owner_for_each_home(clock: VirtualClock) -> None:
    """Each home region's data is a store of its own, with copies of its own."""
    unique = uuid7().hex
    endpoints = [
        Endpoint("us", Role.PRIMARY, f"memory://us.{unique}"),
        Endpoint("kr", Role.PRIMARY, f"memory://kr.{unique}"),
        Endpoint("kr", Role.REPLICA, f"memory://us-in-kr.{unique}", of="us"),
    ]
    store = MemoryStore("carts", strategy=WritePartitioning(Intrinsic("^(?P<region>[a-z]+):")), endpoints=endpoints)
    topology = Topology(namespace="shop", regions=[Region("us"), Region("kr")], stores=[store])
    async with AsyncRegionKit(topology, local="kr", clock=clock) as kit:
        await kit.create_tables()
        async with kit.session() as s:
            for key in ("us:1", "kr:1", "us:2"):
                async with s.write("carts", key=key) as db:
                    db[key] = "tea"
            async with s.read("carts", key="us:2", consistency=EVENTUAL) as db:
                assert set(db) == {"us:1", "us:2"}
            assert s.last_route is not None
            assert s.last_route.region == "kr"
            async with s.read("carts", key="kr:1") as db:
                assert set(db) == {"kr:1"}
