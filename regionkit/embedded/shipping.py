"""Shipping: the owner's database is copied to the other regions when it changed, each copy `lag` seconds after it was taken.

1. A change is seen by PRAGMA data_version, which moves with every commit of another connection. Nothing is copied by the
   clock: while nobody writes, nothing moves.
2. One process ships for all: the one that holds the lock `ship`. Others try for it, so that shipping outlives a process.
3. A region that is down neither ships nor receives. What its owner had under way when it went down is dropped, as a
   connection drops it; a region that comes back gets a fresh copy.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from typing import IO, NamedTuple

from regionkit.core.concurrency import Task, spawn
from regionkit.embedded.copies import CHECKPOINT_WAIT, CopyFailed, backed_up, land, trim
from regionkit.embedded.folder import Folder, State, connect

__all__ = ["MOST_IN_FLIGHT", "Shipper"]

MOST_IN_FLIGHT = 8
"""Copies under way at once, each as large as the database: while an owner is written to without pause, a copy is taken
every eighth of the lag, so that the regions are behind by at most the lag, an eighth of it, and the copying itself."""
LOOK_EVERY = 0.01
"""Seconds between two looks at the owner: some 50 us of work each, and what a lag of 0 comes to."""
LEAD_EVERY = 0.1
"""Seconds between two tries to become the process that ships."""
CROWDED_WAIT, HELD_WAIT = 0.05, 0.5
"""Seconds until a copy is tried again that readers kept out, or a writer on the copy's file."""


class _Copy(NamedTuple):
    """A snapshot of the owner, under way to the other regions."""

    number: int
    source: str
    taken_at: float
    database: sqlite3.Connection


class Shipper:
    """The thread that ships, or waits to. Started by its construction.

    Attributes:
        trouble: what went wrong in the newest round; None when nothing did. Every round is tried anew.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._ending = threading.Event()
        self._lead: IO[str] | None = None
        self._lead_at = 0.0
        self._source = ""
        self._connections: dict[str, tuple[str, sqlite3.Connection]] = {}
        self._version = -1
        self._taken = 0
        self._taken_at = float("-inf")
        self._arrived: dict[str, int] = {}
        self._again_at: dict[str, float] = {}
        self._under_way: deque[_Copy] = deque()
        self.trouble: Exception | None = None
        self._ended = threading.Event()
        self._task: Task = spawn(f"regionkit ships {folder.store}", self._run)

    def stop(self) -> None:
        """End it and wait, at most as long as one copy may take. What is under way is dropped, and taken anew next time."""
        self._ending.set()
        self._ended.wait(5.0)
        self._task.stop()

    def _run(self) -> None:
        try:
            while not self._ending.wait(LOOK_EVERY):
                try:
                    self._look()
                    self.trouble = None
                except Exception as error:  # a file is held, missing, full: the next round may find it well
                    self.trouble = error
                    self._forget()
                    self._ending.wait(LEAD_EVERY)
        finally:
            self._forget()
            if self._lead is not None:
                self._lead.close()
            self._ended.set()

    def _look(self) -> None:
        now = time.monotonic()
        if self._lead is None:
            if now < self._lead_at:
                return
            self._lead_at = now + LEAD_EVERY
            self._lead = self._folder.lead()
            if self._lead is None:
                return
        state = self._folder.known()
        if state.owner != self._source:
            self._forget()
            self._source = state.owner
        if self._folder.is_down(self._source):
            self._drop()
            return
        self._take(state, now)
        self._deliver(state, now)

    def _take(self, state: State, now: float) -> None:
        """Take a copy when the owner changed since the last one, or a region lacks it and none is under way."""
        source = self._connection(self._source)
        version: int = source.execute("PRAGMA data_version").fetchone()[0]
        others = [r for r in state.regions if r != self._source and not self._folder.is_down(r)]
        lacking = not self._under_way and any(self._arrived.get(r, 0) < max(1, self._taken) for r in others)
        if version == self._version and not lacking:
            return
        if now < self._taken_at + state.lag / MOST_IN_FLIGHT or len(self._under_way) > MOST_IN_FLIGHT:
            return
        database = sqlite3.connect(
            "", check_same_thread=False
        )  # a private file that SQLite keeps in memory while small
        backed_up(source, database)
        self._version, self._taken, self._taken_at = version, self._taken + 1, now
        self._under_way.append(_Copy(self._taken, self._source, now, database))

    def _deliver(self, state: State, now: float) -> None:
        """Let every copy arrive whose time has come; of several, only the newest is carried over."""
        due = [copy for copy in self._under_way if copy.taken_at + state.lag <= now]
        if not due:
            return
        copy, waiting = due[-1], False
        for region in state.regions:
            if region == self._source or self._folder.is_down(region) or self._arrived.get(region, 0) >= copy.number:
                continue
            if now < self._again_at.get(region, 0.0) or not self._land(copy, region):
                waiting = True
        for old in due if not waiting else due[:-1]:
            self._under_way.remove(old)
            old.database.close()

    def _land(self, copy: _Copy, region: str) -> bool:
        with self._folder.changing():
            state = self._folder.known()
            if state.owner != copy.source or self._folder.is_down(copy.source) or self._folder.is_down(region):
                return True  # the next look finds out what that means
            try:
                landing = land(self._folder, state.namespace, region, self._connection(region), copy.database)
            except CopyFailed:
                landing = None
        if landing is None or landing.outcome == "crowded":
            self._again_at[region] = time.monotonic() + (HELD_WAIT if landing is None else CROWDED_WAIT)
            return False
        if landing.replaced:
            self._disconnect(region)
        self._arrived[region] = copy.number
        return True

    def _connection(self, region: str) -> sqlite3.Connection:
        """To today's file of a region: `revive` may have put another in its place."""
        file = self._folder.file(region)
        known = self._connections.get(region)
        if known is not None and known[0] == file:
            return known[1]
        self._disconnect(region)
        connection = connect(self._folder.root / file, busy_wait=CHECKPOINT_WAIT)
        self._connections[region] = file, connection
        trim(connection)
        return connection

    def _disconnect(self, region: str) -> None:
        known = self._connections.pop(region, None)
        if known is not None:
            known[1].close()

    def _drop(self) -> None:
        """Forget what is under way; whatever region lacks it gets a fresh copy."""
        for copy in self._under_way:
            copy.database.close()
        self._under_way.clear()
        self._version = -1

    def _forget(self) -> None:
        """Begin anew: another owner, or something went wrong."""
        self._drop()
        for region in list(self._connections):
            self._disconnect(region)
        self._arrived.clear()
        self._again_at.clear()
        self._taken_at = float("-inf")
