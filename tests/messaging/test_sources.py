# Generated from test_sources_async.py by scripts/twins.py. Do not edit.
"""What every source and target promises, by the numbers of `source_async`, on real servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from regionkit.core.concurrency import gather, sleep
from regionkit.errors import ConfigurationError

from .source_rigs import KINDS, LEASE, Rig, drained, made_rig, soon


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, data_path: Any) -> Iterator[Rig]:
    """Each kind of source."""
    made = made_rig(request.param, request, data_path)
    yield made.ready()
    made.close()


def bodies(deliveries: list[Any]) -> list[bytes]:
    return [delivery.body for delivery in deliveries]


def test_whatever_is_published_comes_and_is_gone_when_acknowledged(rig: Rig) -> None:
    """Promise 1: any bytes, the large and the empty too, in the order of one publisher to one member."""
    sent = [bytes(range(256)), b"", b"x" * 300_000, "\u00e4\U0001f600".encode(), *(b"%d" % n for n in range(20))]
    rig.publish(*sent)
    source = rig.member()
    found = drained(source, len(sent))
    assert bodies(found) == sent
    assert [delivery.again for delivery in found] == [0] * len(sent)
    assert len({delivery.position for delivery in found}) == len(sent)
    assert source.ack(found) == len(sent)
    assert source.ack(found) == 0
    sleep(LEASE * 1.2)
    assert source.fetch(10, 0.0) == []


def test_a_new_group_begins_at_the_earliest(rig: Rig) -> None:
    """Promise 2, rule 11: what was published before anybody listened."""
    rig.publish(b"a", b"b")
    assert sorted(bodies(drained(rig.member("late"), 2))) == [b"a", b"b"]


def test_each_group_gets_every_message(rig: Rig) -> None:
    """Where there are groups."""
    if not rig.has_groups:
        pytest.skip("this queue is one group")
    billing, audit = rig.member("billing"), rig.member("audit")
    rig.publish(b"a", b"b")
    found = drained(billing, 2)
    assert billing.ack(found) == 2
    assert bodies(drained(audit, 2)) == [b"a", b"b"]


def test_members_share_messages(rig: Rig) -> None:
    """None goes to two members while it is somebody's."""
    one, other = rig.member(), rig.member()
    rig.publish(*(b"%d" % n for n in range(40)))
    found = [*one.fetch(15, 5.0), *other.fetch(15, 5.0)]
    found += [*one.fetch(15, 0.0), *other.fetch(15, 0.0)]
    assert len(found) == len({delivery.body for delivery in found}) == 40


def test_what_is_not_acknowledged_in_time_goes_to_another(rig: Rig) -> None:
    """Promises 1 and 3: the first one's acknowledgement changes nothing then, nor what else it does."""
    one, other = rig.member(), rig.member()
    rig.publish(b"a")
    [mine] = drained(one, 1)
    assert other.fetch(10, 0.0) == []
    [theirs] = drained(other, 1)
    assert (theirs.body, theirs.again) == (b"a", 1)
    assert one.ack([mine]) == 0
    one.extend([mine])
    one.give_back([mine], 0.0)
    assert one.fetch(10, 0.0) == []
    other.extend([theirs])
    assert other.ack([theirs]) == 1
    sleep(LEASE * 1.2)
    assert one.fetch(10, 0.0) == []


def test_the_same_member_gets_it_anew_as_another_delivery(rig: Rig) -> None:
    """Promise 3: the receipt of the delivery that was lost is worth nothing, in the same hands too."""
    one = rig.member()
    rig.publish(b"a")
    [first] = drained(one, 1)
    [second] = drained(one, 1)
    assert second.again == 1
    assert one.ack([first]) == 0
    assert one.ack([second]) == 1


def test_a_delivery_that_is_extended_stays(rig: Rig) -> None:
    """Promise 5; and `extend` counts as no delivery."""
    one, other = rig.member(), rig.member()
    rig.publish(b"a", b"b")
    found = drained(one, 2)
    for _ in range(5):
        sleep(LEASE * 0.4)
        one.extend(found[:1])
    [theirs] = drained(other, 1)
    assert theirs.body == b"b"
    assert one.ack(found) == 1
    assert other.ack([theirs]) == 1


def test_what_is_given_back_comes_again_after_its_delay(rig: Rig) -> None:
    """To whomever; its lease does not matter any more, be the delay shorter or longer."""
    delays = {b"at once": 0.0, b"soon": 0.4 * LEASE, b"late": 2.0 * LEASE}
    one, other = rig.member(), rig.member()
    rig.publish(*delays)
    found = drained(one, 3)
    began = time.monotonic()
    for delivery in found:
        one.give_back([delivery], delays[delivery.body])
    assert one.ack(found) == 0
    came: dict[bytes, float] = {}
    while len(came) < 3 and time.monotonic() < began + 20:
        for source in (one, other):
            again = source.fetch(3, 0.05)
            came |= {delivery.body: time.monotonic() - began for delivery in again if delivery.body not in came}
            assert all(delivery.again >= 1 for delivery in again)
            assert source.ack(again) == len(again)
    assert came.keys() == delays.keys()
    for body, delay in delays.items():
        assert came[body] >= delay - 0.02, came


def test_a_fetch_ends_in_time_and_is_woken(rig: Rig) -> None:
    """Empty-handed after its wait; at once when something is published meanwhile, here or in another process."""
    source = rig.member()
    began = time.monotonic()
    assert source.fetch(10, 0.3) == []
    assert 0.25 <= time.monotonic() - began < 5.0

    def fetch() -> Any:
        return source.fetch(10, 20.0)

    def publish() -> Any:
        sleep(0.3)
        rig.publish(b"a")

    began = time.monotonic()
    found, told = gather([fetch, publish])
    assert not isinstance(found, BaseException) and told is None
    assert bodies(found) == [b"a"]
    assert time.monotonic() - began < 10.0


def test_extend_goes_beside_a_fetch(rig: Rig) -> None:
    """A heart beats while the source is waited for."""
    source, other = rig.member(), rig.member()
    rig.publish(b"a")
    found = drained(source, 1)

    def fetch() -> Any:
        return source.fetch(10, LEASE * 2.5)

    def extend() -> Any:
        for _ in range(7):
            sleep(LEASE * 0.3)
            source.extend(found)

    fetched, told = gather([fetch, extend])
    assert (fetched, told) == ([], None)
    assert other.fetch(1, 0.0) == []
    assert source.ack(found) == 1


def test_a_source_that_is_closed_gives_back_what_it_has(rig: Rig) -> None:
    """Another one has it before the lease is over; what was acknowledged does not come again."""
    one, other = rig.member(lease=60.0), rig.member(lease=60.0)
    rig.publish(b"a", b"b", b"c")
    found = drained(one, 3)
    assert one.ack(found[:1]) == 1
    one.close()
    assert sorted(bodies(drained(other, 2))) == [b"b", b"c"]


def test_some_of_a_batch_are_acknowledged(rig: Rig) -> None:
    """Those, and no others."""
    one = rig.member()
    rig.publish(*(b"%d" % n for n in range(10)))
    found = drained(one, 10)
    assert one.ack(found[1::2]) == 5
    assert one.ack([]) == 0
    assert one.fetch(0, 5.0) == []
    one.give_back([], 0.0)
    one.extend([])
    assert sorted(bodies(drained(one, 5))) == sorted(bodies(found[0::2]))


def test_a_delivery_that_is_named_twice_is_one(rig: Rig) -> None:
    """In one call."""
    one = rig.member()
    rig.publish(b"a", b"b")
    first, second = drained(one, 2)
    one.extend([first, first])
    assert one.ack([first, first]) == 1
    one.give_back([second, second], 0.0)
    assert len(drained(one, 1)) == 1


def test_a_source_says_what_it_is(rig: Rig) -> None:
    """Values for `explain()`."""
    source = rig.member(lease=5.0)
    facts = source.facts
    assert facts.kind and facts.horizon == float("inf") and facts.lease == 5.0
    assert facts.counts and not facts.in_order
    assert source.name == "orders" and source.group == "billing"


def test_a_lease_that_cannot_be_is_refused(rig: Rig) -> None:
    """When the source is made."""
    for lease in (0.0, -1.0, 1e9, float("nan")):
        with pytest.raises(ConfigurationError, match="lease"):
            rig._make("billing", lease)


def test_a_target_confirms_each(rig: Rig) -> None:
    """In order; an empty batch is one."""
    target = rig.target()
    assert target.publish([], soon()) == []
    sent = target.publish([("k", b"a"), (None, b"b")], soon())
    assert [one.confirmed for one in sent] == [True, True]
