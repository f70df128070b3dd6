"""The bytes of an idempotency key: a text, a whole number, a UUID, bytes, or a tuple of these. Pure.

1. Two keys have the same bytes exactly when they are of the same type and equal: 42 is not "42", and (1, 2) is not (1, (2,)).
2. Anything else is refused, None and booleans too: a key that is missing would make all calls without one the same call.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from regionkit.errors import ConfigurationError

__all__ = ["key_bytes"]

_encode = msgspec.msgpack.Encoder().encode
_UUID = 1
_WIDE = 2
_SMALL = range(-(1 << 63), 1 << 64)
"""Whole numbers that msgpack has a form for."""


def key_bytes(key: Any) -> bytes:
    """The bytes of a key.

    Raises:
        ConfigurationError: it cannot be a key; the error says what can.
    """
    kind = type(key)
    if kind is str or kind is bytes or kind is int:
        try:
            return _encode(key)
        except UnicodeEncodeError:
            raise _refused(key, "it holds half a surrogate pair, which is not valid text.") from None
        except OverflowError:
            pass  # a whole number that msgpack has no form for
    return _encode(_tagged(key))


def _tagged(key: Any) -> Any:
    kind = type(key)
    if kind is str or kind is bytes:
        return key
    if kind is int:
        return key if key in _SMALL else msgspec.msgpack.Ext(_WIDE, str(key).encode())
    if isinstance(key, UUID):
        return msgspec.msgpack.Ext(_UUID, key.bytes)
    if isinstance(key, tuple) and key:
        return [_tagged(word) for word in key]
    if key is None:
        raise _refused(key, "without a key all calls would be the same one.")
    raise _refused(key, "its equality and its bytes are not well defined.")


def _refused(key: Any, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"a {type(key).__name__} is not an idempotency key.",
        why=why,
        fix="give a str, an int, a UUID, bytes, or a tuple of them; str(...) or .value of what you have.",
    )
