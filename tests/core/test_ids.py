"""UUIDv7: sorted by making, well formed, not guessable, also across threads and forks."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
import time
import uuid

import pytest

from regionkit.core import ids
from regionkit.core.ids import uuid7


def test_bits_are_those_of_rfc_9562() -> None:
    """Version 7, variant 10, and the millisecond of now in the first 48 bits."""
    before = time.time_ns() // 1_000_000
    made = uuid7()
    assert made.version == 7 and made.variant == uuid.RFC_4122
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1
    assert (made.int >> 76) & 0xF == 7 and (made.int >> 62) & 0b11 == 0b10


def test_each_is_greater_than_the_last() -> None:
    """As integers and as text, within one millisecond too."""
    made = [uuid7() for _ in range(5000)]
    assert made == sorted(made) and len(set(made)) == len(made)
    assert [m.hex for m in made] == sorted(m.hex for m in made)


def test_a_clock_that_steps_back_does_not_turn_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids go on from the newest, well formed, until the clock has caught up."""
    newest = uuid7()
    hour_ago = time.time_ns() - 3_600 * 10**9
    monkeypatch.setattr(ids.time, "time_ns", lambda: hour_ago)
    made = [uuid7() for _ in range(1000)]
    assert newest < made[0] and made == sorted(set(made))
    assert all(m.version == 7 and m.variant == uuid.RFC_4122 for m in made)


def test_a_successor_carries_over_every_field() -> None:
    """From the last value of a millisecond the next one begins; version and variant stay."""
    top = (5 << 80) | (0x7 << 76) | (0xFFF << 64) | (0x2 << 62) | ((1 << 62) - 1)
    following = uuid.UUID(int=ids._successor(top))
    assert following.version == 7 and following.variant == uuid.RFC_4122
    assert following.int >> 80 == 6


def test_neighbours_are_not_guessable() -> None:
    """Within one millisecond the step to the next id has at least 40 random bits, typically."""
    made = [uuid7().int for _ in range(2000)]
    steps = sorted(b - a for a, b in itertools.pairwise(made))
    assert steps[len(steps) // 10] > 2**40


def test_threads_make_no_id_twice() -> None:
    """Eight threads at once."""
    made: list[list[uuid.UUID]] = [[] for _ in range(8)]
    threads = [threading.Thread(target=lambda own=own: own.extend(uuid7() for _ in range(1000))) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({m for own in made for m in own}) == 8000
    assert all(own == sorted(own) for own in made)


def _child(pipe: object) -> None:
    pipe.send([uuid7().int for _ in range(500)])  # type: ignore[attr-defined]


def test_a_fork_makes_other_ids_and_needs_no_lock_of_the_parent() -> None:
    """The child is forked while the lock is held; it makes ids, and none that the parent makes."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    with ids._last.lock:
        child = context.Process(target=_child, args=(theirs,))
        child.start()
    own = [uuid7().int for _ in range(500)]
    assert mine.poll(10), "the child hangs on the parent's lock"
    assert not set(own) & set(mine.recv())
    child.join(10)
    assert child.exitcode == 0
