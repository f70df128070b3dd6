"""A result that a block read only half: its rest is not the next block's to read."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from fix_rigs import NAMESPACE
from sqlalchemy import text

from regionkit import AsyncRegionKit, Endpoint, Region, RegionKit, Role, SqlStore, Topology

ROWS = text("SELECT seq, repeat('x', 1000) FROM seq_1_to_10000")
OURS = text("SELECT CONNECTION_ID()")
ONE = {"pool_size": 1, "max_overflow": 0}


def one_region(servers: Any) -> Topology:
    """A store with one endpoint and one connection for each use."""
    url = servers.primary.url_for(servers.database())
    store = SqlStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, url)], options=ONE)
    return Topology(namespace=NAMESPACE, regions=[Region("us-east-1")], stores=[store])


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_half_read_result_is_not_left_to_the_next_block(mariadb: Any, kind: str) -> None:
    """The connection goes with it: reading the rest would take the next block's time."""
    with RegionKit(one_region(mariadb), local="us-east-1") as kit, kit.session() as s:
        with contextlib.suppress(LookupError), getattr(s, kind)("orders") as db:
            before = db.execute(OURS).scalar()
            half = db.execute(ROWS, execution_options={"stream_results": True, "max_row_buffer": 1})
            assert half.fetchone()[0] == 1
            raise LookupError  # no COMMIT, which would read the rest in this block's own time
        with getattr(s, kind)("orders") as db:
            assert db.execute(OURS).scalar() != before
        with contextlib.suppress(Exception):
            half.close()


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_the_same_in_the_async_form(mariadb: Any, kind: str) -> None:
    """As above."""
    async with AsyncRegionKit(one_region(mariadb), local="us-east-1") as kit, kit.session() as s:
        with contextlib.suppress(LookupError):
            async with getattr(s, kind)("orders") as db:
                before = (await db.execute(OURS)).scalar()
                half = await db.stream(ROWS, execution_options={"max_row_buffer": 1})
                assert (await half.fetchone())[0] == 1
                raise LookupError
        async with getattr(s, kind)("orders") as db:
            assert (await db.execute(OURS)).scalar() != before
        with contextlib.suppress(Exception):
            await half.close()


def test_a_result_read_to_its_end_keeps_the_connection(mariadb: Any) -> None:
    """Streaming itself costs no connection."""
    with RegionKit(one_region(mariadb), local="us-east-1") as kit, kit.session() as s:
        with s.read("orders") as db:
            before = db.execute(OURS).scalar()
            rows = db.execute(ROWS, execution_options={"stream_results": True})
            assert sum(1 for _ in rows) == 10000
        with s.read("orders") as db:
            assert db.execute(OURS).scalar() == before
