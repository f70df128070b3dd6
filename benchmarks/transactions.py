"""Two-phase commit over two PostgreSQL servers, against two plain commits: what all-or-nothing costs.

One INSERT into each. The plain commits are psycopg's own (BEGIN, INSERT, COMMIT: three trips each, one server after the
other), and may tear. "By hand" is the floor: three messages of the fewest statements that two-phase commit with a log needs,
sent by libpq, with no guard, no error handled, no recovery. What it takes over the plain commits no library can take less.
SQLAlchemy's two phases and zope's have no log: who dies between two COMMIT PREPARED leaves the second for ever. Servers flush
(fsync); the SQL log stands on a third. The far rows have 20 ms between client and both databases, and a log in a file beside
the client. The last group has client and servers on one core: nothing of the client's work is hidden there.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import psycopg
import sqlalchemy
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.harness import Candidate, Report, Row, Settings, measure, pin, pin_children
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.testing import FaultProxy, servers
from regionkit.transactions import TransactionManager
from regionkit.transactions.logs.file import FileDecisionLog
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.participants.participant import BranchOptions
from regionkit.transactions.protocol import Decision
from regionkit.transactions.xid import Xid, gtrid_of

EACH_WAY = 0.01
RTT = (2e6 * EACH_WAY, "RTT")
NEAR, FAR = 40, 3
"""Transactions of each candidate in one round."""
WORKERS, EACH = 8, 12
IN_DOUBT = 1000
MOST = {"anchor": 1.3, "file": 1.3, "sql": 1.7}
"""Of the fast lane, over two plain commits."""
STATEMENTS = 2
"""Trips of the user's own statements."""
SETTINGS = {"fsync": "on", "max_prepared_transactions": str(IN_DOUBT + 64)}
INSERT = "INSERT INTO bench (id, item) VALUES ({}, 'tea')"
TABLES = (
    "CREATE TABLE bench (id BIGINT PRIMARY KEY, item TEXT)",
    "CREATE TABLE hand_marker (gtrid TEXT PRIMARY KEY)",
    "CREATE TABLE hand_log (gtrid TEXT PRIMARY KEY)",
)


class Bench:
    """Both databases, a third one for a log, and ids that are never used twice."""

    def __init__(self, urls: list[str], log_url: str, stack: ExitStack) -> None:
        self.urls = urls
        self.log_url = log_url
        self._stack = stack
        self.ids = itertools.count(1)

    def engine(self, url: str) -> sqlalchemy.Engine:
        """Closed at the end."""
        engine = sqlalchemy.create_engine(url, pool_size=WORKERS)
        self._stack.callback(engine.dispose)
        return engine

    def manager(self, log: str, urls: list[str] | None = None) -> TransactionManager:
        """With its tables; what it has to look at once is looked at."""
        first, second = (self.engine(url) for url in urls or self.urls)
        if log == "file":
            made: Any = FileDecisionLog(self._stack.enter_context(tempfile.TemporaryDirectory()) + "/log")
        else:
            made = SqlDecisionLog(first if log == "anchor" else self.engine(self.log_url))
        tm = TransactionManager(namespace=f"n_{log}", log=made, participants={"a": first, "b": second})
        self._stack.callback(tm.close)
        tm.create_tables()
        return tm

    # the candidates

    def plain(self, urls: list[str] | None = None) -> Callable[[], None]:
        """psycopg: connections that stay, whoever uses them; one commit after the other."""
        kept: list[list[Any]] = []

        def run() -> None:
            try:
                both = kept.pop()
            except IndexError:
                both = [psycopg.connect(_bare(url)) for url in urls or self.urls]
                for connection in both:
                    self._stack.callback(connection.close)
            number = next(self.ids)
            for connection in both:
                connection.execute(INSERT.format(number))
            for connection in both:
                connection.commit()
            kept.append(both)

        return run

    def by_hand(self) -> Callable[[], None]:
        """The floor: the first database is the anchor, the second one is prepared."""
        both = [psycopg.connect(_bare(url), autocommit=True) for url in self.urls]
        for connection in both:
            self._stack.callback(connection.close)
        a, b = (connection.pgconn for connection in both)

        def send(to: PGconn, message: str) -> None:
            answer = to.exec_(message.encode())
            assert answer.status == ExecStatus.COMMAND_OK, answer.error_message

        def run() -> None:
            number = next(self.ids)
            work = f"BEGIN;{INSERT.format(number)};INSERT INTO hand_marker VALUES ('{number}')"
            send(b, f"{work};PREPARE TRANSACTION 'hand {number}'")
            send(a, f"{work};INSERT INTO hand_log VALUES ('{number}');COMMIT")
            send(b, f"COMMIT PREPARED 'hand {number}'")

        return run

    def twophase(self) -> Callable[[], None]:
        """SQLAlchemy's Session."""
        first, second = (self.engine(url) for url in self.urls)

        def run() -> None:
            number = next(self.ids)
            with Session(twophase=True) as db, db.begin():
                db.execute(text(INSERT.format(number)), bind_arguments={"bind": first})
                db.execute(text(INSERT.format(number)), bind_arguments={"bind": second})

        return run

    def zope(self) -> Callable[[], None] | None:
        """zope.sqlalchemy's, where it is installed."""
        if find_spec("transaction") is None or find_spec("zope") is None or find_spec("zope.sqlalchemy") is None:
            return None
        transaction, register = import_module("transaction"), import_module("zope.sqlalchemy").register
        first, second = (self.engine(url) for url in self.urls)

        def run() -> None:
            number = next(self.ids)
            with transaction.manager:
                for engine in (first, second):
                    db = Session(engine, twophase=True)
                    register(db, initial_state="changed")
                    db.execute(text(INSERT.format(number)))

        return run

    def typed(self, tm: TransactionManager) -> Callable[[], None]:
        """By the branches' Sessions."""

        def run() -> None:
            number = next(self.ids)
            with tm.begin() as tx:
                for name in ("a", "b"):
                    tx.session(name).execute(text(INSERT.format(number)))

        return run

    def deferred(self, tm: TransactionManager, ack: Any = "settled") -> Callable[[], None]:
        """The fast lane."""

        def run() -> None:
            number = next(self.ids)
            with tm.begin(ack=ack) as tx:
                for name in ("a", "b"):
                    tx.defer(name, INSERT.format(number))

        return run


def run(settings: Settings) -> Report:
    """All rows."""
    report = Report("transactions", "Two-phase commit, two PostgreSQL servers", settings)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with ExitStack() as stack:
        nodes = [stack.enter_context(servers.postgresql(0, settings=SETTINGS)).primary for _ in range(3)]
        for node in nodes[:2]:
            with psycopg.connect(_bare(node.app_url)) as db:
                for table in TABLES:
                    db.execute(table)
        bench = Bench([node.app_url for node in nodes[:2]], nodes[2].app_url, stack)
        managers = {log: bench.manager(log) for log in MOST}
        _near(report, bench, managers, settings, f"cores: {cores}")
        _workers(report, bench, managers["file"], settings)
        _far(report, bench, settings, stack)
        _flushes(report, bench, [node.url for node in nodes])
        _recovery(report, managers["sql"])
        if cores > 1:
            pin_children(pin())
            _near(report, bench, managers, settings, "cores: 1")
    return report


def _near(
    report: Report, bench: Bench, managers: dict[str, TransactionManager], settings: Settings, where: str
) -> None:
    candidates = [Candidate(name, run()) for name, run in (("plain", bench.plain), ("hand", bench.by_hand))]
    candidates.append(Candidate("twophase", bench.twophase()))
    rows = [Row("by hand / plain", "hand", "plain"), Row("SQLAlchemy twophase / plain", "twophase", "plain")]
    if (zope := bench.zope()) is None:
        report.note("zope.sqlalchemy and transaction are not installed: no row of theirs.")
    else:
        candidates.append(Candidate("zope", zope))
        rows.append(Row("zope.sqlalchemy / plain", "zope", "plain"))
    for log, tm in managers.items():
        candidates += [Candidate(f"session {log}", bench.typed(tm)), Candidate(f"defer {log}", bench.deferred(tm))]
        rows.append(Row(f"Session path, {log} log / plain", f"session {log}", "plain"))
        rows.append(Row(f"Session path, {log} log / twophase", f"session {log}", "twophase"))
        rows.append(Row(f"fast lane, {log} log / plain", f"defer {log}", "plain", most=MOST[log]))
    rows.append(Row("fast lane, anchor log / by hand", "defer anchor", "hand"))
    report.add(rows, measure(candidates, settings, NEAR), where)


def _workers(report: Report, bench: Bench, tm: TransactionManager, settings: Settings) -> None:
    def of(run: Callable[[], None]) -> Callable[[], float]:
        def together() -> float:
            began = time.perf_counter()
            threads = [threading.Thread(target=lambda: [run() for _ in range(EACH)]) for _ in range(WORKERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return (time.perf_counter() - began) / (WORKERS * EACH)

        return together

    candidates = [
        Candidate("plain", of(bench.plain()), own=True),
        Candidate("session file", of(bench.typed(tm)), own=True),
        Candidate("defer file", of(bench.deferred(tm)), own=True),
    ]
    few = Settings(min(settings.rounds, 9), share=0.0)
    rows = [
        Row("Session path, file log / plain", "session file", "plain"),
        Row("fast lane, file log / plain", "defer file", "plain"),
    ]
    report.add(rows, measure(candidates, few, 1), f"{WORKERS} workers")


def _far(report: Report, bench: Bench, settings: Settings, stack: ExitStack) -> None:
    proxies = [stack.enter_context(FaultProxy(url)) for url in bench.urls]
    urls = [proxy.url for proxy in proxies]
    tm = bench.manager("file", urls)
    tm.start_recovery(interval=2.0)
    for _ in range(2):
        bench.typed(tm)()
    for proxy in proxies:
        proxy.latency(EACH_WAY)

    def at_hand(call: Callable[[], None]) -> Callable[[], float]:
        """The same over the same proxies, with no distance."""

        def near() -> float:
            for proxy in proxies:
                proxy.heal()
            began = time.perf_counter()
            call()
            took = time.perf_counter() - began
            for proxy in proxies:
                proxy.latency(EACH_WAY)
            return took

        return near

    candidates = [
        Candidate("plain", bench.plain(urls)),
        Candidate("session", bench.typed(tm)),
        Candidate("defer", bench.deferred(tm)),
        Candidate("decided", bench.deferred(tm, "decided")),
    ]
    most = {"session": STATEMENTS + 2.1, "defer": 2.1, "decided": 1.15}
    rows = [Row(one.name, one.name, way="time", most=most.get(one.name), unit=RTT) for one in candidates]
    rows += [
        Row(f"{one.name}, without what it takes at hand", one.name, f"{one.name} at hand", "difference", unit=RTT)
        for one in candidates
    ]
    candidates += [Candidate(f"{one.name} at hand", at_hand(one.run), own=True) for one in tuple(candidates)]
    report.add(rows, measure(candidates, Settings(settings.rounds, share=0.0), FAR), "20 ms")
    for proxy in proxies:
        proxy.heal()


def _flushes(report: Report, bench: Bench, urls: list[str]) -> None:
    """Flushes of the write-ahead log, as each server counts its own."""
    time.sleep(11.0)  # sessions that are idle hand in what is left after ten seconds
    runs = {"plain": bench.plain(), **{f"fast lane, {log} log": bench.deferred(bench.manager(log)) for log in MOST}}
    for name, call in runs.items():
        before = _synced(urls, call)
        for _ in range(NEAR - 1):
            call()
        report.figure(f"flushes a transaction, {name}", (_synced(urls, call) - before) / NEAR, "flushes")


def _synced(urls: list[str], call: Callable[[], None]) -> int:
    for _ in range(2):
        time.sleep(1.1)  # sessions hand their counts in with a statement, once a second at most
        call()
    found = 0
    for url in urls:
        with psycopg.connect(_bare(url)) as db:
            found += int(db.execute("SELECT wal_sync FROM pg_stat_wal").fetchone()[0])  # type: ignore[index]
    return found


def _recovery(report: Report, tm: TransactionManager) -> None:
    """Transactions that were decided and not told: their coordinator is gone."""
    ground, deadline = tm._ground, Deadline(SYSTEM_CLOCK, 300.0)
    log = ground.log.open(ground.namespace, deadline)
    names = ("a", "b")
    for number in range(IN_DOUBT // 2):
        gtrid = gtrid_of(int((time.time() - 600.0) * 1000.0) + number, os.urandom(10))
        for name in names:
            branch = ground.participants[name].begin(
                BranchOptions(Xid(ground.namespace, log.id, gtrid, name, 0)), deadline
            )
            branch.defer(INSERT.format(10_000_000 + number))
            assert branch.prepare(deadline).vote is not None
            branch._link.discard()  # as its process would
        assert ground.log.decide(gtrid, Decision.COMMIT, names, "bench", deadline) is Decision.COMMIT
    began = time.perf_counter()
    tm.recover(timeout=300.0)
    report.figure(f"recovery of {IN_DOUBT} branches in doubt", time.perf_counter() - began, "s")
    left = sum(len(ground.participants[name].listed(deadline)) for name in names)
    report.figure("branches that are left after it", left, "branches", most=0)


def _bare(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")
