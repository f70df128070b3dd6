"""PostgreSQL's messages as bytes: the answers to a message of several statements, and BEGIN in front of another message. Pure.

1. `Frames` takes bytes as they come and gives whole messages; a message may be cut anywhere.
2. `Answers` makes results of the messages that answer a simple query: one a statement, the last one an error where there was one.
3. `ahead` is a statement without parameters that is sent without Sync: what follows it is skipped by the server if it fails.

Source: PostgreSQL manual, "Frontend/Backend Protocol", "Message Flow" and "Message Formats".
"""

from __future__ import annotations

import decimal
import struct
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["AHEAD_ANSWERS", "Answers", "Frames", "WireResult", "ahead", "value_of"]

HEADER = 5
"""Bytes of a message's kind and length."""
DATA, DONE, EMPTY, ERROR, NOTICE, READY, SHAPE = b"DCIENZT"
"""Kinds of messages, as numbers: DataRow, CommandComplete, EmptyQueryResponse, ErrorResponse, NoticeResponse, ReadyForQuery,
RowDescription."""
COPYING = frozenset(b"GHW")
"""CopyInResponse, CopyOutResponse, CopyBothResponse."""
UNASKED = frozenset(b"NSA")
"""NoticeResponse, ParameterStatus, NotificationResponse: they may come at any time."""
AHEAD = b"rk_ahead"
"""The name of the prepared statement of `ahead`: the one without a name is the driver's."""
AHEAD_ANSWERS = b"312C"
"""Kinds of the answers to it: CloseComplete, ParseComplete, BindComplete, CommandComplete."""
_VALUES: MappingProxyType[int, Callable[[str], Any]] = MappingProxyType(
    {
        16: lambda text: text == "t",
        17: lambda text: bytes.fromhex(text[2:]) if text.startswith("\\x") else text.encode(),
        20: int,
        21: int,
        23: int,
        26: int,
        700: float,
        701: float,
        1700: decimal.Decimal,
    }
)
"""By the number of the type: bool, bytea, int8, int2, int4, oid, float4, float8, numeric. Others stay texts."""


class WireResult(NamedTuple):
    """The answer to one statement.

    Attributes:
        tag: as the server sends it, "INSERT 0 1"; "" for an error.
        names: of the columns.
        types: numbers of the columns' types.
        rows: of texts, None for NULL.
        error: fields by their letter; empty where there was none.
        notices: what the server said meanwhile, each with its severity.
    """

    tag: str
    names: tuple[str, ...]
    types: tuple[int, ...]
    rows: list[list[str | None]]
    error: dict[str, str]
    notices: tuple[str, ...]

    @property
    def is_last_word(self) -> bool:
        """Whether the server closes the connection with it."""
        return self.error.get("V", self.error.get("S", "")) in ("FATAL", "PANIC")


class Frames:
    """Cuts a stream of bytes into messages."""

    __slots__ = ("_rest", "_wanted")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._wanted = 0

    def take(self, data: bytes) -> tuple[bytes, Iterator[tuple[int, int, int]]]:
        """Whole messages, as bytes, and of each its kind, and where it begins and ends in them. What is left is kept."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return b"", iter(())
            data, self._rest = bytes(self._rest), bytearray()
        found: list[tuple[int, int, int]] = []
        at, end = 0, len(data)
        while end - at >= HEADER:
            following = at + 1 + int.from_bytes(data[at + 1 : at + HEADER])
            if following > end:
                break
            found.append((data[at], at, following))
            at = following
        if at < end:
            self._rest += data[at:]
            left = end - at
            self._wanted = 1 + int.from_bytes(data[at + 1 : at + HEADER]) if left >= HEADER else HEADER
            data = data[:at]
        return data, iter(found)


class Answers:
    """The answers to one message. `over`: the server waits for the next one."""

    __slots__ = ("_names", "_notices", "_rows", "_types", "over", "results")

    def __init__(self) -> None:
        self.results: list[WireResult] = []
        self.over = False
        self._names: tuple[str, ...] = ()
        self._types: tuple[int, ...] = ()
        self._rows: list[list[str | None]] = []
        self._notices: list[str] = []

    def take(self, kind: int, body: bytes) -> None:
        """The next message, without its header."""
        if kind == DATA:
            self._rows.append(_row(body))
        elif kind == SHAPE:
            (self._names, self._types), self._rows = _columns(body), []
        elif kind == DONE:
            self._end(body[:-1].decode(), {})
        elif kind == EMPTY:
            self._end("", {})
        elif kind == ERROR:
            self._end("", _fields(body))
        elif kind == NOTICE:
            said = _fields(body)
            self._notices.append(f"{said.get('S', '')}: {said.get('M', '')}")
        elif kind == READY:
            if self._notices and self.results:
                last = self.results[-1]
                self.results[-1] = last._replace(notices=(*last.notices, *self._notices))
            self.over = True

    def _end(self, tag: str, error: dict[str, str]) -> None:
        self.results.append(WireResult(tag, self._names, self._types, self._rows, error, tuple(self._notices)))
        self._names, self._types, self._rows, self._notices = (), (), [], []


def _row(body: bytes) -> list[str | None]:
    (count,) = struct.unpack_from("!H", body)
    at, row = 2, list[str | None]()
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, at)
        at += 4
        row.append(None if size < 0 else body[at : at + size].decode())
        at += max(0, size)
    return row


def _columns(body: bytes) -> tuple[tuple[str, ...], tuple[int, ...]]:
    (count,) = struct.unpack_from("!H", body)
    at, names, types = 2, list[str](), list[int]()
    for _ in range(count):
        end = body.index(0, at)
        names.append(body[at:end].decode())
        types.append(struct.unpack_from("!IHI", body, end + 1)[2])
        at = end + 19
    return tuple(names), tuple(types)


def _fields(body: bytes) -> dict[str, str]:
    fields = (part.decode(errors="replace") for part in body.split(b"\0") if part)
    return {field[0]: field[1:] for field in fields}


def value_of(type_number: int, text: str | None) -> Any:
    """A value in Python, of a text that the server sent."""
    make = _VALUES.get(type_number)
    return text if make is None or text is None else make(text)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", 4 + len(body)) + body


def ahead(text: str) -> bytes:
    """The messages that run a statement in front of what is sent next, which is skipped if it fails."""
    close = _message(b"C", b"S" + AHEAD + b"\0")
    parse = _message(b"P", AHEAD + b"\0" + text.encode() + b"\0" + struct.pack("!H", 0))
    bind = _message(b"B", b"\0" + AHEAD + b"\0" + struct.pack("!HHH", 0, 0, 0))
    execute = _message(b"E", b"\0" + struct.pack("!I", 0))
    return close + parse + bind + execute
