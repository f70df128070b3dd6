"""What only a queue in memory has: a clock that is handed in, a bound, members."""

from __future__ import annotations

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.messaging.sources import AsyncMemoryQueue
from regionkit.testing import VirtualClock

from .source_rigs_async import soon


async def test_leases_and_delays_end_by_the_clock_that_is_handed_in() -> None:
    """No test of a consumer needs to wait for them."""
    clock = VirtualClock()
    one = AsyncMemoryQueue(group="g", lease=3600.0, clock=clock)
    other = one.member("g")
    await one.publish([("k", b"a"), ("k", b"b")], soon())
    [a, b] = await one.fetch(10, 0.0)
    await one.give_back([b], 60.0)
    assert await other.fetch(10, 0.0) == []
    clock.advance(60.0)
    assert [(d.body, d.again) for d in await other.fetch(10, 0.0)] == [(b"b", 1)]
    clock.advance(3540.0)
    await one.extend([a])
    clock.advance(3599.0)
    assert [d.body for d in await other.fetch(10, 0.0)] == [b"b"]
    clock.advance(1.0)
    assert [d.body for d in await other.fetch(10, 0.0)] == [b"a"]
    assert await one.ack([a]) == 0


async def test_a_full_queue_confirms_no_more() -> None:
    """Until a group has acknowledged; those that were confirmed are there."""
    queue = AsyncMemoryQueue(group="g", most=3)
    sent = await queue.publish([(None, b"%d" % n) for n in range(5)], Deadline(SYSTEM_CLOCK, 0.05))
    assert [one.confirmed for one in sent] == [True, True, True, False, False]
    found = await queue.fetch(10, 0.0)
    assert await queue.ack(found[:2]) == 2
    sent = await queue.publish([(None, b"%d" % n) for n in range(3, 6)], Deadline(SYSTEM_CLOCK, 0.05))
    assert [one.confirmed for one in sent] == [True, True, False]


async def test_a_message_is_kept_until_each_group_has_acknowledged_it() -> None:
    """And no longer."""
    one = AsyncMemoryQueue(group="one", most=1)
    other = one.member("other")
    await one.publish([(None, b"a")], soon())
    await one.open(soon())
    await other.open(soon())
    assert await one.ack(await one.fetch(1, 0.0)) == 1
    assert not (await one.publish([(None, b"b")], Deadline(SYSTEM_CLOCK, 0.05)))[0].confirmed
    assert await other.ack(await other.fetch(1, 0.0)) == 1
    assert (await one.publish([(None, b"b")], soon()))[0].confirmed
