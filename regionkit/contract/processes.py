"""Connections belong to the process that made them: a forked child shares their sockets, and must not speak on them.

1. A block belongs to the process that opened it. The child is refused.
2. What keeps connections between blocks forgets them in the child before anything else runs there, without closing them. A
   kit, which has more to renew, does so at its first use in the child.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from regionkit.errors import UsageError

__all__ = ["inherited", "renew_in_children", "require_process"]


class _Renewable(Protocol):
    def renew(self) -> None:
        """After a fork: what is the parent's is not ours."""


_KEPT: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renew_in_children(kept: _Renewable) -> None:
    """Call `kept.renew()` in each child that is forked from now on, as its first step. `kept` is not held on to."""
    _KEPT.add(kept)


def _renew() -> None:
    for kept in list(_KEPT):
        kept.renew()


os.register_at_fork(after_in_child=_renew)


def require_process(process: int) -> None:
    """Before something is sent in a block that `process` opened.

    Raises:
        UsageError: this is another process. Nothing was sent.
    """
    if process != os.getpid():
        raise inherited()


def inherited() -> UsageError:
    """A block was used in a child of the process that opened it."""
    return UsageError(
        "a block was used in a child process of the one that opened it.",
        why="both would use one connection; the block belongs to the parent.",
        fix="open a new block in the child; fork before blocks are opened, or after they have ended.",
    )
