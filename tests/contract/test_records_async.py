"""What records promise on every backend that keeps them: compare-and-set, ends, bytes, and the truth when a reply is lost."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from fix_records import HOME, RecordRig
from fix_rig_cassandra import CassandraStoreRig

from regionkit import AsyncRegionKit, ConfigurationError, DeadlineExceeded, OutcomeUnknown, RegionUnavailable
from regionkit.contract.records_async import AsyncRecords
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import agather, asleep
from regionkit.core.deadline import Deadline
from regionkit.facts.record import LARGEST_RECORD, Record

KIND = "placement"
FIRST = Record(KIND, "c9", b"us-east-1")
ENDS_AFTER = 0.8
RACES = 50
KEYS = ("", "a", "a ", " a", "A", "\u00e1", "a\u0301", "\u00df", "ss", "a\t", "\U0001f375")


def soon(seconds: float = 10.0) -> Deadline:
    """A deadline."""
    return Deadline(SYSTEM_CLOCK, seconds)


def records_of(kit: AsyncRegionKit) -> AsyncRecords:
    """The records of the kit's only endpoint."""
    backend: Any = kit._store("orders").shards[0].backend(0)
    found: AsyncRecords = backend.records
    return found


@pytest.fixture
async def kit(record_rig: RecordRig) -> AsyncIterator[AsyncRegionKit]:
    """A kit, its tables made."""
    async with AsyncRegionKit(record_rig.topology(), local=HOME) as kit:
        await kit.create_tables()
        yield kit


@pytest.fixture
def records(kit: AsyncRegionKit) -> AsyncRecords:
    """Its records."""
    return records_of(kit)


async def test_a_record_is_put_where_there_is_none(records: AsyncRecords) -> None:
    """On absence it stands from then on; a second one is told what stands."""
    assert await records.get(soon(), KIND, "c9") is None
    assert await records.put(soon(), FIRST, expected=0) is FIRST
    assert await records.get(soon(), KIND, "c9") == FIRST
    assert await records.put(soon(), Record(KIND, "c9", b"eu-west-1"), expected=0) == FIRST
    assert await records.get(soon(), KIND, "c9") == FIRST


async def test_an_equal_record_of_another_is_not_taken_for_ours(records: AsyncRecords) -> None:
    """What is put twice is put once: the second one learns it from a record that is not the object it gave."""
    twin = Record(KIND, "c9", b"us-east-1")
    assert await records.put(soon(), FIRST, expected=0) is FIRST
    stands = await records.put(soon(), twin, expected=0)
    assert stands == twin
    assert stands is not twin


async def test_a_record_is_put_on_its_version(records: AsyncRecords) -> None:
    """On another version nothing changes and what stands is told; where none stands, None."""
    second = Record(KIND, "c9", b"eu-west-1", 2)
    assert await records.put(soon(), second, expected=1) is None
    assert await records.get(soon(), KIND, "c9") is None
    await records.put(soon(), FIRST, expected=0)
    assert await records.put(soon(), second, expected=1) is second
    assert await records.put(soon(), Record(KIND, "c9", b"lost", 2), expected=1) == second
    assert await records.put(soon(), Record(KIND, "c9", b"far", 9), expected=8) == second
    assert await records.get(soon(), KIND, "c9") == second


async def test_a_record_is_taken_away_on_its_version(records: AsyncRecords) -> None:
    """On another version it stays and is told; afterwards the key is free."""
    await records.put(soon(), FIRST, expected=0)
    assert await records.delete(soon(), KIND, "c9", expected=2) == FIRST
    assert await records.delete(soon(), KIND, "c9", expected=1) is None
    assert await records.delete(soon(), KIND, "c9", expected=1) is None
    assert await records.get(soon(), KIND, "c9") is None
    assert await records.put(soon(), FIRST, expected=0) is FIRST


async def test_a_record_that_ended_is_not_there(records: AsyncRecords) -> None:
    """Not for a read, not for a compare-and-set on its version; on absence another takes its place."""
    held = Record(KIND, "c9", b"held", 3)
    assert await records.put(soon(), FIRST, expected=0, lasts=ENDS_AFTER) is FIRST
    assert await records.put(soon(), held, expected=1, lasts=ENDS_AFTER) is held
    assert await records.get(soon(), KIND, "c9") == held
    assert await records.put(soon(), FIRST, expected=0) == held
    await asleep(ENDS_AFTER + 0.1)
    assert await records.get(soon(), KIND, "c9") is None
    assert await records.put(soon(), Record(KIND, "c9", b"late", 4), expected=3) is None
    assert await records.delete(soon(), KIND, "c9", expected=3) is None
    assert await records.put(soon(), FIRST, expected=0) is FIRST
    assert await records.get(soon(), KIND, "c9") == FIRST


async def test_a_change_gives_a_record_a_new_end(records: AsyncRecords) -> None:
    """With `lasts` it lives on from now; without, it stays."""
    kept, longer = Record(KIND, "kept", b"", 2), Record(KIND, "c9", b"", 2)
    await records.put(soon(), FIRST, expected=0, lasts=ENDS_AFTER)
    await records.put(soon(), Record(KIND, "kept", b""), expected=0, lasts=ENDS_AFTER)
    assert await records.put(soon(), longer, expected=1, lasts=60.0) is longer
    assert await records.put(soon(), kept, expected=1) is kept
    await asleep(ENDS_AFTER + 0.1)
    assert await records.get(soon(), KIND, "c9") == longer
    assert await records.get(soon(), KIND, "kept") == kept


async def test_of_two_at_once_one_wins_each_version(records: AsyncRecords) -> None:
    """The other is told what the winner put."""

    async def put(value: bytes, version: int) -> Record | None:
        return await records.put(soon(), Record(KIND, "c9", value, version + 1), expected=version)

    for version in range(RACES):
        told = await agather([partial(put, b"one", version), partial(put, b"two", version)])
        stands = await records.get(soon(), KIND, "c9")
        assert stands is not None
        assert stands.version == version + 1
        assert told == [stands, stands]


async def test_of_many_at_once_one_takes_over_what_ended(records: AsyncRecords) -> None:
    """Equal in all but the object: exactly one is given back its own."""

    async def put(mine: Record) -> bool:
        return await records.put(soon(), mine, expected=0) is mine

    for number in range(10):
        key = str(number)
        await records.put(soon(), Record(KIND, key, b"ended", 7), expected=0, lasts=0.001)
        await asleep(0.01)
        won = await agather([partial(put, Record(KIND, key, b"next")) for _ in range(4)])
        assert sorted(won, key=str) == [False, False, False, True]


async def test_a_change_within_a_unit_is_part_of_its_transaction(kit: AsyncRegionKit, record_rig: RecordRig) -> None:
    """It stands when the unit commits, and is gone when the unit raises; the unit sees it before."""
    if not record_rig.atomic:
        pytest.skip("a unit is no transaction here")
    records = records_of(kit)
    async with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            async with s.write("orders") as db:
                assert await records.put(soon(), FIRST, expected=0, within=db) is FIRST
                raise ZeroDivisionError
        assert await records.get(soon(), KIND, "c9") is None
        async with s.write("orders") as db:
            assert await records.put(soon(), FIRST, expected=0, within=db) is FIRST
            again = Record(KIND, "c9", b"again")
            assert await records.put(soon(), again, expected=0, within=db) == FIRST
        assert await records.get(soon(), KIND, "c9") == FIRST


async def test_a_unit_that_commits_by_statement_is_refused(kit: AsyncRegionKit, record_rig: RecordRig) -> None:
    """A read block's connection is in no transaction, and what is no connection is none."""
    if not record_rig.atomic:
        pytest.skip("a unit is no transaction here")
    records = records_of(kit)
    with pytest.raises(ConfigurationError):
        await records.put(soon(), FIRST, expected=0, within=object())
    async with kit.session() as s, s.read("orders") as db:
        with pytest.raises(ConfigurationError, match="not a transaction"):
            await records.put(soon(), FIRST, expected=0, within=db)


async def test_a_lost_reply_is_an_unknown_outcome(records: AsyncRecords, record_rig: RecordRig) -> None:
    """Never an answer: a second look tells what stands."""
    if record_rig.clear:
        pytest.skip("no reply can be lost here")
    with record_rig.commit_unanswered(), pytest.raises(OutcomeUnknown):
        await records.put(soon(1.5), FIRST, expected=0)
    assert await records.get(soon(), KIND, "c9") == FIRST
    with record_rig.commit_unanswered(), pytest.raises(OutcomeUnknown):
        await records.delete(soon(1.5), KIND, "c9", expected=1)
    assert await records.get(soon(), KIND, "c9") is None


async def test_a_silent_server_costs_no_more_than_the_deadline(records: AsyncRecords, record_rig: RecordRig) -> None:
    """Nothing was done, and the error says so."""
    await records.put(soon(), FIRST, expected=0)
    with record_rig.silent():
        for call in (
            partial(records.put, soon(0.6), Record(KIND, "c9", b"", 2), expected=1),
            partial(records.delete, soon(1.2), KIND, "c9", expected=1),
            partial(records.put, soon(1.8), Record(KIND, "c8", b""), expected=0),
        ):
            started = time.monotonic()
            with pytest.raises((DeadlineExceeded, RegionUnavailable)) as caught:
                await call()
            assert time.monotonic() - started < 2.5
            assert caught.value.committed == "no"
    await asleep(0.1)
    assert await records.get(soon(), KIND, "c9") == FIRST
    assert await records.get(soon(), KIND, "c8") is None


async def test_kinds_and_keys_compare_byte_for_byte(records: AsyncRecords) -> None:
    """Blanks at the end, case, accents and normal forms count, on every server."""
    assert unicodedata.normalize("NFC", KEYS[6]) == KEYS[5]
    wanted = [
        Record(*pair, str(number).encode())
        for key in KEYS
        for number, pair in enumerate([(KIND, key), (key or "none", KIND)])
    ]
    for record in wanted:
        assert await records.put(soon(), record, expected=0) is record
    for record in wanted:
        assert await records.get(soon(), record.kind, record.key) == record


async def test_any_bytes_up_to_the_largest_come_back(records: AsyncRecords) -> None:
    """Also none at all, under the longest kind and key there are."""
    for number, value in enumerate((b"", bytes(range(256)), b"\xff" * LARGEST_RECORD)):
        record = Record("\U0001f375" * 120, "\U0001f375" * 510 + f"{number:2}", value)
        assert await records.put(soon(), record, expected=0) is record
        assert await records.get(soon(), record.kind, record.key) == record


@pytest.mark.parametrize(
    "record",
    [
        Record(KIND, "c9", b"x" * (LARGEST_RECORD + 1)),
        Record("k" * 121, "c9", b""),
        Record(KIND, "c" * 513, b""),
        Record(KIND, "\ud800", b""),
        Record("\udfff", "c9", b""),
        Record(KIND, "a\0b", b""),
        Record(KIND, "c9", b"", 0),
    ],
    ids=["value", "kind", "key", "surrogate key", "surrogate kind", "NUL", "version"],
)
async def test_what_can_not_be_kept_is_refused_before_it_is_sent(record_rig: RecordRig, record: Record) -> None:
    """With ConfigurationError, whatever the server would say."""
    async with AsyncRegionKit(record_rig.topology(), local=HOME) as kit:
        with pytest.raises(ConfigurationError) as caught:
            await records_of(kit).put(soon(), record, expected=0)
    assert "create_tables" not in str(caught.value)


async def test_a_store_without_tables_says_what_to_call(record_rig: RecordRig) -> None:
    """A table that is missing is a ConfigurationError that names create_tables."""
    if record_rig.server == "memory":
        pytest.skip("memory has no tables")
    rig = record_rig.bare() if isinstance(record_rig, CassandraStoreRig) else record_rig
    async with AsyncRegionKit(rig.topology(), local=HOME) as kit:
        records = records_of(kit)
        with pytest.raises(ConfigurationError, match="create_tables"):
            await records.get(soon(), KIND, "c9")
        with pytest.raises(ConfigurationError, match="create_tables"):
            await records.put(soon(), FIRST, expected=0)
        with pytest.raises(ConfigurationError, match="create_tables"):
            await records.delete(soon(), KIND, "c9", expected=1)
