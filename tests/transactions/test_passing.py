# Generated from test_passing_async.py by scripts/twins.py. Do not edit.
"""Errors of a server's inside the block that may pass: raised as they are, told as such, and run again by `tm.run`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from regionkit.core.concurrency import Flag, gather
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.protocol import Outcome

from .test_transactions_xa import Bank

CHANGE = "UPDATE bank SET total = total + 1 WHERE id = 1"


SERVERS = {"pg": pytest.mark.postgresql, "mariadb_alone": pytest.mark.mariadb, "mysql_alone": pytest.mark.mysql}


@pytest.fixture(params=[pytest.param(name, marks=mark) for name, mark in SERVERS.items()])
def bank(request: pytest.FixtureRequest, pg: Any) -> Iterator[Bank]:
    """`payments`, which is behind a proxy, is on each kind of server."""

    def url(server: str) -> str:
        given: Any = request.getfixturevalue(server)
        return str(given.primary.url_for(given.database()))

    made = Bank(url("pg"), url(request.param), url("pg"))
    made.tm.create_tables()
    for name in ("accounts", "payments"):
        with made.outside[name].begin() as db:
            db.execute(text("INSERT INTO bank VALUES (1, 0)"))
    yield made
    made.close()


def totals(bank: Bank) -> list[int]:
    """Of both, in the eyes of others."""
    found = []
    for name in ("accounts", "payments"):
        with bank.outside[name].begin() as db:
            found.append(db.execute(text("SELECT total FROM bank")).scalar_one())
    return found


def change(tx: Any, name: str) -> None:
    (tx.session(name)).execute(text(CHANGE))


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_a_server_that_is_lost_inside_the_block(bank: Bank, fault: str) -> None:
    """Whoever catches the driver's error sees from it what became of the transaction; nothing is left."""
    with pytest.raises(DBAPIError) as caught:
        with bank.tm.begin(timeout=2.0, settle=1.0) as tx:
            change(tx, "accounts")
            change(tx, "payments")
            getattr(bank.proxy, fault)()
            change(tx, "payments")
    bank.proxy.heal()
    assert caught.value.transaction is tx and tx.passing  # type: ignore[attr-defined]
    assert tx.outcome is Outcome.ABORTED
    assert any(tx.gtrid in note and Outcome.ABORTED.value in note for note in caught.value.__notes__)
    bank.tm.recover()
    assert totals(bank) == [0, 0] and bank.prepared() == 0


def test_it_is_run_again(bank: Bank) -> None:
    """Once more after a connection that was lost; not after a mistake, and not for ever."""
    runs: list[int] = []

    def transfer(tx: Any, lost: int) -> str:
        runs.append(len(runs))
        change(tx, "accounts")
        change(tx, "payments")
        if len(runs) <= lost:
            bank.proxy.cut()
            try:
                change(tx, "payments")
            finally:
                bank.proxy.heal()
        return "done"

    assert bank.tm.run(lambda tx: transfer(tx, 1), timeout=20.0) == "done"
    assert len(runs) == 2 and totals(bank) == [1, 1]
    runs.clear()
    with pytest.raises(DBAPIError):
        bank.tm.run(lambda tx: transfer(tx, 99), timeout=20.0)
    assert len(runs) == 3 and totals(bank) == [1, 1]
    runs.clear()

    def mistaken(tx: Any) -> None:
        runs.append(0)
        (tx.session("payments")).execute(text("INSERT INTO bank VALUES (1, 1)"))

    with pytest.raises(IntegrityError) as caught:
        bank.tm.run(mistaken, timeout=20.0)
    assert len(runs) == 1 and not getattr(caught.value, "__notes__", [])


def test_two_that_wait_for_each_other_in_two_databases(bank: Bank) -> None:
    """No server sees that deadlock: the limit of a wait for a lock ends it, and both commit in the end."""
    impatient = TransactionManager(namespace="shop", log=bank.log, participants=bank.participants, lock_timeout=1.0)
    here, there = Flag(), Flag()
    runs: list[str] = []

    def crossing(first: str, second: str, mine: Any, other: Any) -> None:
        def work(tx: Any) -> None:
            runs.append(first)
            change(tx, first)
            mine.set()
            other.wait(10.0)
            change(tx, second)

        impatient.run(work, timeout=30.0)

    began = time.monotonic()
    ended = gather(
        [
            lambda: crossing("accounts", "payments", here, there),
            lambda: crossing("payments", "accounts", there, here),
        ]
    )
    assert not [error for error in ended if error is not None], ended
    assert len(runs) > 2 and totals(bank) == [2, 2]
    assert time.monotonic() - began < 25.0
    impatient.close()
