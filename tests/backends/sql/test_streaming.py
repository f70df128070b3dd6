# Generated from test_streaming_async.py by scripts/twins.py. Do not edit.
"""Rows as they come, from a cursor that the server keeps: in reads, snapshots and writes, first and later in a block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fix_rigs import Rig
from sqlalchemy import text

from regionkit import EVENTUAL, RegionKit, RegionSession
from regionkit.backends.sql.bridge import drive

HERE = "us-east-1"
ROWS = 200
SERIES = {
    "postgresql": f"SELECT generate_series(1, {ROWS})",
    "mariadb": f"SELECT seq FROM seq_1_to_{ROWS}",
    "mysql": f"WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {ROWS}) SELECT n FROM t",
    "sqlite": f"WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {ROWS}) SELECT n FROM t",
}
BLOCKS = ("read", "snapshot", "write", "core read", "core write")


@pytest.fixture
def kit(rig: Rig) -> Iterator[RegionKit]:
    """A kit whose application is where the owner is."""
    with RegionKit(rig.topology(options={"pool_size": 1, "max_overflow": 0}), local=HERE) as kit:
        yield kit


def block(s: RegionSession, name: str) -> Any:
    """A block of that kind."""
    core = name.startswith("core")
    if name.endswith("write"):
        return s.write("orders", core=core)
    return s.read("orders", consistency=EVENTUAL, snapshot=name == "snapshot", core=core)


def streamed(db: Any, query: Any, most: int = ROWS) -> list[int]:
    """Its first rows, fifty at a time."""
    found = []
    for row in db.execute(query, execution_options={"yield_per": 50}):
        found.append(row[0])
        if len(found) == most:
            break
    return found


def run(db: Any, work: Any, *arguments: Any) -> Any:
    """Work with the Session or Connection that SQLAlchemy's synchronous code sees."""
    plain = getattr(db, "sync_session", None) or getattr(db, "sync_connection", None) or db
    return drive(work, plain, *arguments)


@pytest.mark.parametrize("name", BLOCKS)
def test_all_rows_come(kit: RegionKit, rig: Rig, name: str) -> None:
    """As the first statement, as the second, and twice in a row; the connection serves the next block."""
    query = text(SERIES[rig.server])
    with kit.session() as s:
        for _ in range(2):
            with block(s, name) as db:
                assert run(db, streamed, query) == list(range(1, ROWS + 1))
                db.execute(text("SELECT 1"))
                assert run(db, streamed, query) == list(range(1, ROWS + 1))


@pytest.mark.parametrize("name", BLOCKS)
def test_a_stream_that_was_left_harms_nobody(kit: RegionKit, rig: Rig, name: str) -> None:
    """Two rows of two hundred were taken: the next block has its own answers, and no cursor stays at the server."""
    query = text(SERIES[rig.server])
    with kit.session() as s:
        with block(s, name) as db:
            assert run(db, streamed, query, 2) == [1, 2]
        with block(s, name) as db:
            assert (db.execute(text("SELECT 7"))).scalar() == 7
            if rig.server == "postgresql":
                cursors = text("SELECT count(*) FROM pg_cursors WHERE name <> ''")
                assert (db.execute(cursors)).scalar() == 0


def test_a_text_of_several_statements_may_come_first(kit: RegionKit, rig: Rig) -> None:
    """PostgreSQL takes them without parameters."""
    if rig.server != "postgresql":
        return  # the other drivers take one statement at a time, wherever it stands
    several = text("INSERT INTO orders (id, item) VALUES (1, 'tea'); INSERT INTO orders (id, item) VALUES (2, 'a;b');")
    with kit.session() as s:
        with s.write("orders") as db:
            db.execute(several)
        with s.read("orders") as db:
            assert (db.execute(text("SELECT count(*) FROM orders; SELECT 5"))).scalar() is not None
    assert rig.count() == 2
