# Generated from test_units_async.py by scripts/twins.py. Do not edit.
"""Units and backings: what a pillar may rely on, the same on every backend, from a kit and from a plain engine or client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from fix_plain import plain_of
from fix_store_rigs import StoreRig
from notes_table import NEWER_NOTES_TABLE, NOTES_TABLE

from regionkit import (
    ConfigurationError,
    DeadlineExceeded,
    RegionKit,
    RegionUnavailable,
    UsageError,
)
from regionkit.contract.backing import Backing, backing_of
from regionkit.contract.message import Statement
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.facts.position import reaches
from regionkit.facts.record import Record

KEY = "a key of more than sixteen characters"


def within(seconds: float = 20.0) -> Deadline:
    """A deadline from now."""
    return Deadline(SYSTEM_CLOCK, seconds)


@pytest.fixture(params=["kit", "plain"])
def backing(request: pytest.FixtureRequest, store_rig: StoreRig) -> Iterator[Backing]:
    """The store of a kit in the owner's region, then one engine or client of the application's at the owner."""
    if request.param == "kit":
        names = [region.name for region in store_rig.topology().regions]
        local = "us-east-1" if "us-east-1" in names else names[0]
        with RegionKit(store_rig.topology(), local=local, bookmark_keys=[KEY]) as kit:
            kit.create_tables()
            made = backing_of(kit, store="orders")
            made.create_tables([NOTES_TABLE], within())
            yield made
        return
    with plain_of(store_rig) as given:
        made = backing_of(given, namespace="plain")
        made.create_tables([NOTES_TABLE], within())
        yield made
        made.close()


def put(rig: StoreRig, db: Any, key: str, value: str) -> Any:
    return rig.Actions.put(db, key, value)


def value(rig: StoreRig, backing: Backing, key: str) -> Any:
    with backing.read(deadline=within()) as unit:
        return rig.Actions.get(unit.native, key)


def test_a_unit_that_ends_well_is_a_yes_with_a_stamp(backing: Backing, store_rig: StoreRig) -> None:
    """The value is there, listeners hear it once and in order, and a read that covers the stamp shows it."""
    heard: list[str] = []
    with backing.write(deadline=within()) as unit:
        unit.on_outcome(lambda outcome: heard.append(f"first {outcome}"))
        unit.on_outcome(lambda outcome: heard.append(f"second {outcome}"))
        put(store_rig, unit.native, "1", "a")
        assert heard == []
    assert heard == ["first yes", "second yes"]
    assert unit.stamp is not None and unit.stamp.history
    assert unit.owner.region in ("us-east-1", "here", "ap-northeast-2", "eu-west-1")
    with backing.read(covers=unit.stamp, deadline=within()) as reading:
        assert store_rig.Actions.get(reading.native, "1") == "a"


def test_what_raises_is_told_and_rolled_back_where_it_can_be(backing: Backing, store_rig: StoreRig) -> None:
    """`atomic` says which: a transaction is a "no"; elsewhere what was written stays, and that is "unknown"."""
    heard: list[str] = []
    with contextlib.suppress(ZeroDivisionError):
        with backing.write(deadline=within()) as unit:
            unit.on_outcome(heard.append)
            put(store_rig, unit.native, "2", "b")
            raise ZeroDivisionError
    assert heard == (["no"] if unit.atomic else ["unknown"])
    assert value(store_rig, backing, "2") == (None if unit.atomic else "b")


def test_a_unit_that_raises_before_it_writes_is_a_no(backing: Backing) -> None:
    """Nothing was sent, so nothing is open."""
    heard: list[str] = []
    with contextlib.suppress(ZeroDivisionError):
        with backing.write(deadline=within()) as unit:
            unit.on_outcome(heard.append)
            raise ZeroDivisionError
    assert heard == ["no"]


def test_a_listener_that_raises_disturbs_nobody(
    backing: Backing, store_rig: StoreRig, caplog: pytest.LogCaptureFixture
) -> None:
    """The unit is done, the next listener hears it, the log has the error."""
    heard: list[str] = []

    def broken(outcome: str) -> None:
        raise ValueError("a listener's own fault")

    with backing.write(deadline=within()) as unit:
        unit.on_outcome(broken)
        unit.on_outcome(heard.append)
        put(store_rig, unit.native, "3", "c")
    assert heard == ["yes"] and "a listener's own fault" in caplog.text


def test_a_unit_that_nobody_asks_for_a_stamp_asks_the_server_for_none(
    backing: Backing, store_rig: StoreRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done all the same, and what became of it is told."""
    heard: list[str] = []
    unit: Any = backing.write(deadline=within(), stamped=False)
    unit.on_outcome(heard.append)
    with unit:
        monkeypatch.setattr(type(unit), "_stamp_of_write", None)
        put(store_rig, unit.native, "unasked", "value")
    assert heard == ["yes"]
    assert unit.stamp is None


def test_a_position_inside_is_at_most_the_stamp(backing: Backing, store_rig: StoreRig) -> None:
    """Lower and upper bound: a copy that has the stamp has the position; where nothing counts there is neither."""
    with backing.write(deadline=within()) as unit:
        put(store_rig, unit.native, "4", "d")
        lower = unit.position()
    with backing.write(deadline=within()) as later:
        put(store_rig, later.native, "4", "e")
    assert later.stamp is not None
    if isinstance(lower, int):
        assert isinstance(later.stamp.position, int) and lower <= later.stamp.position


def test_a_read_gives_a_stamp_when_it_is_asked(backing: Backing, store_rig: StoreRig) -> None:
    """It covers what was shown: another read that covers it shows no less."""
    with backing.write(deadline=within()) as unit:
        put(store_rig, unit.native, "5", "f")
    with backing.read(covers=unit.stamp, deadline=within()) as reading:
        shown = store_rig.Actions.get(reading.native, "5")
        stamp = reading.take_stamp()
        assert reading.stamp == stamp
    assert shown == "f" and stamp is not None
    with backing.read(covers=stamp, deadline=within()) as again:
        assert store_rig.Actions.get(again.native, "5") == "f"


def test_a_deadline_that_passed_is_an_error_and_a_no(backing: Backing, store_rig: StoreRig) -> None:
    """A unit that opens too late does nothing."""
    late = within(0.001)
    sleep(0.01)
    with pytest.raises((DeadlineExceeded, RegionUnavailable)):
        with backing.write(deadline=late) as unit:
            put(store_rig, unit.native, "6", "g")
    assert value(store_rig, backing, "6") is None


def test_a_unit_is_opened_once_and_used_inside(backing: Backing) -> None:
    """Before its `with`, and a second `with`: misuse, which says what to do."""
    unit = backing.write(deadline=within())
    with pytest.raises(UsageError, match="before it was opened"):
        unit.position()  # type: ignore[attr-defined]  # what it yields is itself
    with unit:
        with pytest.raises(UsageError, match="opened twice"):
            with unit:
                pass
    with pytest.raises(UsageError, match="opened twice"):
        with unit:
            pass


def test_tables_are_made_once_and_their_versions_kept(backing: Backing) -> None:
    """Again is nothing; another version is an error that names it."""
    backing.create_tables([NOTES_TABLE], within())
    with pytest.raises(ConfigurationError, match="version 1, and this regionkit needs 2"):
        backing.create_tables([NEWER_NOTES_TABLE], within())


def test_the_owner_is_told(backing: Backing) -> None:
    """Region, endpoint, history and epoch, as configured or by descent."""
    owner = backing.owner(deadline=within())
    assert owner.endpoint and owner.history and owner.epoch >= 0
    late = within(0.001)
    sleep(0.01)
    with pytest.raises(DeadlineExceeded):
        backing.owner(deadline=late)


def test_records_of_the_owner(backing: Backing) -> None:
    """Compare-and-set through the backing: absence, a version, a lost race, taking away."""
    records = backing.records()
    made = Record("testing", "k1", b"1")
    assert records.put(within(), made, expected=0) is made
    assert records.get(within(), "testing", "k1") == made
    assert records.put(within(), Record("testing", "k1", b"2"), expected=0) == made
    newer = Record("testing", "k1", b"2", 2)
    assert records.put(within(), newer, expected=1) is newer
    assert records.delete(within(), "testing", "k1", expected=1) == newer
    assert records.delete(within(), "testing", "k1", expected=2) is None
    assert records.get(within(), "testing", "k1") is None


def test_messages_are_for_sql(backing: Backing, store_rig: StoreRig) -> None:
    """On SQL several statements are one message in the unit's transaction; elsewhere they are refused by name."""
    with backing.write(deadline=within()) as unit:
        put(store_rig, unit.native, "7", "h")
        if store_rig.server not in ("sqlite", "postgresql", "mariadb", "mysql"):
            with pytest.raises(ConfigurationError, match="takes no SQL messages"):
                unit.message([Statement("SELECT 1")])
            return
        answers = unit.message([Statement("SELECT 1"), Statement("SELECT value FROM things WHERE name = '7'")])
    assert [[str(cell) for row in a.rows for cell in row] for a in answers] == [["1"], ["h"]]


def test_a_held_unit_is_ended_by_nobody_else(backing: Backing, store_rig: StoreRig) -> None:
    """On SQL a commit by whoever types with it raises with the reason; the unit's own end works."""
    with backing.write(deadline=within()) as unit:
        unit.hold("the inbox row stands in this transaction")
        put(store_rig, unit.native, "8", "i")
        if store_rig.server in ("sqlite", "postgresql", "mariadb", "mysql"):
            with pytest.raises(UsageError, match="the inbox row stands in this transaction"):
                unit.native.commit()
    if store_rig.server not in ("sqlite", "postgresql", "mariadb", "mysql"):
        assert value(store_rig, backing, "8") == "i"


def test_what_can_keep_rows_is_named() -> None:
    """A class, a text, a kit without a store, a bad namespace."""
    for given in ("postgresql://x", object(), RegionKit):
        with pytest.raises(ConfigurationError, match="hand in"):
            backing_of(given)
    with pytest.raises(ConfigurationError, match="namespace"):
        backing_of(object(), namespace="Too Long And With Blanks")


def test_positions_compare() -> None:
    """The suite's own yardstick."""
    assert reaches(5, 5) and not reaches(4, 5)
