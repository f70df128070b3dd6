"""What the middleware tells hooks and the log."""

from __future__ import annotations

import logging
from typing import ClassVar

from regionkit.core.events import Event

__all__ = ["AnsweredBeforeWrite", "BookmarkRefused"]


class BookmarkRefused(Event, frozen=True, gc=False):
    """A request came with bookmarks that cannot be read; the session began without them.

    Attributes:
        count: how many.
        why: of the first one.
    """

    level: ClassVar[int] = logging.DEBUG  # anybody can send them

    count: int
    why: str


class AnsweredBeforeWrite(Event, frozen=True, gc=False):
    """A session wrote after its answer had begun: the bookmark that the client has does not cover it.

    Attributes:
        path: of the request, without its query.
    """

    level: ClassVar[int] = logging.INFO  # a background task may mean to

    path: str
