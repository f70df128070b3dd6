"""A statement that MariaDB does not take, on an engine of the application's: its own error, and no server is blamed."""

from __future__ import annotations

from typing import Any

import pymysql
import pytest
import sqlalchemy
from fix_rigs import Rig
from sqlalchemy import text

from regionkit import EVENTUAL, AsyncRegionKit
from regionkit.facts.request import Kind

from .test_own_engine_async import engine_of, topology_of

HOME = "us-east-1"
TIMES = 4
"""More than the failures in a row that would bar an endpoint."""
INSERT = text("INSERT INTO orders (id, item) VALUES (1, :item)")
LIMIT = 1 << 24


async def test_what_is_too_large_is_told_and_blames_nobody(mariadb_rig: Rig) -> None:
    """What surely is, is not sent. What is only as the driver escapes it makes the server hang up: that is told, too."""
    engines = [engine_of(url) for url in mariadb_rig.urls]
    async with AsyncRegionKit(topology_of(engines), local=HOME) as kit, kit.session() as s:
        await kit.create_tables()
        for item, said in (("x" * LIMIT, "not sent"), ("x" * 2 * LIMIT, "not sent"), ("'" * (9 << 20), "")):
            for _ in range(TIMES):
                with pytest.raises(sqlalchemy.exc.OperationalError, match=f"max_allowed_packet.*{said}") as caught:
                    async with s.write("orders", core=True) as db:
                        await db.execute(text("DELETE FROM orders"))
                        await db.execute(INSERT, {"item": item})
                assert isinstance(caught.value.orig, pymysql.err.OperationalError)
                assert caught.value.orig.args[0] == 1153
            with pytest.raises(sqlalchemy.exc.OperationalError, match=f"max_allowed_packet.*{said}"):
                async with s.read("orders", core=True, consistency=EVENTUAL) as db:
                    await db.execute(text("SELECT length(:item)"), {"item": item})
        store: Any = kit._store("orders").shards[0]
        assert {store.state.breaker(i, use).errors for i in range(len(engines)) for use in Kind} == {0}
        async with s.write("orders", core=True) as db:
            with pytest.raises(sqlalchemy.exc.OperationalError, match="not sent"):
                await db.execute(INSERT, {"item": "x" * LIMIT})
            await db.execute(INSERT, {"item": "tea"})
    for engine in engines:
        await engine.dispose()
    assert mariadb_rig.count() == 1
