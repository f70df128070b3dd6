"""Functions and methods whose results are cached: the key is made of the arguments, as the function would see them.

1. Arguments are bound by name, defaults applied: `f(1)`, `f(a=1)` and `f(1, b=2)` with a default of 2 are one call. Each keeps
   its type: 1, "1", True and 1.0 are four. What cannot be a part of a key is refused by name; `key=` gives a key instead.
2. A method is keyed by an attribute of its instance that says which one it is, never by the object's address.
3. All that a Cache promises holds for the calls: one load a key, no stale value after `invalidate`, its limits in `explain()`.
4. None is cached as any result is, where the type of the results has it; else it says "nothing is there", as in a loader.

A `select`, cached for a minute, or until somebody who has written says so:

    >>> class Order(msgspec.Struct, frozen=True):
    ...     id: int
    ...     item: str
    >>> @async_cached(Lazy(ttl=60))
    ... async def open_orders(customer: int) -> tuple[Order, ...]:
    ...     statement = select(orders.c.id, orders.c.item).where(orders.c.customer == customer).order_by(orders.c.id)
    ...     async with engine.connect() as db:
    ...         return tuple(Order(*row) for row in await db.execute(statement))
    >>> await open_orders(7)
    (Order(id=1, item='tea'),)
    >>> async with engine.begin() as db:
    ...     _ = await db.execute(orders.insert().values(id=2, customer=7, item="rice"))
    >>> await open_orders(7)  # nobody has said so
    (Order(id=1, item='tea'),)
    >>> await open_orders.invalidate(7)  # after the COMMIT
    >>> await open_orders(7)
    (Order(id=1, item='tea'), Order(id=2, item='rice'))
    >>> await open_orders.cache.close()
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import hashlib
import inspect
import re
import types
import typing
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar
from uuid import UUID

from regionkit.caching.cache_async import AsyncCache
from regionkit.caching.source_async import acalled
from regionkit.caching.strategies import Lazy, Loaded
from regionkit.caching.tiers import Local, Memcached, Shared
from regionkit.core.given import check_call, shown
from regionkit.errors import ConfigurationError

__all__ = ["AsyncCached", "AsyncCachedMethod", "async_cached", "async_cached_method"]

IS_ASYNC = True
P = ParamSpec("P")
R = TypeVar("R")

_NAMED = 12
"""Letters of a function's name in the name of its cache; a digest tells equal ones apart."""


class _Bound(tuple[Any, ...]):
    """A key that carries the call: what the loader is called with."""

    call: tuple[tuple[Any, ...], dict[str, Any]]


class AsyncCached(Generic[P, R]):
    """A function whose results are cached. Shared by all threads (AsyncCached: by all tasks of one loop).

    Attributes:
        cache: the cache of its results.
    """

    cache: AsyncCache[Any]
    __wrapped__: Callable[..., Any]

    def __init__(
        self,
        function: Callable[..., Any],
        cache: AsyncCache[Any] | Lazy,
        *,
        key: Callable[..., Any] | None = None,
        of: str | None = None,
        **options: Any,
    ) -> None:
        if not callable(function):
            raise ConfigurationError(f"{shown(function)} is not a function.", fix="write it above a function.")
        check_call("key", key)
        functools.update_wrapper(self, function)
        if not IS_ASYNC and inspect.iscoroutinefunction(function):
            raise ConfigurationError(
                f"{function.__qualname__} is async, and the decorator is not.",
                fix="use the decorator's Async form.",
            )
        self._function = function
        self._signature = inspect.signature(function)
        self._name = f"{function.__module__}.{function.__qualname__}"
        if of is None and next(iter(self._signature.parameters), "") == "self":
            raise ConfigurationError(
                f"{function.__qualname__} is a method, and its instance would not be bound.",
                fix="use async_cached_method.",
            )
        kinds = {parameter.kind: name for name, parameter in self._signature.parameters.items()}
        self._more = kinds.get(inspect.Parameter.VAR_KEYWORD)
        self._key = key
        self._of = of
        self._is_own = isinstance(cache, Lazy)
        kind = options.pop("kind", None) or _result_of(function)
        if isinstance(cache, Lazy):
            if cache.load is not None or cache.load_many is not None:
                raise ConfigurationError(
                    f"the strategy for {function.__qualname__} has a loader.",
                    fix="leave load= out: the function loads.",
                )
            options["name"] = options.pop("name", None) or _cache_name(function.__name__, self._name)
            strategy = dataclasses.replace(cache, load=self._load)
            cache = AsyncCache(options.pop("name"), kind, strategy=strategy, **options)
        elif options:
            raise ConfigurationError(
                f"{', '.join(options)}= for {function.__qualname__} beside a cache.",
                fix="give them to the cache, or give Lazy(...) in its place.",
            )
        self.cache = cache
        self._has_none = self._is_own and _has_none(kind)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result: cached, or of the function."""
        return await self._got(self.key(*args, **kwargs))

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of the function, called now; it is cached."""
        return await self._got(self.key(*args, **kwargs), refresh=True)

    async def _got(self, key: _Bound, *, refresh: bool = False) -> R:
        cache: Any = self.cache
        if self._is_own:
            got: R = await cache.get(key, refresh=refresh)
        else:
            got = await cache.get_or_load(key, self._load, refresh=refresh)
        return got

    async def peek(self, *args: P.args, **kwargs: P.kwargs) -> R | None:
        """The cached result; None without one. The function is not called."""
        found: R | None = await self.cache.peek(self.key(*args, **kwargs))
        return found

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Invalidate the result for these arguments. Call it after your own write has committed.

        Raises:
            CacheError: the shared tier did not accept it.
        """
        await self.cache.invalidate(self.key(*args, **kwargs))

    def key(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The key of a call, as the cache takes it: for `invalidate_many` and the like.

        Raises:
            ConfigurationError: an argument cannot be part of a key.
            TypeError: the function does not take these arguments.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if self._key is not None:
            words: list[Any] = [self._name, "=", self._key(*bound.args, **bound.kwargs)]
        else:
            words = [self._name]
            for name, value in bound.arguments.items():
                if self._of is not None and len(words) == 1:
                    words += [_class_of(value), _part(self._id(value), f"{name}.{self._of}", self._name)]
                elif name == self._more:
                    words += [word for at in sorted(value) for word in (at, _part(value[at], at, self._name))]
                else:
                    words += [name, _part(value, name, self._name)]
        made = _Bound(words)
        made.call = (bound.args, bound.kwargs)
        return made

    def _id(self, instance: Any) -> Any:
        found = getattr(instance, self._of or "", None)
        if found is None:
            raise ConfigurationError(
                f"a {type(instance).__name__} without {self._of} has no cached methods.",
                why=f"{self._name} is keyed by it.",
                fix=f"set {self._of} first, or name another attribute: cached_method(..., of=...).",
            )
        return found

    async def _load(self, key: Any) -> Any:
        args, kwargs = key.call
        given = await acalled(self._function, *args, **kwargs)
        if given is None and self._has_none:
            return Loaded(None)
        return given

    def __repr__(self) -> str:
        return f"<cached {self._name} in {self.cache.name!r}>"


class AsyncCachedMethod(Generic[R]):
    """A method whose results are cached; on an instance it is an AsyncCached whose first argument is that instance."""

    def __init__(self, cached: AsyncCached[..., R]) -> None:
        functools.update_wrapper(self, cached)  # type: ignore[arg-type]
        self.cached = cached

    @property
    def cache(self) -> AsyncCache[Any]:
        """The cache of its results."""
        return self.cached.cache

    @typing.overload
    def __get__(self, instance: None, owner: type) -> AsyncCachedMethod[R]: ...
    @typing.overload
    def __get__(self, instance: object, owner: type) -> AsyncBoundMethod[R]: ...
    def __get__(self, instance: object | None, owner: type) -> AsyncCachedMethod[R] | AsyncBoundMethod[R]:
        return self if instance is None else AsyncBoundMethod(self.cached, instance)


class AsyncBoundMethod(Generic[R]):
    """A cached method of one instance."""

    __slots__ = ("_cached", "_instance")

    def __init__(self, cached: AsyncCached[..., R], instance: object) -> None:
        self._cached = cached
        self._instance = instance

    @property
    def cache(self) -> AsyncCache[Any]:
        """The cache of its results."""
        return self._cached.cache

    async def __call__(self, *args: Any, **kwargs: Any) -> R:
        """The result: cached, or of the method."""
        return await self._cached(self._instance, *args, **kwargs)

    async def refresh(self, *args: Any, **kwargs: Any) -> R:
        """The result of the method, called now; it is cached."""
        return await self._cached.refresh(self._instance, *args, **kwargs)

    async def peek(self, *args: Any, **kwargs: Any) -> R | None:
        """The result that is cached; None without one."""
        return await self._cached.peek(self._instance, *args, **kwargs)

    async def invalidate(self, *args: Any, **kwargs: Any) -> None:
        """The result for these arguments is not what it was."""
        await self._cached.invalidate(self._instance, *args, **kwargs)

    def key(self, *args: Any, **kwargs: Any) -> Any:
        """The key of a call."""
        return self._cached.key(self._instance, *args, **kwargs)


def async_cached(
    cache: AsyncCache[Any] | Lazy,
    *,
    key: Callable[..., Any] | None = None,
    kind: Any = None,
    name: str | None = None,
    tiers: Sequence[Local | Shared | Memcached] | None = None,
    namespace: str | None = None,
) -> Callable[[Callable[P, Awaitable[R]]], AsyncCached[P, R]]:
    """Cache what a function returns.

    Args:
        cache: a cache, which several functions may share; or Lazy(...): then the function gets one of its own.
        key: of the same arguments, gives the key: a str, an int, bytes, a UUID, or a tuple of these.
        kind: of an own cache: the type of the results. Default: what the function's annotation says, else plain data.
        name: of an own cache. Default: made of the function's, so it changes when the function moves.
        tiers: of an own cache.
        namespace: of an own cache.

    Raises:
        ConfigurationError: options that cannot work, and what to write instead.
    """
    check_strategy(cache)
    options = _given(kind=kind, name=name, tiers=tiers, namespace=namespace)
    return lambda function: AsyncCached(function, cache, key=key, **options)


def async_cached_method(
    cache: AsyncCache[Any] | Lazy,
    *,
    of: str = "id",
    key: Callable[..., Any] | None = None,
    kind: Any = None,
    name: str | None = None,
    tiers: Sequence[Local | Shared | Memcached] | None = None,
    namespace: str | None = None,
) -> Callable[[Callable[..., Awaitable[R]]], AsyncCachedMethod[R]]:
    """Cache what a method returns, by its arguments and an attribute of the instance.

    Args:
        cache: as of `async_cached`.
        of: the attribute that says which instance it is: what is equal has equal results.
        key: of the instance and the arguments, gives the key.
        kind: as of `async_cached`; so are name, tiers and namespace.
        name: of an own cache.
        tiers: of an own cache.
        namespace: of an own cache.
    """
    check_strategy(cache)
    options = _given(kind=kind, name=name, tiers=tiers, namespace=namespace)
    return lambda function: AsyncCachedMethod(AsyncCached(function, cache, key=key, of=of, **options))


def check_strategy(cache: Any) -> None:
    """Refuse what is neither a cache nor Lazy.

    Raises:
        ConfigurationError: with what to write.
    """
    if isinstance(cache, AsyncCache | Lazy):
        return
    raise ConfigurationError(
        f"the decorator was given a {type(cache).__name__}, which is neither a matching cache (sync or async) nor Lazy(...).",
        why="a function that is decorated loads: there is nothing to set or put.",
        fix="write @async_cached(Lazy(ttl=60)), or give a cache that you have; @async_cached alone is not enough.",
    )


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _cache_name(short: str, whole: str) -> str:
    letters = re.sub(r"[^a-z0-9]+", "_", short.lower()).strip("_")[:_NAMED]
    return f"f_{letters}_{hashlib.blake2b(whole.encode(), digest_size=3).hexdigest()}"


def _result_of(function: Callable[..., Any]) -> Any:
    try:
        return typing.get_type_hints(function, include_extras=True).get("return", Any)
    except Exception:  # a name that is not defined yet, anywhere
        return Any


def _has_none(kind: Any) -> bool:
    is_union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return kind in (Any, None, types.NoneType) or (is_union and types.NoneType in typing.get_args(kind))


def _class_of(instance: object) -> str:
    return f"{type(instance).__module__}.{type(instance).__qualname__}"


def _part(value: Any, name: str, function: str) -> Any:
    """A value as part of a key, no two of which are equal.

    Raises:
        ConfigurationError: it cannot be one.
    """
    kind = type(value)
    if kind in (str, int, bytes, UUID):
        return value
    if value is None:
        return ("none",)
    if kind in (
        bool,
        float,
        complex,
        decimal.Decimal,
        datetime.date,
        datetime.time,
        datetime.datetime,
        datetime.timedelta,
    ):
        return (kind.__name__, repr(value))
    if isinstance(value, enum.Enum):
        return ("enum", _class_of(value), value.name)
    if kind is tuple:
        return ("tuple", *[_part(part, name, function) for part in value])
    raise ConfigurationError(
        f"the argument {name!r} of {function} is a {kind.__name__}, which cannot be part of a key.",
        why="it can change, or is not comparable between processes.",
        fix="pass a str, a number, a date, an enum or a tuple of these; of a method use cached_method; or give key=.",
    )
