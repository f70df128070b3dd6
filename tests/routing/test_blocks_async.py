"""Blocks: what leaves one, what its session remembers of it, and what hooks are told."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit import EVENTUAL, STRONG, Fenced, OutcomeUnknown, RegionUnavailable
from regionkit.core.events import Event
from regionkit.facts.bookmark import OWNER_ONLY
from regionkit.routing.events import ReadRouted, WriteRouted

from .near_async import LAG, NEAR, OWNER, AsyncNear


async def test_the_applications_error_passes_as_it_is_and_blames_nobody() -> None:
    """The very object, nothing committed, every breaker as it was."""
    async with AsyncNear() as near, near.kit.session() as s:
        mine = LookupError("mine")
        with pytest.raises(LookupError) as caught:
            async with s.write("orders") as db:
                db["a"] = 1
                raise mine
        assert caught.value is mine
        assert "a" not in near.regions.contents(OWNER)
        assert {e.write_breaker for e in near.kit.status().endpoints} == {"closed"}
        assert s._state.entries(near.store) == ()


async def test_a_connection_lost_in_the_block_is_regionkits_error_with_its_cause() -> None:
    """Nothing was committed; what was known of the endpoint has to be proved anew."""
    async with AsyncNear() as near, near.kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught:
            async with s.write("orders") as db:
                db["a"] = 1
                await near.regions.kill(OWNER)
                db["b"] = 2
        assert caught.value.committed == "no"
        assert caught.value.region == OWNER
        seen = near.store.state.snapshot.endpoints[near.index(OWNER)].observation
        assert seen is None or seen.incarnation == ""


async def test_a_commit_without_an_answer_leaves_the_session_with_its_owner() -> None:
    """It may be there: until somebody knows, only the owner can serve this session."""
    async with AsyncNear() as near, near.kit.session() as s:
        await near.regions.lose_reply()
        with pytest.raises(OutcomeUnknown) as caught:
            async with s.write("orders") as db:
                db["a"] = 1
        assert caught.value.store == "orders"
        assert OWNER_ONLY in s._state.entries(near.store)
        async with s.read("orders") as db:
            assert db["a"] == 1
        assert s.last_route is not None
        assert s.last_route.region == OWNER


async def test_a_strong_read_ends_with_the_question_who_owns_the_store() -> None:
    """An owner replaced meanwhile may have shown what is old: the block says so instead of returning."""
    async with AsyncNear() as near, near.kit.session() as s:
        with pytest.raises(Fenced):
            async with s.read("orders", consistency=STRONG) as db:
                set(db)
                await near.regions.promote(NEAR)


async def test_hooks_hear_where_a_block_went_how_it_ended_and_how_long_it_was_open() -> None:
    """A read, a write, and one that failed, in their order."""
    async with AsyncNear() as near, near.kit.session() as s:
        heard: list[Event] = []
        near.kit.subscribe(heard.append)
        async with s.read("orders", consistency=EVENTUAL) as db:
            set(db)
            near.clock.advance(0.25)
        async with s.write("orders") as db:
            db["a"] = 1
        with pytest.raises(LookupError):
            async with s.write("orders"):
                raise LookupError
        told: list[Any] = [event for event in heard if isinstance(event, ReadRouted | WriteRouted)]
        assert [(type(e), e.region, e.kind, e.outcome) for e in told] == [
            (ReadRouted, NEAR, "read", "ok"),
            (WriteRouted, OWNER, "write", "ok"),
            (WriteRouted, OWNER, "write", "LookupError"),
        ]
        assert told[0].seconds == pytest.approx(0.25)
        assert [(e.endpoint, e.consistency, e.waited, e.attempts) for e in told] == [
            (NEAR, "EVENTUAL", 0.0, 1),
            (OWNER, "", 0.0, 1),
            (OWNER, "", 0.0, 1),
        ]


async def test_hooks_hear_that_a_read_waited_and_what_else_was_tried() -> None:
    """Behind its own write it waits; with its copy dead, another one is the second attempt."""
    async with AsyncNear(longest_wait=2.0) as near, near.kit.session() as s:
        heard: list[Event] = []
        async with s.write("orders") as db:
            db["a"] = 1
        near.kit.subscribe(lambda e: heard.append(e) if isinstance(e, ReadRouted) else None)
        async with s.read("orders", on_stale="wait") as db:
            assert db["a"] == 1
        await near.regions.kill(NEAR)
        async with s.read("orders", consistency=EVENTUAL) as db:
            assert db["a"] == 1
        told: list[Any] = heard
        assert told[0].waited == pytest.approx(LAG, abs=0.1)
        assert [e.attempts for e in told] == [1, 2]


async def test_a_block_that_changed_nothing_asks_for_nothing_new() -> None:
    """A write block without a write is no write; what it read there is remembered."""
    async with AsyncNear() as near:
        bookmark = await near.put("a")
        await near.arrived()
        async with near.kit.session(bookmark=bookmark) as s:
            before = s._state.entries(near.store)
            async with s.write("orders") as db:
                assert db["a"] == 1
            async with s.read("orders") as db:
                assert db["a"] == 1
            assert [e.history for e in s._state.entries(near.store)] == [e.history for e in before]
