"""The few words of Memcached's text protocol that a tier needs, as bytes, and its answers. Pure.

The libraries that there are were not taken: in the one for asyncio (0.8) a cancelled call's answer goes to the next call, and a
server that closes in the middle of an answer stops the loop for good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Refused", "delete", "gets", "increment", "lines_in", "store", "values_in"]

MONTH = 30 * 86_400
"""Seconds from which on the server takes a number for a date."""
_ERRORS = (b"ERROR", b"CLIENT_ERROR")
"""Answers after which nobody knows where the next one begins. SERVER_ERROR is an answer: too large, or no memory."""


class Refused(Exception):
    """The server answered something else."""


def gets(names: Sequence[bytes]) -> bytes:
    """Ask for values, and the number by which each can be exchanged."""
    return b"gets %b\r\n" % b" ".join(names)


def store(verb: bytes, name: bytes, value: bytes, seconds: float, number: int | None = None) -> bytes:
    """set, add, or with its number cas."""
    life = 0 if seconds == math.inf else min(MONTH, max(1, math.ceil(seconds)))
    tail = b"" if number is None else b" %d" % number
    return b"%b %b 0 %d %d%b\r\n%b\r\n" % (verb, name, life, len(value), tail, value)


def delete(name: bytes) -> bytes:
    """Take a value away."""
    return b"delete %b\r\n" % name


def increment(name: bytes) -> bytes:
    """One more."""
    return b"incr %b 1\r\n" % name


def lines_in(count: int) -> Callable[[bytes], list[bytes] | None]:
    """What reads so many answers of one line each; None while they are not all there."""

    def read(data: bytes) -> list[bytes] | None:
        if data.count(b"\r\n") < count:
            return None
        lines = data.split(b"\r\n")
        if len(lines) != count + 1 or lines[-1]:
            raise Refused("the server sent more replies than requests")
        for line in lines:
            if line.startswith(_ERRORS):
                raise Refused(line.decode(errors="replace"))
        return lines[:-1]

    return read


def values_in(data: bytes) -> dict[bytes, tuple[bytes, int]] | None:
    """Values and their numbers by name; None while they are not all there."""
    found: dict[bytes, Any] = {}
    at = 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        words = data[at:end].split()
        if words == [b"END"]:
            if end + 2 != len(data):
                raise Refused("the server sent more replies than requests")
            return found
        if len(words) != 5 or words[0] != b"VALUE" or not (words[3].isdigit() and words[4].isdigit()):
            raise Refused(data[at:end][:80].decode(errors="replace"))
        begin, at = end + 2, end + 2 + int(words[3]) + 2
        if len(data) < at:
            return None
        found[words[1]] = (data[begin : at - 2], int(words[4]))
