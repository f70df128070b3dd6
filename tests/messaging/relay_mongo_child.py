"""A relay of a MongoDB outbox in a process of its own, whose messages land in a file; the test kills it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

import pymongo

from regionkit.core.deadline import Deadline
from regionkit.messaging import MongoOutbox, Relay
from regionkit.messaging.sources.source import Sent, SourceFacts


class Lines:
    """A target: a line a message, which ends in a dot where it is whole."""

    name = "lines"
    facts = SourceFacts("file", float("inf"), None)

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def publish(self, bodies: Sequence[tuple[str | None, bytes]], deadline: Deadline) -> list[Sent]:
        os.write(self._file, b"".join(b"\n" + body.hex().encode() + b"." for _, body in bodies))
        time.sleep(0.02)  # in which it may be killed
        return [Sent(True)] * len(bodies)

    def close(self) -> None:
        os.close(self._file)


if __name__ == "__main__":
    outbox = MongoOutbox(pymongo.MongoClient(sys.argv[1]).get_default_database())
    Relay(outbox, to=Lines(sys.argv[2]), gated=True, send_timeout=0.3, lease=2.0).run()
