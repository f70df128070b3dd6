"""A connection that dies in one of psycopg's pipelines is told once, by the error; psycopg's log says nothing of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from sqlalchemy import text

from regionkit import (
    AsyncRegionKit,
    Endpoint,
    Region,
    RegionKit,
    RegionKitError,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
)

ROWS = [{"n": n} for n in range(100)]


def topology(pg: Any) -> Topology:
    """The primary alone."""
    endpoint = Endpoint("here", Role.PRIMARY, pg.primary.url_for(pg.database()))
    return Topology("quiet", regions=[Region("here")], stores=[SqlStore("orders", endpoints=[endpoint])])


def ended(pg: Any, pid: int) -> None:
    """The server ends a connection, and is done with it."""
    pg.primary.sql(f"SELECT pg_terminate_backend({pid})")
    until = time.monotonic() + 20.0
    while pg.primary.sql(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("rows", [None, ROWS], ids=["first", "many"])
def test_a_lost_connection_is_told_once(pg: Any, caplog: pytest.LogCaptureFixture, rows: Any) -> None:
    """In the pipeline of a transaction's first statement, and in that of executemany."""
    caplog.set_level(logging.WARNING)
    with RegionKit(topology(pg), local="here") as kit, kit.session() as s:
        with pytest.raises(RegionKitError), s.write("orders", core=True, timeout=60.0) as db:
            pid = db.execute(text("SELECT pg_backend_pid()")).scalar()
            db.commit()
            ended(pg, pid)
            db.execute(text("SELECT 1 + 0 * :n") if rows else text("SELECT 1"), rows)
    assert [record.getMessage() for record in caplog.records if record.name == "psycopg"] == []


@pytest.mark.parametrize("rows", [None, ROWS], ids=["first", "many"])
async def test_the_async_form_says_the_same(pg: Any, caplog: pytest.LogCaptureFixture, rows: Any) -> None:
    """Its pipelines are others."""
    caplog.set_level(logging.WARNING)
    async with AsyncRegionKit(topology(pg), local="here") as kit, kit.session() as s:
        with pytest.raises(RegionKitError):
            async with s.write("orders", core=True, timeout=60.0) as db:
                pid = (await db.execute(text("SELECT pg_backend_pid()"))).scalar()
                await db.commit()
                await asyncio.to_thread(ended, pg, pid)
                await db.execute(text("SELECT 1 + 0 * :n") if rows else text("SELECT 1"), rows)
    assert [record.getMessage() for record in caplog.records if record.name == "psycopg"] == []


def test_pipelines_of_the_application_work_as_before(pg: Any) -> None:
    """Nested, with an error of the server's, and again after it."""
    import psycopg

    with RegionKit(topology(pg), local="here") as kit, kit.session() as s, s.write("orders", core=True) as db:
        driver = db.connection.driver_connection
        with driver.pipeline() as outer, driver.pipeline() as inner:
            assert inner is outer
            found = driver.execute("SELECT 7")
        assert found.fetchone() == (7,)
        with pytest.raises(psycopg.errors.DivisionByZero), driver.pipeline():
            driver.execute("SELECT 1/0")
        driver.rollback()
        assert db.execute(text("SELECT 8")).scalar() == 8


def test_an_end_that_was_given_up_asks_for_nothing_more(pg: Any) -> None:
    """Cancelled in its last wait, it is cleared up later, when its connection is closed already."""
    import psycopg

    from regionkit.backends.sql.quiet_pipeline import _Quiet

    connection = psycopg.connect(pg.primary.url_for(pg.database()).replace("+psycopg", ""), autocommit=True)
    pipeline = connection._pipeline = _Quiet(connection)
    pipeline.__enter__()
    connection.execute("SELECT 1")
    end = pipeline._exit_gen()
    next(end)
    connection.close()
    end.close()  # as the interpreter does with what nobody drives any more; it must not raise
    assert connection.closed


def test_a_pipeline_that_libpq_cannot_leave_is_a_lost_connection(pg: Any) -> None:
    """Its server was killed in the midst of it, and libpq does not know yet: the call says RegionUnavailable, as of any other."""
    with RegionKit(topology(pg), local="here") as kit, kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught, s.write("orders", core=True) as db:
            db.execute(text("SELECT 1"))
            stick(db.connection.dbapi_connection)
            db.execute(text("SELECT 2"))
        assert caught.value.committed == "no"
        with s.write("orders", core=True) as db:
            assert db.execute(text("SELECT 3")).scalar() == 3


def stick(connection: Any) -> None:
    """Leave it as a lost pipeline does: in libpq's mode, with an answer still to come, and none of psycopg's own."""
    connection.pgconn.enter_pipeline_mode()
    connection.pgconn.send_query_params(b"SELECT 1", None)
