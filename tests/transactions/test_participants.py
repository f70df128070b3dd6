# Generated from test_participants_async.py by scripts/twins.py. Do not edit.
"""The contract of participants, on PostgreSQL, MariaDB, MySQL and SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from regionkit.errors import ConfigurationError, TransactionAborted
from regionkit.testing import ParticipantContract
from regionkit.transactions.participants.factory import participant_of
from regionkit.transactions.participants.files import FilesParticipant
from regionkit.transactions.participants.memory import MemoryParticipant
from regionkit.transactions.protocol import Finish, Vote

from .participant_contract import PreparingContract, SqlContract
from .participant_rigs import ParticipantRig, within

UNSAFE: Any = {"unsafe_no_flush": True}


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ParticipantRig]:
    """A database, or a file, of the class's `server`."""
    made = ParticipantRig.of(request, request.cls.server, tmp_path)
    yield made
    made.close()


@pytest.mark.postgresql
class TestPostgres(PreparingContract):
    """PostgreSQL."""

    server = "postgresql"


@pytest.mark.mariadb
class TestMariadb(PreparingContract):
    """MariaDB without replicas."""

    server = "mariadb"


@pytest.mark.mysql
class TestMysql(PreparingContract):
    """MySQL without replicas."""

    server = "mysql"


class TestSqlite(SqlContract):
    """A file of SQLite."""

    server = "sqlite"

    def test_it_cannot_prepare(self, rig: ParticipantRig) -> None:
        """It says so, and is rolled back."""
        bank = rig.participant()
        assert not (bank.open(within())).prepares
        branch = rig.branch(bank)
        number = rig.add(branch)
        assert (branch.prepare(within())).vote is Vote.NO
        assert branch.finish(False, within()) is Finish.DONE
        branch.close()
        assert number not in rig.accounts

    def test_an_error_of_the_disk_at_commit_is_no_answer(self, rig: ParticipantRig) -> None:
        """The file may hold it: the marker's key settles it."""
        bank = rig.participant()
        branch = rig.branch(bank)
        for name, answered in (("SQLITE_IOERR_FSYNC", False), ("SQLITE_FULL", False), ("SQLITE_BUSY", True)):
            under = sqlite3.OperationalError("no")
            under.sqlite_errorname = name
            assert branch.answered(OperationalError("COMMIT", None, under)) is answered
        branch.close()


class Folder:
    """Documents in a folder, as the shipped contract sees them."""

    namespace, name = "shop", "docs"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def participant(self) -> Any:
        made = FilesParticipant("docs", self.folder, unsafe_place=True)
        made.create_tables(within())
        made.open(within())
        return made

    def write(self, branch: Any, item: str) -> None:
        branch.session().put(item, b"x")

    def items(self) -> set[str]:
        return {path.name for path in self.folder.iterdir() if path.is_file()}


class TestFiles(ParticipantContract):
    """A folder of documents: no database is needed to be one."""

    @pytest.fixture
    def rig(self, tmp_path: Path) -> Folder:
        """An empty one."""
        return Folder(tmp_path)


class Memory:
    """Data in memory, as the shipped contract sees it."""

    namespace, name = "shop", "bank"

    def __init__(self) -> None:
        self.at = MemoryParticipant("bank")

    def participant(self) -> Any:
        return self.at

    def write(self, branch: Any, item: str) -> None:
        branch.session()[item] = 1

    def items(self) -> set[str]:
        return set(self.at.data)


class TestMemory(ParticipantContract):
    """The one for tests."""

    @pytest.fixture
    def rig(self) -> Memory:
        """An empty one."""
        return Memory()


def test_what_cannot_take_part_is_refused_by_name() -> None:
    """A dictionary, say."""
    with pytest.raises(ConfigurationError, match="cannot keep rows"):
        participant_of("bank", {}, namespace="shop")


def test_a_branch_that_could_not_begin_runs_nothing(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The file was locked, and the user caught that: what follows would run in no transaction, and stay."""
    rig = ParticipantRig.of(request, "sqlite", tmp_path)
    bank = rig.participant()
    with rig.outside.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        branch = rig.branch(bank, lock_timeout=0.1)
        with pytest.raises(DBAPIError, match="locked"):
            rig.add(branch)
        other.exec_driver_sql("ROLLBACK")
    with pytest.raises(TransactionAborted):
        rig.add(branch)
    branch.close()
    assert rig.accounts == set()
    rig.close()
