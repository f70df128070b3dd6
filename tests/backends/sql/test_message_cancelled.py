"""A message that is cancelled at the await: its connection is closed, never half read, and the next one is right."""

from __future__ import annotations

import asyncio

import pytest
from fix_messages_async import AsyncOpened, insert, sent
from fix_rigs import Rig

from regionkit.contract.message import Statement

SLOW = {
    "postgresql": "SELECT pg_sleep(20)",
    **dict.fromkeys(("mariadb", "mysql"), "SELECT SLEEP(20)"),
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000000) SELECT count(*) FROM n",
}


@pytest.mark.slow
async def test_a_cancelled_message_leaves_no_half_read_connection(rig: Rig) -> None:
    """At once, though the server still works on it; nothing of it is committed."""
    async with AsyncOpened(rig.urls[0], 3.0) as checkout:
        task = asyncio.create_task(sent(checkout, insert(1), Statement(SLOW[rig.server]), Statement("SELECT 2")))
        await asyncio.sleep(0.3)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert checkout.connection.invalidated
        assert not checkout.driver.unknown
    async with AsyncOpened(rig.urls[0]) as checkout:
        assert (await sent(checkout, Statement("SELECT 3")))[0].rows == ((3,),)
        assert rig.count() == 0


@pytest.mark.slow
async def test_a_cancelled_commit_is_unknown(rig: Rig) -> None:
    """It may have been done, or not."""
    async with AsyncOpened(rig.urls[0], 3.0) as checkout:
        commit = Statement("COMMIT", "COMMIT")
        task = asyncio.create_task(sent(checkout, insert(1), Statement(SLOW[rig.server]), commit))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert checkout.driver.unknown
