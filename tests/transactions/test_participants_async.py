"""The contract of participants, on PostgreSQL, MariaDB, MySQL and SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from regionkit.errors import ConfigurationError, TransactionAborted
from regionkit.testing import AsyncParticipantContract
from regionkit.transactions.participants.factory_async import participant_of
from regionkit.transactions.participants.files_async import AsyncFilesParticipant
from regionkit.transactions.participants.memory_async import AsyncMemoryParticipant
from regionkit.transactions.protocol import Finish, Vote

from .participant_contract_async import AsyncPreparingContract, AsyncSqlContract
from .participant_rigs_async import AsyncParticipantRig, within

UNSAFE: Any = {"unsafe_no_flush": True}


@pytest.fixture
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncParticipantRig]:
    """A database, or a file, of the class's `server`."""
    made = AsyncParticipantRig.of(request, request.cls.server, tmp_path)
    yield made
    await made.close()


@pytest.mark.postgresql
class TestPostgres(AsyncPreparingContract):
    """PostgreSQL."""

    server = "postgresql"


@pytest.mark.mariadb
class TestMariadb(AsyncPreparingContract):
    """MariaDB without replicas."""

    server = "mariadb"


@pytest.mark.mysql
class TestMysql(AsyncPreparingContract):
    """MySQL without replicas."""

    server = "mysql"


class TestSqlite(AsyncSqlContract):
    """A file of SQLite."""

    server = "sqlite"

    async def test_it_cannot_prepare(self, rig: AsyncParticipantRig) -> None:
        """It says so, and is rolled back."""
        bank = await rig.participant()
        assert not (await bank.open(within())).prepares
        branch = await rig.branch(bank)
        number = await rig.add(branch)
        assert (await branch.prepare(within())).vote is Vote.NO
        assert await branch.finish(False, within()) is Finish.DONE
        await branch.close()
        assert number not in rig.accounts

    async def test_an_error_of_the_disk_at_commit_is_no_answer(self, rig: AsyncParticipantRig) -> None:
        """The file may hold it: the marker's key settles it."""
        bank = await rig.participant()
        branch = await rig.branch(bank)
        for name, answered in (("SQLITE_IOERR_FSYNC", False), ("SQLITE_FULL", False), ("SQLITE_BUSY", True)):
            under = sqlite3.OperationalError("no")
            under.sqlite_errorname = name
            assert branch.answered(OperationalError("COMMIT", None, under)) is answered
        await branch.close()


class AsyncFolder:
    """Documents in a folder, as the shipped contract sees them."""

    namespace, name = "shop", "docs"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def participant(self) -> Any:
        made = AsyncFilesParticipant("docs", self.folder, unsafe_place=True)
        await made.create_tables(within())
        await made.open(within())
        return made

    async def write(self, branch: Any, item: str) -> None:
        branch.session().put(item, b"x")

    async def items(self) -> set[str]:
        return {path.name for path in self.folder.iterdir() if path.is_file()}


class TestFiles(AsyncParticipantContract):
    """A folder of documents: no database is needed to be one."""

    @pytest.fixture
    def rig(self, tmp_path: Path) -> AsyncFolder:
        """An empty one."""
        return AsyncFolder(tmp_path)


class AsyncMemory:
    """Data in memory, as the shipped contract sees it."""

    namespace, name = "shop", "bank"

    def __init__(self) -> None:
        self.at = AsyncMemoryParticipant("bank")

    async def participant(self) -> Any:
        return self.at

    async def write(self, branch: Any, item: str) -> None:
        branch.session()[item] = 1

    async def items(self) -> set[str]:
        return set(self.at.data)


class TestMemory(AsyncParticipantContract):
    """The one for tests."""

    @pytest.fixture
    def rig(self) -> AsyncMemory:
        """An empty one."""
        return AsyncMemory()


def test_what_cannot_take_part_is_refused_by_name() -> None:
    """A dictionary, say."""
    with pytest.raises(ConfigurationError, match="cannot keep rows"):
        participant_of("bank", {}, namespace="shop")


async def test_a_branch_that_could_not_begin_runs_nothing(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The file was locked, and the user caught that: what follows would run in no transaction, and stay."""
    rig = AsyncParticipantRig.of(request, "sqlite", tmp_path)
    bank = await rig.participant()
    with rig.outside.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        branch = await rig.branch(bank, lock_timeout=0.1)
        with pytest.raises(DBAPIError, match="locked"):
            await rig.add(branch)
        other.exec_driver_sql("ROLLBACK")
    with pytest.raises(TransactionAborted):
        await rig.add(branch)
    await branch.close()
    assert rig.accounts == set()
    await rig.close()
