"""Small versioned rows on Redis: one key a record, changed by one script, which compares and sets.

1. A change is one script, so nothing comes between its look and its write; a script of ours whose answer is lost may have run.
2. A record ends by its key's time to live: the server's own clock decides, and an ended one is not there.
3. Redis acknowledges before it has copied: a failover can lose a change that was answered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from regionkit.backends.redis.block_connection_async import AsyncRedisConnection
from regionkit.backends.redis.pool_async import AsyncRedisPool
from regionkit.backends.redis.script_async import AsyncScript, Word
from regionkit.contract.record_checks import check_name_of_record, check_record
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.facts.record import Record
from regionkit.facts.request import Kind
from regionkit.topology.validation import shown

__all__ = ["AsyncRedisRecords"]


PUT = AsyncScript("put_record")
DELETE = AsyncScript("delete_record")


class AsyncRedisRecords:
    """The records that an endpoint keeps. Safe to share between threads or tasks."""

    def __init__(self, pool: AsyncRedisPool) -> None:
        self._pool = pool

    async def get(self, deadline: Deadline, kind: str, key: str) -> Record | None:
        """The record that this endpoint has; None when it has none.

        Raises:
            RegionUnavailable, DeadlineExceeded: it does not answer.
            ConfigurationError: no such kind or key can be.
        """
        name = self._name(kind, key)

        async def ask(connection: AsyncRedisConnection) -> Any:
            return await connection.ask_one("HMGET", name, "version", "value")

        return _record(kind, key, await self._pool.ask(Kind.READ, deadline, ask))

    async def put(
        self, deadline: Deadline, record: Record, *, expected: int, lasts: float | None = None, within: Any = None
    ) -> Record | None:
        """Put `record` where the version is `expected`; the record that stands then.

        Raises:
            OutcomeUnknown: it was sent, and no answer came.
            RegionUnavailable, DeadlineExceeded: it was not done.
            ConfigurationError: the value is too large, no such kind or key can be, `lasts` is no time, or a unit was given.
        """
        if within is not None:
            raise ConfigurationError(
                f"record {shown(record.kind)} cannot become part of a unit on Redis.",
                why="a unit on Redis is not a transaction: it cannot be rolled back.",
                fix="put the record on its own, or keep it in a SQL store.",
            )
        check_record(record, expected, lasts)
        ends = "" if lasts is None else math.ceil(lasts * 1000.0)
        words = (expected, record.version, record.value, ends)
        stands = await self._change(deadline, PUT, self._name(record.kind, record.key), words)
        return record if stands == 1 else _record(record.kind, record.key, stands)

    async def delete(self, deadline: Deadline, kind: str, key: str, *, expected: int) -> Record | None:
        """Take the record away where its version is `expected`; the record that stands then: None when it was taken away.

        Raises: as `put`.
        """
        stands = await self._change(deadline, DELETE, self._name(kind, key), (expected,))
        return None if stands == 1 else _record(kind, key, stands)

    async def _change(self, deadline: Deadline, script: AsyncScript, name: str, words: Sequence[Word]) -> Any:
        async def run(connection: AsyncRedisConnection) -> Any:
            return await script.run(connection, [name], words)

        return await self._pool.ask(Kind.WRITE, deadline, run, changes=True)

    def _name(self, kind: str, key: str) -> str:
        """The key of a record. No two records share one: the first colon after the kind ends it, and it holds none itself."""
        check_name_of_record(kind, key)
        return self._pool.key("record", kind.replace("%", "%25").replace(":", "%3A"), key)


def _record(kind: str, key: str, found: Sequence[bytes | None]) -> Record | None:
    version, value = found
    return None if version is None or value is None else Record(kind, key, value, int(version))
