# Generated from cassandra_async.py by scripts/twins.py. Do not edit.
"""Claims in a keyspace: read at SERIAL, judged by the transitions of `claim`, written on condition that nothing changed since.

1. A claim carries its owner's word. One that got no answer is read at SERIAL: the word says whether it went in. While that cannot
   be read the claim is an unknown outcome, and nothing runs.
2. A change rewrites the whole row, each column with the same time to live; `alive`, the lease, has its own. Cassandra counts
   whole seconds: a lease lasts as long as asked for at least, and up to two seconds more.
"""

from __future__ import annotations

import math
from typing import Any

from regionkit.contract.backing import Backing
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.core.tables import table_name
from regionkit.errors import BackendError, OutcomeUnknown, RegionUnavailable
from regionkit.messaging.claim import Answer, Kept, Step, Wish, stepped, taken
from regionkit.messaging.claiming import fitting
from regionkit.messaging.claims.schema_cassandra import READ, TAKE, WRITE
from regionkit.messaging.kept_tables import IDEMPOTENCY

__all__ = ["CassandraClaims", "opened_claims"]

MOST_LOOKS = 8
"""Looks at a record that others change in between; more say that something else is wrong."""
ASK_AFTER = 0.05
"""Seconds until a change without an answer is asked for, twice as long each time."""


class CassandraClaims:
    """Implements `Claims`. Safe to share between threads (tasks of one loop)."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing
        table = f'"{table_name(backing.namespace, IDEMPOTENCY.name)}"'
        self._read, self._take, self._write = (text.format(table) for text in (READ, TAKE, WRITE))

    def claim(self, wish: Wish, *, within: float) -> Answer:
        """Ask for a record."""
        deadline = Deadline(SYSTEM_CLOCK, within)

        def judged(kept: Kept | None) -> tuple[Answer, Kept | None]:
            return taken(kept, wish, 0.0)

        answer: Answer = self._changed(deadline, self._take, wish, judged)
        return answer

    def step(self, step: Step, wish: Wish, fence: int, *, result: bytes | None = None, within: float) -> bool:
        """Make a step; whether it was made."""
        deadline = Deadline(SYSTEM_CLOCK, within)

        def judged(kept: Kept | None) -> tuple[bool, Kept | None]:
            after = stepped(kept, step, wish, fence, 0.0, result)
            return after is not None, after

        made: bool = self._changed(deadline, self._write, wish, judged)
        return made

    def _changed(self, deadline: Deadline, text: str, wish: Wish, judge: Any) -> Any:
        """What `judge` says of the record that stands, once what it makes of it stands there."""
        records: Any = (self._backing.backend(deadline=deadline)).records
        name = (fitting(wish.scope), fitting(wish.id))
        doubt: BackendError | None = None
        pause = ASK_AFTER
        for _ in range(MOST_LOOKS):
            try:
                before = _kept(records.rows(deadline, self._read, name))
                answer, after = judge(before)
                if after is None or records.applied(deadline, text, _values(name, before, after, wish)):
                    return answer
            except (
                BackendError
            ) as error:  # writers that get into each other's way: nothing was done, or it is not known
                if not isinstance(doubt, OutcomeUnknown):
                    doubt = error
                if deadline.remaining() <= pause:
                    break
                sleep(pause * (0.5 + wish.owner[-1] / 510.0))  # each its own time
                pause *= 2.0
        raise doubt or RegionUnavailable(
            "a record could not be claimed.",
            why="other processes keep changing it.",
            fix="call again later.",
            store=self._backing.name,
        )

    def sweep(self, *, within: float) -> int:
        """Rows end by themselves."""
        return 0

    def create_tables(self, deadline: Deadline) -> None:
        """Make the table, once."""
        self._backing.create_tables([IDEMPOTENCY], deadline)

    def close(self) -> None:
        """End the backing of a session; the session stays open."""
        self._backing.close()


def _values(name: tuple[bytes, bytes], before: Kept | None, after: Kept, wish: Wish) -> tuple[Any, ...]:
    """Of the batch that makes `after` of `before`."""
    stood = (None, None, None) if before is None else (before.state, before.fence, before.owner)
    row = (after.state, after.fence, after.owner, after.fingerprint, after.was, after.result)
    life = math.ceil(wish.lease + wish.remembered) + 1
    alive = math.ceil(after.ends) + 1 if after.ends > 0.0 else 0
    return (life, *row, *name, *stood, alive, True if alive else None, *name)


def _kept(rows: list[Any]) -> Kept | None:
    """The record as it stands now, where now is 0."""
    if not rows or rows[0][1] is None:
        return None
    state, fence, left, owner, fingerprint, was, result = rows[0]
    return Kept(state, fence, float(left or 0), owner or b"", fingerprint or b"", was or "", result)


def opened_claims(backing: Backing) -> CassandraClaims:
    """The claims of a backing on Cassandra."""
    return CassandraClaims(backing)
