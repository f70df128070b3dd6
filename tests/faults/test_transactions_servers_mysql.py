"""Servers die, freeze, lose answers, with MySQL as `b` and as the log: what of test_transactions_servers differs there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fix_servers import entered

from regionkit.errors import TransactionInDoubt
from regionkit.testing import servers
from regionkit.testing.crash import crash_points
from regionkit.testing.proxy import FaultProxy

sys.path.insert(0, str(Path(__file__).parent))
import test_transactions_servers as over_mariadb
from test_transactions_servers import AFTER_DECISION, BEFORE_DECISION, NUMBERS, World

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
    for node in world.nodes.values():
        node.thaw()
        if not node.alive:
            node.start()
    assert world.settled().clean
    assert world.left == []


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


@pytest.mark.parametrize("what", ["PREPARE of b", "decision, asked again", "COMMIT of b", "COMMIT of b, asked again"])
def test_an_answer_is_lost(what: str, world: World) -> None:
    """As with MariaDB."""
    over_mariadb.test_an_answer_is_lost(what, world)


def test_the_decisions_answer_is_lost(world: World) -> None:
    """It may have been cut off before it was read, or not: both sides have it or none, and the application was told "unknown"."""
    number = next(NUMBERS)
    with FaultProxy(world.urls["log"]) as proxy, world.bank(log=proxy.url) as bank:
        bank.warm()
        with crash_points({"tpc.decide.before": proxy.drop_replies}):
            error = bank.move(number)
        assert proxy.dropped > 0
        proxy.heal()
        assert isinstance(error, TransactionInDoubt)
        report = world.settled()
        assert (report.clean, report.hazards) == (True, ()), str(report)
        over_mariadb.truthful(error, bank, world.sides(number))
        assert world.left == []
