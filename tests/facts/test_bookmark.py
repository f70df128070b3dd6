"""Bookmarks: what is asked for is never lost, and nothing forged is ever believed or waited for."""

from __future__ import annotations

import base64
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regionkit.errors import ConfigurationError, InvalidBookmark
from regionkit.facts.bookmark import (
    EMPTY,
    LARGEST_BOOKMARK,
    MOST_ENTRIES,
    MOST_MERGED,
    OWNER_ONLY,
    Bookmark,
    Entry,
    Signer,
    merge,
    source,
)
from regionkit.facts.position import GtidsReached, Position, later, reaches

KEY, OLD = "k" * 32, "o" * 32
SIGNER = Signer("shop", [KEY])

positions = st.one_of(
    st.integers(0, 2**63 - 1),
    st.dictionaries(st.tuples(st.integers(0, 2), st.integers(1, 3)), st.integers(0, 99), max_size=3).map(
        lambda found: tuple(sorted((d, s, n) for (d, s), n in found.items()))
    ),
)
names = st.integers(1, 6)
entries = st.builds(lambda n, p, seen: Entry(f"h{n}", n, p, seen), names, st.none() | positions, st.booleans())
stores = st.sampled_from(["orders", "carts", "order"])
partitions = st.sampled_from(["", "", "p1", "p2"])
bookmarks = st.lists(st.tuples(stores, partitions, entries | st.just(OWNER_ONLY)), max_size=8).map(
    lambda items: _made(items)
)


def _made(items: list[tuple[str, str, Entry]]) -> Bookmark:
    made = EMPTY
    for store, partition, entry in items:
        made = made.add(store, entry, partition)
    return made


def asks(bookmark: Bookmark) -> dict[tuple[str, str], frozenset[Entry]]:
    """What each source demands."""
    return {
        (s, p): frozenset(bookmark.entries(s, p)) for s in ("orders", "carts", "order") for p in ("", "p1", "p2", "p9")
    }


def satisfied(found: tuple[Entry, ...], history: str, have: Any) -> bool:
    """Whether a copy in one history, without ancestors, satisfies all entries."""
    return all(e.position is not None and e.history == history and reaches(have, e.position) for e in found)


@settings(max_examples=300)
@given(bookmarks, st.sampled_from([[KEY], [KEY, OLD], []]))
def test_round_trip(bookmark: Bookmark, keys: list[str]) -> None:
    """Signed or not, what comes back asks for the same."""
    signer = Signer("shop", keys)
    text = signer.encode(bookmark)
    assert len(text) <= LARGEST_BOOKMARK and text.isascii()
    assert signer.decode(text) == bookmark
    assert (text == "") == (bookmark == EMPTY)


@given(bookmarks, bookmarks, bookmarks)
def test_merging_is_a_join(a: Bookmark, b: Bookmark, c: Bookmark) -> None:
    """Order, grouping and repetition make no difference to what is asked."""
    assert asks(merge([a, b])) == asks(merge([b, a]))
    assert asks(merge([merge([a, b]), c])) == asks(merge([a, merge([b, c])])) == asks(merge([a, b, c]))
    assert asks(merge([a, a])) == asks(a) == asks(merge([a, EMPTY]))


@given(
    st.lists(st.tuples(names, positions, st.booleans()), min_size=1, max_size=8),
    st.lists(st.tuples(names, positions, st.booleans()), min_size=1, max_size=8),
    names,
    st.one_of(
        st.integers(0, 2**63), st.builds(GtidsReached, st.just(((0, 1, 50),)), st.just(((0, 1, 50), (0, 2, 50))))
    ),
)
def test_a_copy_serves_a_merge_only_if_it_serves_each_part(a: list, b: list, history: int, have: Any) -> None:
    """No requirement is lost, whatever the number of histories and the kinds of positions."""
    parts = []
    for items in (a, b):
        made = EMPTY
        for n, position, seen in items:
            made = made.add("orders", Entry(f"h{n}", n, position, seen))
        parts.append(made)
    both = merge(parts).entries("orders")
    wanted = [(f"h{n}", p) for n, p, _ in [*a, *b]]
    truly = all(name == f"h{history}" and reaches(have, p) for name, p in wanted)
    if satisfied(both, f"h{history}", have):
        assert truly
    if truly:
        assert satisfied(both, f"h{history}", have), "nor is anything added"


def demands(found: tuple[Entry, ...], wanted: Entry) -> bool:
    """Whether entries ask for all that one asks for."""
    if wanted.position is None and not wanted.history:
        return OWNER_ONLY in found
    same = [e for e in found if e.history == wanted.history]
    if not same:  # of too many histories the oldest became the owner's
        return OWNER_ONLY in found
    if same[0].position is None or wanted.position is None:
        return same[0].position is None
    return (
        type(same[0].position) is type(wanted.position) and later(same[0].position, wanted.position) == same[0].position
    )


@settings(max_examples=300)
@given(st.lists(bookmarks, min_size=1, max_size=4))
def test_a_merge_asks_for_all_that_each_part_asks_for(parts: list[Bookmark]) -> None:
    """Also of partitions that a part says nothing of: then it says to read them from the owner."""
    whole = asks(merge(parts))
    for part in parts:
        for name, wanted in asks(part).items():
            assert all(demands(tuple(whole[name]), entry) for entry in wanted), (name, wanted, whole[name])


def test_what_does_not_fit_is_not_encoded_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five hundred stores with eight partitions each: a handful of encodings, and none of the whole."""
    many = Bookmark({source(f"store{i}", f"p{j}"): (Entry("0" * 32, 3, 9),) for i in range(500) for j in range(8)})
    made: list[Bookmark] = []
    text = Signer._text
    monkeypatch.setattr(Signer, "_text", lambda self, bookmark: made.append(bookmark) or text(self, bookmark))
    assert SIGNER.decode(SIGNER.encode(many)).everything
    some = Bookmark({name: many.sources[name] for name in list(many.sources)[: 60 * 8]})
    found = SIGNER.decode(SIGNER.encode(some))
    assert not found.everything and {name.partition("/")[0] for name in found.sources} == {
        f"store{i}" for i in range(60)
    }
    assert len(made) <= 6 and all(len(bookmark.sources) < 500 for bookmark in made)


def test_too_many_histories_keep_the_newest_and_the_owner() -> None:
    """A lost position of a recent history is still found out on the owner."""
    made = EMPTY
    for n in range(1, 9):
        made = made.add("orders", Entry(f"h{n}", n, n))
    found = made.entries("orders")
    assert found[0] == OWNER_ONLY and [e.history for e in found[1:]] == ["h5", "h6", "h7", "h8"]
    assert len(found) == 1 + MOST_ENTRIES


def test_a_source_without_entries_is_read_from_the_owner() -> None:
    """While its store has others; another store whose name begins alike is not meant."""
    made = EMPTY.add("orders", Entry("h1", 1, 5), "p1")
    assert made.entries("orders", "p2") == (OWNER_ONLY,)
    assert made.entries("orders") == (OWNER_ONLY,)
    assert made.entries("order") == () and EMPTY.entries("orders") == ()


def test_a_collapsed_store_stays_collapsed_under_new_entries() -> None:
    """After a store, or everything, became "read from the owner", a later write does not open its replicas."""
    write = Entry("h1", 1, 5)
    collapsed = EMPTY.add("carts", OWNER_ONLY)
    assert collapsed.add("carts", write, "p1").entries("carts", "p1") == (OWNER_ONLY, write)
    everything = Bookmark(everything=True).add("orders", write)
    assert everything.entries("orders") == (OWNER_ONLY, write) and everything.entries("carts") == (OWNER_ONLY,)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 4), st.integers(0, 40), st.booleans())
def test_the_bound_never_drops_a_requirement(count: int, histories: int, length: int, placed: bool) -> None:
    """With many stores it collapses to the owner, the bulkiest first; every copy refused before is refused after."""
    made = EMPTY
    for n in range(count):
        for h in range(histories):
            made = made.add(f"store-{n}" + "x" * length, Entry(f"{'h' * 30}{h}", h, 2**40 + n), "")
    if placed:
        made = Bookmark(made.sources, {name.partition("/")[0]: 7 for name in made.sources})
    text = SIGNER.encode(made)
    assert len(text) <= LARGEST_BOOKMARK
    back = SIGNER.decode(text)
    for name in made.sources:
        store = name.partition("/")[0]
        assert set(made.entries(store)) <= set(back.entries(store)) or OWNER_ONLY in back.entries(store)
        assert not placed or back.everything or back.placements[store] == 7
    if len(SIGNER._text(made)) <= LARGEST_BOOKMARK:
        assert back == made


def test_tampering_with_any_character_is_found_out() -> None:
    """Every single character, replaced by every other of the alphabet: no text but the one we gave is taken."""
    text = SIGNER.encode(EMPTY.add("orders", Entry("0" * 32, 3, 2**40, True)).add("carts", OWNER_ONLY))
    for i in range(len(text)):
        for other in "AQgw_-+/=.1 \n":
            if text[i] != other:
                with pytest.raises(InvalidBookmark):
                    SIGNER.decode(text[:i] + other + text[i + 1 :])


def test_truncation_and_additions_are_found_out() -> None:
    """Any prefix, and anything appended."""
    text = SIGNER.encode(EMPTY.add("orders", Entry("h1", 1, 5)))
    for i in range(1, len(text)):
        with pytest.raises(InvalidBookmark):
            SIGNER.decode(text[:i])
    for more in ("A", "=", "==", " ", "\x00", text):
        with pytest.raises(InvalidBookmark):
            SIGNER.decode(text + more)


def test_foreign_keys_and_namespaces_are_refused_and_rotation_is_not() -> None:
    """The first key signs, all verify; another namespace, key or kind is InvalidBookmark."""
    made = EMPTY.add("orders", Entry("h1", 1, 5))
    old = Signer("shop", [OLD]).encode(made)
    assert Signer("shop", [KEY, OLD]).decode(old) == made
    assert Signer("shop", [OLD]).decode(Signer("shop", [OLD, KEY]).encode(made)) == made
    unsigned = Signer("shop", []).encode(made)
    for signer, text in (
        (SIGNER, old),
        (Signer("shop2", [OLD]), old),
        (Signer("shop", [OLD]), Signer("shop", [KEY, OLD]).encode(made)),
        (SIGNER, unsigned),
        (Signer("shop", []), old),
    ):
        with pytest.raises(InvalidBookmark):
            signer.decode(text)


def test_short_keys_are_refused() -> None:
    """A key that can be guessed signs nothing."""
    with pytest.raises(ConfigurationError, match="too short"):
        Signer("shop", [KEY, "short"])


def test_sequences_are_merged_and_bounded() -> None:
    """None and "" are nothing seen; 64 at most, so that the work per request is bounded."""
    a, b = EMPTY.add("orders", Entry("h1", 1, 5)), EMPTY.add("orders", Entry("h1", 1, 9))
    texts = [SIGNER.encode(a), "", SIGNER.encode(b)]
    assert SIGNER.decode(texts) == b
    assert SIGNER.decode(None) is SIGNER.decode("") is SIGNER.decode([]) is EMPTY
    with pytest.raises(InvalidBookmark, match="at most"):
        SIGNER.decode(texts * MOST_MERGED)
    with pytest.raises(InvalidBookmark):
        SIGNER.decode([SIGNER.encode(a), 5])  # type: ignore[list-item]


payloads = st.recursive(
    st.none() | st.integers(-(2**63), 2**63) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4)
)


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(max_size=300),
        st.text("rk01.-_ABCabc=\x00é", max_size=3000).map(lambda tail: "rk1." + tail),
        st.binary(max_size=200).map(lambda raw: "rk0." + base64.urlsafe_b64encode(raw).decode()),
        payloads.map(lambda v: "rk0." + base64.urlsafe_b64encode(msgspec.msgpack.encode(v)).rstrip(b"=").decode()),
        st.integers(1, 1500).map(lambda n: "rk0." + base64.urlsafe_b64encode(b"\x91" * n).rstrip(b"=").decode()),
    )
)
def test_fuzz_gives_invalid_bookmark_only(text: str) -> None:
    """Whatever the text: a bookmark or InvalidBookmark, nothing else, from both kinds of signer."""
    for signer in (SIGNER, Signer("shop", [])):
        try:
            found = signer.decode(text)
        except InvalidBookmark:
            continue
        assert isinstance(found, Bookmark)
        assert isinstance(merge([found, found]), Bookmark)


def test_a_forged_bookmark_costs_microseconds() -> None:
    """The worst of several hostile texts, verified in under a millisecond (best of five, as machines stall)."""
    good = SIGNER.encode(EMPTY.add("orders", Entry("h1", 1, 5)))
    hostile = [good[:-1] + "A", "rk1." + "A" * 2044, "rk1." + "é" * 2044, "x" * 10**6, "rk1." + good[4:60] * 30]
    for text in hostile:
        best = 1.0
        for _ in range(5):
            began = time.perf_counter()
            with pytest.raises(InvalidBookmark):
                SIGNER.decode(text)
            best = min(best, time.perf_counter() - began)
        assert best < 0.001


def test_set_replaces_and_removes() -> None:
    """What accept_loss uses: the entries of one source, and only they."""
    made = EMPTY.add("orders", Entry("h1", 1, 5)).add("carts", Entry("h2", 2, 6))
    changed = made.set("orders", (Entry("h3", 3, 7),))
    assert changed.entries("orders") == (Entry("h3", 3, 7),) and changed.entries("carts") == made.entries("carts")
    assert source("orders") not in made.set("orders", ()).sources
    position: Position = 5
    assert made.entries("orders")[0].position == position, "the original is unchanged"
