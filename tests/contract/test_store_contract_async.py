"""What every backend does, the same way: ten lines of application code on each server.

What a backend cannot do is declared; the test then asserts the refusal, so that nothing is skipped in silence.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fix_rig_cassandra import CassandraStoreRig
from fix_store_rigs import StoreRig
from placing_async import find_placement, set_placement
from waiting_async import PATIENCE, arrived, seen

from regionkit import (
    BOUNDED,
    EVENTUAL,
    STRONG,
    AsyncRegionKit,
    AsyncRegionSession,
    ConfigurationError,
    InvalidBookmark,
    UsageError,
    Weighted,
)
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.guard import Guard
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.facts.observation import Observation
from regionkit.facts.placement import Placement
from regionkit.routing.monitor_async import AsyncMonitor

KEY = "a key of more than sixteen characters"
HERE = "ap-northeast-2"


def holds(rig: StoreRig) -> bool:
    """Whether a copy of this backend can be held back."""
    return bool(getattr(rig, "holds", True))


def can(kit: AsyncRegionKit) -> Capabilities:
    """What the store's backend declares."""
    found: Any = kit._store("orders")
    assert found.capabilities is not None
    capabilities: Capabilities = found.capabilities
    return capabilities


@pytest.fixture
async def kit(store_rig: StoreRig) -> AsyncIterator[AsyncRegionKit]:
    """A kit in ap-northeast-2, its tables made, every endpoint seen."""
    async with AsyncRegionKit(store_rig.topology(), local=HERE, bookmark_keys=[KEY]) as kit:
        yield await seen(kit)


async def test_a_write_is_acknowledged_by_the_owner(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """It is there when the block has ended; the route says where it went."""
    do = store_rig.AsyncActions
    async with kit.session() as s:
        async with s.write("orders") as db:
            await do.put(db, "a", "tea")
        assert s.last_route is not None
        assert s.last_route.region == (HERE if can(kit).leaderless else "us-east-1")
        assert await s.bookmark() != ""
    assert store_rig.value("a") == "tea"


async def test_an_exception_rolls_back_where_there_is_a_transaction(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """The application's error passes as it is; elsewhere what was acknowledged stands, and the bookmark knows it."""
    do = store_rig.AsyncActions
    async with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            async with s.write("orders") as db:
                await do.put(db, "a", "tea")
                raise ZeroDivisionError
        assert (await s.bookmark() == "") is can(kit).transactions
    assert store_rig.value("a") == (None if can(kit).transactions else "tea")


async def test_a_session_sees_its_own_writes(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Each read after a write shows it, wherever it goes."""
    do = store_rig.AsyncActions
    async with kit.session() as s:
        for number in range(8):
            async with s.write("orders") as db:
                await do.put(db, "a", str(number))
            async with s.read("orders") as db:
                assert await do.get(db, "a") == str(number)


async def test_a_held_copy_serves_eventual_reads_only(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """EVENTUAL takes the local copy as it is; SESSION goes elsewhere while that copy is held back."""
    do = store_rig.AsyncActions
    if not holds(store_rig):
        assert can(kit).leaderless
        return
    async with kit.session() as s:
        async with s.write("orders") as db:
            await do.put(db, "a", "old")
        await arrived(kit, store_rig, "old")
        with store_rig.held():
            async with s.write("orders") as db:
                await do.put(db, "a", "new")
            async with s.read("orders", consistency=EVENTUAL) as db:
                assert await do.get(db, "a") == "old"
            assert s.last_route is not None
            assert s.last_route.region == HERE
            async with s.read("orders") as db:
                assert await do.get(db, "a") == "new"
            assert s.last_route.region != HERE


async def test_a_caught_up_local_copy_serves_the_session(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Once the local copy has the write, SESSION reads are local."""
    do = store_rig.AsyncActions
    async with kit.session() as s:
        async with s.write("orders") as db:
            await do.put(db, "a", "tea")
        end = time.monotonic() + 10
        while True:
            async with s.read("orders") as db:
                assert await do.get(db, "a") == "tea"
            assert s.last_route is not None
            if s.last_route.region == HERE:
                break
            assert time.monotonic() < end, f"the local copy never served the session:\n{await s.explain('orders')}"
            await asleep(0.05)


async def test_a_bookmark_carries_the_session_to_another_kit(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Another process with the bookmark sees the write, though its nearest copy is held back; without it, it does not."""
    do = store_rig.AsyncActions
    async with kit.session() as s, s.write("orders") as db:
        await do.put(db, "a", "old")
    await arrived(kit, store_rig, "old")
    held = store_rig.held() if holds(store_rig) else contextlib.nullcontext()
    with held:
        async with kit.session() as s:
            async with s.write("orders") as db:
                await do.put(db, "a", "new")
            bookmark = await s.bookmark()
        assert 0 < len(bookmark) <= 2048
        for here in (HERE, "eu-west-1"):
            async with AsyncRegionKit(store_rig.topology(), local=here, bookmark_keys=[KEY]) as other:
                async with other.session(bookmark=bookmark) as s:
                    async with s.read("orders") as db:
                        assert await do.get(db, "a") == "new"
                if here == HERE and holds(store_rig):
                    async with other.session() as s:
                        for _ in range(200):  # a new kit may not have met its nearest copy yet
                            async with s.read("orders", consistency=EVENTUAL) as db:
                                found = await do.get(db, "a")
                            if s.last_route is not None and s.last_route.region == HERE:
                                break
                            await asleep(0.01)
                        assert found == "old"


async def test_a_tampered_bookmark_is_refused(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """At once, with no server asked; the whole one is taken as quietly."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            await store_rig.AsyncActions.put(db, "a", "tea")
        bookmark = await s.bookmark()
    places = (len("rk1.") + 12, len(bookmark) - 2)  # in the signature, and in what it signs
    swapped = [bookmark[:n] + ("A" if bookmark[n] != "A" else "B") + bookmark[n + 1 :] for n in places]
    async with AsyncRegionKit(store_rig.topology(), local=HERE, bookmark_keys=[KEY]) as other:
        other._monitor = AsyncMonitor([])  # which asks by itself, so nothing could be told from what was asked
        for refused in (*swapped, [bookmark, swapped[0]]):
            with pytest.raises(InvalidBookmark):
                other.session(bookmark=refused)
        assert await other.session(bookmark=bookmark).bookmark() != ""
        await asleep(0.05)  # what was begun behind its back would show
        assert {(e.state, e.rtt, e.in_flight) for e in other.status().endpoints} == {("not seen yet", None, 0)}


async def test_reads_are_monotonic(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """What was read from an ahead copy is not missed on the next read, also in another process."""
    do = store_rig.AsyncActions
    if not holds(store_rig):
        assert can(kit).leaderless
        return
    async with kit.session() as writer:
        async with writer.write("orders") as db:
            await do.put(db, "a", "old")
    with store_rig.held():
        async with kit.session() as writer:
            async with writer.write("orders") as db:
                await do.put(db, "a", "new")
        async with AsyncRegionKit(store_rig.topology(), local="us-east-1", bookmark_keys=[KEY]) as other:
            async with other.session() as s:
                async with s.read("orders") as db:
                    assert await do.get(db, "a") == "new"
                bookmark = await s.bookmark()
        async with kit.session(bookmark=bookmark) as s:
            async with s.read("orders") as db:
                assert await do.get(db, "a") == "new"


@pytest.mark.slow
async def test_bounded_reads_are_measured_or_refused(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """A copy that is held back serves no bound that it does not meet; where nothing is measured the level is refused."""
    do = store_rig.AsyncActions
    async with kit.session() as s:
        if not can(kit).bounded:
            with pytest.raises(ConfigurationError, match="BOUNDED"):
                s.read("orders", consistency=BOUNDED(1.0))
            return
        async with s.read("orders", consistency=BOUNDED(30.0)) as db:
            await do.get(db, "a")
        assert s.last_route is not None
        assert s.last_route.region == HERE
        with store_rig.held():
            async with kit.session() as writer:
                async with writer.write("orders") as db:
                    await do.put(db, "a", "new")
            await asleep(1.2)
            async with s.read("orders", consistency=BOUNDED(0.9)) as db:
                assert await do.get(db, "a") == "new"


async def test_what_was_proved_serves_the_next_bounded_blocks(
    kit: AsyncRegionKit, store_rig: StoreRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where each block chooses anew among copies: it is the choice that ends with the block, not the proof."""
    if not can(kit).bounded:
        return
    do, asked, renew = store_rig.AsyncActions, [], Guard.renew

    def counted(guard: Guard, observation: Observation) -> None:
        asked.append(observation)
        renew(guard, observation)

    monkeypatch.setattr(Guard, "renew", counted)
    here = Weighted({HERE: 1})
    for _ in range(20):
        async with kit.session() as s, s.read("orders", consistency=BOUNDED(60.0), prefer=here) as db:
            await do.get(db, "a")
            assert s.last_route is not None
            assert s.last_route.region == HERE
    assert asked == []


async def test_strong_reads_show_the_last_acknowledged_write(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Of another session, without a bookmark, while the nearest copy is held back; or the level is refused."""
    do = store_rig.AsyncActions
    if not can(kit).strong:
        async with kit.session() as s:
            with pytest.raises(ConfigurationError, match="STRONG"):
                s.read("orders", consistency=STRONG)
        return
    if can(kit).leaderless:
        assert "SERIAL" in can(kit).strong  # of conditional writes only: shown in the backend's own tests
        return
    async with kit.session() as s, s.write("orders") as db:
        await do.put(db, "a", "old")
    await arrived(kit, store_rig, "old")
    with store_rig.held():
        for number in range(3):
            async with kit.session() as s, s.write("orders") as db:
                await do.put(db, "a", str(number))
            async with kit.session() as s:
                async with s.read("orders", consistency=STRONG) as db:
                    assert await do.get(db, "a") == str(number)
                assert s.last_route is not None
                assert s.last_route.region == "us-east-1"
        async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            assert await do.get(db, "a") == "old"


async def test_a_write_in_a_read_block_is_refused(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Locally and at the owner; nothing is changed."""
    do = store_rig.AsyncActions
    async with kit.session() as s, s.write("orders") as db:
        await do.put(db, "a", "old")
    for level in (EVENTUAL, STRONG) if can(kit).strong and not can(kit).leaderless else (EVENTUAL,):
        async with kit.session() as s:
            with pytest.raises(UsageError):
                async with s.read("orders", consistency=level) as db:
                    await do.put(db, "a", "new")
    assert store_rig.value("a") == "old"


async def test_a_read_inside_ones_own_write_is_refused(kit: AsyncRegionKit) -> None:
    """The open write would not be seen."""
    async with kit.session() as s, s.write("orders"):
        with pytest.raises(UsageError, match="own write"):
            async with s.read("orders"):
                pass


async def test_a_handle_is_dead_after_its_block(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Its connection may serve another block by then."""
    do = store_rig.AsyncActions
    async with kit.session() as s:
        async with s.write("orders") as db:
            await do.put(db, "a", "tea")
        with pytest.raises(UsageError):
            await do.put(db, "a", "milk")
        async with s.read("orders") as db:
            await do.get(db, "a")
        with pytest.raises(UsageError):
            await do.get(db, "a")
    assert store_rig.value("a") == "tea"


async def test_a_key_is_taken_or_refused(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Where no marker can stand with the effect, nothing is done; elsewhere see test_keyed_contract_async.py."""

    async def put(db: Any) -> None:
        await store_rig.AsyncActions.put(db, "a", "tea")

    async with kit.session() as s:
        if can(kit).markers:
            await s.execute_write("orders", put, idempotency_key="k1")
        else:
            with pytest.raises(ConfigurationError, match="idempotency key"):
                await s.execute_write("orders", put, idempotency_key="k1")
    assert store_rig.value("a") == ("tea" if can(kit).markers else None)


async def test_execute_read_and_write_give_results(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """What the function returned."""
    do = store_rig.AsyncActions

    async def place(db: Any) -> str:
        await do.put(db, "a", "tea")
        return "placed"

    async def look(db: Any) -> Any:
        return await do.get(db, "a")

    async with kit.session() as s:
        assert await s.execute_write("orders", place) == "placed"
        assert await s.execute_read("orders", look) == "tea"


async def test_explain_is_made_from_the_decision_that_was_used(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """And it says what the backend promises."""
    async with kit.session() as s:
        async with s.read("orders", consistency=EVENTUAL) as db:
            await store_rig.AsyncActions.get(db, "a")
        assert s.last_decision is not None
        candidates = s.last_decision.explain().to_dict()["candidates"]
        assert [c["region"] for c in candidates if c["taken"]] == [HERE]
    assert can(kit).notes
    assert can(kit).notes[0][:40] in str(kit.explain("orders", "read"))


async def test_create_tables_is_idempotent(kit: AsyncRegionKit) -> None:
    """The history stays the same one."""
    before = kit._store("orders").shards[0].state.snapshot.lineage
    await kit.create_tables()
    assert kit._store("orders").shards[0].state.snapshot.lineage == before
    assert before is not None


async def test_without_tables_reads_and_writes_work(store_rig: StoreRig) -> None:
    """A bookmark then says "owner only": whoever has it reads there, while the nearest copy is held and after."""
    do = store_rig.AsyncActions
    if isinstance(store_rig, CassandraStoreRig):
        store_rig = store_rig.bare()

    async def read(s: AsyncRegionSession) -> tuple[str, str]:
        async with s.read("orders") as db:
            found = await do.get(db, "a")
        assert s.last_route is not None
        return s.last_route.region, found

    topology = store_rig.topology()
    # the first block of each kit connects: on a busy machine that takes Cassandra's driver longer than the usual deadline
    patient = {"read_deadline": PATIENCE, "write_deadline": PATIENCE}
    async with AsyncRegionKit(topology, local=HERE, bookmark_keys=[KEY], profile=patient) as kit:
        async with kit.session() as s, s.write("orders") as db:
            await do.put(db, "a", "old")
        await arrived(kit, store_rig, "old")
        async with AsyncRegionKit(topology, local=HERE, bookmark_keys=[KEY], profile=patient) as other:
            with store_rig.held() if holds(store_rig) else contextlib.nullcontext():
                async with kit.session() as s:
                    async with s.write("orders") as db:
                        await do.put(db, "a", "new")
                    owner = (HERE if can(kit).leaderless else "us-east-1", "new")
                    assert await read(s) == owner
                    bookmark = await s.bookmark()
                assert bookmark != ""
                assert await read(other.session(bookmark=bookmark)) == owner
                if holds(store_rig):
                    async with other.session() as s:
                        async with s.read("orders", consistency=EVENTUAL) as db:
                            found = await do.get(db, "a")
                        assert s.last_route is not None
                        assert found == ("old" if s.last_route.region == HERE else "new")
            await arrived(other, store_rig, "new")
            for one in (kit, other):
                assert await read(one.session(bookmark=bookmark)) == owner


async def test_placements_are_compared_and_set(kit: AsyncRegionKit) -> None:
    """A first home is given once; a later one only over the version that was seen."""
    shard = kit._store("orders").shards[0]
    owner = max(shard.state.snapshot.owner, 0)
    backend = shard.backend(owner)

    async def put(home: str, version: int, expected: int) -> Placement:
        row = Placement("carts", "c9", home, version, version)
        return await set_placement(backend, Deadline(shard.clock, 10.0), row, expected=expected)

    assert await find_placement(backend, Deadline(shard.clock, 10.0), "carts", "c9") is None
    first = await put("us-east-1", 1, 0)
    assert (first.home, first.version) == ("us-east-1", 1)
    assert await put("eu-west-1", 1, 0) == first
    second = await put("eu-west-1", 2, 1)
    assert (second.home, second.version) == ("eu-west-1", 2)
    assert await put("us-east-1", 2, 1) == second
    assert await find_placement(backend, Deadline(shard.clock, 10.0), "carts", "c9") == second
    assert await find_placement(backend, Deadline(shard.clock, 10.0), "carts", "c8") is None


async def test_modes_are_there_or_refused(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """core, snapshot and transaction, each as declared: it means what it says, or it is refused by name."""
    s = kit.session()
    reads, writes = (s.read, s.execute_read), (s.write, s.execute_write)
    calls: dict[str, Any] = {"core": (reads, writes), "snapshot": (reads,), "transaction": (writes,)}
    shown = {"core": _core, "snapshot": _snapshot, "transaction": _transaction}
    assert can(kit).modes <= calls.keys()
    for mode, pairs in calls.items():
        if mode in can(kit).modes:
            await shown[mode](kit, store_rig)
            continue
        for block, execute in pairs:
            with pytest.raises(ConfigurationError, match=mode):
                block("orders", **{mode: True})
            with pytest.raises(ConfigurationError, match=mode):
                await execute("orders", store_rig.AsyncActions.get, **{mode: True})


async def _core(kit: AsyncRegionKit, rig: StoreRig) -> None:
    """A Connection in place of a Session: it has no objects to add, and what was written is committed at the end."""
    do = rig.AsyncActions
    async with kit.session() as s:
        async with s.write("orders") as db:
            assert hasattr(db, "add")
        async with s.write("orders", core=True) as db:
            assert not hasattr(db, "add")
            await do.put(db, "core", "tea")
        async with s.read("orders", core=True) as db:
            assert not hasattr(db, "add")
            assert await do.get(db, "core") == "tea"
    assert rig.value("core") == "tea"


async def _snapshot(kit: AsyncRegionKit, rig: StoreRig) -> None:
    """What another session writes in between is seen by a plain block and not by this one."""
    do = rig.AsyncActions

    async def write(value: str) -> None:
        async with kit.session() as other, other.write("orders") as db:
            await do.put(db, "snapshot", value)

    await write("old")
    for snapshot in (True, False):
        async with kit.session() as s:
            async with s.read("orders", snapshot=snapshot, consistency=STRONG) as db:
                assert await do.get(db, "snapshot") == "old"
                await write("new")
                assert await do.get(db, "snapshot") == ("old" if snapshot else "new")
            async with s.read("orders", consistency=STRONG) as db:
                assert await do.get(db, "snapshot") == "new"
        await write("old")


async def _transaction(kit: AsyncRegionKit, rig: StoreRig) -> None:
    """Nobody else sees a write before the end, which commits; an exception rolls back."""
    do = rig.AsyncActions
    async with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            async with s.write("orders", transaction=True) as db:
                await do.put(db, "undone", "tea")
                raise ZeroDivisionError
        assert await s.bookmark() == ""
        async with s.write("orders", transaction=True) as db:
            for key in ("one", "two"):
                await do.put(db, key, "tea")
                assert await do.get(db, key) == "tea"
            assert [rig.value(key) for key in ("one", "two")] == [None, None]
        assert await s.bookmark() != ""
    assert [rig.value(key) for key in ("undone", "one", "two")] == [None, "tea", "tea"]


async def test_a_key_for_a_store_that_is_not_partitioned_is_refused(kit: AsyncRegionKit) -> None:
    """It would be ignored otherwise."""
    async with kit.session() as s:
        with pytest.raises(UsageError, match="not partitioned"):
            s.read("orders", key="c9")


async def test_a_fan_out_over_one_shard_is_that_shard(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """The same call works on every store, and its bookmark covers what was seen."""
    do = store_rig.AsyncActions
    async with kit.session() as s, s.write("orders") as db:
        await do.put(db, "a", "tea")

    async def look(db: Any) -> Any:
        return await do.get(db, "a")

    fan = kit.fan_out("orders", look, bookmark=await s.bookmark())
    assert [(name, result.value) async for name, result in fan] == [("", "tea")]
    assert await fan.bookmark() != ""


async def test_a_closed_kit_says_so(store_rig: StoreRig) -> None:
    """Also in a session that was open."""
    kit = AsyncRegionKit(store_rig.topology(), local=HERE)
    async with kit.session() as s:
        async with s.read("orders", consistency=EVENTUAL):
            pass
        await kit.close()
        await kit.close()
        with pytest.raises(UsageError, match="closed"):
            async with s.read("orders"):
                pass


async def test_what_something_beside_wrote_for_a_session_is_covered(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """By its reads and its bookmark, also while the near copy applies nothing: as another ORM's writes are."""
    do = store_rig.AsyncActions

    async def put(value: str) -> None:
        async with kit.session() as beside, beside.write("orders") as db:
            await do.put(db, "beside", value)

    async def get(s: AsyncRegionSession) -> Any:
        async with s.read("orders") as db:
            return await do.get(db, "beside")

    await put("old")
    s = kit.session()
    with store_rig.held() if holds(store_rig) else contextlib.nullcontext():
        s.wrote_elsewhere("orders")
        await put("tea")
        assert await get(s) == "tea"
        s.wrote_elsewhere("orders")
        await put("salt")
        assert await get(kit.session(bookmark=await s.bookmark())) == "salt"
