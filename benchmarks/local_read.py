"""A read by primary key from the local copy, and a block that sends nothing: the kit against plain SQLAlchemy.

The plain peer is `with Session(engine)` in a default transaction on the same replica; the AUTOCOMMIT Session stands
beside it, as that is what the kit runs on: its ratio is the most that can be won.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from benchmarks.harness import Candidate, Report, Row, Settings, Spread, measure, measure_async
from benchmarks.world import HERE, Order, World, world
from regionkit import EVENTUAL, SESSION, Consistency

MOST_READ, MOST_OPENING, MOST_ASYNC_OPENING = 0.70, 15.0, 1.0
READS, OPENINGS = 60, 100


def run(settings: Settings) -> list[Report]:
    """One report a server; only PostgreSQL has targets."""
    return [
        _report("postgresql", settings, targets=True),
        *(_report(kind, settings, targets=False) for kind in ("mariadb", "mysql")),
    ]


def _report(kind: str, settings: Settings, *, targets: bool) -> Report:
    report = Report(f"local_read_{kind}", f"Local read, {kind}", settings)
    with world(kind) as w:
        _threads(w, report, settings, targets)
        asyncio.run(_asyncio(w, report, settings, targets))
    return report


def _rows(targets: bool) -> list[Row]:
    most = MOST_READ if targets else None
    return [
        Row("EVENTUAL read / plain Session", "kit EVENTUAL", "plain", most=most),
        Row("SESSION read, copy proved / plain Session", "kit SESSION", "plain", most=most),
        Row("plain AUTOCOMMIT Session / plain Session", "plain AUTOCOMMIT", "plain"),
        Row("EVENTUAL read over plain AUTOCOMMIT Session", "kit EVENTUAL", "plain AUTOCOMMIT", "difference"),
    ]


def _threads(w: World, report: Report, settings: Settings, targets: bool) -> None:
    """RegionKit against `with Session(engine)`."""
    with ExitStack() as stack:
        kit = stack.enter_context(w.kit())
        plain = stack.enter_context(w.engine(w.replica))
        autocommit = stack.enter_context(w.engine(w.replica, isolation_level="AUTOCOMMIT"))
        session = kit.session(bookmark=w.bookmark(kit))
        unbound = kit.session()

        def read(s: Any, level: Consistency) -> Callable[[], None]:
            def run() -> None:
                with s.read("orders", consistency=level) as db:
                    db.get(Order, 1)

            return run

        def opened(level: Consistency) -> Callable[[], None]:
            def run() -> None:
                with unbound.read("orders", consistency=level):
                    pass

            return run

        def plain_read(engine: Any) -> Callable[[], None]:
            def run() -> None:
                with Session(engine) as db:
                    db.get(Order, 1)

            return run

        def plain_opened() -> None:
            with Session(plain):
                pass

        reads = [
            Candidate("kit EVENTUAL", read(unbound, EVENTUAL)),
            Candidate("kit SESSION", read(session, SESSION)),
            Candidate("plain", plain_read(plain)),
            Candidate("plain AUTOCOMMIT", plain_read(autocommit)),
        ]
        report.add(_rows(targets), measure(reads, settings, READS), "threads")
        _was_local(session)
        openings = [Candidate("kit, no statement", opened(EVENTUAL)), Candidate("plain, no statement", plain_opened)]
        row = Row("a block without a statement adds", "kit, no statement", "plain, no statement", "difference")
        report.add([_aimed(row, MOST_OPENING, targets)], measure(openings, settings, OPENINGS), "threads")


async def _asyncio(w: World, report: Report, settings: Settings, targets: bool) -> None:
    """AsyncRegionKit against `async with AsyncSession(engine)`."""
    plain, autocommit = w.async_engine(w.replica), w.async_engine(w.replica, isolation_level="AUTOCOMMIT")
    with w.kit() as helper:
        bookmark = w.bookmark(helper)
    async with w.async_kit() as kit:
        session, unbound = kit.session(bookmark=bookmark), kit.session()
        await kit.create_tables()  # asks every endpoint where it stands

        def read(s: Any, level: Consistency) -> Callable[[], Any]:
            async def run() -> None:
                async with s.read("orders", consistency=level) as db:
                    await db.get(Order, 1)

            return run

        async def opened() -> None:
            async with unbound.read("orders", consistency=EVENTUAL):
                pass

        def plain_read(engine: Any) -> Callable[[], Any]:
            async def run() -> None:
                async with AsyncSession(engine) as db:
                    await db.get(Order, 1)

            return run

        async def plain_opened() -> None:
            async with AsyncSession(plain):
                pass

        reads = [
            Candidate("kit EVENTUAL", read(unbound, EVENTUAL)),
            Candidate("kit SESSION", read(session, SESSION)),
            Candidate("plain", plain_read(plain)),
            Candidate("plain AUTOCOMMIT", plain_read(autocommit)),
        ]
        report.add(_rows(targets), await measure_async(reads, settings, READS), "asyncio")
        _was_local(session)
        openings = [Candidate("kit, no statement", opened), Candidate("plain, no statement", plain_opened)]
        spreads: dict[str, Spread] = await measure_async(openings, settings, OPENINGS)
        row = Row("a block without a statement / AsyncSession without one", "kit, no statement", "plain, no statement")
        report.add([_aimed(row, MOST_ASYNC_OPENING, targets)], spreads, "asyncio")
    await plain.dispose()
    await autocommit.dispose()


def _aimed(row: Row, most: float, targets: bool) -> Row:
    return Row(row.what, row.candidate, row.peer, row.way, most if targets else None)


def _was_local(session: Any) -> None:
    route = session.last_route
    assert route is not None and route.region == HERE, f"the read left the region: {route}"
