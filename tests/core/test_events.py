"""Hooks: told everything, unable to disturb; and the log as one of them."""

from __future__ import annotations

import logging
import threading

import msgspec
import pytest

from regionkit.core.events import Event, EventHooks, crash_point, set_crash_hook
from regionkit.routing import events
from regionkit.routing.events import BreakerChanged, MonitorFailed, ReadRouted

READ = ReadRouted("orders", "kr", "kr", "read", "ok", 0.01, "SESSION", 0.0, 1)


@pytest.fixture(autouse=True)
def _calm() -> None:
    logging.getLogger("regionkit").setLevel(logging.WARNING)


def test_each_hook_hears_each_event_once_in_order() -> None:
    """Until its remover is called; calling it again does nothing."""
    hooks, heard = EventHooks(), []
    first = hooks.add(lambda e: heard.append(("a", e)))
    hooks.add(lambda e: heard.append(("b", e)))
    hooks.emit(READ)
    first()
    first()
    hooks.emit(READ)
    assert heard == [("a", READ), ("b", READ), ("b", READ)]


def test_one_hook_added_twice_is_two() -> None:
    """Each remover takes away its own."""
    hooks, heard = EventHooks(), []
    hook = heard.append
    one, two = hooks.add(hook), hooks.add(hook)
    hooks.emit(READ)
    one()
    hooks.emit(READ)
    two()
    hooks.emit(READ)
    assert len(heard) == 3


def test_a_hook_that_raises_is_logged_and_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The call goes on, later hooks hear the event; only what is no Exception passes."""
    hooks, heard = EventHooks(), []

    def broken(event: Event) -> None:
        raise ValueError("a hook's own fault")

    remove = hooks.add(broken)
    hooks.add(heard.append)
    hooks.emit(READ)
    assert heard == [READ] and "a subscribed hook raised on ReadRouted" in caplog.text
    remove()

    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt

    hooks.add(interrupted)
    with pytest.raises(KeyboardInterrupt):
        hooks.emit(READ)


def test_a_hook_may_add_and_remove_hooks() -> None:
    """Those added during an event hear the next one."""
    hooks, heard = EventHooks(), []
    removers = []

    def nosy(event: Event) -> None:
        removers.append(hooks.add(heard.append))
        for remove in removers[:-1]:
            remove()

    hooks.add(nosy)
    for _ in range(3):
        hooks.emit(READ)
    assert len(heard) == 2


def test_quiet_means_that_nobody_listens() -> None:
    """Neither a hook nor a log at DEBUG, whenever that was set."""
    hooks = EventHooks()
    assert hooks.quiet
    remove = hooks.add(lambda e: None)
    assert not hooks.quiet
    remove()
    assert hooks.quiet
    logging.getLogger("regionkit").setLevel(logging.DEBUG)
    assert not hooks.quiet, "set after the kit was made"


def test_levels_and_details_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Routed blocks at DEBUG, changes at WARNING, a broken monitor at ERROR; the details object rides along."""
    caplog.set_level(logging.DEBUG, "regionkit")
    hooks = EventHooks()
    changed = BreakerChanged("orders", "kr", "kr", "read", "open", "gone")
    for event in (READ, changed, MonitorFailed("", "kr", "kr", "x")):
        hooks.emit(event)
    assert [(r.name, r.levelname) for r in caplog.records] == [
        ("regionkit.orders", "DEBUG"),
        ("regionkit.orders", "WARNING"),
        ("regionkit.kit", "ERROR"),
    ]
    assert caplog.records[1].details is changed  # type: ignore[attr-defined]


def test_threads_lose_no_hook() -> None:
    """Added at once from many threads, each hears, each can go."""
    hooks, heard, removers = EventHooks(), [], []

    def add() -> None:
        for _ in range(200):
            removers.append(hooks.add(heard.append))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hooks.emit(READ)
    assert len(heard) == 1600
    for remove in removers:
        remove()
    assert hooks.quiet


def test_events_are_frozen_values() -> None:
    """Nobody changes what another hook hears; each of routing's names its store and region, and the log hears of its store."""
    kinds = [getattr(events, name) for name in events.__all__]
    assert len(kinds) > 5
    for kind in kinds:
        assert issubclass(kind, Event)
        assert kind.__struct_config__.frozen
        if not issubclass(kind, events.RoutingEvent):
            continue  # of an answer, not of an endpoint
        assert kind.__struct_fields__[:2] == ("store", "region") and kind.__struct_config__.frozen
    assert READ.subject == READ.store and Event().subject == ""
    with pytest.raises(AttributeError):
        READ.store = "x"  # type: ignore[misc]
    assert msgspec.structs.replace(READ) == READ


def test_crash_points_do_nothing_until_asked() -> None:
    """And then tell their name."""
    heard: list[str] = []
    crash_point("before")
    set_crash_hook(heard.append)
    try:
        crash_point("commit sent")
    finally:
        set_crash_hook(None)
    crash_point("after")
    assert heard == ["commit sent"]
