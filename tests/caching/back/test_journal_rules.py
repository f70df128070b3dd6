"""A journal forgets what a later acknowledged put of the key replaced, what was settled, and nothing else."""

from __future__ import annotations

from random import Random

import pytest

from regionkit.caching.back.journal_rules import (
    SPARSE,
    JournalState,
    Kept,
    Note,
    note_in,
    payload_of,
    withdrawal_of,
    withdrawn_in,
)
from regionkit.caching.back.record import Record, packed

KEYS = [bytes([of]) * 16 for of in range(3)]


def record(version: int, digest: bytes = KEYS[0]) -> bytes:
    """Of a put."""
    return packed(Record(version, b"i" * 16, 5, False, digest, 0, b"s1:a", b"entry"))


def test_a_record_is_read_as_it_was_written() -> None:
    """With what it expected; and a withdrawal is none."""
    for expected in (None, 0, 7, 10**18):
        note = Note(9 * 10**13 + 4, record(9 * 10**13 + 4), expected, 1_800_000_000.125)
        assert note_in(payload_of(note)) == note
        assert withdrawn_in(payload_of(note)) is None
    assert withdrawn_in(withdrawal_of(12)) == 12
    with pytest.raises(ValueError, match="no record"):
        note_in(withdrawal_of(12))
    with pytest.raises(ValueError):
        note_in(b"p" + b" " * 19 + b"0" * 13 + b"short")


def test_what_is_needed_stays() -> None:
    """Steps at random, against what each put became."""
    forgotten = 0
    for seed in range(200):
        chance, state = Random(seed), JournalState()
        keys: dict[int, bytes] = {}
        fates: dict[int, str] = {}
        places: dict[int, int] = {}
        for version in range(1, 40):
            keys[version], fates[version] = chance.choice(KEYS), "under way"
            places[version] = version // 10
            early = chance.random() < 0.2
            if early:  # its put was given up before the disk answered
                state.over(version, done=False)
                fates[version] = "over"
            state.written(version, Kept(keys[version], places[version], 0, version))
            for one in chance.sample(sorted(keys), k=min(3, len(keys))):
                if fates[one] == "under way":
                    done = chance.random() < 0.7
                    state.over(one, done=done)
                    fates[one] = "done" if done else "over"
                    if done:
                        for older in keys:
                            if older < one and keys[older] == keys[one] and fates[older] in ("done", "over"):
                                fates[older] = "forgotten"
                elif fates[one] in ("done", "over") and chance.random() < 0.3:
                    state.forget([one])
                    fates[one] = "forgotten"
                elif fates[one] in ("done", "over") and chance.random() < 0.2:  # emptied into another file
                    places[one] = 9
                    state.written(one, Kept(keys[one], 9, 0, one))
                    state.over(one, done=False)
                    fates[one] = "over"
            needed = {one for one, fate in fates.items() if fate != "forgotten"}
            assert set(state.kept) == needed
            assert state.unsettled(0, 100) == sorted(one for one in needed if fates[one] != "under way")
            for place in range(10):
                mine = [one for one in needed if places[one] == place]
                assert (state.needed(place), sorted(state.within(place))) == (sum(mine), sorted(mine))
        forgotten += sum(fate == "forgotten" for fate in fates.values())
    assert forgotten > 1000


def test_a_file_is_sparse_when_a_quarter_of_it_is_needed() -> None:
    """Or less."""
    state = JournalState()
    state.written(1, Kept(KEYS[0], 1, 0, 100))
    assert state.is_sparse(1, 100 * SPARSE)
    assert not state.is_sparse(1, 100 * SPARSE - 1)
    state.forget([1])
    assert state.is_sparse(1, 0)
