"""The demo's traffic from Seoul, and what it measures: people who read and write, each with a bookmark of their own.

A request is a session that begins with its user's bookmark and ends with a new one, as in a web application. A SESSION read
is stale when it shows fewer landings than that user saw or wrote before; an EVENTUAL read, when it shows fewer than were
acknowledged to anybody. Figures are counted only here.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

from sqlalchemy import select

from regionkit.demo.airports import AIRPORT
from regionkit.demo.stage import LOCAL, STORE
from regionkit.facts.consistency import EVENTUAL, STRONG
from regionkit.kit import RegionKit
from regionkit.routing.session import RegionSession

__all__ = ["Figures", "Traffic", "User", "counted", "landed"]

USERS = 12
WRITES, SESSION_READS = 0.05, 0.7
"""Shares of writes and of SESSION reads; the rest are EVENTUAL reads."""
BUSIEST = ("ATL", "ORD", "DFW", "LAX", "DEN", "JFK", "SFO", "SEA", "LAS", "PHX")


class Figures:
    """What was measured."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self.session_reads = 0
        self.session_stale = 0
        self.eventual_reads = 0
        self.eventual_stale = 0

    @property
    def local_share(self) -> float:
        """Of all reads, those that the local region served."""
        total = self.reads.total()
        return self.reads[LOCAL] / total if total else 0.0


class User:
    """Somebody in Seoul: what they saw, and the bookmark that says so."""

    def __init__(self) -> None:
        self.bookmark = ""
        self.seen: dict[str, int] = {}


class Traffic:
    """Requests of many users, one after another; the same seed gives the same requests."""

    def __init__(self, kit: RegionKit, seed: int) -> None:
        self.figures = Figures()
        self._kit = kit
        self._random = random.Random(seed)
        self._users = [User() for _ in range(USERS)]

    def run(self, requests: int, seconds: float, *, writes: bool = True) -> None:
        """So many requests, spread over at least so many seconds."""
        began = time.monotonic()
        for number in range(requests):
            self._request(writes)
            time.sleep(max(0.0, began + (number + 1) * seconds / requests - time.monotonic()))

    def _request(self, writes: bool) -> None:
        user, airport = self._random.choice(self._users), self._random.choice(BUSIEST)
        chance = self._random.random()
        if chance < WRITES and writes:
            self.write(user, airport)
        elif chance < WRITES + SESSION_READS:
            self.read(user, airport)
        else:
            self.eventual_read(airport)

    def write(self, user: User, airport: str) -> str:
        """One more landing; the region that took it."""
        with self._kit.session(bookmark=user.bookmark) as s:
            with s.write(STORE) as db:
                count = db.execute(landed(airport)).scalar_one()
            user.seen[airport], user.bookmark = count, s.bookmark()
            return self.wrote(airport, s)

    def wrote(self, airport: str, session: RegionSession) -> str:
        """Count the write that a session just made."""
        assert session.last_route is not None
        self.figures.writes[session.last_route.region] += 1
        self.figures.acknowledged[airport] += 1
        return session.last_route.region

    def read(self, user: User, airport: str) -> str:
        """A SESSION read; the region that served it."""
        figures = self.figures
        with self._kit.session(bookmark=user.bookmark) as s:
            with s.read(STORE) as db:
                count = db.execute(counted(airport)).scalar_one()
            assert s.last_route is not None
            region = s.last_route.region
            user.bookmark = s.bookmark()
        figures.session_reads += 1
        figures.session_stale += count < user.seen.get(airport, 0)
        figures.reads[region] += 1
        user.seen[airport] = count
        return region

    def eventual_read(self, airport: str) -> str:
        """An EVENTUAL read; the region that served it."""
        figures = self.figures
        with self._kit.session() as s:
            with s.read(STORE, consistency=EVENTUAL) as db:
                count = db.execute(counted(airport)).scalar_one_or_none() or 0
            assert s.last_route is not None
        figures.eventual_reads += 1
        figures.eventual_stale += count < figures.acknowledged[airport]
        figures.reads[s.last_route.region] += 1
        return s.last_route.region

    def lost(self) -> int:
        """Acknowledged landings that the owner of now does not have."""
        with self._kit.session() as s, s.read(STORE, consistency=STRONG) as db:
            there = dict(db.execute(select(AIRPORT.c.iata, AIRPORT.c.landings)).all())
        return sum(max(0, count - there.get(airport, 0)) for airport, count in self.figures.acknowledged.items())


def landed(airport: str) -> Any:
    """UPDATE that counts one more landing and returns the count."""
    rows = AIRPORT.update().where(AIRPORT.c.iata == airport)
    return rows.values(landings=AIRPORT.c.landings + 1).returning(AIRPORT.c.landings)


def counted(airport: str) -> Any:
    """SELECT of an airport's landings."""
    return select(AIRPORT.c.landings).where(AIRPORT.c.iata == airport)
