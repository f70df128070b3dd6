# Generated from call_async.py by scripts/twins.py. Do not edit.
"""A sink that is a function of the application's: it gets the changes, and writes them wherever they go.

| the function                                   | what it means |
|------------------------------------------------|---------------|
| returns None                                   | all were written; of an earlier epoch: or had been superseded |
| returns a list with a Verdict for each change  | that |
| raises SinkDown or SinkRefused                 | that |
| is a generator; is async, and the sink is not  | UsageError: all are tried again |
| raises a ValueError, TypeError or LookupError  | SinkRefused: a change cannot be written, and nothing was |
| raises anything else                           | SinkDown: all are tried again |

1. The guard is the function's: it writes a change only where what stands there has a lower version, and keeps the versions of
   deletes. Without that a flusher that was frozen brings old values back; nothing here can prevent it.
2. A change may come twice, and an older one after a newer: its version tells.
3. A later epoch is seen before the function is called, and not while it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from importlib import import_module
from typing import Any, ClassVar

from regionkit.caching.back.refusals import SinkDown, SinkFenced, SinkRefused, check_timeout
from regionkit.caching.back.rules import EPOCH, Change, Verdict
from regionkit.caching.back.sinks.functions import check_functions, loaded_by
from regionkit.caching.source import called
from regionkit.caching.strategies import Loaded
from regionkit.contract.backing import Backing, backing_of
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.errors import ConfigurationError, RegionKitError, UsageError

__all__ = ["CallSink"]

IS_ASYNC = False

TIMEOUT = 5.0
"""Seconds that giving out an epoch may take: one short transaction."""
_REFUSALS = (ValueError, TypeError, LookupError)


class CallSink:
    """A function as a sink. As safe to share between threads (tasks of one loop) as the function is.

    Args:
        function: `function(changes)`, called with changes of different keys; in log mode with each put, in order.
        load: `load(key)`: the row as a Loaded, with the version that was written last, or None. It reads where the function
            writes, not a copy that lags; with a parameter `owner` only where that is True. Without it the cache brings its own
            loader, and `update` and `if_version` know versions that the buffer has, no others.
        epochs: who gives out epochs: a SQL engine, a kit (with `store`), or a function `epochs(cache, above)` that returns a
            number above `above` and above each that it returned before, whatever crashes in between.
        store: which of a kit's stores.
        namespace: prefix of the table of epochs; a kit's own counts for its stores.
        timeout: seconds that giving out an epoch may take.
        clock: where time is read.

    Attributes:
        takes: what it can be given: the last put of each key, or each put.
        findings: what is worth knowing.
    """

    takes: ClassVar[tuple[str, ...]] = ("rows", "log")
    findings: tuple[str, ...] = ("the guard is the function's own: nobody else knows whether it holds",)

    def __init__(
        self,
        function: Callable[..., Any],
        load: Callable[..., Any] | None = None,
        *,
        epochs: Any,
        store: str | None = None,
        namespace: str = "regionkit",
        timeout: float = TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_functions(function, load)
        check_timeout(timeout)
        self._function = function
        self._load = load
        self._kept: Any = None
        self._given: Callable[..., Any] | None = None
        if callable(epochs):
            self._given = epochs
            return
        backing = backing_of(epochs, namespace=namespace, store=store, clock=clock)
        if "core" not in backing.capabilities.modes:
            raise ConfigurationError(
                f"{backing.name!r} gives out no epochs.",
                why="versions stay unique over restarts of the buffer's server by them.",
                fix="give an engine of PostgreSQL, MariaDB, MySQL or SQLite, or a function of (cache, above).",
            )
        module = import_module(f"regionkit.caching.back.sinks.epochs_sql{'_async' if IS_ASYNC else ''}")
        self._kept = module.SqlEpochs(backing, clock, timeout)

    def at(self, backing: Backing) -> CallSink:
        """The same function for one part of a store: it is given keys of that part."""
        return copy(self)

    def check(self) -> None:
        """Nothing can be looked at: see `findings`."""

    def create_tables(self) -> None:
        """Make the table of epochs, where they are kept in a database."""
        if self._kept is not None:
            self._kept.create_tables()

    def raise_epoch(self, cache: str, above: int) -> int:
        """Give out the next epoch.

        Raises:
            SinkDown: it was not given out, or the function gave one that is not above `above`.
        """
        if self._given is None:
            return int(self._kept.raise_epoch(cache, above))
        try:
            epoch = called(self._given, cache, above)
        except (SinkDown, ConfigurationError, UsageError):
            raise
        except Exception as error:
            raise SinkDown(f"no epoch of cache {cache!r} was given out: {error}") from error
        if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch <= above:
            raise SinkDown(f"the function of epochs gave {epoch!r} for cache {cache!r}, which is not above {above}")
        return epoch

    def flush(self, cache: str, epoch: int, changes: Sequence[Change]) -> list[Verdict]:
        """Call the function; see the table of the module."""
        if not changes:
            return []
        if self._kept is not None and (latest := self._kept.latest(cache)) > epoch:
            raise SinkFenced(f"another flusher has epoch {latest} of cache {cache!r}, and this one {epoch}", latest)
        try:
            given = called(self._function, list(changes))
        except (SinkDown, SinkRefused, UsageError):
            raise
        except Exception as error:
            if isinstance(error, _REFUSALS) and not isinstance(error, RegionKitError):
                raise SinkRefused(f"the function of the sink refused: {error}") from error
            raise SinkDown(f"the function of the sink failed: {error}") from error
        if given is None:  # what an earlier epoch has put, a later put may have replaced that the buffer has lost since
            return [Verdict.SUPERSEDED if c.version // EPOCH < epoch else Verdict.APPLIED for c in changes]
        verdicts = list(given) if isinstance(given, Sequence) else []
        if len(verdicts) != len(changes) or not all(isinstance(verdict, Verdict) for verdict in verdicts):
            raise SinkDown(f"the function of the sink returned no Verdict for each of {len(changes)} changes")
        return verdicts

    def load(self, key: Any, owner: bool = False) -> Loaded[Any] | None:
        """What the function of the row says. `owner` is passed on where it takes that.

        Raises:
            ConfigurationError: there is none.
            SinkDown: it failed.
        """
        if self._load is None:
            raise ConfigurationError("this CallSink has no load=.", fix="give it, or give the cache a loader.")
        return loaded_by(self._load, key, owner=owner)

    def forget_marks(self, cache: str, below: int, before: float = math.inf) -> int:
        """Nothing is kept here: the function keeps the versions of deletes."""
        return 0

    def close(self) -> None:
        """Close what it opened. May be called twice."""
        if self._kept is not None:
            self._kept.close()
