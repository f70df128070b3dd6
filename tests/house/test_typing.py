"""A store's value is a typed handle: what a block yields is known to the type checker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SNIPPET = """
from regionkit import AsyncRegionSession, RegionSession, SqlStore

ORDERS = SqlStore("orders")

def sync(s: RegionSession) -> None:
    with s.read(ORDERS) as db:
        reveal_type(db)
    with s.write(ORDERS, core=True) as db:
        reveal_type(db)
    with s.read("orders") as anything:
        reveal_type(anything)

async def asynchronous(s: AsyncRegionSession) -> None:
    async with s.write(ORDERS) as db:
        reveal_type(db)
    async with s.read(ORDERS, core=True) as db:
        reveal_type(db)
"""
REVEALED = [
    "sqlalchemy.orm.session.Session",
    "sqlalchemy.engine.base.Connection",
    "Any",
    "sqlalchemy.ext.asyncio.session.AsyncSession",
    "sqlalchemy.ext.asyncio.engine.AsyncConnection",
]


def test_blocks_are_typed_by_their_store(tmp_path: Path) -> None:
    """SqlStore gives a Session or a Connection, in both forms; a plain name gives Any."""
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed type" in line]
    assert revealed == REVEALED, done.stdout
