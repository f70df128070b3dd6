"""How a sink says that it did not take changes. One module for both forms of a sink: an error has one class."""

from __future__ import annotations

__all__ = ["SinkDown", "SinkFenced", "SinkRefused"]


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
