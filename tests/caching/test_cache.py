# Generated from test_cache_async.py by scripts/twins.py. Do not edit.
"""What a cache promises, over each choice of tiers: every verb and option, loaders of all kinds, keys and values of all kinds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock
from uuid import uuid4

import msgspec
import pytest
import redis

from regionkit import ConfigurationError, DeadlineExceeded, UsageError
from regionkit.caching import (
    TTL,
    UNCHANGED,
    Cache,
    Lazy,
    Loaded,
    Local,
    NoStore,
    Shared,
    WriteThrough,
)
from regionkit.core.concurrency import Flag, Slots, gather, sleep
from regionkit.errors import CacheError

IS_ASYNC = False
LONG = 300.0
PATIENCE = 20.0
"""Seconds: background work is over in a hundredth of one where the machine is not busy."""


class User(msgspec.Struct, frozen=True):
    """What most of these cache."""

    id: str
    age: int = 0


class Source:
    """A database of one table: counts what is loaded of it, and does what it is told to."""

    def __init__(self) -> None:
        self.rows: dict[Any, Any] = {}
        self.loads: list[Any] = []
        self.raises: BaseException | None = None
        self.takes = 0.0
        self.shown: list[Any] = []

    def load(self, key: Any) -> Any:
        """What is there."""
        self.loads.append(key)
        if self.takes:
            sleep(self.takes)
        if self.raises is not None:
            raise self.raises
        return self.rows.get(key)

    def load_many(self, keys: Sequence[Any]) -> dict[Any, Any]:
        """What is there of several."""
        self.loads.append(list(keys))
        if self.raises is not None:
            raise self.raises
        return {key: self.rows[key] for key in keys if key in self.rows}

    def load_or_confirm(self, key: Any, previous: Any) -> Any:
        """Is shown what may be confirmed."""
        self.shown.append(previous)
        self.loads.append(key)
        if previous is not None and previous.found and previous.value == self.rows.get(key):
            return UNCHANGED
        return self.rows.get(key)


Making = Callable[..., Cache[Any]]


class World:
    """Caches on one choice of tiers, closed at the end."""

    def __init__(self, tiers: str, url: str) -> None:
        self.tiers = tiers
        self.url = url
        self.source = Source()
        self.name = f"c{os.urandom(6).hex()}"
        self._made: list[Cache[Any]] = []

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: Any) -> None:
        for cache in self._made:
            cache.close()

    def cache(self, kind: Any = User, strategy: Any = None, *, shared: Any = None, **options: Any) -> Cache[Any]:
        """A cache; one more of the same name stands for another process."""
        given: list[Any] = {"local": [Local()], "shared": [], "both": [Local()]}[self.tiers]
        if self.tiers != "local":
            given = [*given, Shared(self.url, timeout=5.0, **(shared or {}))]
        strategy = strategy or Lazy(load=self.source.load, ttl=LONG, negative_ttl=LONG)
        made: Cache[Any] = Cache(self.name, kind, strategy=strategy, tiers=given, **options)
        self._made.append(made)
        return made


@pytest.fixture(params=["local", "shared", "both"])
def tiers(request: Any) -> Any:
    """The choice of tiers, and the server's URL where it needs one."""
    server = None if request.param == "local" else request.getfixturevalue("redis_server")
    return request.param, "" if server is None else server.primary.url


pytestmark = pytest.mark.redis


def until(holds: Callable[[], Any]) -> None:
    """Wait until it holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never held"
        sleep(0.01)


def old(cache: Cache[Any], world: World) -> None:
    """An account that was opened long ago: copies may be loaded from."""
    if world.tiers == "local":
        return
    cache.clear()
    with redis.Redis.from_url(world.url) as client:
        client.hset(cache.tier._keys[0], "o", 0)  # type: ignore[attr-defined]


def test_a_miss_is_loaded_once_and_then_a_hit(tiers: Any) -> None:
    """With where it came from; a look alone loads nothing."""
    with World(*tiers) as world:
        cache = world.cache()
        world.source.rows["42"] = User("42", 7)
        assert cache.peek("42") is None
        assert (cache.lookup("42")).tier == "loader"
        assert cache.get("42") == User("42", 7)
        found = cache.lookup("42")
        assert (found.value, found.found, found.stale) == (User("42", 7), True, False)
        assert found.tier in ("local", "shared")
        assert 0.0 <= found.age < PATIENCE
        assert cache.peek("42") == User("42", 7)
        assert world.source.loads == ["42"]
        status = cache.status()
        assert status["loads"] == 1
        assert status["local_hits"] + status["shared_hits"] == 3


def test_another_process_finds_what_this_one_loaded(tiers: Any) -> None:
    """Where the tier is shared; alone, each loads for itself."""
    with World(*tiers) as world:
        one, other = world.cache(), world.cache()
        world.source.rows["42"] = User("42")
        one.get("42")
        other.get("42")
        assert len(world.source.loads) == (2 if world.tiers == "local" else 1)
        one.invalidate("42")
        world.source.rows["42"] = User("42", 1)
        assert one.get("42") == User("42", 1)
        if world.tiers == "shared":
            assert other.get("42") == User("42", 1)
        elif world.tiers == "both":
            end = time.monotonic() + PATIENCE
            while other.get("42") != User("42", 1):
                assert time.monotonic() < end, "the news never came"
                sleep(0.005)


def test_keys_are_typed(tiers: Any) -> None:
    """What looks alike, and what one key's form within the process is to another."""
    keys: list[Any] = ["42", 42, b"42", b"i42", "i42", ("42",), (42,), b"t2:s42", uuid4(), "a\0b", "a:b", ("a", "b")]
    keys += [
        "{tag}x",
        "x",
        "x ",
        " x",
        "x\n",
        "é",
        "e\u0301",
        "",
        (),
        "k" * 5_000,
        "k" * 5_001,
        b"\xff\xfe",
        -1,
        1 << 200,
    ]
    with World(*tiers) as world:
        cache = world.cache(str, Lazy(load=lambda key: repr(key), ttl=LONG))
        for _ in range(2):
            for key in keys:
                assert cache.get(key) == repr(key)
        assert cache.get_many(keys) == {key: repr(key) for key in keys}
        for key in keys:
            cache.invalidate(key)
            assert cache.peek(key) is None
            assert cache.get(key) == repr(key)
        assert cache.counters.unreadable == 0


def test_what_is_no_key_is_refused_by_every_verb(tiers: Any) -> None:
    """Lone surrogates too: nothing is asked of anybody."""
    with World(*tiers) as world:
        cache, plain = world.cache(), world.cache(dict, TTL(ttl=LONG))
        for key in (None, 1.5, True, ["a"], "\ud800", {"a": 1}):
            for call in (cache.get, cache.peek, cache.lookup, cache.invalidate, cache.expire, plain.delete):
                with pytest.raises(ConfigurationError, match="not a key"):
                    call(key)  # type: ignore[operator]
            with pytest.raises(ConfigurationError, match="not a key"):
                plain.set(key, {})  # type: ignore[arg-type]
        assert world.source.loads == []


def test_nothing_there_is_kept_for_its_own_time(tiers: Any) -> None:
    """And told from a cached None; without negative_ttl it is asked again."""
    with World(*tiers) as world:
        cache = world.cache()
        assert cache.get("no") is None
        found = cache.lookup("no")
        assert (found.value, found.found) == (None, False)
        assert len(world.source.loads) == 1
        world.source.rows["no"] = User("no")
        cache.invalidate("no")
        assert cache.get("no") == User("no")
        never = world.cache(User, Lazy(load=world.source.load, ttl=LONG), tenant="never")
        never.get("x")
        never.get("x")
        assert world.source.loads[-2:] == ["x", "x"]
        nones = world.cache(Any, Lazy(load=lambda key: Loaded(None), ttl=LONG), tenant="nones")
        nones.get("y")
        found = nones.lookup("y")
        assert (found.value, found.found, found.tier != "loader") == (None, True, True)
        gone = world.cache(
            User, Lazy(load=lambda key: Loaded(None, found=False), ttl=LONG, negative_ttl=LONG), tenant="gone"
        )
        assert not (gone.lookup("z")).found
        assert (gone.lookup("z")).tier != "loader"


def test_after_its_soft_end_a_value_is_served_and_one_caller_reloads_it(tiers: Any) -> None:
    """In the background: the caller does not wait for the loader."""
    with World(*tiers) as world:
        cache = world.cache(User, Lazy(load=world.source.load, ttl=LONG, soft_ttl=0.1, jitter=0.0))
        world.source.rows["42"] = User("42", 1)
        cache.get("42")
        world.source.rows["42"], world.source.takes = User("42", 2), 0.3
        sleep(0.15)
        assert {user.age for user in gather([lambda: cache.get("42") for _ in range(20)])} == {1}
        world.source.takes = 0.0
        until(lambda: cache.counters.refreshes and len(world.source.loads) >= 2)
        end = time.monotonic() + PATIENCE
        while (user := cache.get("42")).age == 1:
            assert time.monotonic() < end, "it is never reloaded"
            sleep(0.01)
        assert user.age == 2
        assert cache.counters.stale_serves >= 1
        assert len(world.source.loads) <= cache.counters.refreshes + 1


def test_some_callers_reload_before_the_soft_end(tiers: Any) -> None:
    """`early`: of many keys some are loaded anew while all are fresh."""
    with World(*tiers) as world:
        cache = world.cache(int, Lazy(load=lambda key: 1, ttl=2.0, early=0.5, jitter=0.0))
        for key in range(40):
            cache.get(key)
        end = time.monotonic() + 2.0
        while cache.counters.refreshes == 0 and time.monotonic() < end:
            cache.get_many(range(40))
            for key in range(40):
                cache.get(key)
            sleep(0.02)
        assert cache.counters.refreshes > 0


def test_when_a_load_fails_the_last_value_is_served_and_the_loader_has_a_pause(tiers: Any) -> None:
    """Of what ended by its time; what was invalidated is not shown."""
    with World(*tiers) as world:
        strategy = Lazy(load=world.source.load, ttl=0.1, stale_if_error=LONG, error_pause=LONG, jitter=0.0)
        cache = world.cache(User, strategy)
        world.source.rows["42"] = world.source.rows["43"] = User("x")
        cache.get("42")
        cache.get("43")
        sleep(0.15)
        world.source.raises = RuntimeError("the database is away")
        for _ in range(5):
            assert cache.get("42") == User("x")
        assert world.source.loads == ["42", "43", "42"], "the loader is asked again in its pause"
        assert cache.counters.error_serves == 1
        cache.invalidate("43")
        with pytest.raises(RuntimeError, match="away"):
            cache.get("43")
        with pytest.raises(RuntimeError, match="away"):
            cache.get("never loaded")
        world.source.raises = None
        world.source.rows["43"] = User("new")
        assert cache.get("43") == User("new")


def test_expire_loads_at_the_next_get_and_keeps_the_value_for_an_error(tiers: Any) -> None:
    """Where the strategy keeps it; without a value there is nothing to do."""
    with World(*tiers) as world:
        cache = world.cache(User, Lazy(load=world.source.load, ttl=LONG, stale_if_error=LONG, error_pause=0.0))
        world.source.rows["42"] = User("42", 1)
        cache.expire("42")
        cache.get("42")
        cache.expire("42")
        world.source.rows["42"] = User("42", 2)
        assert cache.get("42") == User("42", 2)
        cache.expire("42")
        world.source.raises = RuntimeError("away")
        assert cache.get("42") == User("42", 2)


def test_a_load_ends_at_its_time(tiers: Any) -> None:
    """The caller is told, or served the last value; whoever waits for the same load is told too, and a later one may load."""
    with World(*tiers) as world:
        cache = world.cache(User, Lazy(load=world.source.load, ttl=LONG, load_timeout=0.2))
        world.source.takes = PATIENCE
        began = time.monotonic()
        outcomes = gather([lambda: cache.get("42") for _ in range(3)])
        assert all(isinstance(outcome, DeadlineExceeded) for outcome in outcomes), outcomes
        assert time.monotonic() - began < PATIENCE / 2
        assert "load_timeout" in str(outcomes[0])
        assert cache.counters.load_timeouts >= 1
        world.source.takes = 0.0
        world.source.rows["42"] = User("42")
        assert cache.get("42") == User("42")


def test_a_loader_says_more_than_the_value(tiers: Any) -> None:
    """A life of its own, a version, tags; or that nobody is to keep it."""
    with World(*tiers) as world:
        answers: dict[str, Any] = {
            "short": lambda: Loaded(User("short"), ttl=0.1),
            "row": lambda: Loaded(User("row"), version=5),
            "once": lambda: NoStore(User("once")),
        }
        loads: list[str] = []

        def load(key: str, owner: bool) -> Any:
            loads.append(key)
            return answers[key]()

        cache = world.cache(User, Lazy(load=load, ttl=LONG, jitter=0.0))
        for _ in range(2):
            for key in answers:
                assert cache.get(key) == User(key)
        assert loads == ["short", "row", "once", "once"]
        assert (cache.lookup("row")).version.endswith("5")
        sleep(0.15)
        cache.get("short")
        assert loads[-1] == "short"


def test_a_loader_may_confirm_what_it_is_shown(tiers: Any) -> None:
    """`previous`: what has ended, or None; what is confirmed lives anew. There is nothing to confirm after an invalidation."""
    with World(*tiers) as world:
        cache = world.cache(User, Lazy(load=world.source.load_or_confirm, ttl=0.1, stale_if_error=LONG, jitter=0.0))
        world.source.rows["42"] = User("42")
        cache.get("42")
        sleep(0.15)
        assert cache.get("42") == User("42")
        assert [shown and shown.value for shown in world.source.shown] == [None, User("42")]
        assert (cache.lookup("42")).tier != "loader"
        cache.invalidate("42")
        assert cache.get("42") == User("42")
        assert world.source.shown[-1] is None
        wrong = world.cache(User, Lazy(load=lambda key: UNCHANGED, ttl=LONG), tenant="wrong")
        with pytest.raises(CacheError, match="nothing to confirm"):
            wrong.get("42")


def test_a_row_version_refuses_a_late_copy(tiers: Any) -> None:
    """A loader that reads a copy which lags: what was told with a later version is not filled from it."""
    with World(*tiers) as world:
        version = {"now": 1}

        def load(key: str) -> Any:
            return Loaded(User("42", version["now"]), version=version["now"])

        cache = world.cache(User, Lazy(load=load, ttl=LONG))
        old(cache, world)
        assert (cache.get("42")).age == 1
        cache.invalidate("42", version=3)
        version["now"] = 2
        for _ in range(2):
            assert (cache.get("42")).age == 2, "the caller gets what was loaded"
        assert cache.counters.loads >= 3, "it was stored"
        assert cache.counters.refused_fills >= 2
        version["now"] = 3
        cache.get("42")
        loads = cache.counters.loads
        assert (cache.get("42")).age == 3
        assert cache.counters.loads == loads


def test_a_tag_takes_away_what_carries_it(tiers: Any) -> None:
    """Also of what another process loaded; what comes later is kept."""
    with World(*tiers) as world:
        loads: list[str] = []

        def load(key: str) -> Any:
            loads.append(key)
            return Loaded(User(key), tags=("all", f"of:{key}"))

        one, other = (world.cache(User, Lazy(load=load, ttl=LONG)) for _ in range(2))
        for key in ("a", "b"):
            one.get(key)
        one.invalidate_tag("of:a")
        for key in ("a", "b"):
            one.get(key)
        assert loads == ["a", "b", "a"]
        one.invalidate_tag("all")
        for key in ("a", "b"):
            one.get(key)
        assert loads == ["a", "b", "a", "a", "b"]
        if world.tiers != "local":
            other.get("a")
            assert loads[5:] == []
            one.invalidate_tag("of:a")
            if world.tiers == "shared":
                until(lambda: other.tier.ear.live)
                end = time.monotonic() + PATIENCE
                while len(loads) == 5:
                    assert time.monotonic() < end
                    other.get("a")
        for tag in ("", 5, "\ud800"):
            with pytest.raises(ConfigurationError, match=r"not a tag|not tags"):
                one.invalidate_tag(tag)  # type: ignore[arg-type]


def test_clear_takes_away_everything(tiers: Any) -> None:
    """At once, for who cleared: not when the news of it come."""
    with World(*tiers) as world:
        cache = world.cache()
        for _ in range(20):
            for key in ("a", "b"):
                world.source.rows[key] = User(key)
                cache.get(key)
            cache.clear()
            assert cache.peek("a") is None
            assert cache.peek("b") is None
            assert cache.get("a") == User("a")
            assert cache.peek("a") == User("a")


def test_what_is_set_after_a_clear_is_found_before_its_news(tiers: Any) -> None:
    """Who loads nothing asks the account which generation is open: the news of another process's `clear` may be on their way."""
    slow = mock.patch(f"regionkit.caching.ear{'_async' if IS_ASYNC else ''}.TOGETHER", 5.0)
    with slow:
        with World(*tiers) as world:
            one = world.cache(strategy=TTL(ttl=LONG))
            two = one if world.tiers == "local" else world.cache(strategy=TTL(ttl=LONG))
            plain = one if world.tiers == "local" else world.cache()
            for number in range(20):
                key, value = f"k{number}", User("a", number)
                one.clear()
                one.set(key, value)
                assert two.get(key) == value
                assert two.get_many([key, "none"]) == {key: value}
                assert plain.peek(key) == value
                assert one.get(key) == value
    assert plain.status()["loads"] == 0


def test_many_keys_are_one_question_and_one_load(tiers: Any) -> None:
    """What is not there is left out, and known not to be there; in any order, twice is once."""
    with World(*tiers) as world:
        cache = world.cache(User, Lazy(load_many=world.source.load_many, ttl=LONG, negative_ttl=LONG))
        world.source.rows |= {key: User(str(key)) for key in ("a", "b", "c", 1)}
        assert cache.get_many(["a", "b", "a", "none"]) == {"a": User("a"), "b": User("b")}
        assert world.source.loads == [["a", "b", "none"]]
        assert cache.get_many(["none", "c", 1, "b"]) == {"c": User("c"), 1: User("1"), "b": User("b")}
        assert world.source.loads[1:] == [["c", 1]]
        assert cache.get("a") == User("a")
        cache.invalidate_many(["a", "b"])
        assert cache.get("a") == User("a")
        assert world.source.loads[2:] == [["a"]]
        assert cache.get_many([]) == {}
        single = world.cache(User, Lazy(load=world.source.load, ttl=LONG), tenant="single")
        assert single.get_many(["a", "b", "none"]) == {"a": User("a"), "b": User("b")}
        assert world.source.loads[3:] == ["a", "b", "none"]


def test_loaders_that_get_from_their_own_cache_do_not_wait_for_each_other() -> None:
    """More of them than loads may be under way: each holds one, and needs another."""
    with World("local", "") as world:
        began: list[int] = []

        def load(key: int) -> Any:
            if key < 0:
                return User("root")
            began.append(key)
            end = time.monotonic() + 20.0
            while len(began) < 4 and time.monotonic() < end:
                sleep(0.01)
            return cache.get(-key - 1)

        cache = world.cache(User, Lazy(load=load, ttl=LONG, load_timeout=30.0))
        cache.fetcher.loads._slots = Slots(4)
        found = gather([lambda key=key: cache.get(key) for key in range(4)])  # type: ignore[misc]
        assert found == [User("root")] * 4


@pytest.mark.parametrize("way", ["get", "get_many", "get_or_load", "load_many"])
def test_a_loader_that_gets_its_own_key_is_told_so_at_once(way: str) -> None:
    """It would wait for itself as long as a load may take. What is there it may look at, and other keys it may get."""
    with World("local", "") as world:

        def load(key: str) -> Any:
            if key == "other":
                return User("other")
            assert cache.peek(key) is None
            assert cache.get("other") == User("other")
            if way == "get_many":
                return (cache.get_many(["other", key]))[key]
            if way == "get_or_load":
                return cache.get_or_load(key, lambda key: User("mine"))
            return cache.get(key)

        def load_many(keys: Any) -> Any:
            return {key: cache.get(key) for key in keys}

        lazy = Lazy(load_many=load_many, ttl=LONG) if way == "load_many" else Lazy(load=load, ttl=LONG)
        cache = world.cache(User, lazy)
        began = time.monotonic()
        with pytest.raises(UsageError, match="gets the key that it is loading"):
            (cache.get_many(["a", "b"]) if way == "load_many" else cache.get("a"))
        assert time.monotonic() - began < 5.0
        assert cache.get_or_load("a", lambda key: User("after")) == User("after")


def test_one_key_is_not_taken_for_several() -> None:
    """Its letters are no keys."""
    with World("local", "") as world:
        cache = world.cache()
        for wrong in ("ab", b"ab"):
            with pytest.raises(ConfigurationError, match="several keys"):
                cache.get_many(wrong)  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError, match="several keys"):
                cache.invalidate_many(wrong)  # type: ignore[arg-type]


def test_news_that_become_one_clear_while_one_of_them_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clear is told after it."""
    with World("local", "") as world:
        teller = world.cache().teller
        monkeypatch.setitem(type(teller).tell_later.__globals__, "MOST_LATER", 3)
        told: list[str] = []
        began, goes_on = Flag(), Flag()

        def invalidate(keys: Any, version: str, id: bytes = b"") -> None:
            began.set()
            goes_on.wait(20.0)
            told.extend(keys)

        def clear(version: str, id: bytes = b"") -> None:
            told.append("all")

        monkeypatch.setattr(teller._tier, "invalidate", invalidate)
        monkeypatch.setattr(teller._tier, "clear", clear)
        for key in "abc":
            teller.tell_later("keys", (key,), "")
        assert began.wait(20.0)
        teller.tell_later("keys", ("d",), "")
        goes_on.set()
        end = time.monotonic() + 20.0
        while teller.waiting:
            assert time.monotonic() < end
            sleep(0.01)
        assert told == ["a", "all"]


def test_a_loader_of_many_that_is_wrong_is_told(tiers: Any) -> None:
    """A key that was not asked for, no mapping, an error: and the next call may load at once."""
    with World(*tiers) as world:
        answer: list[Any] = [{"a": User("a"), 1: User("1")}]
        cache = world.cache(User, Lazy(load_many=lambda keys: answer[0], ttl=LONG))
        with pytest.raises(UsageError, match="not requested"):
            cache.get_many(["a"])
        answer[0] = [User("a")]
        with pytest.raises(UsageError, match="returned a list"):
            cache.get_many(["a"])
        answer[0] = {"a": User("a")}
        began = time.monotonic()
        assert cache.get_many(["a"]) == {"a": User("a")}
        assert time.monotonic() - began < 5.0, "a lease was held until its end"


def test_one_key_through_a_loader_of_many_keeps_what_it_said(tiers: Any) -> None:
    """Its version, its tags, and that it is not to be stored."""
    with World(*tiers) as world:
        rows: dict[str, Any] = {"a": Loaded(User("old"), version=5, tags=("org",)), "b": NoStore(User("b"))}
        cache = world.cache(User, Lazy(load_many=lambda keys: {key: rows[key] for key in keys}, ttl=LONG))
        cache.invalidate("a", version=7)
        for _ in range(2):
            assert cache.get("a") == User("old")
            assert cache.get_many(["a"]) == {"a": User("old")}
            assert cache.get("b") == User("b")
        rows |= {"a": Loaded(User("new"), version=7, tags=("org",)), "b": NoStore(User("c"))}
        assert (cache.get("a"), cache.get("b")) == (User("new"), User("c"))
        rows["a"] = Loaded(User("newer"), version=8)
        cache.invalidate_tag("org")
        assert cache.get("a") == User("newer")


def test_many_keys_whose_time_has_come_are_one_load_too(tiers: Any) -> None:
    """And when it fails, all are served that may be."""
    with World(*tiers) as world:
        strategy = Lazy(load_many=world.source.load_many, ttl=0.3, stale_if_error=LONG, error_pause=0.0)
        cache = world.cache(User, strategy)
        world.source.rows |= {key: User(key) for key in "abc"}
        first = cache.get_many(list("abc"))
        sleep(0.5)
        assert cache.get_many(list("abc")) == first
        assert world.source.loads == [list("abc")] * 2
        sleep(0.5)
        world.source.raises = LookupError("of the application's")
        assert cache.get_many(list("abc")) == first
        assert world.source.loads == [list("abc")] * 3
        cache.invalidate("b")
        with pytest.raises(LookupError):
            cache.get_many(list("abc"))


def test_one_bad_value_of_many_keeps_no_lease(tiers: Any) -> None:
    """The others may be loaded at once."""
    with World(*tiers) as world:
        rows: dict[str, Any] = {"a": User("a"), "bad": object(), "c": User("c")}
        cache = world.cache(User, Lazy(load_many=lambda keys: {key: rows[key] for key in keys}, ttl=LONG))
        with pytest.raises(CacheError):
            cache.get_many(["a", "bad", "c"])
        began = time.monotonic()
        assert cache.get_many(["c", "a"]) == {"c": User("c"), "a": User("a")}
        assert time.monotonic() - began < 5.0, "a lease was held until its end"


def test_a_loader_that_raises_is_everybodys_error_and_stores_nothing(tiers: Any) -> None:
    """Its own exception, as it is; afterwards the next caller loads at once."""
    with World(*tiers) as world:
        cache = world.cache()
        world.source.raises, world.source.takes = LookupError("of the application's"), 0.05
        outcomes = gather([lambda: cache.get("42") for _ in range(5)])
        assert all(isinstance(outcome, LookupError) for outcome in outcomes), outcomes
        world.source.raises, world.source.rows["42"] = None, User("42")
        began = time.monotonic()
        assert cache.get("42") == User("42")
        assert time.monotonic() - began < 5.0, "a lease was held until its end"


@pytest.mark.parametrize(
    ("kind", "value"),
    [(User, {"id": "42"}), (User, "text"), (User, User(42)), (dict, object()), (Any, object()), (int, "5")],  # type: ignore[arg-type]
)
def test_a_loader_of_another_type_is_an_error_that_says_so(tiers: Any, kind: Any, value: Any) -> None:
    """Each time, as nothing is stored, and without waiting."""
    with World(*tiers) as world:
        cache = world.cache(kind, Lazy(load=lambda key: value, ttl=LONG, stale_if_error=LONG))
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(CacheError, match="cannot be cached"):
                cache.get("42")
        assert time.monotonic() - began < 5.0


def test_a_value_that_is_too_large_is_given_and_not_kept(tiers: Any) -> None:
    """By get; a set is refused, as nothing would be there."""
    with World(*tiers) as world:
        large = "x" * (10 << 20)
        cache = world.cache(str, Lazy(load=lambda key: large, ttl=LONG))
        assert cache.get("42") == large
        assert cache.peek("42") is None
        assert cache.counters.unstorable == 1
        plain = world.cache(str, TTL(ttl=LONG), tenant="plain")
        with pytest.raises(CacheError, match="too large"):
            plain.set("42", large)


def test_what_a_caller_changes_is_its_own(tiers: Any) -> None:
    """Of a type that can be changed each gets a copy."""
    with World(*tiers) as world:
        cache = world.cache(dict, Lazy(load=lambda key: {"list": [1]}, ttl=LONG))
        for _ in range(3):
            found = cache.get("42")
            assert found == {"list": [1]}
            found["list"].append(2)


def test_a_plain_cache_gives_what_was_set(tiers: Any) -> None:
    """Until its time ends, or it is deleted; None is a value."""
    with World(*tiers) as world:
        cache = world.cache(Any, TTL(ttl=LONG, jitter=0.0))
        assert cache.get("a") is None
        cache.set("a", {"x": 1})
        assert cache.get("a") == {"x": 1}
        cache.set("a", None)
        assert (cache.lookup("a")).found
        cache.delete("a")
        assert not (cache.lookup("a")).found
        cache.set("b", 1, ttl=0.1)
        assert cache.get("b") == 1
        sleep(0.15)
        assert cache.get("b") is None
        assert cache.get_or_load("b", lambda key: 5) == 5
        assert cache.get("b") == 5
        cache.set("c", 1)
        cache.set("c", 2)
        assert cache.get_many(["a", "b", "c", "d"]) == {"b": 5, "c": 2}


def test_a_call_may_ask_for_more_than_the_strategy(tiers: Any) -> None:
    """A life, a youngest age, a load, another loader."""
    with World(*tiers) as world:
        cache = world.cache(User, Lazy(load=world.source.load, ttl=LONG, jitter=0.0))
        world.source.rows["42"] = User("42", 1)
        cache.get("42", ttl=0.1)
        sleep(0.15)
        cache.get("42")
        assert len(world.source.loads) == 2
        cache.get("42", max_stale=PATIENCE)
        assert len(world.source.loads) == 2
        sleep(0.1)
        cache.get("42", max_stale=0.05)
        assert len(world.source.loads) == 3
        world.source.rows["42"] = User("42", 2)
        assert cache.get("42") == User("42", 1)
        assert cache.get("42", refresh=True) == User("42", 2)
        assert cache.get("42") == User("42", 2)
        assert cache.get_or_load("43", lambda key: User(key, 9)) == User("43", 9)
        assert cache.get("43") == User("43", 9)
        for wrong in (
            {"ttl": 0},
            {"ttl": -1},
            {"ttl": "5"},
            {"max_stale": -1},
            {"max_stale": float("nan")},
            {"ttl": True},
        ):
            with pytest.raises(ConfigurationError, match="is not a time"):
                cache.get("44", **wrong)
        with pytest.raises(UsageError, match="cannot load"):
            cache.get_or_load("44", 5)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="no kit"):
            cache.get("44", session=object())


def test_a_written_value_is_what_everybody_reads(tiers: Any) -> None:
    """Without a load; a store that fails leaves the old one, and says what it says."""
    with World(*tiers) as world:
        rows = world.source.rows

        def store(key: str, value: User) -> Any:
            if value.age < 0:
                raise RuntimeError("refused by the database")
            rows[key] = value
            return User(key, value.age + 100) if value.age == 5 else None

        one = world.cache(User, WriteThrough(load=world.source.load, store=store, ttl=LONG, write_timeout=0.2))
        one.put("42", User("42", 1))
        assert one.get("42") == User("42", 1)
        assert world.source.loads == []
        one.put("42", User("42", 5))
        assert one.get("42") == User("42", 105), "what the store says it has become"
        with pytest.raises(RuntimeError, match="refused"):
            one.put("42", User("42", -1))
        assert one.get("42") == User("42", 5), "the owner is asked"
        with pytest.raises(CacheError, match="cannot be cached"):
            one.put("42", {"id": "42"})  # type: ignore[arg-type]
        sleep(0.25)
        assert one.get("42") == User("42", 5)
        loads = len(world.source.loads)
        assert one.get("42") == User("42", 5)
        assert len(world.source.loads) == loads, "the intent is over, and nothing is kept"


def test_a_verb_that_the_strategy_has_not_names_one_that_it_has(tiers: Any) -> None:
    """And a cache that is closed says so."""
    with World(*tiers) as world:
        lazy, plain = world.cache(), world.cache(User, TTL(ttl=LONG), tenant="plain")
        for call in (lambda: lazy.set("a", User("a")), lambda: lazy.delete("a"), lambda: lazy.put("a", User("a"))):
            with pytest.raises(UsageError, match="invalidate"):
                call()
        with pytest.raises(UsageError, match="has no put"):
            plain.put("a", User("a"))
        without = world.cache(User, Lazy(ttl=LONG), tenant="without")
        with pytest.raises(UsageError, match="has no loader"):
            without.get("a")
        for cache in (lazy, plain):
            cache.close()
            cache.close()
            for call in (lambda: cache.get("a"), lambda: cache.invalidate("a"), lambda: cache.clear()):  # noqa: B023
                with pytest.raises(UsageError, match="closed"):
                    call()


def test_what_is_spoiled_at_the_server_is_loaded_anew(tiers: Any) -> None:
    """Foreign bytes, another key's entry, another tenant's: a miss with a counter, and never another's value."""
    with World(*tiers) as world:
        if world.tiers == "local":
            return
        cache = world.cache(str, Lazy(load=lambda key: f"of {key}", ttl=LONG))
        other = world.cache(str, Lazy(load=lambda key: f"theirs {key}", ttl=LONG), tenant="other")
        cache.get("a")
        cache.get("b")
        assert other.get("a") == "theirs a"
        assert cache.get("a") == "of a"
        place = cache.tier._value  # type: ignore[attr-defined]
        theirs = other.tier._value("a")  # type: ignore[attr-defined]
        with redis.Redis.from_url(world.url) as client:
            good = {key: client.get(place(key)) for key in ("a", "b")}
            foreign = client.get(theirs)
            assert foreign is not None
            client.set(place("a"), b"")
            empty = world.cache(str, Lazy(load=lambda key: f"of {key}", ttl=LONG))
            for _ in range(2):
                assert empty.get("a") == "of a"
            assert empty.counters.loads == 1
            for spoiled, reason in (
                (b"x", "foreign"),
                (b"\x80\x04\x95pickle" * 20, "foreign"),
                (good["b"], "other key"),
                (foreign, "other key"),
                (good["a"][:-3], "spoiled"),
                (good["a"][:118] + b"zz" + good["a"][120:], "spoiled"),
            ):
                client.set(place("a"), spoiled)
                fresh = world.cache(str, Lazy(load=lambda key: f"of {key}", ttl=LONG))
                assert fresh.get("a") == "of a", spoiled
                assert reason in fresh.counters.by_reason, (spoiled, fresh.counters.by_reason)
                assert fresh.get("a") == "of a"
                assert fresh.counters.loads == 1, (spoiled, "is loaded each time")


def test_one_load_for_all_who_ask_at_once(tiers: Any) -> None:
    """In one process and over all of them."""
    with World(*tiers) as world:
        caches = [world.cache() for _ in range(1 if world.tiers == "local" else 3)]
        world.source.rows["42"], world.source.takes = User("42"), 0.1
        calls = [lambda cache=cache: cache.get("42") for cache in caches for _ in range(20)]
        assert gather(calls) == [User("42")] * len(calls)
        assert world.source.loads == ["42"]


def test_an_invalidation_is_not_undone_by_a_load_that_began_before(tiers: Any) -> None:
    """By key, by tag, by clear: the late load is given to its caller, and kept by nobody."""
    with World(*tiers) as world:
        for number, verb in enumerate(("invalidate", "invalidate_many", "invalidate_tag", "clear", "elsewhere")):
            key = f"k{number}"
            rows = {key: User(key, 1)}
            going = {"slow": True}

            def load(asked: str, rows: Any = rows, going: Any = going) -> Any:
                value = rows[asked]
                if going["slow"]:
                    sleep(0.3)
                return Loaded(value, tags=("t",))

            cache = world.cache(User, Lazy(load=load, ttl=LONG))
            other = world.cache(User, Lazy(load=load, ttl=LONG)) if world.tiers != "local" else cache

            def late(key: str = key, cache: Any = cache) -> Any:
                return cache.get(key)

            def tells(
                verb: str = verb, key: str = key, rows: Any = rows, cache: Any = cache, other: Any = other
            ) -> None:
                sleep(0.1)
                rows[key] = User(key, 2)
                teller = other if verb == "elsewhere" else cache
                match verb:
                    case "invalidate_many":
                        teller.invalidate_many([key])
                    case "invalidate_tag":
                        teller.invalidate_tag("t")
                    case "clear":
                        teller.clear()
                    case _:
                        teller.invalidate(key)

            outcomes = gather([late, tells])
            assert outcomes[0] in (User(key, 1), User(key, 2)), outcomes
            assert outcomes[1] is None
            going["slow"] = False
            assert cache.get(key) == User(key, 2), verb
            assert other.get(key) == User(key, 2), verb
