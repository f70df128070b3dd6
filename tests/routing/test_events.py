"""What routing tells: every event is public, frozen, logged at a level of its own choice, about a store."""

from __future__ import annotations

import logging

import msgspec
import pytest

from regionkit.core.events import Event
from regionkit.routing import events
from regionkit.routing.events import RoutingEvent

OF_ANSWERS = {"AnsweredBeforeWrite", "BookmarkRefused"}
"""Of a request that the web middleware carries: about no store."""
KINDS = [getattr(events, name) for name in events.__all__ if name not in {"RoutingEvent", *OF_ANSWERS}]


def made(kind: type[RoutingEvent]) -> RoutingEvent:
    """One, with each field named after itself."""
    return kind(*[name for name in kind.__struct_fields__])


def test_none_is_missing_from_the_list() -> None:
    """What is defined is exported."""
    defined = [c for c in vars(events).values() if isinstance(c, type) and issubclass(c, Event) and c is not Event]
    assert {c.__name__ for c in defined} == set(events.__all__)
    assert {c.__name__ for c in defined if not issubclass(c, RoutingEvent)} == OF_ANSWERS


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_is_about_its_store_and_can_not_be_changed(kind: type[RoutingEvent]) -> None:
    """One hook cannot spoil it for the next."""
    event = made(kind)
    assert isinstance(event, Event)
    assert event.subject == event.store == "store"
    assert event.region == "region"
    assert kind.level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
    with pytest.raises(AttributeError):
        event.region = "elsewhere"  # type: ignore[misc]  # the point
    assert msgspec.structs.asdict(event)["store"] == "store"


def test_each_call_is_quiet_and_what_an_operator_has_to_see_is_not() -> None:
    """A log at WARNING holds changes of state only."""
    loud = {kind.__name__ for kind in KINDS if kind.level >= logging.WARNING}
    assert {"ReadRouted", "WriteRouted"} & loud == set()
    assert {"BreakerChanged", "MonitorFailed"} <= loud
