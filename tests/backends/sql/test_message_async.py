"""Several statements in one message: answers, errors, notices, what becomes of the connection, and how many round trips."""

from __future__ import annotations

import time

import pytest
import sqlalchemy
from fix_messages_async import AsyncOpened, finish, insert, sent
from fix_rigs import Rig
from sqlalchemy import text

from regionkit import (
    OutcomeUnknown,
    TransactionRolledBack,
    UsageError,
)
from regionkit.backends.sql.bridge_async import adrive
from regionkit.backends.sql.classify import classify
from regionkit.contract.message import Statement
from regionkit.contract.outcomes import Failure
from regionkit.testing import FaultProxy

IS_ASYNC = True
MANY = 1000
ONE_WAY = 0.025
"""Delay of each byte through the proxy, seconds: a round trip takes twice that."""


COUNT = Statement("SELECT count(*) FROM orders")


async def test_each_statement_has_its_answer(rig: Rig) -> None:
    """Rows as the driver decodes them, rows changed, tags where the server tells them; all of it one transaction."""
    async with AsyncOpened(rig.urls[0]) as checkout:
        answers = await sent(
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
        await finish(checkout)
        assert rig.count() == 3
        assert checkout.driver.commits == 1
        assert checkout.driver.position is not None


async def test_it_goes_on_in_the_transaction(rig: Rig) -> None:
    """Statements before, message, statements after: one transaction, rolled back together."""
    async with AsyncOpened(rig.urls[0]) as checkout:
        await adrive(checkout.connection.execute, text(insert(1).text))
        assert (await sent(checkout, insert(2), COUNT))[1].rows == ((2,),)
        await adrive(checkout.connection.execute, text(insert(3).text))
        await finish(checkout, "rollback")
        assert rig.count() == 0
        assert (await sent(checkout, COUNT))[0].rows == ((0,),)


async def test_an_error_in_the_middle_ends_the_message(rig: Rig) -> None:
    """Nothing behind it is done and nothing is unread: the next statement gets its own answer."""
    async with AsyncOpened(rig.urls[0]) as checkout:
        await sent(checkout, insert(1))
        await finish(checkout)
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            await sent(checkout, insert(2), insert(1), insert(3), COUNT)
        assert not checkout.connection.invalidated
        await finish(checkout, "rollback")
        assert (await sent(checkout, Statement("SELECT 41"), Statement("SELECT 42")))[1].rows == ((42,),)
        assert (await adrive(checkout.connection.execute, text("SELECT 43"))).scalar() == 43
        await finish(checkout, "rollback")
        assert rig.count() == 1


async def test_the_one_that_failed_first_counts(rig: Rig) -> None:
    """What went before it in an open transaction is still there on MariaDB and SQLite, and is undone on PostgreSQL."""
    async with AsyncOpened(rig.urls[0]) as checkout:
        with pytest.raises(sqlalchemy.exc.DBAPIError, match="nothere"):
            await sent(checkout, insert(1), Statement("SELECT * FROM nothere"), Statement("SELECT * FROM norhere"))
        if rig.server != "postgresql":
            assert (await sent(checkout, COUNT))[0].rows == ((1,),)


async def test_a_text_of_several_statements_is_refused(rig: Rig) -> None:
    """Before it is done, or by the answer too many; the connection is as before."""
    async with AsyncOpened(rig.urls[0]) as checkout:
        with pytest.raises((UsageError, sqlalchemy.exc.DBAPIError)):
            await sent(checkout, Statement("SELECT 1; SELECT 2"), Statement("SELECT 3"))
        await finish(checkout, "rollback")
        assert (await sent(checkout, Statement("SELECT 4")))[0].rows == ((4,),)


async def test_a_text_with_a_nul_is_refused(rig: Rig) -> None:
    """PostgreSQL would take it for the end, and do what stands before it."""
    async with AsyncOpened(rig.urls[0]) as checkout:
        with pytest.raises(UsageError, match="NUL"):
            await sent(checkout, Statement("SELECT 1 \0 + 1"))


async def test_nobody_elses_text_is_several_statements(mariadb_rig: Rig) -> None:
    """The switch was for the message: a statement with another one behind it is an error before it and after."""
    if IS_ASYNC:
        pytest.skip("aiomysql lets statements be several on every connection that it makes")
    async with AsyncOpened(mariadb_rig.urls[0]) as checkout:
        for _ in range(2):
            with pytest.raises(sqlalchemy.exc.ProgrammingError):
                await adrive(checkout.connection.execute, text("SELECT 1; SELECT 2"))
            await sent(checkout, insert(1), COUNT, Statement("DELETE FROM orders"))
            with pytest.raises(sqlalchemy.exc.ProgrammingError):
                await sent(checkout, insert(2), Statement("SELECT nothing FROM"))


async def test_compound_statements_are_one(rig: Rig) -> None:
    """A trigger's body has semicolons of its own."""
    body = {
        "postgresql": "DO $$ BEGIN PERFORM 1; PERFORM 2; END $$",
        "mariadb": "CREATE OR REPLACE PROCEDURE twice() BEGIN SET @a = 1; SET @b = 2; END",
        "mysql": "CREATE PROCEDURE twice() BEGIN SET @a = 1; SET @b = 2; END",
        "sqlite": "CREATE TRIGGER t AFTER DELETE ON orders BEGIN SELECT 1; SELECT 2; END",
    }[rig.server]
    async with AsyncOpened(rig.urls[0]) as checkout:
        answers = await sent(checkout, Statement(body + ";"), Statement("SELECT 5"))
        assert answers[1].rows == ((5,),)


async def test_copy_has_no_place_in_a_message(postgresql_rig: Rig) -> None:
    """It is refused, and the connection is closed."""
    async with AsyncOpened(postgresql_rig.urls[0]) as checkout:
        with pytest.raises(sqlalchemy.exc.NotSupportedError, match="closed"):
            await sent(checkout, Statement("SELECT 1"), Statement("COPY orders FROM STDIN"), COUNT)
        assert checkout.connection.invalidated


async def test_commit_of_an_aborted_transaction_is_told(postgresql_rig: Rig) -> None:
    """PostgreSQL answers it with ROLLBACK, and no error."""
    async with AsyncOpened(postgresql_rig.urls[0]) as checkout:
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            await sent(checkout, insert(1), Statement("SELECT 1/0"))
        with pytest.raises(TransactionRolledBack):
            await sent(checkout, Statement("COMMIT", "COMMIT"))
        assert (checkout.driver.unknown, checkout.driver.commits) == (False, 0)
        await finish(checkout, "rollback")
        with pytest.raises(UsageError, match="SELECT"):
            await sent(checkout, Statement("SELECT 1", "UPDATE"))


async def test_a_commit_in_a_message_counts(rig: Rig) -> None:
    """BEGIN to COMMIT in one message; without COMMIT's answer the outcome is unknown."""
    async with AsyncOpened(rig.urls[0]) as checkout:
        await sent(checkout, insert(1), Statement("COMMIT", "COMMIT"))
        assert (rig.count(), checkout.driver.commits, checkout.driver.unknown) == (1, 1, False)
        await finish(checkout)
        await sent(checkout, insert(2), COUNT)
        await finish(checkout)
        assert (rig.count(), checkout.driver.commits) == (2, 2)


async def test_a_statement_that_fails_before_a_commit_was_not_committed(rig: Rig) -> None:
    """The server's answer says so: nothing is unknown, and the connection goes on."""
    async with AsyncOpened(rig.urls[0]) as checkout:
        await sent(checkout, insert(1))
        await finish(checkout)
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            await sent(checkout, insert(2), insert(1), Statement("COMMIT", "COMMIT"))
        assert not checkout.driver.unknown
        await finish(checkout, "rollback")
        assert rig.count() == 1
        assert (await sent(checkout, COUNT))[0].rows == ((1,),)


async def test_what_a_block_set_is_put_back_behind_its_commit(postgresql_rig: Rig) -> None:
    """In the same message, on PostgreSQL: no round trip of its own, and the next block does not notice."""
    shown = Statement("SHOW search_path")
    async with AsyncOpened(postgresql_rig.urls[0]) as checkout:
        before = (await sent(checkout, shown))[0].rows
        await sent(checkout, Statement("SET search_path = pg_catalog"), Statement("COMMIT", "COMMIT"))
        assert checkout.driver.restored
        assert (await sent(checkout, shown))[0].rows == before
        assert not checkout.driver.restored


async def test_commit_is_the_last_of_its_message(rig: Rig) -> None:
    """An error behind it would be taken for its own."""
    async with AsyncOpened(rig.urls[0]) as checkout:
        with pytest.raises(UsageError, match="after its COMMIT"):
            await sent(checkout, insert(1), Statement("COMMIT"), COUNT)
        assert (await sent(checkout, COUNT))[0].rows == ((0,),)


async def test_a_swallowed_deadlock_in_a_message_is_no_commit(mariadb_rig: Rig) -> None:
    """MariaDB rolls all of the transaction back at one; what comes after it is not committed as if it were the whole."""
    async with AsyncOpened(mariadb_rig.urls[0]) as checkout:
        deadlock = Statement("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213")
        with pytest.raises(sqlalchemy.exc.OperationalError):
            await sent(checkout, insert(1), deadlock, insert(2))
        with pytest.raises(TransactionRolledBack):
            await sent(checkout, insert(3), Statement("COMMIT"))
        with pytest.raises(TransactionRolledBack):
            await finish(checkout)
        await finish(checkout, "rollback")


async def test_a_held_transaction_is_not_ended(rig: Rig) -> None:
    """Neither by a message nor by whoever types; the block's own end does."""
    async with AsyncOpened(rig.urls[0]) as checkout:
        await sent(checkout, insert(1))
        checkout.driver.hold("the position of an inbox stands in it.")
        for ending in ("COMMIT", "ROLLBACK", "/* now */ commit"):
            with pytest.raises(UsageError, match="ended its own") as caught:
                await sent(checkout, Statement(ending))
            assert caught.value.why == "the position of an inbox stands in it."
        await finish(checkout, "rollback")
        assert rig.count() == 0
    for how in ("commit", "rollback"):
        async with AsyncOpened(rig.urls[0]) as checkout:
            await sent(checkout, insert(1))
            checkout.driver.hold("the position of an inbox stands in it.")
            with pytest.raises(UsageError, match="ended its own"):
                await adrive(getattr(checkout.connection, how))
            if how == "rollback":  # swallowed: then its end fails too
                await sent(checkout, insert(2))
                with pytest.raises(UsageError, match="ended its own"):
                    await finish(checkout)
            await finish(checkout, "rollback")
        assert rig.count() == 0


async def test_notices_arrive(rig: Rig) -> None:
    """A notice is told with its statement, or with the one before it."""
    warns = {
        "postgresql": Statement("DO $$ BEGIN RAISE WARNING 'careful'; END $$"),
        **dict.fromkeys(("mariadb", "mysql"), Statement("DROP TABLE IF EXISTS nothere")),
    }
    if rig.server == "sqlite":
        pytest.skip("SQLite warns of nothing")
    async with AsyncOpened(rig.urls[0]) as checkout:
        answers = await sent(checkout, Statement("SELECT 1"), warns[rig.server], Statement("SELECT 2"))
        notices = [notice for answer in answers for notice in answer.notices]
        assert notices == ["WARNING: careful" if rig.server == "postgresql" else "1 warning"]
        assert (await sent(checkout, Statement("SELECT 1")))[0].notices == ()


async def test_a_thousand_statements_in_a_message(rig: Rig) -> None:
    """All answered, in their order."""
    async with AsyncOpened(rig.urls[0]) as checkout:
        inserts = [insert(number + 1) for number in range(MANY)]
        answers = await sent(checkout, *inserts)
        assert [answer.count for answer in answers] == [1] * MANY
        answers = await sent(checkout, *[Statement(f"SELECT {number}, '{'x' * 1000}'") for number in range(MANY)])
        assert [answer.rows[0][0] for answer in answers] == list(range(MANY))
        await finish(checkout)
    assert rig.count() == MANY


async def test_a_message_larger_than_a_packet(mariadb_rig: Rig) -> None:
    """MariaDB's packets end at 16 MiB: what is larger goes in several, or is refused with its own words."""
    async with AsyncOpened(mariadb_rig.urls[0]) as checkout:
        most = int((await sent(checkout, Statement("SELECT @@max_allowed_packet")))[0].rows[0][0])
        size = (1 << 24) + 1000
        statements = [Statement(f"SELECT LENGTH('{'x' * size}')"), Statement("SELECT 2")]
        if most > size + 1000:
            answers = await sent(checkout, *statements)
            assert [answer.rows for answer in answers] == [((size,),), ((2,),)]
        else:
            with pytest.raises(sqlalchemy.exc.DBAPIError):
                await sent(checkout, *statements)
            assert checkout.connection.invalidated


async def test_a_message_takes_one_round_trip(proxy: FaultProxy) -> None:
    """With its BEGIN, and on MariaDB with the switch that lets statements be several."""
    async with AsyncOpened(proxy.url) as checkout:
        proxy.latency(ONE_WAY)
        for number in (1, 2):
            started = time.monotonic()
            answers = await sent(checkout, insert(number), COUNT, COUNT, COUNT)
            took = time.monotonic() - started
            assert answers[3].rows == ((number,),)
            assert 2 * ONE_WAY <= took < 3.5 * ONE_WAY, f"{took / (2 * ONE_WAY):.1f} round trips"
        started = time.monotonic()
        await finish(checkout)
        assert time.monotonic() - started < 3.5 * ONE_WAY
        proxy.latency(0.0)


async def test_a_frozen_server_is_left_at_the_deadline(proxy: FaultProxy) -> None:
    """The connection is closed, and the error says that it was the deadline."""
    async with AsyncOpened(proxy.url, 1.0) as checkout:
        await sent(checkout, insert(1))
        proxy.freeze()
        started = time.monotonic()
        with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
            await sent(checkout, insert(2), COUNT)
        assert time.monotonic() - started < 2.0
        assert classify(caught.value) is Failure.DEADLINE
        assert checkout.connection.invalidated
        proxy.heal()


async def test_a_commit_without_an_answer_is_unknown(proxy: FaultProxy) -> None:
    """It may have been done."""
    async with AsyncOpened(proxy.url) as checkout:
        await sent(checkout, insert(1))
        proxy.drop_replies()
        with pytest.raises(OutcomeUnknown):
            await sent(checkout, insert(2), Statement("COMMIT", "COMMIT"))
        assert checkout.driver.unknown
        assert checkout.connection.invalidated
        proxy.heal()


async def test_on_an_engine_of_the_applications(rig: Rig) -> None:
    """Answers, an error in the middle, a held transaction, the block's own end, and a COMMIT in a message."""
    async with AsyncOpened(rig.urls[0], own=True) as checkout:
        answers = await sent(checkout, insert(1), Statement("-- nothing"), COUNT)
        assert [answer.rows for answer in answers] == [(), (), ((1,),)]
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            await sent(checkout, insert(2), insert(1), insert(3))
        await finish(checkout, "rollback")
        assert rig.count() == 0
        checkout.driver.ended = False
        await sent(checkout, insert(4))
        checkout.driver.finishing = False
        checkout.driver.hold("the position of an inbox stands in it.")
        for how in ("commit", "rollback"):
            with pytest.raises(UsageError, match="ended its own"):
                await sent(checkout, Statement(how.upper()))
        checkout.driver.held = ""
        await sent(checkout, insert(5), Statement("COMMIT", "COMMIT"))
        assert (rig.count(), checkout.driver.commits, checkout.driver.unknown) == (2, 1, False)
        await sent(checkout, insert(6))
        await finish(checkout)
        assert (rig.count(), checkout.driver.commits) == (3, 2)


async def test_a_lost_commit_on_an_engine_of_the_applications_is_unknown(proxy: FaultProxy) -> None:
    """As on regionkit's own connections."""
    async with AsyncOpened(proxy.url, own=True) as checkout:
        await sent(checkout, insert(1))
        proxy.drop_replies()
        with pytest.raises(OutcomeUnknown):
            await sent(checkout, insert(2), Statement("COMMIT", "COMMIT"))
        assert checkout.driver.unknown
        assert checkout.connection.invalidated
        proxy.heal()
