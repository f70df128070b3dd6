"""A block belongs to the process that opened it: a child that is forked inside shares its sockets, and must not speak on them."""

from __future__ import annotations

import os

from regionkit.errors import UsageError

__all__ = ["inherited", "require_process"]


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
