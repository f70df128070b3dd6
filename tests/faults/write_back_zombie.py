"""A flusher that freezes when it has claimed, and goes on when it is told: python write_back_zombie.py CELL

CELL is JSON; without its `guard` rows are written whatever stands there.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from sqlalchemy import create_engine, text
from write_back_children import table

from regionkit.caching import Cache, Shared, SqlSink, WriteBack
from regionkit.caching.back import flushing
from regionkit.caching.back.rules import Verdict
from regionkit.testing import crash_points


class Unguarded(SqlSink):
    """What it claimed is what it writes."""

    def flush(self, cache: str, epoch: int, changes: Any) -> list[Verdict]:
        """Whatever stands there."""
        with self.engine.begin() as db:
            for change in changes:
                db.execute(
                    text("INSERT OR REPLACE INTO counts (id, n, rk_ver) VALUES (:id, :n, :v)"),
                    {"id": change.key, "n": change.value["n"], "v": change.version},
                )
        return [Verdict.APPLIED for _ in changes]


def main() -> None:
    """Claim, freeze, flush."""
    cell = json.loads(sys.argv[1])
    flushing.LEASE = 1.0  # others claim it soon
    engine = create_engine(cell["url"])
    sink = (SqlSink if cell["guard"] else Unguarded)(engine, table(), key="id", version="rk_ver")
    sink.engine = engine  # type: ignore[attr-defined]
    strategy = WriteBack(sink=sink, durability="memory", ttl=300.0)
    with Cache("counts", dict, strategy=strategy, tiers=[Shared(cell["redis"], timeout=5.0)]) as cache:
        with crash_points({"write-back.claimed": "freeze"}):
            cache.back._flushing.batch()


if __name__ == "__main__":
    main()
