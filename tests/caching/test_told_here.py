# Generated from test_told_here_async.py by scripts/twins.py. Do not edit.
"""An invalidation that cannot be told to other regions is told to this one all the same, whatever the error is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regionkit import ConfigurationError, RegionKit
from regionkit.caching import Lazy
from regionkit.embedded import SqliteRegions


@pytest.mark.parametrize("verb", ["invalidate", "invalidate_tag", "clear"])
def test_this_region_is_told_although_the_row_for_others_cannot_be_written(tmp_path: Path, verb: str) -> None:
    """The tables were not made: the caller is told so, and the value is gone here."""
    loads: list[Any] = []
    with SqliteRegions(tmp_path, store="orders", primary="us", replicas=["kr"]) as regions:
        with RegionKit(regions.topology, local="us") as kit:
            cache = kit.cache(
                "orders", int, store="orders", strategy=Lazy(load=lambda key, store: loads.append(key) or 1, ttl=60)
            )
            cache.get(1)
            call = getattr(cache, verb)
            with pytest.raises(ConfigurationError, match=r"create_tables\(\)"):
                (call() if verb == "clear" else call({"invalidate": 1, "invalidate_tag": "tea"}[verb]))
            cache.get(1)
    assert len(loads) == (1 if verb == "invalidate_tag" else 2)  # it carries no tag
