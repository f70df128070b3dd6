# Generated from test_explanation_async.py by scripts/twins.py. Do not edit.
"""What a consumer says of itself, and when it refuses to run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from regionkit.messaging.guarantee import Guarantee, Order
from regionkit.messaging.retention import RetentionTooShort

from .inbox_rigs import InboxRig, event, numbered


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[InboxRig]:
    made = InboxRig("sqlite", f"sqlite:///{tmp_path / 'inbox.db'}")
    yield made
    made.close()


def count(message: Any, db: Any) -> None:
    """An effect."""
    db.execute(text("UPDATE account SET balance = balance + 1 WHERE id = 1"))


def test_the_example_of_the_readme_starts_as_it_is(rig: InboxRig) -> None:
    """No time is given, and the source's copies may come for ever: the retention fits by itself."""
    inbox = rig.inbox()
    consumer = rig.consumer(inbox, order="key", concurrency=8)
    consumer.handler("order.placed", attempts=5)(count)
    rig.publish(event("order.placed", key="customer-7"))
    assert (consumer.run(until_idle=0.1)).applied == 1
    told = consumer.explain()
    assert told.source_horizon == float("inf") and told.retention > told.horizon
    assert told.guarantee is Guarantee.EFFECTIVELY_ONCE


def test_a_retention_that_is_too_short_is_told_before_a_message_is_taken(rig: InboxRig) -> None:
    """And a shorter acceptance makes it fit."""
    inbox = rig.inbox(retention=86_400.0)
    consumer = rig.consumer(inbox)
    consumer.handler("moved")(count)
    rig.publish(event())
    with pytest.raises(RetentionTooShort):
        consumer.run(until_idle=0.1)
    assert rig.total() == 0
    shorter = rig.consumer(inbox, accept_for=3600.0)
    shorter.handler("moved")(count)
    assert (shorter.run(until_idle=0.1)).applied == 1


def test_order_is_told_for_what_is_numbered_and_for_what_is_not(rig: InboxRig) -> None:
    """A queue with several members gives no order by itself."""
    inbox = rig.inbox()
    keyed = (rig.consumer(inbox, order="key")).explain()
    assert (keyed.order, keyed.order_unnumbered) == (Order.ORDERED, Order.UNORDERED)
    unkeyed = (rig.consumer(inbox)).explain()
    assert (unkeyed.order, unkeyed.order_unnumbered) == (Order.UNORDERED, Order.UNORDERED)


def test_what_is_not_covered_is_printed(rig: InboxRig) -> None:
    """Phantom events, the owner by descent, foreign ids that are forgotten; crash points; and all of it as plain data."""
    inbox = rig.inbox(forget_foreign_after=86_400.0 * 30)
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


def test_a_numbered_key_takes_effect_in_order(rig: InboxRig) -> None:
    """What ORDERED says, seen: delivered backwards, applied forwards."""
    inbox = rig.inbox()
    consumer = rig.consumer(inbox, order="key")
    seen: list[int] = []

    @consumer.handler("moved")
    def note(message: Any, db: Any) -> None:
        seen.append(message.payload)

    rig.publish(*(numbered("a", n, payload=n) for n in (3, 2, 1)))
    assert (consumer.run(until_idle=0.1)).applied == 3
    assert seen == [1, 2, 3]
