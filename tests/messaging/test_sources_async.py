"""What every source and target promises, by the numbers of `source_async`, on real servers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from regionkit.core.concurrency_async import agather, asleep
from regionkit.errors import ConfigurationError

from .source_rigs_async import KINDS, LEASE, AsyncRig, drained, made_rig, soon


@pytest.fixture(params=KINDS)
async def rig(request: pytest.FixtureRequest, data_path: Any) -> AsyncIterator[AsyncRig]:
    """Each kind of source."""
    made = made_rig(request.param, request, data_path)
    yield await made.ready()
    await made.close()


def bodies(deliveries: list[Any]) -> list[bytes]:
    return [delivery.body for delivery in deliveries]


async def test_whatever_is_published_comes_and_is_gone_when_acknowledged(rig: AsyncRig) -> None:
    """Promise 1: any bytes, the large and the empty too, in the order of one publisher to one member."""
    sent = [bytes(range(256)), b"", b"x" * 300_000, "\u00e4\U0001f600".encode(), *(b"%d" % n for n in range(20))]
    await rig.publish(*sent)
    source = await rig.member()
    found = await drained(source, len(sent))
    assert bodies(found) == sent
    assert [delivery.again for delivery in found] == [0] * len(sent)
    assert len({delivery.position for delivery in found}) == len(sent)
    assert await source.ack(found) == len(sent)
    assert await source.ack(found) == 0
    await asleep(LEASE * 1.2)
    assert await source.fetch(10, 0.0) == []


async def test_a_new_group_begins_at_the_earliest(rig: AsyncRig) -> None:
    """Promise 2, rule 11: what was published before anybody listened."""
    await rig.publish(b"a", b"b")
    assert sorted(bodies(await drained(await rig.member("late"), 2))) == [b"a", b"b"]


async def test_each_group_gets_every_message(rig: AsyncRig) -> None:
    """Where there are groups."""
    if not rig.has_groups:
        pytest.skip("this queue is one group")
    billing, audit = await rig.member("billing"), await rig.member("audit")
    await rig.publish(b"a", b"b")
    found = await drained(billing, 2)
    assert await billing.ack(found) == 2
    assert bodies(await drained(audit, 2)) == [b"a", b"b"]


async def test_members_share_messages(rig: AsyncRig) -> None:
    """None goes to two members while it is somebody's."""
    one, other = await rig.member(), await rig.member()
    await rig.publish(*(b"%d" % n for n in range(40)))
    found = [*await one.fetch(15, 5.0), *await other.fetch(15, 5.0)]
    found += [*await one.fetch(15, 0.0), *await other.fetch(15, 0.0)]
    assert len(found) == len({delivery.body for delivery in found}) == 40


async def test_what_is_not_acknowledged_in_time_goes_to_another(rig: AsyncRig) -> None:
    """Promises 1 and 3: the first one's acknowledgement changes nothing then, nor what else it does."""
    one, other = await rig.member(), await rig.member()
    await rig.publish(b"a")
    [mine] = await drained(one, 1)
    assert await other.fetch(10, 0.0) == []
    [theirs] = await drained(other, 1)
    assert (theirs.body, theirs.again) == (b"a", 1)
    assert await one.ack([mine]) == 0
    await one.extend([mine])
    await one.give_back([mine], 0.0)
    assert await one.fetch(10, 0.0) == []
    await other.extend([theirs])
    assert await other.ack([theirs]) == 1
    await asleep(LEASE * 1.2)
    assert await one.fetch(10, 0.0) == []


async def test_the_same_member_gets_it_anew_as_another_delivery(rig: AsyncRig) -> None:
    """Promise 3: the receipt of the delivery that was lost is worth nothing, in the same hands too."""
    one = await rig.member()
    await rig.publish(b"a")
    [first] = await drained(one, 1)
    [second] = await drained(one, 1)
    assert second.again == 1
    assert await one.ack([first]) == 0
    assert await one.ack([second]) == 1


async def test_a_delivery_that_is_extended_stays(rig: AsyncRig) -> None:
    """Promise 5; and `extend` counts as no delivery."""
    one, other = await rig.member(), await rig.member()
    await rig.publish(b"a", b"b")
    found = await drained(one, 2)
    for _ in range(5):
        await asleep(LEASE * 0.4)
        await one.extend(found[:1])
    [theirs] = await drained(other, 1)
    assert theirs.body == b"b"
    assert await one.ack(found) == 1
    assert await other.ack([theirs]) == 1


async def test_what_is_given_back_comes_again_after_its_delay(rig: AsyncRig) -> None:
    """To whomever; its lease does not matter any more, be the delay shorter or longer."""
    delays = {b"at once": 0.0, b"soon": 0.4 * LEASE, b"late": 2.0 * LEASE}
    one, other = await rig.member(), await rig.member()
    await rig.publish(*delays)
    found = await drained(one, 3)
    began = time.monotonic()
    for delivery in found:
        await one.give_back([delivery], delays[delivery.body])
    assert await one.ack(found) == 0
    came: dict[bytes, float] = {}
    while len(came) < 3 and time.monotonic() < began + 20:
        for source in (one, other):
            again = await source.fetch(3, 0.05)
            came |= {delivery.body: time.monotonic() - began for delivery in again if delivery.body not in came}
            assert all(delivery.again >= 1 for delivery in again)
            assert await source.ack(again) == len(again)
    assert came.keys() == delays.keys()
    for body, delay in delays.items():
        assert came[body] >= delay - 0.02, came


async def test_a_fetch_ends_in_time_and_is_woken(rig: AsyncRig) -> None:
    """Empty-handed after its wait; at once when something is published meanwhile, here or in another process."""
    source = await rig.member()
    began = time.monotonic()
    assert await source.fetch(10, 0.3) == []
    assert 0.25 <= time.monotonic() - began < 5.0

    async def fetch() -> Any:
        return await source.fetch(10, 20.0)

    async def publish() -> Any:
        await asleep(0.3)
        await rig.publish(b"a")

    began = time.monotonic()
    found, told = await agather([fetch, publish])
    assert not isinstance(found, BaseException) and told is None
    assert bodies(found) == [b"a"]
    assert time.monotonic() - began < 10.0


async def test_extend_goes_beside_a_fetch(rig: AsyncRig) -> None:
    """A heart beats while the source is waited for."""
    source, other = await rig.member(), await rig.member()
    await rig.publish(b"a")
    found = await drained(source, 1)

    async def fetch() -> Any:
        return await source.fetch(10, LEASE * 2.5)

    async def extend() -> Any:
        for _ in range(7):
            await asleep(LEASE * 0.3)
            await source.extend(found)

    fetched, told = await agather([fetch, extend])
    assert (fetched, told) == ([], None)
    assert await other.fetch(1, 0.0) == []
    assert await source.ack(found) == 1


async def test_a_source_that_is_closed_gives_back_what_it_has(rig: AsyncRig) -> None:
    """Another one has it before the lease is over; what was acknowledged does not come again."""
    one, other = await rig.member(lease=60.0), await rig.member(lease=60.0)
    await rig.publish(b"a", b"b", b"c")
    found = await drained(one, 3)
    assert await one.ack(found[:1]) == 1
    await one.close()
    assert sorted(bodies(await drained(other, 2))) == [b"b", b"c"]


async def test_some_of_a_batch_are_acknowledged(rig: AsyncRig) -> None:
    """Those, and no others."""
    one = await rig.member()
    await rig.publish(*(b"%d" % n for n in range(10)))
    found = await drained(one, 10)
    assert await one.ack(found[1::2]) == 5
    assert await one.ack([]) == 0
    assert await one.fetch(0, 5.0) == []
    await one.give_back([], 0.0)
    await one.extend([])
    assert sorted(bodies(await drained(one, 5))) == sorted(bodies(found[0::2]))


async def test_a_delivery_that_is_named_twice_is_one(rig: AsyncRig) -> None:
    """In one call."""
    one = await rig.member()
    await rig.publish(b"a", b"b")
    first, second = await drained(one, 2)
    await one.extend([first, first])
    assert await one.ack([first, first]) == 1
    await one.give_back([second, second], 0.0)
    assert len(await drained(one, 1)) == 1


async def test_a_source_says_what_it_is(rig: AsyncRig) -> None:
    """Values for `explain()`."""
    source = await rig.member(lease=5.0)
    facts = source.facts
    assert facts.kind and facts.horizon == float("inf") and facts.lease == 5.0
    assert facts.counts and not facts.in_order
    assert source.name == "orders" and source.group == "billing"


async def test_a_lease_that_cannot_be_is_refused(rig: AsyncRig) -> None:
    """When the source is made."""
    for lease in (0.0, -1.0, 1e9, float("nan")):
        with pytest.raises(ConfigurationError, match="lease"):
            rig._make("billing", lease)


async def test_a_target_confirms_each(rig: AsyncRig) -> None:
    """In order; an empty batch is one."""
    target = rig.target()
    assert await target.publish([], soon()) == []
    sent = await target.publish([("k", b"a"), (None, b"b")], soon())
    assert [one.confirmed for one in sent] == [True, True]
