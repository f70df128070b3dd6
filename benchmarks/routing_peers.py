"""Reads and writes over a primary and one replica, by libraries that route: what is stale, what fails, what it costs.

1. Pairs: one session writes and commits, a second one reads the row, while the replica receives nothing. A reader that
   gets the old row is stale. The kit hands the first session's bookmark to the second; the peers have nothing to hand over.
2. The replica is killed, then each library reads. An exception is an error.
3. Beside a plain Session: a read by primary key, on the same replica, in the same turns.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

from advanced_alchemy.config.routing import RoutingConfig
from advanced_alchemy.routing import RoutingSyncSessionMaker
from sqlalchemy import Delete, Engine, Insert, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from benchmarks.harness import Candidate, Report, Row, Settings, measure
from benchmarks.world import Order, World, world
from regionkit import EVENTUAL, RegionKit
from regionkit.errors import RegionKitError

PAIRS, DEAD_READS, READS = 100, 20, 60
Write = Callable[[int, str], str]
"""Sets a row's item and commits; what the reader is handed."""
Read = Callable[[int, str], str]
"""The row's item; given what the writer handed over."""


def run(settings: Settings) -> list[Report]:
    """One report."""
    report = Report("routing_peers", "Libraries that route, PostgreSQL", settings)
    with world("postgresql") as w, ExitStack() as stack:
        primary, replica = stack.enter_context(w.engine(w.primary)), stack.enter_context(w.engine(w.replica))
        kit = stack.enter_context(w.kit())
        libraries = {
            "regionkit": _regionkit(kit),
            f"Advanced Alchemy {version('advanced-alchemy')}": _advanced_alchemy(w, stack),
            "RoutingSession (get_bind)": _by_hand(primary, replica),
        }
        w.nodes.wait_for_replicas()
        w.bookmark(kit)
        _times(report, settings, kit, replica, libraries)
        _stale(report, w.nodes, libraries)
        w.nodes.replicas[0].kill()
        for name, (_, read) in libraries.items():
            report.figure(f"errors of {DEAD_READS} reads, the replica dead: {name}", _errors(read), "reads")
    return [report]


def _stale(report: Report, nodes: Any, libraries: dict[str, tuple[Write, Read]]) -> None:
    nodes.replicas[0].pause_replay()
    for name, (write, read) in libraries.items():
        stale = 0
        for number in range(PAIRS):
            wanted = f"{name[:20]} {number}"
            stale += read(1, write(1, wanted)) != wanted
        target = 0.0 if name == "regionkit" else None
        report.figure(f"stale of {PAIRS} reads after a write, the replica held: {name}", stale, "reads", most=target)
    nodes.replicas[0].resume_replay()
    nodes.wait_for_replicas()


def _errors(read: Read) -> int:
    errors = 0
    for _ in range(DEAD_READS):
        try:
            read(1, "")
        except (DBAPIError, RegionKitError):
            errors += 1
    return errors


def _times(
    report: Report, settings: Settings, kit: RegionKit, replica: Engine, libraries: dict[str, tuple[Write, Read]]
) -> None:
    def plain() -> None:
        with Session(replica) as db:
            db.get(Order, 1)

    eventual = kit.session()

    def kit_read() -> None:
        with eventual.read("orders", consistency=EVENTUAL) as db:
            db.get(Order, 1)

    candidates = [Candidate("plain Session", plain), Candidate("regionkit", kit_read)]
    others = [name for name in libraries if name != "regionkit"]
    candidates += [Candidate(name, lambda read=libraries[name][1]: read(1, "")) for name in others]
    rows = [Row(f"read / plain Session: {name}", name, "plain Session") for name in libraries]
    report.add(rows, measure(candidates, settings, READS))


def _regionkit(kit: RegionKit) -> tuple[Write, Read]:
    def write(id: int, item: str) -> str:
        with kit.session() as s:
            with s.write("orders") as db:
                db.merge(Order(id=id, item=item))
            return s.bookmark()

    def read(id: int, handed: str) -> str:
        with kit.session(bookmark=handed) as s, s.read("orders") as db:
            return db.get_one(Order, id).item

    return write, read


def _sessions(make: Callable[[], Session]) -> tuple[Write, Read]:
    def write(id: int, item: str) -> str:
        with make() as db:
            db.merge(Order(id=id, item=item))
            db.commit()
        return ""

    def read(id: int, handed: str) -> str:
        with make() as db:
            return db.get_one(Order, id).item

    return write, read


def _advanced_alchemy(w: World, stack: ExitStack) -> tuple[Write, Read]:
    maker = RoutingSyncSessionMaker(RoutingConfig(primary_connection_string=w.primary, read_replicas=[w.replica]))
    stack.callback(maker.close_all)
    return _sessions(maker)


def _by_hand(primary: Engine, replica: Engine) -> tuple[Write, Read]:
    """The session that SQLAlchemy's documentation shows: what is flushed goes to the primary, all else to the replica."""

    class Routing(Session):
        def get_bind(self, mapper: Any = None, *, clause: Any = None, **options: Any) -> Engine:
            writes = self._flushing or isinstance(clause, Insert | Update | Delete)
            return primary if writes else replica

    return _sessions(Routing)
