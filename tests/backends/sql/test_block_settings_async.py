"""What a block sets ends with the block, however it set it and however it ends; the next block has the session as it began."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fix_rigs import Rig
from sqlalchemy import text

from regionkit import EVENTUAL, AsyncRegionKit, AsyncRegionSession
from regionkit.backends.sql.bridge_async import adrive

HERE = "us-east-1"
ENDS = ("commit", "error", "rollback", "message")
POSTGRESQL = {
    "SET search_path TO pg_catalog": "SELECT current_setting('search_path')",
    "SELECT set_config('work_mem', '1MB', false)": "SELECT current_setting('work_mem')",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE": (
        "SELECT current_setting('default_transaction_isolation')"
    ),
    "SELECT pg_advisory_lock(7)": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
    "CREATE TEMPORARY TABLE basket (a int)": "SELECT to_regclass('pg_temp.basket')::text",
    "LISTEN orders": "SELECT count(*) FROM pg_listening_channels()",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1": "SELECT count(*) FROM pg_cursors WHERE name = 'c'",
}
MARIADB = {
    "SET @basket = 7": "SELECT @basket",
    "SET SESSION sql_mode = 'ANSI'": "SELECT @@sql_mode",
    "DO GET_LOCK('regionkit-test', 0)": "SELECT IS_USED_LOCK('regionkit-test')",
    "CREATE TEMPORARY TABLE basket (a INT)": (
        "SELECT count(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'basket' AND TABLE_TYPE LIKE '%TEMP%'"
    ),
    "USE information_schema": "SELECT DATABASE()",
    "SET SESSION wait_timeout = 77": "SELECT @@wait_timeout",
}
SQLITE = {
    "PRAGMA cache_size = 77": "SELECT cache_size FROM pragma_cache_size",
    "CREATE TEMPORARY TABLE basket (a)": "SELECT count(*) FROM sqlite_temp_master",
}
MYSQL = MARIADB | {
    "CREATE TEMPORARY TABLE basket (a INT)": "SELECT count(*) FROM information_schema.INNODB_TEMP_TABLE_INFO"
}
SET = {"postgresql": POSTGRESQL, "mariadb": MARIADB, "sqlite": SQLITE}
ALL = [(server, statement, how) for server, all_ in SET.items() for statement in all_ for how in ("sqlalchemy", "raw")]
READ = [each for each in ALL if not each[1].startswith(("CREATE", "LISTEN", "DECLARE", "PRAGMA"))]


@pytest.fixture
async def kit(request: pytest.FixtureRequest) -> AsyncIterator[AsyncRegionKit]:
    """One connection for writes and one for reads: whatever a block leaves behind, the next one meets."""
    server = request.node.callspec.params["server"]
    rig: Rig = request.getfixturevalue(f"{server}_rig")
    async with AsyncRegionKit(rig.topology(options={"pool_size": 1, "max_overflow": 0}), local=HERE) as kit:
        await kit.create_tables()
        yield kit


def run_raw(db: Any, statement: str) -> None:
    """On the driver's own cursor."""
    cursor = db.connection().connection.cursor()
    cursor.execute(statement)
    if cursor.description:
        cursor.fetchall()
    cursor.close()


async def change(db: Any, statement: str, how: str) -> None:
    """Set it."""
    if how == "raw":
        await adrive(run_raw, getattr(db, "sync_session", db), statement)
    else:
        await db.execute(text(statement))


async def value(s: AsyncRegionSession, kind: str, question: str) -> Any:
    """What a block of its own finds."""
    block = (
        s.write("orders") if kind == "write" else s.read("orders", consistency=EVENTUAL, snapshot=kind == "snapshot")
    )
    async with block as db:
        return (await db.execute(text(question))).scalar()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("server", "statement", "how"), ALL)
async def test_of_a_write(kit: AsyncRegionKit, server: str, statement: str, how: str, end: str) -> None:
    """Committed, failed, or ended in the middle by the block itself."""
    question = SET[server][statement]
    async with kit.session() as s:
        before = await value(s, "write", question)
        try:
            async with s.write("orders") as db:
                await db.execute(text("SELECT 1"))
                await change(db, statement, how)
                if end == "error":
                    raise ZeroDivisionError
                if end == "rollback":
                    await db.rollback()
                if end == "message":
                    await db.commit()
        except ZeroDivisionError:
            pass
        assert await value(s, "write", question) == before


@pytest.mark.parametrize("kind", ["read", "snapshot"])
@pytest.mark.parametrize(("server", "statement", "how"), READ)
async def test_of_a_read(kit: AsyncRegionKit, server: str, statement: str, how: str, kind: str) -> None:
    """Reads have connections of their own."""
    question = SET[server][statement]
    async with kit.session() as s:
        before = await value(s, kind, question)
        async with s.read("orders", consistency=EVENTUAL, snapshot=kind == "snapshot") as db:
            await change(db, statement, how)
        assert await value(s, kind, question) == before


@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
async def test_a_block_that_sets_nothing_keeps_its_connection(kit: AsyncRegionKit, server: str) -> None:
    """Nothing is paid for it."""
    question = {"postgresql": "SELECT pg_backend_pid()", "mariadb": "SELECT CONNECTION_ID()"}[server]
    async with kit.session() as s:
        for kind in ("write", "read", "snapshot"):
            assert len({await value(s, kind, question) for _ in range(4)}) == 1, kind


@pytest.mark.parametrize("server", ["postgresql"])
async def test_a_limit_that_was_raised_stays_raised(kit: AsyncRegionKit, server: str) -> None:
    """The end of a block puts back what the block set, not what regionkit set."""
    async with kit.session() as s:
        for _ in range(2):
            async with s.write("orders", timeout=60) as db:
                limit = (await db.execute(text("SELECT current_setting('statement_timeout')"))).scalar()
                assert limit == "62s"
