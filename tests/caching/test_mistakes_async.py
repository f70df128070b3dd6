"""What beginners write: each is an error that names what to write in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from regionkit.caching import TTL, AsyncCache, Lazy, Shared, WriteThrough
from regionkit.errors import CacheError, ConfigurationError, UsageError


def nothing(key: Any) -> None:
    """A loader."""


def lazy(**options: Any) -> Any:
    return Lazy(load=nothing, ttl=60, **options)


@pytest.mark.parametrize("verb", ["get_many", "invalidate_many"])
@pytest.mark.parametrize("keys", ["ab", b"ab", 5, None])
async def test_one_key_where_several_are_wanted(verb: str, keys: Any) -> None:
    """The letters of a text are no keys."""
    async with AsyncCache("c", str, strategy=lazy()) as cache:
        with pytest.raises(ConfigurationError, match=rf"{verb}\(\[key\]\)"):
            await getattr(cache, verb)(keys)


@pytest.mark.parametrize("keys", [["a", "b", "a"], ("a", "b"), {"a": 1, "b": 2}, iter("ab")])
async def test_several_keys(keys: Any) -> None:
    """Of whatever is iterable, each once."""
    asked: list[Any] = []
    strategy = Lazy(load_many=lambda keys: asked.append(keys) or dict.fromkeys(keys, "v"), ttl=60)  # type: ignore[func-returns-value]
    async with AsyncCache("c", str, strategy=strategy) as cache:
        assert await cache.get_many(keys) == {"a": "v", "b": "v"}
        assert asked == [["a", "b"]]


async def test_a_key_that_can_change() -> None:
    """Also one of several."""
    async with AsyncCache("c", str, strategy=lazy()) as cache:
        with pytest.raises(ConfigurationError, match="a list is not a key"):
            await cache.get_many([["a"]])  # type: ignore[type-var]


@pytest.mark.parametrize("tiers", [Shared("redis://127.0.0.1:1"), "redis://127.0.0.1:1", [], 5])
async def test_tiers_that_are_no_list(tiers: Any) -> None:
    """One tier, or a URL."""
    with pytest.raises(ConfigurationError, match=r"give \[Local\(\)\]"):
        AsyncCache("c", str, strategy=lazy(), tiers=tiers)


@pytest.mark.parametrize("make", [TTL, lambda ttl: Lazy(load=nothing, ttl=ttl)])
async def test_a_life_of_none(make: Callable[..., Any]) -> None:
    """There is no endless life."""
    with pytest.raises(ConfigurationError, match="ttl=None is not a time"):
        make(ttl=None)


@pytest.mark.parametrize("load", [lambda: "v", lambda key, store: "v"])
async def test_a_loader_with_other_arguments(load: Any) -> None:
    """With none, or as in a kit."""
    async with AsyncCache("c", str, strategy=Lazy(load=load, ttl=60)) as cache:
        with pytest.raises(UsageError, match=r"a loader takes \(key\), in a kit \(key, store\)"):
            await cache.get("a")


async def test_a_store_function_with_other_arguments() -> None:
    """As with a backing: nothing was written, and the key is cached again at once."""

    def store(db: Any, key: str, value: str) -> None:
        """Of a cache with a backing."""

    loads: list[str] = []
    strategy = WriteThrough(load=lambda key: loads.append(key) or "v", store=store, ttl=60)  # type: ignore[func-returns-value]
    async with AsyncCache("c", str, strategy=strategy) as cache:
        with pytest.raises(UsageError, match=r"\(key, value\), with a backing or in a kit \(db, key, value\)"):
            await cache.put("a", "b")
        assert [await cache.get("a") for _ in range(3)] == ["v", "v", "v"]
        assert loads == ["a"]


async def test_a_type_error_of_the_loader_is_its_own() -> None:
    """Inside it."""

    def load(key: str) -> Any:
        return len(5)  # type: ignore[arg-type]

    async with AsyncCache("c", int, strategy=Lazy(load=load, ttl=60)) as cache:
        with pytest.raises(TypeError, match="has no len"):
            await cache.get("a")


async def test_a_default_as_of_a_dict() -> None:
    """The second parameter of get is a time."""
    async with AsyncCache("c", str, strategy=lazy()) as cache:
        with pytest.raises(ConfigurationError, match="it takes no default"):
            await cache.get("a", "nobody")  # type: ignore[arg-type]


@pytest.mark.parametrize("every", [0, -1, True, "60"])
async def test_a_sampler_that_never_rests(every: Any) -> None:
    """It would ask the owner all the time."""
    with pytest.raises(ConfigurationError, match=r"sample_every=.* is not a time"):
        AsyncCache("c", str, strategy=lazy(), sample_every=every)


async def test_a_cache_prints_as_what_it_is() -> None:
    """In a debugger."""
    async with AsyncCache("c", str, strategy=lazy()) as cache:
        assert repr(cache) == "<AsyncCache 'c', Lazy>"


async def test_none_and_other_types_where_a_text_is_cached() -> None:
    """None has an answer of its own."""
    async with AsyncCache("c", str, strategy=TTL(ttl=60)) as cache:
        with pytest.raises(CacheError, match=r"type NoneType where str is cached.*`\.\.\. \| None` as its type"):
            await cache.set("a", None)  # type: ignore[arg-type]
        with pytest.raises(CacheError, match="a value of type int where str is cached"):
            await cache.set("a", 5)  # type: ignore[arg-type]
