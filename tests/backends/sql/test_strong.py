"""STRONG asks again after the read: an owner replaced meanwhile is found out before the block returns."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from fix_rigs import NAMESPACE, Rig
from sqlalchemy import text

from regionkit import STRONG, AsyncRegionKit, Fenced, RegionKit

HANDED_OVER = (
    f"INSERT INTO {NAMESPACE}_rk_history SELECT 'another', history, '0', epoch + 1, 'ap-northeast-2', 0 "
    f"FROM {NAMESPACE}_rk_history ORDER BY epoch DESC LIMIT 1"
)


def hand_over(rig: Rig) -> None:
    """Another endpoint owns the data from now on: the newest history row says so."""
    with contextlib.closing(sqlite3.connect(rig.urls[0].removeprefix("sqlite:///"), timeout=5)) as connection:
        connection.execute(HANDED_OVER)
        connection.commit()


def test_an_owner_replaced_during_a_strong_read_is_fenced(sqlite_rig: Rig) -> None:
    """What was read may be old, so the block says so instead of returning."""
    with RegionKit(sqlite_rig.topology(), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        with s.read("orders", consistency=STRONG) as db:
            db.execute(text("SELECT 1"))
        with pytest.raises(Fenced, match="during a STRONG read"), s.read("orders", consistency=STRONG) as db:
            db.execute(text("SELECT 1"))
            hand_over(sqlite_rig)


async def test_the_same_in_the_async_form(sqlite_rig: Rig) -> None:
    """As above."""
    async with AsyncRegionKit(sqlite_rig.topology(), local="us-east-1") as kit, kit.session() as s:
        await kit.create_tables()
        with pytest.raises(Fenced, match="during a STRONG read"):
            async with s.read("orders", consistency=STRONG) as db:
                await db.execute(text("SELECT 1"))
                hand_over(sqlite_rig)
