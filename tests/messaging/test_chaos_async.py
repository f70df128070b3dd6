"""A source that duplicates, reorders, delays and damages: each message takes effect once and in order, or is in the hospital."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest
from sending import Numbering

from regionkit.messaging.envelope import Malformed, decode
from regionkit.messaging.sources.memory_async import AsyncMemoryQueue
from regionkit.testing.chaos_async import AsyncChaosSource

from .ledger_async import LedgerRig

MESSAGES = int(os.environ.get("REGIONKIT_CHAOS_MESSAGES", "10000"))
"""Over SQLite; over a server a tenth, unless a campaign asks for more."""
KEYS = 20
LEASE = 1.5
"""Seconds after which comes again what was acknowledged in vain."""


def volume(accounts: Any) -> int:
    """How many messages a test over it has."""
    small = "REGIONKIT_CHAOS_MESSAGES" not in os.environ and accounts.engine.dialect.name != "sqlite"
    return MESSAGES // 10 if small else MESSAGES


@pytest.mark.timeout(60 + MESSAGES // 50)
async def test_nothing_is_lost_or_doubled(accounts: Any) -> None:
    """Damaged copies are cases; what they were comes again undamaged, as the damage is of the copy alone."""
    numbers = Numbering()
    count = volume(accounts)
    each = count // KEYS
    sent = [numbers.message(f"k{key}", {"k": f"k{key}", "n": n}) for n in range(1, each + 1) for key in range(KEYS)]
    queue = AsyncMemoryQueue("orders", group="billing", lease=LEASE)
    chaos = AsyncChaosSource(queue, 11, duplicate=0.2, reorder=0.2, delay=0.1, corrupt=0.0)
    async with LedgerRig(accounts, source=queue, gap_wait=60.0) as rig:
        await rig.publish(*sent)
        rig.consumer._source = chaos
        summary = await rig.run(idle=LEASE + 0.5)
    assert rig.ledger() == {f"k{key}": list(range(1, each + 1)) for key in range(KEYS)}
    assert min(chaos.did[what] for what in ("duplicate", "reorder", "delay")) > count // 50, chaos.did
    assert summary.duplicates > 0
    print(f"{count} messages, {dict(chaos.did)}, {summary.duplicates} duplicates, {summary.held} held")


@pytest.mark.timeout(60 + MESSAGES // 50)
async def test_what_is_damaged_is_a_case_and_nothing_else(accounts: Any) -> None:
    """Of messages without a key: each is applied, or its bytes are in the hospital, and none is both."""
    numbers = Numbering()
    count = volume(accounts) // 2
    sent = [numbers.message(f"m{n}", {"k": "all", "n": n}) for n in range(count)]
    queue = AsyncMemoryQueue("orders", group="billing", lease=LEASE)
    chaos = AsyncChaosSource(queue, 12, duplicate=0.05, corrupt=0.05)
    async with LedgerRig(accounts, order=None, source=queue) as rig:
        await rig.publish(*sent)
        rig.consumer._source = chaos
        await rig.run(idle=LEASE + 0.5)
        applied = rig.ledger()["all"]
        cases = len(rig.cases())
    unread = sum(1 for body in chaos.spoiled if isinstance(_read(body), Malformed))
    assert (unread, len(set(applied))) == (0, len(applied))
    assert cases > 0
    assert set(applied) <= set(range(count)), "nothing was taken for another message"
    assert set(range(count)) - set(applied) <= {_read(body) for body in chaos.spoiled}
    assert cases >= count - len(applied)


def _read(body: bytes) -> Any:
    """The number of a message, as it was before it was damaged."""
    try:
        return msgspec.msgpack.decode(decode(body).payload)["n"]
    except Malformed as error:
        return error
