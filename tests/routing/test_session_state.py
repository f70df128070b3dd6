# Generated from test_session_state_async.py by scripts/twins.py. Do not edit.
"""What a session remembers: positions taken when it moves, runs that are no more, classes that stay the same object."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit import EVENTUAL, SESSION, UsageError
from regionkit.contract.outcomes import Failure
from regionkit.facts.bookmark import OWNER_ONLY, Bookmark, Entry
from regionkit.facts.consistency import ON_STALE
from regionkit.facts.request import Kind
from regionkit.routing.session_state import SessionState

from .near import FAR, NEAR, OWNER, Near


class Opened:
    """A block, as far as a session looks at it."""

    decision = None

    def __init__(self, near: Near, kind: Kind) -> None:
        self.store = near.store
        self.kind = kind

    def route(self) -> Any:
        """It went nowhere."""
        return None


def state(**options: Any) -> SessionState:
    """The memory of a new session."""
    return SessionState(Bookmark(), signed=True, **options)


def run_of(near: Near, region: str) -> str:
    """The run of a region's server that the kit knows."""
    seen = near.store.state.snapshot.endpoints[near.index(region)].observation
    assert seen is not None
    return seen.incarnation


def test_a_question_that_somebody_ended_makes_the_owner_the_next_and_blames_nobody() -> None:
    """The position of what was read cannot be had then; of a connection that broke, the endpoint is blamed."""
    for failure, errors in ((Failure.CANCELLED, 0), (Failure.CONNECTION, 1)):
        with Near() as near:
            session, index = state(), near.index(NEAR)
            session.read_at(near.store, index, run_of(near, NEAR))
            near.clock.advance(1.0)  # what the server was asked before says nothing of this read
            session.read_at(near.store, index, run_of(near, NEAR))

            def ended(*_: Any) -> Any:
                raise InterruptedError

            given: Any = near.store.backend(index)
            given.check_out, given.classify = ended, lambda error, said=failure: said
            bookmark = session.take_all_positions()
            assert bookmark.entries("orders", near.store.partition) == (OWNER_ONLY,)
            assert near.store.state.breaker(index, Kind.READ).errors == errors


def test_a_read_is_remembered_and_its_position_taken_when_it_is_asked_for() -> None:
    """Until then the bookmark is empty, and yet the session knows something."""
    with Near() as near:
        near.put("a")
        near.arrived()
        session = state()
        assert not session.knows(near.store)
        session.read_at(near.store, near.index(NEAR), run_of(near, NEAR))
        assert session.knows(near.store)
        assert session.entries(near.store) == ()
        bookmark = session.take_all_positions()
        (entry,) = bookmark.entries("orders", near.store.partition)
        assert entry.position is not None
        assert entry.from_read
        assert not session.take_positions(near.store)


def test_positions_of_the_endpoint_that_is_read_again_may_wait() -> None:
    """The session stays where it is: what it saw there, it sees there again."""
    with Near() as near:
        session = state()
        index, run = near.index(NEAR), run_of(near, NEAR)
        session.read_at(near.store, index, run)
        assert not session.take_positions(near.store, keep=(index, run))
        assert session.entries(near.store) == ()
        assert session.take_positions(near.store, keep=(near.index(FAR), run_of(near, FAR)))
        assert len(session.entries(near.store)) == 1


def test_a_run_that_is_no_more_leaves_the_owner() -> None:
    """Nobody can say any more what it had shown: once because another run was read, once because another run answers."""
    with Near() as near:
        index = near.index(NEAR)
        session = state()
        session.read_at(near.store, index, "an earlier run")
        session.read_at(near.store, index, run_of(near, NEAR))
        assert session.entries(near.store) == (OWNER_ONLY,)
        session = state()
        session.read_at(near.store, index, "an earlier run")
        session.take_positions(near.store)
        assert session.entries(near.store) == (OWNER_ONLY,)


def test_an_endpoint_that_does_not_answer_leaves_the_owner() -> None:
    """What was read there cannot be placed."""
    with Near() as near:
        session = state()
        near.clock.advance(1.0)  # what is known of it is older than the read
        session.read_at(near.store, near.index(NEAR), run_of(near, NEAR))
        near.regions.kill(NEAR)
        session.take_positions(near.store)
        assert session.entries(near.store) == (OWNER_ONLY,)


def test_a_session_is_pinned_to_the_copy_that_it_read_and_not_to_the_owner() -> None:
    """Monotonic reads cost nothing while it stays; the owner needs no pin."""
    with Near() as near:
        session = state()
        assert session.pin(near.store) == -1
        session.read_at(near.store, near.index(NEAR), run_of(near, NEAR))
        assert session.pin(near.store) == near.index(NEAR)
        session.read_at(near.store, near.index(OWNER), run_of(near, OWNER))
        assert session.pin(near.store) == -1


def test_a_class_is_the_same_object_until_the_session_saw_more() -> None:
    """So its decision is remembered; a new entry or another pin makes another."""
    with Near() as near:
        shared = near.store.class_of(SESSION, ON_STALE, None, {})
        session = state()
        session.wrote(near.store, Entry("h", 1, 5))
        first = session.class_of(near.store, shared)
        assert session.class_of(near.store, shared) is first
        assert first.request.entries == session.entries(near.store)
        session.wrote(near.store, Entry("h", 1, 6))
        second = session.class_of(near.store, shared)
        assert second is not first
        session.read_at(near.store, near.index(FAR), run_of(near, FAR))
        third = session.class_of(near.store, shared)
        assert third is not second
        assert third.request.pin == near.index(FAR)


def test_blocks_nest_except_a_read_in_its_own_write() -> None:
    """Two reads, a write in a read; the read is allowed again once the write is closed."""
    with Near() as near:
        session = state()
        outer, write, inner = (Opened(near, kind) for kind in (Kind.READ, Kind.WRITE, Kind.READ))
        session.opening(outer)
        session.opening(write)
        with pytest.raises(UsageError):
            session.opening(inner)
        assert session.last is write
        session.closed(inner)  # was never opened
        session.closed(write)
        session.opening(inner)
        assert session.last is inner


def test_accepting_a_loss_replaces_what_was_asked_and_read() -> None:
    """The entries are the given ones, and reads before count no more."""
    with Near() as near:
        session = state()
        session.wrote(near.store, Entry("h", 1, 5))
        session.read_at(near.store, near.index(NEAR), run_of(near, NEAR))
        session.rebase(near.store, (Entry("i", 2, 9),))
        assert session.entries(near.store) == (Entry("i", 2, 9),)
        assert session.pin(near.store) == -1
        assert not session.take_positions(near.store)


def test_only_a_placement_that_has_changed_is_worth_telling() -> None:
    """The first version is what everybody would find."""
    session = state()
    session.placed("carts", 1)
    assert not session.bookmark.placements
    session.placed("carts", 3)
    assert dict(session.bookmark.placements) == {"carts": 3}


def test_what_an_eventual_read_saw_counts_for_the_session_too() -> None:
    """A later SESSION read may not go back behind it."""
    with Near() as near, near.kit.session() as s:
        near.put("a")
        with s.read("orders", consistency=EVENTUAL) as db:
            set(db)
        assert s._state.knows(near.store)
