"""Databases of the shared PostgreSQL: an earlier test's, emptied, where there is one. And a folder for those that are files.

Making one copies a template on the primary and on three replicas: half a second, and 300 files on each to remove at the end.
A connection costs the server a process, 5 ms: what is asked before and after each test is asked on one that is kept.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from regionkit.testing.servers.kinds.postgresql import PostgresqlNode, PostgresqlServers
from regionkit.testing.servers.nodes import wait_until
from regionkit.testing.servers.places import remove

USED = "SELECT datname FROM pg_stat_activity WHERE datname = ANY(%s)"
LEAVE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s)"
MOMENT = 0.2
"""Seconds that a process of the server may need to end behind its connection."""
LEFT = """SELECT 'publication' FROM pg_publication UNION ALL SELECT 'event trigger' FROM pg_event_trigger
UNION ALL SELECT 'default acl' FROM pg_default_acl UNION ALL SELECT 'large object' FROM pg_largeobject_metadata
UNION ALL SELECT 'setting' FROM pg_db_role_setting WHERE setdatabase <> 0
UNION ALL SELECT 'slot' FROM pg_replication_slots WHERE slot_type = 'logical'
UNION ALL SELECT 'rights' FROM pg_database WHERE datname = current_database() AND (datacl IS NOT NULL OR datconnlimit <> -1)"""
"""What outlives the schemas."""
EMPTY = """SET lock_timeout = '2s';
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
END $$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC"""


class SharedPostgresql(PostgresqlServers):
    """A primary and its replicas for many tests."""

    def __init__(self, replicas: int) -> None:
        super().__init__(replicas, sync=False, settings={})
        self._lent: list[str] = []
        self._spare: list[str] = []
        self._kept: dict[PostgresqlNode, psycopg.Connection[Any]] = {}

    def database(self, name: str | None = None) -> str:
        """An empty database; one that `take_back` has emptied where there is one."""
        if name is not None or not self._spare:
            found = super().database(name)
        else:
            found = self._spare.pop()
            self.wait_for_replicas()
        if name is None:
            self._lent.append(found)
        return found

    def take_back(self) -> None:
        """Empty what was given out since the last call. What somebody still uses, or is not empty then, is dropped."""
        lent, self._lent = self._lent, []
        if not lent or not self._is_whole():
            return  # a failed test left it so
        try:  # a reader on a replica would hold up the replay of DROP
            used = set().union(*(self._used(node, lent) for node in self.nodes))
        except psycopg.Error:
            used = set(lent)
        for name in lent:
            if name not in used and self._is_emptied(name):
                self._spare.append(name)
                continue
            with contextlib.suppress(psycopg.Error):  # its files are many, on every node
                self.primary.sql(f'DROP DATABASE "{name}" WITH (FORCE)')

    def wait_for_replicas(self, timeout: float = 10.0) -> None:
        """As of any set."""
        if not self._is_whole():
            super().wait_for_replicas(timeout)
            return
        try:
            position = self._ask(self.primary, "SELECT pg_current_wal_lsn()")[0][0]
            for node in self.replicas:
                query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
                has_it = lambda node=node: self._ask(node, query, position)[0][0]  # noqa: B023,E731  # it ends in this round
                wait_until(has_it, f"{node.name} has replayed {position}", timeout)
        except psycopg.Error:  # the connection, or the role, was lost in a test
            super().wait_for_replicas(timeout)

    def close(self) -> None:
        """As of any set."""
        for connection in self._kept.values():
            connection.close()
        self._kept.clear()
        super().close()

    def _is_whole(self) -> bool:
        return not any(node._held or not node.alive or node._lifecycle.frozen for node in self.nodes)

    def _used(self, node: PostgresqlNode, names: list[str]) -> set[str]:
        """Those that somebody still uses; he is put out."""
        end = time.monotonic() + MOMENT
        while used := {row[0] for row in self._ask(node, USED, names)}:
            if time.monotonic() > end:
                self._ask(node, LEAVE, names)
                break
            time.sleep(0.002)
        return used

    def _is_emptied(self, name: str) -> bool:
        try:
            with self.primary._connect(name) as connection:
                connection.execute(EMPTY)
                return not connection.execute(LEFT).fetchall()
        except psycopg.Error:
            return False

    def _ask(self, node: PostgresqlNode, query: str, *args: object) -> Sequence[tuple[Any, ...]]:
        """The rows, by the connection that is kept; a new one where it was lost."""
        kept = self._kept.get(node)
        if kept is not None:
            try:
                return kept.execute(query, args or None).fetchall()
            except psycopg.OperationalError:
                kept.close()
        self._kept[node] = node._connect()
        return self._kept[node].execute(query, args or None).fetchall()


_SHARED: list[SharedPostgresql] = []


def shared_postgresql(replicas: int) -> SharedPostgresql:
    """A set whose databases come back after each test."""
    made = SharedPostgresql(replicas)
    _SHARED.append(made)
    return made


@pytest.fixture(autouse=True)
def _databases_come_back() -> Iterator[None]:
    """After each test, when its own fixtures have closed their kits."""
    yield
    for made in _SHARED:
        made.take_back()


@pytest.fixture
def data_path(tmp_path: Path) -> Iterator[Path]:
    """A folder for the files of a SQLite rig: beside the servers' data, in memory where those are.

    A commit of SQLite waits for the disk, and a disk may hold up everybody for seconds. What must be on a disk, as a journal or
    a log of decisions, is in `tmp_path`.
    """
    folder = os.environ.get("REGIONKIT_SERVERS_FOLDER")
    if not folder:
        yield tmp_path
        return
    made = Path(tempfile.mkdtemp(prefix="files-", dir=folder))
    yield made
    remove(made)
