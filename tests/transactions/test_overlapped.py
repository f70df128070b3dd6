"""Branches on PostgreSQL are told at once by the thread that commits: one that waits holds up no other, and starts no thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from regionkit.errors import TransactionAborted
from regionkit.transactions.protocol import Outcome

from .test_transactions_sql import Bank, both

pytestmark = pytest.mark.postgresql
PATIENCE = 60.0
HELD = 7
"""The id of a row that somebody else has under way."""


@pytest.fixture
def bank(pg: Any, tmp_path: Path) -> Iterator[Bank]:
    urls = {name: str(pg.primary.url_for(pg.database())) for name in ("accounts", "payments")}
    made = Bank("postgresql, file", urls, tmp_path)
    made.tm.create_tables()
    with made.tm.begin() as tx:  # connections, tables and threads of the log are there
        both(tx, 1)
    yield made
    made.close()


def until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("frees", [True, False])
@pytest.mark.parametrize("waits", ["accounts", "payments"])
def test_one_prepares_while_the_other_waits_for_a_lock(bank: Bank, waits: str, frees: bool) -> None:
    """Whichever was told first. Then the lock is let go of: both commit; or what holds it commits: none does."""
    outcomes: list[object] = []

    def transfer() -> None:
        try:
            with bank.tm.begin(timeout=PATIENCE) as tx:
                for name in ("accounts", "payments"):
                    tx.defer(name, f"INSERT INTO bank (id, total) VALUES ({HELD}, 1)")
            outcomes.append(tx.outcome)
        except TransactionAborted as error:
            outcomes.append(error)

    before = set(threading.enumerate())
    with bank.outside[waits].connect() as other:
        other.execute(text(f"INSERT INTO bank (id, total) VALUES ({HELD}, 1)"))
        worker = threading.Thread(target=transfer)
        worker.start()
        until(lambda: bank.prepared == 1 or outcomes)
        assert not outcomes and {one for one in threading.enumerate() if one not in before} == {worker}
        if frees:
            other.rollback()
        else:
            other.commit()
    worker.join(PATIENCE)
    if frees:
        assert outcomes == [Outcome.COMMITTED]
        assert bank.rows == ([1, HELD], [1, HELD])
    else:
        assert isinstance(outcomes[0], TransactionAborted)
        assert bank.rows == (([1, HELD], [1]) if waits == "accounts" else ([1], [1, HELD]))
    assert bank.prepared == 0
