# Generated from participant_rigs_async.py by scripts/twins.py. Do not edit.
"""A participant on a real database, and a look at it from outside."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text

from regionkit.backends.sql.bridge import create_engine
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionUnavailable
from regionkit.transactions.participants.factory import participant_of
from regionkit.transactions.participants.participant import BranchOptions
from regionkit.transactions.xid import Xid, gtrid_of

__all__ = ["ParticipantRig", "within"]

IS_ASYNC = False
NAMESPACE, LOG = "shop", "0a1b2c3d"
DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mariadb": "mysql+aiomysql",
    "mysql": "mysql+aiomysql",
    "sqlite": "sqlite+aiosqlite",
}


def within(seconds: float = 20.0) -> Deadline:
    """A deadline; the test is not about it."""
    return Deadline(SYSTEM_CLOCK, seconds)


class ParticipantRig:
    """One database with a table `bank`, participants on it, and another connection that looks.

    Attributes:
        kind: of the server.
        url: of the database, for threads.
    """

    namespace, name = NAMESPACE, "bank"

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self._made: list[Any] = []
        self._engines: list[Any] = []
        self._ids = itertools.count(1)
        self._items: dict[str, int] = {}
        self.outside = sqlalchemy.create_engine(url)
        self.sql("CREATE TABLE bank (id INTEGER PRIMARY KEY, total INTEGER NOT NULL)")

    @classmethod
    def of(cls, request: pytest.FixtureRequest, kind: str, folder: Path) -> ParticipantRig:
        """On an empty database."""
        url = f"sqlite:///{folder / 'bank.db'}"
        if kind != "sqlite":
            servers: Any = request.getfixturevalue(
                {"postgresql": "pg", "mariadb": "mariadb_alone", "mysql": "mysql_alone"}[kind]
            )
            url = str(servers.primary.url_for(servers.database()))
        return cls(kind, url)

    def engine(self, url: str = "", **options: Any) -> Any:
        """Of the application's."""
        parsed = sqlalchemy.make_url(url or self.url)
        made = create_engine(parsed.set(drivername=DRIVERS[self.kind]) if IS_ASYNC else parsed, **options)
        self._engines.append(made)
        return made

    def participant(self, url: str = "", **options: Any) -> Any:
        """A participant with its table, opened; of a process of its own, as far as it knows."""
        return self.participant_of(self.engine(url), makes=not url, **options)

    def participant_of(self, engine: Any, *, makes: bool = False, **options: Any) -> Any:
        """The same on this engine. `makes`: its table."""
        made = participant_of("bank", engine, namespace=NAMESPACE, unsafe_no_flush=True, **options)
        self._made.append(made)
        if makes:
            made.create_tables(within())
        made.open(within())
        return made

    def xid(self, branch: str = "bank") -> Xid:
        """A new name."""
        return Xid(NAMESPACE, LOG, gtrid_of(int(time.time() * 1000), os.urandom(10)), branch, 0)

    def branch(self, participant: Any, xid: Xid | None = None, **options: Any) -> Any:
        """One that is open."""
        return participant.begin(BranchOptions(xid or self.xid(), **options), within())

    def add(self, branch: Any) -> int:
        """Add an account by the Session; its id."""
        number = next(self._ids)
        branch.session().execute(text(self.adding(number)))
        return number

    def write(self, branch: Any, item: str) -> None:
        """An account for the item."""
        number = self._items.setdefault(item, 1000 + len(self._items))
        branch.session().execute(text(self.adding(number)))

    def items(self) -> set[str]:
        """Those with an account."""
        there = self.accounts
        return {item for item, number in self._items.items() if number in there}

    def adding(self, number: int | None = None) -> str:
        """A statement that adds an account."""
        return f"INSERT INTO bank (id, total) VALUES ({next(self._ids) if number is None else number}, 100)"

    def sql(self, statement: str) -> list[Any]:
        """Run one from outside."""
        with self.outside.begin() as connection:
            found = connection.execute(text(statement))
            return list(found.all()) if found.returns_rows else []

    @property
    def accounts(self) -> set[int]:
        """Which are there, in the eyes of others."""
        return {row[0] for row in self.sql("SELECT id FROM bank")}

    def close(self) -> None:
        """Close what was opened; end what is still prepared there."""
        for made in self._made:
            with contextlib.suppress(RegionUnavailable):  # behind a proxy that is gone
                for listed in made.listed(within()):
                    made.finish(listed, False, within())
            made.close()
        for engine in self._engines:
            engine.dispose()
        self.outside.dispose()
