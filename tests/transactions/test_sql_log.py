# Generated from test_sql_log_async.py by scripts/twins.py. Do not edit.
"""A log in SQL: what is sent, what counts as an answer, what may be an anchor, and what is refused."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.pool import NullPool

from regionkit import RegionKit
from regionkit.embedded import SqliteRegions
from regionkit.errors import ConfigurationError, DeadlineExceeded, OutcomeUnknown, RegionUnavailable
from regionkit.testing import FaultProxy
from regionkit.transactions.logs.choose import log_of
from regionkit.transactions.logs.log_sql import OPEN
from regionkit.transactions.logs.memory import MemoryDecisionLog
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.protocol import Decision

from .log_rigs import IS_ASYNC, NAMESPACE, OLD, SQL_LOGS, LogRig, new_gtrid, soon

COMMIT, ABORT = Decision.COMMIT, Decision.ABORT
BRANCHES = ["a", "b"]
ROW = (
    "INSERT INTO shop_rk_tpc_log (gtrid, state, branches, hazards, decided_by, decided_at, unsettled) "
    "VALUES ('{}', 2, '{{}}', '{{}}', 'x', 0, 0)"
)


def opened(request: pytest.FixtureRequest, server: str, folder: Path) -> tuple[LogRig, Any]:
    rig = LogRig.of(request, server, folder)
    return rig, rig.made()


@pytest.fixture(params=SQL_LOGS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    rig, log = opened(request, request.param, tmp_path)
    plain = sqlalchemy.create_engine(rig.url)
    yield rig, log, plain
    plain.dispose()
    rig.close()


@pytest.fixture
def on_postgresql(request: pytest.FixtureRequest, pg: Any, tmp_path: Path) -> Iterator[Any]:
    rig, log = opened(request, "postgresql", tmp_path)
    plain = sqlalchemy.create_engine(rig.url, isolation_level="AUTOCOMMIT")
    yield rig, log, plain
    plain.dispose()
    rig.close()


def test_a_queued_decision_is_unknown_though_no_row_is_there(made: Any) -> None:
    """Its client is gone, and it may still be done: who asks later is told what came of it, the same each time."""
    rig, log, plain = made
    gtrid = new_gtrid()
    with plain.connect() as other:
        if rig.kind == "sqlite":
            other.exec_driver_sql("BEGIN IMMEDIATE")
        other.exec_driver_sql(ROW.format(gtrid))
        with pytest.raises(DeadlineExceeded if rig.kind == "sqlite" else OutcomeUnknown):
            log.decide(gtrid, COMMIT, BRANCHES, "host:1", soon(1.0))
        if rig.kind != "sqlite":
            assert log.row(gtrid, soon()) is None
        other.rollback()
    winner = log.decide(gtrid, ABORT, [], "r", soon())
    assert (log.row(gtrid, soon())).decision is winner
    if rig.kind == "sqlite":
        assert winner is ABORT  # nothing was sent
    elif rig.kind == "postgresql":
        assert winner is COMMIT  # it stood in the queue first


@pytest.mark.parametrize("kind", ["mariadb", "mysql"])
def test_a_lost_answer_is_unknown(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    """The decision stands."""
    rig, log = opened(request, kind, tmp_path)
    server = rig.url
    with FaultProxy(server) as proxy:
        rig.url = proxy.url
        far = rig.log()
        far.open(NAMESPACE, soon())
        gtrid = new_gtrid()
        proxy.drop_replies()
        with pytest.raises((OutcomeUnknown, RegionUnavailable)):
            for _ in range(9):  # what is sent on a connection that is found dead, was not sent
                far.decide(gtrid, COMMIT, BRANCHES, "host:1", soon(5.0))
        proxy.heal()
        assert far.decide(gtrid, ABORT, [], "r", soon()) is (log.row(gtrid, soon())).decision
    rig.close()


@pytest.mark.parametrize("failed", [DeadlineExceeded, RegionUnavailable])
def test_a_row_that_was_met_and_not_read_is_unknown(made: Any, failed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision was sent: "nothing was sent" would let its branches be rolled back against a COMMIT."""
    _, log, _ = made
    gtrid = new_gtrid()
    assert log.decide(gtrid, COMMIT, BRANCHES, "operator", soon()) is COMMIT

    def away(*_: Any) -> Any:
        raise failed("the log is away.", why="a test.")

    with monkeypatch.context() as patch:
        patch.setattr(log, "_read", away)
        with pytest.raises(OutcomeUnknown):
            log.decide(gtrid, COMMIT, BRANCHES, "host:1", soon())
    assert log.decide(gtrid, ABORT, [], "r", soon()) is COMMIT


def test_a_decision_is_one_round_trip(on_postgresql: Any) -> None:
    """From its first byte to its answer."""
    rig, _, _ = on_postgresql
    with FaultProxy(rig.url) as proxy:
        rig.url = proxy.url
        log = rig.log()
        log.open(NAMESPACE, soon())
        proxy.latency(0.1)
        took = []
        for _ in range(3):
            began = time.monotonic()
            log.decide(new_gtrid(), COMMIT, BRANCHES, "host:1", soon(4.0))
            took.append(time.monotonic() - began)
        assert 0.2 <= min(took) < 0.39, took


def test_a_warning_at_commit_is_no_answer(on_postgresql: Any) -> None:
    """PostgreSQL says so where it gave up waiting for its replicas. What stands is read with a COMMIT of its own."""
    _, log, plain = on_postgresql
    with plain.connect() as db:
        db.exec_driver_sql(
            "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE WARNING 'it may not have been replicated'; RETURN NULL; END $$"
        )
        db.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER warned AFTER INSERT ON shop_rk_tpc_log DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION warn()"
        )
    gtrid = new_gtrid()
    with pytest.raises(OutcomeUnknown, match="warning"):
        log.decide(gtrid, COMMIT, BRANCHES, "host:1", soon())
    assert log.decide(gtrid, ABORT, [], "r", soon()) is COMMIT


@pytest.mark.parametrize(("set_to", "counts"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")])
def test_a_decision_waits_for_the_disk_whatever_the_session_says(on_postgresql: Any, set_to: str, counts: str) -> None:
    """A stronger setting is kept. And it is READ COMMITTED, whatever is the default."""
    rig, first, plain = on_postgresql
    with plain.connect() as db:
        name = db.exec_driver_sql("SELECT current_database()").scalar_one()
        db.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = {set_to}")
        db.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
        db.exec_driver_sql("CREATE TABLE seen (sync text, isolation text)")
        db.exec_driver_sql(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES "
            "(current_setting('synchronous_commit'), current_setting('transaction_isolation')); RETURN NULL; END $$"
        )
        db.exec_driver_sql("CREATE TRIGGER noted AFTER INSERT ON shop_rk_tpc_log FOR EACH ROW EXECUTE FUNCTION note()")
    log = rig.another(first)
    log.decide(new_gtrid(), COMMIT, BRANCHES, "host:1", soon())
    with plain.connect() as db:
        assert [tuple(row) for row in db.execute(text("SELECT * FROM seen"))] == [(counts, "read committed")]
        for statement in log.anchor_statements(new_gtrid(), BRANCHES, "host:1", "postgresql"):
            db.exec_driver_sql(statement)


def test_an_anchor_decides_inside_another_transaction(made: Any) -> None:
    """It commits with it, and fails where a row stands, where the gtrid is closed, and where that came to be meanwhile."""
    rig, log, plain = made
    gtrid = new_gtrid()

    def anchored(db: Any, name: str) -> None:
        for statement in log.anchor_statements(name, BRANCHES, "host:1", rig.kind):
            db.exec_driver_sql(statement)

    with plain.connect() as db, db.begin():
        anchored(db, gtrid)
    row = log.row(gtrid, soon())
    assert (row.decision, row.branches) == (COMMIT, {"a": None, "b": None})
    assert log.decide(gtrid, ABORT, [], "r", soon()) is COMMIT
    barred, closed = new_gtrid(), new_gtrid(OLD + 60)
    log.decide(barred, ABORT, [], "r", soon())
    log.sweep(new_gtrid(OLD + 30), 10, soon())
    for name in (barred, closed):
        with plain.connect() as db, pytest.raises(sqlalchemy.exc.DBAPIError):
            anchored(db, name)
    assert log.row(closed, soon()) is None
    id, swapped = (log.open(NAMESPACE, soon())).id, text("UPDATE shop_rk_tpc_meta SET log_id = :id WHERE id = 1")
    with plain.begin() as db:
        db.execute(swapped, {"id": "ffffffff"})
    with plain.connect() as db, pytest.raises(sqlalchemy.exc.DBAPIError):  # in another log, at the same address
        anchored(db, new_gtrid())
    with plain.begin() as db:
        db.execute(swapped, {"id": id})
    if rig.kind == "sqlite":
        return  # who writes has seen all that was written
    late = new_gtrid(OLD + 10)
    with plain.connect().execution_options(isolation_level="REPEATABLE READ") as db:
        db.exec_driver_sql("SELECT count(*) FROM shop_rk_tpc_meta, shop_rk_tpc_log")
        log.sweep(new_gtrid(OLD + 5), 10, soon())
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            anchored(db, late)


def test_open_rows_are_found_by_their_index(made: Any) -> None:
    """Behind a week of rows that are done; and it says of each row what the row says."""
    rig, log, plain = made
    done, opened, marked = new_gtrid(3), new_gtrid(2), new_gtrid(1)
    for gtrid in (done, opened, marked):
        log.decide(gtrid, COMMIT, BRANCHES, "host:1", soon())
    log.hazard(marked, "a", "gone", soon())
    log.acknowledge({done: {"a": "h", "b": "h"}, marked: {"a": "h", "b": "h"}}, soon())
    assert [row.gtrid for row in log.open_rows(9, soon())] == [opened, marked]
    assert log.forget(marked, soon())
    assert [row.gtrid for row in log.open_rows(9, soon())] == [opened]
    if rig.kind in ("mariadb", "mysql"):
        return  # it takes the other index while the table is small
    [question] = [one.text for one in log._texts.read(OPEN, 9, done) if "ORDER BY" in one.text]
    explain = {"postgresql": "EXPLAIN ", "sqlite": "EXPLAIN QUERY PLAN "}[rig.kind]
    with plain.connect() as db:
        if rig.kind == "postgresql":
            db.exec_driver_sql("SET enable_seqscan = off")
        plan = " ".join(str(row) for row in db.exec_driver_sql(explain + question).all())
    assert "tpc_log_open" in plan
    assert "Filter" not in plan
    assert "TEMP B-TREE" not in plan


def test_a_decision_waits_for_a_floor_that_rises(made: Any) -> None:
    """And is refused below it, though it was sent before."""
    rig, log, plain = made
    if rig.kind == "sqlite":
        return  # one writer at a time: nothing is sent before it is its turn
    gtrid, floor = new_gtrid(OLD + 60), new_gtrid(OLD + 30)
    with plain.connect() as db:
        db.execute(text("UPDATE shop_rk_tpc_meta SET floor = :floor WHERE id = 1"), {"floor": floor})
        with pytest.raises(OutcomeUnknown):
            log.decide(gtrid, COMMIT, BRANCHES, "host:1", soon(1.0))
        db.commit()
    assert log.decide(gtrid, ABORT, [], "r", soon()) is ABORT
    assert log.row(gtrid, soon()) is None


def test_a_log_that_may_lose_decisions_is_refused(made: Any) -> None:
    """The servers of the tests do not flush; a file of SQLite does. `doctor` says it too."""
    rig, log, _ = made
    strict = SqlDecisionLog(rig.engine())
    if rig.kind == "sqlite":
        assert (strict.open(NAMESPACE, soon())).presumes
        assert [finding.level for finding in strict.doctor(soon())] == ["ok"]
    else:
        with pytest.raises(ConfigurationError, match="may lose decisions"):
            strict.open(NAMESPACE, soon())
        facts = strict.open(NAMESPACE, soon(), risky=True)
        assert (facts.presumes, facts.history == facts.noted, bool(facts.risk)) == (False, True, True)
        levels = {finding.level for finding in strict.doctor(soon())}
        assert levels == {"refused"}
        told = " ".join(finding.what for finding in log.doctor(soon()))
        assert "asynchronous" in told
        assert "flush" in told or "fsync" in told
    strict.close()


def test_another_history_presumes_nothing_until_it_is_adopted(made: Any) -> None:
    """A failover, or a copy that was put in its place."""
    _, log, plain = made
    with plain.begin() as db:
        db.execute(text("UPDATE shop_rk_tpc_meta SET history = 'another'"))
    assert not (log.open(NAMESPACE, soon())).presumes
    assert any("history" in finding.what for finding in log.doctor(soon()))
    assert (log.adopt(soon())).presumes
    assert (log.open(NAMESPACE, soon())).presumes


def test_a_log_that_was_never_made_says_so(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """And a server that is not there is not reached."""
    rig = LogRig.of(request, "sqlite", tmp_path)
    with pytest.raises((ConfigurationError, RegionUnavailable)):
        rig.log().open(NAMESPACE, soon())
    rig.close()


class Taker:
    """A participant's face, over an engine of its own."""

    def __init__(self, given: Any, url: Any = None) -> None:
        self.given, self._engine, self.asked = (
            given,
            None if url is None else sqlalchemy.create_engine(url, poolclass=NullPool),
            0,
        )

    def ask(self, question: str, _deadline: Any) -> Any:
        self.asked += 1
        with self._engine.connect() as db:
            return db.execute(text(question)).all()


def test_it_knows_its_own_database(made: Any) -> None:
    """By the engine; or by an address that is the same, and then by what the server says. The password is no part of it."""
    rig, log, _ = made
    url = sqlalchemy.make_url(rig.url)
    assert log.stands_in(Taker(log.given), soon())
    known = [url] if rig.kind == "sqlite" else [url, url.set(password="another")]
    for given in (rig.engine(), *map(sqlalchemy.create_engine, known)):
        taker = Taker(given, url)
        assert log.stands_in(taker, soon())
        assert taker.asked == 1
    others = [url.set(database=f"{url.database}2")]
    others += [] if rig.kind == "sqlite" else [url.set(host="elsewhere"), url.set(port=1)]
    for other in others:
        assert not log.stands_in(Taker(sqlalchemy.create_engine(other), url), soon())
    assert not log.stands_in(Taker(object(), url), soon())


def test_an_equal_address_of_another_database_is_no_anchor(
    made: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """As of a URL whose host is elsewhere than in its place: log id and name of the database are the same, the server is not."""
    rig, log, _ = made
    (tmp_path / "other").mkdir()
    other, theirs = opened(request, rig.kind, tmp_path / "other")
    id, url = (log.open(NAMESPACE, soon())).id, sqlalchemy.make_url(other.url)
    taker = Taker(rig.engine(), url)
    assert not log.stands_in(taker, soon()), "another log"
    with taker._engine.begin() as db:
        db.execute(text("UPDATE shop_rk_tpc_meta SET log_id = :id"), {"id": id})
    assert not log.stands_in(taker, soon()), "a copy, with another name"
    assert taker.asked == 2
    if rig.kind != "sqlite":

        def elsewhere(question: str, deadline: Any, own: Any = taker.ask) -> Any:
            return [(id, sqlalchemy.make_url(rig.url).database, met) for _, _, met in own(question, deadline)]

        taker.ask = elsewhere  # type: ignore[method-assign]
        if rig.kind == "postgresql":  # whose locks are a database's
            assert not log.stands_in(taker, soon()), "a copy in every respect"
    theirs.close()
    other.close()


def test_a_log_in_a_kits_store(tmp_path: Path) -> None:
    """With the kit's namespace and history. Copies that nobody waits for may take over: that is refused."""
    with SqliteRegions(tmp_path, store="orders", primary="us-east-1", replicas=["eu-west-1"], lag=0.0) as regions:
        with RegionKit(regions.topology, local="us-east-1") as kit:
            kit.create_tables()
            strict = SqlDecisionLog(kit, store="orders")
            strict.create_tables(NAMESPACE, soon())
            with pytest.raises(ConfigurationError, match="copied"):
                strict.open(NAMESPACE, soon())
            log = SqlDecisionLog(kit, store="orders", unsafe_async_replica=True)
            assert (log.open(NAMESPACE, soon())).presumes
            gtrid = new_gtrid()
            assert log.decide(gtrid, COMMIT, BRANCHES, "host:1", soon()) is COMMIT
            assert (log.row(gtrid, soon())).decision is COMMIT
            assert log.stands_in(Taker((kit, "orders")), soon())
            assert not log.stands_in(Taker((kit, "payments")), soon())
            assert not log.stands_in(Taker(kit), soon())


def test_what_can_be_a_log(made: Any, tmp_path: Path) -> None:
    """A log, an engine, a path; Redis never, and the error says why."""
    rig, _, _ = made
    assert isinstance(log_of(rig.engine()), SqlDecisionLog)
    memory = MemoryDecisionLog()
    assert log_of(memory) is memory
    assert log_of(os.fspath(tmp_path / "decisions")).name == "decisions"
    client = redis.asyncio.Redis() if IS_ASYNC else redis.Redis()
    with pytest.raises(ConfigurationError, match="failover"):
        log_of(client)
    with pytest.raises(ConfigurationError, match="decision log"):
        SqlDecisionLog(client)
    for wrong in ("postgresql://host/db", object(), 7):
        with pytest.raises(ConfigurationError):
            log_of(wrong)
