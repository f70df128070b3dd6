"""A message that the server stopped hearing in its middle, as a value in it was too large. Pure.

It answers the commands in their order, says what is wrong with the one that it will not take, and hangs up: what was answered
before was done, and nothing from there on. Inside MULTI nothing is done before EXEC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import redis

from regionkit.backends.redis.commands import Act, judged

__all__ = ["BrokenOff", "NotRun", "is_broken_off", "last_words", "writes_done"]

CRLF = b"\r\n"
LAST_WORDS = b"-ERR Protocol error"
_SINGLE, _SIZED, _LISTS, _PAIRS = b"+-:_,#(", b"$=!", b"*~>", b"%|"
"""First bytes of answers: of one line, of so many bytes, of so many answers, of so many pairs of them."""


class BrokenOff(redis.exceptions.ResponseError):
    """What the server said as it hung up. `answers`: whether each command before was answered without an error."""

    answers: Sequence[bool] = ()


class NotRun(redis.exceptions.ExecAbortError):
    """A command behind the one that the server would not take; the driver tells the error of that one in its place."""


def is_broken_off(error: BaseException) -> bool:
    """Whether an answer is the server's last."""
    return str(error).startswith("Protocol error")


def last_words(unread: bytes) -> BrokenOff | None:
    """The last of the answers that nobody has read, where it says that the server hangs up."""
    answers: list[bool] = []
    for first, end in _answers(unread):
        if unread.startswith(LAST_WORDS, first):
            error = BrokenOff(unread[first:end].removesuffix(CRLF).removeprefix(b"-ERR ").decode(errors="replace"))
            error.answers = answers
            return error
        answers.append(unread[first : first + 1] not in b"-!")
    return None


def writes_done(commands: Sequence[Sequence[Any]], answers: Sequence[bool], *, queuing: bool) -> int:
    """How many writes of a message were done. `queuing`: MULTI was sent before."""
    done, queued = 0, 0 if queuing else None
    for args, good in zip(commands, answers, strict=False):
        command = judged(args)
        if command.name == "MULTI":
            queued = 0
        elif command.name in ("EXEC", "DISCARD"):
            done += (queued or 0) if good and command.name == "EXEC" else 0
            queued = None
        elif command.act is Act.WRITES and good:
            done, queued = (done + 1, None) if queued is None else (done, queued + 1)
    return done


def _answers(unread: bytes) -> Iterator[tuple[int, int]]:
    """Where each whole answer begins and ends."""
    at = 0
    while (end := _end(unread, at)) is not None:
        yield at, end
        at = end


def _end(unread: bytes, at: int) -> int | None:
    """Where the answer that begins at `at` ends; None where it is not all there."""
    open_answers = 1
    while open_answers:
        line = unread.find(CRLF, at)
        if line < 0:
            return None
        kind, count = unread[at : at + 1], unread[at + 1 : line]
        at, open_answers = line + len(CRLF), open_answers - 1
        if kind in _SINGLE:
            continue
        if not count.lstrip(b"-").isdigit():
            return None
        number = max(0, int(count))
        if kind in _SIZED:
            at += number + len(CRLF) if int(count) >= 0 else 0
            if at > len(unread):
                return None
        else:
            open_answers += 2 * number if kind in _PAIRS else number
    return at
