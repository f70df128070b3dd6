"""Servers die, freeze, lose answers, with MySQL as `b` and as the log: what of test_transactions_servers differs there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fix_servers import entered

from regionkit.errors import TransactionAborted, TransactionInDoubt
from regionkit.testing import servers
from regionkit.testing.crash import crash_points
from regionkit.testing.proxy import FaultProxy

sys.path.insert(0, str(Path(__file__).parent))
import test_transactions_servers as over_mariadb
from test_transactions_servers import AFTER_DECISION, BEFORE_DECISION, NUMBERS, World

NONE = type(None)
pytestmark = [pytest.mark.postgresql, pytest.mark.mysql]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ExitStack() as stack:
        a = entered(stack, servers.postgresql(settings={"fsync": "on"}))
        b, log = (entered(stack, servers.mysql(0, settings=("disable-log-bin",))) for _ in range(2))
        b.primary.sql(f"GRANT XA_RECOVER_ADMIN ON *.* TO app@'{b._app_host}'")
        sets = {"a": a, "b": b, "log": log}
        yield World(sets, {name: made.primary.url_for(made.database()) for name, made in sets.items()})


@pytest.fixture(autouse=True)
def _as_it_was(world: World) -> Iterator[None]:
    """All servers run, and nothing is prepared."""
    yield
    world.come_back()


@pytest.mark.parametrize(
    ("how", "name", "instant"),
    [
        ("kill", "b", BEFORE_DECISION),
        ("kill", "b", AFTER_DECISION),
        ("freeze", "b", AFTER_DECISION),
        ("kill", "log", BEFORE_DECISION),
        ("freeze", "log", BEFORE_DECISION),
    ],
)
def test_a_server_is_lost_between_the_phases(how: str, name: str, instant: str, world: World) -> None:
    """As with MariaDB."""
    over_mariadb.test_a_server_is_lost_between_the_phases(how, name, instant, world)


LOST = {
    "PREPARE of b": ("b", "tpc.prepare.last.before", "", (TransactionAborted,), {(0, 0)}),
    "decision": ("log", "tpc.decide.before", "", (TransactionInDoubt,), {(0, 0), (1, 1)}),
    "decision, asked again": (
        "log",
        "tpc.decide.before",
        "tpc.bar.before",
        (NONE, TransactionAborted),
        {(0, 0), (1, 1)},
    ),
    "COMMIT of b": ("b", "tpc.commit.last.before", "", (NONE,), {(1, 1)}),
    "COMMIT of b, asked again": ("b", "tpc.commit.last.before", "tpc.commit.last.after", (NONE,), {(1, 1)}),
}
"""Whose, where it begins and ends, what may be raised, what the data may say at last. The proxy cuts at the first of a message's
three answers: at times before the statement behind it was read."""


@pytest.mark.parametrize("what", LOST)
def test_an_answer_is_lost(what: str, world: World) -> None:
    """Whether it was done or never read: the reported outcome is true, and recovery leaves nothing."""
    name, begins, ends, raised, sides = LOST[what]
    number = next(NUMBERS)
    with FaultProxy(world.urls[name]) as proxy, world.bank(**{name: proxy.url}) as bank:
        bank.warm()
        points: dict[str, Any] = {begins: proxy.drop_replies} | ({ends: proxy.heal} if ends else {})
        with crash_points(points):
            error = bank.move(number, settle=over_mariadb.SETTLE + 3.0 if ends else over_mariadb.SETTLE)
        assert proxy.dropped > 0
        proxy.heal()
        assert isinstance(error, raised), error
        if name == "b":
            assert ("b" in bank.tx.pending) is not bool(ends)
        report = world.settled()
        assert (report.clean, report.hazards) == (True, ()), str(report)
        assert world.sides(number) in sides
        over_mariadb.truthful(error, bank, world.sides(number))
        assert world.left == []


@pytest.mark.parametrize(("instant", "told", "sides"), over_mariadb.FROZEN)
def test_recoverers_at_once_and_a_coordinator_that_was_frozen(
    instant: str, told: str, sides: tuple[int, int], world: World, tmp_path: Path
) -> None:
    """As with MariaDB: they end the session that holds the branch, and only the log decides."""
    over_mariadb.test_recoverers_at_once_and_a_coordinator_that_was_frozen(instant, told, sides, world, tmp_path)
