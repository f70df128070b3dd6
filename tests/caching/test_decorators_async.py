"""Functions and methods whose results are cached: what one call is, what is refused, how a result is taken back."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Any

import msgspec
import pytest

from regionkit.caching import TTL, AsyncCache, Lazy, Local, Shared, async_cached, async_cached_method
from regionkit.core.concurrency_async import agather, asleep
from regionkit.errors import ConfigurationError
from regionkit.testing.servers.kinds.redis import RedisServers

MINUTE = Lazy(ttl=60)


class User(msgspec.Struct, frozen=True):
    id: int
    name: str


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


async def test_equal_calls_are_one_however_they_are_written() -> None:
    """By position, by name, with a default given or not; the type of an argument counts."""
    calls = []

    @async_cached(MINUTE)
    async def power(base: Any, exponent: int = 2, *more: Any, sign: int = 1, **rest: Any) -> str:
        """Of a number."""
        calls.append(base)
        return repr((base, exponent, more, sign, rest))

    async with power.cache:
        for _ in range(2):
            assert await power(3) == "(3, 2, (), 1, {})"
            assert await power(base=3) == "(3, 2, (), 1, {})"
            assert await power(3, 2) == "(3, 2, (), 1, {})"
            assert await power(3, exponent=2, sign=1) == "(3, 2, (), 1, {})"
        assert len(calls) == 1
        different: list[Any] = [
            "3",
            3.0,
            "3.0",
            True,
            "True",
            None,
            b"3",
            (3,),
            ("tuple", 3),
            ("none",),
            Colour.RED,
            Colour.BLUE,
        ]
        different += [datetime.date(2026, 1, 1), decimal.Decimal(3), uuid.UUID(int=3), "", (), ((),)]
        for value in different:
            assert await power(value) == repr((value, 2, (), 1, {}))
        assert await power(3, 2, 1) == "(3, 2, (1,), 1, {})"
        assert await power(3, a=1, b=2) == await power(3, b=2, a=1)
        assert len(calls) == len(different) + 3
        assert power.__name__ == "power"
        assert power.__doc__ == "Of a number."


async def test_an_argument_that_is_no_part_of_a_key_is_refused_by_name() -> None:
    """`key=` gives one instead; arguments that the function does not take are an error of the call."""
    calls = []

    async def total(orders: Any, tax: float = 0.0) -> float:
        calls.append(orders)
        return float(sum(orders)) + tax

    refusing = async_cached(MINUTE)(total)
    for wrong in ([1], {1}, {"a": 1}, object(), ([1],)):
        with pytest.raises(ConfigurationError, match=r"'orders' of .*total"):
            await refusing(wrong)
    with pytest.raises(TypeError):
        await refusing(1, 2, 3)
    await refusing.cache.close()

    keyed = async_cached(MINUTE, key=lambda orders, tax: (*orders, str(tax)))(total)
    async with keyed.cache:
        assert await keyed([1, 2]) == await keyed([1, 2], 0.0) == 3.0
        assert await keyed([1, 2], tax=1.0) == 4.0
        assert len(calls) == 2


async def test_a_result_is_peeked_at_refreshed_and_taken_back() -> None:
    """By the same arguments as the call."""
    calls = []

    @async_cached(MINUTE)
    async def count(name: str, step: int = 1) -> int:
        calls.append(name)
        return len(calls)

    async with count.cache:
        assert await count.peek("a") is None
        assert calls == []
        assert await count("a") == 1
        assert await count.peek(name="a", step=1) == 1
        assert await count.refresh("a") == 2
        assert await count("a") == 2
        await count.invalidate("a")
        assert await count.peek("a") is None
        assert await count("a") == 3
        assert await count("b") == 4
        await count.cache.invalidate_many([count.key("a"), count.key("b")])
        assert [await count("a"), await count("b")] == [5, 6]


async def test_results_keep_their_type_and_none_is_one() -> None:
    """Structs come back as structs, at the second call too; what can be changed is each caller's own."""
    calls = []

    @async_cached(MINUTE)
    async def find(id: int) -> User | None:
        calls.append(id)
        return User(id, "Ada") if id else None

    @async_cached(MINUTE)
    async def names(id: int) -> list[str]:
        return ["Ada"]

    async with find.cache, names.cache:
        for _ in range(2):
            assert await find(1) == User(1, "Ada")
            assert await find(0) is None
        assert calls == [1, 0]
        (await names(1)).append("Bob")
        assert await names(1) == ["Ada"]


async def test_functions_share_a_cache_and_not_its_keys() -> None:
    """Callers of one missing result share one load, with a cache that was given too."""
    calls = []
    async with AsyncCache("shared", int, strategy=TTL(ttl=60)) as cache:

        @async_cached(cache)
        async def one(number: int) -> int:
            calls.append("one")
            await asleep(0.02)
            return number

        @async_cached(cache)
        async def two(number: int) -> int:
            calls.append("two")
            return number * 2

        assert await agather([lambda: one(1) for _ in range(10)]) == [1] * 10
        assert await two(1) == 2
        assert await one(1) == 1
        assert calls == ["one", "two"]
        assert one.cache is cache


async def test_a_method_is_keyed_by_what_its_instance_is() -> None:
    """Two objects of one id are one, two classes are two; an instance without an id has no results."""
    calls = []

    class Account:
        def __init__(self, id: Any) -> None:
            self.id = id

        @async_cached_method(MINUTE)
        async def balance(self, currency: str = "EUR") -> str:
            calls.append(self.id)
            return f"{type(self).__name__} {self.id} {currency}"

    class Savings(Account):
        pass

    async with Account.balance.cache:
        assert await Account(1).balance() == "Account 1 EUR"
        assert await Account(1).balance("EUR") == "Account 1 EUR"
        assert await Account(1).balance.peek(currency="EUR") == "Account 1 EUR"
        assert calls == [1]
        assert await Savings(1).balance() == "Savings 1 EUR"
        assert await Account("1").balance() == "Account 1 EUR"
        assert calls == [1, 1, "1"]
        await Account(1).balance.invalidate()
        assert await Account(1).balance.peek() is None
        assert await Account(1).balance.refresh() == "Account 1 EUR"
        assert len(calls) == 4
        with pytest.raises(ConfigurationError, match="Account without id"):
            await Account(None).balance()
        with pytest.raises(ConfigurationError, match=r"'self\.id' of"):
            await Account([1]).balance()


async def test_what_cannot_work_is_refused_when_it_is_written() -> None:
    """With what to write in its place."""

    async def found(id: int) -> int:
        return id

    with pytest.raises(ConfigurationError, match="has a loader"):
        async_cached(Lazy(load=found, ttl=60))(found)
    async with AsyncCache("given", int, strategy=TTL(ttl=60)) as cache:
        with pytest.raises(ConfigurationError, match="beside a cache"):
            async_cached(cache, tiers=[Local()])(found)


@pytest.mark.parametrize("decorator", [async_cached, async_cached_method])
@pytest.mark.parametrize("given", [TTL(ttl=60), None, 60, len])
async def test_what_is_no_cache_is_refused_when_it_is_written(decorator: Any, given: Any) -> None:
    """A strategy that has no loads, and the function itself, where the brackets were forgotten."""
    with pytest.raises(ConfigurationError, match=r"write @async_cached\(Lazy\(ttl=60\)\)"):
        decorator(given)


async def test_a_method_needs_its_own_decorator() -> None:
    """It would be called without its instance."""
    with pytest.raises(ConfigurationError, match="use async_cached_method"):

        class Account:
            @async_cached(MINUTE)
            async def balance(self) -> int:
                return 1


@pytest.mark.redis
async def test_processes_share_results(redis_server: RedisServers) -> None:
    """The same function under the same name in another process has the same keys: two decorators stand for two processes."""
    calls = []

    async def find(id: int, at: datetime.date) -> User:
        calls.append(id)
        return User(id, "Ada")

    namespace = f"n{uuid.uuid4().hex[:8]}"
    tiers = [Local(), Shared(redis_server.primary.url, timeout=5.0)]
    one = async_cached(MINUTE, tiers=tiers, namespace=namespace)(find)
    other = async_cached(MINUTE, tiers=tiers, namespace=namespace)(find)
    day = datetime.date(2026, 1, 1)
    async with one.cache, other.cache:
        assert await one(1, day) == await other(1, at=day) == User(1, "Ada")
        assert calls == [1]
        await other.invalidate(1, day)
        for _ in range(200):
            if await one.peek(1, day) is None:
                break
            await asleep(0.02)
        assert await one(1, day) == User(1, "Ada")
        assert calls == [1, 1]
