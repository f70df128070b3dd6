"""Sliding lives: each get begins the time anew, in the process and at the server."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit.caching import TTL, AsyncCache, Local, Shared
from regionkit.core.concurrency_async import asleep

LIFE = 1.2


@pytest.mark.parametrize("tiers", ["local", "shared", "both"])
async def test_what_is_read_again_and_again_stays(shared_url: Any, tiers: str) -> None:
    """And ends when nobody reads it; one that does not slide ends though it is read."""
    made = {"local": [Local()], "shared": [Shared(shared_url())], "both": [Local(), Shared(shared_url())]}[tiers]
    async with (
        AsyncCache("slides", int, tiers=made, strategy=TTL(ttl=LIFE, sliding=True, jitter=0.0)) as slides,
        AsyncCache("stays", int, tiers=made, strategy=TTL(ttl=LIFE, jitter=0.0)) as ends,
    ):
        await slides.set("a", 1)
        await ends.set("a", 1)
        for _ in range(10):
            await asleep(LIFE / 6)
            assert await slides.get("a") == 1
            await ends.get("a")
        assert await ends.get("a") is None
        await asleep(LIFE * 1.2)
        assert await slides.get("a") is None
        await slides.set("b", 2)
        await asleep(LIFE / 2)
        assert await slides.get_many(["a", "b"]) == {"b": 2}
        await asleep(LIFE * 0.7)
        assert await slides.get_many(["a", "b"]) == {"b": 2}
