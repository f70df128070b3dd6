# Generated from cassandra_rows_async.py by scripts/twins.py. Do not edit.
"""The rows of one flush to Cassandra: sent some at a time, settled by what their conditions are answered, read back in doubt.

The rules are in `cassandra_async`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regionkit.caching.back.refusals import SinkRefused
from regionkit.caching.back.rules import Change, Verdict
from regionkit.caching.back.sinks.judging import judge
from regionkit.caching.back.sinks.target_cassandra import CassandraTarget, Said

__all__ = ["CassandraRun"]

AT_ONCE = 16
"""Rows on their way at once: more wait for each other at the nodes."""
LARGEST = 8 << 20
"""Bytes of a row: half of what the servers take at once by default. A larger one would fail for ever, and not say why."""


class CassandraRun:
    """One flush. Not shared between threads or tasks.

    Attributes:
        verdicts: of the changes that are settled, by identity.
        doubts: numbers of changes that were sent and not answered.
    """

    def __init__(
        self,
        target: CassandraTarget,
        changes: Sequence[Change],
        rows: Sequence[tuple[tuple[str, ...], tuple[Any, ...]]],
        epoch: int,
    ) -> None:
        self._target = target
        self._changes = changes
        self._rows = rows
        self._epoch = epoch
        self._left = list(range(len(changes)))
        self._unversioned = set[int]()
        self.verdicts: dict[int, Verdict] = {}
        self.doubts: list[int] = []

    def write(self, cql: Any) -> None:
        """Send what is not settled, until all is.

        Raises:
            Exception: the first that the driver raised; what is not settled is in doubt, or was not sent.
        """
        while self._left:
            wave = self._wave()
            bound = [self._bound(cql, n) for n in wave]
            self.doubts = list(wave)
            sent = [cql.execute_async(statement) for statement in bound]
            first: Exception | None = None
            for n, pending in zip(wave, sent, strict=True):
                try:
                    row = (pending.result()).one()
                except Exception as error:
                    first = first or error
                else:
                    self.doubts.remove(n)
                    self._answered(n, bool(row[0]), row[1] if len(row) > 1 else None)
            if first is not None:
                raise first

    def _wave(self) -> list[int]:
        """Some changes of different partitions."""
        wave, partitions = list[int](), set[Any]()
        for n in self._left:
            partition = self._target.parts(self._changes[n].key)[: self._target.partition]
            if partition not in partitions:
                partitions.add(partition)
                wave.append(n)
                if len(wave) == AT_ONCE:
                    break
        return wave

    def _bound(self, cql: Any, n: int) -> Any:
        """A statement with its values.

        Raises:
            SinkRefused: a value does not fit its column.
        """
        change, (names, values) = self._changes[n], self._rows[n]
        said: Said = self._target.said(names, deleted=change.deleted)
        first = n in self._unversioned
        prepared = cql.prepare(said.first if first else said.newer)
        try:
            bound = prepared.bind(values if first else (*values, change.version))
        except Exception as error:
            raise SinkRefused(f"the value of {change.key!r} does not fit its row: {error}"[:300]) from error
        size = sum(len(value) for value in bound.values if isinstance(value, bytes))
        if size > LARGEST:
            raise SinkRefused(f"the row of {change.key!r} has {size} bytes; {LARGEST} are written at most")
        return bound

    def _answered(self, n: int, applied: bool, standing: int | None) -> None:
        """A condition was judged. `standing`: the version that refused it; None: the row has none."""
        change = self._changes[n]
        if applied:
            self._settled(n, Verdict.APPLIED)
        elif standing is None:
            self._unversioned.add(n)
        elif standing < change.version:
            self._unversioned.discard(n)  # it has got one meanwhile
        else:
            self._settled(n, judge(change, standing, self._epoch))

    def _settled(self, n: int, verdict: Verdict) -> None:
        self.verdicts[id(self._changes[n])] = verdict
        self._left.remove(n)

    def read_back(self, cql: Any) -> None:
        """What stands where nobody knows whether it was written. What has not gone in is sent again by `write`."""
        asked = cql.prepare(self._target.standing())
        doubts, self.doubts = self.doubts, []
        for n in doubts:
            change = self._changes[n]
            row = (cql.execute(asked, self._target.parts(change.key))).one()
            standing = None if row is None else row[0]
            if standing is not None and standing >= change.version:
                self._settled(n, judge(change, standing, self._epoch))
