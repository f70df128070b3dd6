"""Why a server could not be reached, read off an error: of the operating system, of the name service, or in a driver's words.

Drivers wrap what the system said, each in its own way: the chain of causes is walked, then the texts are looked at. libpq has
words only; where it quotes the system, those are looked for in the process's own language. Pure.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator
from types import MappingProxyType

from regionkit.contract.interrupted import interruption
from regionkit.contract.outcomes import Unreached

__all__ = ["unreached", "without_frames"]

_BY_NUMBER = MappingProxyType(
    {
        errno.ECONNREFUSED: Unreached.CLOSED,
        errno.ENOENT: Unreached.FILE,
        errno.ENETUNREACH: Unreached.NO_WAY,
        errno.EHOSTUNREACH: Unreached.NO_WAY,
        errno.ENETDOWN: Unreached.NO_WAY,
        errno.ETIMEDOUT: Unreached.SILENT,
    }
)
_WORDS = (
    *((word, Unreached.NAME) for word in ("translate host name", "resolve host", "in name resolution")),
    ("Name or service not known", Unreached.NAME),
    *((os.strerror(number), cause) for number, cause in _BY_NUMBER.items()),
)
_NUMBER = re.compile(r"\[Errno (-?\d+)\]")
"""As Python writes it; asyncio puts several into one text. Those of the name service are negative."""
DEEPEST = 20
"""Errors looked at in one chain."""


def unreached(error: BaseException) -> Unreached | None:
    """Why connecting failed; None if the error does not say."""
    chain = list(_chain(error))
    found = (_by_kind(one) for one in chain)
    by_kind = next((cause for cause in found if cause is not None), None)
    return by_kind or next((cause for one in chain if (cause := _by_text(str(one))) is not None), None)


def without_frames(error: BaseException) -> None:
    """Take the tracebacks off an error of connecting, and off what it came of: the frames of drivers hold the password, and error
    reporters show local variables. What it says stays. An exception of the application's that stopped a driver keeps its own.
    """
    if interruption(error) is None:
        for one in list(_chain(error)):
            one.__traceback__ = None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came of, each once."""
    seen: set[int] = set()
    waiting = [error]
    while waiting and len(seen) < DEEPEST:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [getattr(one, "orig", None), one.__cause__, getattr(one, "original_exception", None), one.__context__]
        several = getattr(one, "errors", None)  # by host
        if isinstance(several, dict):
            inner += several.values()
        waiting += [each for each in inner if isinstance(each, BaseException)]


def _by_kind(error: BaseException) -> Unreached | None:
    if isinstance(error, socket.gaierror):
        return Unreached.NAME
    if isinstance(error, OSError):
        return _BY_NUMBER.get(error.errno or 0)
    is_file = str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_CANTOPEN")
    return Unreached.FILE if is_file else None


def _by_text(text: str) -> Unreached | None:
    for number in _NUMBER.findall(text):
        cause = Unreached.NAME if int(number) < 0 else _BY_NUMBER.get(int(number))
        if cause is not None:
            return cause
    return next((cause for words, cause in _WORDS if words in text), None)
