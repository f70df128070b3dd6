"""The virtual clock: it moves when told, as one clock for all threads."""

from __future__ import annotations

import threading

import pytest

from regionkit.testing import VirtualClock


def test_it_stands_still_until_advanced() -> None:
    """Time passes by command only, on both clocks alike."""
    clock = VirtualClock(monotonic=5.0, wall=100.0)
    assert (clock.monotonic(), clock.wall()) == (5.0, 100.0)
    clock.advance(2.5)
    assert (clock.monotonic(), clock.wall()) == (7.5, 102.5)


def test_it_does_not_go_back() -> None:
    """A negative advance is refused and changes nothing."""
    clock = VirtualClock(monotonic=5.0)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
    assert clock.monotonic() == 5.0


def test_the_wall_clock_can_be_set_alone() -> None:
    """A step of the wall clock leaves the monotonic one alone, as on a real machine."""
    clock = VirtualClock(monotonic=5.0, wall=100.0)
    clock.set_wall(40.0)
    assert (clock.monotonic(), clock.wall()) == (5.0, 40.0)


def test_threads_lose_no_advance() -> None:
    """Concurrent advances all count."""
    clock = VirtualClock(monotonic=0.0)
    threads = [threading.Thread(target=lambda: [clock.advance(1) for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 4000.0
