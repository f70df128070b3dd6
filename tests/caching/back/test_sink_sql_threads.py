"""SQL sinks whose flushers meet, freeze and die: the server's locks and bounds, in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from regionkit.caching.back.refusals import SinkDown
from regionkit.testing import crash_points

from .sql_places import APPLIED, CACHE, CONFLICT, SERVERS, Place, gone, put, users

PATIENCE = 30.0
"""Seconds that a test waits for what takes milliseconds on an idle machine."""
SHORT = 1.0
"""Seconds that a flush may take where it is to fail."""
BRIEF = 3.0
"""Seconds in which a flush gets as far as its end, on a busy machine too."""


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """On each SQL server."""
    with Place(request.param, request, tmp_path) as found:
        yield found


@pytest.fixture(params=["postgresql", "mariadb"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """On the servers that have connections to lose."""
    with Place(request.param, request, tmp_path) as found:
        yield found


class Halt:
    """Holds the first who comes to a point, until it is let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def __call__(self) -> None:
        if not self.reached.is_set():
            self.reached.set()
            assert self.let_go.wait(PATIENCE)


def held(sink: Any, point: str, changes: list[Any], meanwhile: Callable[[], None]) -> Any:
    """What a flush came to that stood still at a point while something else happened."""
    halt = Halt()
    with crash_points({point: halt}), ThreadPoolExecutor(1) as pool:
        flushing = pool.submit(sink.flush, CACHE, 1, changes)
        try:
            assert halt.reached.wait(PATIENCE)
            meanwhile()
        finally:
            halt.let_go.set()
        return flushing.exception(PATIENCE) or flushing.result()


def test_an_epoch_is_given_out_once_however_many_ask(place: Place) -> None:
    """Eight at the same time; who is told to try again got none."""
    sink = place.sink(timeout=PATIENCE)

    def ask(_: int) -> int:
        while True:
            try:
                return sink.raise_epoch(CACHE, 0)
            except SinkDown:
                continue

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert len(set(found)) == 8
    assert min(found) > 1


def test_a_lock_that_another_holds_ends_with_the_timeout(place: Place) -> None:
    """Nothing was written, and the next try goes through."""
    sink = place.sink(timeout=PATIENCE)
    sink.flush(CACHE, 1, [put("a", 1)])
    hasty = place.another(users(place.meta_again()), timeout=SHORT)
    begin = "BEGIN IMMEDIATE" if place.server == "sqlite" else "UPDATE users SET visits = 0 WHERE id = 'a'"
    with place.plain.connect() as other:
        other.execute(text(begin))
        with pytest.raises(SinkDown):
            hasty.flush(CACHE, 1, [put("a", 2), put("b", 3)])
        other.rollback()
    assert place.rows() == [("a", "v1", 1)]
    assert sink.flush(CACHE, 1, [put("a", 2), put("b", 3)]) == [APPLIED] * 2


def test_an_older_put_cannot_pass_a_delete(place: Place) -> None:
    """The put saw no mark yet: the delete waits until it is written, and takes it away."""
    sink, later = place.sink(timeout=PATIENCE), place.another(users(place.meta_again()), timeout=SHORT)

    def meanwhile() -> None:
        with pytest.raises(SinkDown):
            later.flush(CACHE, 1, [gone("a", 2)])

    assert held(sink, "sink.begun", [put("a", 1)], meanwhile) == [APPLIED]
    assert sink.flush(CACHE, 1, [gone("a", 2)]) == [APPLIED]
    assert place.rows() == []


def test_an_epoch_waits_for_the_flush_of_an_older_one(place: Place) -> None:
    """After it was given out nobody of an older one writes any more."""
    sink, later = place.sink(timeout=PATIENCE), place.another(users(place.meta_again()), timeout=SHORT)

    def meanwhile() -> None:
        with pytest.raises(SinkDown):
            later.raise_epoch(CACHE, 0)

    assert held(sink, "sink.begun", [put("a", 1)], meanwhile) == [APPLIED]
    assert sink.raise_epoch(CACHE, 0) == 2
    with pytest.raises(SinkDown, match="another flusher"):
        sink.flush(CACHE, 1, [put("a", 2)])


def test_a_connection_that_is_killed_in_the_middle_wrote_nothing(remote: Place) -> None:
    """Neither at the beginning nor before the COMMIT; it does not go back to the pool."""
    sink = remote.sink(timeout=PATIENCE)
    for point in ("sink.begun", "sink.written"):
        with crash_points({point: lambda: kill_others(remote)}), pytest.raises(SinkDown):
            sink.flush(CACHE, 1, [put("a", 1), put("b", 2)])
        assert remote.rows() == []
    assert sink.flush(CACHE, 1, [put("a", 1), put("b", 2)]) == [APPLIED] * 2


def kill_others(place: Place) -> None:
    """End every connection to the database but the one that says so."""
    with place.plain.connect() as db:
        if place.server == "postgresql":
            mine = "datname = current_database() AND pid <> pg_backend_pid()"
            db.execute(text(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {mine}"))
            return
        mine = "DB = DATABASE() AND ID <> CONNECTION_ID()"
        for (number,) in db.execute(text(f"SELECT ID FROM information_schema.PROCESSLIST WHERE {mine}")).all():
            db.execute(text(f"KILL {number}"))


@pytest.mark.parametrize("remote", ["postgresql"], indirect=True)
def test_a_flusher_that_is_frozen_lets_go(remote: Place) -> None:
    """The server ends its transaction when its time is over; another one's flush goes through, and its own is lost."""
    other, frozen = remote.sink(timeout=PATIENCE), remote.another(users(remote.meta_again()), timeout=BRIEF)

    def meanwhile() -> None:
        assert other.flush(CACHE, 1, [put("a", 2), gone("b", 3)]) == [APPLIED] * 2

    assert isinstance(held(frozen, "sink.written", [put("a", 1), put("c", 4)], meanwhile), SinkDown)
    assert remote.rows() == [("a", "v2", 2)]


@pytest.mark.slow
@pytest.mark.parametrize("remote", ["mariadb"], indirect=True)
def test_a_flusher_that_is_frozen_lets_go_on_mariadb(remote: Place) -> None:
    """There the bound is the connection's: whole seconds, and some more than a write may take."""
    test_a_flusher_that_is_frozen_lets_go(remote)


def test_flushers_that_meet_end_at_the_latest_versions(place: Place) -> None:
    """Three of them, the same keys in other orders, puts and deletes: the row of each key is the last one's."""
    sink = place.sink(timeout=PATIENCE)
    keys = [f"k{n}" for n in range(12)]
    last = {key: 1000 + n for n, key in enumerate(keys)}

    def flush(worker: int) -> None:
        for turn in range(6):
            number = 10 + turn * 3 + worker
            changes = [put(key, number * 20 + n) for n, key in enumerate(keys)]
            changes = [c if n % 3 else gone(c.key, number * 20 + n) for n, c in enumerate(changes)]
            if turn == 3 and worker == 0:
                changes = [put(key, last[key]) for key in keys]
            for _ in range(50):
                try:
                    assert CONFLICT not in sink.flush(CACHE, 1, changes[worker:] + changes[:worker])
                    break
                except SinkDown:
                    continue
            else:
                pytest.fail("it never got through")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(flush, range(3)))
    assert place.rows() == sorted((key, f"v{number}", number) for key, number in last.items())
