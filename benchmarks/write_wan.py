"""A write of one row to a far primary: round trips of the whole block, and COMMIT with its position against plain COMMIT.

The emulated round trip is 80 ms (a proxy that delays 40 ms each way). The same blocks on loopback, for orientation, show
what Python and the wider COMMIT cost.
"""

from __future__ import annotations

import itertools
import time
from contextlib import ExitStack
from typing import Any

from sqlalchemy.orm import Session

from benchmarks.harness import Candidate, Report, Row, Settings, measure
from benchmarks.world import Order, World, world
from regionkit import RegionKit
from regionkit.testing.proxy import FaultProxy

EACH_WAY = 0.04
RTT = (2e6 * EACH_WAY, "RTT")
MOST_COMMIT, MOST_TRIPS = 1.01, 2.1
WRITES = 30


def run(settings: Settings) -> list[Report]:
    """One report a server; only PostgreSQL has targets."""
    return [
        _report("postgresql", settings, targets=True),
        *(_report(kind, settings, targets=False) for kind in ("mariadb", "mysql")),
    ]


def _report(kind: str, settings: Settings, *, targets: bool) -> Report:
    report = Report(f"write_{kind}", f"Write block of one INSERT, {kind}", settings)
    with world(kind) as w:
        ids = itertools.count(1000)
        with FaultProxy(w.primary) as proxy:
            far = Settings(settings.rounds, share=0.0)  # one operation a round: each takes a quarter of a second
            report.add(_far_rows(targets), _measured(w, proxy.url, ids, far, proxy), "80 ms")
        report.add(_near_rows(), _measured(w, w.primary, ids, settings), "loopback")
    return report


def _measured(
    w: World, primary: str, ids: itertools.count[int], settings: Settings, proxy: FaultProxy | None = None
) -> dict[str, Any]:
    with ExitStack() as stack:
        kit = stack.enter_context(w.kit(primary=primary))
        engine = stack.enter_context(w.engine(primary))
        if proxy is not None:
            proxy.latency(EACH_WAY)
            stack.callback(proxy.heal)
        return measure(_candidates(kit, engine, ids), settings, WRITES)


def _far_rows(targets: bool) -> list[Row]:
    return [
        Row("COMMIT with position / plain COMMIT", "kit commit", "plain commit", most=MOST_COMMIT if targets else None),
        Row("kit write block", "kit block", way="time", most=MOST_TRIPS if targets else None, unit=RTT),
        Row("plain write block", "plain block", way="time", unit=RTT),
        Row("kit write block / plain", "kit block", "plain block"),
    ]


def _near_rows() -> list[Row]:
    return [
        Row("kit write block / plain", "kit block", "plain block"),
        Row("COMMIT with position / plain COMMIT", "kit commit", "plain commit"),
    ]


def _candidates(kit: RegionKit, engine: Any, ids: itertools.count[int]) -> list[Candidate]:
    session = kit.session()

    def block() -> None:
        with session.write("orders") as db:
            db.add(Order(id=next(ids), item="tea"))

    def plain_block() -> None:
        with Session(engine, expire_on_commit=False) as db, db.begin():
            db.add(Order(id=next(ids), item="tea"))

    def commit() -> float:
        with session.write("orders") as db:
            return _committed(db, next(ids))

    def plain_commit() -> float:
        with Session(engine, expire_on_commit=False) as db:
            return _committed(db, next(ids))

    return [
        Candidate("kit block", block),
        Candidate("plain block", plain_block),
        Candidate("kit commit", commit, own=True),
        Candidate("plain commit", plain_commit, own=True),
    ]


def _committed(db: Any, number: int) -> float:
    """Seconds of the COMMIT alone; the INSERT was answered before."""
    db.add(Order(id=number, item="tea"))
    db.flush()
    began = time.perf_counter()
    db.commit()
    return time.perf_counter() - began
