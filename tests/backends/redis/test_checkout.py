# Generated from test_checkout_async.py by scripts/twins.py. Do not edit.
"""A question on a block's connection ends at its own bound; what a server has for sure and what it may have shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from fix_redis_endpoints import context_of
from fix_rig_redis import RedisRig

from regionkit.backends.redis.classify import classify
from regionkit.backends.redis.endpoint import RedisEndpoint
from regionkit.contract.outcomes import Failure
from regionkit.core.clock import SystemClock
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.facts.request import Kind
from regionkit.testing import FaultProxy

pytestmark = pytest.mark.redis


@pytest.fixture
def proxied(redis_store_rig: RedisRig) -> Iterator[tuple[RedisEndpoint, FaultProxy]]:
    """The primary, through a proxy."""
    with FaultProxy(redis_store_rig.urls[0]) as proxy:
        endpoint = RedisEndpoint(context_of(proxy.url))
        yield endpoint, proxy
        endpoint.close()


def within(seconds: float) -> Deadline:
    """A block's deadline."""
    return Deadline(SystemClock(), seconds)


@pytest.mark.parametrize(("bound", "deadline"), [(0.3, 20.0), (20.0, 0.3), (float("inf"), 0.3)])
def test_a_frozen_server_ends_a_question_at_the_nearer_bound(
    proxied: tuple[RedisEndpoint, FaultProxy], bound: float, deadline: float
) -> None:
    """The question's own, or the block's deadline; the connection serves nobody after it."""
    endpoint, proxy = proxied
    (endpoint.check_out(Kind.READ, within(5.0), 5.0)).release()
    checkout = endpoint.check_out(Kind.READ, within(deadline), 5.0)
    proxy.freeze()
    began = time.monotonic()
    with pytest.raises(redis.exceptions.RedisError) as caught:
        checkout.observe(bound)
    assert 0.2 < time.monotonic() - began < 1.5
    assert classify(caught.value) is Failure.DEADLINE
    lost = checkout.connection
    checkout.release()
    proxy.heal()
    again = endpoint.check_out(Kind.READ, within(5.0), 5.0)
    assert again.connection is not lost
    again.release()


def test_after_a_question_with_a_bound_the_blocks_deadline_holds(
    proxied: tuple[RedisEndpoint, FaultProxy],
) -> None:
    """Neither the question's bound, nor no bound at all."""
    endpoint, proxy = proxied
    checkout = endpoint.check_out(Kind.READ, within(1.2), 5.0)
    began = time.monotonic()
    assert (checkout.observe(0.4)).incarnation
    sleep(0.5)
    assert (checkout.observe()).incarnation
    proxy.freeze()
    with pytest.raises(redis.exceptions.RedisError):
        checkout.observe()
    assert 1.0 < time.monotonic() - began < 2.5
    checkout.release()
    proxy.heal()


def test_what_was_shown_is_what_was_reached(redis_store_rig: RedisRig, own_redis: Any) -> None:
    """A server counts in the same step as it shows; before a replica was ever attached nobody can tell."""
    for index in (0, 1):
        endpoint = RedisEndpoint(context_of(redis_store_rig.urls[index]))
        observation = endpoint.probe(1.0, 5.0)
        assert isinstance(observation.reached, int)
        assert observation.shown == observation.reached
        endpoint.close()
    endpoint = RedisEndpoint(context_of(own_redis(0).primary.url))
    observation = endpoint.probe(1.0, 5.0)
    assert (observation.reached, observation.shown) == (None, None)
    endpoint.close()


class Ticks:
    """A clock on which each look is so many seconds after the last one."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._now = seconds, 0.0

    def monotonic(self) -> float:
        """The time."""
        self._now += self._seconds
        return self._now


def test_one_long_reading_does_not_make_writes_ask_where_they_lie(redis_store_rig: RedisRig) -> None:
    """A busy client takes a near server for a far one: the least of all readings counts. It is far where all of them are long."""
    endpoint = RedisEndpoint(context_of(redis_store_rig.urls[0]))
    one, other = [endpoint.check_out(Kind.WRITE, within(20.0), 5.0) for _ in range(2)]
    for checkout, rtt in ((one, 0.0001), (other, 1.0)):
        checkout.connection._clock = Ticks(rtt)  # type: ignore[assignment]
        assert (checkout.observe()).rtt == pytest.approx(rtt)
    for far in (False, True):
        if far:
            other.connection._distance.rtt = 1.0
        other.connection.send_command("SET", "k", "v")
        other.connection.read_response()
        assert (other.progress.position is not None) is far
    for checkout in (one, other):
        checkout.release()
    endpoint.close()
