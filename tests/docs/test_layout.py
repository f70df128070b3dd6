"""The page that follows a read, a write and a bookmark: its files are the ones that run, and few."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import regionkit
from regionkit import RegionKit
from regionkit.embedded import SqliteRegions

ROOT = Path(regionkit.__file__).parent.parent
PAGE = Path(__file__).parents[2] / "docs/contributing/layout.md"
MOST = 15
VALUES = ("regionkit/core/", "regionkit/facts/", "regionkit/errors.py", "regionkit/topology/", "regionkit/embedded/")
"""Found everywhere, as the page says."""
SECTIONS = {"read": "## A read", "write": "## A write", "bookmark": "## A bookmark"}


def followed(section: str) -> list[str]:
    """The files of a section's steps, as their sync twins."""
    part = PAGE.read_text().partition(section)[2].partition("\n## ")[0]
    return [name.replace("_async.py", ".py") for name in re.findall(r"^\d+\. `(regionkit/[\w/]+\.py)`", part, re.M)]


def passed() -> set[str]:
    """The files of the last section."""
    part = PAGE.read_text().partition("## Passed through")[2]
    return {name.replace("_async.py", ".py") for name in re.findall(r"`(regionkit/[\w/]+\.py)`", part)}


def executed(work: Callable[[], None]) -> set[str]:
    """Files of the package in which a function was called."""
    found: set[str] = set()

    def profile(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(ROOT / "regionkit")):
            found.add(str(Path(frame.f_code.co_filename).relative_to(ROOT)))

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What runs, on two SQLite regions whose kit is warm."""
    folder = tmp_path_factory.mktemp("regions")
    with SqliteRegions(folder, store="orders", primary="us", replicas=["kr"]) as regions:
        with RegionKit(regions.topology, local="kr", bookmark_keys=["a key of more than sixteen characters"]) as kit:
            kit.create_tables()

            def read(bookmark: str = "") -> None:
                with kit.session(bookmark=bookmark) as s, s.read("orders") as db:
                    db.execute(text("SELECT 1")).all()

            def write() -> str:
                with kit.session() as s:
                    with s.write("orders") as db:
                        db.execute(text("CREATE TABLE IF NOT EXISTS t (a INTEGER)"))
                        db.execute(text("INSERT INTO t VALUES (1)"))
                    return s.bookmark()

            def carry() -> None:
                with kit.session(bookmark=write()) as s:
                    with s.read("orders") as db:
                        db.execute(text("SELECT 1")).all()
                    s.bookmark()

            write()
            time.sleep(0.5)
            read()
            return {
                "read": executed(read),
                "write": executed(lambda: str(write()) and None),
                "bookmark": executed(carry),
            }


@pytest.mark.parametrize("kind", SECTIONS)
def test_the_page_names_few_files_and_they_are_there(kind: str) -> None:
    """At most fifteen a way, each once."""
    names = followed(SECTIONS[kind])
    assert 5 < len(names) <= MOST and len(set(names)) == len(names)
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("kind", SECTIONS)
def test_what_runs_is_on_the_page(kind: str, traces: dict[str, set[str]]) -> None:
    """Nothing runs that the page neither follows nor names."""
    known = passed() | {name for section in SECTIONS.values() for name in followed(section)}
    assert {name for name in traces[kind] - known if not name.startswith(VALUES)} == set()


@pytest.mark.parametrize("kind", ["read", "write"])
def test_what_the_page_follows_runs(kind: str, traces: dict[str, set[str]]) -> None:
    """A step that is not taken would lead a reader astray."""
    remembered = {"regionkit/routing/decision.py"}  # a decision that holds is not taken again
    assert set(followed(SECTIONS[kind])) - traces[kind] <= remembered
