# Generated from test_transactions_sql_async.py by scripts/twins.py. Do not edit.
"""Transactions over real databases: PostgreSQL twice, the log in a file or in one of them; a file of SQLite as anchor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from regionkit.backends.sql.bridge import drive
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import HeuristicOutcome, RegionUnavailable, TransactionAborted, UsageError
from regionkit.transactions.logs.file import FileDecisionLog
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.participants.factory import participant_of
from regionkit.transactions.protocol import Decision, Outcome

from .bank_rig import BankRig, side_by_side

SHAPES = ("postgresql, file", "postgresql, anchor", "sqlite, anchor")
"""What `payments` is, and where the log is: a file, or in payments' own database. `accounts` is PostgreSQL."""


class Base(DeclarativeBase):
    """Of the tables below."""


class Account(Base):
    """The same table in both databases."""

    __tablename__ = "bank"
    id: Mapped[int] = mapped_column(primary_key=True)
    total: Mapped[int]


class Bank(BankRig):
    """With a manager over them."""

    def __init__(self, shape: str, urls: dict[str, str], folder: Path) -> None:
        super().__init__(urls)
        self.engines = {name: self.engine(url) for name, url in urls.items()}
        if shape.endswith("file"):
            self.log: Any = FileDecisionLog(folder / "decisions", unsafe_place=True)
        else:
            self.log = SqlDecisionLog(self.engines["payments"], unsafe_async_replica=True)
        self.participants = {
            n: participant_of(n, e, namespace="shop", unsafe_no_flush=True) for n, e in self.engines.items()
        }
        self.tm = TransactionManager(namespace="shop", log=self.log, participants=self.participants)

    @property
    def prepared(self) -> int:
        """Branches on the PostgreSQL servers of both."""
        seen = 0
        for engine in self.outside.values():
            if engine.dialect.name == "postgresql":
                with engine.begin() as connection:
                    one = "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()"
                    seen += connection.execute(text(one)).scalar_one()
        return seen


@pytest.fixture(params=SHAPES)
def bank(request: pytest.FixtureRequest, pg: Any, tmp_path: Path) -> Iterator[Bank]:
    urls = {name: str(pg.primary.url_for(pg.database())) for name in ("accounts", "payments")}
    if request.param.startswith("sqlite"):
        urls["payments"] = f"sqlite:///{tmp_path / 'payments.db'}"
    made = Bank(request.param, urls, tmp_path)
    made.tm.create_tables()
    yield made
    made.close()


def both(tx: Any, number: int) -> None:
    """A row to each."""
    for name in ("accounts", "payments"):
        session = tx.session(name)
        session.add(Account(id=number, total=100))


def test_commit_and_rollback(bank: Bank) -> None:
    """Both, or what the block raised and neither; and its acknowledgements reach the log."""
    with bank.tm.begin() as tx:
        both(tx, 1)
    assert (tx.outcome, tx.pending) == (Outcome.COMMITTED, ())
    with pytest.raises(ZeroDivisionError):
        with bank.tm.begin() as tx:
            both(tx, 2)
            (tx.session("payments")).flush()
            _ = 1 / 0
    assert bank.rows == ([1], [1])
    assert bank.prepared == 0


def test_a_refusal_at_the_end_takes_both_back(bank: Bank) -> None:
    """A flush that fails is raised as it is; a branch that was broken inside cannot commit; a duplicate is run again in vain."""
    with bank.tm.begin() as tx:
        both(tx, 1)
    with pytest.raises(IntegrityError):
        with bank.tm.begin() as tx:
            session = tx.session("accounts")
            session.add(Account(id=2, total=1))
            session = tx.session("payments")
            session.add(Account(id=1, total=1))
    with pytest.raises(TransactionAborted) as caught:
        with bank.tm.begin() as tx:
            both(tx, 3)
            connection = tx.connection("accounts")
            with pytest.raises(DBAPIError):
                connection.execute(text("INSERT INTO bank VALUES (1, 1)"))
    assert caught.value.committed == "no"
    assert bank.rows == ([1], [1])
    assert bank.prepared == 0


@pytest.mark.parametrize("decision", [Decision.COMMIT, Decision.ABORT])
def test_an_anchor_that_meets_a_row_reads_it(bank: Bank, decision: Decision) -> None:
    """An operator was first. Its own COMMIT fails on either; the others follow what stands, and it is said what it did not."""
    if isinstance(bank.log, FileDecisionLog):
        return
    row = (
        "INSERT INTO shop_rk_tpc_log (gtrid, state, branches, hazards, decided_by, decided_at, unsettled) "
        "VALUES (:gtrid, :state, '{\"accounts\": null, \"payments\": null}', '{}', 'operator', 0, 1)"
    )
    raised = TransactionAborted if decision is Decision.ABORT else HeuristicOutcome
    with pytest.raises(raised):
        with bank.tm.begin() as tx:
            tx.session("accounts")
            with bank.outside["payments"].begin() as db:
                db.execute(text(row), {"gtrid": tx.gtrid, "state": decision.value})
            both(tx, 1)
    assert bank.rows == (([], []) if decision is Decision.ABORT else ([1], []))
    assert bank.prepared == 0


def test_the_users_commit_ends_nothing(bank: Bank) -> None:
    """It is a flush; what follows fails, and all of it is taken back."""
    with pytest.raises(ValueError, match="after"):
        with bank.tm.begin() as tx:
            both(tx, 1)
            for name in ("accounts", "payments"):
                (tx.session(name)).commit()
            raise ValueError("after")
    assert bank.rows == ([], [])


def test_a_session_that_was_rolled_back_dooms_all(bank: Bank) -> None:
    """Only a savepoint contains an error."""
    with pytest.raises(TransactionAborted):
        with bank.tm.begin() as tx:
            both(tx, 1)
            session = tx.session("accounts")
            session.flush()
            session.rollback()
    assert bank.rows == ([], [])


def test_a_savepoint_over_all_branches(bank: Bank) -> None:
    """What its block raises is undone in each, those that opened inside too; the rest commits."""
    with bank.tm.begin() as tx:
        session = tx.session("accounts")
        session.add(Account(id=1, total=1))
        with pytest.raises(ZeroDivisionError):
            with tx.savepoint():
                both(tx, 2)
                (tx.session("payments")).flush()
                _ = 1 / 0
        with tx.savepoint():
            both(tx, 3)
        with pytest.raises(IntegrityError):
            with tx.savepoint():
                session.add(Account(id=3, total=1))
                session.flush()
    assert bank.rows == ([1, 3], [3])


def test_a_savepoint_contains_a_branch_that_did_not_open(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """What asked for it is undone, so nothing is committed in part; elsewhere it dooms the transaction."""
    away = RegionUnavailable("payments is away")

    def begin(*_: Any) -> Any:
        raise away

    monkeypatch.setattr(bank.participants["payments"], "begin", begin)
    with bank.tm.begin() as tx:
        (tx.session("accounts")).add(Account(id=1, total=1))
        with pytest.raises(RegionUnavailable):
            with tx.savepoint():
                both(tx, 2)
    assert bank.rows == ([1], [])
    with pytest.raises(TransactionAborted, match="payments is away") as caught:
        with bank.tm.begin() as tx:
            (tx.session("accounts")).add(Account(id=3, total=1))
            with tx.savepoint():
                with pytest.raises(RegionUnavailable):
                    tx.session("payments")
    assert caught.value.retryable
    assert bank.rows == ([1], [])


def test_what_was_put_off_in_a_savepoint_goes_with_it(bank: Bank) -> None:
    """Deferred statements and calls for the commit of a block that was undone are forgotten; those around it stay."""
    called: list[int] = []

    def put_off(number: int) -> None:
        for name in ("accounts", "payments"):
            tx.defer(name, f"INSERT INTO bank (id, total) VALUES ({number}, 1)")
        tx.on_committed(lambda: called.append(number))

    with bank.tm.begin() as tx:
        with pytest.raises(ZeroDivisionError):
            with tx.savepoint():
                put_off(1)
                _ = 1 / 0
        put_off(2)
        with tx.savepoint():
            put_off(3)
            with pytest.raises(ZeroDivisionError):
                with tx.savepoint():
                    put_off(4)
                    _ = 1 / 0
    assert bank.rows == ([2, 3], [2, 3])
    assert called == [2, 3]


@pytest.mark.parametrize("refuses", ["accounts", "payments"])
def test_a_savepoint_whose_end_is_refused_is_undone_in_all(refuses: str, bank: Bank) -> None:
    """What the sessions still held is sent before any of them is released; the transaction goes on."""
    with bank.tm.begin() as tx:
        both(tx, 1)
        with pytest.raises(IntegrityError):
            with tx.savepoint():
                for name in ("accounts", "payments"):
                    session = tx.session(name)
                    session.execute(text("INSERT INTO bank (id, total) VALUES (2, 1)"))
                    session.add(Account(id=2 if name == refuses else 3, total=1))
    assert bank.rows == ([1], [1])


def test_deferred_and_read_only(bank: Bank) -> None:
    """The fast lane in both; a reading branch takes no part, and cannot write."""
    with bank.tm.begin() as tx:
        for name in ("accounts", "payments"):
            tx.defer(name, "INSERT INTO bank (id, total) VALUES (1, 1)")
    assert bank.rows == ([1], [1])
    with bank.tm.begin() as tx:
        found = (tx.session("accounts", read_only=True)).execute(text("SELECT count(*) FROM bank"))
        assert found.scalar_one() == 1
        session = tx.session("payments")
        session.add(Account(id=2, total=1))
    assert bank.rows == ([1], [1, 2])
    with pytest.raises((DBAPIError, UsageError)):
        with bank.tm.begin() as tx:
            (tx.session("accounts", read_only=True)).execute(text("DELETE FROM bank"))
    assert bank.rows == ([1], [1, 2])


@pytest.mark.parametrize("given", [None, b"SELECT 1", text("SELECT 1"), "", " ;\n", "SELECT '\0'", "SELECT '\ud800'"])
def test_what_is_no_statement_is_not_deferred(given: Any, bank: Bank) -> None:
    """It is refused at once, where it stands in the application, and the block may go on."""
    with bank.tm.begin() as tx:
        with pytest.raises(UsageError, match="cannot be deferred"):
            tx.defer("accounts", given)
        for name in ("accounts", "payments"):
            tx.defer(name, "INSERT INTO bank (id, total) VALUES (1, 1)")
    assert bank.rows == ([1], [1])


@pytest.mark.parametrize(
    ("name", "how", "raises"),
    [("accounts", "COMMIT", True), ("accounts", "COMMIT, BEGIN", False), ("payments", "COMMIT", False)],
)
def test_a_commit_past_everything_is_a_hazard(name: str, how: str, raises: bool, bank: Bank) -> None:
    """By the driver's own cursor: that side stands, so nobody says that nothing was committed; the branch is named."""

    def commit(connection: Any) -> None:
        for statement in how.split(", "):
            connection.connection.cursor().execute(statement)

    called: list[int] = []
    with pytest.raises(ZeroDivisionError if raises else HeuristicOutcome) as caught:
        with bank.tm.begin() as tx:
            tx.on_committed(lambda: called.append(1))
            both(tx, 1)
            for session in [tx.session(one) for one in ("accounts", "payments")]:
                session.flush()
            connection = tx.connection(name)
            drive(commit, getattr(connection, "sync_connection", connection))
            if raises:
                _ = 1 / 0
    assert bank.rows == (([1], []) if name == "accounts" else ([], [1]))
    assert called == []
    assert tx.outcome is Outcome.HEURISTIC
    if not raises:
        assert isinstance(caught.value, HeuristicOutcome)
        assert (caught.value.committed, caught.value.retryable) == ("unknown", False)
        assert f"{name}: a statement ended its transaction" in caught.value.why
    assert set((bank.log.row(tx.gtrid, Deadline(SYSTEM_CLOCK, 20.0))).hazards) == {name}


def test_side_by_side(bank: Bank) -> None:
    """Each is whole, and nothing is left."""
    side_by_side(bank, both)
    assert bank.prepared == 0
