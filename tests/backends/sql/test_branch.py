# Generated from test_branch_async.py by scripts/twins.py. Do not edit.
"""A branch's connection: the pillar writes what begins and ends its transaction, and the user can end nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import Order, Rig
from sqlalchemy import text

from regionkit import ConfigurationError, DeadlineExceeded, RegionKit, UsageError
from regionkit.backends.sql.branch import SqlBranch
from regionkit.backends.sql.bridge import drive
from regionkit.contract.backing import backing_of
from regionkit.contract.message import Statement
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import TransactionAborted

from .test_own_engine import HERE, KEY, engine_of, topology_of

BEGINS = {
    "postgresql": ["BEGIN", "SET LOCAL regionkit.gtrid = 'abc'"],
    "mariadb": ["XA START '{xid}'"],
    "sqlite": ["BEGIN IMMEDIATE"],
}
COMMITS = {
    "postgresql": ["COMMIT"],
    "mariadb": ["XA END '{xid}'", "XA COMMIT '{xid}' ONE PHASE"],
    "sqlite": ["COMMIT"],
}
ROLLS_BACK = {
    "postgresql": ["ROLLBACK"],
    "mariadb": ["XA END '{xid}'", "XA ROLLBACK '{xid}'"],
    "sqlite": ["ROLLBACK"],
}
SLOW = {"postgresql": "SELECT pg_sleep(60)", "mariadb": "SELECT SLEEP(60) FROM information_schema.ENGINES"}
for each in (BEGINS, COMMITS, ROLLS_BACK, SLOW):
    each["mysql"] = each["mariadb"]


def within(seconds: float = 20.0) -> Deadline:
    """A deadline."""
    return Deadline(SYSTEM_CLOCK, seconds)


def said(texts: list[str], branch: Any) -> list[Statement]:
    """Statements; a name of its own for each branch."""
    return [Statement(text.format(xid=f"rk_{id(branch)}")) for text in texts]


@pytest.fixture(params=["url", "engine"])
def endpoint(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Any]:
    """An endpoint of a kit's, and an engine of the application's as a backing."""
    if request.param == "url":
        with RegionKit(rig.topology(), local=HERE) as kit:
            yield kit.backing("orders").backend(deadline=within())
    else:
        engine = engine_of(rig.urls[0])
        backing = backing_of(engine, namespace="shop")
        yield backing.backend(deadline=within())
        backing.close()
        engine.dispose()


class Opened:
    """A branch with its transaction about to begin."""

    def __init__(self, endpoint: Any, rig: Rig) -> None:
        self._endpoint, self._server = endpoint, rig.server

    def __enter__(self) -> SqlBranch:
        self._branch: SqlBranch = self._endpoint.branch(within(), 10.0)
        self._branch.opening = said(BEGINS[self._server], self._branch)
        return self._branch

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(Exception):
            self._branch.message(said(ROLLS_BACK[self._server], self._branch))
        self._branch.release()


def committed(branch: SqlBranch, rig: Rig) -> None:
    """End it well."""
    branch.flush()
    branch.seal()
    branch.message(said(COMMITS[rig.server], branch))


def is_there(rig: Rig, *ids: int) -> bool:
    """Whether these orders are there, in the eyes of another connection."""
    engine = sqlalchemy.create_engine(rig.urls[0])
    with engine.connect() as connection:
        asked = text(f"SELECT count(*) FROM orders WHERE id IN ({', '.join(map(str, ids))})")
        found = connection.execute(asked).scalar()
    engine.dispose()
    return found == len(ids)


def test_what_session_and_connection_did_commits_together(endpoint: Any, rig: Rig) -> None:
    """Neither of the user's commits ends anything; the pillar's message does, and nothing was there before it."""
    with Opened(endpoint, rig) as branch:
        session = branch.session()
        assert branch.session() is session
        session.add(Order(id=801, item="tea"))
        session.commit()
        connection = branch.native()
        connection.execute(text("INSERT INTO orders (id, item) VALUES (802, 'rice')"))
        with session.begin_nested():
            session.add(Order(id=803, item="salt"))
        with session.begin():
            session.add(Order(id=806, item="oil"))
        session.add(Order(id=804, item="milk"))
        assert branch.driver.busy
        assert not is_there(rig, 801) or rig.server == "sqlite"
        assert branch.flush()
        assert not branch.flush()
        committed(branch, rig)
        assert not branch.doomed
    assert is_there(rig, 801, 802, 803, 804, 806)


def test_the_connection_comes_back_to_its_pool_only_idle(endpoint: Any, rig: Rig) -> None:
    """One that ended its transaction serves the next branch, without what this one set; one with an open transaction does not."""
    with Opened(endpoint, rig) as branch:
        first = branch.driver
        branch.session().add(Order(id=805, item="tea"))
        committed(branch, rig)
    again = endpoint.branch(within(), 10.0)
    assert again.driver is first
    again.message(said(BEGINS[rig.server], again))
    again.release()
    other = endpoint.branch(within(), 10.0)
    assert other.driver is not first
    other.discard()
    other.discard()
    third = endpoint.branch(within(), 10.0)
    assert third.driver is not other.driver
    third.release()


SETS = {
    "postgresql": ("SET application_name = 'mine'", "SELECT current_setting('application_name')", "mine"),
    "mariadb": ("SET @@session.div_precision_increment = 9", "SELECT @@session.div_precision_increment", 9),
    "mysql": ("SET @@session.div_precision_increment = 9", "SELECT @@session.div_precision_increment", 9),
    "sqlite": ("PRAGMA recursive_triggers = 1", "PRAGMA recursive_triggers", 1),
}


def test_a_connection_that_nobody_had_in_hand_serves_the_next_branch_as_it_is(endpoint: Any, rig: Rig) -> None:
    """Pool and SQLAlchemy have nothing to do for it; one that the user had goes back through the pool. It ends with the pool."""
    with Opened(endpoint, rig) as branch:
        branch.message([Statement("INSERT INTO orders (id, item) VALUES (821, 'tea')")])
        committed(branch, rig)
        first, pool = branch._connection, branch._pool
    assert pool.kept_branches == [first]
    with Opened(endpoint, rig) as branch:
        assert branch._connection is first
        assert pool.kept_branches == []
        branch.session().add(Order(id=822, item="rice"))
        committed(branch, rig)
    assert pool.kept_branches == []
    assert is_there(rig, 821, 822)
    with Opened(endpoint, rig) as branch:
        branch.message([Statement("INSERT INTO orders (id, item) VALUES (823, 'tea')")])
        committed(branch, rig)
        last = branch._connection
    assert pool.kept_branches == [last]
    pool.close()
    assert pool.kept_branches == [] and last.closed
    assert is_there(rig, 823)


def test_a_setting_of_the_users_ends_with_its_branch(endpoint: Any, rig: Rig) -> None:
    """The next branch is on another connection, or on one where it was put back."""
    setting, question, value = SETS[rig.server]
    with Opened(endpoint, rig) as branch:
        connection = branch.native()
        connection.execute(text("INSERT INTO orders (id, item) VALUES (807, 'rice')"))
        connection.exec_driver_sql(setting)
        committed(branch, rig)
    again = endpoint.branch(within(), 10.0)
    [answer] = again.message([Statement(question)])
    assert answer.rows[0][0] != value
    again.release()


ENDS: dict[str, Callable[[Any], Any]] = {
    "commit": lambda connection: connection.commit(),
    "rollback": lambda connection: connection.rollback(),
    "close": lambda connection: connection.close(),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_users_end_of_the_connection_raises(end: str, endpoint: Any, rig: Rig) -> None:
    """And says who ends it; a rollback dooms, as the user takes his work for undone."""
    with Opened(endpoint, rig) as branch:
        branch.hold("the payment is of the same transaction.")
        connection = branch.native()
        connection.execute(text("INSERT INTO orders (id, item) VALUES (808, 'rice')"))
        with pytest.raises(UsageError, match="the payment is of the same transaction"):
            ENDS[end](connection)
        assert bool(branch.doomed) == (end == "rollback")
        assert branch.driver.busy


DOOMS: dict[str, Callable[[Any], Any]] = {
    "rollback": lambda session: session.rollback(),
    "close": lambda session: session.close(),
}


@pytest.mark.parametrize("end", DOOMS)
def test_a_session_that_is_rolled_back_or_closed_dooms(end: str, endpoint: Any, rig: Rig) -> None:
    """Its work would be gone, and the vote YES."""
    with Opened(endpoint, rig) as branch:
        session = branch.session()
        session.add(Order(id=809, item="tea"))
        session.flush()
        DOOMS[end](session)
        assert "session was" in branch.doomed
        with pytest.raises(TransactionAborted, match="session was"):
            session.execute(text("SELECT 1"))
        assert branch.driver.busy
    assert not is_there(rig, 809)


def test_an_error_outside_a_savepoint_dooms_and_inside_does_not(endpoint: Any, rig: Rig) -> None:
    """Also one of a flush that the user caught."""
    with Opened(endpoint, rig) as branch:
        session = branch.session()
        session.add(Order(id=810, item="tea"))
        session.flush()
        with contextlib.suppress(sqlalchemy.exc.IntegrityError):
            with session.begin_nested():
                session.execute(text("INSERT INTO orders (id, item) VALUES (810, 'again')"))
        assert not branch.doomed
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            session.execute(text("INSERT INTO orders (id, item) VALUES (810, 'again')"))
        assert "outside a savepoint" in branch.doomed
    with Opened(endpoint, rig) as branch:
        session = branch.session()
        session.add_all([Order(id=811, item="tea")])
        session.flush()
        session.expunge_all()
        session.add(Order(id=811, item="again"))
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            session.flush()
        assert branch.doomed


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "/* so */ rollback"])
def test_an_end_as_text_is_noticed(end: str, endpoint: Any, rig: Rig) -> None:
    """MariaDB refuses it inside of XA; the others do it, and the branch is doomed."""
    with Opened(endpoint, rig) as branch:
        session = branch.session()
        session.add(Order(id=812, item="tea"))
        session.flush()
        with contextlib.suppress(sqlalchemy.exc.DBAPIError):
            session.execute(text(end))
        assert branch.doomed


def by_cursor(raw: Any) -> None:
    """A statement past SQLAlchemy."""
    raw.cursor().execute("INSERT INTO orders (id, item) VALUES (814, 'late')")


def test_nothing_can_be_done_after_the_seal(endpoint: Any, rig: Rig) -> None:
    """Neither through SQLAlchemy nor on the driver's own cursor; the pillar goes on."""
    with Opened(endpoint, rig) as branch:
        session, connection = branch.session(), branch.native()
        session.add(Order(id=813, item="tea"))
        branch.flush()
        raw = getattr(connection, "sync_connection", connection).connection
        branch.seal()
        for late in (
            lambda: connection.execute(text("INSERT INTO orders (id, item) VALUES (814, 'late')")),
            lambda: session.execute(text("INSERT INTO orders (id, item) VALUES (814, 'late')")),
            lambda: branch.native(),
            lambda: drive(by_cursor, raw),
        ):
            with pytest.raises(UsageError, match="TransactionClosed"):
                late()
        branch.message(said(COMMITS[rig.server], branch))
    assert is_there(rig, 813)
    assert not is_there(rig, 814)


def test_no_answer_by_the_deadline_closes_the_connection(endpoint: Any, rig: Rig) -> None:
    """Each phase sets its own."""
    if rig.server == "sqlite":
        pytest.skip("a file answers")
    with Opened(endpoint, rig) as branch:
        branch.session().add(Order(id=815, item="tea"))
        branch.flush()
        branch.deadline = within(0.2)
        with pytest.raises(sqlalchemy.exc.OperationalError):
            branch.message([Statement(SLOW[rig.server])])
        assert branch.driver.expired
        assert branch.doomed
    assert not is_there(rig, 815)


def test_a_message_opens_the_transaction_too_and_its_error_is_the_servers(endpoint: Any, rig: Rig) -> None:
    """The fast lane: there was no session; what failed is not taken for the user's error."""
    with Opened(endpoint, rig) as branch:
        branch.message([Statement("INSERT INTO orders (id, item) VALUES (816, 'tea')")])
        assert branch.driver.busy
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            branch.message([Statement("INSERT INTO orders (id, item) VALUES (816, 'again')")])
        assert not branch.doomed
    assert not is_there(rig, 816)


def test_the_pool_is_bounded_and_its_own(endpoint: Any, rig: Rig) -> None:
    """Branches that wait for one another end at their deadline, and take nothing from reads and writes."""
    most = endpoint._size
    branches = [endpoint.branch(within(), 10.0) for _ in range(most)]
    with pytest.raises(DeadlineExceeded, match="in use"):
        endpoint.branch(within(), 0.05)
    for branch in branches:
        branch.release()
        branch.release()
    again = endpoint.branch(within(), 1.0)
    again.release()


def test_an_endpoint_on_the_applications_engine_takes_no_branch(rig: Rig) -> None:
    """Inside of a kit its connections are the application's."""
    engine = engine_of(rig.urls[0])
    with RegionKit(topology_of([engine]), local=HERE, bookmark_keys=[KEY]) as kit:
        backend: Any = kit.backing("orders").backend(deadline=within())
        with pytest.raises(ConfigurationError, match="takes no branches"):
            backend.branch(within(), 1.0)
    engine.dispose()


def test_a_connection_that_took_no_writes_serves_no_later_branch(endpoint: Any, rig: Rig) -> None:
    """A session keeps the default that it began with: branches would fail long after the database is writable again."""
    if rig.server != "postgresql":
        pytest.skip("PostgreSQL's way of making a database read-only")
    engine = sqlalchemy.create_engine(rig.urls[0], isolation_level="AUTOCOMMIT")
    with engine.connect() as db:
        db.execute(text("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on"))
        try:
            for own in (False, True):
                with Opened(endpoint, rig) as branch:
                    with pytest.raises(sqlalchemy.exc.DBAPIError, match="read-only"):
                        if own:
                            branch.message([Statement("INSERT INTO orders VALUES (811, 'tea')")])
                        else:
                            (branch.native()).execute(text("INSERT INTO orders VALUES (811, 'tea')"))
        finally:
            db.execute(text("ALTER ROLE CURRENT_USER RESET default_transaction_read_only"))
    engine.dispose()
    with Opened(endpoint, rig) as branch:
        (branch.native()).execute(text("INSERT INTO orders VALUES (811, 'tea')"))
        committed(branch, rig)
    assert is_there(rig, 811)
