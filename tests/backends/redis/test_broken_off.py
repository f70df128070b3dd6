"""What a server did of a message that it stopped hearing: told by its answers, whatever they hold."""

from __future__ import annotations

import pytest

from regionkit.backends.redis.broken_off import is_broken_off, last_words, writes_done

ERROR = b"-ERR Protocol error: invalid bulk length\r\n"
ANSWERS = [
    (b"+OK\r\n", True),
    (b":7\r\n", True),
    (b"$-1\r\n", True),
    (b"*-1\r\n", True),
    (b"$0\r\n\r\n", True),
    (b"-WRONGTYPE Operation against a key\r\n", False),
    (b"$43\r\n-ERR Protocol error: a value that says so\r\n\r\n", True),
    (b"*2\r\n$2\r\nab\r\n*1\r\n:1\r\n", True),
    (b"*0\r\n", True),
    (b"%1\r\n+a\r\n:1\r\n", True),
    (b"_\r\n", True),
    (b",1.5\r\n", True),
    (b"=5\r\ntxt:a\r\n", True),
    (b"!5\r\nERR a\r\n", False),
]


@pytest.mark.parametrize("count", range(len(ANSWERS) + 1))
def test_the_answers_before_the_last_words_are_told(count: int) -> None:
    """Errors among them, lists and texts of any kind; a value that reads like the last words is none."""
    said = last_words(b"".join(answer for answer, _ in ANSWERS[:count]) + ERROR)
    assert said is not None
    assert list(said.answers) == [good for _, good in ANSWERS[:count]]
    assert str(said) == "Protocol error: invalid bulk length"
    assert is_broken_off(said)


def test_without_them_nothing_is_told() -> None:
    """Nor where a part of an answer is missing: what it was cannot be known then."""
    whole = b"".join(answer for answer, _ in ANSWERS)
    assert last_words(whole) is None
    for end in range(len(whole)):
        assert last_words(whole[:end]) is None
    assert last_words(b"+OK\r\n$x\r\n" + ERROR) is None


SET, GET, MULTI, EXEC, DISCARD = ("SET", "a", "1"), ("GET", "a"), ("MULTI",), ("EXEC",), ("DISCARD",)


@pytest.mark.parametrize(
    ("commands", "answers", "queuing", "done"),
    [
        ([SET, SET, SET], [True, True], False, 2),
        ([SET, GET, SET], [True, True], False, 1),
        ([SET, SET, SET], [False, True], False, 1),
        ([SET, SET], [], False, 0),
        ([MULTI, SET, SET, EXEC], [True, True], False, 0),
        ([SET, SET, EXEC], [True, True], True, 0),
        ([MULTI, SET, EXEC, SET, SET], [True, True, True, True], False, 2),
        ([MULTI, SET, EXEC, SET], [True, True, False], False, 0),
        ([MULTI, SET, DISCARD, SET, SET], [True, True, True, True], False, 1),
        ([MULTI, SET, EXEC, SET, SET], [True, True, True, False], False, 1),
    ],
)
def test_what_was_done_is_counted(
    commands: list[tuple[str, ...]], answers: list[bool], queuing: bool, done: int
) -> None:
    """Writes with a good answer; of those after MULTI, none before EXEC was answered."""
    assert writes_done(commands, answers, queuing=queuing) == done
