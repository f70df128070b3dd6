"""The circuit breaker against its table, by a state machine that keeps its own books."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from regionkit.routing.health import Breaker, BreakerState, after_probe, failed, speaks_against, succeeded
from regionkit.topology import PROFILES

PROFILE = replace(PROFILES["balanced"], half_open_probes=2)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
jitters = st.floats(0.0, 0.999)


class BreakerMachine(RuleBasedStateMachine):
    """Each rule is a row of the table in health.py."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 1000.0
        self.state = CLOSED
        self.errors_in_row = self.probes_in_row = self.passed = 0
        self.window: float | None = None
        self.failures = 0
        self.length = 0.0
        self.opened_at = 0.0
        self.held_until = 0.0

    @rule(seconds=st.floats(0.01, 20.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def call_succeeds(self) -> None:
        self.breaker = succeeded(self.breaker)
        self.errors_in_row = 0

    @rule(calls=st.integers(1, 40), jitter=jitters)
    def call_fails(self, calls: int, jitter: float) -> None:
        before = self.breaker
        self.breaker = failed(before, PROFILE, self.now, calls, "broken", jitter)
        if self.state is not CLOSED:
            assert self.breaker is before, "traffic that was under way changes nothing"
            return
        if self.window is None or self.now - self.window > PROFILE.trip_window:
            self.window, self.failures = self.now, 0
        self.failures += 1
        self.errors_in_row += 1
        share = calls >= PROFILE.trip_calls and self.failures / calls >= PROFILE.trip_share
        if self.errors_in_row >= PROFILE.trip_errors or share:
            self.open(PROFILE.open_first)

    @rule(jitter=jitters)
    def probe_fails(self, jitter: float) -> None:
        over = self.now >= self.breaker.until
        self.breaker = after_probe(self.breaker, PROFILE, self.now, False, "no answer", jitter)
        if self.state is CLOSED:
            self.probes_in_row += 1
            if self.probes_in_row >= PROFILE.trip_probes:
                self.open(PROFILE.open_first)
        elif self.state is HALF_OPEN or over:
            self.open(min(PROFILE.open_longest, 2 * self.length))

    @rule(jitter=jitters)
    def probe_passes(self, jitter: float) -> None:
        over = self.now >= self.breaker.until
        self.breaker = after_probe(self.breaker, PROFILE, self.now, True, "", jitter)
        if self.state is CLOSED:
            self.probes_in_row = 0
        elif self.state is HALF_OPEN or over:
            self.passed = self.passed + 1 if self.state is HALF_OPEN else 1
            self.state = HALF_OPEN
            if self.passed >= PROFILE.half_open_probes:
                self.state, self.held_until = CLOSED, self.now + PROFILE.hold_down
                self.errors_in_row = self.probes_in_row = self.failures = 0
                self.window = None

    @precondition(lambda self: self.state is OPEN)
    @rule()
    def its_time_comes(self) -> None:
        self.now = max(self.now, self.breaker.until)

    def open(self, length: float) -> None:
        self.state, self.length, self.opened_at, self.passed = OPEN, length, self.now, 0
        self.errors_in_row = self.probes_in_row = self.failures = 0
        self.window, self.held_until = None, 0.0

    @invariant()
    def as_in_the_table(self) -> None:
        assert self.breaker.state is self.state
        assert self.breaker.admits == (self.state is CLOSED)
        assert self.breaker.held_until == self.held_until
        if self.state is OPEN:
            assert self.breaker.length == self.length <= PROFILE.open_longest
            assert 0.9 * self.length <= self.breaker.until - self.opened_at + 1e-6
            assert self.breaker.until - self.opened_at <= 1.1 * self.length + 1e-6
            assert self.breaker.reason


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_the_length_doubles_up_to_the_longest() -> None:
    """Failing probes in HALF_OPEN: 5, 10, 20, 40, 60, 60 seconds."""
    breaker, now, lengths = Breaker(), 0.0, []
    for _ in range(2):
        breaker = after_probe(breaker, PROFILE, now, False, "x", 0.5)
    for _ in range(6):
        lengths.append(breaker.length)
        now = breaker.until
        breaker = after_probe(breaker, PROFILE, now, False, "x", 0.5)
    assert lengths == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_a_slow_leak_of_failures_trips_by_share() -> None:
    """Every other call fails, never three in a row: it opens with the first failure past ten calls."""
    breaker = Breaker()
    for call in range(1, 11):
        breaker = failed(breaker, PROFILE, 100.0 + call / 10, call, "slow", 0.5) if call % 2 else succeeded(breaker)
        assert breaker.state is CLOSED
    assert failed(breaker, PROFILE, 101.1, 11, "slow", 0.5).state is OPEN
    assert failed(breaker, PROFILE, 106.0, 11, "slow", 0.5).state is CLOSED, "the window is over"


@pytest.mark.parametrize(
    ("silent", "had", "since", "counts"),
    [
        (False, 0.0, 10.0, True),  # it broke the connection at once
        (True, 0.5, 10.0, True),  # its whole budget, and not a word
        (True, 0.49, 10.0, False),  # the call came too late for an answer
        (False, 9.0, 5.0, False),  # seven others felt the same reset
        (True, 9.0, 4.0, False),
    ],
)
def test_a_failure_counts_for_what_the_server_did_in_the_time_that_it_had(
    silent: bool, had: float, since: float, counts: bool
) -> None:
    """The table of whose fault it is; the last failure that counted was at 5."""
    assert speaks_against(silent=silent, had=had, budget=0.5, since=since, counted_at=5.0) is counts
