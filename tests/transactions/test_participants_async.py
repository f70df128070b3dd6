"""The contract of participants, on PostgreSQL, MariaDB and SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from regionkit.errors import ConfigurationError
from regionkit.transactions.participants.factory_async import participant_of
from regionkit.transactions.protocol import Finish, Vote

from .participant_contract_async import AsyncParticipantContract, AsyncPreparingContract
from .participant_rigs_async import AsyncParticipantRig, within


@pytest.mark.postgresql
class TestPostgres(AsyncPreparingContract):
    """PostgreSQL."""

    @pytest.fixture
    async def rig(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncParticipantRig]:
        """Its database."""
        made = AsyncParticipantRig.of(request, "postgresql", tmp_path)
        yield made
        await made.close()


@pytest.mark.mariadb
class TestMariadb(AsyncPreparingContract):
    """MariaDB without replicas."""

    @pytest.fixture
    async def rig(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncParticipantRig]:
        """Its database."""
        made = AsyncParticipantRig.of(request, "mariadb", tmp_path)
        yield made
        await made.close()


class TestSqlite(AsyncParticipantContract):
    """A file of SQLite."""

    @pytest.fixture
    async def rig(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncParticipantRig]:
        """Its file."""
        made = AsyncParticipantRig.of(request, "sqlite", tmp_path)
        yield made
        await made.close()

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


def test_what_cannot_take_part_is_refused_by_name() -> None:
    """A dictionary, say."""
    with pytest.raises(ConfigurationError, match="cannot keep rows"):
        participant_of("bank", {}, namespace="shop")
