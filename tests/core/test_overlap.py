"""Calls of one thread that wait at once: its rules, on real sockets."""

from __future__ import annotations

import contextvars
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from regionkit.core import overlap as module
from regionkit.core.overlap import READ, WRITE, overlap, own_call, pause


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Three, each two ends of one line."""
    made = [socket.socketpair() for _ in range(3)]
    yield made
    for pair in made:
        for end in pair:
            end.close()


def ready(end: socket.socket, wanted: int, seconds: float | None) -> int:
    call = own_call()
    assert call is not None
    return call.ready(end.fileno(), wanted, seconds)


def test_all_have_sent_before_any_is_answered(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """Each of three waits for an answer that is given only when all three have asked. Nobody starts a thread."""
    asked: list[bytes] = []

    def answer() -> None:
        asked.extend(there.recv(1) for _, there in pairs)
        for _, there in reversed(pairs):
            there.send(b"!")

    def ask(number: int) -> Callable[[], bytes]:
        def call() -> bytes:
            here = pairs[number][0]
            assert ready(here, WRITE, 20.0) == WRITE
            here.send(bytes([number]))
            assert ready(here, READ, 20.0) == READ
            return here.recv(1) + bytes([number])

        return call

    server = threading.Thread(target=answer)
    server.start()
    before = threading.active_count()
    assert overlap([ask(n) for n in range(3)]) == [b"!\x00", b"!\x01", b"!\x02"]
    assert threading.active_count() <= before
    server.join(20.0)
    assert asked == [b"\x00", b"\x01", b"\x02"]


def test_results_and_errors_come_in_order() -> None:
    """As `gather` gives them; outside of a call there is none."""

    def broken() -> None:
        raise ValueError("x")

    found = overlap([lambda: 1, broken, lambda: own_call() is not None])
    assert found[0] == 1 and type(found[1]) is ValueError and found[2] is True
    assert own_call() is None and overlap([]) == []


def test_a_wait_ends_in_time_and_only_that_one(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """The other goes on until its own answer."""

    def late() -> int:
        pause(0.05)
        pairs[1][1].send(b"x")
        return ready(pairs[1][0], READ, None)

    began = time.monotonic()
    assert overlap([lambda: ready(pairs[0][0], READ, 0.01), late]) == [0, READ]
    assert time.monotonic() - began < 10.0


def test_an_answer_that_is_there_counts_though_its_time_is_over(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    """Something else held the thread up meanwhile."""

    def holds_up() -> None:
        pairs[0][1].send(b"x")
        time.sleep(0.05)

    assert overlap([lambda: ready(pairs[0][0], READ, 0.01), holds_up]) == [READ, None]


def test_a_lost_line_wakes_who_waits(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """As something to read: its end."""

    def lose() -> None:
        pairs[0][1].close()

    assert overlap([lambda: ready(pairs[0][0], READ, 20.0), lose]) == [READ | WRITE, None]


def test_each_call_has_the_context_of_its_caller_and_its_own_from_there() -> None:
    """As a task has."""
    name = contextvars.ContextVar("name", default="")
    name.set("caller")

    def call(own: str) -> str:
        seen = name.get()
        name.set(own)
        pause(0.001)
        return f"{seen} {name.get()}"

    assert overlap([lambda: call("a"), lambda: call("b")]) == ["caller a", "caller b"]
    assert name.get() == "caller"


def test_calls_inside_of_a_call(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """They hand over to each other; the outer one goes on when they are over."""

    def inner() -> list[object]:
        return list(overlap([lambda: ready(pairs[0][0], READ, 20.0), lambda: pairs[0][1].send(b"x")]))

    assert overlap([inner, lambda: pause(0.001)]) == [[READ, 1], None]


def test_an_interrupt_ends_the_waits_of_all(
    pairs: list[tuple[socket.socket, socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sees it, and may close what it has open; it is raised in the caller."""
    seen: list[int] = []

    class Interrupted:
        """A poll that Ctrl-C strikes."""

        def register(self, *_: object) -> None:
            pass

        def poll(self, _: object) -> None:
            raise KeyboardInterrupt

    def call(number: int) -> None:
        try:
            ready(pairs[number][0], READ, 20.0)
        except KeyboardInterrupt:
            seen.append(number)
            raise

    monkeypatch.setattr(module.select, "poll", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        overlap([lambda: call(0), lambda: call(1)])
    assert seen == [0, 1]
    monkeypatch.undo()
    assert select.poll is module.select.poll
