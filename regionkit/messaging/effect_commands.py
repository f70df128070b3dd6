"""Effects inside Redis, as data: which commands may be one, and how their arguments look. Pure.

1. A command changes one key, its first argument. What it needs of that key is known before anything is done: its type, and
   whether a number stands there.
2. What would fail after another command of the same effect is refused before: one key with two types, a text where another
   command counts, a number of more than 15 digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from regionkit.errors import UsageError

__all__ = ["COMMANDS", "MOST_COMMANDS", "Checked", "checked_commands"]

MOST_COMMANDS = 64
"""Commands of one effect: the server does nothing else meanwhile."""
LARGEST = 10**15
"""Numbers are below it: Lua counts with doubles, and the server with 64 bits."""

_LISTS = (list, tuple)


class _Rule(NamedTuple):
    """`type`: of the key, "" for any. `shape`: of the arguments behind it; a `*` repeats the rest. `counts`: "value", "field"."""

    type: str
    shape: str
    counts: str = ""


COMMANDS = MappingProxyType(
    {
        "SET": _Rule("string", "b"),
        "INCRBY": _Rule("string", "i", "value"),
        "DECRBY": _Rule("string", "i", "value"),
        "HSET": _Rule("hash", "*bb"),
        "HDEL": _Rule("hash", "*b"),
        "HINCRBY": _Rule("hash", "bi", "field"),
        "SADD": _Rule("set", "*b"),
        "SREM": _Rule("set", "*b"),
        "ZADD": _Rule("zset", "*fb"),
        "ZREM": _Rule("zset", "*b"),
        "LPUSH": _Rule("list", "*b"),
        "RPUSH": _Rule("list", "*b"),
        "XADD": _Rule("stream", "a*bb"),
        "DEL": _Rule("", ""),
        "PEXPIRE": _Rule("", "i"),
    }
)
"""What may be an effect. No option of theirs: each changes its key in one way."""


class Checked(NamedTuple):
    """An effect that may be sent: its keys, the names of its commands, and the script's words for each."""

    keys: list[bytes]
    names: list[str]
    words: list[Any]

    @property
    def most(self) -> int:
        """How many commands it has."""
        return len(self.keys)


def checked_commands(commands: Any) -> Checked:
    """The commands of an effect, as the script takes them.

    Raises:
        UsageError: one of them is not known, or is not written as it has to be.
    """
    if not isinstance(commands, _LISTS) or len(commands) > MOST_COMMANDS:
        raise _refused(f"an effect is a list of at most {MOST_COMMANDS} commands.")
    keys: list[bytes] = []
    names: list[str] = []
    words: list[Any] = []
    uses: dict[tuple[bytes, bytes], str] = {}
    for number, command in enumerate(commands, 1):
        if not isinstance(command, _LISTS) or len(command) < 2:
            raise _refused(f"command {number} is not a list of a name, a key and arguments.")
        name, *given = command
        name = str(name).upper()
        rule = COMMANDS.get(name)
        if rule is None:
            raise _refused(f"command {number}, {name[:20]}, may not be an effect.")
        key, *rest = [word.encode() if type(word) is str else _word(word, number) for word in given]
        _check_shape(rule.shape, rest, given, number)
        if len(commands) > 1:
            _check_uses(uses, name, rule, key, rest, number)
        keys.append(key)
        names.append(name)
        words += [name, rule.type, rule.counts, len(rest), *rest]
    return Checked(keys, names, words)


def _word(word: Any, number: int) -> bytes:
    if isinstance(word, bytes):
        return word
    if isinstance(word, bool) or not isinstance(word, str | int | float):
        raise _refused(f"command {number} has a {type(word).__name__}.")
    return str(word).encode()


@lru_cache(256)
def _places(shape: str, count: int) -> tuple[tuple[int, str], ...] | None:
    """Where so many arguments have something to look at, and what; None where a command does not take so many."""
    fixed, _, repeats = shape.partition("*")
    more = count - len(fixed)
    if more < 0 or (more and not repeats) or (repeats and (not more or more % len(repeats))):
        return None
    kinds = fixed + repeats * (more // len(repeats) if repeats else 0)
    return tuple((place, kind) for place, kind in enumerate(kinds) if kind != "b")


def _check_shape(shape: str, rest: Sequence[bytes], given: Sequence[Any], number: int) -> None:
    """`given`: key and arguments as they were written; `rest`: the arguments as they are sent."""
    places = _places(shape, len(rest))
    if places is None:
        raise _refused(f"command {number} has {len(rest)} arguments behind its key.")
    for place, kind in places:
        raw = given[place + 1]
        if kind == "i" and not (isinstance(raw, int) and abs(raw) < LARGEST):
            raise _refused(f"command {number} counts with {raw!r:.40}, and takes whole numbers of at most 15 digits.")
        if kind == "f" and not (isinstance(raw, int | float) and raw == raw):
            raise _refused(f"command {number} has the score {raw!r:.40}.")
        if kind == "a" and rest[place] != b"*":
            raise _refused(f"command {number} gives an id; a stream numbers its entries by itself: write '*'.")


def _check_uses(
    uses: dict[tuple[bytes, bytes], str], name: str, rule: _Rule, key: bytes, rest: Sequence[bytes], number: int
) -> None:
    """What two commands need of one key, or of one field of it, must not differ."""
    if not rule.type:
        return
    fields = [b""] if rule.type != "hash" else rest[:1] if rule.counts else rest[:: len(rule.shape) - 1]
    for place, use in ((key, rule.type), *(((key + b"\0" + field), rule.counts) for field in fields)):
        if uses.setdefault((place, b""), use) != use:
            raise _refused(f"command {number}, {name}, does not go with another one on its key.")


def _refused(why: str) -> UsageError:
    return UsageError(
        "an effect inside Redis cannot be done.",
        why=why,
        fix=f'give commands like ["HINCRBY", "totals", "field", 1]; known are {", ".join(COMMANDS)}.',
    )
