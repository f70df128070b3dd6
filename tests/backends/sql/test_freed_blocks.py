"""A block that has ended holds nothing that holds it."""

from __future__ import annotations

import gc

import pytest
from fix_rigs import Rig
from sqlalchemy import text

from regionkit import RegionKit
from regionkit.routing.blocks import Block


@pytest.mark.parametrize("core", [False, True])
def test_a_block_is_freed_at_its_end(rig: Rig, core: bool) -> None:
    """Thousands end in a second: what waits for the collector of garbage makes it run, and all other work wait."""
    with RegionKit(rig.topology(), local="us-east-1") as kit:
        kit.create_tables()
        gc.collect()
        others = {id(one) for one in gc.get_objects() if issubclass(type(one), Block)}
        gc.disable()
        try:
            for _ in range(5):
                with kit.session() as s, s.read("orders", core=core) as db:
                    db.execute(text("SELECT count(*) FROM orders")).scalar()
                with s.write("orders", core=core) as db:
                    db.execute(text("SELECT count(*) FROM orders")).scalar()
            del s, db
            left = [one for one in gc.get_objects() if issubclass(type(one), Block) and id(one) not in others]
        finally:
            gc.enable()
    assert not left
