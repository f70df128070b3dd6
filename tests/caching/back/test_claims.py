# Generated from test_claims_async.py by scripts/twins.py. Do not edit.
"""A claim of a process that lives is not waited for: whatever interrupted its flush, another process flushes at once.

Each way is met in each mode. Nobody flushes in the first process again, so nothing but the claim's end helps the other one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from regionkit.caching import Cache, CallSink, Change, Shared, SinkDown, SinkRefused, SqlJournal, WriteBack
from regionkit.caching.back.flush_rules import LEASE
from regionkit.caching.steps import TierDown
from regionkit.core.concurrency import sleep

IS_ASYNC = False
SOON = LEASE / 2

MODES = [("hash", "sqlite"), ("log", "sqlite"), ("sql-journal", "postgresql")]
PLACES = [pytest.param(mode, database, id=f"{mode}-{database}") for mode, database in MODES]
pytestmark = pytest.mark.parametrize(("mode", "accounts"), PLACES, indirect=["accounts"])


class Interrupted(BaseException):
    """As Ctrl-C, a signal handler, or a cancellation."""


class Played(CallSink):
    """A sink that does once what the test wants."""

    plays: list[Callable[[], Any]]

    def flush(self, cache: str, epoch: int, changes: Any) -> Any:
        """As it is, when nothing is left to play."""
        if self.plays:
            return self.plays.pop()()
        return super().flush(cache, epoch, changes)


class Two:
    """Two processes with one cache, over a function that writes rows with a guard."""

    def __init__(self, mode: str, server: Any, accounts: Any) -> None:
        self.mode, self.server, self.accounts = mode, server, accounts
        self.called = f"c{os.urandom(6).hex()}"
        self.engines = [accounts.make(is_async=IS_ASYNC) for _ in range(2)]
        self.rows: dict[Any, tuple[int, Any]] = {}
        self.mine, self.theirs = map(self.cache, self.engines)
        self.sink: Any = self.mine.strategy.sink  # type: ignore[union-attr]
        self.tier: Any = self.mine.tier

    def cache(self, engine: Any) -> Cache[int]:
        """As one process has it."""
        sink = Played(self.write, epochs=engine)
        sink.plays = []
        journal = SqlJournal(engine) if self.mode == "sql-journal" else None
        strategy = WriteBack(
            sink=sink,
            durability="sql-journal" if journal else "memory",
            journal=journal,
            ttl=300.0,
            coalesce=self.mode != "log",
            attempts=1,
        )
        return Cache(self.called, int, strategy=strategy, tiers=[Shared(self.server.primary.url, timeout=1.0)])

    def write(self, changes: list[Change]) -> None:
        """Where the row is older."""
        for change in changes:
            if self.rows.get(change.key, (0, None))[0] < change.version:
                self.rows[change.key] = (change.version, change.value)

    def once(self) -> BaseException | None:
        """One flush of the first process; what it raised."""
        try:
            self.mine.back._flushing.batch()  # type: ignore[union-attr]
        except (Interrupted, Exception) as error:
            return error
        return None

    def written_soon(self, *, parked: int = 0) -> None:
        """By the other process, though nobody flushes in this one."""
        began = time.monotonic()
        flushed = self.theirs.flush(timeout=SOON)
        assert (flushed.clean, flushed.parked) == (True, parked), f"it waits for the claim {time.monotonic() - began}"
        if not parked:
            assert {key: value for key, (_, value) in self.rows.items()} == {f"k{n}": n for n in range(5)}

    def close(self) -> None:
        """Both."""
        self.mine.close()
        self.theirs.close()
        for engine in self.engines:
            engine.dispose()


@pytest.fixture
def two(mode: str, redis_server: Any, accounts: Any) -> Iterator[Two]:
    """With five dirty keys."""
    made = Two(mode, redis_server, accounts)
    made.mine.create_tables()
    for n in range(5):
        made.mine.put(f"k{n}", n)
    yield made
    made.close()


def raises(error: BaseException) -> Callable[[], Any]:
    """Raise it."""

    def play() -> Any:
        raise error

    return play


@pytest.mark.parametrize("error", [Interrupted(), MemoryError(), SinkDown("away"), RecursionError()], ids=repr)
def test_a_sink_that_is_interrupted(two: Two, error: BaseException) -> None:
    """By what a rule names, and by what none does."""
    two.sink.plays = [raises(error)]
    assert type(two.once()) in (type(error), SinkDown, type(None))
    assert not two.sink.plays
    two.written_soon()


@pytest.mark.parametrize("given", [None, [], [None] * 5, "abcde"], ids=repr)
def test_a_sink_that_returns_no_verdicts(two: Two, given: Any) -> None:
    """It is a surprise, of which an event tells: no error of Python's reaches who flushes."""
    two.sink.plays = [lambda: given] * 20
    assert isinstance(two.once(), SinkDown | None)
    two.written_soon()


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("step", ["claim", "end", "ack", "fail", "park"])
def test_a_lost_answer(two: Two, monkeypatch: pytest.MonkeyPatch, step: str, sent: bool) -> None:
    """Of each step of a flush: it was done and nobody was told, or the server was away for a moment."""
    names = {
        "claim": ("back_claim", "back_log_claim"),
        "ack": ("back_ack",),
        "fail": ("back_fail", "back_log_fail"),
        "park": ("back_park", "back_log_park"),
        "end": ("back_end",),
    }[step]
    lost: list[str] = []
    run, run_all = two.tier.run, two.tier.run_all

    def losing(real: Any) -> Any:
        def loses(name: str, *words: Any, **options: Any) -> Any:
            loses_it = name in names and not lost
            given = real(name, *words, **options) if sent or not loses_it else None
            if loses_it:
                lost.append(name)
                raise TierDown("no answer came in time", sent=sent)
            return given

        return loses

    two.tier.run, two.tier.run_all = losing(run), losing(run_all)
    error = {"fail": SinkDown("away"), "park": SinkRefused("no"), "end": Interrupted()}.get(step)
    if error is not None:
        two.sink.plays = [raises(error)] * (5 if step == "park" else 1)
    two.once()
    if step == "end":
        end = time.monotonic() + SOON
        while not lost and time.monotonic() < end:
            sleep(0.01)
    assert lost
    two.sink.plays = []
    two.written_soon(parked=(two.theirs.buffer()).parked)


def test_a_claim_that_comes_after_its_end(two: Two) -> None:
    """Its answer was not waited for any longer, and its end was quicker: it takes nothing."""
    run, late = two.tier.run, list[Any]()

    def holds(name: str, *words: Any, **options: Any) -> Any:
        if name in ("back_claim", "back_log_claim") and not late:
            late.append(lambda: run(name, *words, **options))
            raise TierDown("no answer came in time", sent=True)
        return run(name, *words, **options)

    def holds_all(name: str, steps: Any, **options: Any) -> Any:
        return [holds(name, [], step, **options) for step in steps]

    two.tier.run, two.tier.run_all = holds, holds_all
    two.once()
    two.mine.back._flushing.left.ended(SOON)  # type: ignore[union-attr]
    assert late[0]()
    two.written_soon()


def test_a_server_that_was_away(
    two: Two, mode: str, own_redis: Any, accounts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies while a sink is flushed, and comes back with what it had: what was claimed is ended then."""
    server = own_redis(settings=["--appendonly", "yes", "--appendfsync", "always"])
    other = Two(mode, server, accounts)
    other.mine.create_tables()
    for n in range(5):
        other.mine.put(f"k{n}", n)
    other.sink.plays = [server.primary.kill]
    assert isinstance(other.once(), TierDown)
    server.primary.start()
    end = time.monotonic() + SOON
    while other.mine.back._flushing.left._worker is not None and time.monotonic() < end:  # type: ignore[union-attr]
        sleep(0.02)
    other.written_soon()
    other.close()


def test_a_flusher_that_is_closed_in_the_midst_of_a_flush(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves, another writes at once."""
    two.sink.plays = [raises(Interrupted())]
    two.mine.flusher(drain=0.0).start()
    end = time.monotonic() + SOON
    while two.sink.plays and time.monotonic() < end:
        sleep(0.01)
    assert not two.sink.plays
    two.mine.close()
    two.written_soon()


def test_who_cannot_end_a_claim_stops_when_it_is_over(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks a server for ever that does not come back."""
    asked: list[bytes] = []

    def away(token: bytes, late: float) -> None:
        asked.append(token)
        raise TierDown("away")

    left: Any = two.mine.back._flushing.left  # type: ignore[union-attr]
    monkeypatch.setattr(sys.modules[type(left).__module__], "LEASE", 0.3)
    monkeypatch.setattr(left._buffer, "end", away)
    for token in (b"a", b"b"):
        left.leave(token)
    left.ended(SOON)
    assert left._worker is None
    assert 2 <= len(asked) < 10


def test_a_forked_process_leaves_the_parents_claims_alone(two: Two) -> None:
    """Their worker runs in the parent."""
    left: Any = two.mine.back._flushing.left  # type: ignore[union-attr]
    left._left.append((b"of the parent", 0.0))
    two.mine.back.renew()  # type: ignore[union-attr]
    assert not left._left
