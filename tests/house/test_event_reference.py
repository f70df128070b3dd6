"""`regionkit.events`, docs/reference/events.md and the events of the rooms say the same."""

from __future__ import annotations

import importlib
import logging
import re
from pathlib import Path

import pytest

from regionkit import events
from regionkit.core.events import Event

ROOT = Path(__file__).parents[2]
ROOMS = ("routing.events", "caching.events", "caching.back.events", "messaging.events", "transactions.events")


def classes() -> dict[str, type[Event]]:
    """Every event of every room."""
    found = {}
    for room in ROOMS:
        module = importlib.import_module(f"regionkit.{room}")
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, Event) and not name.startswith("_"):
                found[name] = value
    return found


def test_every_event_is_exported() -> None:
    """And nothing that is none."""
    assert {name for name in events.__all__ if name != "Hook"} == set(classes())
    assert all(getattr(events, name) is value for name, value in classes().items())


@pytest.mark.parametrize("name", sorted(classes()))
def test_each_field_is_documented(name: str) -> None:
    """In the docstring of the class or of its root."""
    kind = classes()[name]
    text = " ".join(one.__doc__ or "" for one in kind.__mro__ if one.__module__.startswith("regionkit"))
    missing = [field for field in kind.__struct_fields__ if not re.search(rf"(`{field}`|\b{field}:)", text)]
    assert missing == []


def test_the_page_lists_each_event_with_its_level_and_fields() -> None:
    """One row an event; roots have none."""
    page = (ROOT / "docs/reference/events.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", page, re.MULTILINE)
    wanted = {
        name: (logging.getLevelName(kind.level), ", ".join(f"`{field}`" for field in kind.__struct_fields__))
        for name, kind in classes().items()
        if not name.endswith("Event")
    }
    assert {name: (level, fields) for name, level, fields in rows} == wanted


def test_nothing_swallows_a_warning() -> None:
    """No handler that is silent: without any configuration Python writes warnings to stderr. The demo tells them itself."""
    sources = [path for path in (ROOT / "regionkit").rglob("*.py") if "NullHandler" in path.read_text()]
    assert [path.relative_to(ROOT).as_posix() for path in sources] == ["regionkit/demo/command.py"]
