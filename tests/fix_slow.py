"""Which tests `make check` leaves out though they need no server: it has a minute, `make test` runs them all.

A test is `slow` by its own mark, by its module's name, or as it works on files of SQLite.
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

SLOW = {
    "docs/test_examples.py": "each page is a process of its own, or several",
    "docs/test_readme.py": "so are the README's blocks",
    "docs/test_site.py": "it builds the site",
    "cli/*.py": "each command is a process of its own",
    "faults/*.py": "faults take time to be noticed",
    "house/test_driver_parts.py": "it reads the whole source",
    "house/test_import_direction.py": "so does it",
    "house/test_source_rules.py": "so does it",
    "house/test_twins.py": "it makes all twins anew",
    "*_model.py": "thousands of walks",
    "*killed*.py": "processes that die",
    "*processes*.py": "processes that race",
    "caching/test_in_kit_threads.py": "copies lag",
    "*crash*.py": "a process for each step that one can die at",
    "messaging/test_broken_*.py": "back-offs are waited for",
    "messaging/test_chaos.py": "thousands of messages",
    "messaging/test_in_kit.py": "leases and copies are waited for",
    "messaging/test_outbox_rules.py": "thousands of walks",
    "routing/test_garbage.py": "thousands of blocks",
    "transactions/test_files_participant.py": "it works on files of SQLite",
    "transactions/test_sqlite_attached.py": "so does it",
    "messaging/test_zombies.py": "leases are waited for",
    "transactions/test_waits.py": "deadlines are waited for",
}
"""Modules under `tests/`, and why they are slow."""

_TESTS = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What is left out as a whole is not even imported."""
    return True if "not slow" in str(config.getoption("markexpr")) and _is_slow(collection_path) else None


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _is_slow(item.path) or "sqlite" in item.name:
            item.add_marker("slow")


def _is_slow(path: Path) -> bool:
    if path.suffix != ".py" or not path.is_relative_to(_TESTS):
        return False
    within = path.relative_to(_TESTS).as_posix()
    return any(fnmatch(within, pattern) for pattern in SLOW)
