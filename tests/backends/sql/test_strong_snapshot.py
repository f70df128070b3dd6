"""STRONG with snapshot=True: the question after the read is not answered from the snapshot itself."""

from __future__ import annotations

import pytest
import sqlalchemy
from fix_rigs import NAMESPACE, Rig
from sqlalchemy import text

from regionkit import STRONG, Fenced, RegionKit

HANDED_OVER = (
    f"INSERT INTO {NAMESPACE}_rk_history SELECT 'another', history, '0', epoch + 1, 'ap-northeast-2', 0 "
    f"FROM {NAMESPACE}_rk_history ORDER BY epoch DESC LIMIT 1"
)


def hand_over(rig: Rig) -> None:
    """Another endpoint owns the data from now on: the newest history row says so."""
    engine = sqlalchemy.create_engine(rig.urls[0])
    with engine.begin() as connection:
        connection.execute(text(HANDED_OVER))
    engine.dispose()


@pytest.mark.parametrize("core", [False, True])
def test_an_owner_replaced_during_a_strong_snapshot_is_fenced(rig: Rig, core: bool) -> None:
    """Inside the snapshot the history would look as it did at its start."""
    with RegionKit(rig.topology(), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        with s.read("orders", consistency=STRONG, snapshot=True, core=core) as db:
            db.execute(text("SELECT count(*) FROM orders"))
        kit._monitor.stop()  # nobody else is to find it out
        with pytest.raises(Fenced, match="during a STRONG read"):
            with s.read("orders", consistency=STRONG, snapshot=True, core=core) as db:
                db.execute(text("SELECT count(*) FROM orders"))
                hand_over(rig)


def test_a_strong_snapshot_keeps_its_connection(mariadb_rig: Rig) -> None:
    """Asking once more after it costs no connection."""
    with RegionKit(mariadb_rig.topology(), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        found = set()
        for _ in range(3):
            with s.read("orders", consistency=STRONG, snapshot=True) as db:
                found.add(db.execute(text("SELECT CONNECTION_ID() FROM (SELECT count(*) FROM orders) AS o")).scalar())
        assert len(found) == 1
