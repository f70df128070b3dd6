# Generated from test_sink_sql_async.py by scripts/twins.py. Do not edit.
"""Rows of a write-back cache in PostgreSQL, MariaDB and SQLite: the guard, deletes, epochs, what is refused and what waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.postgresql import JSONB

from regionkit.caching.back.refusals import SinkDown, SinkRefused
from regionkit.caching.back.rules import Change, version_of
from regionkit.errors import ConfigurationError

from .sql_places import (
    APPLIED,
    CACHE,
    CONFLICT,
    SERVERS,
    SUPERSEDED,
    Place,
    User,
    gone,
    put,
    users,
    version_column,
)


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """On each SQL server."""
    with Place(request.param, request, tmp_path) as found:
        yield found


@pytest.fixture(params=["mariadb"])
def maria(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """On MariaDB."""
    with Place(request.param, request, tmp_path) as found:
        yield found


@pytest.fixture(params=["postgresql"])
def postgres(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """On PostgreSQL."""
    with Place(request.param, request, tmp_path) as found:
        yield found


def test_rows_are_made_and_written_again(place: Place) -> None:
    """In one batch, and in the order of the batch's answers."""
    sink = place.sink()
    assert sink.flush(CACHE, 1, [put("b", 1), put("a", 2), put("ü'\"\\%:x", 3)]) == [APPLIED] * 3
    assert sink.flush(CACHE, 1, [put("c", 4), put("b", 5)]) == [APPLIED] * 2
    assert place.rows() == [("a", "v2", 2), ("b", "v5", 5), ("c", "v4", 4), ("ü'\"\\%:x", "v3", 3)]
    assert sink.flush(CACHE, 1, []) == []


def test_a_zombies_flush_after_a_later_one_changes_nothing(place: Place) -> None:
    """It was superseded. The same batch again is APPLIED."""
    sink = place.sink()
    sink.flush(CACHE, 1, [put("a", 5), put("b", 6)])
    assert sink.flush(CACHE, 1, [put("a", 1), put("c", 2), put("b", 3)]) == [SUPERSEDED, APPLIED, SUPERSEDED]
    assert place.rows() == [("a", "v5", 5), ("b", "v6", 6), ("c", "v2", 2)]
    assert sink.flush(CACHE, 1, [put("a", 5), put("b", 6)]) == [APPLIED] * 2
    assert place.rows() == [("a", "v5", 5), ("b", "v6", 6), ("c", "v2", 2)]


def test_a_deleted_row_is_not_brought_back_by_an_older_put(place: Place) -> None:
    """Its mark outlives it, until marks are forgotten."""
    sink = place.sink()
    sink.flush(CACHE, 1, [put("a", 1), put("b", 2)])
    assert sink.flush(CACHE, 1, [gone("a", 4), gone("never", 5)]) == [APPLIED] * 2
    assert sink.flush(CACHE, 1, [put("a", 3), put("never", 3), put("b", 6)]) == [SUPERSEDED, SUPERSEDED, APPLIED]
    assert place.rows() == [("b", "v6", 6)]
    assert sink.flush(CACHE, 1, [put("a", 7)]) == [APPLIED]
    assert place.rows() == [("a", "v7", 7), ("b", "v6", 6)]
    assert sink.forget_marks(CACHE, version_of(1, 5)) == 1
    assert sink.forget_marks("others", version_of(2, 0)) == 0
    sink.flush(CACHE, 1, [put("never", 3)])
    assert len(place.rows()) == 2
    assert sink.forget_marks(CACHE, version_of(1, 6)) == 1
    sink.flush(CACHE, 1, [put("never", 3)])
    assert len(place.rows()) == 3


def test_a_delete_of_another_process_is_found_by_one_that_knows_of_none(place: Place) -> None:
    """Each flush asks whether there is any mark, and then for those of its keys."""
    ours = place.sink()
    others = place.another(users(place.meta_again()))
    assert ours.flush(CACHE, 1, [put("b", 1)]) == [APPLIED]
    assert others.flush(CACHE, 1, [gone(key, 4) for key in "acd"]) == [APPLIED] * 3
    assert ours.flush(CACHE, 1, [put(key, 3) for key in "acd"]) == [SUPERSEDED] * 3
    assert ours.flush(CACHE, 1, [put("c", 2), put("b", 5)]) == [SUPERSEDED, APPLIED], "and goes on to ask"
    assert place.rows() == [("b", "v5", 5)]


def test_deletes_of_rows_that_are_older_newer_and_not_there(place: Place) -> None:
    """In one batch: what is older goes, what is newer stays, and what never was is done."""
    sink, newer_b = place.sink(), [APPLIED, SUPERSEDED, APPLIED, APPLIED]
    sink.flush(CACHE, 1, [put("a", 1), put("b", 9), put("c", 2)])
    assert sink.flush(CACHE, 1, [gone(key, 5) for key in "abcd"]) == newer_b
    assert place.rows() == [("b", "v9", 9)]
    assert sink.flush(CACHE, 1, [gone(key, 6) for key in "abcd"]) == newer_b
    assert place.rows() == [("b", "v9", 9)]
    place.do(f"UPDATE users SET rk_ver = {version_of(70, 0)} WHERE id = 'b'")
    assert sink.flush(CACHE, 1, [gone("a", 7), gone("b", 10)]) == [APPLIED, CONFLICT]


@pytest.mark.parametrize("delete", ["row", "gone"])
def test_the_latest_counts_in_any_order(place: Place, delete: str) -> None:
    """Put, delete, put; and delete, put, delete."""
    more = [] if delete == "row" else [Column("gone", Boolean, nullable=False, server_default=text("false"))]
    sink = place.sink(users(place.meta, *more), delete=delete, type=User)
    for n, order in enumerate(permutations((1, 2, 3))):
        a, b = f"a{n}", f"b{n}"
        for step in order:
            changes = [gone(a, step) if step == 2 else put(a, step), put(b, step) if step == 2 else gone(b, step)]
            assert CONFLICT not in sink.flush(CACHE, 1, changes)
        loaded = sink.load(a)
        assert loaded is not None and (loaded.value, loaded.version) == (User("v3", 3), version_of(1, 3))
        assert sink.load(b) is None


def test_another_writers_version_is_a_conflict(place: Place) -> None:
    """Nothing is overwritten, and nothing counts as written; the rest of the batch is."""
    sink = place.sink()
    sink.flush(CACHE, 1, [put("a", 1), put("b", 2)])
    place.do(f"UPDATE users SET rk_ver = {version_of(70, 0)}, name = 'theirs' WHERE id = 'a'")
    assert sink.flush(CACHE, 1, [put("a", 3), put("b", 4)]) == [CONFLICT, APPLIED]
    assert sink.flush(CACHE, 1, [gone("a", 5), gone("b", 6)]) == [CONFLICT, APPLIED]
    assert place.rows() == [("a", "theirs", 1)]


def test_rows_without_a_version_are_written(place: Place) -> None:
    """Other writers leave it at its default; NULL, where check was not heeded, counts as 0."""
    table = Table(
        "users",
        place.meta,
        Column("id", String(40), primary_key=True),
        Column("name", String(40), nullable=False),
        Column("visits", Integer, nullable=False, server_default="7"),
        Column("rk_ver", BigInteger),
    )
    sink = place.sink(table)
    place.do("INSERT INTO users (id, name) VALUES ('a', 'old'), ('b', 'old'), ('c', 'old')")
    with pytest.raises(ConfigurationError, match="NULL"):
        sink.check()
    assert sink.flush(CACHE, 1, [put("a", 1), gone("b", 2)]) == [APPLIED] * 2
    assert place.rows() == [("a", "v1", 1), ("c", "old", 7)]
    found = sink.load("c")
    assert found is not None and found.version == 0
    assert found.value == {"id": "c", "name": "old", "visits": 7}


def test_columns_that_a_value_does_not_have_stay_as_they_are(place: Place) -> None:
    """They take their default when the row is made. Values of several shapes go in one batch."""
    sink = place.sink()
    sink.flush(CACHE, 1, [put("a", 1, {"name": "x"}), put("b", 2, {"name": "y", "visits": 1})])
    sink.flush(CACHE, 1, [put("a", 3, {"name": "z"}), put("b", 4, {"name": "z"})])
    assert place.rows() == [("a", "z", 7), ("b", "z", 1)]


def test_keys_of_several_columns(place: Place) -> None:
    """Keys are tuples."""
    table = Table(
        "places",
        place.meta,
        Column("region", String(20), primary_key=True),
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("name", String(40)),
        version_column(),
    )
    sink = place.sink(table, key=("region", "id"))
    sink.check()
    sink.flush(CACHE, 1, [put(("eu", 1), 1, {"name": "x"}), put(("us", 1), 2, {"name": "y"})])
    assert sink.flush(CACHE, 1, [put(("eu", 1), 1, {"name": "no"}), gone(("us", 1), 3)]) == [APPLIED] * 2
    assert place.rows("SELECT region, id, name FROM places") == [("eu", 1, "x")]
    found = sink.load(("eu", 1))
    assert found is not None and found.value == {"region": "eu", "id": 1, "name": "x"}
    with pytest.raises(SinkRefused, match="2 parts"):
        sink.flush(CACHE, 1, [put("eu", 4, {"name": "x"})])


def test_what_will_never_fit_is_refused_and_nothing_is_written(place: Place) -> None:
    """NOT NULL, a unique index, a field without a column, another key in the value, a value that is no row."""
    sink = place.sink(users(place.meta, Column("email", String(40), unique=True)))
    sink.flush(CACHE, 1, [put("a", 1, {"name": "x", "email": "a@x"})])
    for bad in (
        {"name": None},
        {"name": "x", "email": "a@x"},
        {"name": "x", "colour": "red"},
        {"name": "x", "id": "other"},
        {"name": {"nested": 1}},
        {"name": "x", "visits": "many"} if place.server != "sqlite" else {"name": object()},
        {"name": "x", "visits": 2**70},
        {"name": "\ud800"},
        17,
    ):
        with pytest.raises(SinkRefused) as raised:
            sink.flush(CACHE, 1, [put("good", 2), put("poison", 3, bad), put("a", 4)])
        assert not raised.value.waits
    assert place.rows() == [("a", "x", 7)]
    if place.server != "sqlite":  # where a length means nothing
        with pytest.raises(SinkRefused):
            sink.flush(CACHE, 1, [put("long", 2, {"name": "x" * 41})])
    assert sink.flush(CACHE, 1, [put("good", 2), put("a", 4)]) == [APPLIED] * 2


def test_an_epoch_is_given_out_once_and_fences_the_older_ones(place: Place) -> None:
    """A flusher that knows an older one writes nothing, whatever it has."""
    sink = place.sink()
    assert sink.raise_epoch(CACHE, 0) == 2
    assert sink.raise_epoch(CACHE, 40) == 41
    assert sink.raise_epoch(CACHE, 7) == 42
    with pytest.raises(ConfigurationError, match="another write-back cache"):
        sink.raise_epoch("others", 0)
    others = Table("others", place.meta, Column("id", String(40), primary_key=True), version_column())
    place.meta.create_all(place.plain)
    assert place.another(others).raise_epoch("others", 0) == 1
    with pytest.raises(SinkDown, match="another flusher"):
        sink.flush(CACHE, 41, [put("a", 1, epoch=41)])
    assert place.rows() == []
    assert sink.flush(CACHE, 42, [put("a", 1, epoch=41)]) == [APPLIED]


def test_a_database_that_lost_its_epoch_learns_it_from_a_flush(place: Place) -> None:
    """A restore brought an older one back, or none: the next that is given out is above it all the same."""
    sink = place.sink()
    assert sink.raise_epoch(CACHE, 8) == 9
    for lost in ("UPDATE regionkit_rk_wb_epoch SET epoch = 2", "DELETE FROM regionkit_rk_wb_epoch"):
        place.do(lost)
        sink.flush(CACHE, 9, [put("a", 1, epoch=9)])
        assert place.rows("SELECT epoch FROM regionkit_rk_wb_epoch") == [(9,)]


class Everything(msgspec.Struct, frozen=True):
    """A value of many types."""

    words: str | None
    price: Decimal | None
    share: float | None
    born: date | None
    seen: datetime | None
    extra: dict[str, Any] | None
    fine: bool | None


def everything(meta: MetaData) -> Table:
    return Table(
        "things",
        meta,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("words", Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")),
        Column("price", Numeric(20, 4)),
        Column("share", Double),
        Column("born", Date),
        Column("seen", DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")),
        Column("extra", JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")),
        Column("fine", Boolean),
        version_column(),
    )


def test_values_come_back_as_they_were(place: Place) -> None:
    """Quotes, a megabyte, unicode, dates, decimals, documents, nothing."""
    sink = place.sink(everything(place.meta), type=Everything)
    sink.check()
    seen = datetime(2026, 11, 30, 1, 2, 3, 456789)  # the column has no zone
    values = [
        Everything(
            'it\'s "q" \\ % :x {} \n\t', Decimal("12.3400"), 0.1, date(2026, 2, 28), seen, {"a": [1, "ü'"]}, True
        ),
        Everything(
            "ü😀漢字",
            Decimal("-99999999.9999"),
            -1e300,
            date(1000, 1, 2),
            seen,
            {},
            False,
        ),
        Everything("x" * 1_000_000, Decimal(0), 0.0, None, None, {"deep": {"er": None}}, None),
        Everything(None, None, None, None, None, None, None),
    ]
    changes = [put(n, n + 1, value) for n, value in enumerate(values)]
    assert sink.flush(CACHE, 1, changes) == [APPLIED] * len(values)
    for n, value in enumerate(values):
        found = sink.load(n)
        assert found is not None and found.value == value and found.version == version_of(1, n + 1)
    again = [Change(c.key, c.version + 100, values[3 - n]) for n, c in enumerate(changes)]
    assert sink.flush(CACHE, 1, again) == [APPLIED] * len(values)
    found = sink.load(0)
    assert found is not None and found.value == values[3]


def test_what_json_cannot_say_on_postgresql(postgres: Place) -> None:
    """NaN is written as a parameter; a NUL is refused, as the server has none; an aware time is turned by the driver."""
    sink = postgres.sink(everything(postgres.meta))
    nothing = dict.fromkeys(("words", "price", "share", "born", "seen", "fine"))
    changes = [put(1, 1, nothing | {"share": float("nan")}), put(2, 2, nothing | {"share": float("inf")})]
    assert CONFLICT not in sink.flush(CACHE, 1, changes)
    assert postgres.rows("SELECT share = 'NaN' FROM things ORDER BY id") == [(True,), (False,)]
    for bad in ({"words": "a\0b"}, {"extra": {"a": "\0"}}, {"extra": {"a": float("nan")}}):
        with pytest.raises(SinkRefused):
            sink.flush(CACHE, 1, [put(3, 3, nothing), put(4, 4, nothing | bad)])
    poison = [put(n, n, nothing | {"extra": {"a": "\0" if n == 5 else "fine"}}) for n in range(3, 9)]
    with pytest.raises(SinkRefused):  # in the middle of rows that are sent together
        sink.flush(CACHE, 1, poison)
    assert postgres.rows("SELECT id FROM things ORDER BY id") == [(1,), (2,)]
    aware = datetime(2026, 1, 1, tzinfo=UTC)
    assert sink.flush(CACHE, 1, [put(5, 5, {"seen": aware})]) == [APPLIED]
    sink.flush(CACHE, 1, [put(6, 6, {"words": "the text \\u0000 itself"})])
    assert postgres.rows("SELECT words FROM things WHERE id = 6") == [("the text \\u0000 itself",)]
