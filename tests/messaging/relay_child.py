"""A relay in a process of its own, whose messages land in a table; the test kills it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import psycopg
import sqlalchemy

from regionkit.core.deadline import Deadline
from regionkit.messaging import Outbox, Relay
from regionkit.messaging.sources.source import Sent, SourceFacts


class Table:
    """A target: a row a message, committed."""

    name = "landed"
    facts = SourceFacts("table", float("inf"), None)

    def __init__(self, url: str) -> None:
        self._db = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)

    def publish(self, bodies: Sequence[tuple[str | None, bytes]], deadline: Deadline) -> list[Sent]:
        with self._db.cursor() as cursor, cursor.copy("COPY landed (body) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["bytea"])
            for _, body in bodies:
                copy.write_row((body,))
        time.sleep(0.02)  # in which it may be killed
        return [Sent(True)] * len(bodies)

    def close(self) -> None:
        self._db.close()


if __name__ == "__main__":
    outbox = Outbox(sqlalchemy.create_engine(sys.argv[1]))
    Relay(outbox, to=Table(sys.argv[1]), gated=True, send_timeout=0.3, lease=2.0).run()
