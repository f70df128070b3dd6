"""What a session's guarantee costs on a replica that is known to have caught up: SESSION against an unchecked read.

The position of the bookmark is compared with what the replica was seen to have reached, in this process: no message.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.harness import Candidate, Report, Row, Settings, measure
from benchmarks.world import HERE, Order, world
from regionkit import EVENTUAL, SESSION, Consistency, RegionKit

MOST = 1.02
READS = 100


def run(settings: Settings) -> list[Report]:
    """One report a server; only PostgreSQL has a target."""
    return [_report("postgresql", settings, MOST), *(_report(kind, settings, None) for kind in ("mariadb", "mysql"))]


def _report(kind: str, settings: Settings, most: float | None) -> Report:
    """Rows: the same session asked at both levels; then a session per request, as a web application makes them."""
    report = Report(f"session_read_{kind}", f"Session-consistent read, {kind}", settings)
    with world(kind) as w, w.kit() as kit:
        text = w.bookmark(kit)
        candidates = [
            Candidate("EVENTUAL", _reading(kit, text, EVENTUAL)),
            Candidate("SESSION", _reading(kit, text, SESSION)),
            Candidate("session per request, EVENTUAL", _requesting(kit, "", EVENTUAL)),
            Candidate("session per request, SESSION with bookmark", _requesting(kit, text, SESSION)),
        ]
        rows = [
            Row("SESSION, caught-up replica / EVENTUAL", "SESSION", "EVENTUAL", most=most),
            Row("SESSION over EVENTUAL", "SESSION", "EVENTUAL", "difference"),
            Row(
                "a session per request from a bookmark / without one, EVENTUAL",
                "session per request, SESSION with bookmark",
                "session per request, EVENTUAL",
            ),
        ]
        report.add(rows, measure(candidates, settings, READS))
    return report


def _reading(kit: RegionKit, text: str, level: Consistency) -> Callable[[], None]:
    session = kit.session(bookmark=text)
    with session.read("orders", consistency=level) as db:
        assert db.get(Order, 2) is not None
    route = session.last_route
    assert route is not None and route.region == HERE, f"the read left the region: {route}"

    def run() -> None:
        with session.read("orders", consistency=level) as db:
            db.get(Order, 1)

    return run


def _requesting(kit: RegionKit, text: str, level: Consistency) -> Callable[[], None]:
    def run() -> None:
        with kit.session(bookmark=text) as session, session.read("orders", consistency=level) as db:
            db.get(Order, 1)

    return run
