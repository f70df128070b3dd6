"""Replies of a keyed write: as the script gives and keeps them, and as the driver's callbacks shape them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import redis

from regionkit.contract.idempotency import Marker
from regionkit.core.codec import is_plain

__all__ = ["FIELDS", "LARGEST_REPLIES", "Shape", "attempt_in", "error_of", "marker_of", "shaped", "text_of", "unpacked"]

LARGEST_REPLIES = 4096
"""Replies kept for a second call with the same key, bytes: as large as any stored result."""
FIELDS = ("applied", "attempt", "fingerprint", "result", "replies", "shapes")
"""Of a marker, in the order in which they are asked for."""

_WHERE = re.compile(r"\A@user_script: \d+: -?")
"""What Redis before 7 puts in front of an error that a script's command met before it ran."""

Shape = tuple[str, dict[str, Any]]
"""Name of a command as its callback is found by, and the options that go to the callback."""


def text_of(word: Any) -> str:
    """A reply that is a text, whether the connection decodes or not."""
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)


def shaped(replies: Sequence[Any], shapes: Sequence[Shape], callbacks: Mapping[str, Callable[..., Any]]) -> list[Any]:
    """Each reply as the driver gives it for its command."""
    return [
        callbacks[name](reply, **options) if name in callbacks else reply
        for reply, (name, options) in zip(replies, shapes, strict=True)
    ]


def error_of(text: str) -> redis.exceptions.ResponseError:
    """The driver's error for what the server said inside a script."""
    text = _WHERE.sub("", text).strip()
    if text.startswith("READONLY"):
        return redis.exceptions.ReadOnlyError(text)
    if text.startswith("OOM"):
        return redis.exceptions.OutOfMemoryError(text)
    return redis.exceptions.ResponseError(text.removeprefix("ERR "))


def attempt_in(values: Sequence[bytes | None]) -> str:
    """The attempt of the tombstone that stands there; "" when none does."""
    return (values[1] or b"").decode() if values[0] == b"0" else ""


def marker_of(
    values: Sequence[bytes | None], callbacks: Mapping[str, Callable[..., Any]], encoding: str | None
) -> Marker | None:
    """The marker in these fields; None when nothing stands there. `encoding`: of texts, where the connection decodes."""
    applied, _, fingerprint, result, replies, shapes = values
    if applied is None:
        return None
    if result is None and replies is not None and shapes is not None:
        named: list[Shape] = msgspec.msgpack.decode(shapes, type=list[Shape])
        result = is_plain(shaped(unpacked(replies, encoding), named, callbacks), largest=2 * LARGEST_REPLIES)
    return Marker(applied == b"1", (fingerprint or b"").decode(), result)


def unpacked(data: bytes, encoding: str | None) -> list[Any]:
    """The replies in RESP2, one after the other."""
    found, at = [], 0
    while at < len(data):
        value, at = _value(data, at, encoding)
        found.append(value)
    return found


def _value(data: bytes, at: int, encoding: str | None) -> tuple[Any, int]:
    end = data.index(b"\r\n", at)
    kind, head, at = data[at : at + 1], data[at + 1 : end], end + 2
    if kind == b"+":
        return head.decode(encoding) if encoding else head, at
    number = int(head)
    if kind == b":":
        return number, at
    if kind == b"*":
        parts = []
        for _ in range(number):
            part, at = _value(data, at, encoding)
            parts.append(part)
        return parts, at
    if number < 0:
        return None, at
    text = data[at : at + number]
    return text.decode(encoding) if encoding else text, at + number + 2
