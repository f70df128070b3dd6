"""What a consumer says of itself, and when it refuses to run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from regionkit.messaging.guarantee import Guarantee, Order
from regionkit.messaging.retention import RetentionTooShort

from .inbox_rigs_async import AsyncInboxRig, event, numbered


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[AsyncInboxRig]:
    made = AsyncInboxRig("sqlite", f"sqlite:///{tmp_path / 'inbox.db'}")
    yield made
    await made.close()


async def count(message: Any, db: Any) -> None:
    """An effect."""
    await db.execute(text("UPDATE account SET balance = balance + 1 WHERE id = 1"))


async def test_the_example_of_the_readme_starts_as_it_is(rig: AsyncInboxRig) -> None:
    """No time is given, and the source's copies may come for ever: the retention fits by itself."""
    inbox = await rig.inbox()
    consumer = rig.consumer(inbox, order="key", concurrency=8)
    consumer.handler("order.placed", attempts=5)(count)
    await rig.publish(event("order.placed", key="customer-7"))
    assert (await consumer.run(until_idle=0.1)).applied == 1
    told = consumer.explain()
    assert told.source_horizon == float("inf") and told.retention > told.horizon
    assert told.guarantee is Guarantee.EFFECTIVELY_ONCE


async def test_a_retention_that_is_too_short_is_told_before_a_message_is_taken(rig: AsyncInboxRig) -> None:
    """And a shorter acceptance makes it fit."""
    inbox = await rig.inbox(retention=86_400.0)
    consumer = rig.consumer(inbox)
    consumer.handler("moved")(count)
    await rig.publish(event())
    with pytest.raises(RetentionTooShort):
        await consumer.run(until_idle=0.1)
    assert rig.total() == 0
    shorter = rig.consumer(inbox, accept_for=3600.0)
    shorter.handler("moved")(count)
    assert (await shorter.run(until_idle=0.1)).applied == 1


async def test_order_is_told_for_what_is_numbered_and_for_what_is_not(rig: AsyncInboxRig) -> None:
    """A queue with several members gives no order by itself."""
    inbox = await rig.inbox()
    keyed = (rig.consumer(inbox, order="key")).explain()
    assert (keyed.order, keyed.order_unnumbered) == (Order.ORDERED, Order.UNORDERED)
    unkeyed = (rig.consumer(inbox)).explain()
    assert (unkeyed.order, unkeyed.order_unnumbered) == (Order.UNORDERED, Order.UNORDERED)


async def test_what_is_not_covered_is_printed(rig: AsyncInboxRig) -> None:
    """Phantom events, the owner by descent, foreign ids that are forgotten; crash points; and all of it as plain data."""
    inbox = await rig.inbox(forget_foreign_after=86_400.0 * 30)
    consumer = rig.consumer(inbox, order="key", on_poison="skip")
    consumer.handler("moved")(count)
    told = consumer.explain()
    printed = str(told)
    for part in (
        "phantom",
        "by descent",
        "foreign ids that come after 30 d",
        "skip",
        "after COMMIT",
        "EFFECTIVELY_ONCE",
    ):
        assert part in printed, part
    data = told.to_dict()
    assert data["source_horizon"] is None and data["order"] == "ORDERED"
    assert data["handlers"] == {"moved": "EFFECTIVELY_ONCE"}
    assert msgspec.json.decode(msgspec.json.encode(data)) == data


async def test_a_numbered_key_takes_effect_in_order(rig: AsyncInboxRig) -> None:
    """What ORDERED says, seen: delivered backwards, applied forwards."""
    inbox = await rig.inbox()
    consumer = rig.consumer(inbox, order="key")
    seen: list[int] = []

    @consumer.handler("moved")
    async def note(message: Any, db: Any) -> None:
        seen.append(message.payload)

    await rig.publish(*(numbered("a", n, payload=n) for n in (3, 2, 1)))
    assert (await consumer.run(until_idle=0.1)).applied == 3
    assert seen == [1, 2, 3]
