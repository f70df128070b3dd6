"""An engine of the application's as a backing: regionkit opens the database that the engine opens, and no other."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import URL, text

from regionkit.backends.sql.bridge_async import create_async_engine
from regionkit.contract.backing_async import async_backing_of
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError

IS_ASYNC = True
DRIVER = "sqlite+aiosqlite" if IS_ASYNC else "sqlite"


def engine_of(url: Any, **options: Any) -> Any:
    """Of the application's."""
    return create_async_engine(url, **options)


async def written(engine: Any) -> None:
    """A row by regionkit."""
    backing = async_backing_of(engine, namespace="shop", store=None, clock=SYSTEM_CLOCK)
    async with backing.write(deadline=Deadline(SYSTEM_CLOCK, 10.0), core=True) as unit:
        await unit.native.execute(text("INSERT INTO made VALUES (1)"))
    await backing.close()
    await engine.dispose()


@pytest.mark.parametrize(
    "name", ["a.db", "50%25 of.db", "which?.db", "no#1.db", "caf\N{LATIN SMALL LETTER E WITH ACUTE}.db"]
)
@pytest.mark.parametrize("query", [{}, {"uri": "true"}, {"uri": "true", "mode": "rw"}])
async def test_it_opens_the_file_that_the_engine_opens(tmp_path: Path, name: str, query: dict[str, str]) -> None:
    """By its path, or by the URI that the engine's URL says it is; and it makes none."""
    path = tmp_path / name
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE made (id INTEGER)")
    db.close()
    database = f"file:{path}".translate({ord(one): f"%{ord(one):02X}" for one in "%?#"}) if query else str(path)
    engine = engine_of(URL.create(DRIVER, database=database, query=query))
    if sqlalchemy.__version__.startswith("2.0.") and any(one in database for one in "%?#"):
        with pytest.raises(ConfigurationError, match=r"use SQLAlchemy 2\.1"):
            await written(engine)
        await engine.dispose()
        return
    await written(engine)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT id FROM made").fetchall() == [(1,)]
    db.close()
    assert [found.name for found in tmp_path.iterdir()] == [name]


async def test_a_file_that_may_be_another_is_refused(tmp_path: Path) -> None:
    """Whether a name is a URI may stand where nobody can look."""
    engine = engine_of(f"{DRIVER}:///file:{tmp_path}/a.db", connect_args={"uri": True})
    with pytest.raises(ConfigurationError, match="may open another file"):
        await written(engine)
    assert not list(tmp_path.iterdir())
    await engine.dispose()
