# Generated from test_partitioning_async.py by scripts/twins.py. Do not edit.
"""Write partitioning: a key's writes go to its home, its reads to the nearest proved copy of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_rig_partitions import HOMES, PartitionRig
from placing import set_placement
from waiting import seen

from regionkit import (
    EVENTUAL,
    STRONG,
    ConfigurationError,
    Contextual,
    Directory,
    Endpoint,
    Hashed,
    Intrinsic,
    OutcomeUnknown,
    RegionKit,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
    UnknownHome,
    UsageError,
)
from regionkit.core.concurrency import sleep
from regionkit.facts.placement import Placement

KEY = "a key of more than sixteen characters"
PATTERN = Intrinsic("^(?P<region>[a-z0-9-]+):")
US, KR = HOMES


@pytest.fixture
def kit(partition_rig: PartitionRig) -> Iterator[RegionKit]:
    """A kit in ap-northeast-2; keys begin with their home."""
    with RegionKit(partition_rig.topology(PATTERN), local=KR, bookmark_keys=[KEY]) as kit:
        yield seen(kit)


def test_writes_go_home(kit: RegionKit, partition_rig: PartitionRig) -> None:
    """Each key's to its own region, and nowhere else."""
    do = partition_rig.Actions
    with kit.session() as s:
        for home in HOMES:
            with s.write("carts", key=f"{home}:c9") as db:
                do.put(db, f"{home}:c9", "tea")
            assert s.last_route is not None
            assert s.last_route.region == home
    assert [partition_rig.value(home, f"{home}:c9") for home in HOMES] == ["tea", "tea"]
    assert [partition_rig.value(home, f"{other}:c9") for home, other in zip(HOMES, reversed(HOMES))] == [None, None]


def test_reads_are_near_and_see_the_session(kit: RegionKit, partition_rig: PartitionRig) -> None:
    """A key of the other home is read from the local copy once that is proved, and never before."""
    do, key = partition_rig.Actions, f"{US}:c9"
    with partition_rig.hold(US):
        with kit.session() as s:
            with s.write("carts", key=key) as db:
                do.put(db, key, "tea")
            with s.read("carts", key=key, consistency=EVENTUAL) as db:
                assert do.get(db, key) is None
            assert s.last_route is not None
            assert s.last_route.region == KR
            with s.read("carts", key=key) as db:
                assert do.get(db, key) == "tea"
            assert s.last_route.region == US
            bookmark = s.bookmark()
    end = time.monotonic() + 10
    while True:
        with kit.session(bookmark=bookmark) as s:
            with s.read("carts", key=key) as db:
                assert do.get(db, key) == "tea"
            assert s.last_route is not None
            if s.last_route.region == KR:
                break
        assert time.monotonic() < end, "the local copy never served"
        sleep(0.05)


def test_a_partition_without_an_entry_is_read_from_its_owner(kit: RegionKit, partition_rig: PartitionRig) -> None:
    """A bookmark with entries of one partition proves nothing of another: that one may have been written, too."""
    do = partition_rig.Actions
    with kit.session() as s:
        with s.write("carts", key=f"{KR}:c9") as db:
            do.put(db, f"{KR}:c9", "tea")
        s.bookmark()  # where the position is taken late, it is there now
        with s.read("carts", key=f"{US}:c9") as db:
            do.get(db, f"{US}:c9")
        assert s.last_route is not None
        assert s.last_route.region == US


def test_a_session_is_locked_to_its_key(kit: RegionKit, partition_rig: PartitionRig) -> None:
    """Another key is an error unless it is asked for; stores without partitions are not concerned."""
    do = partition_rig.Actions
    with kit.session(key=f"{US}:t42") as s:
        with s.write("carts") as db:
            do.put(db, "a", "tea")
        with s.read("carts", key=f"{US}:t42") as db:
            assert do.get(db, "a") == "tea"
        for call in (s.read, s.write):
            with pytest.raises(UsageError, match="locked to key"):
                call("carts", key=f"{KR}:t43")
        with pytest.raises(UsageError, match="locked to key"):
            s.execute_read("carts", lambda db: do.get(db, "a"), key=f"{KR}:t43")
        with s.read("carts", key=f"{KR}:t43", unlocked=True) as db:
            assert do.get(db, "a") is None
        with s.read("orders"):
            pass


def test_keys_that_can_not_be_placed_are_refused(kit: RegionKit) -> None:
    """No key, a key without a home, an unknown home, a home given by the caller: each says what to do."""
    with kit.session() as s:
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


def test_the_caller_may_say_the_home(partition_rig: PartitionRig) -> None:
    """Contextual: on the session, or on the call; checked."""
    do = partition_rig.Actions
    with RegionKit(partition_rig.topology(Contextual()), local=KR) as kit:
        seen(kit)
        with kit.session(key="c9", home=US) as s:
            with s.write("carts") as db:
                do.put(db, "c9", "tea")
            with pytest.raises(UnknownHome):
                s.read("carts", home="mars")
        with kit.session() as s:
            with pytest.raises(UsageError, match="without the home"):
                s.write("carts", key="c9")
            with s.read("carts", key="c9", home=US, consistency=STRONG) as db:
                assert do.get(db, "c9") == "tea"
    assert partition_rig.value(US, "c9") == "tea"


def test_keys_are_spread_by_hash(partition_rig: PartitionRig) -> None:
    """Every key's write is found at the region that the function names."""
    do, home = partition_rig.Actions, Hashed(HOMES)
    with RegionKit(partition_rig.topology(home), local=KR) as kit:
        seen(kit)
        with kit.session() as s:
            for number in range(12):
                with s.write("carts", key=f"c{number}") as db:
                    do.put(db, f"c{number}", "tea")
    for number in range(12):
        assert partition_rig.value(home.of(f"c{number}"), f"c{number}") == "tea"


def test_a_changed_list_of_regions_is_refused(partition_rig: PartitionRig) -> None:
    """By the stored table, at create_tables and at the first use of a process that never calls it."""
    do = partition_rig.Actions
    with RegionKit(partition_rig.topology(Hashed(HOMES)), local=KR) as kit:
        seen(kit)
    other = partition_rig.topology(Hashed(tuple(reversed(HOMES))))
    with RegionKit(other, local=KR) as kit:
        with kit.session() as s:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="the stored table"):
                    with s.write("carts", key="c9") as db:
                        do.put(db, "c9", "tea")
        with pytest.raises(ConfigurationError, match="the stored table"):
            kit.create_tables()


def test_a_copy_that_lacks_the_list_does_not_say_that_there_is_none(partition_rig: PartitionRig) -> None:
    """It lags, or was just rebuilt: the owner is asked. What nobody could say is not taken for verified."""
    with partition_rig.hold(US):
        with RegionKit(partition_rig.topology(Hashed(HOMES)), local=KR) as kit:
            kit.create_tables()
        other = Hashed(tuple(reversed(HOMES)))
        key = next(key for number in range(100) if other.of(key := f"c{number}") == US)
        with RegionKit(partition_rig.topology(other), local=KR) as kit, kit.session() as s:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="the stored table"):
                    with s.write("carts", key=key):
                        pass
        with RegionKit(partition_rig.topology(other), local=KR) as kit, kit.session() as s:
            shard: Any = kit._store("carts")._by_home[US]

            def unheard(*_: Any) -> None:
                raise RegionUnavailable("nobody answers.")

            for backend in shard.backends:
                backend.records.get = unheard
            with pytest.raises(RegionUnavailable, match="could not be compared"):
                with s.write("carts", key=key):
                    pass


def test_a_directory_places_and_finds(partition_rig: PartitionRig, tmp_path: Path) -> None:
    """A first home by compare-and-set; an absent key is never remembered as absent; another process finds the row."""
    do = partition_rig.Actions
    topology = partition_rig.topology(Directory())
    with RegionKit(topology, local=KR) as kit:
        seen(kit)
        with kit.session() as s:
            for _ in range(2):
                with pytest.raises(UnknownHome, match="has no home yet"):
                    with s.write("carts", key="c9"):
                        pass
            placed = kit.place("carts", key="c9", home=US)
            assert (placed.home, placed.epoch, placed.version) == (US, 1, 1)
            assert kit.place("carts", key="c9", home=US) == placed
            with pytest.raises(UsageError, match="already"):
                kit.place("carts", key="c9", home=KR)
            with pytest.raises(UnknownHome):
                kit.place("carts", key="c8", home="mars")
            with s.write("carts", key="c9") as db:
                do.put(db, "c9", "tea")
            assert s.last_route is not None
            assert s.last_route.region == US
    with RegionKit(topology, local=KR) as other:
        with pytest.raises(UsageError, match="not known here yet"):
            other.explain("carts", key="c9")
        with other.session() as s:
            assert "us-east-1" in str(s.explain("carts", "write", key="c9"))
            found = s.execute_read("carts", lambda db: do.get(db, "c9"), key="c9", consistency=STRONG)
            assert found == "tea"
        assert "us-east-1" in str(other.explain("carts", "write", key="c9"))
    assert partition_rig.value(US, "c9") == "tea"


def test_a_row_that_points_nowhere_is_told(partition_rig: PartitionRig) -> None:
    """A region that the topology does not have any more: UnknownHome, with what there is."""
    with RegionKit(partition_rig.topology(Directory()), local=KR) as kit:
        seen(kit)
        found: Any = kit._store("carts")
        found.directory.place("c9", "eu-north-1", _deadline(found))
        with kit.session() as s:
            with pytest.raises(UnknownHome, match="key 'c9' has the home 'eu-north-1', which the store does not have"):
                with s.write("carts", key="c9"):
                    pass


def _deadline(found: Any) -> Any:
    from regionkit.core.deadline import Deadline

    return Deadline(found.shards[0].clock, 5.0)


def test_a_lost_directory_does_not_stop_known_keys(partition_rig: PartitionRig, tmp_path: Path) -> None:
    """In the process that knew them, and in one that starts later with the copy on disk; an unknown key is an error."""
    do = partition_rig.Actions
    home = Directory("places", max_age=0.05, copy=str(tmp_path / "copy"))
    places = SqlStore("places", endpoints=[Endpoint(US, Role.PRIMARY, partition_rig.directory_url)])
    gone = SqlStore("places", endpoints=[Endpoint(US, Role.PRIMARY, f"sqlite:///{tmp_path}/no/such/folder.db")])

    def topology(kept_in: SqlStore) -> Topology:
        whole = partition_rig.topology(PATTERN)
        return Topology(namespace="shop", regions=whole.regions, stores=[partition_rig.carts(home), kept_in])

    with RegionKit(topology(places), local=KR) as kit:
        seen(kit)
        kit.place("carts", key="c9", home=US)
        directory: Any = kit._store("carts")
        assert directory.directory.home_without_io("c9") == US
        sleep(0.1)
        assert directory.directory.home_without_io("c9") is None
    with RegionKit(topology(gone), local=KR, profile={"probe_timeout": 0.2}) as kit, kit.session() as s:
        with s.write("carts", key="c9") as db:
            do.put(db, "c9", "tea")
        with pytest.raises((RegionUnavailable, ConfigurationError)):
            with s.write("carts", key="c8"):
                pass
    assert partition_rig.value(US, "c9") == "tea"


def test_a_newer_row_wins(partition_rig: PartitionRig) -> None:
    """A remembered row is asked for again after its age, and its successor is used."""
    with RegionKit(partition_rig.topology(Directory(max_age=0.05)), local=KR) as kit:
        seen(kit)
        kit.place("carts", key="c9", home=US)
        found: Any = kit._store("carts")
        owner = found.directory.kept_in
        moved = Placement("carts", "c9", KR, 2, 2)
        set_placement(owner.backend(owner.state.snapshot.owner), _deadline(found), moved, expected=1)
        end = time.monotonic() + 10
        with kit.session() as s:
            while True:
                with s.write("carts", key="c9"):
                    pass
                assert s.last_route is not None
                if s.last_route.region == KR:
                    break
                assert time.monotonic() < end
                sleep(0.05)


def test_a_fan_out_asks_every_partition(kit: RegionKit, partition_rig: PartitionRig) -> None:
    """Values by partition; a failing one is a value, too; what was seen is in its bookmark."""
    do = partition_rig.Actions
    with kit.session() as s:
        for home in HOMES:
            with s.write("carts", key=f"{home}:a") as db:
                do.put(db, "a", home)
        bookmark = s.bookmark()

    def look(db: Any) -> Any:
        found = do.get(db, "a")
        if found == KR:
            raise ValueError(found)
        return found

    results = {name: result for name, result in kit.fan_out("carts", look, bookmark=bookmark)}
    assert results[US].value == US
    assert results[US].ok
    assert isinstance(results[KR].error, ValueError)
    assert not results[KR].ok

    def simple(db: Any) -> Any:
        return do.get(db, "a")

    fan = kit.fan_out("carts", simple, concurrency=1)
    assert sorted([(name, result.ok) for name, result in fan]) == [(KR, True), (US, True)]
    assert fan.bookmark() != ""


def test_a_fan_out_ends_at_its_deadline(kit: RegionKit) -> None:
    """A slow partition is a value with an error, and the others were there before."""

    def slow(db: Any) -> str:
        if kit.status().endpoints:
            sleep(0.5)
        return "late"

    began = time.monotonic()
    results = {name: result for name, result in kit.fan_out("carts", slow, timeout=0.2)}
    assert time.monotonic() - began < 5.0
    assert all(isinstance(result.error, TimeoutError) for result in results.values())
    with pytest.raises(ConfigurationError, match="concurrency"):
        kit.fan_out("carts", slow, concurrency=0)


def test_hot_keys_are_in_the_status(kit: RegionKit, partition_rig: PartitionRig) -> None:
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


def test_an_idempotency_key_counts_in_its_partition(kit: RegionKit, partition_rig: PartitionRig) -> None:
    """Two partitions are two stores: one key takes effect once in each; of two keys of one partition the second does nothing."""
    do = partition_rig.Actions
    with kit.session() as s:

        def put(key: str) -> Any:
            def work(db: Any) -> str:
                do.put(db, key, "tea")
                return f"put {key}"

            return work

        first, other, same = f"{US}:c1", f"{KR}:c1", f"{US}:c2"
        told = [
            s.execute_write("carts", put(key), key=key, idempotency_key="k1")
            for key in (first, other, same, first, other)
        ]
    assert told == [f"put {first}", f"put {other}", f"put {first}", f"put {first}", f"put {other}"]
    assert partition_rig.value(US, first) == partition_rig.value(KR, other) == "tea"
    assert partition_rig.value(US, same) is None


def test_a_keyed_write_knows_its_partition(kit: RegionKit, partition_rig: PartitionRig) -> None:
    """The idempotency marker stands with the effect, in the key's home."""
    do = partition_rig.Actions
    key = f"{US}:c9"

    def add(db: Any) -> str:
        do.add(db, key)
        return "added"

    with kit.session() as s:
        with s.write("carts", key=key) as db:
            do.put(db, key, "0")
        for _ in range(2):
            assert s.execute_write("carts", add, key=key, idempotency_key="k1") == "added"
    assert partition_rig.value(US, key) == "1"


def test_an_unknown_write_is_resolved_in_its_partition(kit: RegionKit, partition_rig: PartitionRig) -> None:
    """The tombstone or the marker stands where the write went, whatever the other partitions hold."""
    do = partition_rig.Actions

    def add(db: Any) -> None:
        do.put(db, "a", "1")

    with kit.session() as s:
        s.execute_write("carts", add, key=f"{KR}:c9", idempotency_key="k1")
    for partition, answer in ((KR, "yes"), (US, "no"), ("gone", "unknown")):
        error = OutcomeUnknown("lost", store="carts", partition=partition, idempotency_key="k1", began_at=time.time())
        assert kit.resolve(error) == answer


def test_adopting_names_one_endpoint(kit: RegionKit) -> None:
    """A region with endpoints of several partitions is ambiguous unless one of them asks, or a key says which part is meant."""
    with pytest.raises(ConfigurationError, match="name the endpoint by its id"):
        kit.adopt("carts", US)
    with pytest.raises(ConfigurationError, match="no endpoint 'mars'"):
        kit.adopt("carts", "mars")
    with pytest.raises(ConfigurationError, match="reports the role replica"):
        kit.adopt("carts", US, key=f"{KR}:c9")
    before = {e.partition: e.epoch for e in kit.status().endpoints if e.store == "carts" and e.role == "owner"}
    kit.adopt("carts", US, key=f"{US}:c9")
    after = {e.partition: e.epoch for e in kit.status().endpoints if e.store == "carts" and e.role == "owner"}
    assert after == {**before, US: (before[US] or 0) + 1}
    with pytest.raises(UsageError, match="has no key"):
        kit.adopt("carts", US, home=US)
    with pytest.raises(UsageError, match="not partitioned"):
        kit.adopt("orders", US, key="c9")


def test_a_bookmark_makes_an_older_placement_doubtful(partition_rig: PartitionRig) -> None:
    """A process that remembers the old home asks again when a session has seen a newer row, within the row's age."""
    do = partition_rig.Actions
    topology = partition_rig.topology(Directory(max_age=3600.0))
    with RegionKit(topology, local=KR, bookmark_keys=[KEY]) as old:
        seen(old)
        old.place("carts", key="c9", home=US)
        with old.session() as s, s.write("carts", key="c9"):
            pass
        found: Any = old._store("carts")
        owner = found.directory.kept_in
        moved = Placement("carts", "c9", KR, 2, 2)
        set_placement(owner.backend(owner.state.snapshot.owner), _deadline(found), moved, expected=1)
        with RegionKit(topology, local=US, bookmark_keys=[KEY]) as new:
            seen(new)
            with new.session(key="c9") as s:
                with s.write("carts") as db:
                    do.put(db, "c9", "tea")
                assert s.last_route is not None
                assert s.last_route.region == KR
                bookmark = s.bookmark()
        assert found.home_without_io("c9", None).partition == US
        with old.session(key="c9", bookmark=bookmark) as s:
            with s.read("carts") as db:
                assert do.get(db, "c9") == "tea"
