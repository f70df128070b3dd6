# Generated from choose_async.py by scripts/twins.py. Do not edit.
"""What a manager takes for a log: a log, or what one is made of, opened by name."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.errors import ConfigurationError
from regionkit.transactions.logs.file import FileDecisionLog
from regionkit.transactions.logs.log import DecisionLog

__all__ = ["log_of"]

IS_ASYNC = False
_WHY = {
    "redis": "Redis acknowledges before its replicas have it, and a failover, an eviction or FLUSHALL loses decisions in silence",
    "pymongo": "regionkit keeps decisions in SQL or in a file",
    "cassandra": "regionkit keeps decisions in SQL or in a file",
}


def log_of(given: Any, *, clock: Clock = SYSTEM_CLOCK) -> DecisionLog:
    """The log itself; of an engine of SQLAlchemy a SqlDecisionLog, of a path a FileDecisionLog.

    Raises:
        ConfigurationError: it cannot keep decisions; the error says why.
    """
    made: DecisionLog
    if hasattr(type(given), "decide"):
        made = given
        return made
    if isinstance(given, str | os.PathLike):
        if "://" in str(given):
            raise _refused("a URL", "an engine says how it connects", "create_engine(url) makes one")
        return FileDecisionLog(given, clock=clock)
    tops = [kind.__module__.partition(".")[0] for kind in type(given).__mro__]
    if "sqlalchemy" in tops:
        module: Any = import_module(f"regionkit.transactions.logs.{'sql_async' if IS_ASYNC else 'sql'}")
        made = module.SqlDecisionLog(given, clock=clock)
        return made
    why = next((_WHY[top] for top in tops if top in _WHY), "it is no database that regionkit knows as a log")
    raise _refused(f"a {type(given).__name__}", why, "a kit's store goes in as SqlDecisionLog(kit, store=...)")


def _refused(what: str, why: str, fix: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what} cannot be a decision log.",
        why=f"{why}.",
        fix=f"give an engine of PostgreSQL, MariaDB, MySQL or SQLite, or the path of a file; {fix}.",
    )
