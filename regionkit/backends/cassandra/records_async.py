"""Records in a keyspace: conditional statements at SERIAL, committed at QUORUM, so that every data centre has a part in each.

1. A change says who makes it: a word of its own (`nonce`), new with each call. A change without an answer is asked for by that
   word at SERIAL, and made again where the version still is the one that it needs: the condition lets it happen once.
2. What may have been made and changed again by others since is an unknown outcome: versions begin anew after a deletion.
3. Cassandra counts whole seconds: a record that ends lasts `lasts` seconds at least, and up to two more.
"""

from __future__ import annotations

import math
import random
import uuid
from typing import Any

from cassandra import InvalidRequest

from regionkit.backends.cassandra.classify import is_certain
from regionkit.backends.cassandra.datacenter_async import AsyncDatacenter
from regionkit.backends.cassandra.schema import Statements
from regionkit.contract.endpoint_errors import first_line
from regionkit.contract.record_checks import change_unanswered, check_name_of_record, check_record, no_records
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, RegionKitError
from regionkit.facts.record import Record

__all__ = ["AsyncCassandraRecords"]

ASK_AFTER = 0.05
"""Seconds until a change without an answer is asked for, twice as long each time, and shortened by chance: writers that got
into each other's way part meanwhile."""
ASK_AT_LEAST_EVERY = 1.0
"""Longest such pause, seconds."""
STAYS = 0
"""Time to live of what does not end."""


class AsyncCassandraRecords:
    """Implements `AsyncRecords`. Every data centre may change records: there is no owner. Safe to share."""

    def __init__(self, datacenter: AsyncDatacenter, statements: Statements) -> None:
        self._datacenter = datacenter
        self._statements = statements

    async def get(self, deadline: Deadline, kind: str, key: str) -> Record | None:
        """The record, read at SERIAL: what is being changed just now is waited for."""
        check_name_of_record(kind, key)
        return (await self._standing(deadline, kind, key))[0]

    async def put(
        self, deadline: Deadline, record: Record, *, expected: int, lasts: float | None = None, within: Any = None
    ) -> Record | None:
        """Put `record` where the version is `expected`; the record that stands then."""
        check_record(record, expected, lasts)
        if within is not None:
            raise ConfigurationError(
                f"store {self._datacenter.context.store.name!r}: a record within a unit.",
                why="a unit on Cassandra is not a transaction: each statement takes effect on its own.",
                fix="leave within= out.",
            )
        nonce = uuid.uuid4().hex
        ends = STAYS if lasts is None else math.ceil(lasts) + 1  # the second that has begun counts as a whole one
        values = (ends, record.value, record.version, nonce, record.kind, record.key, expected or None)
        standing, made = await self._change(deadline, self._statements.change, values, record, expected, nonce)
        return record if made else standing

    async def delete(self, deadline: Deadline, kind: str, key: str, *, expected: int) -> Record | None:
        """Take the record away where its version is `expected`; the record that stands then."""
        check_name_of_record(kind, key)
        if expected == 0:
            return await self.get(deadline, kind, key)
        gone = Record(kind, key, b"", 0)
        values = (kind, key, expected)
        return (await self._change(deadline, self._statements.take_away, values, gone, expected, ""))[0]

    async def rows(self, deadline: Deadline, text: str, values: tuple[Any, ...]) -> list[Any]:
        """The rows of a statement on a table of regionkit's own, read at SERIAL: what is being changed is waited for."""
        return await self._datacenter.run(deadline, text, values, level="SERIAL")

    async def applied(self, deadline: Deadline, text: str, values: tuple[Any, ...]) -> bool:
        """Whether a conditional statement on a table of regionkit's own was applied; it is sent once.

        Raises:
            OutcomeUnknown: it was sent, and may be applied.
            RegionUnavailable, DeadlineExceeded: it was not.
        """
        opened = await self._datacenter.opened(deadline)
        left = deadline.require("changing a record", store=self._datacenter.context.store.name)
        try:
            return bool((await self._datacenter.send(opened, left, text, values, commit="QUORUM"))[0][0])
        except InvalidRequest as error:
            raise no_records(self._datacenter.context, str(error)) from error
        except Exception as error:
            if is_certain(error, conditional=True):
                raise self._datacenter.translated(error) from error
            raise change_unanswered(self._datacenter.context, first_line(error)) from error

    async def _change(
        self, deadline: Deadline, text: str, values: tuple[Any, ...], record: Record, expected: int, nonce: str
    ) -> tuple[Record | None, bool]:
        """What stands after a change, and whether that is the change itself. `nonce` "": it takes away."""
        doubt: Exception | None = None
        pause = ASK_AFTER
        while True:
            try:
                if doubt is not None:
                    standing, word = await self._standing(deadline, record.kind, record.key)
                    if word == nonce:
                        return standing, True
                    if (0 if standing is None else standing.version) != expected:
                        break
                opened = await self._datacenter.opened(deadline)
                left = deadline.require("changing a record", store=self._datacenter.context.store.name)
            except RegionKitError:
                if doubt is None:
                    raise  # nothing was sent
            else:
                try:
                    applied = (await self._datacenter.send(opened, left, text, values, commit="QUORUM"))[0][0]
                    if applied:
                        return None, True
                    if doubt is None:
                        return (await self._standing(deadline, record.kind, record.key))[0], False
                    continue
                except InvalidRequest as error:
                    raise no_records(self._datacenter.context, str(error)) from error
                except Exception as error:
                    if doubt is None and is_certain(error, conditional=True):
                        raise self._datacenter.translated(error) from error
                    doubt = doubt or error
            if deadline.remaining() <= pause:
                break
            await asleep(pause * random.uniform(0.5, 1.0))
            pause = min(2.0 * pause, ASK_AT_LEAST_EVERY)
        why = f"{first_line(doubt)}; and the present record does not show whether it was made."
        raise change_unanswered(self._datacenter.context, why) from doubt

    async def _standing(self, deadline: Deadline, kind: str, key: str) -> tuple[Record | None, str]:
        """What stands, and the word of who made it; "" where nothing stands."""
        rows = await self._datacenter.run(deadline, self._statements.record, (kind, key), level="SERIAL")
        if not rows or rows[0][1] is None:
            return None, ""
        value, version, nonce = rows[0]
        return Record(kind, key, bytes(value), version), nonce
