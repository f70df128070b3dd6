"""SQLite files that are not there: an owner's is made, a copy's is missed."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from regionkit import EVENTUAL, Endpoint, Region, RegionKit, Role, SqlStore, Topology

US, KR = "us-east-1", "ap-northeast-2"


def test_a_mistyped_copy_is_missed_and_not_made(tmp_path: Path) -> None:
    """SQLite would make an empty file, and a read next to it would find nothing."""
    copy = tmp_path / "mistyped.db"
    orders = SqlStore(
        "orders",
        endpoints=[
            Endpoint(US, Role.PRIMARY, f"sqlite:///{tmp_path / 'orders.db'}"),
            Endpoint(KR, Role.REPLICA, f"sqlite:///{copy}"),
        ],
    )
    topology = Topology(namespace="shop", regions=[Region(US), Region(KR)], stores=[orders])
    with RegionKit(topology, local=KR) as kit, kit.session() as s:
        kit.create_tables()
        with s.write("orders") as db:
            db.execute(text("CREATE TABLE things (name TEXT)"))
        found = s.execute_read(
            "orders", lambda db: db.execute(text("SELECT count(*) FROM things")).scalar(), consistency=EVENTUAL
        )
        assert found == 0
        assert s.last_route is not None
        assert s.last_route.region == US
        assert not copy.exists()
