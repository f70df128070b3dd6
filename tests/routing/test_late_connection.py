"""Between the decision of a block and its connection the owner may change: then the block decides anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from regionkit import RegionKit, RegionKitError, Role
from regionkit.embedded import SqliteRegions
from regionkit.facts.history import HistoryRow, Lineage
from regionkit.facts.observation import Observation


def test_a_block_opened_before_a_promotion_does_not_write_the_former_owner(tmp_path: Path) -> None:
    """The same run of the server answers, and it is fenced by now: nothing reaches it."""
    with SqliteRegions(tmp_path, store="orders", primary="us", replicas=["kr"], lag=0.0) as regions:
        with RegionKit(regions.topology, local="us", profile="gentle") as kit:
            kit.create_tables()
            with kit.session() as s, s.write("orders") as db:
                db.execute(text("CREATE TABLE things (name TEXT)"))
            shard = kit._store("orders").shards[0]
            seen = shard.state.snapshot.endpoints[0].observation
            assert seen is not None
            assert seen.lineage is not None
            row = seen.lineage.current
            newer = Lineage((*seen.lineage.rows, HistoryRow("h2", row.history, 1 << 40, row.epoch + 1, "kr promoted")))
            with pytest.raises(RegionKitError):
                with kit.session() as s, s.write("orders") as db:
                    now = shard.clock.monotonic()
                    promoted = Observation(Role.PRIMARY, "another run", newer, "kr promoted", 1 << 40, now, 0.01)
                    shard.state.observe(1, promoted)
                    db.execute(text("INSERT INTO things VALUES ('late')"))
        with RegionKit(regions.topology, local="us") as kit, kit.session() as s, s.read("orders") as db:
            assert db.execute(text("SELECT count(*) FROM things")).scalar() == 0
