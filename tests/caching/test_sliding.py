# Generated from test_sliding_async.py by scripts/twins.py. Do not edit.
"""Sliding lives: each get begins the time anew, in the process and at the server."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit.caching import TTL, Cache, Local, Shared
from regionkit.core.concurrency import sleep

LIFE = 1.2


@pytest.mark.parametrize("tiers", ["local", "shared", "both"])
def test_what_is_read_again_and_again_stays(shared_url: Any, tiers: str) -> None:
    """And ends when nobody reads it; one that does not slide ends though it is read."""
    made = {"local": [Local()], "shared": [Shared(shared_url())], "both": [Local(), Shared(shared_url())]}[tiers]
    with (
        Cache("slides", int, tiers=made, strategy=TTL(ttl=LIFE, sliding=True, jitter=0.0)) as slides,
        Cache("stays", int, tiers=made, strategy=TTL(ttl=LIFE, jitter=0.0)) as ends,
    ):
        slides.set("a", 1)
        ends.set("a", 1)
        for _ in range(10):
            sleep(LIFE / 6)
            assert slides.get("a") == 1
            ends.get("a")
        assert ends.get("a") is None
        sleep(LIFE * 1.2)
        assert slides.get("a") is None
        slides.set("b", 2)
        sleep(LIFE / 2)
        assert slides.get_many(["a", "b"]) == {"b": 2}
        sleep(LIFE * 0.7)
        assert slides.get_many(["a", "b"]) == {"b": 2}
