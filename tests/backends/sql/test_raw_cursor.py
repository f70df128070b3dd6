# Generated from test_raw_cursor_async.py by scripts/twins.py. Do not edit.
"""Work on the driver's own cursor counts as the block's: SQLAlchemy documents that way for procedures and bulk loads.

Whether there is something to commit is the driver's word or the server's, never our books.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
import pymysql
import pymysql.cursors
import pytest
from fix_asyncpg import ASYNCPG_ERROR
from fix_rigs import Rig
from psycopg.rows import dict_row
from sqlalchemy import text
from waiting import seen

from regionkit import EVENTUAL, STRONG, RegionKit, TransactionRolledBack
from regionkit.backends.sql.bridge import drive
from regionkit.backends.sql.driver import as_driver

from .test_own_engine import HERE, KEY, engine_of, topology_of

DBAPI_ERRORS = (psycopg.Error, pymysql.Error, sqlite3.Error, ASYNCPG_ERROR)
COUNT = text("SELECT count(*) FROM orders")


@pytest.fixture(params=["url", "own engine"])
def kit(request: pytest.FixtureRequest, rig: Rig) -> Iterator[RegionKit]:
    """A kit on the rig's URLs, and one on engines of the application's."""
    engines = [engine_of(url) for url in rig.urls] if request.param == "own engine" else []
    topology = topology_of(engines) if engines else rig.topology()
    with RegionKit(topology, local=HERE, bookmark_keys=[KEY]) as made:
        seen(made)
        yield made
    for engine in engines:
        engine.dispose()


def mark_of(db: Any) -> str:
    """How its driver writes a parameter."""
    return {"qmark": "?", "numeric_dollar": "$1"}.get(db.connection().dialect.paramstyle, "%s")


def raw_cursor(db: Any) -> Any:
    """The driver's cursor, as SQLAlchemy documents it."""
    return db.connection().connection.cursor()


def add(db: Any, *rows: int) -> None:
    """Rows, on the driver's cursor."""
    mark = mark_of(db)
    raw_cursor(db).executemany(f"INSERT INTO orders (id, item) VALUES ({mark}, 'tea')", [(row,) for row in rows])


def run(db: Any, work: Any, *arguments: Any) -> Any:
    """Work with the Session that SQLAlchemy's synchronous code sees."""
    return drive(work, getattr(db, "sync_session", db), *arguments)


def test_rows_of_the_drivers_cursor_are_committed(kit: RegionKit, rig: Rig) -> None:
    """Alone in their block, behind a read, and in a function."""
    before = rig.count()
    with kit.session() as s:
        with s.write("orders") as db:
            run(db, add, 901, 902)
        with s.write("orders") as db:
            db.execute(COUNT)
            run(db, add, 903)

        def work(db: Any) -> None:
            run(db, add, 904)

        s.execute_write("orders", work)
        with s.read("orders", consistency=STRONG) as db:
            assert (db.execute(COUNT)).scalar() == before + 4
    assert rig.count() == before + 4


def test_rows_of_the_drivers_cursor_go_with_an_error(kit: RegionKit, rig: Rig) -> None:
    """The block raised: nothing is there."""
    before = rig.count()
    with pytest.raises(RuntimeError, match="no tea"):
        with kit.session() as s, s.write("orders") as db:
            run(db, add, 911)
            raise RuntimeError("no tea")
    assert rig.count() == before


def test_a_session_reads_what_the_drivers_cursor_wrote(kit: RegionKit, rig: Rig) -> None:
    """The bookmark has the write's position, also over another session."""
    with kit.session() as s:
        with s.write("orders") as db:
            run(db, add, 921)
        bookmark = s.bookmark()
    with kit.session(bookmark=bookmark) as s, s.read("orders") as db:
        assert (db.execute(text("SELECT count(*) FROM orders WHERE id = 921"))).scalar() == 1


def test_what_the_drivers_cursor_read_is_in_the_bookmark(kit: RegionKit) -> None:
    """A read that SQLAlchemy never saw is a read."""
    with kit.session() as s:
        with s.read("orders", consistency=EVENTUAL) as db:
            assert run(db, lambda db: raw_cursor(db).execute("SELECT count(*) FROM orders")) != "nothing"
        after_read = s.bookmark()
    with kit.session() as s:
        assert after_read != s.bookmark()


def test_an_error_of_the_drivers_cursor_that_was_swallowed_is_told(kit: RegionKit, rig: Rig) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK then, without an error; the other servers commit what did not fail."""

    def fail(db: Any) -> None:
        add(db, 931)
        with pytest.raises(DBAPI_ERRORS):
            raw_cursor(db).execute("SELECT item FROM nowhere")

    loses = rig.server == "postgresql"
    with pytest.raises(TransactionRolledBack) if loses else contextlib.nullcontext():
        with kit.session() as s, s.write("orders") as db:
            run(db, fail)
    assert rig.count("id = 931") == (0 if loses else 1)


FACTORIES = {
    "postgresql": ("row_factory", dict_row),
    **dict.fromkeys(("mariadb", "mysql"), ("cursorclass", None)),
    "sqlite": ("row_factory", sqlite3.Row),
}


@pytest.mark.parametrize("kind", ["read", "write"])
def test_how_rows_look_is_not_the_next_blocks(rig: Rig, kind: str) -> None:
    """An attribute of the driver's connection object ends with the block, too."""
    name, value = FACTORIES[rig.server]

    def change(db: Any) -> None:
        under = as_driver(db.connection().connection)
        setattr(under, name, value or pymysql.cursors.DictCursor)

    with RegionKit(rig.topology(options={"pool_size": 1, "max_overflow": 0}), local="us-east-1") as kit:
        with kit.session() as s:
            for _ in range(2):
                with getattr(s, kind)("orders") as db:
                    assert tuple((db.execute(text("SELECT 1 AS a, 2 AS b"))).one()) == (1, 2)
                    run(db, change)
