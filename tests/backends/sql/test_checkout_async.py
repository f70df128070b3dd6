"""What a block's transaction saw ends with the block: the next one on the same connection sees what is there then."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy
from fix_rigs import Rig
from sqlalchemy import text

from regionkit import AsyncRegionKit
from regionkit.facts.request import Kind

COUNT = "SELECT count(*) FROM orders"


def insert(rig: Rig) -> None:
    """One more order, past the library."""
    engine = sqlalchemy.create_engine(rig.plain)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
    engine.dispose()


@pytest.mark.parametrize("core", [False, True])
async def test_a_write_block_that_read_and_raised_leaves_no_snapshot(rig: Rig, core: bool) -> None:
    """It read, and raised: the next write block on its connection would decide on an old value, and write it back."""
    options = {"pool_size": 1, "max_overflow": 0}
    async with AsyncRegionKit(rig.topology(options=options), local="us-east-1") as kit, kit.session() as s:
        await kit.create_tables()
        with contextlib.suppress(LookupError):
            async with s.write("orders", core=core) as db:
                assert (await db.execute(text(COUNT))).scalar() == 0
                raise LookupError
        insert(rig)
        async with s.write("orders", core=core) as db:
            assert (await db.execute(text(COUNT))).scalar() == 1


async def test_a_question_on_a_write_connection_leaves_no_snapshot(rig: Rig) -> None:
    """Asked where the server stands and given back: the next block sees what was written since."""
    options = {"pool_size": 1, "max_overflow": 0}
    async with AsyncRegionKit(rig.topology(options=options), local="us-east-1") as kit, kit.session() as s:
        await kit.create_tables()
        await kit.create_tables()  # they are there: it only looks
        insert(rig)
        async with s.write("orders") as db:
            assert (await db.execute(text(COUNT))).scalar() == 1
        assert kit._store("orders").backends[0].slots[Kind.WRITE].try_acquire()  # type: ignore[union-attr]
