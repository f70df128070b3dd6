"""The collections of caches in MongoDB: their indexes beside `_id`, as (fields, options). Pure."""

from __future__ import annotations

from typing import Any

__all__ = ["WB_EPOCH"]

WB_EPOCH: tuple[tuple[str, dict[str, Any]], ...] = ()
"""`_id`: the cache; `epoch`: the last one that was given out."""
