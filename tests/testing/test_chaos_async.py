"""A spoiled source spoils as it was told to, says so, and loses nothing."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.messaging.envelope import Envelope, Malformed, decode, encode
from regionkit.messaging.sources import AsyncMemoryQueue
from regionkit.testing.chaos_async import AsyncChaosSource

COUNT = 2_000
SHARES: dict[str, Any] = {"duplicate": 0.1, "reorder": 0.1, "delay": 0.1, "corrupt": 0.05}


async def run(seed: int, **shares: float) -> tuple[AsyncChaosSource, list[bytes], int]:
    """All that comes of `COUNT` messages, and how many were still to be acknowledged."""
    queue = AsyncMemoryQueue("orders", group="g", lease=600.0)
    source = AsyncChaosSource(queue, seed, **shares)
    await source.open(Deadline(SYSTEM_CLOCK, 30.0))
    bodies = [(None, encode(Envelope(f"m{n:05}", "t", b"\x01"))) for n in range(COUNT)]
    await queue.publish(bodies, Deadline(SYSTEM_CLOCK, 30.0))
    came, acked, idle = [], 0, 0
    while idle < 10:
        found = await source.fetch(50, 0.0)
        assert len(found) <= 50
        idle = 0 if found else idle + 1
        came += [delivery.body for delivery in found]
        acked += await source.ack(found)
    assert source.name == "orders" and source.group == "g" and not source.facts.in_order
    await source.close()
    return source, came, acked


async def test_it_does_what_it_was_told_and_loses_nothing() -> None:
    """Each message comes whole or damaged, and each kind of trouble about as often as asked for."""
    source, came, acked = await run(7, **SHARES)
    assert acked == COUNT
    assert len(came) == COUNT + source.did["duplicate"]
    for what, share in SHARES.items():
        assert 0.6 * share * COUNT < source.did[what] < 1.6 * share * COUNT, source.did
    whole, damaged = set(), 0
    for body in came:
        try:
            whole.add(decode(body).id)
        except Malformed:
            damaged += 1
    assert damaged == source.did["corrupt"] == len(source.spoiled)
    assert whole | {decode(body).id for body in source.spoiled} == {f"m{n:05}" for n in range(COUNT)}


async def test_all_follows_from_the_seed() -> None:
    """The same seed, the same trouble; another one, another."""
    first, same, other = [(await run(seed, **SHARES))[1] for seed in (7, 7, 8)]
    assert first == same != other


@pytest.mark.parametrize("what", SHARES)
async def test_each_trouble_comes_alone(what: str) -> None:
    """And without any, nothing is touched."""
    source, came, _ = await run(1, **{what: 0.5})
    assert set(source.did) == {what}
    _, untouched, _ = await run(1)
    assert [decode(body).id for body in untouched] == [f"m{n:05}" for n in range(COUNT)]
    assert came != untouched
