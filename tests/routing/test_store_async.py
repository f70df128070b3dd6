"""One store at run time: which endpoints it asks, how often, and what an answer does to its connections."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit import (
    BOUNDED,
    EVENTUAL,
    AsyncRegionKit,
    ConfigurationError,
    RegionUnavailable,
    Residency,
    ResidencyViolation,
    Topology,
)
from regionkit.contract.outcomes import Failure
from regionkit.core.deadline import Deadline
from regionkit.embedded import MemoryRegions
from regionkit.facts.consistency import ON_STALE
from regionkit.facts.record import Record
from regionkit.facts.request import BlockMode, Kind
from regionkit.routing.capability_checks import check_mode
from regionkit.routing.distance import probing
from regionkit.topology import MemoryStore, Nearest

from .near_async import FAR, NEAR, OWNER, AsyncNear


async def test_the_nearest_come_first_and_the_dead_not_at_all() -> None:
    """The local region, then by round trip; one whose breaker is open is left out."""
    async with AsyncNear(trip_probes=1) as near:
        assert near.store.nearest() == [near.index(region) for region in (NEAR, FAR, OWNER)]
        await near.regions.kill(NEAR)
        assert await near.store.probe(near.index(NEAR)) is None
        assert near.store.nearest() == [near.index(region) for region in (FAR, OWNER)]


async def test_all_are_asked_once_in_a_while() -> None:
    """Who asks again at once joins in what was found; after `sample_every` it is asked anew."""
    async with AsyncNear() as near:
        near.clock.advance(60.0)
        assert await near.store.refresh()
        asked = [e.observation.sent_at for e in near.store.state.snapshot.endpoints if e.observation]
        assert asked == [near.clock.monotonic()] * 3
        assert not await near.store.refresh()
        near.clock.advance(near.store.profile.sample_every)
        assert await near.store.refresh()


async def test_all_are_asked_again_when_the_owner_was_away() -> None:
    """What was found a moment ago was found before it came back."""
    async with AsyncNear() as near:
        near.clock.advance(60.0)
        assert await near.store.refresh()
        near.clock.advance(0.01)
        await near.regions.kill(OWNER)
        await near.store.probe(near.index(OWNER))
        await near.regions.revive(OWNER)
        near.clock.advance(0.01)
        await near.store.probe(near.index(OWNER))
        assert not near.store.state.met(near.index(OWNER))
        assert await near.store.refresh()
        assert near.store.state.met(near.index(OWNER))
        assert not await near.store.refresh()
        near.store.renew()  # a child has asked nobody
        assert await near.store.refresh()


async def test_a_record_is_not_put_at_an_owner_that_was_replaced_while_it_was_away() -> None:
    """Its connection tells of another run: the others are asked before the change, as before a write block's first statement."""
    async with AsyncNear() as near:
        await near.regions.fork(NEAR)
        await near.regions.kill(OWNER)
        await near.regions.revive(OWNER)
        near.clock.advance(0.01)
        records, row = near.kit.backing("orders").records(), Record("kind", "key", b"value", 1)
        with pytest.raises(RegionUnavailable, match="does not own the store now") as raised:
            await records.put(Deadline(near.clock, 5.0), row, expected=0)
        assert (raised.value.committed, raised.value.retryable, near.store.state.snapshot.owner) == (
            "no",
            True,
            near.index(NEAR),
        )
        assert await near.store.backend(near.index(OWNER)).records.get(Deadline(near.clock, 5.0), "kind", "key") is None
        assert await records.put(Deadline(near.clock, 5.0), row, expected=0) == row
        assert await near.store.backend(near.index(NEAR)).records.get(Deadline(near.clock, 5.0), "kind", "key") == row


async def test_a_record_is_put_at_an_owner_that_was_away_and_was_not_replaced() -> None:
    """The others are asked once, then no more."""
    async with AsyncNear() as near:
        await near.regions.kill(OWNER)
        await near.regions.revive(OWNER)
        records = near.kit.backing("orders").records()
        near.clock.advance(0.01)
        for version in (1, 2):
            row = Record("kind", "key", b"value", version)
            assert await records.put(Deadline(near.clock, 5.0), row, expected=version - 1) == row
            asked = [e.observation.sent_at for e in near.store.state.snapshot.endpoints if e.observation]
            assert asked == [near.clock.monotonic() - 0.01 * (version - 1)] * 3
            near.clock.advance(0.01)


async def test_a_question_without_time_is_not_asked() -> None:
    """And nothing is concluded from it."""
    async with AsyncNear() as near:
        before = near.store.state.snapshot
        assert await near.store.probe(near.index(NEAR), within=0.0) is None
        assert near.store.state.snapshot is before


async def test_a_question_that_somebody_ended_is_counted_against_nobody() -> None:
    """An operator may cancel the monitor's statement too: the next one will tell."""
    async with AsyncNear(trip_probes=1) as near:
        before, backend = near.store.state.snapshot, near.store.backend(near.index(NEAR))

        async def ended(*_: Any) -> Any:
            raise InterruptedError

        given: Any = backend
        given.probe, given.classify = ended, lambda error: Failure.CANCELLED
        assert await near.store.probe(near.index(NEAR)) is None
        assert near.store.state.snapshot is before


async def test_a_lost_connection_has_to_be_proved_anew() -> None:
    """Nothing that was known of the endpoint counts until it answers."""
    async with AsyncNear() as near:
        bookmark = await near.put("a")
        await near.arrived()
        async with near.kit.session(bookmark=bookmark) as s:
            assert (await s.explain("orders")).decision.outcome == "use"
            near.store.lost(near.index(NEAR))
            assert (await s.explain("orders")).decision.outcome != "use"
            await near.store.probe(near.index(NEAR))
            decision = (await s.explain("orders")).decision
            assert (decision.outcome, decision.index) == ("use", near.index(NEAR))


async def test_a_class_is_made_once_for_equal_calls() -> None:
    """By level, steps, preference and what it makes of the attributes."""
    async with AsyncNear() as near:
        first = near.store.class_of(EVENTUAL, ON_STALE, None, {})
        assert near.store.class_of(EVENTUAL, ON_STALE, None, {}) is first
        assert near.store.class_of(BOUNDED(1.0), ON_STALE, None, {}) is not first
        assert near.store.class_of(EVENTUAL, ("raise",), None, {}) is not first
        wide = near.store.class_of(EVENTUAL, ON_STALE, Nearest(latency_window=1.0), {})
        assert wide.request.latency_window == 1.0
        assert near.store.class_of(EVENTUAL, ON_STALE, Nearest(latency_window=1.0), {}) is wide


async def test_what_the_backend_can_not_do_is_refused_when_it_is_asked_for() -> None:
    """With what can."""
    async with AsyncNear() as near:
        check_mode(near.store.name, near.store.capabilities, BlockMode(snapshot=True))
        with pytest.raises(ConfigurationError, match=r"core=True is not possible on memory.*postgresql"):
            check_mode(near.store.name, near.store.capabilities, BlockMode(core=True))


async def test_an_endpoint_outside_the_residency_has_no_connection_to_give() -> None:
    """The second lock on the same door."""
    async with AsyncNear() as near:
        topology = near.regions.topology
        (store,) = topology.stores
        narrowed = MemoryStore("orders", endpoints=store.endpoints, residency=Residency(deny=[FAR]))
        allowed = Topology(namespace=topology.namespace, regions=topology.regions, stores=[narrowed])
        async with AsyncRegionKit(allowed, local=NEAR, clock=near.clock) as kit:
            (shard,) = kit._store("orders").shards
            index = near.index(FAR)
            assert shard.refused(index)
            assert not shard.refused(near.index(NEAR))
            with pytest.raises(ResidencyViolation, match=FAR):
                shard.backend(index)


async def test_an_entry_speaks_of_the_run_that_was_seen() -> None:
    """Of another run, or without a position, only the owner is sure to have it."""
    async with AsyncNear() as near:
        index = near.index(OWNER)
        seen = await near.store.probe(index)
        assert seen is not None
        assert seen.lineage is not None
        entry = near.store.entry(index, 7, seen.incarnation, from_read=False)
        assert (entry.history, entry.position) == (seen.lineage.current.history, 7)
        assert near.store.entry(index, 7, "another run", from_read=False).position is None
        assert near.store.entry(index, None, seen.incarnation, from_read=False).position is None


async def test_deadlines_are_the_profiles_and_a_closed_store_says_so() -> None:
    """Views of a store close with it."""
    async with AsyncNear(read_deadline=1.5, write_deadline=2.5) as near:
        assert (near.store.deadline_of(Kind.READ), near.store.deadline_of(Kind.WRITE)) == (1.5, 2.5)
        view = near.store.at_home(NEAR)
        assert (view.write_class.request.home, near.store.write_class.request.home) == (NEAR, "")
        await near.store.close()
        await near.store.close()
        assert near.store.closed
        assert view.closed


async def test_a_question_gets_the_profiles_time_and_the_distance_on_top() -> None:
    """A far member that never answered gets twice the time after each failed question, up to a bound."""
    with MemoryRegions(store="orders", primary="us", replicas=["eu"], rtt={"eu": 0.03}) as regions:
        async with AsyncRegionKit(
            regions.topology, local="us", profile={"base": "balanced", "probe_timeout": 0.02}
        ) as kit:
            store: Any = kit._store("orders")
            await kit.create_tables()
            far, timeout = store.state.snapshot.index("eu"), store.profile.probe_timeout
            assert probing(timeout, store.state.snapshot.endpoints[far].rtt) >= timeout + 2 * 0.03
            assert store.connecting(far) >= timeout + 11 * 0.03
            usual = store.connecting(far)
            regions.freeze("eu")
            assert await store.probe(far, 0.01) is None
            assert usual == store.connecting(far), "who had no patience learns nothing"
            for _ in range(5):
                await store.probe(far)
            assert usual < store.connecting(far) <= 4 * usual
            regions.thaw("eu")
            assert await store.probe(far) is not None
            assert store.connecting(far) == usual
