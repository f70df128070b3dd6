"""Bytes for values: msgpack with a type on the way back (msgspec). Never pickle.

A decoder is given the type it expects and the largest input it takes; anything else is an error, not a surprise.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

__all__ = ["LARGEST", "PLAIN", "Codec", "is_plain"]

LARGEST = 1 << 20
"""Largest encoded value taken, bytes: far above every row regionkit keeps itself, and it bounds a poisoned one."""

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()


class Codec(Generic[T]):
    """Bytes for values of one type, and back. Immutable; shared freely.

    Args:
        kind: a msgspec struct, a dataclass, or a type of plain data; Any for whatever comes.
        largest: of what is decoded, bytes.
    """

    __slots__ = ("_decoder", "_largest")

    def __init__(self, kind: type[T], *, largest: int = LARGEST) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._largest = largest

    def encode(self, value: T) -> bytes:
        """`value` as msgpack.

        Raises:
            TypeError: the value is no plain data, msgspec struct or dataclass.
        """
        return _encoder.encode(value)

    def decode(self, data: bytes) -> T:
        """The value in `data`.

        Raises:
            ValueError: too large, malformed, or of another type.
        """
        if len(data) > self._largest:
            raise ValueError(f"{len(data)} bytes, at most {self._largest} are taken")
        try:
            return self._decoder.decode(data)
        except RecursionError:
            raise ValueError("nested too deeply") from None


PLAIN: Codec[Any] = Codec(Any)
"""Plain data of any shape."""


def is_plain(value: Any, *, largest: int) -> bytes | None:
    """`value` encoded when it is plain data that comes back equal and fits `largest` bytes, else None."""
    try:
        data = _encoder.encode(value)
        if len(data) > largest or msgspec.msgpack.decode(data) != value:
            return None
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return data
