# Generated from test_unit_ends_async.py by scripts/twins.py. Do not edit.
"""A unit's transaction may be ended inside the unit, in any way: the outcome is true, and under `hold` the unit raises.

The outcome is "yes" only if the row is there, and "no" only if it is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fix_rigs import Rig
from sqlalchemy import text

from regionkit import RegionKit, RegionKitError
from regionkit.backends.sql.bridge import drive
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline

ROW = text("INSERT INTO orders (id, item) VALUES (71, 'tea')")
OTHER = text("INSERT INTO orders (id, item) VALUES (72, 'tea')")
TEXTS = {
    "postgresql": (
        "ROLLBACK",
        "COMMIT",
        "ROLLBACK AND CHAIN",
        "COMMIT AND CHAIN",
        "/* x */ ROLLBACK",
        "ROLLBACK; BEGIN",
    ),
    "mariadb": (
        "ROLLBACK",
        "COMMIT",
        "ROLLBACK AND CHAIN",
        "COMMIT AND CHAIN",
        "/* x */ ROLLBACK",
        "# x\nCOMMIT AND CHAIN",
    ),
    "sqlite": ("ROLLBACK", "COMMIT", "/* x */ ROLLBACK", "-- x\nEND"),
}
TEXTS["mysql"] = TEXTS["mariadb"]
SERVERS = tuple(TEXTS)
ENDS = [(server, f"text {end}") for server, all_ in TEXTS.items() for end in all_]
ENDS += [(server, end) for server in SERVERS for end in ("session.rollback", "session.commit")]
ENDS += [(server, end) for server in SERVERS for end in ("driver.rollback", "driver.commit")]

CASES = [  # each pair of values once
    (False, False, False),
    (False, True, True),
    (True, False, True),
    (True, True, False),
]


@pytest.fixture
def kit(request: pytest.FixtureRequest) -> Iterator[RegionKit]:
    """On the server of the test."""
    rig: Rig = request.getfixturevalue(f"{request.node.callspec.params['server']}_rig")
    with RegionKit(rig.topology(), local="us-east-1") as kit:
        kit.create_tables()
        yield kit


def end_on_driver(session: Any, name: str) -> None:
    """By the driver's own method."""
    getattr(session.connection().connection, name)()


def carry_out(u: Any, end: str) -> None:
    """End the transaction of a unit."""
    how, _, what = end.partition(" ")
    if how == "text":
        u.native.execute(text(what))
    elif how.startswith("session"):
        getattr(u.native, how.removeprefix("session."))()
    else:
        drive(end_on_driver, getattr(u.native, "sync_session", u.native), how.removeprefix("driver."))


@pytest.mark.parametrize(("held", "raises", "goes_on"), CASES)
@pytest.mark.parametrize(("server", "end"), ENDS)
def test_what_is_told_is_true(
    kit: RegionKit, server: str, end: str, held: bool, raises: bool, goes_on: bool, request: pytest.FixtureRequest
) -> None:
    """With and without more work behind it, and with an error of the application's at last."""
    rig: Rig = request.getfixturevalue(f"{server}_rig")
    heard: list[str] = []
    failed: BaseException | None = None
    try:
        with kit.backing("orders").write(deadline=Deadline(SYSTEM_CLOCK, 20)) as u:
            u.on_outcome(heard.append)
            if held:
                u.hold("a marker stands in it.")
            u.native.execute(ROW)
            carry_out(u, end)
            if goes_on:
                u.native.execute(OTHER)
            if raises:
                raise ZeroDivisionError
    except (RegionKitError, ZeroDivisionError) as error:
        failed = error
    there = rig.count("id = 71") == 1
    assert len(heard) == 1
    assert not (heard == ["no"] and there), f"it is there: {failed!r}"
    if heard == ["yes"] and not there:
        assert goes_on and not held, f"it is not there: {failed!r}"  # the rest of the unit is, as its user ordered
        assert rig.count("id = 72") == 1
    if held or raises:
        assert failed is not None
    if held and not raises:
        assert isinstance(failed, RegionKitError)
