# Generated from source_async.py by scripts/twins.py. Do not edit.
"""Where a cache loads from: functions of the application's, alone or over a kit's store.

1. A loader gives a value, None ("nothing is there"), or a Loaded, NoStore or Unchanged. Whatever else is said of it is said here
   once: version, tags, whether it was read from the owner.
2. Without a kit a load counts as read from the owner, unless it tells a version: then the version is compared.
3. A loader with a parameter `previous` is shown what it may confirm; one with `owner` hears True when a copy that lags would
   not do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import isawaitable
from types import GeneratorType
from typing import Any, Protocol

from regionkit.caching.outcome import Outcome, Wanted, asked_owner, named_for, outcome_of, outcomes_of
from regionkit.caching.strategies import takes_these
from regionkit.caching.version import NOTHING
from regionkit.errors import UsageError

__all__ = [
    "PlainSource",
    "Source",
    "by_home",
    "called",
]

IS_ASYNC = False


class Source(Protocol):
    """Where one cache loads from."""

    def load(self, key: Any, wanted: Wanted) -> Outcome:
        """Load one key."""
        ...

    def load_many(self, keys: Sequence[Any], wanted: Wanted) -> dict[Any, Outcome]:
        """Load several that live in one part; a key that is missing is nothing there."""
        ...

    def home(self, key: Any) -> str:
        """The part of the store where a key lives; "" where it is one."""
        ...

    def view(self, given: Any, key: Any) -> Any:
        """What the session (the one given, or the current one) has to be shown of a key (None: of all); None: nothing."""
        ...

    def covers(self, lo: str, view: Any) -> bool:
        """Whether a value that surely has `lo` shows all that the session wrote or saw."""
        ...

    def saw(self, hi: str, view: Any) -> None:
        """The session was shown a value that may have shown all up to `hi`; "": nobody knows how much."""
        ...

    def wrote(self, stamp: Any, part: str) -> None:
        """The current session has written in a part, up to `stamp`."""
        ...

    def newest(self, view: Any, part: str | None) -> str:
        """An upper bound of all that the session (without one: anybody) has committed until now in a part; None: anywhere."""
        ...


def by_home(source: Source, keys: Iterable[Any]) -> dict[str, list[Any]]:
    """Keys by the part where they live."""
    found: dict[str, list[Any]] = {}
    for key in keys:
        found.setdefault(source.home(key), []).append(key)
    return found


GENERATORS = (GeneratorType, GeneratorType)
"""What a function returns that has done nothing yet."""


def called(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a function of the application's gives, whether it is async or not.

    Raises:
        UsageError: an async one, in a cache for threads; one that takes other arguments; a generator, of which nothing has run.
    """
    try:
        given = call(*arguments, **named)
    except TypeError as error:
        if takes_these(call, *arguments, **named):
            raise
        raise UsageError(
            f"{getattr(call, '__name__', 'the function')} does not take the arguments that a cache passes.",
            why=f"{error}.",
            fix="a loader takes (key), in a kit (key, store); the store of WriteThrough (key, value), with a backing or in "
            "a kit (db, key, value).",
        ) from error
    if isawaitable(given):
        if not IS_ASYNC:
            if hasattr(given, "close"):
                given.close()
            raise UsageError(
                f"{getattr(call, '__name__', 'the function')} is async, and the cache is not.",
                fix="pass a plain function, or use the Async form of the cache.",
            )
        given = given
    if isinstance(given, GENERATORS):
        raise UsageError(
            f"{getattr(call, '__name__', 'the function')} returned a generator.",
            why="nothing runs it, so nothing of it was done.",
            fix="leave yield out; write a loop instead of a generator expression.",
        )
    return given


class PlainSource:
    """Functions of the application's, without a kit."""

    def __init__(self, scope: bytes) -> None:
        self._scope = scope

    def load(self, key: Any, wanted: Wanted) -> Outcome:
        """Load one key."""
        given = called(wanted.load, key, **named_for(wanted))
        return outcome_of(given, self._scope, asked=asked_owner(wanted))

    def load_many(self, keys: Sequence[Any], wanted: Wanted) -> dict[Any, Outcome]:
        """Load several."""
        given = called(wanted.load, list(keys), **named_for(wanted))
        return outcomes_of(keys, given, self._scope, asked=asked_owner(wanted))

    def home(self, key: Any) -> str:
        """The store is one."""
        return ""

    def view(self, given: Any, key: Any) -> Any:
        """None: there is no kit.

        Raises:
            UsageError: a session was given.
        """
        if given is not None:
            raise UsageError(
                "this cache has no kit, and takes no session.",
                fix='make it by kit.cache("name", Kind, store="orders", ...).',
            )
        return None

    def covers(self, lo: str, view: Any) -> bool:
        """Always: nothing is asked for."""
        return True

    def saw(self, hi: str, view: Any) -> None:
        """Nobody is told."""

    def wrote(self, stamp: Any, part: str) -> None:
        """Nobody is told."""

    def newest(self, view: Any, part: str | None) -> str:
        """Nobody knows."""
        return NOTHING
