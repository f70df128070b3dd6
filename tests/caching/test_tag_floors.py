"""What a process knows of tags: never less than what was told, whatever overtakes what."""

from __future__ import annotations

import threading

from regionkit.caching.tag_floors import TagFloors

A, B = b"a", b"b"


def test_an_answer_is_kept_and_raised_by_the_news() -> None:
    """Which come before it, meanwhile, or afterwards."""
    floors = TagFloors(10)
    floors.raised(A, 7)
    known, era = floors.known([A, B])
    assert known == {A: 7}
    floors.raised(B, 9)
    assert floors.learned({A: 5, B: 5}, era) == {A: 7, B: 9}
    floors.raised(B, 8)
    assert floors.known([A, B])[0] == {A: 7, B: 9}
    floors.raised(B, 11)
    assert floors.known([B])[0] == {B: 11}


def test_an_answer_from_before_something_was_forgotten_is_not_kept() -> None:
    """It is for who asked: no news would ever raise it."""
    for forget in (
        lambda floors: floors.forget(A),
        lambda floors: floors.forget(B),
        lambda floors: floors.forget_all(),
    ):
        floors = TagFloors(10)
        _, era = floors.known([A])
        forget(floors)
        assert floors.learned({A: 5}, era) == {A: 5}
        assert floors.known([A])[0] == {}


def test_what_is_remembered_is_bounded() -> None:
    """By answers and by news; an answer from before it was all forgotten is not kept either."""
    floors = TagFloors(10)
    _, era = floors.known([A])
    for number in range(1_000):
        floors.raised(b"%d" % number, number)
        assert len(floors._stamps) <= 10
    assert floors.learned({A: 1}, era) == {A: 1}
    assert floors.known([A])[0] == {}
    floors.learned({b"%d" % number: number for number in range(100)}, floors.known([])[1])
    assert len(floors._stamps) <= 10


def test_answers_and_news_in_two_threads_lose_no_news() -> None:
    """An answer that is older than the news never replaces them."""
    floors, stop, sunk = TagFloors(10), threading.Event(), []

    def learns() -> None:
        while not stop.is_set():
            known, era = floors.known([A])
            floors.learned({A: known.get(A, 0)}, era)

    threads = [threading.Thread(target=learns) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for stamp in range(1, 3_000):
            floors.raised(A, stamp)
            if floors.known([A])[0][A] < stamp:
                sunk.append(stamp)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not sunk
