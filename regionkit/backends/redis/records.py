# Generated from records_async.py by scripts/twins.py. Do not edit.
"""Small versioned rows on Redis: one key a record, changed by one script, which compares and sets.

1. A change is one script, so nothing comes between its look and its write; a script of ours whose answer is lost may have run.
2. A record ends by its key's time to live: the server's own clock decides, and an ended one is not there.
3. Redis acknowledges before it has copied: a failover can lose a change that was answered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from regionkit.backends.redis.block_connection import RedisConnection
from regionkit.backends.redis.pool import RedisPool
from regionkit.backends.redis.script import Script, Word
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.facts.record import LARGEST_RECORD, Record
from regionkit.facts.request import Kind
from regionkit.topology.homes import LONGEST_KEY
from regionkit.topology.validation import shown

__all__ = ["LONGEST_LAST", "RedisRecords"]

LONGEST_LAST = 10 * 366 * 86_400.0
"""Longest time after which a record may end, seconds: ten years; what is to last longer has no end."""

PUT = Script("put_record")
DELETE = Script("delete_record")


class RedisRecords:
    """The records that an endpoint keeps. Safe to share between threads or tasks."""

    def __init__(self, pool: RedisPool) -> None:
        self._pool = pool

    def get(self, deadline: Deadline, kind: str, key: str) -> Record | None:
        """The record that this endpoint has; None when it has none.

        Raises:
            RegionUnavailable, DeadlineExceeded: it does not answer.
            ConfigurationError: no such kind or key can be.
        """
        name = self._name(kind, key)

        def ask(connection: RedisConnection) -> Any:
            return connection.ask_one("HMGET", name, "version", "value")

        return _record(kind, key, self._pool.ask(Kind.READ, deadline, ask))

    def put(
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
                f"record {shown(record.kind)} can not become part of a unit on Redis.",
                why="a unit on Redis is no transaction: nothing of it could be rolled back.",
                fix="put the record by itself, or keep it in a SQL store.",
            )
        if len(record.value) > LARGEST_RECORD:
            raise ConfigurationError(
                f"record {shown(record.kind)} has a value of {len(record.value)} bytes.",
                why=f"at most {LARGEST_RECORD} are taken.",
                fix="keep what is larger in a table of its own, and its name in the record.",
            )
        if lasts is not None and not 0.0 < lasts <= LONGEST_LAST:
            raise ConfigurationError(
                f"record {shown(record.kind)} can not last {lasts!r} s.",
                why=f"it must be more than 0 and at most {LONGEST_LAST:.0f} s.",
                fix="leave lasts= out for a record without an end.",
            )
        ends = "" if lasts is None else math.ceil(lasts * 1000.0)
        words = (expected, record.version, record.value, ends)
        stands = self._change(deadline, PUT, self._name(record.kind, record.key), words)
        return record if stands == 1 else _record(record.kind, record.key, stands)

    def delete(self, deadline: Deadline, kind: str, key: str, *, expected: int) -> Record | None:
        """Take the record away where its version is `expected`; the record that stands then: None when it was taken away.

        Raises: as `put`.
        """
        stands = self._change(deadline, DELETE, self._name(kind, key), (expected,))
        return None if stands == 1 else _record(kind, key, stands)

    def _change(self, deadline: Deadline, script: Script, name: str, words: Sequence[Word]) -> Any:
        def run(connection: RedisConnection) -> Any:
            return script.run(connection, [name], words)

        return self._pool.ask(Kind.WRITE, deadline, run, changes=True)

    def _name(self, kind: str, key: str) -> str:
        """The key of a record. No two records share one: the first colon after the kind ends it, and it holds none itself."""
        if not _usable(kind) or not kind or not _usable(key):
            raise ConfigurationError(
                f"record {shown(kind)}, {shown(key)} can not be.",
                why=f"kind and key are texts of at most {LONGEST_KEY} characters without NUL and surrogates; a kind has one.",
                fix="shorten it, or encode it.",
            )
        return self._pool.key("record", kind.replace("%", "%25").replace(":", "%3A"), key)


def _usable(word: object) -> bool:
    if not isinstance(word, str) or len(word) > LONGEST_KEY or "\x00" in word:
        return False
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _record(kind: str, key: str, found: Sequence[bytes | None]) -> Record | None:
    version, value = found
    return None if version is None or value is None else Record(kind, key, value, int(version))
