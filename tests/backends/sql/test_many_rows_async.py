"""One statement with many rows of parameters is a statement like any other: committed, placed, counted."""

from __future__ import annotations

import pytest
import sqlalchemy
from fix_rigs import Order, Rig
from sqlalchemy import text

from regionkit import AsyncRegionKit

ROWS = [{"id": number, "item": "tea"} for number in range(1, 6)]


@pytest.mark.parametrize("core", [False, True])
async def test_a_block_of_many_rows_only_is_committed(rig: Rig, core: bool) -> None:
    """No other statement in the block: the rows are there, and the bookmark knows of them."""
    async with AsyncRegionKit(rig.topology(), local="us-east-1") as kit, kit.session() as s:
        await kit.create_tables()
        async with s.write("orders", core=core) as db:
            await db.execute(sqlalchemy.insert(Order), ROWS)
        assert rig.count() == 5
        assert await s.bookmark()
        async with s.write("orders", core=core) as db:
            await db.execute(text("DELETE FROM orders WHERE id = :id"), [{"id": 1}, {"id": 2}])
        assert rig.count() == 3


async def test_several_objects_are_committed(rig: Rig) -> None:
    """The unit of work sends objects of one kind together."""
    async with AsyncRegionKit(rig.topology(), local="us-east-1") as kit, kit.session() as s:
        await kit.create_tables()
        async with s.write("orders") as db:
            db.add_all([Order(**row) for row in ROWS])
        assert rig.count() == 5


async def test_many_rows_that_raise_are_rolled_back(rig: Rig) -> None:
    """All or nothing."""
    async with AsyncRegionKit(rig.topology(), local="us-east-1") as kit, kit.session() as s:
        await kit.create_tables()
        with pytest.raises(LookupError):
            async with s.write("orders") as db:
                await db.execute(sqlalchemy.insert(Order), ROWS)
                raise LookupError
        async with s.write("orders") as db:
            assert (await db.execute(text("SELECT count(*) FROM orders"))).scalar() == 0
        assert rig.count() == 0
