# Generated from test_absent_keys_async.py by scripts/twins.py. Do not edit.
"""Many ask at once for what is not there, and nobody keeps that: still one load, but for those who came after an invalidation."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from regionkit.caching import Cache, Lazy, Local, NoStore, Shared
from regionkit.core.concurrency import Flag, sleep, spawn

CALLERS = 20
PATIENCE = 20.0


class Source:
    """A loader that waits until all callers are there."""

    def __init__(self, gives: Any = None) -> None:
        self.gives = gives
        self.loads = 0
        self.ready = Flag()

    def load(self, key: int) -> Any:
        """Nothing is there, or what was given."""
        self.loads += 1
        found = self.gives
        self.ready.wait(PATIENCE)
        return found


class Crowd:
    """Callers in the background, and what they were given."""

    def __init__(self, cache: Any, callers: int) -> None:
        self.given: list[Any] = []
        self._lock = threading.Lock()
        self._callers = callers

        def run() -> None:
            found = cache.get(1)
            with self._lock:
                self.given.append(found)

        for number in range(callers):
            spawn(f"caller {number}", run)

    def gone(self) -> list[Any]:
        """Wait for all of them."""
        for _ in range(round(PATIENCE / 0.01)):
            if len(self.given) == self._callers:
                break
            sleep(0.01)
        return self.given


@pytest.mark.parametrize(("gives", "loads"), [(None, 1), (NoStore(7), CALLERS)])
def test_what_is_not_there_is_loaded_once_for_all_who_wait(gives: Any, loads: int) -> None:
    """What a loader gives to its caller alone is loaded for each."""
    source = Source(gives)
    with Cache("c", int, tiers=[Local()], strategy=Lazy(load=source.load, ttl=60)) as cache:
        crowd = Crowd(cache, CALLERS)
        sleep(0.3)
        source.ready.set()
        assert crowd.gone() == [None if gives is None else 7] * CALLERS
        assert source.loads == loads
        cache.get(1)
        assert source.loads == loads + 1  # nobody keeps it


def test_who_comes_after_an_invalidation_does_not_take_it(redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by another process, whose news are still on their way: a load flies here, with waiters from before and after."""
    source = Source()
    strategy = Lazy(load=source.load, ttl=60)
    tiers = [Shared(redis_server.primary.url, timeout=5.0)]
    with (
        Cache("absent", int, tiers=tiers, strategy=strategy) as here,
        Cache("absent", int, tiers=tiers, strategy=strategy) as there,
    ):
        here.peek(0)
        sleep(0.3)  # it has met its server, and hears its news
        crowd = Crowd(here, 5)
        sleep(0.3)
        monkeypatch.setattr(here.tier, "news", lambda *news: None)
        source.gives = 2
        there.invalidate(1)
        late = Crowd(here, 5)
        sleep(0.3)
        source.ready.set()
        assert late.gone() == [2] * 5
        assert set(crowd.gone()) <= {None, 2}
