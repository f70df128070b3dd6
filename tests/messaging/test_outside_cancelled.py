"""A cancellation in a handler with an effect outside, in asyncio: its task's own, or of something that it waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from regionkit.messaging.consumer_async import AsyncConsumer
from regionkit.messaging.inboxes.memory_async import AsyncMemoryInbox

from .outside_rigs_async import IDLE, AsyncOutsideRig, mail


async def cancelled() -> None:
    """Waits for a task that somebody cancels."""
    waited = asyncio.ensure_future(asyncio.sleep(60.0))
    waited.cancel()
    await waited


@pytest.mark.parametrize("where", ["handler", "resolve"])
async def test_a_cancellation_of_something_else_is_a_failure(where: str) -> None:
    """The handler's own, tried again and then a case; of `resolve` it is no answer. The consumer goes on."""
    rig = AsyncOutsideRig(AsyncMemoryInbox())
    a = mail("a")

    async def send(message: Any, context: Any) -> None:
        rig.calls.append(message.payload)
        if where == "handler" and message.payload == "a":
            await cancelled()

    async def resolve(message: Any, context: Any) -> str:
        await cancelled()
        return "yes"

    if where == "resolve":
        await rig.died(a)
    made = AsyncConsumer(rig.queue.member("billing"), inbox=rig.inbox)
    made.handler("mail.send", effect="external", attempts=2, on_in_doubt="hospital", resolve=resolve)(send)
    await rig.publish(a, mail("b"))
    done = await made.run(until_idle=IDLE)
    assert (done.applied, done.parked) == (1, 1)
    (case,) = await rig.cases()
    if where == "handler":
        assert sorted(rig.calls) == ["a", "a", "b"]
        assert (case.reason, case.attempts) == ("failed", 2) and "cancelled" in case.error.text
    else:
        assert rig.calls == ["b"] and case.reason == "in_doubt"
