"""An invalidation that cannot be told to other regions is told to this one all the same, whatever the error is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regionkit import AsyncRegionKit, ConfigurationError
from regionkit.caching import Lazy
from regionkit.embedded import AsyncSqliteRegions


@pytest.mark.parametrize("verb", ["invalidate", "invalidate_tag", "clear"])
async def test_this_region_is_told_although_the_row_for_others_cannot_be_written(tmp_path: Path, verb: str) -> None:
    """The tables were not made: the caller is told so, and the value is gone here."""
    loads: list[Any] = []
    async with AsyncSqliteRegions(tmp_path, store="orders", primary="us", replicas=["kr"]) as regions:
        async with AsyncRegionKit(regions.topology, local="us") as kit:
            cache = kit.cache(
                "orders", int, store="orders", strategy=Lazy(load=lambda key, store: loads.append(key) or 1, ttl=60)
            )
            await cache.get(1)
            call = getattr(cache, verb)
            with pytest.raises(ConfigurationError, match=r"create_tables\(\)"):
                await (call() if verb == "clear" else call({"invalidate": 1, "invalidate_tag": "tea"}[verb]))
            await cache.get(1)
    assert len(loads) == (1 if verb == "invalidate_tag" else 2)  # it carries no tag
