"""The coarse clock: it goes on while somebody holds it, is never ahead, and knows nothing after a fork."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import time

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.coarse_clock import CoarseClock

FORKS = """
import math, os
from regionkit.core.coarse_clock import COARSE_CLOCK
class Holder: pass
holder = Holder()
COARSE_CLOCK.hold(holder)
if os.fork() == 0:
    stands = COARSE_CLOCK.now == math.inf
    COARSE_CLOCK.hold(holder)
    print(stands, COARSE_CLOCK.now < math.inf, flush=True)
    os._exit(0)
os.wait()
"""


class Holder:
    """Somebody who reads it."""


def until(clock: CoarseClock, past: float) -> None:
    """Wait until the clock is past a time."""
    end = time.monotonic() + 20.0
    while not clock.now > past:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_nothing_is_before_it_while_nobody_holds_it() -> None:
    """Infinity: whatever has an end is over."""
    assert CoarseClock().now == math.inf


def test_it_goes_on_and_is_never_ahead() -> None:
    """A hit may be served a tick too long, never after a time that has not come."""
    clock, holder = CoarseClock(), Holder()
    clock.hold(holder)
    began = clock.now
    until(clock, began)
    assert began < clock.now <= SYSTEM_CLOCK.monotonic()


def test_it_stops_when_the_last_holder_is_gone() -> None:
    """Let go, or forgotten."""
    clock, first, second = CoarseClock(), Holder(), Holder()
    clock.hold(first)
    clock.hold(second)
    clock.let_go(first)
    assert clock.now < math.inf
    del second
    gc.collect()
    end = time.monotonic() + 20.0
    while clock.now < math.inf:
        assert time.monotonic() < end
        time.sleep(0.005)
    clock.hold(first)
    assert clock.now < math.inf


def test_a_child_does_not_trust_the_time_of_its_parent() -> None:
    """Its thread does not run there. In a process without caches: those hold the clock again in a child."""
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr
