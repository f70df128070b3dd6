# Generated from postgres_wake_async.py by scripts/twins.py. Do not edit.
"""A hint across processes that something was published: NOTIFY and LISTEN of PostgreSQL, beside every poll and never instead.

1. Nothing rests on it: what is lost costs the wait for the next poll, and no more.
2. It is sent after the COMMIT, on a connection of its own: in the producer's transaction it would break PREPARE, and all
   commits would queue for it. Hints of one process go out at most 50 times a second, whatever number of commits made them.
3. LISTEN needs the server itself: through a pooler (PgBouncer) nothing comes back. That is seen when it connects, and said in
   `explain()`; then only the polls are there.
4. After a connection was lost everybody is woken: hints that came meanwhile are gone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency import Flag
from regionkit.core.supervisor import Supervisor
from regionkit.errors import ConfigurationError
from regionkit.topology.topology import NAMESPACE
from regionkit.topology.validation import check_name

__all__ = ["LISTENING", "PostgresWake"]

IS_ASYNC = False

LISTENING = "listening"
"""`state` where hints come."""
SHORTEST_PAUSE = 0.02
"""Seconds between two hints of a process."""
LOOK = 0.5
"""Seconds after which the listener looks whether it is to stop."""
ASKED_EVERY = 30.0
"""Seconds after which a silent connection is asked whether it is still there."""
POOLED_AGAIN = 60.0
"""Seconds after which a pooler is looked at again: somebody may have given the address of the server."""
_POOLED = "a pooler (PgBouncer) is in front of the server, and notifications do not pass it"


class PostgresWake:
    """Wakes relays and queues of other processes. Safe to share between threads (tasks of one loop); start it after a fork.

    Its two connections are taken out of the engine's pool, and are no part of it. All who are to hear of each other give
    engines of one database; it need not be that of the outbox or queue.

    Args:
        engine: a SQLAlchemy engine of PostgreSQL, over psycopg, whose URL leads to the server itself.
        namespace: who shares it.
        clock: the clock to use.

    Raises:
        ConfigurationError: another server, or another driver.
    """

    def __init__(self, engine: Any, *, namespace: str = "regionkit", clock: Clock = SYSTEM_CLOCK) -> None:
        check_name("namespace", namespace, NAMESPACE)
        dialect = getattr(engine, "dialect", None)
        named = f"{getattr(dialect, 'name', '')}+{getattr(dialect, 'driver', '')}"
        if named != "postgresql+psycopg" or getattr(dialect, "is_async", None) is not IS_ASYNC:
            raise ConfigurationError(
                f"a PostgresWake{' of asyncio' if IS_ASYNC else ''} over a {type(engine).__name__} ({named}).",
                why="NOTIFY and LISTEN are PostgreSQL's, and are heard through psycopg here.",
                fix=f"give an engine{' of asyncio' if IS_ASYNC else ''} of postgresql+psycopg://...; or leave wake= out.",
            )
        self._engine = engine
        self._channel = f"{namespace}_rk_wake"
        self._mine = os.urandom(6).hex()
        self._clock = clock
        self._supervisor = Supervisor(clock)
        self._hearing: dict[object, tuple[str, Callable[[], None]]] = {}
        self._subjects: set[str] = set()
        self._told = Flag()
        self._ears: Any = None
        self._mouth: Any = None
        self._asked_at = 0.0
        self.state = "not started"

    def __enter__(self) -> PostgresWake:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, and tell, in the background, until `stop`."""
        self._supervisor.start("wake: listen", self._listen, self._deaf)
        self._supervisor.start("wake: tell", self._tell, self._mute)

    def stop(self) -> None:
        """Let go of both connections. May be called twice."""
        self._told.set()
        self._supervisor.stop(2.0 * LOOK)
        ears, self._ears, mouth, self._mouth = self._ears, None, self._mouth, None
        _closed(ears)
        _closed(mouth)
        self.state = "stopped"

    def tell(self, subject: str) -> None:
        """Something was published; returns at once."""
        self._subjects.add(subject)
        self._told.set()

    def hear(self, subject: str, call: Callable[[], None]) -> Callable[[], None]:
        """Call `call` when another process reports it; call the result to unsubscribe."""
        token = object()
        self._hearing[token] = (subject, call)
        return lambda: self._hearing.pop(token, None) and None

    def _tell(self) -> float:
        if not self._told.wait(LOOK):
            return 0.0
        self._told.clear()
        try:
            if self._mouth is None:
                self._mouth = self._connected()
            while self._subjects:
                said = f"{self._mine} {self._subjects.pop()}"
                self._mouth.execute("SELECT pg_notify(%s, %s)", (self._channel, said))
        except BaseException:
            mouth, self._mouth = self._mouth, None
            _closed(mouth)
            raise
        return SHORTEST_PAUSE

    def _listen(self) -> float:
        try:
            if self._ears is None:
                self._ears = self._connected()
                if not self._listens(self._ears):
                    ears, self._ears, self.state = self._ears, None, _POOLED
                    _closed(ears)
                    return POOLED_AGAIN
                self.state = LISTENING
                self._wake(None)
            self._heard(self._ears)
        except BaseException:
            ears, self._ears = self._ears, None
            _closed(ears)
            raise
        return 0.0

    def _listens(self, ears: Any) -> bool:
        """Whether it listens now; a pooler gives out numbers of its own."""
        found = (ears.execute("SELECT pg_backend_pid()")).fetchone()
        if found[0] != ears.info.backend_pid:
            return False
        ears.execute(f'LISTEN "{self._channel}"')
        self._asked_at = self._clock.monotonic()
        return True

    def _heard(self, ears: Any) -> None:
        for note in ears.notifies(timeout=LOOK, stop_after=1):
            who, _, subject = note.payload.partition(" ")
            if who != self._mine:
                self._wake(subject)
        if self._clock.monotonic() - self._asked_at > ASKED_EVERY:
            ears.execute("SELECT 1")
            self._asked_at = self._clock.monotonic()

    def _wake(self, subject: str | None) -> None:
        for wanted, call in tuple(self._hearing.values()):
            if subject in (None, wanted):
                call()

    def _connected(self) -> Any:
        """A connection that is no part of the engine's pool any more; each statement commits by itself."""
        raw = self._engine.raw_connection()
        driver = raw.driver_connection
        raw.detach()
        driver.set_autocommit(True)
        return driver

    def _deaf(self, error: BaseException) -> None:
        self.state = f"not listening: {str(error).strip().partition(chr(10))[0][:200]}"

    def _mute(self, error: BaseException) -> None:
        """The hint is lost: whoever waits polls anyway."""


def _closed(driver: Any) -> None:
    if driver is not None:
        with contextlib.suppress(Exception):
            driver.close()
