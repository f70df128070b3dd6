"""The system clock: never back, suspension counted, and the protocol that the virtual one keeps too."""

from __future__ import annotations

import time

import pytest

from regionkit.core import clock as module
from regionkit.core.clock import SYSTEM_CLOCK, Clock, SystemClock
from regionkit.testing.clock import VirtualClock


def test_monotonic_never_goes_back_and_goes_on() -> None:
    """Over many looks, and by about as much as was slept."""
    looks = [SYSTEM_CLOCK.monotonic() for _ in range(1000)]
    assert looks == sorted(looks)
    began = SYSTEM_CLOCK.monotonic()
    time.sleep(0.02)
    assert SYSTEM_CLOCK.monotonic() - began >= 0.019


def test_suspension_counts_where_the_system_offers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the boot-time clock; without one, the plain monotonic clock."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        assert abs(SYSTEM_CLOCK.monotonic() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1.0
    monkeypatch.setattr(module, "_BOOT", None)
    assert abs(SystemClock().monotonic() - time.monotonic()) < 1.0


def test_wall_is_utc_seconds() -> None:
    """Seconds since 1970."""
    assert abs(SYSTEM_CLOCK.wall() - time.time()) < 1.0


def test_the_virtual_clock_is_a_clock() -> None:
    """Both can stand where a Clock is asked for."""
    clocks: list[Clock] = [SYSTEM_CLOCK, VirtualClock()]
    assert all(isinstance(clock.monotonic(), float) and isinstance(clock.wall(), float) for clock in clocks)
