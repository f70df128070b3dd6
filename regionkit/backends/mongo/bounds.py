"""A limit around making a connection. Hand-written pair with `bounds_async.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["bounded"]

T = TypeVar("T")


def bounded(connect: Callable[[], T], seconds: float | None) -> T:
    """What `connect` makes: a thread's socket keeps its limit throughout."""
    return connect()
