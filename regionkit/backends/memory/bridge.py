"""From a mapping into code that may wait: with threads nothing lies between. Hand-written pair with `bridge_async.py`."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["resume"]

T = TypeVar("T")


def resume(result: T) -> T:
    """The result of a call, which was waited for already."""
    return result
