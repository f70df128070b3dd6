# Generated from test_store_contract_async.py by scripts/twins.py. Do not edit.
"""What every backend does, the same way: ten lines of application code on each server.

What a backend cannot do is declared; the test then asserts the refusal, so that nothing is skipped in silence.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fix_rig_cassandra import CassandraStoreRig
from fix_store_rigs import StoreRig
from placing import find_placement, set_placement
from waiting import PATIENCE, arrived, seen

from regionkit import (
    BOUNDED,
    EVENTUAL,
    STRONG,
    ConfigurationError,
    InvalidBookmark,
    RegionKit,
    RegionSession,
    UsageError,
    Weighted,
)
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.guard import Guard
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.facts.observation import Observation
from regionkit.facts.placement import Placement
from regionkit.routing.monitor import Monitor

KEY = "a key of more than sixteen characters"
HERE = "ap-northeast-2"


def holds(rig: StoreRig) -> bool:
    """Whether a copy of this backend can be held back."""
    return bool(getattr(rig, "holds", True))


def can(kit: RegionKit) -> Capabilities:
    """What the store's backend declares."""
    found: Any = kit._store("orders")
    assert found.capabilities is not None
    capabilities: Capabilities = found.capabilities
    return capabilities


@pytest.fixture
def kit(store_rig: StoreRig) -> Iterator[RegionKit]:
    """A kit in ap-northeast-2, its tables made, every endpoint seen."""
    with RegionKit(store_rig.topology(), local=HERE, bookmark_keys=[KEY]) as kit:
        yield seen(kit)


def test_a_write_is_acknowledged_by_the_owner(kit: RegionKit, store_rig: StoreRig) -> None:
    """It is there when the block has ended; the route says where it went."""
    do = store_rig.Actions
    with kit.session() as s:
        with s.write("orders") as db:
            do.put(db, "a", "tea")
        assert s.last_route is not None
        assert s.last_route.region == (HERE if can(kit).leaderless else "us-east-1")
        assert s.bookmark() != ""
    assert store_rig.value("a") == "tea"


def test_an_exception_rolls_back_where_there_is_a_transaction(kit: RegionKit, store_rig: StoreRig) -> None:
    """The application's error passes as it is; elsewhere what was acknowledged stands, and the bookmark knows it."""
    do = store_rig.Actions
    with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            with s.write("orders") as db:
                do.put(db, "a", "tea")
                raise ZeroDivisionError
        assert (s.bookmark() == "") is can(kit).transactions
    assert store_rig.value("a") == (None if can(kit).transactions else "tea")


def test_a_session_sees_its_own_writes(kit: RegionKit, store_rig: StoreRig) -> None:
    """Each read after a write shows it, wherever it goes."""
    do = store_rig.Actions
    with kit.session() as s:
        for number in range(8):
            with s.write("orders") as db:
                do.put(db, "a", str(number))
            with s.read("orders") as db:
                assert do.get(db, "a") == str(number)


def test_a_held_copy_serves_eventual_reads_only(kit: RegionKit, store_rig: StoreRig) -> None:
    """EVENTUAL takes the local copy as it is; SESSION goes elsewhere while that copy is held back."""
    do = store_rig.Actions
    if not holds(store_rig):
        assert can(kit).leaderless
        return
    with kit.session() as s:
        with s.write("orders") as db:
            do.put(db, "a", "old")
        arrived(kit, store_rig, "old")
        with store_rig.held():
            with s.write("orders") as db:
                do.put(db, "a", "new")
            with s.read("orders", consistency=EVENTUAL) as db:
                assert do.get(db, "a") == "old"
            assert s.last_route is not None
            assert s.last_route.region == HERE
            with s.read("orders") as db:
                assert do.get(db, "a") == "new"
            assert s.last_route.region != HERE


def test_a_caught_up_local_copy_serves_the_session(kit: RegionKit, store_rig: StoreRig) -> None:
    """Once the local copy has the write, SESSION reads are local."""
    do = store_rig.Actions
    with kit.session() as s:
        with s.write("orders") as db:
            do.put(db, "a", "tea")
        end = time.monotonic() + 10
        while True:
            with s.read("orders") as db:
                assert do.get(db, "a") == "tea"
            assert s.last_route is not None
            if s.last_route.region == HERE:
                break
            assert time.monotonic() < end, f"the local copy never served the session:\n{s.explain('orders')}"
            sleep(0.05)


def test_a_bookmark_carries_the_session_to_another_kit(kit: RegionKit, store_rig: StoreRig) -> None:
    """Another process with the bookmark sees the write, though its nearest copy is held back; without it, it does not."""
    do = store_rig.Actions
    with kit.session() as s, s.write("orders") as db:
        do.put(db, "a", "old")
    arrived(kit, store_rig, "old")
    held = store_rig.held() if holds(store_rig) else contextlib.nullcontext()
    with held:
        with kit.session() as s:
            with s.write("orders") as db:
                do.put(db, "a", "new")
            bookmark = s.bookmark()
        assert 0 < len(bookmark) <= 2048
        for here in (HERE, "eu-west-1"):
            with RegionKit(store_rig.topology(), local=here, bookmark_keys=[KEY]) as other:
                with other.session(bookmark=bookmark) as s:
                    with s.read("orders") as db:
                        assert do.get(db, "a") == "new"
                if here == HERE and holds(store_rig):
                    with other.session() as s:
                        for _ in range(200):  # a new kit may not have met its nearest copy yet
                            with s.read("orders", consistency=EVENTUAL) as db:
                                found = do.get(db, "a")
                            if s.last_route is not None and s.last_route.region == HERE:
                                break
                            sleep(0.01)
                        assert found == "old"


def test_a_tampered_bookmark_is_refused(kit: RegionKit, store_rig: StoreRig) -> None:
    """At once, with no server asked; the whole one is taken as quietly."""
    with kit.session() as s:
        with s.write("orders") as db:
            store_rig.Actions.put(db, "a", "tea")
        bookmark = s.bookmark()
    places = (len("rk1.") + 12, len(bookmark) - 2)  # in the signature, and in what it signs
    swapped = [bookmark[:n] + ("A" if bookmark[n] != "A" else "B") + bookmark[n + 1 :] for n in places]
    with RegionKit(store_rig.topology(), local=HERE, bookmark_keys=[KEY]) as other:
        other._monitor = Monitor([])  # which asks by itself, so nothing could be told from what was asked
        for refused in (*swapped, [bookmark, swapped[0]]):
            with pytest.raises(InvalidBookmark):
                other.session(bookmark=refused)
        assert other.session(bookmark=bookmark).bookmark() != ""
        sleep(0.05)  # what was begun behind its back would show
        assert {(e.state, e.rtt, e.in_flight) for e in other.status().endpoints} == {("not seen yet", None, 0)}


def test_reads_are_monotonic(kit: RegionKit, store_rig: StoreRig) -> None:
    """What was read from an ahead copy is not missed on the next read, also in another process."""
    do = store_rig.Actions
    if not holds(store_rig):
        assert can(kit).leaderless
        return
    with kit.session() as writer:
        with writer.write("orders") as db:
            do.put(db, "a", "old")
    with store_rig.held():
        with kit.session() as writer:
            with writer.write("orders") as db:
                do.put(db, "a", "new")
        with RegionKit(store_rig.topology(), local="us-east-1", bookmark_keys=[KEY]) as other:
            with other.session() as s:
                with s.read("orders") as db:
                    assert do.get(db, "a") == "new"
                bookmark = s.bookmark()
        with kit.session(bookmark=bookmark) as s:
            with s.read("orders") as db:
                assert do.get(db, "a") == "new"


@pytest.mark.slow
def test_bounded_reads_are_measured_or_refused(kit: RegionKit, store_rig: StoreRig) -> None:
    """A copy that is held back serves no bound that it does not meet; where nothing is measured the level is refused."""
    do = store_rig.Actions
    with kit.session() as s:
        if not can(kit).bounded:
            with pytest.raises(ConfigurationError, match="BOUNDED"):
                s.read("orders", consistency=BOUNDED(1.0))
            return
        with s.read("orders", consistency=BOUNDED(30.0)) as db:
            do.get(db, "a")
        assert s.last_route is not None
        assert s.last_route.region == HERE
        with store_rig.held():
            with kit.session() as writer:
                with writer.write("orders") as db:
                    do.put(db, "a", "new")
            sleep(1.2)
            with s.read("orders", consistency=BOUNDED(0.9)) as db:
                assert do.get(db, "a") == "new"


def test_what_was_proved_serves_the_next_bounded_blocks(
    kit: RegionKit, store_rig: StoreRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where each block chooses anew among copies: it is the choice that ends with the block, not the proof."""
    if not can(kit).bounded:
        return
    do, asked, renew = store_rig.Actions, [], Guard.renew

    def counted(guard: Guard, observation: Observation) -> None:
        asked.append(observation)
        renew(guard, observation)

    monkeypatch.setattr(Guard, "renew", counted)
    here = Weighted({HERE: 1})
    for _ in range(20):
        with kit.session() as s, s.read("orders", consistency=BOUNDED(60.0), prefer=here) as db:
            do.get(db, "a")
            assert s.last_route is not None
            assert s.last_route.region == HERE
    assert asked == []


def test_strong_reads_show_the_last_acknowledged_write(kit: RegionKit, store_rig: StoreRig) -> None:
    """Of another session, without a bookmark, while the nearest copy is held back; or the level is refused."""
    do = store_rig.Actions
    if not can(kit).strong:
        with kit.session() as s:
            with pytest.raises(ConfigurationError, match="STRONG"):
                s.read("orders", consistency=STRONG)
        return
    if can(kit).leaderless:
        assert "SERIAL" in can(kit).strong  # of conditional writes only: shown in the backend's own tests
        return
    with kit.session() as s, s.write("orders") as db:
        do.put(db, "a", "old")
    arrived(kit, store_rig, "old")
    with store_rig.held():
        for number in range(3):
            with kit.session() as s, s.write("orders") as db:
                do.put(db, "a", str(number))
            with kit.session() as s:
                with s.read("orders", consistency=STRONG) as db:
                    assert do.get(db, "a") == str(number)
                assert s.last_route is not None
                assert s.last_route.region == "us-east-1"
        with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            assert do.get(db, "a") == "old"


def test_a_write_in_a_read_block_is_refused(kit: RegionKit, store_rig: StoreRig) -> None:
    """Locally and at the owner; nothing is changed."""
    do = store_rig.Actions
    with kit.session() as s, s.write("orders") as db:
        do.put(db, "a", "old")
    for level in (EVENTUAL, STRONG) if can(kit).strong and not can(kit).leaderless else (EVENTUAL,):
        with kit.session() as s:
            with pytest.raises(UsageError):
                with s.read("orders", consistency=level) as db:
                    do.put(db, "a", "new")
    assert store_rig.value("a") == "old"


def test_a_read_inside_ones_own_write_is_refused(kit: RegionKit) -> None:
    """The open write would not be seen."""
    with kit.session() as s, s.write("orders"):
        with pytest.raises(UsageError, match="own write"):
            with s.read("orders"):
                pass


def test_a_handle_is_dead_after_its_block(kit: RegionKit, store_rig: StoreRig) -> None:
    """Its connection may serve another block by then."""
    do = store_rig.Actions
    with kit.session() as s:
        with s.write("orders") as db:
            do.put(db, "a", "tea")
        with pytest.raises(UsageError):
            do.put(db, "a", "milk")
        with s.read("orders") as db:
            do.get(db, "a")
        with pytest.raises(UsageError):
            do.get(db, "a")
    assert store_rig.value("a") == "tea"


def test_a_key_is_taken_or_refused(kit: RegionKit, store_rig: StoreRig) -> None:
    """Where no marker can stand with the effect, nothing is done; elsewhere see test_keyed_contract_async.py."""

    def put(db: Any) -> None:
        store_rig.Actions.put(db, "a", "tea")

    with kit.session() as s:
        if can(kit).markers:
            s.execute_write("orders", put, idempotency_key="k1")
        else:
            with pytest.raises(ConfigurationError, match="idempotency key"):
                s.execute_write("orders", put, idempotency_key="k1")
    assert store_rig.value("a") == ("tea" if can(kit).markers else None)


def test_execute_read_and_write_give_results(kit: RegionKit, store_rig: StoreRig) -> None:
    """What the function returned."""
    do = store_rig.Actions

    def place(db: Any) -> str:
        do.put(db, "a", "tea")
        return "placed"

    def look(db: Any) -> Any:
        return do.get(db, "a")

    with kit.session() as s:
        assert s.execute_write("orders", place) == "placed"
        assert s.execute_read("orders", look) == "tea"


def test_explain_is_made_from_the_decision_that_was_used(kit: RegionKit, store_rig: StoreRig) -> None:
    """And it says what the backend promises."""
    with kit.session() as s:
        with s.read("orders", consistency=EVENTUAL) as db:
            store_rig.Actions.get(db, "a")
        assert s.last_decision is not None
        candidates = s.last_decision.explain().to_dict()["candidates"]
        assert [c["region"] for c in candidates if c["taken"]] == [HERE]
    assert can(kit).notes
    assert can(kit).notes[0][:40] in str(kit.explain("orders", "read"))


def test_create_tables_is_idempotent(kit: RegionKit) -> None:
    """The history stays the same one."""
    before = kit._store("orders").shards[0].state.snapshot.lineage
    kit.create_tables()
    assert kit._store("orders").shards[0].state.snapshot.lineage == before
    assert before is not None


def test_without_tables_reads_and_writes_work(store_rig: StoreRig) -> None:
    """A bookmark then says "owner only": whoever has it reads there, while the nearest copy is held and after."""
    do = store_rig.Actions
    if isinstance(store_rig, CassandraStoreRig):
        store_rig = store_rig.bare()

    def read(s: RegionSession) -> tuple[str, str]:
        with s.read("orders") as db:
            found = do.get(db, "a")
        assert s.last_route is not None
        return s.last_route.region, found

    topology = store_rig.topology()
    # the first block of each kit connects: on a busy machine that takes Cassandra's driver longer than the usual deadline
    patient = {"read_deadline": PATIENCE, "write_deadline": PATIENCE}
    with RegionKit(topology, local=HERE, bookmark_keys=[KEY], profile=patient) as kit:
        with kit.session() as s, s.write("orders") as db:
            do.put(db, "a", "old")
        arrived(kit, store_rig, "old")
        with RegionKit(topology, local=HERE, bookmark_keys=[KEY], profile=patient) as other:
            with store_rig.held() if holds(store_rig) else contextlib.nullcontext():
                with kit.session() as s:
                    with s.write("orders") as db:
                        do.put(db, "a", "new")
                    owner = (HERE if can(kit).leaderless else "us-east-1", "new")
                    assert read(s) == owner
                    bookmark = s.bookmark()
                assert bookmark != ""
                assert read(other.session(bookmark=bookmark)) == owner
                if holds(store_rig):
                    with other.session() as s:
                        with s.read("orders", consistency=EVENTUAL) as db:
                            found = do.get(db, "a")
                        assert s.last_route is not None
                        assert found == ("old" if s.last_route.region == HERE else "new")
            arrived(other, store_rig, "new")
            for one in (kit, other):
                assert read(one.session(bookmark=bookmark)) == owner


def test_placements_are_compared_and_set(kit: RegionKit) -> None:
    """A first home is given once; a later one only over the version that was seen."""
    shard = kit._store("orders").shards[0]
    owner = max(shard.state.snapshot.owner, 0)
    backend = shard.backend(owner)

    def put(home: str, version: int, expected: int) -> Placement:
        row = Placement("carts", "c9", home, version, version)
        return set_placement(backend, Deadline(shard.clock, 10.0), row, expected=expected)

    assert find_placement(backend, Deadline(shard.clock, 10.0), "carts", "c9") is None
    first = put("us-east-1", 1, 0)
    assert (first.home, first.version) == ("us-east-1", 1)
    assert put("eu-west-1", 1, 0) == first
    second = put("eu-west-1", 2, 1)
    assert (second.home, second.version) == ("eu-west-1", 2)
    assert put("us-east-1", 2, 1) == second
    assert find_placement(backend, Deadline(shard.clock, 10.0), "carts", "c9") == second
    assert find_placement(backend, Deadline(shard.clock, 10.0), "carts", "c8") is None


def test_modes_are_there_or_refused(kit: RegionKit, store_rig: StoreRig) -> None:
    """core, snapshot and transaction, each as declared: it means what it says, or it is refused by name."""
    s = kit.session()
    reads, writes = (s.read, s.execute_read), (s.write, s.execute_write)
    calls: dict[str, Any] = {"core": (reads, writes), "snapshot": (reads,), "transaction": (writes,)}
    shown = {"core": _core, "snapshot": _snapshot, "transaction": _transaction}
    assert can(kit).modes <= calls.keys()
    for mode, pairs in calls.items():
        if mode in can(kit).modes:
            shown[mode](kit, store_rig)
            continue
        for block, execute in pairs:
            with pytest.raises(ConfigurationError, match=mode):
                block("orders", **{mode: True})
            with pytest.raises(ConfigurationError, match=mode):
                execute("orders", store_rig.Actions.get, **{mode: True})


def _core(kit: RegionKit, rig: StoreRig) -> None:
    """A Connection in place of a Session: it has no objects to add, and what was written is committed at the end."""
    do = rig.Actions
    with kit.session() as s:
        with s.write("orders") as db:
            assert hasattr(db, "add")
        with s.write("orders", core=True) as db:
            assert not hasattr(db, "add")
            do.put(db, "core", "tea")
        with s.read("orders", core=True) as db:
            assert not hasattr(db, "add")
            assert do.get(db, "core") == "tea"
    assert rig.value("core") == "tea"


def _snapshot(kit: RegionKit, rig: StoreRig) -> None:
    """What another session writes in between is seen by a plain block and not by this one."""
    do = rig.Actions

    def write(value: str) -> None:
        with kit.session() as other, other.write("orders") as db:
            do.put(db, "snapshot", value)

    write("old")
    for snapshot in (True, False):
        with kit.session() as s:
            with s.read("orders", snapshot=snapshot, consistency=STRONG) as db:
                assert do.get(db, "snapshot") == "old"
                write("new")
                assert do.get(db, "snapshot") == ("old" if snapshot else "new")
            with s.read("orders", consistency=STRONG) as db:
                assert do.get(db, "snapshot") == "new"
        write("old")


def _transaction(kit: RegionKit, rig: StoreRig) -> None:
    """Nobody else sees a write before the end, which commits; an exception rolls back."""
    do = rig.Actions
    with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            with s.write("orders", transaction=True) as db:
                do.put(db, "undone", "tea")
                raise ZeroDivisionError
        assert s.bookmark() == ""
        with s.write("orders", transaction=True) as db:
            for key in ("one", "two"):
                do.put(db, key, "tea")
                assert do.get(db, key) == "tea"
            assert [rig.value(key) for key in ("one", "two")] == [None, None]
        assert s.bookmark() != ""
    assert [rig.value(key) for key in ("undone", "one", "two")] == [None, "tea", "tea"]


def test_a_key_for_a_store_that_is_not_partitioned_is_refused(kit: RegionKit) -> None:
    """It would be ignored otherwise."""
    with kit.session() as s:
        with pytest.raises(UsageError, match="not partitioned"):
            s.read("orders", key="c9")


def test_a_fan_out_over_one_shard_is_that_shard(kit: RegionKit, store_rig: StoreRig) -> None:
    """The same call works on every store, and its bookmark covers what was seen."""
    do = store_rig.Actions
    with kit.session() as s, s.write("orders") as db:
        do.put(db, "a", "tea")

    def look(db: Any) -> Any:
        return do.get(db, "a")

    fan = kit.fan_out("orders", look, bookmark=s.bookmark())
    assert [(name, result.value) for name, result in fan] == [("", "tea")]
    assert fan.bookmark() != ""


def test_a_closed_kit_says_so(store_rig: StoreRig) -> None:
    """Also in a session that was open."""
    kit = RegionKit(store_rig.topology(), local=HERE)
    with kit.session() as s:
        with s.read("orders", consistency=EVENTUAL):
            pass
        kit.close()
        kit.close()
        with pytest.raises(UsageError, match="closed"):
            with s.read("orders"):
                pass


def test_what_something_beside_wrote_for_a_session_is_covered(kit: RegionKit, store_rig: StoreRig) -> None:
    """By its reads and its bookmark, also while the near copy applies nothing: as another ORM's writes are."""
    do = store_rig.Actions

    def put(value: str) -> None:
        with kit.session() as beside, beside.write("orders") as db:
            do.put(db, "beside", value)

    def get(s: RegionSession) -> Any:
        with s.read("orders") as db:
            return do.get(db, "beside")

    put("old")
    s = kit.session()
    with store_rig.held() if holds(store_rig) else contextlib.nullcontext():
        s.wrote_elsewhere("orders")
        put("tea")
        assert get(s) == "tea"
        s.wrote_elsewhere("orders")
        put("salt")
        assert get(kit.session(bookmark=s.bookmark())) == "salt"
