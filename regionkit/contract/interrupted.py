"""Whose an exception is that came up in the midst of a driver's wait, told by its traceback. No I/O.

A signal handler that raises (SIGALRM, a worker's time limit) raises inside of whatever runs: mostly a driver that waits for its
server. Such an exception is the application's. Where it is an OSError, as TimeoutError is, drivers take it for their socket's.

| innermost frame of the traceback | a driver's frame before it | whose it is |
|---|---|---|
| a driver's, or the standard library's | yes | the driver's |
| the application's | yes | the application's, and it stopped the driver |
| any | no | the application's |
| that of asyncio.timeout, entered by the application | no | the application's, and it stopped the driver |
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import TracebackType

__all__ = ["interruption", "is_drivers", "is_of_others", "keep_own"]

MOST_LINKS = 8
"""Exceptions of one chain that are looked at: drivers turn an error into another one two or three times."""
_DRIVERS = frozenset(
    {
        *("psycopg", "psycopg_binary", "psycopg_c", "pymysql", "aiomysql", "aiosqlite", "asyncpg", "pg8000", "MySQLdb"),
        *("redis", "hiredis", "pymongo", "bson", "cassandra"),
    }
)
_UNDER = frozenset(
    {
        *(
            "sqlalchemy",
            "regionkit",
            "tenacity",
            "greenlet",
            "gevent",
            "eventlet",
            "uvloop",
            "winloop",
            "anyio",
            "trio",
        ),
        *("OpenSSL", "service_identity", "cryptography", "dns", "socks", "pymongocrypt"),
    }
)
_BELOW = sys.stdlib_module_names | _DRIVERS | _UNDER
"""What drivers stand on, and what stands between them and the application: no exception of the application's begins there."""
_OF_LOOPS = (asyncio.CancelledError, GeneratorExit, StopIteration, StopAsyncIteration)
"""What loops and generators end a wait with: time-outs of regionkit's own are made of it."""


_OURS = ("regionkit.backends.redis.stream", "regionkit.backends.cassandra.bridge")
"""Modules of regionkit's that wait without a driver's frame above them."""


_OWN = "_regionkit_own"


def keep_own(error: BaseException) -> None:
    """Note that an exception is the application's: a driver is about to take its traceback off."""
    setattr(error, _OWN, True)


def is_drivers(error: BaseException) -> bool:
    """Whether an exception that any code may raise, a ConnectionError say, comes from a driver; one never raised counts so."""
    trace = error.__traceback__
    return trace is None or (_passes(trace, ("regionkit.backends.",)) and not _begins_above(trace))


def is_of_others(error: BaseException, handle: object) -> bool:
    """Whether a driver's error comes of no connection of regionkit's: the application has clients of its own.

    `handle`: of the block that it leaves. One that says that its connection does not stand has lost it by this error.
    """
    trace = error.__traceback__
    elsewhere = trace is not None and not _has(trace, ("regionkit.backends.",))
    return elsewhere and bool(getattr(handle, "stands", True))


def interruption(error: BaseException) -> BaseException | None:
    """The application's exception that stopped a driver's wait: `error`, or what a driver made `error` of; None for none."""
    link: BaseException | None = error
    for _ in range(MOST_LINKS):
        if link is None:
            break
        if _stopped_driver(link):
            return link
        link = getattr(link, "orig", None) or link.__cause__ or link.__context__
        if link is not None and link.__traceback__ is not None and not _is_below(link.__traceback__):
            break  # the application caught it, and went on: another matter
    return None


def _stopped_driver(error: BaseException) -> bool:
    trace = error.__traceback__
    if getattr(error, _OWN, False):
        return True
    if trace is None or isinstance(error, _OF_LOOPS):
        return False
    if not _passes(trace, _OURS):
        return _is_limit(error, trace)
    return _begins_above(trace) or not isinstance(error, Exception)


def _is_limit(error: BaseException, trace: TracebackType) -> bool:
    """Whether an asyncio.timeout of the application's raised it: it had cancelled what was waited for."""
    if not (isinstance(error, TimeoutError) and isinstance(error.__cause__, asyncio.CancelledError)):
        return False
    before = trace
    while trace.tb_next is not None:
        before, trace = trace, trace.tb_next
    return _module(trace) == "asyncio.timeouts" and not _is_below(before)


def _passes(trace: TracebackType, ours: tuple[str, ...]) -> bool:
    """Whether it was raised under a driver, or under these modules of regionkit's."""
    return _has(trace, ours) or any(name.partition(".")[0] in _DRIVERS for name in _modules(trace))


def _has(trace: TracebackType, ours: tuple[str, ...]) -> bool:
    return any(name.startswith(ours) for name in _modules(trace))


def _modules(trace: TracebackType) -> Iterator[str]:
    link: TracebackType | None = trace
    while link is not None:
        yield _module(link)
        link = link.tb_next


def _begins_above(trace: TracebackType) -> bool:
    """Whether it was raised by code of the application's, or of a library that no driver stands on."""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return not _is_below(trace)


def _is_below(trace: TracebackType) -> bool:
    return _module(trace).partition(".")[0] in _BELOW


def _module(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__", ""))
