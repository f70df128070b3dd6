# Generated from test_participants_async.py by scripts/twins.py. Do not edit.
"""The contract of participants, on PostgreSQL, MariaDB and SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regionkit.errors import ConfigurationError
from regionkit.transactions.participants.factory import participant_of
from regionkit.transactions.protocol import Finish, Vote

from .participant_contract import ParticipantContract, PreparingContract
from .participant_rigs import ParticipantRig, within


@pytest.mark.postgresql
class TestPostgres(PreparingContract):
    """PostgreSQL."""

    @pytest.fixture
    def rig(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ParticipantRig]:
        """Its database."""
        made = ParticipantRig.of(request, "postgresql", tmp_path)
        yield made
        made.close()


@pytest.mark.mariadb
class TestMariadb(PreparingContract):
    """MariaDB without replicas."""

    @pytest.fixture
    def rig(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ParticipantRig]:
        """Its database."""
        made = ParticipantRig.of(request, "mariadb", tmp_path)
        yield made
        made.close()


class TestSqlite(ParticipantContract):
    """A file of SQLite."""

    @pytest.fixture
    def rig(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ParticipantRig]:
        """Its file."""
        made = ParticipantRig.of(request, "sqlite", tmp_path)
        yield made
        made.close()

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


def test_what_cannot_take_part_is_refused_by_name() -> None:
    """A dictionary, say."""
    with pytest.raises(ConfigurationError, match="cannot keep rows"):
        participant_of("bank", {}, namespace="shop")
