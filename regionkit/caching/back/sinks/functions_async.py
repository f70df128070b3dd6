"""Functions of the application's that a sink calls: checked when the sink is made; and one that loads the value of a key."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any

from regionkit.caching.back.refusals import SinkDown
from regionkit.caching.source_async import acalled
from regionkit.caching.strategies import Loaded, takes
from regionkit.errors import ConfigurationError, UsageError

__all__ = ["check_functions", "loaded_by"]

IS_ASYNC = True


def check_functions(function: Any, load: Any) -> None:
    """Refuse what cannot be called, or of which a call runs nothing. `load` may be None.

    Raises:
        ConfigurationError: naming the argument.
    """
    for name, call in (("function", function), ("load", load)):
        if call is None and name == "load":
            continue
        if not callable(call):
            raise ConfigurationError(f"{name}={call!r} is no function.", fix="pass a function.")
        if isgeneratorfunction(call) or isasyncgenfunction(call):
            raise ConfigurationError(f"{name}={call!r} is a generator.", fix="leave yield out: nothing runs it.")
        if iscoroutinefunction(call) and not IS_ASYNC:
            raise ConfigurationError(f"{name}={call!r} is async.", fix="pass a plain function, or use the Async form.")


async def loaded_by(load: Callable[..., Any], key: Any, *, owner: bool) -> Loaded[Any] | None:
    """What `load` returns for a key. `owner` is passed on where it takes that.

    Raises:
        SinkDown: it failed.
    """
    try:
        found = await acalled(load, key, **({"owner": owner} if takes(load, "owner") else {}))
    except (SinkDown, UsageError):
        raise
    except Exception as error:
        raise SinkDown(f"the value of key {key!r} could not be loaded: {error}") from error
    return found if found is None or isinstance(found, Loaded) else Loaded(found)
