"""The story: what a newcomer should have seen within half a minute. Told once, played on any stage.

Every line is printed after what it tells has happened, and says what happened: regions, counts and times are measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import select

from regionkit.demo.airports import AIRPORT, METADATA, airports
from regionkit.demo.caching import tell_caching
from regionkit.demo.messages import tell_messages
from regionkit.demo.narration import Narrator, duration
from regionkit.demo.settings import tell_write_back
from regionkit.demo.stage import HEIR, HOME, LOCAL, NAMES, STORE, Stage
from regionkit.demo.transactions import tell_transactions
from regionkit.demo.workload import Traffic, User, counted, landed
from regionkit.errors import InvalidBookmark, NoEligibleEndpoint, RegionKitError, RegionUnavailable, StaleRead
from regionkit.facts.consistency import EVENTUAL
from regionkit.kit import RegionKit
from regionkit.routing.session import RegionSession

__all__ = ["Pace", "Story"]

T = TypeVar("T")

INCHEON = {"iata": "ICN", "name": "Incheon International", "city": "Seoul", "state": "KR"}
PLACE = {"latitude": 37.4691, "longitude": 126.4505, "landings": 0}
BETWEEN_TRIES = 0.01
"""Seconds between two tries to write while there is no primary."""
LONGEST_RECOVERY = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How much happens: requests and the seconds over which they are spread, per chapter."""

    calm: tuple[int, float]
    outage: tuple[int, float]
    after: tuple[int, float]


class Story:
    """One telling.

    Args:
        stage: entered already.
        kit: in Seoul, with a bookmark key.
        say: called with each line.
        pace: how much happens.
        seed: of the traffic.
        pause: called with a prompt before HOME is killed; for a key press.
    """

    def __init__(
        self, stage: Stage, kit: RegionKit, say: Narrator, pace: Pace, seed: int, pause: Callable[[str], None]
    ) -> None:
        self._stage = stage
        self._kit = kit
        self._say = say
        self._pace = pace
        self._pause = pause
        self._traffic = Traffic(kit, seed)
        self._figures = self._traffic.figures
        self._bookmark = ""
        self._doomed = ""
        self._killed_at = 0.0
        self._lost_before = 0
        self.results: dict[str, Any] = {}

    def tell(self) -> dict[str, Any]:
        """All of it; the figures."""
        began = time.monotonic()
        self._load()
        self._read_your_writes()
        self._calm()
        self._kill()
        self._recover()
        self._after()
        self._forgery()
        self._twice()
        self._revive()
        self.results |= tell_caching(self._say) | tell_write_back(self._say, real=self._stage.name == "real")
        self.results |= tell_messages(self._say) | tell_transactions(self._say)
        self.results |= self._counted()
        self.results["seconds"] = round(time.monotonic() - began, 3)
        return self.results

    def _load(self) -> None:
        rows = airports()
        self._kit.create_tables()

        def load() -> None:
            with self._kit.session() as s:
                with s.write(STORE, core=True, timeout=30.0) as db:
                    METADATA.create_all(db)
                    db.execute(AIRPORT.insert(), rows)
                self._bookmark = s.bookmark()

        _, seconds = _timed(load)
        self.results["rows"] = len(rows)
        self._say.step(
            f"{len(rows):,} US airports are loaded in Virginia, in one transaction.",
            f'with s.write("{STORE}") as db: db.execute(AIRPORT.insert(), rows)',
            seconds,
        )
        self._await_copies()

    def _await_copies(self) -> None:
        """Until Seoul has all that was written so far."""
        with self._kit.session(bookmark=self._bookmark) as s:
            for _ in range(int(60.0 / BETWEEN_TRIES)):
                with s.read(STORE) as db:
                    db.execute(select(1))
                if _region(s) == LOCAL:
                    return
                time.sleep(BETWEEN_TRIES)

    def _read_your_writes(self) -> None:
        say, look = self._say, select(AIRPORT.c.name).where(AIRPORT.c.iata == "ICN")
        with self._kit.session() as s:

            def add() -> None:
                with s.write(STORE) as db:
                    db.execute(AIRPORT.insert(), INCHEON | PLACE)

            _, seconds = _timed(add)
            self._traffic.figures.writes[_region(s)] += 1
            say.step(
                f"Seoul adds its own airport, ICN; the write goes to {_place(s)}.",
                f'with s.write("{STORE}") as db: db.execute(AIRPORT.insert(), ICN)',
                seconds,
            )

            def hasty() -> Any:
                with s.read(STORE, consistency=EVENTUAL) as db:
                    return db.execute(look).scalar_one_or_none()

            name, seconds = _timed(hasty)
            self.results["eventual_read_missed"] = name is None
            verb = "misses it: the copy is behind" if name is None else "sees it already"
            say.step(
                f"An EVENTUAL read stays in {_place(s)} and {verb}.",
                f's.read("{STORE}", consistency=EVENTUAL)',
                seconds,
            )

            def careful() -> Any:
                with s.read(STORE) as db:
                    return db.execute(look).scalar_one_or_none()

            name, seconds = _timed(careful)
            self.results["session_read_saw"] = name is not None
            assert s.last_decision is not None and s.last_route is not None
            waited = sum(a.seconds for a in s.last_route.attempts if a.kind == "wait" and a.region == LOCAL)
            how = "moves to" if _region(s) != LOCAL else f"waits {duration(waited)} in" if waited else "stays in"
            say.step(
                f"The session's read {how} {_place(s)} and sees {name or 'nothing'}.",
                f's.read("{STORE}")',
                seconds,
            )
            say.step("Why there? Every decision can say so.", "print(s.last_decision.explain())")
            say.block(f"\n{s.last_decision.explain()}\n\n", indent="")
            self._bookmark = s.bookmark()

    def _calm(self) -> None:
        count, seconds = self._pace.calm
        self._traffic.run(count, seconds)
        figures = self._figures
        self._say.step(
            f"{count} requests from Seoul, each with its user's bookmark: {figures.reads[LOCAL]} of "
            f"{figures.reads.total()} reads are served in Seoul, {figures.session_stale} SESSION reads too old.",
            "with kit.session(bookmark=cookie) as s: ...; cookie = s.bookmark()",
        )

    def _kill(self) -> None:
        self._await_copies()
        time.sleep(1.5 * self._stage.lag)
        self._pause(f"press a key to kill {NAMES[HOME]}")
        with self._kit.session() as s:  # nobody but this session will ever have heard of it
            with s.write(STORE) as db:
                db.execute(landed("ICN"))
            self._traffic.wrote("ICN", s)
            self._doomed = s.bookmark()
        self._stage.kill()
        self._killed_at = time.monotonic()
        self._say.step("Virginia is killed, right after it acknowledged one more write.", self._stage.calls["kill"])
        before = self._figures.reads.copy()
        count, seconds = self._pace.outage
        self._traffic.run(count, seconds, writes=False)
        reads = self._figures.reads - before
        self._say.step(
            f"Reads go on: {reads[LOCAL]} of {reads.total()} are served in Seoul.",
            f's.read("{STORE}")',
        )
        error, seconds = _timed(self._refused_write)
        self._say.step(
            f'A write is refused at once: {type(error).__name__}, committed="{error.committed}".',
            f'with s.write("{STORE}") as db: ...',
            seconds,
        )

    def _refused_write(self) -> RegionKitError:
        try:
            self._traffic.write(User(), "ICN")
        except (RegionUnavailable, NoEligibleEndpoint) as error:
            return error
        raise AssertionError("a write to a dead region was acknowledged")

    def _recover(self) -> None:
        promoted_at = time.monotonic()
        self._stage.promote()
        user, region = User(), ""
        while not region:
            try:
                region = self._traffic.write(user, "SFO")
            except RegionKitError:
                if time.monotonic() > promoted_at + LONGEST_RECOVERY:
                    raise
                time.sleep(BETWEEN_TRIES)
        now = time.monotonic()
        self.results["recovered_after_promote"] = round(now - promoted_at, 3)
        self.results["recovered_after_kill"] = round(now - self._killed_at, 3)
        self._say.step(
            f"{NAMES[HEIR]} is promoted; the kit finds out, and a write goes to {NAMES[region]}.",
            self._stage.calls["promote"],
            now - promoted_at,
        )
        self._stage.settle()
        self._lost_before = self._traffic.lost()
        self._say_lost()

    def _say_lost(self) -> None:
        with self._kit.session(bookmark=self._doomed) as s:
            try:
                with s.read(STORE) as db:
                    db.execute(counted("ICN"))
                told = "survived, and its bookmark is good"
            except StaleRead as error:
                told = f"was lost; its bookmark says so: StaleRead, lost={error.lost}"
                self.results["lost_write_told"] = error.lost
            self._say.step(f"The last write in Virginia {told}.", f'kit.session(bookmark=...).read("{STORE}")')

    def _after(self) -> None:
        count, seconds = self._pace.after
        before = self._figures.writes.copy()
        self._traffic.run(count, seconds)
        writes = self._figures.writes - before
        self._say.step(
            f"{count} more requests: {writes[HEIR]} of {writes.total()} writes are taken in {NAMES[HEIR]}.",
            "with kit.session(bookmark=cookie) as s: ...  # the same kit and code",
        )

    def _forgery(self) -> None:
        with self._kit.session() as s:
            with s.read(STORE) as db:
                db.execute(counted("ICN"))
            true = s.bookmark()
        middle = len(true) // 2
        forged = true[:middle] + ("A" if true[middle] != "A" else "B") + true[middle + 1 :]
        try:
            self._kit.session(bookmark=forged)
            told = "accepted"
        except InvalidBookmark as error:
            told = f"refused: {type(error).__name__}"
        self.results["forgery_refused"] = told != "accepted"
        self._say.step(f"A bookmark with one letter changed is {told}.", "kit.session(bookmark=forged)")

    def _twice(self) -> None:
        key = "landing-KE-0018"
        with self._kit.session() as s:
            counts = [
                s.execute_write(STORE, lambda db: db.execute(landed("ICN")).scalar_one(), idempotency_key=key)
                for _ in range(2)
            ]
            self._traffic.wrote("ICN", s)
            with s.read(STORE) as db:
                there = db.execute(counted("ICN")).scalar_one()
        self.results["keyed_sent"] = len(counts)
        self.results["keyed_counted"] = there - counts[0] + 1
        self._say.step(
            f"One landing, sent twice under one key, counts "
            f"{'once' if there == counts[0] else 'twice'}: answers {counts[0]} and {counts[1]}, in the table {there}.",
            f's.execute_write("{STORE}", land, idempotency_key="{key}")',
        )

    def _revive(self) -> None:
        self._stage.revive(self._kit)
        self._say.step(
            f"Virginia comes back: as a copy of {NAMES[HEIR]}, not as a second primary.", self._stage.calls["revive"]
        )

    def _counted(self) -> dict[str, Any]:
        figures = self._figures
        return {
            "reads": figures.reads.total(),
            "reads_by_region": dict(figures.reads.most_common()),
            "local_share": round(figures.local_share, 4),
            "session_reads_checked": figures.session_reads,
            "session_reads_stale": figures.session_stale,
            "eventual_reads": figures.eventual_reads,
            "eventual_reads_stale": figures.eventual_stale,
            "writes": figures.writes.total(),
            "writes_by_region": dict(figures.writes.most_common()),
            "writes_lost_by_failover": self._lost_before,
            "writes_lost_later": self._traffic.lost() - self._lost_before,
        }


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.monotonic()
    result = work()
    return result, time.monotonic() - began


def _region(session: RegionSession) -> str:
    assert session.last_route is not None
    return session.last_route.region


def _place(session: RegionSession) -> str:
    return NAMES[_region(session)]
