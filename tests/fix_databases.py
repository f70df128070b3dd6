"""Databases of the shared PostgreSQL: an earlier test's, emptied, where there is one.

Making one copies a template on the primary and on three replicas: half a second, and 300 files on each to remove at the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from regionkit.testing.servers.kinds.postgresql import PostgresqlServers

LEAVE = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""
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
        if any(node._held or not node.alive or node._lifecycle.frozen for node in self.nodes):
            return  # a failed test left it so
        for name in lent:
            try:
                used = [
                    node.sql(LEAVE, database=name) for node in self.nodes
                ]  # a reader would hold up the replay of DROP
                self.primary.sql(EMPTY, database=name)
                left = self.primary.sql(LEFT, database=name)
            except psycopg.Error:
                used, left = [True], []
            if not any(used) and not left:
                self._spare.append(name)
                continue
            with contextlib.suppress(psycopg.Error):  # its files are many, on every node
                self.primary.sql(f'DROP DATABASE "{name}" WITH (FORCE)')


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
