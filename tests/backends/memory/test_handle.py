# Generated from test_handle_async.py by scripts/twins.py. Do not edit.
"""What is special to the memory backend: the mapping, its transactions, its injected faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from regionkit import (
    EVENTUAL,
    STRONG,
    AlreadyApplied,
    ConfigurationError,
    DeadlineExceeded,
    Endpoint,
    Intrinsic,
    MemoryStore,
    NoEligibleEndpoint,
    OutcomeUnknown,
    Region,
    RegionKit,
    RegionUnavailable,
    Role,
    Topology,
    TransactionRolledBack,
    UsageError,
    WritePartitioning,
)
from regionkit.core.concurrency import sleep, spawn
from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.embedded import MemoryRegions
from regionkit.testing import VirtualClock, crash_points


@pytest.fixture
def clock() -> VirtualClock:
    """Moves when a test moves it, or waits on it."""
    return VirtualClock()


@pytest.fixture
def regions(clock: VirtualClock) -> Iterator[MemoryRegions]:
    """Two regions without lag."""
    with MemoryRegions(store="orders", primary="us", replicas=["kr"], clock=clock) as regions:
        yield regions


@pytest.fixture
def kit(regions: MemoryRegions, clock: VirtualClock) -> Iterator[RegionKit]:
    """A kit in kr that knows both regions."""
    with RegionKit(regions.topology, local="kr", clock=clock) as kit:
        kit.create_tables()
        regions.tell(kit)
        yield kit


def put(kit: RegionKit, **values: Any) -> None:
    with kit.session() as s, s.write("orders") as db:
        db.update(values)


def test_the_handle_is_a_mutable_mapping(kit: RegionKit, regions: MemoryRegions) -> None:
    """All that a dict of texts does, in a write and in a read."""
    with kit.session() as s:
        with s.write("orders") as db:
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
        with s.read("orders") as db:
            assert (dict(db), db.get("a", 9), "b" in db) == ({"b": [2]}, 9, True)
        with s.write("orders") as db:
            db.clear()
            assert dict(db) == {}
    assert regions.contents("us") == {}


def test_values_are_copied_in_and_out(kit: RegionKit, regions: MemoryRegions) -> None:
    """Neither the object that was stored nor the one that was read is the store's own."""
    mine = {"items": ["tea"]}
    put(kit, a=mine)
    mine["items"].append("changed after it was stored")
    with kit.session() as s:
        with s.read("orders", consistency=EVENTUAL) as db:
            db["a"]["items"].append("changed by a reader")
        with s.write("orders") as db:
            db["a"]["items"].append("changed by a writer that does not put it back")
            assert db["a"] == {"items": ["tea"]}
    regions.contents("kr")["a"]["items"].append("changed by a test")
    assert regions.contents("us") == regions.contents("kr") == {"a": {"items": ["tea"]}}


def test_keys_are_texts(kit: RegionKit) -> None:
    """Said at once: another store would refuse it only in production."""
    with kit.session() as s:
        with pytest.raises(UsageError, match="a key is a text"):
            with s.write("orders") as db:
                db[1] = "one"


def test_a_write_in_a_read_block_is_refused_at_once(kit: RegionKit) -> None:
    """Each way of writing, before anything is asked of a region."""
    with kit.session() as s:
        with s.read("orders") as db:
            for write in (lambda: db.update(a=1), lambda: db.setdefault("a", 1), lambda: db.__delitem__("a")):
                with pytest.raises(UsageError, match="read-only"):
                    write()
        with pytest.raises(UsageError, match="read-only"):
            with s.read("orders", snapshot=True) as db:
                db["a"] = 1


def test_a_mapping_shows_nothing_after_its_block(kit: RegionKit) -> None:
    """Reads, writes and lists are errors; printing it is not."""
    with kit.session() as s, s.write("orders") as db:
        db["a"] = 1
    for use in (lambda: db["a"], lambda: list(db), lambda: len(db), lambda: "a" in db, lambda: db.update(a=2)):
        with pytest.raises(UsageError, match="after its block"):
            use()
    assert "tea" not in repr(db)


def test_a_read_sees_what_is_committed_meanwhile_and_a_snapshot_does_not(kit: RegionKit) -> None:
    """As on the servers."""
    put(kit, a=1, b=1)
    with kit.session() as s, s.read("orders", consistency=EVENTUAL) as plain:
        with kit.session() as other, other.read("orders", consistency=EVENTUAL, snapshot=True) as snapshot:
            assert (plain["a"], snapshot["a"]) == (1, 1)
            put(kit, a=2, b=2, c=2)
            assert (dict(plain), dict(snapshot)) == ({"a": 2, "b": 2, "c": 2}, {"a": 1, "b": 1})
        put(kit, a=3)
        assert plain["a"] == 3


def test_a_write_that_rests_on_what_changed_is_rolled_back(kit: RegionKit, regions: MemoryRegions) -> None:
    """Of two blocks that read one key the later fails, with the proof that it left nothing; both saw one state."""
    put(kit, n=0, m=0)
    with kit.session() as s:
        with pytest.raises(TransactionRolledBack) as caught:
            with s.write("orders") as db:
                assert db["n"] == 0
                put(kit, n=5, m=5)
                assert db["m"] == 0  # not half of the other's commit
                db["n"] += 1
        assert (caught.value.committed, caught.value.retryable) == ("no", True)
        assert s.bookmark() == ""
    assert regions.contents("us") == {"n": 5, "m": 5}


def test_listing_keys_rests_on_all_of_them(kit: RegionKit) -> None:
    """A key that came later would have been listed."""
    with kit.session() as s:
        with pytest.raises(TransactionRolledBack):
            with s.write("orders") as db:
                db["count"] = len(db)
                put(kit, a=1)


def test_writes_that_do_not_meet_both_commit(kit: RegionKit, regions: MemoryRegions) -> None:
    """Other keys, and keys that are only set: nobody waits, nothing fails."""
    put(kit, n=0)
    with kit.session() as s:
        with s.write("orders") as db:
            db["mine"] = db["n"]
            db["both"] = "first"
            put(kit, theirs=1, both="second")
    assert regions.contents("us") == {"n": 0, "mine": 0, "theirs": 1, "both": "first"}


def test_execute_write_runs_again_after_a_conflict(kit: RegionKit, regions: MemoryRegions) -> None:
    """Ten that add one at a time to one number: none is lost."""
    put(kit, n=0)

    def add(db: Any) -> None:
        seen = db["n"]
        if seen == 3 and runs == 0:
            put(kit, n=100)
        db["n"] = seen + 1

    with kit.session() as s:
        for _ in range(10):
            runs = regions.contents("us")["n"] // 100
            s.execute_write("orders", add)
    assert regions.contents("us")["n"] == 107


def test_a_block_that_changes_nothing_has_no_position(kit: RegionKit, regions: MemoryRegions) -> None:
    """Nothing is committed, so copies have nothing to catch up with."""
    before = regions._world.owner.position
    with kit.session() as s, s.write("orders") as db:
        assert len(db) == 0
    assert regions._world.owner.position == before


def test_a_keyed_write_needs_the_tables(regions: MemoryRegions, clock: VirtualClock) -> None:
    """As on a server: the test finds the missing create_tables(), not the first deployment."""

    def work(db: Any) -> None:
        db["a"] = 1

    with RegionKit(regions.topology, local="kr", clock=clock) as kit, kit.session() as s:
        with pytest.raises(ConfigurationError, match=r"kit\.create_tables\(\)"):
            s.execute_write("orders", work, idempotency_key="k")
        s.execute_write("orders", work)


def test_a_keyed_write_gives_its_stored_result(kit: RegionKit, regions: MemoryRegions) -> None:
    """Plain data comes back; what is no plain data raises AlreadyApplied."""

    def add(db: Any) -> Any:
        db["n"] = db.get("n", 0) + 1
        return {"n": db["n"]}

    def odd(db: Any) -> Any:
        db["odd"] = 1
        return object()

    with kit.session() as s:
        for _ in range(3):
            assert s.execute_write("orders", add, idempotency_key="k") == {"n": 1}
        s.execute_write("orders", odd, idempotency_key="o")
        with pytest.raises(AlreadyApplied):
            s.execute_write("orders", odd, idempotency_key="o")
    assert regions.contents("us") == {"n": 1, "odd": 1}


@pytest.mark.parametrize("committed", [True, False])
def test_a_lost_reply_is_an_unknown_outcome(kit: RegionKit, regions: MemoryRegions, committed: bool) -> None:
    """The block says so, whether or not it took effect; the session reads from the owner then. The next one is answered."""
    regions.lose_reply(committed=committed)
    with kit.session() as s:
        with pytest.raises(OutcomeUnknown) as caught:
            with s.write("orders") as db:
                db["a"] = 1
        assert (caught.value.store, caught.value.region) == ("orders", "us")
        assert kit.resolve(caught.value) == "unknown"
        with s.read("orders") as db:
            assert ("a" in db) is committed
        assert s.last_route is not None
        assert s.last_route.region == "us"
    put(kit, b=1)


@pytest.mark.parametrize("committed", [True, False])
def test_a_keyed_write_survives_a_lost_reply(kit: RegionKit, regions: MemoryRegions, committed: bool) -> None:
    """It is run again and finds its marker, or does not: one effect."""

    def add(db: Any) -> int:
        db["n"] = db.get("n", 0) + 1
        return int(db["n"])

    regions.lose_reply(committed=committed)
    with kit.session() as s:
        assert s.execute_write("orders", add, idempotency_key="k") == 1
    assert regions.contents("us") == {"n": 1}


def test_resolve_says_yes_of_a_write_that_is_there(regions: MemoryRegions, kit: RegionKit) -> None:
    """Its marker stands beside its effect."""

    def add(db: Any) -> None:
        db["n"] = 1

    with kit.session() as s:
        s.execute_write("orders", add, idempotency_key="k")
    error = OutcomeUnknown("lost", store="orders", idempotency_key="k", began_at=kit._clock.wall())
    assert kit.resolve(error) == "yes"


def test_resolve_says_no_and_makes_it_so(regions: MemoryRegions, kit: RegionKit) -> None:
    """An attempt that found its key free cannot commit once the tombstone stands there."""
    error = OutcomeUnknown("lost", store="orders", idempotency_key="k", began_at=kit._clock.wall())
    answers = []

    def slow(db: Any) -> None:
        db["n"] = len(answers)
        if not answers:
            answers.append(kit.resolve(error))

    with kit.session() as s:
        s.execute_write("orders", slow, idempotency_key="k")
    assert answers == ["no"]
    assert regions.contents("us") == {"n": 1}  # what the run of before the tombstone wrote is not there


def test_crash_points_are_those_of_the_servers(kit: RegionKit, regions: MemoryRegions) -> None:
    """Before the commit nothing was sent, behind it the outcome is open."""
    with kit.session() as s:
        with pytest.raises(RegionUnavailable) as before:
            with crash_points({"write.before_commit": "drop_reply"}):
                with s.write("orders") as db:
                    db["a"] = 1
        assert before.value.committed == "no"
        assert regions.contents("us") == {}
        with pytest.raises(OutcomeUnknown):
            with crash_points({"write.commit_sent": "drop_reply"}):
                with s.write("orders") as db:
                    db["a"] = 1
    assert regions.contents("us") == {"a": 1}


def test_a_killed_region_breaks_open_blocks(kit: RegionKit, regions: MemoryRegions) -> None:
    """A command and a commit: both say that nothing was committed; a revived region takes new blocks, not the old one."""
    with kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught:
            with s.write("orders") as db:
                db["a"] = 1
                regions.kill("us")
                regions.revive("us")
                db["b"] = 2
        assert caught.value.committed == "no"
        with pytest.raises(RegionUnavailable) as caught:
            with s.write("orders") as db:
                db["a"] = 1
                regions.kill("us")
        assert caught.value.committed == "no"
        assert regions.contents("us") == {}
        with pytest.raises((RegionUnavailable, NoEligibleEndpoint)):
            with s.write("orders") as db:
                db["a"] = 1


def test_reads_leave_a_region_that_is_down(kit: RegionKit, regions: MemoryRegions) -> None:
    """In the same call: nothing was sent."""
    put(kit, a=1)
    regions.kill("kr")
    with kit.session() as s:
        with s.read("orders", consistency=EVENTUAL) as db:
            assert db["a"] == 1
        assert s.last_route is not None
        assert [(a.region, a.outcome) for a in s.last_route.attempts] == [("kr", "RegionUnavailable"), ("us", "ok")]


def test_a_frozen_region_costs_its_deadline_and_no_more(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """A read gives it what its distance asks for and goes elsewhere; a command in an open block ends with its deadline."""
    put(kit, a=1)
    regions.freeze("kr")
    began = clock.monotonic()
    with kit.session() as s, s.read("orders", consistency=EVENTUAL, timeout=2.0) as db:
        assert db["a"] == 1
    assert clock.monotonic() - began == 0.5
    regions.thaw("kr")
    with kit.session() as s:
        began = clock.monotonic()
        with pytest.raises(DeadlineExceeded, match="frozen"):
            with s.read("orders", consistency=STRONG, timeout=2.0) as db:
                assert db["a"] == 1
                regions.freeze("us")
                db["a"]
        assert clock.monotonic() - began == 2.0


def test_a_commit_to_a_frozen_region_has_an_unknown_outcome(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """It was sent and nobody answered; here it is never done."""
    began = clock.monotonic()
    with kit.session() as s:
        with pytest.raises(OutcomeUnknown):
            with s.write("orders", timeout=2.0) as db:
                db["a"] = 1
                regions.freeze("us")
    assert clock.monotonic() - began == 2.0
    regions.thaw("us")
    assert regions.contents("us") == {}


def test_a_block_that_takes_too_long_is_no_fault_of_the_region(
    kit: RegionKit, regions: MemoryRegions, clock: VirtualClock
) -> None:
    """Its next command, or its commit, raises; the region goes on serving others however often it happens."""
    with kit.session() as s:
        for _ in range(6):
            with pytest.raises(DeadlineExceeded) as caught:
                with s.write("orders", timeout=1.0) as db:
                    db["a"] = 1
                    clock.advance(1.5)
            assert caught.value.committed == "no"
        with s.write("orders") as db:
            db["b"] = 1
    assert regions.contents("us") == {"b": 1}


def test_a_frozen_region_is_waited_for_on_the_clock_of_the_machine() -> None:
    """Thawed in time, the call goes on; else it ends at its deadline."""
    with MemoryRegions(store="orders", primary="us") as regions:
        with RegionKit(regions.topology, local="us") as kit:
            kit.create_tables()
            regions.tell(kit)
            with kit.session() as s:
                with pytest.raises(OutcomeUnknown):
                    with s.write("orders", timeout=0.2) as db:
                        db["a"] = 1
                        regions.freeze("us")
                regions.thaw("us")
                with s.write("orders", timeout=20.0) as db:
                    db["a"] = 2
                    regions.freeze("us")
                    spawn("thaw", lambda: later(0.1, regions))
            assert regions.contents("us") == {"a": 2}


def later(seconds: float, regions: MemoryRegions) -> None:
    sleep(seconds)
    regions.thaw("us")


def named(*names: str) -> Topology:
    endpoints = [
        Endpoint(region, Role.REPLICA if i else Role.PRIMARY, f"memory://{name}")
        for i, (region, name) in enumerate(zip(("us", "kr"), names, strict=False))
    ]
    regions = [Region("us"), Region("kr")]
    return Topology(namespace="shop", regions=regions, stores=[MemoryStore("orders", endpoints=endpoints)])


def test_a_name_is_one_store_in_the_whole_process() -> None:
    """What one kit wrote another one finds, also after the first was closed."""
    topology = named(f"us.{uuid7().hex}", f"kr.{uuid7().hex}")
    for number in range(2):
        with RegionKit(topology, local="us") as kit:
            with kit.session() as s, s.write("orders") as db:
                assert db.get("n") == (number - 1 if number else None)
                db["n"] = number
    with RegionKit(topology, local="kr") as kit:
        with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            assert db["n"] == 1


def test_a_name_belongs_to_one_store() -> None:
    """Two topologies that mix the regions of two stores are told so."""
    with (
        RegionKit(named("first-us", "first-kr"), local="us"),
        RegionKit(named("second-us", "second-kr"), local="us"),
    ):
        with pytest.raises(ConfigurationError, match="not one store"):
            RegionKit(named("first-us", "second-kr"), local="us")


def test_a_region_that_joins_later_has_all_there_is() -> None:
    """It begins as a copy of the owner."""
    us, kr = f"us.{uuid7().hex}", f"kr.{uuid7().hex}"
    with RegionKit(named(us), local="us") as kit:
        put(kit, a=1)
        with RegionKit(named(us, kr), local="kr") as other:
            with other.session() as s, s.read("orders", consistency=EVENTUAL) as db:
                assert db["a"] == 1
            put(kit, a=2)
            with other.session() as s, s.read("orders", consistency=EVENTUAL) as db:
                assert db["a"] == 2


def test_regions_and_kits_have_one_clock(regions: MemoryRegions) -> None:
    """Else lag would pass on one and waiting on the other."""
    with pytest.raises(ConfigurationError, match="different clocks"):
        RegionKit(regions.topology, local="kr")


def test_old_markers_are_swept(kit: RegionKit, regions: MemoryRegions, clock: VirtualClock) -> None:
    """As many as asked for, the old ones only."""

    def add(db: Any) -> None:
        db["n"] = db.get("n", 0) + 1

    shard: Any = kit._store("orders")
    with kit.session() as s:
        for key in ("k1", "k2", "k3"):
            s.execute_write("orders", add, idempotency_key=key)
        clock.advance(100.0)
        s.execute_write("orders", add, idempotency_key="k4")
        backend = shard.backend(shard.state.snapshot.owner)
        assert [backend.sweep(Deadline(clock, 5.0), 50.0, 2) for _ in range(3)] == [2, 1, 0]
        s.execute_write("orders", add, idempotency_key="k4")
        assert regions.contents("us") == {"n": 4}
        s.execute_write("orders", add, idempotency_key="k1")  # forgotten: a key is covered for a day
        assert regions.contents("us") == {"n": 5}


def test_a_partitioned_store_has_an_owner_for_each_home(clock: VirtualClock) -> None:
    """Each home region's data is a store of its own, with copies of its own."""
    unique = uuid7().hex
    endpoints = [
        Endpoint("us", Role.PRIMARY, f"memory://us.{unique}"),
        Endpoint("kr", Role.PRIMARY, f"memory://kr.{unique}"),
        Endpoint("kr", Role.REPLICA, f"memory://us-in-kr.{unique}", of="us"),
    ]
    store = MemoryStore("carts", strategy=WritePartitioning(Intrinsic("^(?P<region>[a-z]+):")), endpoints=endpoints)
    topology = Topology(namespace="shop", regions=[Region("us"), Region("kr")], stores=[store])
    with RegionKit(topology, local="kr", clock=clock) as kit:
        kit.create_tables()
        with kit.session() as s:
            for key in ("us:1", "kr:1", "us:2"):
                with s.write("carts", key=key) as db:
                    db[key] = "tea"
            with s.read("carts", key="us:2", consistency=EVENTUAL) as db:
                assert set(db) == {"us:1", "us:2"}
            assert s.last_route is not None
            assert s.last_route.region == "kr"
            with s.read("carts", key="kr:1") as db:
                assert set(db) == {"kr:1"}
