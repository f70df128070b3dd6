"""The place in which the examples of README.md and docs/ run: a folder with `regionkit.toml`, two SQLite files, a model.

The replica is copied from the primary by SQLite's online backup, all the time, as replication would.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from regionkit import RegionKit
from regionkit.caching import Shared
from regionkit.testing.servers.nodes import ServerSet
from regionkit.transactions import AsyncFilesParticipant, FilesParticipant

TOML = """\
namespace = "shop"
bookmark_keys = ["${BOOKMARK_KEY}"]

[regions.us-east-1]
jurisdiction = "US"
[regions.ap-northeast-2]
jurisdiction = "KR"

[stores.orders]
backend = "sql"
[[stores.orders.endpoints]]
region = "us-east-1"
role = "primary"
url = "sqlite:///us-east-1.db"
[[stores.orders.endpoints]]
region = "ap-northeast-2"
role = "replica"
url = "sqlite:///ap-northeast-2.db"
"""


class Base(DeclarativeBase):
    """Root of the examples' models."""


class Order(Base):
    """The examples' model."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(String(80))


class Copier:
    """Copies the primary's file over the replica's, whenever the primary changed."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with closing(sqlite3.connect("us-east-1.db")) as source, closing(sqlite3.connect("ap-northeast-2.db")) as copy:
            seen = -1
            while not self._stopping.wait(0.01):
                version = source.execute("PRAGMA data_version").fetchone()[0]
                if version != seen:
                    try:
                        source.backup(copy)
                        seen = version
                    except sqlite3.OperationalError:  # a reader holds the copy: next time
                        pass

    def stop(self) -> None:
        """Stop copying."""
        self._stopping.set()
        self._thread.join()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The examples' names, in the examples' folder."""
    monkeypatch.chdir(tmp_path)
    defaults = Shared.__init__.__defaults__
    monkeypatch.setattr(Shared.__init__, "__defaults__", (5.0, *defaults[1:]))  # a busy machine is no dead server
    for kind in (FilesParticipant, AsyncFilesParticipant):  # the folder of tests may be in memory
        monkeypatch.setitem(kind.__init__.__kwdefaults__, "unsafe_place", True)
    monkeypatch.setenv("BOOKMARK_KEY", "a-key-for-the-examples-only-0123456789")
    monkeypatch.setenv("ORDERS_PASSWORD", "p/w:with@signs")
    Path("regionkit.toml").write_text(TOML)
    engine = create_engine("sqlite:///us-east-1.db")
    Base.metadata.create_all(engine)
    engine.dispose()
    with closing(sqlite3.connect("us-east-1.db")) as source, closing(sqlite3.connect("ap-northeast-2.db")) as copy:
        with RegionKit.from_toml("regionkit.toml", local="us-east-1") as kit:
            kit.create_tables()
        source.backup(copy)
    copier = Copier()
    names: dict[str, Any] = {
        "__name__": "__main__",  # as in a script
        "Base": Base,
        "Order": Order,
        "request": SimpleNamespace(headers={}),
        "response": SimpleNamespace(headers={}),
    }
    yield names
    for value in names.values():
        if isinstance(value, RegionKit):
            value.close()
        elif isinstance(value, Engine):
            value.dispose()
    copier.stop()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The sets of servers that a page starts. Those that a failed page leaves running are ended here."""
    sets: list[Any] = []
    enter = ServerSet.__enter__

    def noted(self: Any) -> Any:
        sets.append(self)
        return enter(self)

    monkeypatch.setattr(ServerSet, "__enter__", noted)
    yield sets
    for one in sets:
        one.close()
