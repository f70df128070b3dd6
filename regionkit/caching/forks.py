"""The caches of this process, for what has to be done after a fork.

Functions of a fork run in the order in which they were registered: the coarse clock goes before those that hold it.
"""

from __future__ import annotations

import os
import weakref
from typing import Any

from regionkit.core import coarse_clock  # noqa: F401  # registered first

__all__ = ["ALIVE"]

ALIVE: weakref.WeakSet[Any] = weakref.WeakSet()
"""Each is told by `renew()` that this process is a child."""


def _after_fork() -> None:
    for cache in list(ALIVE):
        cache.renew()


os.register_at_fork(after_in_child=_after_fork)
