"""What was asked for, in 16 bytes: two calls with one key and different fingerprints are two different requests. Pure.

It is BLAKE2b over deterministic msgpack: dictionaries and sets in an order of their own, whatever order they were filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

__all__ = ["fingerprint_of"]

SIZE = 16
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def fingerprint_of(values: Sequence[Any], what: str) -> bytes:
    """The fingerprint of the arguments of a call. `what`: is called, for errors.

    Raises:
        TypeError: one of them is no plain data, msgspec struct or dataclass.
    """
    try:
        return blake2b(_encode(values), digest_size=SIZE).digest()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TypeError(
            f"the arguments of {what} have no fingerprint: {error}. Fix: give fingerprint=, a function of the arguments that "
            "returns what distinguishes requests; or fingerprint=False, if the key alone does."
        ) from error
