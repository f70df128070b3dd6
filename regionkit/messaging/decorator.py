"""`idempotent`: a function that is run once for each key, whoever calls it, how often and from where.

    >>> store = MemoryRecords()
    >>> @idempotent(store, key=lambda order: order["id"])
    ... def pay(order: dict[str, int]) -> str:
    ...     print("paying", order["cents"])
    ...     return f"receipt {order['id']}"
    >>> pay({"id": 7, "cents": 1200})
    paying 1200
    'receipt 7'
    >>> pay({"id": 7, "cents": 1200})
    'receipt 7'

What is promised: FENCED_AT_LEAST_ONCE. While the process lives and its store answers, one call a key runs, and every repeat gets
what it gave. A process that dies in the middle leaves the call in doubt: after its lease the next caller runs it again, or asks
`resolve`. So hand the key to the other side too, where it takes one.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Literal, ParamSpec, TypeVar

from regionkit.errors import ConfigurationError
from regionkit.messaging.cipher import Cipher
from regionkit.messaging.options import Options

__all__ = ["idempotent"]

P = ParamSpec("P")
R = TypeVar("R")


def idempotent(
    store: Any,
    *,
    key: Callable[..., Any],
    ttl: float = 86_400.0,
    in_progress: Literal["wait", "raise", "result"] = "wait",
    name: str | None = None,
    lease: float = 30.0,
    short_lease: bool = False,
    wait_timeout: float = 5.0,
    store_errors: Sequence[type[Exception]] = (),
    store_result: bool = True,
    cipher: Cipher | None = None,
    resolve: Callable[..., Any] | None = None,
    on_in_doubt: Literal["retry", "raise"] = "retry",
    fingerprint: Callable[..., Any] | bool = True,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: the function runs once for each key, and repeats get the result of that run.

    For a plain function with `RedisRecords`, `SqlRecords`, ...; for an async one with `AsyncRedisRecords`, and so on. Threads,
    tasks and processes may call it at once. An exception is not an outcome: the next caller runs the function again. The first
    caller gets what a repeat gets: the result encoded and decoded, by the function's annotation.

    Args:
        store: where it is kept what was called.
        key: a function of the arguments; those that it names, or all of them. It gives a str, int, UUID, bytes or a tuple.
        ttl: seconds for which a result is kept, and repeats are recognised.
        in_progress: while another runs the same key: wait for its result, raise InProgress, or give that error as the result.
        name: of the function in the store; else its module and qualified name. With a name it can be moved and renamed.
        lease: seconds after which a call that died is over; it is kept alive while the function runs.
        short_lease: take a lease under 10 s.
        wait_timeout: seconds to wait for another's call, the store's answers counted; it has 1 s for the last one.
        store_errors: exceptions that are outcomes: they are kept, and raised again for repeats.
        store_result: keep the result; else repeats raise ResultNotStored.
        cipher: encrypts what is kept, as a Fernet does.
        resolve: a function of the key that says, after a crash, what happened to the call: Resolved(result), "no" or "unknown".
        on_in_doubt: when nobody knows: run it again, or raise InDoubt.
        fingerprint: compare the arguments of a repeat: all but self, what a function of them gives, or nothing.

    Raises, when it is called:
        InProgress: another runs it, and has not ended in time.
        PayloadMismatch: the key came with other arguments.
        ResultNotStored: it is done, and the result was not kept.
        InDoubt: it may have been done (`on_in_doubt`), or was, and that could not be written down.
        LeaseLost: it ran, and another took over meanwhile.
        TypeError: the arguments have no fingerprint. Nothing was run.
        ConfigurationError: the key is none. Nothing was run.
        RegionUnavailable, DeadlineExceeded, OutcomeUnknown: the store did not answer. Nothing was run.
        UsageError: it called itself with the same key; or would block an event loop.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        is_async = _is_async(function)
        _check_store(store, function, is_async=is_async)
        options = Options(
            name=_name_of(function) if name is None else name,
            key=key,
            ttl=ttl,
            in_progress=in_progress,
            lease=lease,
            short_lease=short_lease,
            wait_timeout=wait_timeout,
            store_errors=store_errors,
            store_result=store_result,
            cipher=cipher,
            resolve=resolve,
            on_in_doubt=on_in_doubt,
            fingerprint=fingerprint,
        )
        return _wrapped(function, store, options, is_async=is_async)

    return decorated


def _wrapped(function: Callable[P, R], store: Any, options: Options, *, is_async: bool) -> Callable[P, R]:
    """The function that is called instead."""
    module = import_module(f"regionkit.messaging.keyed_call{'_async' if is_async else ''}")
    call = (module.AsyncKeyedCall if is_async else module.KeyedCall)(function, store, options).call
    made: Any
    if is_async:

        @functools.wraps(function)
        async def called_async(*args: Any, **kwargs: Any) -> Any:
            return await call(args, kwargs)

        made = called_async
    else:

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            return call(args, kwargs)

        made = called
    made.__signature__ = _signature_of(function)
    wrapped: Callable[P, R] = made
    return wrapped


def _is_async(function: Any) -> bool:
    shown = getattr(function, "__qualname__", type(function).__name__)
    if isinstance(function, classmethod | staticmethod):
        raise ConfigurationError(
            f"idempotent is above {type(function).__name__}.", fix=f"write it below @{type(function).__name__}."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"{shown} is a generator.",
            why="it yields its result in parts, which cannot be stored and returned again.",
            fix="let it return a list.",
        )
    if not callable(function) or isinstance(function, type):
        raise ConfigurationError(
            f"{shown} is not a function.", fix="write @idempotent(store, key=...) above a function."
        )
    return inspect.iscoroutinefunction(function)


def _check_store(store: Any, function: Any, *, is_async: bool) -> None:
    found = getattr(store, "is_async", None)
    if not isinstance(found, bool) or isinstance(store, type):
        shown = store.__name__ if isinstance(store, type) else f"a {type(store).__name__}"
        raise ConfigurationError(
            f"{shown} keeps no records of calls.",
            fix="give RedisRecords(client), SqlRecords(engine), MongoRecords(db), CassandraRecords(session) or MemoryRecords().",
        )
    if found is not is_async:
        kind = type(store).__name__
        other = kind.removeprefix("Async") if found else f"Async{kind}"
        raise ConfigurationError(
            f"{function.__qualname__} is {'async' if is_async else 'a plain function'}, and {kind} is not for it.",
            why="an event loop would be blocked." if is_async else "there is no event loop to wait in.",
            fix=f"use {other}.",
        )


def _name_of(function: Any) -> str:
    name = getattr(function, "__qualname__", "<lambda>")
    if name.endswith("<lambda>"):
        raise ConfigurationError("the function has no name.", fix="give name=, under which its calls are kept.")
    return f"{function.__module__ or '__main__'}.{name}"


def _signature_of(function: Any) -> inspect.Signature:
    """What frameworks look at to inject arguments; annotations that are texts mean what they mean in the function's module."""
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # a name that is there for type checkers only
        return inspect.signature(function)
