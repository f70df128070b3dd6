"""Arguments of a session's calls that are no values of their kind, refused before anything is sent. Pure.

Only what differs from the default is looked at: a plain call costs nothing.
"""

from __future__ import annotations

import inspect
from typing import Any

from regionkit.core.deadline import LONGEST_TIMEOUT
from regionkit.errors import ConfigurationError, UsageError
from regionkit.facts.consistency import Consistency
from regionkit.facts.request import Kind
from regionkit.topology import Store
from regionkit.topology.validation import did_you_mean, shown

__all__ = [
    "check_consistency",
    "check_kind",
    "check_prefer",
    "check_result",
    "check_store",
    "check_timeout",
    "check_work",
]


def check_consistency(consistency: object) -> None:
    """Refuse what is no level: its name as a text, `BOUNDED` without a bound."""
    if not isinstance(consistency, Consistency):
        raise ConfigurationError(
            f"consistency={shown(consistency)} is not a consistency level.",
            fix="pass one of regionkit's values: EVENTUAL, BOUNDED(seconds), SESSION or STRONG.",
        )


def check_prefer(prefer: object) -> None:
    """Refuse what is no preference."""
    if isinstance(prefer, type) or not hasattr(prefer, "latency_window"):
        raise ConfigurationError(
            f"prefer={shown(prefer)} is not a preference.",
            fix="pass one of regionkit's values: Nearest(), Weighted(...), ByGeography(...) or ByProfile(...).",
        )


def check_timeout(timeout: object) -> None:
    """Refuse what is no time."""
    usable = isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout <= LONGEST_TIMEOUT
    if not usable:
        raise ConfigurationError(
            f"timeout={shown(timeout)} is not usable.",
            fix=f"give seconds as a number, at most {LONGEST_TIMEOUT:.0f}; leave it out for the profile's.",
        )


def check_store(store: object) -> str:
    """The name of a store that is given by name or as its value."""
    if isinstance(store, str):
        return store
    if isinstance(store, Store):
        return store.name
    raise ConfigurationError(
        f"{shown(store)} is not a store.", fix="pass the store's name, or the value that describes it."
    )


def check_kind(kind: object) -> Kind:
    """The kind of a block by its name."""
    if kind in ("read", "write"):
        return Kind(kind)
    raise ConfigurationError(f"kind={shown(kind)} is not usable.", fix=did_you_mean(kind, ("read", "write")))


def check_work(work: object) -> None:
    """Refuse what cannot be called."""
    if not callable(work):
        raise UsageError(
            f"{shown(work)} is not a function.", fix="pass a function of one argument, what a block yields."
        )


def check_result(given: Any, *, is_async: bool) -> None:
    """Refuse the result of a function of the other form: none of its body has run, or it ran in a form nobody waits for.

    Raises:
        UsageError: inside the block, which is rolled back.
    """
    lazy = inspect.isgenerator(given) or inspect.isasyncgen(given)
    if is_async and not lazy and not inspect.isawaitable(given):
        raise UsageError(
            "a plain function was given instead of a coroutine function.",
            why="an asynchronous session awaits its result; the block was rolled back.",
            fix="write async def, and await what the handle's methods give.",
        )
    if lazy or (not is_async and inspect.iscoroutine(given)):
        if not inspect.isasyncgen(given):
            given.close()  # nobody will wait for it
        raise UsageError(
            f"the function gave a {'generator' if lazy else 'coroutine'}, and none of its body has run.",
            why="its body would run after the end of the block.",
            fix="return a list instead of yielding." if lazy else "pass a plain function, or use the asynchronous kit.",
        )
