# Generated from test_sinks_async.py by scripts/twins.py. Do not edit.
"""The whole of write-back over each sink that is no SQL database: MongoDB, Cassandra, a function of the application's.

`test_write_back_async` does the same, and more, over SQL.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fix_plain import owner_of, plain_of
from fix_rig_cassandra import CassandraStoreRig

from regionkit.caching import (
    Cache,
    CallSink,
    CassandraSink,
    Change,
    Loaded,
    MongoSink,
    Shared,
    Verdict,
    WriteBack,
)
from regionkit.caching.back.rules import version_of
from regionkit.errors import ConfigurationError, UsageError

TABLE = "CREATE TABLE profiles (id text PRIMARY KEY, name text, age int, rk_ver bigint, rk_gone timestamp)"
THEIRS = version_of(900, 1)


@dataclass
class Profile:
    """A row without its key."""

    name: str | None
    age: int = 0


class MongoPlace:
    """Documents, of which each has to have a name."""

    bad = Profile(None)
    without_row = ("a", 1)

    def __init__(self, database: Any) -> None:
        self.database = database
        self.documents = database["profiles"]
        self.sink = MongoSink(database, "profiles")

    def made(self) -> None:
        """With a validator."""
        self.database.create_collection("profiles", validator={"name": {"$not": {"$type": "null"}}})

    def row(self, key: str) -> tuple[Any, ...] | None:
        """Name, age, version."""
        found = self.documents.find_one({"_id": key, "rk_gone": {"$exists": False}})
        return None if found is None else (found["name"], found["age"], found["rk_ver"])

    def set_row(self, key: str, name: str, version: int) -> None:
        """As another writer does."""
        row = {"name": name, "age": 1, "rk_ver": version}
        self.documents.replace_one({"_id": key}, row, upsert=True)


class CassandraPlace:
    """Rows, whose age is an int of 32 bits."""

    bad = Profile("x", 2**40)
    without_row: Any = 7

    def __init__(self, session: Any) -> None:
        self.session = session
        self.sink = CassandraSink(session, "profiles")

    def made(self) -> None:
        """The table is there; the tests share it, each with a cache of its own."""
        self.sink.create_tables()
        self.session.execute("DELETE FROM regionkit_rk_wb_epoch WHERE cache = '=profiles' IF EXISTS")

    def row(self, key: str) -> tuple[Any, ...] | None:
        """Name, age, version."""
        found = self.session.execute("SELECT name, age, rk_ver, rk_gone FROM profiles WHERE id = %s", (key,)).one()
        return None if found is None or found[3] is not None else tuple(found[:3])

    def set_row(self, key: str, name: str, version: int) -> None:
        """As another writer does."""
        text = "UPDATE profiles SET name = %s, age = 1, rk_ver = %s WHERE id = %s IF name != 'nobody'"
        self.session.execute(text, (name, version, key))


class CallPlace:
    """A dict that a function of the application's writes, with the guard that it owes."""

    bad = Profile(None)
    without_row = None

    def __init__(self, engine: Any) -> None:
        self.rows: dict[Any, Change] = {}
        self.sink = CallSink(self.write, self.load, epochs=engine)

    def made(self) -> None:
        """It is there."""

    def write(self, changes: list[Change]) -> list[Verdict]:
        """The sink's function: it says what it did with each."""
        if any(not change.deleted and change.value.name is None for change in changes):  # type: ignore[attr-defined]
            raise ValueError("each has a name")
        return [self._written(change) for change in changes]

    def _written(self, change: Change) -> Verdict:
        there = self.rows.get(change.key)
        if there is not None and there.version == THEIRS:
            return Verdict.CONFLICT
        if there is not None and there.version > change.version:
            return Verdict.SUPERSEDED
        self.rows[change.key] = change
        return Verdict.APPLIED

    def load(self, key: Any) -> Any:
        """The row."""
        found = self.rows.get(key)
        return None if found is None or found.deleted else Loaded(found.value, version=found.version)

    def row(self, key: str) -> tuple[Any, ...] | None:
        """Name, age, version."""
        found: Any = self.rows.get(key)
        return None if found is None or found.deleted else (found.value.name, found.value.age, found.version)

    def set_row(self, key: str, name: str, version: int) -> None:
        """As another writer does."""
        self.rows[key] = Change(key, version, Profile(name, 1))


class MongoOwner:
    """A database of its own, as `plain_of` takes it."""

    server = "mongodb"

    def __init__(self, servers: Any) -> None:
        self.url = servers.url_for(servers.database())


class Rig:
    """A cache over a sink."""

    def __init__(self, place: Any, url: str) -> None:
        self.place = place
        self.url = url
        self.called = f"w{os.urandom(6).hex()}"
        self.cache = self.another()

    def another(self) -> Cache[Profile]:
        """A cache of that name, as another process has it."""
        strategy = WriteBack(sink=self.place.sink, durability="memory", ttl=300.0, attempts=1)
        return Cache(self.called, Profile, strategy=strategy, tiers=[Shared(self.url, timeout=5.0)])

    def flushed(self) -> int:
        """Write all; how many are parked."""
        flushed = self.cache.flush(timeout=30.0)
        assert flushed.clean
        return flushed.parked


@pytest.fixture(scope="module")
def opened() -> dict[str, Any]:
    """The Cassandra keyspace of this module, made at its first use."""
    return {}


@pytest.fixture(params=["mongo", "cassandra", "sqlite"])
def rig(request: pytest.FixtureRequest, opened: dict[str, Any], redis_server: Any, data_path: Path) -> Iterator[Rig]:
    """Over each sink."""
    owner: Any
    kinds: dict[str, Any] = {"mongo": MongoPlace, "cassandra": CassandraPlace, "sqlite": CallPlace}
    if request.param == "mongo":
        owner = MongoOwner(request.getfixturevalue("mongo"))
    elif request.param == "cassandra":
        cluster: Any = request.getfixturevalue("cassandra")
        if "rig" not in opened:
            opened["rig"] = CassandraStoreRig(cluster)
            cluster.ddl(TABLE, keyspace=opened["rig"].keyspace)
        owner = opened["rig"]
    else:
        owner = owner_of("sqlite", request, data_path)
    with plain_of(owner) as given:
        place: Any = kinds[request.param](given)
        place.made()
        made = Rig(place, redis_server.primary.url)
        made.cache.create_tables()
        yield made
        made.cache.close()


def test_values_go_through_the_buffer_into_their_rows(rig: Rig) -> None:
    """Put, overwrite, update, delete, put again: read at once, and there when it was flushed."""
    cache, row = rig.cache, rig.place.row
    k = f"a-{rig.called}"
    cache.put(k, Profile("ada", 1))
    assert (cache.get(k), row(k), cache.dirty()) == (Profile("ada", 1), None, [k])
    receipt = cache.put(k, Profile("ada", 2))
    assert rig.flushed() == 0
    assert row(k) == ("ada", 2, receipt.version)
    cache.update(k, lambda now: Profile("ada", 0 if now is None else now.age + 1))
    assert rig.flushed() == 0
    assert (row(k) or ())[:2] == ("ada", 3)
    cache.delete(k)
    assert cache.get(k) is None
    assert rig.flushed() == 0
    assert (row(k), cache.get(k), cache.get(k, refresh=True)) == (None, None, None)
    with cache.flusher():
        cache.put(k, Profile("ada", 4))
    assert (row(k) or ())[:2] == ("ada", 4)


def test_rows_are_loaded_with_their_versions(rig: Rig) -> None:
    """Also after an invalidation: what was loaded from the owner is stored. An update goes beyond a version that it has read."""
    cache, k = rig.cache, f"b-{rig.called}"
    rig.place.set_row(k, "bob", 5)
    assert cache.get(k) == Profile("bob", 1)
    cache.invalidate(k)
    loads = cache.counters.loads
    assert [cache.get(k) for _ in range(3)] == [Profile("bob", 1)] * 3
    assert cache.counters.loads == loads + 1
    cache.update(k, lambda now: Profile("bob", 0 if now is None else now.age + 1))
    assert rig.flushed() == 0
    assert (rig.place.row(k) or ())[:2] == ("bob", 2)
    other = rig.another()
    assert other.get(k) == Profile("bob", 2)
    other.close()


def test_what_the_sink_refuses_is_parked_and_the_rest_is_written(rig: Rig) -> None:
    """So is what another writer holds; a good value takes a bad one's place."""
    cache, place = rig.cache, rig.place
    keys = [f"k{n}-{rig.called}" for n in range(30)]
    for n, key in enumerate(keys):
        cache.put(key, Profile(f"n{n}", n))
    bad, held = f"bad-{rig.called}", f"held-{rig.called}"
    cache.put(bad, place.bad)
    place.set_row(held, "theirs", THEIRS)
    cache.put(held, Profile("ours", 1))
    assert rig.flushed() == 2
    assert [(place.row(key) or ())[:2] for key in keys] == [(f"n{n}", n) for n in range(30)]
    assert {parked.key: parked.value for parked in cache.parked()} == {bad: place.bad, held: Profile("ours", 1)}
    assert (cache.get(bad), (place.row(held) or ())[0]) == (place.bad, "theirs")
    cache.put(bad, Profile("good", 1))
    assert rig.flushed() == 1
    assert ((place.row(bad) or ())[:2], cache.discard(held)) == (("good", 1), True)
    assert (cache.get(held) or place.bad).name == "theirs"


def test_a_key_that_has_no_row_is_refused_at_once(rig: Rig) -> None:
    """It would wait for ever. A function knows its keys itself."""
    if rig.place.without_row is None:
        return
    with pytest.raises((UsageError, ConfigurationError)):
        rig.cache.put(rig.place.without_row, Profile("x"))
    assert rig.cache.dirty() == []
