"""A signal handler raises in the midst of a driver's wait: its exception leaves as itself, and no server is blamed.

A time limit of the application's is made like this (SIGALRM, a worker's soft limit). Drivers take an OSError, which TimeoutError
is, for their socket's.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fix_lines import HOME, PATIENT, Line, line_of

from regionkit import EVENTUAL, RegionKit, UsageError

WAITS = frozenset({"wait", "waited", "recv_into", "recv", "readinto", "receive_data", "_read_bytes", "select"})
"""Functions in which the drivers wait for an answer, as the innermost Python frame."""

STANDS = 100
"""Looks, a hundredth of a second apart, at which a thread stands at one instruction: it waits, by whatever name."""


class Late(TimeoutError):
    """A time limit of the application's."""


class Limit(Exception):
    """One that is no OSError."""


class Over(BaseException):
    """What a time-out of greenlets is."""


KINDS = (TimeoutError, Late, ConnectionResetError, Limit, Over)


class Stopping:
    """A kit whose only endpoint stands behind a proxy, and the signal that comes when nothing is answered."""

    def __init__(self, line: Line, kit: RegionKit) -> None:
        self.server = line.server
        self.kit = kit
        self.proxy = line.proxy
        self.do = line.actions

    def counted(self) -> int:
        """Failures of calls that count against the endpoint."""
        return sum(b.errors + b.window_failed for b in self.kit._store("orders").state._breakers.values())

    @property
    def backend(self) -> Any:
        """The one endpoint's."""
        return self.kit._store("orders").backends[0]

    @contextmanager
    def stopped_by(self, raised: BaseException, *, at_once: bool = True) -> Iterator[Callable[[], None]]:
        """From here, or from the call on, nothing is answered, and once the driver waits the signal comes."""

        def handler(*_: object) -> None:
            raise raised

        before = signal.signal(signal.SIGUSR1, handler)
        thread = threading.Thread(target=signal_once_waiting, daemon=True)

        def stop() -> None:
            self.proxy.freeze()
            thread.start()

        try:
            with pytest.raises(type(raised)) as caught:
                if at_once:
                    stop()
                yield stop
            assert caught.value is raised
        finally:
            self.proxy.heal()
            thread.join(60)
            signal.signal(signal.SIGUSR1, before)


def signal_once_waiting() -> None:
    """Send the signal when the main thread has been in one wait for a while."""
    main = threading.main_thread().ident
    assert main is not None
    seen, stood, before, end = 0, 0, None, time.monotonic() + 30
    while seen < 5 and stood < STANDS and time.monotonic() < end:
        time.sleep(0.01)
        frame = sys._current_frames()[main]
        seen = seen + 1 if frame.f_code.co_name in WAITS else 0
        at = frame.f_code, frame.f_lasti
        stood, before = (stood + 1 if at == before else 0), at
    signal.pthread_kill(main, signal.SIGUSR1)


@pytest.fixture(params=["postgresql", "mariadb", "redis", "mongo"])
def line(request: pytest.FixtureRequest) -> Iterator[Stopping]:
    """The rig's owner, alone, behind a proxy, and a kit there."""
    for made in line_of(request):
        with RegionKit(made.topology, local=HOME, profile=PATIENT) as kit:
            kit.create_tables()
            with kit.session() as s, s.write("orders") as db:
                made.actions.put(db, "a", "tea")
            yield Stopping(made, kit)


def test_in_a_read(line: Stopping) -> None:
    """The next read is served, on another connection."""
    for kind in KINDS:
        with line.kit.session() as s:
            with s.read("orders", consistency=EVENTUAL) as db:
                assert line.do.get(db, "a") == "tea"
            with line.stopped_by(kind("out of time")), s.read("orders", consistency=EVENTUAL) as db:
                line.do.get(db, "a")
    assert line.counted() == 0


def test_while_connecting(line: Stopping) -> None:
    """Nothing was sent; the next block connects."""
    for kind in (Limit,) if line.server == "mongo" else KINDS:  # PyMongo goes on after a TimeoutError in its handshake
        line.backend.evict()
        with line.kit.session() as s:
            with line.stopped_by(kind("out of time")), s.write("orders") as db:
                line.do.put(db, "a", "milk")
            with s.write("orders") as db:
                line.do.put(db, "b", "water")
    assert line.counted() == 0


def test_in_a_write(line: Stopping) -> None:
    """A transaction is rolled back; where there is none, a note says that nobody knows. Nothing of it is done twice."""
    for kind in KINDS:
        raised = kind("out of time")
        with line.kit.session() as s, line.kit.session() as another:
            with another.read("orders", consistency=EVENTUAL) as spare, s.write("orders") as db:
                line.do.get(
                    spare, "a"
                )  # then two connections stand by: a monitor may use one when the server falls silent
                line.do.put(db, "a", "tea")
            with line.stopped_by(raised):
                s.execute_write("orders", lambda db: line.do.put(db, "a", "milk"))
            told = "not known" in " ".join(getattr(raised, "__notes__", []))
            assert told == (line.server in ("redis", "mongo"))
            with s.read("orders") as db:
                assert line.do.get(db, "a") in ({"milk", "tea"} if told else {"tea"})
    assert line.counted() == 0


def test_after_commit_was_sent(line: Stopping) -> None:
    """The note says that nobody knows; the session reads at the owner from then on."""
    if line.server == "redis":
        return  # nothing is committed at its end
    mode: dict[str, Any] = {"transaction": True} if line.server == "mongo" else {}
    for kind in KINDS:
        raised = kind("out of time")
        with line.kit.session() as s:
            with line.stopped_by(raised, at_once=False) as stop:
                with s.write("orders", **mode) as db:
                    line.do.put(db, "a", "milk")
                    stop()
            assert "not known" in " ".join(getattr(raised, "__notes__", []))
            assert getattr(raised, "committed", None) == "unknown"
            with s.read("orders") as db:
                assert line.do.get(db, "a") in ("milk", "tea")
    assert line.counted() == 0


def test_a_block_that_goes_on_is_told(line: Stopping) -> None:
    """The connection was closed by what the application did: that is no fault of the server's."""
    if line.server == "mongo":
        return  # each command takes a connection of its own
    with line.kit.session() as s:
        with pytest.raises(UsageError, match="stopped a wait"), s.read("orders", consistency=EVENTUAL) as db:
            line.do.get(db, "a")
            with line.stopped_by(Limit()):
                line.do.get(db, "a")
            line.do.get(db, "a")
    assert line.counted() == 0
