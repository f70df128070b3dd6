# Generated from epochs_sql_async.py by scripts/twins.py. Do not edit.
"""Epochs of write-back caches in a SQL database: a row a cache, which only rises. And the units in which a sink does its work."""

from __future__ import annotations

from functools import partial
from typing import Any

from regionkit.caching.back.rules import MOST_EPOCHS
from regionkit.caching.back.sinks.failures_sql import failures_told
from regionkit.caching.back.sinks.raising_sql import EpochStatements
from regionkit.caching.back.sinks.told import Told
from regionkit.caching.kept_tables import WB_EPOCH
from regionkit.contract.backing import Backing
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.facts.consistency import STRONG
from regionkit.topology.topology import NAMESPACE
from regionkit.topology.validation import check_name

__all__ = ["SinkUnits", "SqlEpochs", "check_cache"]


def check_cache(cache: str) -> None:
    """Refuse what is no name of a cache: it stands in the text of statements."""
    check_name("name of a cache", cache, NAMESPACE)


class SinkUnits:
    """Units on the owner, whose errors are a sink's. Safe to share between threads (tasks of one loop)."""

    def __init__(self, backing: Backing, clock: Clock, timeout: float) -> None:
        self._backing = backing
        self._clock = clock
        self._timeout = timeout
        self._told = partial(failures_told, backing.name)

    def write(self) -> Told:
        """A transaction."""
        deadline = Deadline(self._clock, self._timeout)
        return Told(self._backing.write(deadline=deadline, core=True, stamped=False), self._told)

    def read(self) -> Told:
        """Reads of what is committed."""
        deadline = Deadline(self._clock, self._timeout)
        return Told(self._backing.read(consistency=STRONG, deadline=deadline, core=True), self._told)


class SqlEpochs:
    """Gives out epochs. Safe to share between threads (tasks of one loop)."""

    def __init__(self, backing: Backing, clock: Clock, timeout: float) -> None:
        self._backing = backing
        self._clock = clock
        self._units = SinkUnits(backing, clock, timeout)
        self._statements: EpochStatements | None = None

    def _said(self, unit: Any) -> EpochStatements:
        if self._statements is None:
            self._statements = EpochStatements(self._backing.namespace, unit.native.dialect.name)
        return self._statements

    def create_tables(self, timeout: float = 30.0) -> None:
        """Make the table. Many processes may call it at the same time."""
        self._backing.create_tables((WB_EPOCH,), Deadline(self._clock, timeout))

    def raise_epoch(self, cache: str, above: int) -> int:
        """Give out the next epoch of a cache, above `above` and above each that was given out before.

        Raises:
            ConfigurationError: there are no more.
            SinkDown: it was not given out, or nobody knows.
        """
        check_cache(cache)
        with self._units.write() as unit:
            said = self._said(unit)
            unit.native.execute(said.next, {"cache": cache, "epoch": above + 1})
            epoch = int((unit.native.execute(said.latest, {"b_cache": cache})).scalar_one())
            if epoch > MOST_EPOCHS:
                raise ConfigurationError(
                    f"cache {cache!r} has used up its epochs: {epoch}.",
                    why=f"there are {MOST_EPOCHS}; each run of its server takes one.",
                    fix="drain it, and use another name for the cache.",
                )
        return epoch

    def latest(self, cache: str) -> int:
        """The last epoch that was given out; 0 for none."""
        check_cache(cache)
        with self._units.read() as unit:
            said = self._said(unit)
            return int((unit.native.execute(said.latest, {"b_cache": cache})).scalar() or 0)

    def close(self) -> None:
        """Close what the backing opened. May be called twice."""
        self._backing.close()
