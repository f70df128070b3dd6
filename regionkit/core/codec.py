"""Bytes for values: msgpack with a type on the way back (msgspec). Never pickle.

A decoder is given the type it expects and the largest input it takes; anything else is an error, not a surprise.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

__all__ = ["LARGEST", "decode", "encode", "is_plain"]

LARGEST = 1 << 20
"""Largest encoded value taken, bytes: far above every row regionkit keeps itself, and it bounds a poisoned one."""

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()


def encode(value: Any) -> bytes:
    """`value` as msgpack.

    Raises:
        TypeError: the value is no plain data, msgspec struct or dataclass.
    """
    return _encoder.encode(value)


def decode(data: bytes, kind: type[T], *, largest: int = LARGEST) -> T:
    """The value of type `kind` in `data`.

    Raises:
        ValueError: too large, malformed, or of another type.
    """
    if len(data) > largest:
        raise ValueError(f"{len(data)} bytes, at most {largest} are taken")
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_plain(value: Any, *, largest: int) -> bytes | None:
    """`value` encoded when it is plain data that comes back equal and fits `largest` bytes, else None."""
    try:
        data = _encoder.encode(value)
        if len(data) > largest or msgspec.msgpack.decode(data) != value:
            return None
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return data
