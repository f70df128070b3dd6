"""What regionkit keeps in a MongoDB database: for each collection its indexes beside `_id`, as (field, options)."""

from __future__ import annotations

from typing import Any

__all__ = ["HISTORY", "MARKER", "RECORD"]

Indexes = tuple[tuple[str, dict[str, Any]], ...]

HISTORY: Indexes = (("parent", {"unique": True}),)
"""_id: the history."""
MARKER: Indexes = (("written_at", {}),)
"""_id: the idempotency key."""
RECORD: Indexes = (("ends_at", {"expireAfterSeconds": 0}),)
"""_id: {kind, key}. The server sweeps what has ended, a minute later or more; until then reads leave it out."""
