"""Coordinators and recoverers are killed at each step and at random: no transfer is on one side only, none stays in doubt.

All is counted from the data of both databases. `make campaign-transactions` kills far more.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from regionkit.transactions.points import POINTS

CHILDREN = Path(__file__).with_name("transaction_children.py")
KILLS = int(os.environ.get("REGIONKIT_TRANSACTION_KILLS", "300"))
"""In all; half of them at points."""
PAIRS: dict[str, tuple[str, ...]] = {
    "postgresql + mariadb, log on a third": ("postgresql", "mariadb", "postgresql"),
    "postgresql + mariadb, anchored": ("postgresql", "mariadb", "b"),
    "mariadb + mariadb, log on a third": ("mariadb", "mariadb", "mariadb"),
    "postgresql + mysql, log on a third": ("postgresql", "mysql", "postgresql"),
    "postgresql + mysql with a binary log, anchored": ("postgresql", "mysql-logging", "b"),
    "mysql + mariadb, log on a third": ("mysql", "mariadb", "mysql"),
    "postgresql + postgresql, log on a third": ("postgresql", "postgresql", "postgresql"),
    "postgresql + postgresql, anchored": ("postgresql", "postgresql", "a"),
    "postgresql + sqlite, anchored": ("postgresql", "sqlite", "b"),
    "postgresql + two files of sqlite, anchored": ("postgresql", "sqlite-attached", "b"),
    "postgresql + postgresql, file log": ("postgresql", "postgresql", "file"),
    "postgresql + mariadb + mysql, log on a third": ("postgresql", "mariadb", "postgresql", "mysql"),
}
FIXTURES = {"postgresql": "pg", "mariadb": "mariadb_alone", "mysql": "mysql_alone", "mysql-logging": "mysql"}
NEVER = ("one_phase", "bar", "begin")
"""Points that no transfer of these passes, or before which there is nothing to be seen."""


def points(log: str) -> list[str]:
    """Those that a transfer passes."""
    anchored = log in ("a", "b")
    skip = (*NEVER, "tpc.decide." if anchored else "tpc.anchor.")
    return [point for point in POINTS if not any(word in point for word in skip)]


@pytest.fixture
def url_of(request: pytest.FixtureRequest, data_path: Path, tmp_path: Path) -> Callable[[str, str], str]:
    """A database of its own on a server, by the server's name."""

    def make(server: str, what: str) -> str:
        if server == "file":
            return f"{tmp_path}/decisions"
        if server.startswith("sqlite"):
            return f"sqlite:///{data_path}/{what}.db"
        given = request.getfixturevalue(FIXTURES[server])
        url: str = given.primary.url_for(given.database())
        return url

    return make


def run_cell(kills: int, pair: tuple[str, ...], url_of: Callable[[str, str], str], folder: Path) -> dict[str, Any]:
    """A bank, and what is left of it."""
    a, b, log, *others = pair
    cell: dict[str, Any] = {"a": url_of(a, "a"), "b": url_of(b, "b"), "kills": kills, "folder": str(folder)}
    cell |= dict(zip("c", (url_of(one, "c") for one in others), strict=False))
    if b == "sqlite-attached":
        cell["archive"] = f"{folder}/archive.db"
    cell |= {"log": cell[log] if log in cell else url_of(log, "log"), "points": points(log), "seed": len(a + b + log)}
    prepared(cell)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(CHILDREN), json.dumps(cell)],
        capture_output=True,
        text=True,
        timeout=900 + kills,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(CHILDREN.parents[2]), str(CHILDREN.parent)))},
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (told["late"], told["failed"]) == (0, 0), (told, done.stderr)
    return told


def prepared(cell: dict[str, Any]) -> None:
    """Accounts, and all that transactions keep."""
    sys.path.insert(0, str(CHILDREN.parent))
    try:
        from transaction_children import ACCOUNTS, Bank, sides_of
    finally:
        sys.path.remove(str(CHILDREN.parent))
    for url in sides_of(cell).values():
        engine = create_engine(url)
        with engine.begin() as db:
            db.execute(text("CREATE TABLE accounts (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)"))
            db.execute(text("CREATE TABLE moved (id VARCHAR(16) PRIMARY KEY, amount INTEGER NOT NULL)"))
            db.execute(text("INSERT INTO accounts VALUES (:id, 0)"), [{"id": id} for id in range(ACCOUNTS)])
        engine.dispose()
    if "archive" in cell:
        with closing(sqlite3.connect(cell["archive"])) as db:
            db.execute("CREATE TABLE moved (id VARCHAR(16) PRIMARY KEY, amount INTEGER NOT NULL)")
    bank = Bank(cell)
    bank.tm.create_tables()
    bank.close()


def cells() -> list[Any]:
    """Pairs, with the marks of their servers."""
    families = ("postgresql", "mariadb", "mysql")
    return [
        pytest.param(
            name, marks=[getattr(pytest.mark, one) for one in families if any(at.startswith(one) for at in servers)]
        )
        for name, servers in PAIRS.items()
    ]


@pytest.mark.slow
@pytest.mark.timeout(1200 + 2 * KILLS)
@pytest.mark.parametrize("pair", cells())
def test_killed_at_points_and_at_random_all_or_none(
    pair: str, url_of: Callable[[str, str], str], data_path: Path
) -> None:
    """All sides have the same transfers, the total is what it was, nothing is prepared, and no hazard was seen."""
    kills = KILLS // len(PAIRS)
    told = run_cell(kills, PAIRS[pair], url_of, data_path)
    print(f"{pair}: {told}")
    assert (told["torn"], told["differ"], told["total"], told["prepared"]) == (0, 0, 0, 0), told
    assert (told["hazards"], told["clean"]) == ([], True), told
    assert told["kills"] == kills
    assert told["at random"] >= kills // 2
    assert told["committed"] >= 0.4 * told["begun"] or kills < 50, "hardly anything was at work"
    assert told["recoverers"] > 0 or "file" in pair, "no recoverer was killed"
    from transaction_children import DECIDED

    for point, (count, committed) in told["shares"].items():
        if point.startswith(DECIDED):
            assert committed >= 0.3 * count, (point, told["shares"])
