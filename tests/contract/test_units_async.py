"""Units and backings: what a pillar may rely on, the same on every backend, from a kit and from a plain engine or client."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fix_plain import async_plain_of
from fix_store_rigs import StoreRig
from notes_table import NEWER_NOTES_TABLE, NOTES_TABLE

from regionkit import (
    AsyncRegionKit,
    ConfigurationError,
    DeadlineExceeded,
    RegionUnavailable,
    UsageError,
)
from regionkit.contract.backing_async import AsyncBacking, async_backing_of
from regionkit.contract.message import Statement
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.facts.position import reaches
from regionkit.facts.record import Record

KEY = "a key of more than sixteen characters"


def within(seconds: float = 20.0) -> Deadline:
    """A deadline from now."""
    return Deadline(SYSTEM_CLOCK, seconds)


@pytest.fixture(params=["kit", "plain"])
async def backing(request: pytest.FixtureRequest, store_rig: StoreRig) -> AsyncIterator[AsyncBacking]:
    """The store of a kit in the owner's region, then one engine or client of the application's at the owner."""
    if request.param == "kit":
        names = [region.name for region in store_rig.topology().regions]
        local = "us-east-1" if "us-east-1" in names else names[0]
        async with AsyncRegionKit(store_rig.topology(), local=local, bookmark_keys=[KEY]) as kit:
            await kit.create_tables()
            made = async_backing_of(kit, store="orders")
            await made.create_tables([NOTES_TABLE], within())
            yield made
        return
    async with async_plain_of(store_rig) as given:
        made = async_backing_of(given, namespace="plain")
        await made.create_tables([NOTES_TABLE], within())
        yield made
        await made.close()


def put(rig: StoreRig, db: Any, key: str, value: str) -> Any:
    return rig.AsyncActions.put(db, key, value)


async def value(rig: StoreRig, backing: AsyncBacking, key: str) -> Any:
    async with backing.read(deadline=within()) as unit:
        return await rig.AsyncActions.get(unit.native, key)


async def test_a_unit_that_ends_well_is_a_yes_with_a_stamp(backing: AsyncBacking, store_rig: StoreRig) -> None:
    """The value is there, listeners hear it once and in order, and a read that covers the stamp shows it."""
    heard: list[str] = []
    async with backing.write(deadline=within()) as unit:
        unit.on_outcome(lambda outcome: heard.append(f"first {outcome}"))
        unit.on_outcome(lambda outcome: heard.append(f"second {outcome}"))
        await put(store_rig, unit.native, "1", "a")
        assert heard == []
    assert heard == ["first yes", "second yes"]
    assert unit.stamp is not None and unit.stamp.history
    assert unit.owner.region in ("us-east-1", "here", "ap-northeast-2", "eu-west-1")
    async with backing.read(covers=unit.stamp, deadline=within()) as reading:
        assert await store_rig.AsyncActions.get(reading.native, "1") == "a"


async def test_what_raises_is_told_and_rolled_back_where_it_can_be(backing: AsyncBacking, store_rig: StoreRig) -> None:
    """`atomic` says which: a transaction is a "no"; elsewhere what was written stays, and that is "unknown"."""
    heard: list[str] = []
    with contextlib.suppress(ZeroDivisionError):
        async with backing.write(deadline=within()) as unit:
            unit.on_outcome(heard.append)
            await put(store_rig, unit.native, "2", "b")
            raise ZeroDivisionError
    assert heard == (["no"] if unit.atomic else ["unknown"])
    assert await value(store_rig, backing, "2") == (None if unit.atomic else "b")


async def test_a_unit_that_raises_before_it_writes_is_a_no(backing: AsyncBacking) -> None:
    """Nothing was sent, so nothing is open."""
    heard: list[str] = []
    with contextlib.suppress(ZeroDivisionError):
        async with backing.write(deadline=within()) as unit:
            unit.on_outcome(heard.append)
            raise ZeroDivisionError
    assert heard == ["no"]


async def test_a_listener_that_raises_disturbs_nobody(
    backing: AsyncBacking, store_rig: StoreRig, caplog: pytest.LogCaptureFixture
) -> None:
    """The unit is done, the next listener hears it, the log has the error."""
    heard: list[str] = []

    def broken(outcome: str) -> None:
        raise ValueError("a listener's own fault")

    async with backing.write(deadline=within()) as unit:
        unit.on_outcome(broken)
        unit.on_outcome(heard.append)
        await put(store_rig, unit.native, "3", "c")
    assert heard == ["yes"] and "a listener's own fault" in caplog.text


async def test_a_unit_that_nobody_asks_for_a_stamp_asks_the_server_for_none(
    backing: AsyncBacking, store_rig: StoreRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done all the same, and what became of it is told."""
    heard: list[str] = []
    unit: Any = backing.write(deadline=within(), stamped=False)
    unit.on_outcome(heard.append)
    async with unit:
        monkeypatch.setattr(type(unit), "_stamp_of_write", None)
        await put(store_rig, unit.native, "unasked", "value")
    assert heard == ["yes"]
    assert unit.stamp is None


async def test_a_position_inside_is_at_most_the_stamp(backing: AsyncBacking, store_rig: StoreRig) -> None:
    """Lower and upper bound: a copy that has the stamp has the position; where nothing counts there is neither."""
    async with backing.write(deadline=within()) as unit:
        await put(store_rig, unit.native, "4", "d")
        lower = await unit.position()
    async with backing.write(deadline=within()) as later:
        await put(store_rig, later.native, "4", "e")
    assert later.stamp is not None
    if isinstance(lower, int):
        assert isinstance(later.stamp.position, int) and lower <= later.stamp.position


async def test_a_read_gives_a_stamp_when_it_is_asked(backing: AsyncBacking, store_rig: StoreRig) -> None:
    """It covers what was shown: another read that covers it shows no less."""
    async with backing.write(deadline=within()) as unit:
        await put(store_rig, unit.native, "5", "f")
    async with backing.read(covers=unit.stamp, deadline=within()) as reading:
        shown = await store_rig.AsyncActions.get(reading.native, "5")
        stamp = await reading.take_stamp()
        assert reading.stamp == stamp
    assert shown == "f" and stamp is not None
    async with backing.read(covers=stamp, deadline=within()) as again:
        assert await store_rig.AsyncActions.get(again.native, "5") == "f"


async def test_a_deadline_that_passed_is_an_error_and_a_no(backing: AsyncBacking, store_rig: StoreRig) -> None:
    """A unit that opens too late does nothing."""
    late = within(0.001)
    await asleep(0.01)
    with pytest.raises((DeadlineExceeded, RegionUnavailable)):
        async with backing.write(deadline=late) as unit:
            await put(store_rig, unit.native, "6", "g")
    assert await value(store_rig, backing, "6") is None


async def test_a_unit_is_opened_once_and_used_inside(backing: AsyncBacking) -> None:
    """Before its `with`, and a second `with`: misuse, which says what to do."""
    unit = backing.write(deadline=within())
    with pytest.raises(UsageError, match="before it was opened"):
        await unit.position()  # type: ignore[attr-defined]  # what it yields is itself
    async with unit:
        with pytest.raises(UsageError, match="opened twice"):
            async with unit:
                pass
    with pytest.raises(UsageError, match="opened twice"):
        async with unit:
            pass


async def test_tables_are_made_once_and_their_versions_kept(backing: AsyncBacking) -> None:
    """Again is nothing; another version is an error that names it."""
    await backing.create_tables([NOTES_TABLE], within())
    with pytest.raises(ConfigurationError, match="version 1, and this regionkit needs 2"):
        await backing.create_tables([NEWER_NOTES_TABLE], within())


async def test_the_owner_is_told(backing: AsyncBacking) -> None:
    """Region, endpoint, history and epoch, as configured or by descent."""
    owner = await backing.owner(deadline=within())
    assert owner.endpoint and owner.history and owner.epoch >= 0
    late = within(0.001)
    await asleep(0.01)
    with pytest.raises(DeadlineExceeded):
        await backing.owner(deadline=late)


async def test_records_of_the_owner(backing: AsyncBacking) -> None:
    """Compare-and-set through the backing: absence, a version, a lost race, taking away."""
    records = backing.records()
    made = Record("testing", "k1", b"1")
    assert await records.put(within(), made, expected=0) is made
    assert await records.get(within(), "testing", "k1") == made
    assert await records.put(within(), Record("testing", "k1", b"2"), expected=0) == made
    newer = Record("testing", "k1", b"2", 2)
    assert await records.put(within(), newer, expected=1) is newer
    assert await records.delete(within(), "testing", "k1", expected=1) == newer
    assert await records.delete(within(), "testing", "k1", expected=2) is None
    assert await records.get(within(), "testing", "k1") is None


async def test_messages_are_for_sql(backing: AsyncBacking, store_rig: StoreRig) -> None:
    """On SQL several statements are one message in the unit's transaction; elsewhere they are refused by name."""
    async with backing.write(deadline=within()) as unit:
        await put(store_rig, unit.native, "7", "h")
        if store_rig.server not in ("sqlite", "postgresql", "mariadb", "mysql"):
            with pytest.raises(ConfigurationError, match="takes no SQL messages"):
                await unit.message([Statement("SELECT 1")])
            return
        answers = await unit.message([Statement("SELECT 1"), Statement("SELECT value FROM things WHERE name = '7'")])
    assert [[str(cell) for row in a.rows for cell in row] for a in answers] == [["1"], ["h"]]


async def test_a_held_unit_is_ended_by_nobody_else(backing: AsyncBacking, store_rig: StoreRig) -> None:
    """On SQL a commit by whoever types with it raises with the reason; the unit's own end works."""
    async with backing.write(deadline=within()) as unit:
        unit.hold("the inbox row stands in this transaction")
        await put(store_rig, unit.native, "8", "i")
        if store_rig.server in ("sqlite", "postgresql", "mariadb", "mysql"):
            with pytest.raises(UsageError, match="the inbox row stands in this transaction"):
                await unit.native.commit()
    if store_rig.server not in ("sqlite", "postgresql", "mariadb", "mysql"):
        assert await value(store_rig, backing, "8") == "i"


def test_what_can_keep_rows_is_named() -> None:
    """A class, a text, a kit without a store, a bad namespace."""
    for given in ("postgresql://x", object(), AsyncRegionKit):
        with pytest.raises(ConfigurationError, match="hand in"):
            async_backing_of(given)
    with pytest.raises(ConfigurationError, match="namespace"):
        async_backing_of(object(), namespace="Too Long And With Blanks")


def test_positions_compare() -> None:
    """The suite's own yardstick."""
    assert reaches(5, 5) and not reaches(4, 5)
