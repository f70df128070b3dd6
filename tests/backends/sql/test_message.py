# Generated from test_message_async.py by scripts/twins.py. Do not edit.
"""Several statements in one message: answers, errors, notices, what becomes of the connection, and how many round trips."""

from __future__ import annotations

import time

import pytest
import sqlalchemy
from fix_messages import Opened, finish, insert, sent
from fix_rigs import Rig
from sqlalchemy import text

from regionkit import (
    OutcomeUnknown,
    TransactionRolledBack,
    UsageError,
)
from regionkit.backends.sql.bridge import drive
from regionkit.backends.sql.classify import classify
from regionkit.contract.message import Statement
from regionkit.contract.outcomes import Failure
from regionkit.testing import FaultProxy

IS_ASYNC = False
MANY = 1000
ONE_WAY = 0.025
"""Delay of each byte through the proxy, seconds: a round trip takes twice that."""


COUNT = Statement("SELECT count(*) FROM orders")


def test_each_statement_has_its_answer(rig: Rig) -> None:
    """Rows as the driver decodes them, rows changed, tags where the server tells them; all of it one transaction."""
    with Opened(rig.urls[0]) as checkout:
        answers = sent(
            checkout,
            insert(1, "INSERT" if rig.server == "postgresql" else ""),
            Statement("INSERT INTO orders (id, item) VALUES (2, 'a;b -- c'), (3, '') ; "),
            Statement("SELECT id, item FROM orders ORDER BY id -- ; to the end"),
            Statement(""),
            Statement("  ;; /* nothing; */ -- at all"),
            Statement("/* first; */ UPDATE orders SET item = 'x' WHERE id > 1 /* ; */"),
            Statement("SELECT NULL"),
        )
        assert [answer.count for answer in answers] == [1, 2, -1, -1, -1, 2, -1]
        assert answers[2].rows == ((1, "tea"), (2, "a;b -- c"), (3, ""))
        assert answers[6].rows == ((None,),)
        if rig.server == "postgresql":
            assert [answer.tag for answer in answers] == ["INSERT", "INSERT", "SELECT", "", "", "UPDATE", "SELECT"]
        assert rig.count() == 0
        finish(checkout)
        assert rig.count() == 3
        assert checkout.driver.commits == 1
        assert checkout.driver.position is not None


def test_it_goes_on_in_the_transaction(rig: Rig) -> None:
    """Statements before, message, statements after: one transaction, rolled back together."""
    with Opened(rig.urls[0]) as checkout:
        drive(checkout.connection.execute, text(insert(1).text))
        assert (sent(checkout, insert(2), COUNT))[1].rows == ((2,),)
        drive(checkout.connection.execute, text(insert(3).text))
        finish(checkout, "rollback")
        assert rig.count() == 0
        assert (sent(checkout, COUNT))[0].rows == ((0,),)


def test_an_error_in_the_middle_ends_the_message(rig: Rig) -> None:
    """Nothing behind it is done and nothing is unread: the next statement gets its own answer."""
    with Opened(rig.urls[0]) as checkout:
        sent(checkout, insert(1))
        finish(checkout)
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            sent(checkout, insert(2), insert(1), insert(3), COUNT)
        assert not checkout.connection.invalidated
        finish(checkout, "rollback")
        assert (sent(checkout, Statement("SELECT 41"), Statement("SELECT 42")))[1].rows == ((42,),)
        assert (drive(checkout.connection.execute, text("SELECT 43"))).scalar() == 43
        finish(checkout, "rollback")
        assert rig.count() == 1


def test_the_one_that_failed_first_counts(rig: Rig) -> None:
    """What went before it in an open transaction is still there on MariaDB and SQLite, and is undone on PostgreSQL."""
    with Opened(rig.urls[0]) as checkout:
        with pytest.raises(sqlalchemy.exc.DBAPIError, match="nothere"):
            sent(checkout, insert(1), Statement("SELECT * FROM nothere"), Statement("SELECT * FROM norhere"))
        if rig.server != "postgresql":
            assert (sent(checkout, COUNT))[0].rows == ((1,),)


def test_a_text_of_several_statements_is_refused(rig: Rig) -> None:
    """Before it is done, or by the answer too many; the connection is as before."""
    with Opened(rig.urls[0]) as checkout:
        with pytest.raises((UsageError, sqlalchemy.exc.DBAPIError)):
            sent(checkout, Statement("SELECT 1; SELECT 2"), Statement("SELECT 3"))
        finish(checkout, "rollback")
        assert (sent(checkout, Statement("SELECT 4")))[0].rows == ((4,),)


def test_a_text_with_a_nul_is_refused(rig: Rig) -> None:
    """PostgreSQL would take it for the end, and do what stands before it."""
    with Opened(rig.urls[0]) as checkout:
        with pytest.raises(UsageError, match="NUL"):
            sent(checkout, Statement("SELECT 1 \0 + 1"))


def test_nobody_elses_text_is_several_statements(mariadb_rig: Rig) -> None:
    """The switch was for the message: a statement with another one behind it is an error before it and after."""
    if IS_ASYNC:
        pytest.skip("aiomysql lets statements be several on every connection that it makes")
    with Opened(mariadb_rig.urls[0]) as checkout:
        for _ in range(2):
            with pytest.raises(sqlalchemy.exc.ProgrammingError):
                drive(checkout.connection.execute, text("SELECT 1; SELECT 2"))
            sent(checkout, insert(1), COUNT, Statement("DELETE FROM orders"))
            with pytest.raises(sqlalchemy.exc.ProgrammingError):
                sent(checkout, insert(2), Statement("SELECT nothing FROM"))


def test_compound_statements_are_one(rig: Rig) -> None:
    """A trigger's body has semicolons of its own."""
    body = {
        "postgresql": "DO $$ BEGIN PERFORM 1; PERFORM 2; END $$",
        "mariadb": "CREATE OR REPLACE PROCEDURE twice() BEGIN SET @a = 1; SET @b = 2; END",
        "mysql": "CREATE PROCEDURE twice() BEGIN SET @a = 1; SET @b = 2; END",
        "sqlite": "CREATE TRIGGER t AFTER DELETE ON orders BEGIN SELECT 1; SELECT 2; END",
    }[rig.server]
    with Opened(rig.urls[0]) as checkout:
        answers = sent(checkout, Statement(body + ";"), Statement("SELECT 5"))
        assert answers[1].rows == ((5,),)


def test_copy_has_no_place_in_a_message(postgresql_rig: Rig) -> None:
    """It is refused, and the connection is closed."""
    with Opened(postgresql_rig.urls[0]) as checkout:
        with pytest.raises(sqlalchemy.exc.NotSupportedError, match="closed"):
            sent(checkout, Statement("SELECT 1"), Statement("COPY orders FROM STDIN"), COUNT)
        assert checkout.connection.invalidated


def test_commit_of_an_aborted_transaction_is_told(postgresql_rig: Rig) -> None:
    """PostgreSQL answers it with ROLLBACK, and no error."""
    with Opened(postgresql_rig.urls[0]) as checkout:
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            sent(checkout, insert(1), Statement("SELECT 1/0"))
        with pytest.raises(TransactionRolledBack):
            sent(checkout, Statement("COMMIT", "COMMIT"))
        assert (checkout.driver.unknown, checkout.driver.commits) == (False, 0)
        finish(checkout, "rollback")
        with pytest.raises(UsageError, match="SELECT"):
            sent(checkout, Statement("SELECT 1", "UPDATE"))


def test_a_commit_in_a_message_counts(rig: Rig) -> None:
    """BEGIN to COMMIT in one message; without COMMIT's answer the outcome is unknown."""
    with Opened(rig.urls[0]) as checkout:
        sent(checkout, insert(1), Statement("COMMIT", "COMMIT"))
        assert (rig.count(), checkout.driver.commits, checkout.driver.unknown) == (1, 1, False)
        finish(checkout)
        sent(checkout, insert(2), COUNT)
        finish(checkout)
        assert (rig.count(), checkout.driver.commits) == (2, 2)


def test_a_statement_that_fails_before_a_commit_was_not_committed(rig: Rig) -> None:
    """The server's answer says so: nothing is unknown, and the connection goes on."""
    with Opened(rig.urls[0]) as checkout:
        sent(checkout, insert(1))
        finish(checkout)
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            sent(checkout, insert(2), insert(1), Statement("COMMIT", "COMMIT"))
        assert not checkout.driver.unknown
        finish(checkout, "rollback")
        assert rig.count() == 1
        assert (sent(checkout, COUNT))[0].rows == ((1,),)


def test_what_a_block_set_is_put_back_behind_its_commit(postgresql_rig: Rig) -> None:
    """In the same message, on PostgreSQL: no round trip of its own, and the next block does not notice."""
    shown = Statement("SHOW search_path")
    with Opened(postgresql_rig.urls[0]) as checkout:
        before = (sent(checkout, shown))[0].rows
        sent(checkout, Statement("SET search_path = pg_catalog"), Statement("COMMIT", "COMMIT"))
        assert checkout.driver.restored
        assert (sent(checkout, shown))[0].rows == before
        assert not checkout.driver.restored


def test_commit_is_the_last_of_its_message(rig: Rig) -> None:
    """An error behind it would be taken for its own."""
    with Opened(rig.urls[0]) as checkout:
        with pytest.raises(UsageError, match="after its COMMIT"):
            sent(checkout, insert(1), Statement("COMMIT"), COUNT)
        assert (sent(checkout, COUNT))[0].rows == ((0,),)


def test_a_swallowed_deadlock_in_a_message_is_no_commit(mariadb_rig: Rig) -> None:
    """MariaDB rolls all of the transaction back at one; what comes after it is not committed as if it were the whole."""
    with Opened(mariadb_rig.urls[0]) as checkout:
        deadlock = Statement("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213")
        with pytest.raises(sqlalchemy.exc.OperationalError):
            sent(checkout, insert(1), deadlock, insert(2))
        with pytest.raises(TransactionRolledBack):
            sent(checkout, insert(3), Statement("COMMIT"))
        with pytest.raises(TransactionRolledBack):
            finish(checkout)
        finish(checkout, "rollback")


def test_a_held_transaction_is_not_ended(rig: Rig) -> None:
    """Neither by a message nor by whoever types; the block's own end does."""
    with Opened(rig.urls[0]) as checkout:
        sent(checkout, insert(1))
        checkout.driver.hold("the position of an inbox stands in it.")
        for ending in ("COMMIT", "ROLLBACK", "/* now */ commit"):
            with pytest.raises(UsageError, match="ended its own") as caught:
                sent(checkout, Statement(ending))
            assert caught.value.why == "the position of an inbox stands in it."
        finish(checkout, "rollback")
        assert rig.count() == 0
    for how in ("commit", "rollback"):
        with Opened(rig.urls[0]) as checkout:
            sent(checkout, insert(1))
            checkout.driver.hold("the position of an inbox stands in it.")
            with pytest.raises(UsageError, match="ended its own"):
                drive(getattr(checkout.connection, how))
            if how == "rollback":  # swallowed: then its end fails too
                sent(checkout, insert(2))
                with pytest.raises(UsageError, match="ended its own"):
                    finish(checkout)
            finish(checkout, "rollback")
        assert rig.count() == 0


def test_notices_arrive(rig: Rig) -> None:
    """A notice is told with its statement, or with the one before it."""
    warns = {
        "postgresql": Statement("DO $$ BEGIN RAISE WARNING 'careful'; END $$"),
        **dict.fromkeys(("mariadb", "mysql"), Statement("DROP TABLE IF EXISTS nothere")),
    }
    if rig.server == "sqlite":
        pytest.skip("SQLite warns of nothing")
    with Opened(rig.urls[0]) as checkout:
        answers = sent(checkout, Statement("SELECT 1"), warns[rig.server], Statement("SELECT 2"))
        notices = [notice for answer in answers for notice in answer.notices]
        assert notices == ["WARNING: careful" if rig.server == "postgresql" else "1 warning"]
        assert (sent(checkout, Statement("SELECT 1")))[0].notices == ()


def test_a_thousand_statements_in_a_message(rig: Rig) -> None:
    """All answered, in their order."""
    with Opened(rig.urls[0]) as checkout:
        inserts = [insert(number + 1) for number in range(MANY)]
        answers = sent(checkout, *inserts)
        assert [answer.count for answer in answers] == [1] * MANY
        answers = sent(checkout, *[Statement(f"SELECT {number}, '{'x' * 1000}'") for number in range(MANY)])
        assert [answer.rows[0][0] for answer in answers] == list(range(MANY))
        finish(checkout)
    assert rig.count() == MANY


def test_a_message_larger_than_a_packet(mariadb_rig: Rig) -> None:
    """MariaDB's packets end at 16 MiB: what is larger goes in several, or is refused with its own words."""
    with Opened(mariadb_rig.urls[0]) as checkout:
        most = int((sent(checkout, Statement("SELECT @@max_allowed_packet")))[0].rows[0][0])
        size = (1 << 24) + 1000
        statements = [Statement(f"SELECT LENGTH('{'x' * size}')"), Statement("SELECT 2")]
        if most > size + 1000:
            answers = sent(checkout, *statements)
            assert [answer.rows for answer in answers] == [((size,),), ((2,),)]
        else:
            with pytest.raises(sqlalchemy.exc.DBAPIError):
                sent(checkout, *statements)
            assert checkout.connection.invalidated


def test_a_message_takes_one_round_trip(proxy: FaultProxy) -> None:
    """With its BEGIN, and on MariaDB with the switch that lets statements be several."""
    with Opened(proxy.url) as checkout:
        proxy.latency(ONE_WAY)
        for number in (1, 2):
            started = time.monotonic()
            answers = sent(checkout, insert(number), COUNT, COUNT, COUNT)
            took = time.monotonic() - started
            assert answers[3].rows == ((number,),)
            assert 2 * ONE_WAY <= took < 3.5 * ONE_WAY, f"{took / (2 * ONE_WAY):.1f} round trips"
        started = time.monotonic()
        finish(checkout)
        assert time.monotonic() - started < 3.5 * ONE_WAY
        proxy.latency(0.0)


def test_a_frozen_server_is_left_at_the_deadline(proxy: FaultProxy) -> None:
    """The connection is closed, and the error says that it was the deadline."""
    with Opened(proxy.url, 1.0) as checkout:
        sent(checkout, insert(1))
        proxy.freeze()
        started = time.monotonic()
        with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
            sent(checkout, insert(2), COUNT)
        assert time.monotonic() - started < 2.0
        assert classify(caught.value) is Failure.DEADLINE
        assert checkout.connection.invalidated
        proxy.heal()


def test_a_commit_without_an_answer_is_unknown(proxy: FaultProxy) -> None:
    """It may have been done."""
    with Opened(proxy.url) as checkout:
        sent(checkout, insert(1))
        proxy.drop_replies()
        with pytest.raises(OutcomeUnknown):
            sent(checkout, insert(2), Statement("COMMIT", "COMMIT"))
        assert checkout.driver.unknown
        assert checkout.connection.invalidated
        proxy.heal()


def test_on_an_engine_of_the_applications(rig: Rig) -> None:
    """Answers, an error in the middle, a held transaction, the block's own end, and a COMMIT in a message."""
    with Opened(rig.urls[0], own=True) as checkout:
        answers = sent(checkout, insert(1), Statement("-- nothing"), COUNT)
        assert [answer.rows for answer in answers] == [(), (), ((1,),)]
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            sent(checkout, insert(2), insert(1), insert(3))
        finish(checkout, "rollback")
        assert rig.count() == 0
        checkout.driver.ended = False
        sent(checkout, insert(4))
        checkout.driver.finishing = False
        checkout.driver.hold("the position of an inbox stands in it.")
        for how in ("commit", "rollback"):
            with pytest.raises(UsageError, match="ended its own"):
                sent(checkout, Statement(how.upper()))
        checkout.driver.held = ""
        sent(checkout, insert(5), Statement("COMMIT", "COMMIT"))
        assert (rig.count(), checkout.driver.commits, checkout.driver.unknown) == (2, 1, False)
        sent(checkout, insert(6))
        finish(checkout)
        assert (rig.count(), checkout.driver.commits) == (3, 2)


def test_a_lost_commit_on_an_engine_of_the_applications_is_unknown(proxy: FaultProxy) -> None:
    """As on regionkit's own connections."""
    with Opened(proxy.url, own=True) as checkout:
        sent(checkout, insert(1))
        proxy.drop_replies()
        with pytest.raises(OutcomeUnknown):
            sent(checkout, insert(2), Statement("COMMIT", "COMMIT"))
        assert checkout.driver.unknown
        assert checkout.connection.invalidated
        proxy.heal()
