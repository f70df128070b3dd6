"""A rig per backend that keeps records: one owner of store "orders", which can fall silent and lose the reply to a commit.

A backend joins with a fixture `<name>_record_rig` that follows `RecordRig`, and its name in `KEEPERS`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from fix_rigs import NAMESPACE, make_tables

from regionkit import Endpoint, Region, Role, SqlStore, Topology
from regionkit.testing import FaultProxy, crash_points

KEEPERS = ("sqlite", "postgresql", "mariadb", "mysql")
HOME = "us-east-1"


class RecordRig(Protocol):
    """What the contract of records needs of a backend.

    Attributes:
        server: its kind.
        atomic: a unit is a transaction, so that a record can change within one.
        clear: a put that was sent is known to be done or not, so there is no reply to lose.
    """

    server: str
    atomic: bool
    clear: bool

    def topology(self) -> Topology:
        """Store "orders" in HOME; nothing of regionkit's is there yet."""

    def silent(self) -> contextlib.AbstractContextManager[None]:
        """The server answers nothing."""

    def commit_unanswered(self) -> contextlib.AbstractContextManager[Any]:
        """The next change takes effect, and its reply is lost."""


def _topology(url: str) -> Topology:
    store = SqlStore("orders", endpoints=[Endpoint(HOME, Role.PRIMARY, url)])
    return Topology(namespace=NAMESPACE, regions=[Region(HOME)], stores=[store])


class SqliteRecordRig:
    """A file; it is silent while another holds its lock."""

    server, atomic, clear = "sqlite", True, False

    def __init__(self, path: Path) -> None:
        self.path = path
        make_tables(f"sqlite:///{path}")

    def topology(self) -> Topology:
        """As above."""
        return _topology(f"sqlite:///{self.path}")

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """As above."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            yield
            holder.execute("ROLLBACK")

    def commit_unanswered(self) -> contextlib.AbstractContextManager[Any]:
        """As above."""
        return crash_points({"write.commit_sent": "drop_reply"})


class ServerRecordRig:
    """A server behind a proxy."""

    atomic, clear = True, False

    def __init__(self, server: str, proxy: FaultProxy) -> None:
        self.server = server
        self.proxy = proxy

    def topology(self) -> Topology:
        """As above."""
        return _topology(self.proxy.url)

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """As above."""
        self.proxy.freeze()
        yield
        self.proxy.heal()

    @contextlib.contextmanager
    def commit_unanswered(self) -> Iterator[None]:
        """As above."""
        with crash_points({"write.before_commit": self.proxy.drop_replies}):
            yield
        self.proxy.heal()


@pytest.fixture
def sqlite_record_rig(data_path: Path) -> SqliteRecordRig:
    """SQLite."""
    return SqliteRecordRig(data_path / "orders.db")


def _behind_a_proxy(server: str, servers: Any) -> Iterator[ServerRecordRig]:
    url = servers.primary.url_for(servers.database())
    make_tables(url)
    with FaultProxy(url) as proxy:
        yield ServerRecordRig(server, proxy)


@pytest.fixture
def postgresql_record_rig(pg: Any) -> Iterator[ServerRecordRig]:
    """PostgreSQL."""
    yield from _behind_a_proxy("postgresql", pg)


@pytest.fixture
def mariadb_record_rig(mariadb: Any) -> Iterator[ServerRecordRig]:
    """MariaDB."""
    yield from _behind_a_proxy("mariadb", mariadb)


@pytest.fixture
def mysql_record_rig(mysql: Any) -> Iterator[ServerRecordRig]:
    """MySQL."""
    yield from _behind_a_proxy("mysql", mysql)


@pytest.fixture(params=KEEPERS)
def record_rig(request: pytest.FixtureRequest) -> RecordRig:
    """Each backend in turn."""
    found: RecordRig = request.getfixturevalue(f"{request.param}_record_rig")
    return found
