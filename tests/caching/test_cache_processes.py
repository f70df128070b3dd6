"""A cache that was made before a fork (preload): the child serves no earlier entries, and hears its own news."""

from __future__ import annotations

import os
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regionkit.caching import Cache, Lazy, Local, Shared
from regionkit.errors import CacheError

pytestmark = pytest.mark.redis

PATIENCE = 20.0


def in_a_child(work: Callable[[], None], tmp_path: Path) -> Callable[[], None]:
    """Start `work` in a forked child; the result waits for it, and raises what it raised."""
    report = tmp_path / f"child{os.urandom(4).hex()}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a process with threads: this is what is tested
        pid = os.fork()
    if pid == 0:
        try:
            work()
            report.write_text("")
        except BaseException:
            report.write_text(traceback.format_exc())
        finally:
            os._exit(0)

    def ended() -> None:
        end = time.monotonic() + 3 * PATIENCE
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
                raise AssertionError("the child hangs")
            time.sleep(0.01)
        assert not report.read_text(), report.read_text()

    return ended


def until(holds: Callable[[], Any], why: str) -> None:
    """Wait until it holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, why
        time.sleep(0.01)


@pytest.mark.parametrize("tiers", ["local", "shared", "both"])
def test_a_child_serves_nothing_of_before_and_hears_news(request: Any, tmp_path: Path, tiers: str) -> None:
    """The parent's goes on as before."""
    given: list[Any] = [] if tiers == "shared" else [Local()]
    if tiers != "local":
        given.append(Shared(request.getfixturevalue("redis_server").primary.url, timeout=5.0))
    row = tmp_path / "row"
    row.write_text("1")

    def load(key: str) -> int:
        return int(row.read_text())

    with Cache(f"p{os.urandom(6).hex()}", int, strategy=Lazy(load=load, ttl=300.0), tiers=given) as cache:
        cache.get("a")
        if tiers == "both":
            until(lambda: cache.lookup("a").tier == "local", "the parent takes nothing")

        def child() -> None:
            found = cache.lookup("a")
            assert found.tier == ("loader" if tiers == "local" else "shared"), found
            assert cache.get("b") == 1
            (tmp_path / "ready").write_text("")
            if tiers == "both":
                until(lambda: cache.lookup("a").tier == "local", "the child takes nothing")
                (tmp_path / "local").write_text("")
            if tiers != "local":
                until(lambda: cache.get("a") == 2, "the child hears no news")
            cache.invalidate("b")

        ended = in_a_child(child, tmp_path)
        until((tmp_path / "ready").exists, "the child does nothing")
        if tiers == "both":
            until(lambda: (tmp_path / "local").exists() or not ended, "the child takes nothing")
        row.write_text("2")
        cache.invalidate("a")
        assert cache.get("a") == 2
        ended()
        assert cache.get("a") == 2
        if tiers != "local":
            until(lambda: cache.get("b") == 2, "the parent hears no news of the child")


def test_a_child_tells_what_it_has_to_tell_itself(own_redis: Any, tmp_path: Path) -> None:
    """What the parent could not tell is the parent's; what the child can not is told by it when the server is back."""
    servers = own_redis()
    shared = Shared(servers.primary.url, timeout=0.5)
    with Cache(f"p{os.urandom(6).hex()}", int, strategy=Lazy(load=lambda key: 1, ttl=300.0), tiers=[shared]) as cache:
        cache.get("a")
        servers.primary.kill()
        with pytest.raises(CacheError):
            cache.invalidate("a")
        assert cache.teller.waiting == 1

        def child() -> None:
            assert cache.teller.waiting == 0
            with pytest.raises(CacheError):
                cache.invalidate("b")
            assert cache.teller.waiting == 1
            (tmp_path / "waits").write_text("")
            until(lambda: cache.teller.waiting == 0, "the child never tells")

        ended = in_a_child(child, tmp_path)
        until((tmp_path / "waits").exists, "the child does nothing")
        servers.primary.start()
        ended()
        until(lambda: cache.teller.waiting == 0, "the parent never tells")


def test_a_child_that_is_born_while_threads_load_hangs_nowhere(redis_server: Any, tmp_path: Path) -> None:
    """Locks and places that a thread of the parent held are free in the child."""
    import threading

    shared = Shared(redis_server.primary.url, timeout=5.0)
    strategy = Lazy(load=lambda key: 1, ttl=300.0, soft_ttl=0.001, load_timeout=1.0)
    stop = threading.Event()
    with Cache(f"p{os.urandom(6).hex()}", int, strategy=strategy, tiers=[Local(), shared]) as cache:

        def works(number: int) -> None:
            while not stop.is_set():
                cache.get(f"k{number}")
                cache.invalidate(f"k{number}")

        threads = [threading.Thread(target=works, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()

        def child() -> None:
            for number in range(20):
                assert cache.get(f"k{number % 5}") == 1
            cache.invalidate("k1")
            before = cache.counters.refreshes
            until(
                lambda: cache.get("k1") and cache.counters.refreshes > before, "nothing is reloaded in the background"
            )

        try:
            for _ in range(3):
                time.sleep(0.05)
                in_a_child(child, tmp_path)()
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_a_child_has_every_place_and_draws_lives_of_its_own(tmp_path: Path) -> None:
    """Whatever was under way when it was born; else the children of one parent would all reload in the same instant."""
    strategy = Lazy(load=lambda key: 1, ttl=300.0, load_timeout=PATIENCE)
    with Cache(f"p{os.urandom(6).hex()}", int, strategy=strategy) as cache:
        for places in (cache.fetcher.loads._slots, cache.fetcher._refreshes):
            while places.try_acquire():
                pass

        def child(name: str) -> None:
            began = time.monotonic()
            assert cache.get("a") == 1
            assert time.monotonic() - began < PATIENCE / 2
            assert cache.fetcher._refreshes.try_acquire()
            (tmp_path / name).write_text(str(cache.fetcher.parts.shaper._chance.random()))

        for name in ("one", "two"):
            in_a_child(lambda name=name: child(name), tmp_path)()  # type: ignore[misc]
        assert (tmp_path / "one").read_text() != (tmp_path / "two").read_text()


def test_a_child_tracks_keys_over_a_connection_of_its_own(redis_server: Any, tmp_path: Path) -> None:
    """What another program deletes leaves the child's memory, and the parent's."""
    tier = Shared(redis_server.primary.url, timeout=5.0, tracking=True)
    name = f"p{os.urandom(6).hex()}"
    with Cache(
        name, int, strategy=Lazy(load=lambda key: time.monotonic_ns(), ttl=300.0), tiers=[Local(), tier]
    ) as cache:

        def hears() -> None:
            def held() -> bool:
                return cache.lookup("a").tier == "local" and cache.status()["tracking"] == "on"

            until(held, f"{cache.status()['tracking']}: it is never taken")
            before = cache.get("a")
            with redis_server.primary.client() as client:
                client.delete(*[key for key in client.keys(f"*{name}:v:*") if not key.endswith(b"-")])
            until(lambda: cache.get("a") != before, "it is never told")

        hears()

        def child() -> None:
            assert cache.status()["tracking"] == "off"
            hears()

        in_a_child(child, tmp_path)()
        hears()
