# Generated from test_memory_queue_async.py by scripts/twins.py. Do not edit.
"""What only a queue in memory has: a clock that is handed in, a bound, members."""

from __future__ import annotations

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.messaging.sources import MemoryQueue
from regionkit.testing import VirtualClock

from .source_rigs import soon


def test_leases_and_delays_end_by_the_clock_that_is_handed_in() -> None:
    """No test of a consumer needs to wait for them."""
    clock = VirtualClock()
    one = MemoryQueue(group="g", lease=3600.0, clock=clock)
    other = one.member("g")
    one.publish([("k", b"a"), ("k", b"b")], soon())
    [a, b] = one.fetch(10, 0.0)
    one.give_back([b], 60.0)
    assert other.fetch(10, 0.0) == []
    clock.advance(60.0)
    assert [(d.body, d.again) for d in other.fetch(10, 0.0)] == [(b"b", 1)]
    clock.advance(3540.0)
    one.extend([a])
    clock.advance(3599.0)
    assert [d.body for d in other.fetch(10, 0.0)] == [b"b"]
    clock.advance(1.0)
    assert [d.body for d in other.fetch(10, 0.0)] == [b"a"]
    assert one.ack([a]) == 0


def test_a_full_queue_confirms_no_more() -> None:
    """Until a group has acknowledged; those that were confirmed are there."""
    queue = MemoryQueue(group="g", most=3)
    sent = queue.publish([(None, b"%d" % n) for n in range(5)], Deadline(SYSTEM_CLOCK, 0.05))
    assert [one.confirmed for one in sent] == [True, True, True, False, False]
    found = queue.fetch(10, 0.0)
    assert queue.ack(found[:2]) == 2
    sent = queue.publish([(None, b"%d" % n) for n in range(3, 6)], Deadline(SYSTEM_CLOCK, 0.05))
    assert [one.confirmed for one in sent] == [True, True, False]


def test_a_message_is_kept_until_each_group_has_acknowledged_it() -> None:
    """And no longer."""
    one = MemoryQueue(group="one", most=1)
    other = one.member("other")
    one.publish([(None, b"a")], soon())
    one.open(soon())
    other.open(soon())
    assert one.ack(one.fetch(1, 0.0)) == 1
    assert not (one.publish([(None, b"b")], Deadline(SYSTEM_CLOCK, 0.05)))[0].confirmed
    assert other.ack(other.fetch(1, 0.0)) == 1
    assert (one.publish([(None, b"b")], soon()))[0].confirmed
