"""A task that waits for a transaction over PostgreSQL is cancelled: both or none, nothing left prepared, pools go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from regionkit.core.events import set_crash_hook
from regionkit.transactions.protocol import Outcome

from .test_transactions_sql_async import AsyncBank, both

STRIKES = (
    "tpc.branch.after",
    "tpc.flush.before",
    "tpc.prepare.first.before",
    "tpc.prepare.first.after",
    "tpc.decide.before",
    "tpc.decide.after",
    "tpc.anchor.before",
    "tpc.anchor.after",
    "tpc.decided",
    "tpc.commit.first.before",
)
SLICES = 30
"""Instants, a millisecond apart, at which a block is cancelled whatever it is at."""


@pytest.fixture(params=["postgresql, file", "postgresql, anchor"])
async def bank(request: pytest.FixtureRequest, pg: Any, tmp_path: Path) -> AsyncIterator[AsyncBank]:
    urls = {name: str(pg.primary.url_for(pg.database())) for name in ("accounts", "payments")}
    made = AsyncBank(request.param, urls, tmp_path)
    await made.tm.create_tables()
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def _no_hook() -> Iterator[None]:
    yield
    set_crash_hook(None)


async def over(bank: AsyncBank) -> None:
    """Until no coordinator is at work."""
    async with asyncio.timeout(60):
        while bank.tm._ground.coordinators:
            await asyncio.sleep(0.005)


async def transfer(bank: AsyncBank, number: int) -> None:
    """A row to each, and a wait on a server for the cancellation to fall into."""
    async with bank.tm.begin(timeout=30.0) as tx:
        await both(tx, number)
        await (await tx.session("accounts")).execute(text("SELECT pg_sleep(0.005)"))


async def test_cancelled(bank: AsyncBank) -> None:
    """At named points, and at any instant of the block and of its end."""
    rows: set[int] = set()
    seen: dict[Outcome, int] = {}
    for number, strike in enumerate([*STRIKES, *range(SLICES)]):
        task = asyncio.create_task(transfer(bank, number))
        if isinstance(strike, str):
            set_crash_hook(lambda at, strike=strike, task=task: task.cancel() if at == strike else None)  # type: ignore[misc]
        else:
            await asyncio.sleep(strike / 1000.0)
            task.cancel()
        outcome, tx = Outcome.COMMITTED, None
        try:
            await task
        except asyncio.CancelledError as error:
            outcome, tx = Outcome.ABORTED, getattr(error, "transaction", None)
        set_crash_hook(None)
        await over(bank)
        outcome = outcome if tx is None else tx.outcome
        seen[outcome] = seen.get(outcome, 0) + 1
        assert outcome in (Outcome.COMMITTED, Outcome.ABORTED)
        rows |= {number} if outcome is Outcome.COMMITTED else set()
        assert bank.rows == (sorted(rows), sorted(rows)), strike
    assert bank.prepared == 0
    assert min(seen.values()) >= 2, seen
    await transfer(bank, 1000)
