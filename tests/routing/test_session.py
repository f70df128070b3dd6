# Generated from test_session_async.py by scripts/twins.py. Do not edit.
"""Sessions: what one carries from block to block and from kit to kit, and what it says of itself."""

from __future__ import annotations

import pytest

from regionkit import EVENTUAL, ConfigurationError, InvalidBookmark, StaleRead, UsageError

from .near import FAR, LAG, NEAR, OWNER, Near


def test_a_new_session_knows_nothing_and_says_so() -> None:
    """No route, no decision, an empty bookmark."""
    with Near() as near, near.kit.session() as s:
        assert s.last_route is None
        assert s.last_decision is None
        assert s.bookmark() == ""


def test_a_session_is_served_by_the_owner_until_its_own_copy_has_what_it_wrote() -> None:
    """Then it comes home; nothing that it saw is missed on the way."""
    with Near() as near, near.kit.session() as s:
        regions = []
        with s.write("orders") as db:
            db["a"] = 1
        for _ in range(2):
            with s.read("orders", on_stale="primary") as db:
                assert db["a"] == 1
            assert s.last_route is not None
            regions.append(s.last_route.region)
            near.arrived()
        assert regions == [OWNER, NEAR]


def test_a_bookmark_takes_the_session_to_a_kit_elsewhere() -> None:
    """What was written here is read there, or the read is refused; never missed."""
    with Near() as near:
        bookmark = near.put("a")
        with near.beside(FAR) as there:
            near.regions.tell(there)
            with there.session(bookmark=bookmark) as s:
                with pytest.raises(StaleRead):
                    with s.read("orders", on_stale="raise") as db:
                        set(db)
                near.clock.advance(LAG)
                near.regions.tell(there)
                with s.read("orders", on_stale="raise") as db:
                    assert db["a"] == 1
                assert s.last_route is not None
                assert s.last_route.region == FAR


def test_several_bookmarks_are_one() -> None:
    """Who begins with two sees what either saw."""
    with Near() as near:
        first = near.put("a")
        near.clock.advance(LAG / 2.0)
        second = near.put("b")
        near.clock.advance(LAG / 2.0)  # the first has arrived, the second has not
        near.regions.tell(near.kit)
        with near.kit.session(bookmark=first) as s, s.read("orders", on_stale="raise") as db:
            assert set(db) == {"a"}
        with near.kit.session(bookmark=[first, second]) as s:
            with pytest.raises(StaleRead):
                with s.read("orders", on_stale="raise") as db:
                    set(db)


def test_a_bookmark_that_nobody_signed_is_refused() -> None:
    """Before anything is asked of a server."""
    with Near() as near:
        bookmark = near.put("a")
        with pytest.raises(InvalidBookmark):
            near.kit.session(bookmark=bookmark[:-2] + ("AA" if bookmark[-2:] != "AA" else "BB"))


def test_a_lost_write_is_told_until_its_loss_is_accepted() -> None:
    """The owner died with it: every read says so, then the session goes on from what survived."""
    with Near() as near, near.kit.session() as s:
        with s.write("orders") as db:
            db["a"] = 1
        near.regions.kill(OWNER)
        near.regions.promote(NEAR)
        near.regions.tell(near.kit)
        for _ in range(2):
            with pytest.raises(StaleRead) as caught:
                with s.read("orders") as db:
                    set(db)
            assert caught.value.lost
        s.accept_loss()
        with s.read("orders") as db:
            assert "a" not in db
        assert s.last_route is not None
        assert s.last_route.region == NEAR


def test_what_explain_says_is_what_the_next_read_does() -> None:
    """Near where nothing was seen; behind its own write the session waits for the same copy."""
    with Near(longest_wait=2.0) as near, near.kit.session() as s:
        for written in (False, True):
            if written:
                with s.write("orders") as db:
                    db["a"] = 1
            said = (s.explain("orders")).decision
            assert said.outcome == ("wait" if written else "use")
            with s.read("orders", on_stale="wait") as db:
                assert ("a" in db) is written
            assert s.last_decision is not None
            assert s.last_route is not None
            assert said.index == s.last_decision.index == near.index(NEAR)
            assert [a.kind for a in s.last_route.attempts if a.kind == "wait"] == ["wait"] * written


def test_a_read_inside_ones_own_write_and_an_unknown_store_are_mistakes() -> None:
    """Both are told where they are made."""
    with Near() as near, near.kit.session() as s:
        with s.write("orders") as db:
            db["a"] = 1
            with pytest.raises(UsageError, match="inside this session's own write"):
                with s.read("orders"):
                    pass
        with pytest.raises(ConfigurationError, match="orders"):
            s.read("order", consistency=EVENTUAL)
