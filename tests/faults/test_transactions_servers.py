"""Servers die, freeze, fail over and lose answers between the phases: all or none, or a hazard that is shown; told truthfully.

`a` and the decision log are PostgreSQL that flush, `b` is MariaDB. All is counted from the data of both databases.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fix_servers import absent, entered
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import HeuristicOutcome, RegionKitError, RegionUnavailable, TransactionAborted, TransactionInDoubt
from regionkit.testing import servers
from regionkit.testing.crash import crash_points
from regionkit.testing.proxy import FaultProxy
from regionkit.testing.servers.process import process_tree
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.participants.factory import participant_of
from regionkit.transactions.protocol import Outcome
from regionkit.transactions.recovery import Recovery
from regionkit.transactions.recovery_views import Report

pytestmark = [pytest.mark.postgresql, pytest.mark.mariadb]
NAMESPACE = "faults"
TIMEOUT, SETTLE = 2.0, 1.5
"""Seconds of a transaction, to its decision and behind it."""
SLOW = 4.0
"""Seconds that a busy machine may add to them."""
BEFORE_DECISION, AFTER_DECISION = "tpc.prepare.after", "tpc.decided"
CALM_WITHIN = 20.0
NUMBERS = itertools.count(1)


def soon(seconds: float = 30.0) -> Deadline:
    """A deadline that the test is not about."""
    return Deadline(SYSTEM_CLOCK, seconds)


class World:
    """Three servers, a database on each: `a`, `b`, `log`."""

    def __init__(
        self, sets: Mapping[str, Any], urls: Mapping[str, str], kit: Callable[[], RegionKit] | None = None
    ) -> None:
        self.sets, self.urls = dict(sets), dict(urls)
        self.nodes = {name: made.primary for name, made in sets.items()}
        self.kit = kit
        for name in ("a", "b"):
            self.sql(name, "CREATE TABLE moved (id INTEGER PRIMARY KEY)")
        with self.bank() as bank:
            bank.tm.create_tables()

    def sql(self, name: str, statement: str, url: str = "") -> list[Any]:
        """Run one from outside, on a connection of its own."""
        engine = create_engine(url or self.urls[name], poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as db:
            found = db.execute(text(statement))
            return list(found.all()) if found.returns_rows else []

    def bank(self, **urls: str) -> Bank:
        """A process's own manager and recoverer, reaching some by other URLs."""
        return Bank({**self.urls, **urls}, self.kit() if self.kit else None)

    def sides(self, number: int) -> tuple[int, int]:
        """How often the transfer is on each."""
        a, b = (self.sql(name, f"SELECT id FROM moved WHERE id = {number}") for name in ("a", "b"))
        return len(a), len(b)

    @property
    def left(self) -> list[str]:
        """Names of branches of ours that are still prepared."""
        listed = [row[0] for row in self.sql("a", "SELECT gid FROM pg_prepared_xacts")]
        for row in self.sql("b", "XA RECOVER"):  # a text from MySQL
            listed.append(row[3] if isinstance(row[3], str) else bytes(row[3]).decode())
        return [name for name in listed if NAMESPACE in name]

    def come_back(self) -> None:
        """All servers run again, and nothing is prepared."""
        for node in self.nodes.values():
            node.thaw()
            if not node.alive:
                node.start()
        assert self.settled().clean
        assert self.left == []

    def settled(self, bank: Bank | None = None) -> Report:
        """Recovery by a process that knows nothing, until all is clean or a hazard is shown."""
        with bank or self.bank() as bank:
            end = time.monotonic() + CALM_WITHIN
            while True:
                report = bank.recovery.run(soon())
                if report.clean or report.hazards or time.monotonic() > end:
                    return report
                time.sleep(0.1)


class Bank:
    """A manager over `a` and `b`; `a` may be a kit's store."""

    def __init__(self, urls: Mapping[str, str], kit: RegionKit | None) -> None:
        self.kit = kit
        self.engines = {name: create_engine(url, poolclass=NullPool) for name, url in urls.items()}
        self.log = SqlDecisionLog(self.engines["log"], unsafe_async_replica=True)
        given: dict[str, Any] = {name: self.engines[name] for name in "ab"} | ({"a": (kit, "a")} if kit else {})
        self.participants = {
            name: participant_of(name, of, namespace=NAMESPACE, unsafe_no_flush=True) for name, of in given.items()
        }
        self.tm = TransactionManager(namespace=NAMESPACE, log=self.log, participants=self.participants)
        self.recovery = Recovery(NAMESPACE, self.log, self.participants, patience=0.0)
        self.tx: Any = None

    def move(self, number: int, timeout: float = TIMEOUT, settle: float = SETTLE) -> BaseException | None:
        """A row to each; what the block raised."""
        try:
            with self.tm.begin(timeout=timeout, settle=settle) as self.tx:
                for name in ("a", "b"):
                    self.tx.session(name).execute(text(f"INSERT INTO moved VALUES ({number})"))
        except RegionKitError as error:
            return error
        return None

    def warm(self) -> None:
        """Whatever is opened once is open."""
        assert self.move(next(NUMBERS), 30.0, 30.0) is None
        end = time.monotonic() + CALM_WITHIN
        while self.tm._ground._acknowledged and time.monotonic() < end:  # else it has the log's connection
            time.sleep(0.01)

    def __enter__(self) -> Bank:
        return self

    def __exit__(self, *_: object) -> None:
        self.tm.close(within=5.0)
        if self.kit:
            self.kit.close()
        for engine in self.engines.values():
            engine.dispose()


def truthful(error: BaseException | None, bank: Bank, sides: tuple[int, int]) -> None:
    """What the application was told, against the data after recovery."""
    match error:
        case None:
            assert (bank.tx.outcome, sides) == (Outcome.COMMITTED, (1, 1))
        case TransactionAborted():
            assert (error.committed, sides) == ("no", (0, 0))
        case TransactionInDoubt():
            assert error.committed == "unknown"
            assert sides in ((0, 0), (1, 1))
        case _:
            raise error


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ExitStack() as stack:
        a, log = (entered(stack, servers.postgresql(settings={"fsync": "on"})) for _ in range(2))
        b = entered(stack, servers.mariadb(0))
        sets = {"a": a, "b": b, "log": log}
        urls = {name: made.primary.url_for(made.database()) for name, made in sets.items()}
        yield World(sets, urls)


@pytest.fixture(autouse=True)
def _as_it_was(world: World) -> Iterator[None]:
    """All servers run, and nothing is prepared."""
    yield
    world.come_back()


# -- (a) servers that die or freeze


@pytest.mark.parametrize("instant", [BEFORE_DECISION, AFTER_DECISION])
@pytest.mark.parametrize("name", ["a", "b", "log"])
@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_server_is_lost_between_the_phases(how: str, name: str, instant: str, world: World) -> None:
    """The block ends in its time, and says what is known; what recovery finds when the server is back fits it."""
    node, number, struck = world.nodes[name], next(NUMBERS), []
    with world.bank() as bank:
        bank.warm()

        def strike() -> None:
            getattr(node, how)()
            struck.append(time.monotonic())

        with crash_points({instant: strike}):
            error = bank.move(number)
        took = time.monotonic() - struck[0]
        assert took < TIMEOUT + SETTLE + SLOW
        if name != "log" or instant == AFTER_DECISION:
            assert error is None, "all had voted YES, and the log could be asked"
            assert bank.tx.pending == (() if name == "log" else (name,))
        else:
            assert isinstance(error, TransactionInDoubt | TransactionAborted)
        if how == "kill":
            node.start()
        else:
            node.thaw()
        report = world.settled()
        assert (report.clean, report.hazards) == (True, ()), str(report)
        assert world.left == []
        truthful(error, bank, world.sides(number))
        if isinstance(error, TransactionInDoubt):
            assert bank.tx.wait_settled(30.0)
            assert world.sides(number) == {Outcome.COMMITTED: (1, 1), Outcome.ABORTED: (0, 0)}[bank.tx.outcome]


# -- (b) answers that are lost

LOST = {
    "PREPARE of a": ("a", "tpc.prepare.first.before", "", TransactionAborted, (0, 0)),
    "PREPARE of b": ("b", "tpc.prepare.last.before", "", TransactionAborted, (0, 0)),
    "decision": ("log", "tpc.decide.before", "", TransactionInDoubt, (1, 1)),
    "decision, asked again": ("log", "tpc.decide.before", "tpc.bar.before", None, (1, 1)),
    "COMMIT of a": ("a", "tpc.commit.first.before", "", None, (1, 1)),
    "COMMIT of b": ("b", "tpc.commit.last.before", "", None, (1, 1)),
    "COMMIT of a, asked again": ("a", "tpc.commit.first.before", "tpc.commit.first.after", None, (1, 1)),
    "COMMIT of b, asked again": ("b", "tpc.commit.last.before", "tpc.commit.last.after", None, (1, 1)),
}
"""Whose, where it begins and ends, what is raised, what the data says at last."""


@pytest.mark.parametrize("what", LOST)
def test_an_answer_is_lost(what: str, world: World) -> None:
    """The server has done it, and nobody hears so: the outcome is told truthfully."""
    name, begins, ends, raised, sides = LOST[what]
    number = next(NUMBERS)
    with FaultProxy(world.urls[name]) as proxy, world.bank(**{name: proxy.url}) as bank:
        bank.warm()
        points: dict[str, Callable[[], None]] = {begins: proxy.drop_replies}
        if ends:
            points[ends] = proxy.heal
        with crash_points(points) as reached:
            error = bank.move(
                number, settle=SETTLE + 3.0 if ends or "COMMIT" in what else SETTLE
            )  # a busy server has to get it
        assert all(reached.values())
        assert proxy.dropped > 0
        proxy.heal()
        assert isinstance(error, raised) if raised else error is None
        still = name in bank.tx.pending
        if "COMMIT" in what:
            end = time.monotonic() + 10
            while world.sides(number) != (1, 1) and time.monotonic() < end:
                time.sleep(0.01)  # it was sent: a busy server does it a moment later
            assert world.sides(number) == (1, 1), "only its answer was lost"
            assert still is not bool(ends)
        elif "PREPARE" in what:
            assert still, "nobody knows whether it is prepared"
        truthful(error, bank, sides)
        report = world.settled()
        assert (report.clean, report.hazards) == (True, ()), str(report)
        assert (world.sides(number), world.left) == (sides, [])


def test_without_a_log_a_lost_answer_tears(world: World) -> None:
    """The control: SQLAlchemy's `twophase=True` commits one after the other, and what follows the lost answer is rolled back."""
    number, struck = next(NUMBERS), []
    with FaultProxy(world.urls["a"]) as a, FaultProxy(world.urls["b"]) as b:
        proxies = {"a": a, "b": b}
        engines = {name: create_engine(proxy.url, poolclass=NullPool) for name, proxy in proxies.items()}
        session = Session(twophase=True)

        def first(name: str) -> Callable[..., None]:
            def strike(*_: object) -> None:
                if not struck:
                    struck.append(name)
                    proxies[name].drop_replies()

            return strike

        for name, engine in engines.items():
            session.connection(bind_arguments={"bind": engine}).execute(text(f"INSERT INTO moved VALUES ({number})"))
            event.listen(engine, "commit_twophase", first(name))
        with pytest.raises(Exception, match=r"(?i)connection|server"):
            session.commit()
        session.close()
        for name, engine in engines.items():
            proxies[name].heal()
            engine.dispose()
    committed = dict(zip("ab", world.sides(number), strict=True))
    assert committed == {name: int(name in struck) for name in "ab"}, "this SQLAlchemy is atomic: say so here"


# -- (c) a primary is replaced


QUICK = {"base": "aggressive", "open_first": 0.2, "open_longest": 0.4, "hold_down": 0.1}


@contextmanager
def pair(world: World) -> Iterator[World]:
    """`a` is a kit's store, on a primary with a standby."""
    with ExitStack() as stack:
        made = entered(stack, servers.postgresql(1, settings={"fsync": "on"}))
        sets = {"a": made, "b": world.sets["b"], "log": world.sets["log"]}
        names = {name: one.database() for name, one in sets.items()}
        urls = {name: one.primary.url_for(names[name]) for name, one in sets.items()}

        def kit() -> RegionKit:
            ends = [
                Endpoint(region, role, node.url.rsplit("/", 1)[0] + f"/{names['a']}")  # may read how timelines followed
                for region, role, node in zip("pq", (Role.PRIMARY, Role.REPLICA), made.nodes, strict=True)
            ]
            stores = [SqlStore("a", endpoints=ends)]
            return RegionKit(
                Topology(namespace=NAMESPACE, regions=[Region("p"), Region("q")], stores=stores),
                local="p",
                profile=QUICK,
            )

        with kit() as first:
            first.create_tables()
        own = World(sets, urls, kit)
        with own.bank() as bank:
            bank.warm()
        made.wait_for_replicas()
        yield own


FAILOVERS = {
    "PREPARE is there, COMMIT is not sent yet": ("tpc.commit.first.before", "tpc.commit.first.before", True),
    "PREPARE is there, COMMIT is lost": ("tpc.commit.first.before", "", True),
    "PREPARE is lost behind the decision": ("tpc.prepare.before", "tpc.decided", False),
    "PREPARE is lost behind the end": ("tpc.prepare.before", "", False),
}
"""What the standby has. Where it hears for the last time from its primary; where that is lost (""; behind the end); whether
all can still be committed."""


@pytest.mark.parametrize("what", FAILOVERS)
def test_a_primary_is_replaced(what: str, world: World) -> None:
    """What was replayed is committed there; what was not is a hazard that stays, and is never called done."""
    deaf, lost, whole = FAILOVERS[what]
    number = next(NUMBERS)
    with pair(world) as own:
        made = own.sets["a"]
        [standby] = made.replicas

        def deafen() -> None:
            made.wait_for_replicas()
            standby.stop()

        def replace() -> None:
            made.primary.kill()
            standby.start()
            standby.promote()
            own.urls["a"] = make_url(own.urls["a"]).set(port=standby.port).render_as_string(hide_password=False)

        def both() -> None:
            deafen()
            replace()

        points = {deaf: both} if deaf == lost else {deaf: deafen, lost: replace}
        with own.bank() as bank, crash_points(points):
            error = bank.move(number, timeout=30.0, settle=20.0)
            if not lost:
                assert error is None
        if not lost:
            replace()
        report = own.settled()
        if whole:
            assert error is None
            assert (report.clean, report.hazards, own.sides(number)) == (True, (), (1, 1)), str(report)
        else:
            assert own.sides(number) == (0, 1)
            assert isinstance(error, HeuristicOutcome) or not lost
            for shown in (report, own.settled()):
                assert [list(one.hazards) for one in shown.hazards] == [["a"]], str(shown)
                assert not shown.clean
        assert own.sql("a", "SELECT gid FROM pg_prepared_xacts") == []


def test_a_primary_is_replaced_behind_one_address(world: World) -> None:
    """Of a plain engine: it is barred, and says what to do, until somebody says that the new primary counts."""
    with ExitStack() as stack:
        made = entered(stack, servers.postgresql(1, settings={"fsync": "on"}))
        proxy = stack.enter_context(FaultProxy(made.primary.url_for(made.database())))
        for replaced in (False, True):
            if replaced:
                made.wait_for_replicas()
                made.primary.kill()
                made.replicas[0].promote()
                proxy.target(made.replicas[0].url)
            engine = create_engine(proxy.url, poolclass=NullPool)
            participant = participant_of("a", engine, namespace=NAMESPACE)
            if replaced:
                with pytest.raises(RegionUnavailable, match=r"create_tables\(\) again"):
                    participant.listed(soon(3.0))
            participant.create_tables(soon())
            assert participant.listed(soon(3.0)) == []
            participant.close()


# -- (d) a coordinator that wakes up too late


RECOVERERS = 3
FROZEN = [
    ("tpc.prepare.first.after", "TransactionAborted no", (0, 0)),
    ("tpc.decide.before", "TransactionAborted no", (0, 0)),
    ("tpc.decided", "committed", (1, 1)),
    ("tpc.commit.first.after", "committed", (1, 1)),
]
"""At which instant, what it is told when it goes on, what the data say."""


@pytest.mark.parametrize(("instant", "told", "sides"), FROZEN)
def test_recoverers_at_once_and_a_coordinator_that_was_frozen(
    instant: str, told: str, sides: tuple[int, int], world: World, tmp_path: Path
) -> None:
    """They end it while it stands still; when it goes on, it is told so."""
    number, path = next(NUMBERS), tmp_path / "told"

    def work() -> None:
        with crash_points({instant: "freeze"}):
            bank = world.bank()
            error: Any = bank.move(number, timeout=120.0, settle=30.0)
            path.write_text("committed" if error is None else f"{type(error).__name__} {error.committed}")

    pid = child(work)
    try:
        _, status = os.waitpid(pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "it has to stand still there"
        banks, together, reports = [world.bank() for _ in range(RECOVERERS)], threading.Barrier(RECOVERERS), []

        def recover(bank: Bank) -> None:
            together.wait()
            reports.append(bank.recovery.run(soon()))

        threads = [threading.Thread(target=recover, args=(bank,)) for bank in banks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for bank in banks:
            bank.__exit__()
        assert len(reports) == RECOVERERS
        report = world.settled()
        assert (report.clean, report.hazards) == (True, ()), str(report)
        last = world.sql("log", f"SELECT * FROM {NAMESPACE}_rk_tpc_log ORDER BY gtrid DESC LIMIT 1")
        assert (world.sides(number), world.left) == (sides, []), f"nobody waits for it; the log has {last}"
    finally:
        os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, 0)
    assert status == 0
    assert path.read_text() == told
    assert (world.sides(number), world.left) == (sides, [])


def child(work: Callable[[], None]) -> int:
    """A process that does it, and ends with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it uses no thread of this process
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


# -- (e) the decision is on the disk first


def traced(world: World, trace: Path) -> tuple[str, set[str]]:
    """What both servers did in a transfer, as the system saw it; the log server's processes."""
    strace = shutil.which("strace")
    if strace is None:
        absent("strace is not installed")
    with world.bank() as bank:
        bank.warm()
        families = {name: process_tree(world.nodes[name]._lifecycle._process.pid) for name in ("a", "log")}
        pids = [str(pid) for family in families.values() for pid in family]
        calls = "trace=recvfrom,fdatasync,fsync"
        command = [strace, "-f", "-s", "4000", "-e", calls, "-o", str(trace)]
        for pid in pids:
            command += ["-p", pid]
        at_work = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert at_work.stderr is not None
        try:
            for _ in pids:
                line = at_work.stderr.readline()
                if "attached" not in line:
                    absent(f"strace may not trace here: {line}")
            assert bank.move(next(NUMBERS), 60.0, 30.0) is None
        finally:
            at_work.send_signal(signal.SIGINT)
            at_work.communicate(timeout=30)
        return str(bank.tx.gtrid), {str(pid) for pid in families["log"]}


def flushed_before_commit(trace: Path, gtrid: str, family: set[str]) -> bool:
    """Whether the log server flushed between the decision's arrival and that of the first COMMIT PREPARED."""
    lines = [line.split(maxsplit=1) for line in trace.read_text().splitlines()]
    mine = [at for at, (_, call) in enumerate(lines) if "recvfrom" in call and gtrid in call]
    decided = [at for at in mine if "tpc_log" in lines[at][1] and "INSERT" in lines[at][1]]
    commits = [at for at in mine if "COMMIT PREPARED" in lines[at][1]]
    assert len(decided) == len(commits) == 1, "the trace lacks what is looked for"
    family = family | {lines[decided[0]][0]}
    done = re.compile(r"f(data)?sync(\(\d+\)| resumed>.*\))\s+= 0")
    return any(pid in family and done.search(call) for pid, call in lines[decided[0] : commits[0]])


def test_the_decision_is_flushed_before_the_first_commit_leaves(world: World, tmp_path: Path) -> None:
    """And not where the log's server does not flush: so the trace sees it."""
    gtrid, family = traced(world, tmp_path / "flushing")
    assert flushed_before_commit(tmp_path / "flushing", gtrid, family)

    def fsync(value: str) -> None:
        world.nodes["log"].sql(f"ALTER SYSTEM SET fsync = {value}")
        world.nodes["log"].sql("SELECT pg_reload_conf()")
        while world.sql("log", "SHOW fsync")[0][0] != value:
            time.sleep(0.05)

    fsync("off")
    try:
        gtrid, family = traced(world, tmp_path / "careless")
        assert not flushed_before_commit(tmp_path / "careless", gtrid, family)
    finally:
        fsync("on")
