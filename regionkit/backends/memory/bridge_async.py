"""From a mapping, which can not wait, into code that may. Hand-written pair with `bridge.py`."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from regionkit.errors import RegionUnavailable

__all__ = ["aresume"]

T = TypeVar("T")


def aresume(call: Awaitable[T]) -> T:
    """The result of `call`, run here and now. In memory it has nothing to wait for, but where who owns a store is in doubt.

    Raises:
        RegionUnavailable: it would have to wait. Nothing was done.
    """
    steps = call.__await__()
    try:
        next(steps)
    except StopIteration as done:
        result: T = done.value
        return result
    steps.close()  # it lets go of what it holds
    raise RegionUnavailable(
        "where the store stands has to be asked anew, and a mapping can not wait for it in asyncio.",
        why="a region changed its role, or another copy has to be waited for, since the kit last looked.",
        fix="run the block again: the regions were asked meanwhile. execute_read and execute_write do so themselves.",
    )
