# Generated from test_transactions_xa_async.py by scripts/twins.py. Do not edit.
"""Transactions over PostgreSQL, MariaDB and MySQL, in pairs and as the anchor: the whole manager, on real servers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from regionkit.errors import RegionKitError, TransactionAborted, UsageError
from regionkit.testing import FaultProxy
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.participants.factory import participant_of
from regionkit.transactions.participants.participant import BranchOptions
from regionkit.transactions.protocol import Finish, Outcome, Vote
from regionkit.transactions.recovery import Recovery
from regionkit.transactions.xid import Xid, gtrid_of

from .bank_rig import BankRig, side_by_side
from .participant_rigs import within

SHAPES = {
    "postgresql and mariadb": ("pg", "mariadb_alone", "pg"),
    "mariadb and mariadb": ("mariadb_alone", "mariadb_alone", "mariadb_alone"),
    "mariadb beside replicas as the anchor": ("pg", "mariadb", "payments"),
    "mariadb twice, one as the anchor": ("mariadb_alone", "mariadb", "payments"),
    "postgresql and mysql": ("pg", "mysql_alone", "pg"),
    "mysql and mariadb": ("mysql_alone", "mariadb_alone", "mysql_alone"),
    "mysql beside replicas as the anchor": ("pg", "mysql", "payments"),
    "mariadb and mysql, which is the anchor": ("mariadb_alone", "mysql_alone", "payments"),
}
"""What `accounts` and `payments` are on, and where the log is: a database of its own, or payments'."""
IS_ASYNC = False
if not IS_ASYNC:  # in threads MySQL is killed with each pair in tests/faults/test_transactions_killed.py
    SHAPES = {name: shape for name, shape in SHAPES.items() if "mysql" not in name or name == "postgresql and mysql"}
NEEDS = {"postgresql": "pg", "mariadb": "mariadb", "mysql": "mysql"}


def shapes(*names: str) -> list[Any]:
    """As parameters, with the marks of their servers."""

    def needs(name: str) -> list[pytest.MarkDecorator]:
        words = {word.partition("_")[0] for word in SHAPES[name]}
        return [getattr(pytest.mark, mark) for mark, word in NEEDS.items() if word in words]

    return [pytest.param(name, marks=needs(name)) for name in names]


class Bank(BankRig):
    """With a manager over them. `payments` is reached through a proxy."""

    def __init__(self, accounts: str, payments: str, log: str) -> None:
        super().__init__({"accounts": accounts, "payments": payments})
        self.proxy = FaultProxy(payments)
        self.engines = {"accounts": self.engine(accounts), "payments": self.engine(self.proxy.url)}
        self.engines["log"] = self.engine(log) if log else self.engines["payments"]
        self.log = SqlDecisionLog(self.engines["log"], unsafe_async_replica=True)
        self.participants = {
            n: participant_of(n, self.engines[n], namespace="shop", unsafe_no_flush=True) for n in self.outside
        }
        self.tm = TransactionManager(namespace="shop", log=self.log, participants=self.participants)

    def prepared(self) -> int:
        """Branches of both."""
        return sum([len(one.listed(within())) for one in self.participants.values()])

    def close(self) -> None:
        """Let go of all of it."""
        super().close()
        self.proxy.close()


@pytest.fixture(params=shapes(*SHAPES))
def bank(request: pytest.FixtureRequest) -> Iterator[Bank]:
    def url(server: str) -> str:
        given: Any = request.getfixturevalue(server)
        return str(given.primary.url_for(given.database()))

    accounts, payments, log = SHAPES[request.param]
    made = Bank(url(accounts), url(payments), "" if log == "payments" else url(log))
    made.tm.create_tables()
    yield made
    made.close()


def both(tx: Any, number: int) -> None:
    """A row to each."""
    for name in ("accounts", "payments"):
        session = tx.session(name)
        session.execute(text("INSERT INTO bank (id, total) VALUES (:id, 100)"), {"id": number})


def test_all_or_none(bank: Bank) -> None:
    """Committed; raised inside; refused at the end; doomed inside: each on both sides or on none."""
    with bank.tm.begin() as tx:
        both(tx, 1)
    assert (tx.outcome, tx.pending) == (Outcome.COMMITTED, ())
    with pytest.raises(ZeroDivisionError):
        with bank.tm.begin() as tx:
            both(tx, 2)
            _ = 1 / 0
    with pytest.raises(IntegrityError):
        with bank.tm.begin() as tx:
            (tx.session("accounts")).execute(text("INSERT INTO bank VALUES (3, 1)"))
            (tx.session("payments")).execute(text("INSERT INTO bank VALUES (1, 1)"))
    with pytest.raises(TransactionAborted) as caught:
        with bank.tm.begin() as tx:
            both(tx, 4)
            with pytest.raises(DBAPIError):
                (tx.connection("payments")).execute(text("INSERT INTO bank VALUES (1, 1)"))
    assert caught.value.committed == "no"
    with bank.tm.begin() as tx:
        for name in ("accounts", "payments"):
            tx.defer(name, "INSERT INTO bank (id, total) VALUES (5, 1)")
    with bank.tm.begin() as tx:
        (tx.session("accounts", read_only=True)).execute(text("SELECT count(*) FROM bank"))
        (tx.session("payments")).execute(text("INSERT INTO bank VALUES (6, 1)"))
    with pytest.raises((DBAPIError, UsageError)):
        with bank.tm.begin() as tx:
            (tx.session("payments", read_only=True)).execute(text("DELETE FROM bank"))
    assert bank.rows == ([1, 5], [1, 5, 6])
    assert bank.prepared() == 0


def test_side_by_side(bank: Bank) -> None:
    """Each is whole, and nothing is left."""
    side_by_side(bank, both)
    assert bank.prepared() == 0


def test_the_last_answer_is_lost(bank: Bank) -> None:
    """Whatever it was that payments did not answer: both have it or none, and recovery leaves nothing."""
    for number in (1, 2):
        try:
            with bank.tm.begin(timeout=5.0 if number == 2 else 30.0, settle=3.0) as tx:
                both(tx, number)
                if number == 2:
                    bank.proxy.drop_replies()
        except RegionKitError:
            pass
    bank.proxy.heal()
    recovery = Recovery("shop", bank.log, bank.participants, patience=0.0)
    for _ in range(3):
        report = recovery.run(within(30.0))
    assert report.clean, str(report)
    accounts, payments = bank.rows
    assert accounts == payments
    assert 1 in accounts
    assert bank.prepared() == 0


@pytest.mark.parametrize(
    "bank", shapes("postgresql and mariadb", "mariadb and mariadb", "postgresql and mysql"), indirect=True
)
def test_a_branch_of_a_participant_that_was_renamed_is_reported(bank: Bank) -> None:
    """Nobody may end it, as its database is not known; it holds locks, and was listed nowhere."""
    facts = bank.log.open("shop", within())
    name, ours = bank.participants["payments"], {"accounts": bank.participants["accounts"]}
    other = Xid("shop", facts.id, gtrid_of(int(time.time() * 1000) - 60_000, os.urandom(10)), "payments", 0)
    branch = name.begin(BranchOptions(other), within())
    (branch.connection()).execute(text("INSERT INTO bank VALUES (9, 1)"))
    assert (branch.prepare(within())).vote is Vote.YES
    recovery = Recovery("shop", bank.log, {**ours, "money": name}, patience=0.0)
    name.name = "money"
    report = recovery.run(within(30.0))
    [found] = report.in_doubt
    assert [(one.name, one.state) for one in found.branches] == [("payments", "prepared")]
    assert not report.clean
    assert bank.rows == ([], [])
    name.name = "payments"
    assert branch.finish(False, within()) is Finish.DONE
    branch.close()
