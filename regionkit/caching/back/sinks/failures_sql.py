"""What an error of a flush means: try again, or never. By the server's code where there is one.

| what the server or driver says                                             | what it is |
|----------------------------------------------------------------------------|------------|
| a foreign key (23503; 1216, 1217, 1451, 1452; SQLite's words)              | SinkRefused, waits |
| another constraint, a value that does not fit, a trigger's refusal         | SinkRefused |
| a value that the driver or SQLAlchemy cannot send                          | SinkRefused |
| all else: lost, locked, rolled back, read-only, a missing table or right   | SinkDown: it is not the changes' fault |

Sources: PostgreSQL manual appendix A; MariaDB error reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError, StatementError

from regionkit.caching.back.refusals import SinkDown, SinkRefused
from regionkit.errors import ConfigurationError, RegionKitError, UsageError

__all__ = ["failures_told", "refusals_told"]

FOREIGN = frozenset({"23503", 1216, 1217, 1451, 1452})
REFUSED_STATES = ("22", "23", "44")
"""Classes of PostgreSQL: data, integrity constraints, WITH CHECK OPTION."""
REFUSED = frozenset(
    {
        *(
            "42804",
            "42846",
            "54000",
            "P0001",
            "428C9",
        ),  # another type; too large for an index; RAISE; a generated column
        *(1048, 1062, 1364, 1586),  # NOT NULL, a unique index, no default
        *(1264, 1265, 1292, 1366, 1367, 1406, 1411, 1690),  # out of range, cut off, no such value
        *(1153, 4025, 3819, 1644, 1906, 1369),  # too large a packet, CHECK, SIGNAL, a generated column, CHECK OPTION
    }
)
MISSING = frozenset({"42P01", 1146})
_UNSENDABLE = (TypeError, ValueError, OverflowError, AttributeError)
"""What drivers raise, past SQLAlchemy, of a value that they cannot send."""
MOST_BEHIND = 10
"""Errors that are looked behind."""
MOST_SHOWN = 300
"""Characters of a server's words: they may quote the row."""


@contextmanager
def refusals_told() -> Iterator[None]:
    """Inside, values are sent: what cannot be is the change's fault."""
    try:
        yield
    except _UNSENDABLE as error:
        if isinstance(error, RegionKitError):
            raise
        raise SinkRefused(f"a value cannot be sent: {_words(error)}") from error


@contextmanager
def failures_told(name: str) -> Iterator[None]:
    """Inside, errors leave as SinkDown or SinkRefused. `name`: of the backing."""
    try:
        yield
    except (ConfigurationError, UsageError):  # a mistake of the application's, which it should see
        raise
    except RegionKitError as error:
        raise SinkDown(f"{name!r} did not take the changes: {error.what} {error.why}".strip()) from error
    except SQLAlchemyError as error:
        raise _of(error, name) from error
    except (OSError, TimeoutError) as error:
        raise SinkDown(f"{name!r} was not reached: {_words(error)}") from error


def _of(error: SQLAlchemyError, name: str) -> Exception:
    driver = _cause(getattr(error, "orig", None))
    code, words = _code(driver), _words(driver or error)
    if code in FOREIGN or "FOREIGN KEY constraint failed" in words:
        return SinkRefused(f"a row refers to one that is not there, or is referred to: {words}", waits=True)
    if _is_refused(error, code, words):
        return SinkRefused(words)
    if code in MISSING or "no such table" in words:
        return SinkDown(f"{name!r} has not all tables: {words}. Call create_tables() once, and whenever you deploy")
    return SinkDown(f"{name!r} did not take the changes: {words}")


def _is_refused(error: SQLAlchemyError, code: Any, words: str) -> bool:
    if code is not None:
        policy = code == "42501" and "row-level security" in words
        return code in REFUSED or policy or (isinstance(code, str) and code[:2] in REFUSED_STATES)
    if isinstance(error, DBAPIError):
        return isinstance(error, IntegrityError | DataError | ProgrammingError)  # without a code: the driver's own
    return isinstance(error, StatementError)  # SQLAlchemy's, of a value


def _cause(driver: Any) -> Any:
    """What a driver's error is about: of many rows psycopg may tell of one that it did not try, behind the one that failed."""
    for _ in range(MOST_BEHIND):
        behind = getattr(driver, "__cause__", None) or getattr(driver, "__context__", None)
        if type(driver).__name__ != "PipelineAborted" or behind is None:
            break
        driver = behind
    return driver


def _code(driver: Any) -> int | str | None:
    first = driver.args[0] if getattr(driver, "args", ()) else None
    if isinstance(first, int) and not isinstance(driver, OSError):
        return first
    found: str | None = getattr(driver, "sqlstate", None)
    return found


def _words(error: BaseException) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:MOST_SHOWN]
