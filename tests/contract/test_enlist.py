"""Joining the application's own transaction: every end of it, on real servers, through several drivers."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from enlist_engines import DRIVERS, Base, Item, insert, names, really_begin, server_url
from fix_rigs import Rig
from sqlalchemy import orm, text
from sqlalchemy.engine import RootTransaction
from sqlalchemy.event import registry

from regionkit import RegionKit
from regionkit.backends.sql import enlist_server
from regionkit.contract.enlist import enlist
from regionkit.errors import ConfigurationError, TransactionRolledBack, UsageError
from regionkit.testing import FaultProxy


@pytest.fixture(params=DRIVERS)
def engine(request: pytest.FixtureRequest) -> Iterator[sqlalchemy.Engine]:
    """An application's engine."""
    made = sqlalchemy.create_engine(server_url(request.param, request))
    really_begin(made)
    Base.metadata.create_all(made)
    yield made
    made.dispose()


def no_listeners(engine: sqlalchemy.Engine) -> bool:
    own = (sqlalchemy.Connection, orm.Session)
    return not any("regionkit" in repr(vars(kind)) for kind in own) and "regionkit" not in repr(vars(engine))


def row(number: int) -> dict[str, Any]:
    return {"id": number, "name": f"item {number}"}


PUT = "INSERT INTO items (id, name) VALUES (:id, :name)"


def test_a_session_commits_with_its_calls(engine: sqlalchemy.Engine) -> None:
    """Calls run in order after the flush and before COMMIT; all of it commits; the outcome comes once, after it."""
    seen: list[Any] = []
    with orm.Session(engine) as session:
        session.add(Item(**row(1)))
        joined = enlist(session)
        assert joined is enlist(session) is enlist(session.connection())
        joined.before_commit(lambda: seen.append(joined.execute(text("SELECT count(*) FROM items")).scalar()))
        joined.before_commit(lambda: joined.execute(PUT, row(2)))
        joined.on_outcome(lambda outcome: seen.append((outcome, names(engine))))
        joined.on_outcome(seen.append)
        assert seen == []
        session.commit()
        assert seen == [1, ("yes", ["item 1", "item 2"]), "yes"]
        with pytest.raises(UsageError, match="is over"):
            joined.execute(text("SELECT 1"))
        again = enlist(session)
        assert again is not joined
        again.on_outcome(seen.append)
        session.rollback()
    assert seen[3:] == ["no"]
    assert no_listeners(engine)


def test_a_connection_commits_with_its_calls(engine: sqlalchemy.Engine) -> None:
    """The same on a Connection, each way to commit it; the next transaction hears nothing of the last."""
    seen: list[str] = []
    with engine.connect() as connection:
        with connection.begin():
            joined = enlist(connection)
            joined.before_commit(lambda: joined.execute(PUT, row(1)))
            joined.on_outcome(seen.append)
        connection.execute(insert(2))
        second = enlist(connection)
        assert second is not joined
        second.on_outcome(seen.append)
        connection.commit()
        connection.execute(insert(3))
        assert "_regionkit_enlisted" not in vars(connection)
        connection.commit()
    assert seen == ["yes", "yes"]
    assert names(engine) == ["item 1", "item 2", "item 3"]


def test_a_scoped_session_is_its_session(engine: sqlalchemy.Engine) -> None:
    """scoped_session stands for the thread's own Session."""
    seen: list[str] = []
    scoped = orm.scoped_session(orm.sessionmaker(engine))
    joined = enlist(scoped)
    assert joined is enlist(scoped())
    assert joined.dialect_name == engine.dialect.name
    joined.before_commit(lambda: scoped.add(Item(**row(1))))
    joined.on_outcome(seen.append)
    scoped.commit()
    scoped.remove()
    assert seen == ["yes"]
    assert names(engine) == ["item 1"]


def test_what_a_call_changes_is_flushed_before_the_next(engine: sqlalchemy.Engine) -> None:
    """Calls may add objects, and register more calls."""
    counts: list[Any] = []
    with orm.Session(engine) as session:
        joined = enlist(session)

        def count() -> None:
            counts.append(joined.execute("SELECT count(*) FROM items").scalar())

        def add() -> None:
            session.add(Item(**row(1)))
            joined.before_commit(count)

        joined.before_commit(add)
        joined.before_commit(count)
        session.commit()
    assert counts == [1, 1]
    with orm.Session(engine) as session:
        joined = enlist(session)
        joined.on_outcome(counts.append)

        def again() -> None:
            joined.before_commit(again)

        joined.before_commit(again)
        with pytest.raises(UsageError, match="registered others"):
            session.commit()
    assert counts[2:] == ["no"]


@pytest.mark.parametrize("core", [False, True])
def test_an_error_of_a_call_rolls_back_and_passes_as_it_is(engine: sqlalchemy.Engine, core: bool) -> None:
    """Nothing commits, "no" is told before the error leaves, and the session or connection goes on after a rollback."""
    seen: list[str] = []

    def fail() -> None:
        raise LookupError("as it is")

    with engine.connect() as connection, orm.Session(connection if core else engine) as session:
        target: Any = connection if core else session
        target.execute(insert(1))
        joined = enlist(target)
        joined.before_commit(fail)
        joined.on_outcome(seen.append)
        with pytest.raises(LookupError, match="as it is"):
            target.commit()
        assert seen == ["no"]
        if not core:
            with pytest.raises(sqlalchemy.exc.SQLAlchemyError):
                target.commit()
        target.rollback()
        target.execute(insert(2))
        target.commit()
    assert names(engine) == ["item 2"]
    with pytest.raises(LookupError), orm.Session(engine) as session, session.begin():
        enlist(session).before_commit(fail)
        session.execute(insert(3))
    assert names(engine) == ["item 2"]


@pytest.mark.parametrize("core", [False, True])
def test_savepoints_take_what_was_registered_in_them(engine: sqlalchemy.Engine, core: bool) -> None:
    """Rolled back: dropped, and told "no" at once. Released: it belongs to what is around. At any depth."""
    ran: list[str] = []
    told: list[tuple[str, str]] = []
    with engine.connect() as connection, orm.Session(connection if core else engine) as session:
        target: Any = connection if core else session
        target.execute(insert(1))

        def register(name: str) -> None:
            joined = enlist(target)
            joined.before_commit(lambda: ran.append(name))
            joined.on_outcome(lambda outcome: told.append((name, outcome)))

        register("outside")
        kept = target.begin_nested()
        register("kept")
        gone = target.begin_nested()
        register("gone")
        inner = target.begin_nested()
        register("released in gone")
        inner.commit()
        assert told == []
        gone.rollback()
        assert told == [("gone", "no"), ("released in gone", "no")]
        register("after")
        kept.commit()
        target.commit()
    assert ran == ["outside", "kept", "after"]
    assert told[2:] == [("outside", "yes"), ("kept", "yes"), ("after", "yes")]


def test_what_an_outer_savepoint_takes(engine: sqlalchemy.Engine) -> None:
    """The outer one rolled back takes what an open inner one has; a statement that fails in one harms nobody."""
    told: list[tuple[str, str]] = []
    with engine.begin() as connection:
        connection.execute(insert(1))
        outer = connection.begin_nested()
        connection.begin_nested()
        joined = enlist(connection)
        joined.on_outcome(lambda outcome: told.append(("inner", outcome)))
        joined.before_commit(lambda: told.append(("inner", "ran")))
        with pytest.warns(sqlalchemy.exc.SAWarning):
            outer.rollback()
        assert told == [("inner", "no")]
    told.clear()
    with engine.begin() as connection:
        enlist(connection).on_outcome(lambda outcome: told.append(("outside", outcome)))
        connection.execute(insert(2))
        with pytest.raises(sqlalchemy.exc.IntegrityError), connection.begin_nested():
            enlist(connection).on_outcome(lambda outcome: told.append(("failed", outcome)))
            connection.execute(insert(2))
        connection.execute(insert(3))
    assert told == [("failed", "no"), ("outside", "yes")]
    assert names(engine) == ["item 1", "item 2", "item 3"]


@pytest.mark.parametrize("mode", ["rollback_only", "create_savepoint", "conditional_savepoint"])
@pytest.mark.parametrize("commits", [True, False])
def test_a_session_in_a_transaction_of_a_connection(engine: sqlalchemy.Engine, mode: Any, commits: bool) -> None:
    """Its own commit is none: calls run, and the outcome is told, at the Connection's end."""
    seen: list[str] = []
    with engine.connect() as connection:
        outer = connection.begin()
        with orm.Session(connection, join_transaction_mode=mode) as session:
            session.add(Item(**row(1)))
            joined = enlist(session)
            joined.before_commit(lambda: seen.append("ran"))
            joined.on_outcome(seen.append)
            session.commit()
            assert seen == []
        (outer.commit if commits else outer.rollback)()
    assert seen == (["ran", "yes"] if commits else ["no"])
    assert names(engine) == (["item 1"] if commits else [])


def test_a_session_that_controls_the_connection(engine: sqlalchemy.Engine) -> None:
    """control_fully: its commit is the outermost one."""
    seen: list[str] = []
    with engine.connect() as connection:
        connection.begin()
        with orm.Session(connection, join_transaction_mode="control_fully") as session:
            joined = enlist(session)
            joined.before_commit(lambda: session.add(Item(**row(1))))
            joined.on_outcome(seen.append)
            session.commit()
    assert seen == ["yes"]
    assert names(engine) == ["item 1"]


@pytest.mark.parametrize("end", ["commit", "rollback", "close", "fail"])
def test_two_phases(engine: sqlalchemy.Engine, end: str) -> None:
    """Calls run before PREPARE; the outcome is that of COMMIT PREPARED."""
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no two phases")
    seen: list[str] = []
    session = orm.Session(engine, twophase=True)
    session.add(Item(**row(1)))
    joined = enlist(session)
    joined.before_commit(lambda: session.add(Item(**row(2))))
    joined.before_commit(lambda: seen.append("ran"))
    if end == "fail":
        joined.before_commit(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    joined.on_outcome(seen.append)
    if end == "fail":
        with pytest.raises(ZeroDivisionError):
            session.prepare()
        assert seen == ["ran", "no"]
        session.rollback()
    else:
        session.prepare()
        assert seen == ["ran"]
        with pytest.raises(UsageError, match="is prepared"):
            joined.before_commit(lambda: None)
        getattr(session, end)()
        assert seen == ["ran", "yes" if end == "commit" else "no"]
    session.close()
    assert names(engine) == (["item 1", "item 2"] if end == "commit" else [])


def test_two_phases_of_a_connection(engine: sqlalchemy.Engine) -> None:
    """With and without a PREPARE of its own; what is prepared and lost is unknown."""
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no two phases")
    seen: list[str] = []
    with engine.connect() as connection:
        for number in (1, 2):
            transaction = connection.begin_twophase()
            joined = enlist(connection)
            joined.before_commit(lambda n=number, j=joined: j.execute(PUT, row(n)))
            joined.on_outcome(seen.append)
            if number == 1:
                transaction.prepare()
            transaction.commit()
        assert seen == ["yes", "yes"]
        transaction = connection.begin_twophase()
        joined = enlist(connection)
        joined.before_commit(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        joined.on_outcome(seen.append)
        with pytest.raises(ZeroDivisionError):
            transaction.prepare()
        transaction.rollback()
        assert seen[2:] == ["no"]
        transaction = connection.begin_twophase()
        connection.execute(insert(3))
        enlist(connection).on_outcome(seen.append)
        transaction.prepare()
        xid = transaction.xid
        connection.invalidate()
        transaction.rollback()
        assert seen[3:] == ["unknown"]
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        words = "XA ROLLBACK" if engine.dialect.name == "mysql" else "ROLLBACK PREPARED"
        connection.exec_driver_sql(f"{words} '{xid}'")
    assert names(engine) == ["item 1", "item 2"]


WAYS = ("text", "driver", "cursor", "text rollback")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("more", [False, True])
def test_an_end_past_sqlalchemy_is_unknown(engine: sqlalchemy.Engine, way: str, more: bool) -> None:
    """A COMMIT or ROLLBACK as text, of the driver's or of a cursor of its: told as unknown, and the commit raises."""
    if engine.dialect.driver == "mysqldb" and way in ("driver", "cursor"):
        pytest.skip("mysqlclient does not tell whether a transaction is open")
    seen: list[str] = []
    with orm.Session(engine) as session:
        session.execute(insert(1))
        joined = enlist(session)
        joined.on_outcome(seen.append)
        proxied: Any = session.connection().connection
        if way == "driver":
            proxied.commit()
        elif way == "cursor":
            cursor = proxied.cursor()
            cursor.execute("COMMIT")
            cursor.close()
        else:
            session.execute(text("COMMIT" if way == "text" else "ROLLBACK"))
        if more:
            session.execute(insert(2))
        with pytest.raises(UsageError, match="past SQLAlchemy"):
            joined.before_commit(lambda: None)
        with pytest.raises(UsageError, match="past SQLAlchemy") as caught:
            session.commit()
        assert caught.value.committed == "unknown"
        assert seen == ["unknown"]
        session.rollback()
    left = ["item 2"] if more and engine.dialect.name == "sqlite" else []  # it commits by itself outside of a BEGIN
    assert names(engine) == ([] if way == "text rollback" else ["item 1"]) + left


HIDDEN = {
    "postgresql": ("INSERT INTO items VALUES (2, 'item 2'); COMMIT; BEGIN", "ROLLBACK; BEGIN"),
    "mysql": ("# a comment\nCOMMIT AND CHAIN", "# a comment\n# and another\nROLLBACK AND CHAIN"),
}


@pytest.mark.parametrize("number", [0, 1])
def test_an_end_in_a_text_of_several_statements_or_behind_a_comment_is_unknown(
    engine: sqlalchemy.Engine, number: int
) -> None:
    """The next transaction is open at once, so the server's state tells nothing."""
    if engine.dialect.name not in HIDDEN or engine.dialect.driver == "pg8000":
        pytest.skip("not possible with this driver")
    seen: list[str] = []
    with engine.connect() as connection:
        connection.execute(insert(1))
        enlist(connection).on_outcome(seen.append)
        connection.execute(text(HIDDEN[engine.dialect.name][number]))
        with pytest.raises(UsageError, match="past SQLAlchemy"):
            connection.commit()
    assert seen == ["unknown"]


@pytest.mark.parametrize(
    "quiet",
    [
        "INSERT INTO items (id, name) VALUES (2, '; COMMIT; ')",
        "INSERT INTO items (id, name) VALUES (2, 'it''s; COMMIT; ')",
        "/* one; COMMIT; */ INSERT INTO items (id, name) VALUES (2, '; ROLLBACK')",
        "INSERT INTO items (id, name) VALUES (2, 'x') -- ; COMMIT;\n",
    ],
)
def test_what_is_quoted_or_commented_ends_nothing(engine: sqlalchemy.Engine, quiet: str) -> None:
    """Whatever it looks like."""
    seen: list[str] = []
    with engine.begin() as connection:
        enlist(connection).on_outcome(seen.append)
        connection.exec_driver_sql(quiet)
    assert seen == ["yes"] and len(names(engine)) == 1


def test_an_end_past_sqlalchemy_and_a_rollback_is_unknown(engine: sqlalchemy.Engine) -> None:
    """Somebody who rolls back is not told "no" either."""
    seen: list[str] = []
    with engine.connect() as connection:
        connection.execute(insert(1))
        enlist(connection).on_outcome(seen.append)
        connection.execute(text("COMMIT"))
        connection.rollback()
    assert seen == ["unknown"]


def test_a_statement_that_commits_by_itself_on_mariadb(engine: sqlalchemy.Engine) -> None:
    """CREATE TABLE commits on MariaDB, and is a part of the transaction elsewhere."""
    seen: list[str] = []
    with orm.Session(engine) as session:
        session.execute(insert(1))
        enlist(session).on_outcome(seen.append)
        session.execute(text("CREATE TABLE other (id INTEGER)"))
        if engine.dialect.name == "mysql":
            with pytest.raises(UsageError, match="CREATE"):
                session.commit()
        else:
            session.commit()
    assert seen == ["unknown" if engine.dialect.name == "mysql" else "yes"]


def test_a_savepoint_that_commits_on_sqlite_as_it_comes(tmp_path: Any) -> None:
    """sqlite3 sends no BEGIN before SAVEPOINT: the RELEASE commits. It is noticed."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/items.db")
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        connection.begin()
        seen: list[str] = []
        enlist(connection).on_outcome(seen.append)
        with connection.begin_nested():
            connection.execute(insert(1))
        if names(engine):  # SQLAlchemy, or Python, may have mended it
            with pytest.raises(UsageError, match="past SQLAlchemy"):
                connection.commit()
            assert seen == ["unknown"]
    engine.dispose()


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("core", [False, True])
def test_a_commit_that_would_do_nothing_is_no(
    engine: sqlalchemy.Engine, core: bool, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error was swallowed: PostgreSQL answers COMMIT with ROLLBACK. The others go on."""
    if silent and engine.dialect.name != "sqlite":
        monkeypatch.setattr(enlist_server, "_said", lambda _: "")
    seen: list[str] = []
    with engine.connect() as connection, orm.Session(connection if core else engine) as session:
        target: Any = connection if core else session
        target.execute(insert(1))
        enlist(target).on_outcome(seen.append)
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            target.execute(insert(1))
        if engine.dialect.name == "postgresql":
            with pytest.raises(TransactionRolledBack):
                target.commit()
        else:
            target.commit()
        target.rollback()
    assert seen == ["no" if engine.dialect.name == "postgresql" else "yes"]
    assert names(engine) == ([] if engine.dialect.name == "postgresql" else ["item 1"])


@pytest.mark.parametrize("silent", [False, True])
def test_a_deadlock_that_was_swallowed(
    engine: sqlalchemy.Engine, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MariaDB rolls all of it back: what follows is another transaction, and its commit raises. Left, it is "no".

    A driver that does not tell whether a transaction is open (mysqlclient) is taken for the one that is here.
    """
    if silent:
        monkeypatch.setattr(enlist_server, "_said", lambda _: "")
    if engine.dialect.name != "mysql":
        pytest.skip("an error ends the whole transaction on MariaDB only")
    with engine.begin() as connection:
        connection.execute(insert(1))
        connection.execute(insert(2))
    for swallowed in (True, False):
        seen: list[str] = []
        with engine.connect() as connection, engine.connect() as other:
            connection.execute(insert(5))
            connection.execute(text("SELECT * FROM items WHERE id = 1 FOR UPDATE"))
            enlist(connection).on_outcome(seen.append)
            for number in range(10, 60):  # the one that changed less is the victim
                other.execute(insert(number))
            other.execute(text("SELECT * FROM items WHERE id = 2 FOR UPDATE"))
            _in_thread(lambda o=other: o.execute(text("SELECT * FROM items WHERE id = 1 FOR UPDATE")))
            with pytest.raises(sqlalchemy.exc.OperationalError, match="1213"):
                connection.execute(text("SELECT * FROM items WHERE id = 2 FOR UPDATE"))
            if swallowed:
                connection.execute(insert(3))
                with pytest.raises(UsageError, match="past SQLAlchemy"):
                    connection.commit()
            connection.rollback()
            _joined_threads()
            other.rollback()
        assert seen == ["unknown" if swallowed else "no"]
        assert names(engine) == ["item 1", "item 2"]


_THREADS: list[Any] = []


def _in_thread(work: Any) -> None:
    import threading
    import time

    thread = threading.Thread(target=work)
    thread.start()
    _THREADS.append(thread)
    time.sleep(0.3)  # until it waits for the lock


def _joined_threads() -> None:
    while _THREADS:
        _THREADS.pop().join(10)


@pytest.mark.parametrize(
    "end", ["close", "invalidate", "rollback", "closed connection", "forgotten", "forgotten, held"]
)
def test_what_is_not_committed_is_no(engine: sqlalchemy.Engine, end: str) -> None:
    """However it is left; and no cycle of ours keeps a connection alive."""
    seen: list[str] = []
    session = orm.Session(engine)
    session.add(Item(**row(1)))
    joined = enlist(session)
    joined.on_outcome(seen.append)
    joined.before_commit(lambda: seen.append("never"))
    connection = session.connection()
    known = weakref.ref(connection)
    if end == "invalidate":
        connection.invalidate()
        session.rollback()
    elif end == "closed connection":
        connection.close()
    elif end.startswith("forgotten"):
        if end == "forgotten":
            del joined
        del session, connection
        gc.collect()
        assert known() is None
    else:
        getattr(session, end)()
    assert seen == ["no"]
    assert names(engine) == []


def test_a_connection_is_freed_with_its_transaction(engine: sqlalchemy.Engine) -> None:
    """After the end nothing of ours stands between it and the garbage collector, not even for a while."""
    connection = engine.connect()
    with connection.begin():
        joined = enlist(connection)
        joined.before_commit(lambda: joined.execute(PUT, row(1)))
    connection.close()
    known = weakref.ref(connection)
    gc.collect()
    gc.disable()
    try:
        del connection
        assert known() is None
    finally:
        gc.enable()
    assert names(engine) == ["item 1"]


def test_no_transaction_is_refused(engine: sqlalchemy.Engine) -> None:
    """The error says what to do; a Session begins by itself, as with its first statement."""
    with engine.connect() as connection:
        with pytest.raises(UsageError, match="begin one"):
            enlist(connection)
        connection.execution_options(isolation_level="AUTOCOMMIT")
        with connection.begin(), pytest.raises(UsageError, match="AUTOCOMMIT"):
            enlist(connection)
    with orm.Session(engine, autobegin=False) as session, pytest.raises(UsageError, match="begin one"):
        enlist(session)
    with pytest.raises(ConfigurationError, match="Session"):
        enlist(engine)
    with pytest.raises(ConfigurationError, match="Session"):
        enlist(object())
    with engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        if engine.dialect.name == "mysql":
            raw.autocommit(True)
        elif engine.dialect.name == "postgresql":
            raw.autocommit = True
        else:
            return
        with connection.begin(), pytest.raises(UsageError, match="commits on its own"):
            enlist(connection)
        connection.invalidate()


def test_who_hears_may_fail(engine: sqlalchemy.Engine, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; the others hear, and the commit is what it was."""
    seen: list[str] = []
    with caplog.at_level(logging.ERROR, "regionkit"), orm.Session(engine) as session:
        joined = enlist(session)
        joined.on_outcome(lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
        joined.on_outcome(seen.append)
        session.execute(insert(1))
        session.commit()
    assert seen == ["yes"]
    assert "ZeroDivisionError" in caplog.text
    assert names(engine) == ["item 1"]


def test_who_hears_may_leave(engine: sqlalchemy.Engine) -> None:
    """An exit in one that hears is raised when all have heard."""

    def leave(_: object) -> None:
        raise SystemExit(3)

    seen: list[str] = []
    with orm.Session(engine) as session:
        joined = enlist(session)
        joined.on_outcome(leave)
        joined.on_outcome(seen.append)
        session.execute(insert(1))
        with pytest.raises(SystemExit):
            session.commit()
    assert seen == ["yes"] and names(engine) == ["item 1"]


def test_a_call_may_not_end_the_transaction(engine: sqlalchemy.Engine) -> None:
    """Neither commit it nor roll it back."""
    for end in ("commit", "rollback"):
        seen: list[str] = []
        with engine.connect() as connection:
            connection.execute(insert(1))
            joined = enlist(connection)
            joined.before_commit(getattr(connection, end))
            joined.on_outcome(seen.append)
            with pytest.raises(UsageError):
                connection.commit()
            connection.rollback()
        assert seen == ["no"]
        assert names(engine) == []


def test_a_refused_commit_is_no(engine: sqlalchemy.Engine) -> None:
    """A deferred constraint fails at COMMIT: the server answered, nothing is committed, the connection goes on."""
    if engine.dialect.name == "mysql":
        pytest.skip("MariaDB has no deferred constraints")
    seen: list[str] = []
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE parts (item INTEGER REFERENCES items (id) DEFERRABLE INITIALLY DEFERRED)")
        )
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            raw: Any = connection.connection.dbapi_connection
            raw.execute("PRAGMA foreign_keys = ON")
        connection.execute(insert(1))
        connection.execute(text("INSERT INTO parts VALUES (7)"))
        enlist(connection).on_outcome(seen.append)
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            connection.commit()
        assert seen == ["no"]
        connection.rollback()
        connection.execute(insert(2))
        connection.commit()
    assert names(engine) == ["item 2"]


@pytest.mark.parametrize("fault", ["drop_replies", "cut", "cut before"])
@pytest.mark.parametrize("core", [False, True])
def test_a_commit_without_an_answer_is_unknown(engine: sqlalchemy.Engine, fault: str, core: bool) -> None:
    """The COMMIT was or was not delivered: nobody knows. A connection lost at a statement before it is a "no"."""
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no wire")
    seen: list[str] = []
    with FaultProxy(f"{engine.url.host}:{engine.url.port}") as proxy:
        host, _, port = proxy.url.removeprefix("tcp://").rpartition(":")
        through = sqlalchemy.create_engine(engine.url.set(host=host, port=int(port)))
        with through.connect() as connection, orm.Session(connection if core else through) as session:
            target: Any = connection if core else session
            target.execute(insert(1))
            joined = enlist(target)
            joined.on_outcome(seen.append)
            if fault == "cut before":
                proxy.cut()
                with pytest.raises(sqlalchemy.exc.DBAPIError):
                    target.execute(insert(2))
            else:
                joined.before_commit(proxy.drop_replies if fault == "drop_replies" else proxy.cut)
            with pytest.raises(sqlalchemy.exc.SQLAlchemyError):
                target.commit()
            proxy.heal()
            target.rollback()
        through.dispose()
    assert seen == ["no" if fault == "cut before" else "unknown"]


def test_transactions_that_are_not_joined_are_sqlalchemys(engine: sqlalchemy.Engine) -> None:
    """No class is changed, and the objects of others are their own."""
    with engine.connect() as connection, engine.connect() as other:
        connection.begin()
        enlist(connection)
        plain = other.begin()
        assert type(plain) is RootTransaction
        assert "dispatch" not in vars(RootTransaction)
        other.rollback()
        connection.rollback()
        assert type(connection.begin()) is RootTransaction


def test_listeners_of_the_applications(engine: sqlalchemy.Engine) -> None:
    """They may join, and register, inside of the commit: earlier or later than ours, in the flush, at the session itself."""
    seen: list[str] = []

    def register(name: str, session: orm.Session) -> None:
        joined = enlist(session)
        joined.before_commit(lambda: seen.append(name))
        joined.on_outcome(lambda outcome: seen.append(f"{name}: {outcome}"))

    def early(session: orm.Session) -> None:
        register("early", session)

    def late(session: orm.Session) -> None:
        register("late", session)

    def flushed(session: orm.Session, _: Any) -> None:
        register("flushed", session)

    with orm.Session(engine) as session:
        sqlalchemy.event.listen(session, "before_commit", early)
        session.execute(insert(1))
        session.commit()
        assert seen == ["early", "early: yes"]
        seen.clear()
        enlist(session)
        sqlalchemy.event.listen(session, "before_commit", late)
        session.commit()
        assert seen == ["early", "late", "early: yes", "late: yes"]
        sqlalchemy.event.remove(session, "before_commit", early)
        sqlalchemy.event.remove(session, "before_commit", late)
        seen.clear()
        sqlalchemy.event.listen(session, "after_flush", flushed)
        session.add(Item(**row(2)))
        session.commit()
    assert seen == ["flushed", "flushed: yes"]


def test_a_savepoint_that_stays_open(engine: sqlalchemy.Engine) -> None:
    """The outer COMMIT takes it along, with what was registered in it."""
    seen: list[str] = []
    with engine.connect() as connection:
        connection.execute(insert(1))
        connection.begin_nested()
        connection.execute(insert(2))
        enlist(connection).before_commit(lambda: seen.append("ran"))
        enlist(connection).on_outcome(seen.append)
        connection.commit()
    with orm.Session(engine) as session:
        session.begin_nested()
        session.add(Item(**row(3)))
        enlist(session).on_outcome(seen.append)
        session.commit()
    assert seen == ["ran", "yes", "yes"]
    assert names(engine) == ["item 1", "item 2", "item 3"]


def test_bulk_statements(engine: sqlalchemy.Engine) -> None:
    """executemany, bulk inserts of the ORM and raw statements of SQLAlchemy are part of it like all else."""
    seen: list[str] = []
    with orm.Session(engine) as session:
        joined = enlist(session)
        joined.on_outcome(seen.append)
        session.execute(sqlalchemy.insert(Item), [row(1), row(2)])
        session.bulk_insert_mappings(orm.class_mapper(Item), [row(3)])
        session.execute(sqlalchemy.update(Item).where(Item.id == 3).values(name="changed"))
        session.connection().exec_driver_sql("DELETE FROM items WHERE id = 2")
        joined.execute(text(PUT), [row(4), row(5)])
        session.commit()
    assert seen == ["yes"]
    assert names(engine) == ["item 1", "changed", "item 4", "item 5"]


def test_nothing_is_left_behind(engine: sqlalchemy.Engine) -> None:
    """After many transactions SQLAlchemy's registry of listeners is as long as before."""
    with orm.Session(engine) as session, engine.connect() as connection:
        session.connection()
        gc.collect()
        before = len(registry._key_to_collection)
        for number in range(20):
            enlist(session).on_outcome(lambda _: None)
            (session.commit if number % 2 else session.rollback)()
            with connection.begin():
                enlist(connection).before_commit(lambda: None)
        assert len(registry._key_to_collection) == before
        assert "_regionkit_enlisted" not in vars(connection)


@pytest.mark.parametrize("core", [False, True])
def test_a_block_of_ours(rig: Rig, core: bool) -> None:
    """A write block is a transaction like any, before its first statement too; a read block in autocommit is none."""
    seen: list[str] = []
    with RegionKit(rig.topology(), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        for number in (1, 2):
            with s.write("orders", core=core) as db:
                joined = enlist(db)
                statement = f"INSERT INTO orders (id, item) VALUES ({number}, 'tea')"
                joined.before_commit(lambda j=joined, statement=statement: j.execute(statement))
                joined.on_outcome(seen.append)
        with pytest.raises(LookupError), s.write("orders", core=core) as db:
            enlist(db).on_outcome(seen.append)
            raise LookupError
        with s.read("orders", core=core) as db, pytest.raises(UsageError, match="write block"):
            enlist(db)
    assert seen == ["yes", "yes", "no"]
    assert rig.count() == 2
