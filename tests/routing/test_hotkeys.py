"""Hot keys: the count of a sketch is never too low, and what is hot is named."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from regionkit.routing.hotkeys import CAPACITY, HotKeys


def test_hot_keys_are_named() -> None:
    """Two keys with a third and a tenth of 30,000 sampled calls among 5,000 others."""
    rng = random.Random(7)
    hot = HotKeys()
    for _ in range(30_000):
        draw = rng.random()
        hot.add("first" if draw < 0.33 else "second" if draw < 0.43 else f"k{rng.randrange(5000)}")
    top = hot.top()
    assert [key.key for key in top] == ["first", "second"]
    assert abs(top[0].share - 0.33) < 0.03
    assert top[1].at_least <= 0.11


@given(st.lists(st.sampled_from([f"k{i}" for i in range(200)]), max_size=3000))
def test_a_count_is_never_too_low(keys: list[str]) -> None:
    """Space-Saving: estimate - error <= truth <= estimate, and every key above 1 / CAPACITY is kept."""
    hot = HotKeys()
    for key in keys:
        hot.add(key)
    kept = {key.key: key for key in hot.top(most=CAPACITY, above=-1.0)}
    assert len(kept) <= CAPACITY
    for key in set(keys):
        share = keys.count(key) / len(keys)
        if key in kept:
            assert kept[key].at_least <= share + 1e-9 <= kept[key].share + 2e-9
        else:
            assert share <= 1 / CAPACITY
