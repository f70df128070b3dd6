"""Rows of a write-back cache in Cassandra: the guard by conditions, marks of deletes, epochs, lost answers, what is refused."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cassandra import OperationTimedOut
from fix_plain import async_plain_of
from fix_rig_cassandra import CassandraStoreRig

from regionkit.caching import AsyncCassandraSink
from regionkit.caching.back.refusals import SinkDown, SinkRefused
from regionkit.caching.back.rules import version_of
from regionkit.errors import CacheError, ConfigurationError

from .sql_places_async import APPLIED, CONFLICT, SUPERSEDED, User, gone, put

TABLES = (
    "CREATE TABLE users (id text PRIMARY KEY, name text, visits int, extra int, rk_ver bigint, rk_gone timestamp)",
    "CREATE TABLE items (org text, nr int, id uuid, price decimal, seen timestamp, words text, parts frozen<list<text>>, "
    "tags set<text>, nothing text, rk_ver bigint, rk_gone timestamp, PRIMARY KEY ((org), nr))",
    "CREATE TABLE bare (id text PRIMARY KEY, name text, visits int)",
    "CREATE TABLE small (id text PRIMARY KEY, name text, visits int, rk_ver int, rk_gone timestamp)",
    "CREATE TABLE shared (id text, nr int, name text static, visits int, rk_ver bigint, rk_gone timestamp, "
    "PRIMARY KEY (id, nr))",
)

FREED = "DELETE FROM regionkit_rk_wb_epoch WHERE cache = '=users' IF EXISTS"


class Thing(msgspec.Struct, frozen=True):
    """With a column of each kind."""

    id: UUID
    price: Decimal
    seen: datetime
    parts: list[str]
    tags: list[str]
    words: str = "a'ü😀\n"
    nothing: str | None = None


class Place:
    """A keyspace, and a sink of its table `users`; keys of this test alone."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.sink = AsyncCassandraSink(session, "users", type=User)
        self.cache = f"c{os.urandom(6).hex()}"
        self.own = os.urandom(4).hex()

    def key(self, name: str) -> str:
        """A key that no other test has."""
        return f"{name}-{self.own}"

    def row(self, name: str) -> tuple[Any, ...] | None:
        """Name, extra, version, and whether it counts as deleted."""
        found = self.session.execute(
            "SELECT name, extra, rk_ver, rk_gone FROM users WHERE id = %s", (self.key(name),)
        ).one()
        return None if found is None else (*found[:3], found[3] is not None)

    def shown(self, *names: str) -> list[str | None]:
        """What is not deleted."""
        rows = [self.row(name) for name in names]
        return [None if row is None or row[3] else row[0] for row in rows]


@pytest.fixture(scope="module")
def keyspace(cassandra: Any) -> CassandraStoreRig:
    """With tables that all tests share."""
    rig = CassandraStoreRig(cassandra)
    cassandra.ddl(*TABLES, keyspace=rig.keyspace)
    return rig


@pytest.fixture
async def place(keyspace: CassandraStoreRig) -> AsyncIterator[Place]:
    """With epoch 1 given out."""
    async with async_plain_of(keyspace) as session:
        made = Place(session)
        await made.sink.create_tables()
        await made.sink.check()
        session.execute(FREED)  # the tests share the table, each with a cache of its own
        assert await made.sink.raise_epoch(made.cache, 0) == 1
        yield made
        await made.sink.close()


async def test_the_guard_holds(place: Place) -> None:
    """Zombies are superseded; another writer's version is a conflict; rows without one are written, their other columns left."""
    sink, cache, k = place.sink, place.cache, place.key
    place.session.execute("INSERT INTO users (id, name, extra) VALUES (%s, 'theirs', 1)", (k("old"),))
    assert await sink.flush(cache, 1, [put(k("b"), 5), put(k("a"), 6), put(k("old"), 7)]) == [APPLIED] * 3
    again = [put(k("a"), 1), put(k("b"), 2), put(k("c"), 3)]
    assert await sink.flush(cache, 1, again) == [SUPERSEDED, SUPERSEDED, APPLIED]
    assert place.shown("a", "b", "c", "old") == ["v6", "v5", "v3", "v7"]
    assert (place.row("old") or ())[1] == 1
    assert await sink.flush(cache, 1, [put(k("a"), 6), put(k("b"), 5)]) == [APPLIED] * 2
    theirs = "UPDATE users SET rk_ver = %s, name = 'theirs' WHERE id = %s IF EXISTS"
    place.session.execute(theirs, (version_of(70, 0), k("a")))
    assert await sink.flush(cache, 1, [put(k("a"), 8), put(k("b"), 9)]) == [CONFLICT, APPLIED]
    assert await sink.flush(cache, 1, [gone(k("a"), 10)]) == [CONFLICT]
    assert place.shown("a") == ["theirs"]
    assert await sink.flush(cache, 1, []) == []


async def test_the_latest_counts_in_any_order(place: Place) -> None:
    """Put, delete, put; and delete, put, delete. A mark ends by itself, and what it leaves counts as nothing."""
    sink, cache, k = place.sink, place.cache, place.key
    for n, order in enumerate(permutations((1, 2, 3))):
        a, b = k(f"a{n}"), k(f"b{n}")
        for step in order:
            changes = [gone(a, step) if step == 2 else put(a, step), put(b, step) if step == 2 else gone(b, step)]
            assert CONFLICT not in await sink.flush(cache, 1, changes)
        found = await sink.load(a)
        assert found is not None and (found.value, found.version) == (User("v3", 3), version_of(1, 3))
        assert (await sink.load(b), (place.row(f"b{n}") or ())[2:]) == (None, (version_of(1, 3), True))
    lives = place.session.execute("SELECT TTL(rk_ver), TTL(name) FROM users WHERE id = %s", (k("b0"),)).one()
    kept = place.session.execute("SELECT TTL(rk_ver) FROM users WHERE id = %s", (k("a0"),)).one()
    assert (lives[0] > 600_000, lives[1], kept[0]) == (True, None, None)
    place.session.execute("INSERT INTO users (id) VALUES (%s)", (k("hull"),))
    assert await sink.load(k("hull")) is None
    assert await sink.forget_marks(cache, version_of(1, 4)) == 0


async def test_epochs_rise_and_fence(place: Place) -> None:
    """A flusher of an older one writes nothing; a keyspace that lost its epoch learns it from a flush."""
    sink, cache, k = place.sink, place.cache, place.key
    assert [await sink.raise_epoch(cache, above) for above in (0, 40, 7)] == [2, 41, 42]
    with pytest.raises(ConfigurationError, match="another write-back cache"):
        await sink.raise_epoch("others", 0)
    with pytest.raises(SinkDown, match="another flusher"):
        await sink.flush(cache, 41, [put(k("a"), 1)])
    assert place.shown("a") == [None]
    place.session.execute("DELETE FROM regionkit_rk_wb_epoch WHERE cache = %s IF EXISTS", (cache,))
    assert await sink.flush(cache, 42, [put(k("a"), 1)]) == [APPLIED]
    assert await sink.raise_epoch(cache, 0) == 43


async def test_what_will_never_fit_is_refused_before_anything_is_sent(place: Place) -> None:
    """Types, unknown fields, a row that is too large, keys; each says which."""
    sink, cache, k = place.sink, place.cache, place.key
    for bad in (
        {"name": "x", "visits": "many"},
        {"name": "x", "visits": 2**40},
        {"name": object()},
        {"name": "x", "colour": "red"},
        {"name": "x", "id": "other"},
        {"name": "x" * 9_000_000},
        {"name": "\ud800"},
        17,
    ):
        with pytest.raises(SinkRefused):
            await sink.flush(cache, 1, [put(k("good"), 2), put(k("poison"), 3, bad)])
    for key in (("eu", 1), 7, "", "x" * 70_000):
        with pytest.raises(SinkRefused):
            await sink.flush(cache, 1, [put(key, 4)])
    assert place.shown("good", "poison") == [None, None]


async def test_values_come_back_as_they_were(place: Place) -> None:
    """Of a key of several columns; what is no value of the type is told."""
    sink = AsyncCassandraSink(place.session, "items", ("org", "nr"), type=Thing)
    seen = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    value = Thing(UUID(int=7), Decimal("12.3400"), seen, ["a", "b"], ["x", "y"])
    keys = [(place.own, nr) for nr in range(20)]
    assert await sink.flush(place.cache, 1, [put(key, n + 1, value) for n, key in enumerate(keys)]) == [APPLIED] * 20
    found = await sink.load(keys[0])
    assert found is not None and (found.value, found.version) == (value, version_of(1, 1))
    place.session.execute("UPDATE items SET price = null WHERE org = %s AND nr = 0 IF EXISTS", (place.own,))
    with pytest.raises(CacheError):
        await sink.load(keys[0])
    assert await sink.load((place.own, 77)) is None
    dicts = AsyncCassandraSink(place.session, "items", ("org", "nr"))
    found = await dicts.load(keys[1])
    assert found is not None and found.value["words"] == value.words and "org" not in found.value
    await sink.close()
    await dicts.close()


class Deaf:
    """A session that loses answers: each is sent, or not, and then it says that nobody answered."""

    def __init__(self, session: Any, *, sends: bool, most: int) -> None:
        self.session, self.sends, self.most, self.lost = session, sends, most, 0
        self._whole = session.execute_async

    def __enter__(self) -> Deaf:
        self.session.execute_async = self._execute
        return self

    def __exit__(self, *_: object) -> None:
        del self.session.execute_async

    def _execute(self, query: Any, *given: Any, **named: Any) -> Any:
        text = getattr(getattr(query, "prepared_statement", query), "query_string", "")
        if self.lost >= self.most or not text.startswith('UPDATE "users"'):
            return self._whole(query, *given, **named)
        self.lost += 1
        if self.sends:
            self._whole(query, *given, **named).result()
        raise OperationTimedOut({}, None)


@pytest.mark.parametrize("sends", [True, False])
async def test_what_was_not_answered_is_read_back(place: Place, sends: bool) -> None:
    """And written again where it did not go in: the flush succeeds, and says what stands there."""
    sink, cache, k = place.sink, place.cache, place.key
    assert await sink.flush(cache, 1, [put(k("a"), 1), put(k("b"), 9)]) == [APPLIED] * 2
    with Deaf(place.session, sends=sends, most=3) as deaf:
        changes = [put(k("a"), 2), put(k("b"), 3), put(k("c"), 4), gone(k("d"), 5)]
        assert await sink.flush(cache, 1, changes) == [APPLIED, SUPERSEDED, APPLIED, APPLIED]
    assert deaf.lost == 3
    assert place.shown("a", "b", "c", "d") == ["v2", "v9", "v4", None]


async def test_a_server_that_never_answers_is_down(place: Place) -> None:
    """Within the flush's time."""
    sink = AsyncCassandraSink(place.session, "users", type=User, timeout=1.0)
    with Deaf(place.session, sends=False, most=1000), pytest.raises(SinkDown):
        await sink.flush(place.cache, 1, [put(place.key("a"), 2)])
    await sink.close()


async def test_a_table_that_cannot_hold_the_promise_is_refused(place: Place) -> None:
    """With what to run."""
    for table, key, words in (
        ("nowhere", "id", "no table 'nowhere'"),
        ("bare", "id", "ALTER TABLE bare ADD rk_ver bigint"),
        ("small", "id", "regular column of type bigint"),
        ("items", "org", "'org', 'nr'"),
        ("shared", ("id", "nr"), "shares over all rows"),
        ("items", ("org", "nr"), "no column for 'name'"),
    ):
        sink = AsyncCassandraSink(place.session, table, key, type=User)
        with pytest.raises(ConfigurationError) as refused:
            await sink.check()
        assert words in str(refused.value)
        await sink.close()
    for wrong in ({"marks": 5}, {"key": ()}, {"table": "a.b.c"}, {"gone": "rk_ver"}, {"timeout": 0}):
        with pytest.raises(ConfigurationError):
            AsyncCassandraSink(place.session, **({"table": "users"} | wrong))
