"""How a sink or a journal says that it did not take something. One module for both forms of each: an error has one class."""

from __future__ import annotations

from regionkit.core.given import check_seconds
from regionkit.errors import ConfigurationError

__all__ = ["JournalBroken", "JournalFull", "SinkDown", "SinkFenced", "SinkRefused", "check_timeout", "other_mode"]

SHORTEST, LONGEST = 0.1, 600.0
"""Seconds that a call may take: less fails on a quiet server, and nobody waits for more."""


class SinkDown(Exception):
    """Nothing is wrong with the changes: the sink does not answer, or two writers met. They are tried again, all of them."""


class SinkFenced(SinkDown):
    """Another buffer of the cache, or a later run of this one, has an epoch that is above the flusher's. Nothing was written.

    Attributes:
        epoch: the last that was given out.
    """

    def __init__(self, why: str, epoch: int) -> None:
        super().__init__(why)
        self.epoch = epoch


class SinkRefused(Exception):
    """The sink will not take a change: a constraint, a value that does not fit.

    Attributes:
        waits: it may take it later without help: a row it refers to is not there yet.
    """

    def __init__(self, why: str, *, waits: bool = False) -> None:
        super().__init__(why)
        self.waits = waits


class JournalFull(Exception):
    """There is no room for a record. Nothing was written."""


class JournalBroken(Exception):
    """The journal did not take a record, or does not answer.

    Attributes:
        sent: the record may stand there.
    """

    def __init__(self, why: str, *, sent: bool = False) -> None:
        super().__init__(why)
        self.sent = sent


def other_mode(*, logs: bool) -> ConfigurationError:
    """The buffer holds what was put with the other `coalesce`. `logs`: it is False here."""
    return ConfigurationError(
        f"the write-back buffer was filled with coalesce={logs}, and this cache has coalesce={not logs}.",
        why="what stands there was put under other promises: in log mode each put is written, else the last of a key.",
        fix=f"run a flusher with coalesce={logs}, and retry or discard what is parked, until the buffer is empty.",
    )


def check_timeout(timeout: float) -> None:
    """Refuse what is no time for a call of a sink or a journal.

    Raises:
        ConfigurationError: it is none.
    """
    check_seconds("timeout", timeout, SHORTEST, LONGEST)
