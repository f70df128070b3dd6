# Generated from test_write_back_async.py by scripts/twins.py. Do not edit.
"""Write-back from end to end: what is put is read at once, and stands in the table when it was flushed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from later_record import later_kind
from sqlalchemy import BigInteger, Column, MetaData, String, Table, text

from regionkit.caching import Cache, Local, Shared, SqlSink, WriteBack
from regionkit.caching.back.events import BufferContended, RecordUnreadable
from regionkit.caching.back.flush_rules import MOST_TAKEN
from regionkit.caching.back.refusals import SinkDown
from regionkit.caching.steps import BATCH
from regionkit.errors import Backpressure, ConfigurationError, UsageError, VersionConflict

IS_ASYNC = False


@dataclass
class Profile:
    """A row without its key."""

    name: str | None
    age: int = 0


class Rig:
    """A cache over a table, in a database and on a server of the test's own."""

    def __init__(self, server: Any, accounts: Any, **options: Any) -> None:
        self.engine, self.plain = accounts.make(is_async=IS_ASYNC), accounts.engine
        self.table = Table(
            "profiles",
            MetaData(),
            Column("id", String(64), primary_key=True),
            Column("name", String(64), nullable=False),
            Column("age", BigInteger, nullable=False),
            Column("rk_ver", BigInteger, nullable=False, server_default="0"),
        )
        self.called = f"w{os.urandom(6).hex()}"
        self.server = server
        self.cache = self.another(**options)

    def another(self, *, local: bool = False, **options: Any) -> Cache[Profile]:
        """A cache of that name, as another process has it."""
        sink = SqlSink(self.engine, self.table, key="id", version="rk_ver")
        strategy = WriteBack(**{"sink": sink, "durability": "memory", "ttl": 300.0, **options})
        shared = Shared(self.server.primary.url, timeout=5.0)
        return Cache(self.called, Profile, strategy=strategy, tiers=[Local(), shared] if local else [shared])

    def __enter__(self) -> Rig:
        self.table.metadata.create_all(self.plain)
        self.cache.create_tables()
        return self

    def __exit__(self, *_: object) -> None:
        self.cache.close()
        self.engine.dispose()

    def row(self, key: str) -> tuple[Any, ...] | None:
        """Of the table: name, age, version."""
        with self.engine.connect() as db:
            found = (db.execute(text("SELECT name, age, rk_ver FROM profiles WHERE id = :id"), {"id": key})).first()
        return None if found is None else tuple(found)

    def set_row(self, key: str, name: str, version: int) -> None:
        """As another writer of the table does."""
        with self.engine.begin() as db:
            db.execute(text("DELETE FROM profiles WHERE id = :id"), {"id": key})
            db.execute(
                text("INSERT INTO profiles (id, name, age, rk_ver) VALUES (:id, :name, 1, :version)"),
                {"id": key, "name": name, "version": version},
            )


@pytest.fixture
def rig(redis_server: Any, accounts: Any) -> Iterator[Rig]:
    """With a shared tier only."""
    with Rig(redis_server, accounts) as made:
        yield made


def test_a_put_is_read_at_once_and_stands_in_the_table_when_it_was_flushed(rig: Rig) -> None:
    """And is a clean value of the cache then."""
    receipt = rig.cache.put("a", Profile("ada", 1))
    assert (receipt.durable_in, receipt.version > 0) == ("redis-memory", True)
    assert (rig.cache.get("a"), rig.row("a")) == (Profile("ada", 1), None)
    assert rig.cache.dirty() == ["a"]
    assert (rig.cache.flush()).clean
    assert rig.row("a") == ("ada", 1, receipt.version)
    assert (rig.cache.dirty(), (rig.cache.buffer()).dirty) == ([], 0)
    loads = rig.cache.counters.loads
    assert (rig.cache.get("a"), rig.cache.counters.loads) == (Profile("ada", 1), loads)


def test_the_last_of_many_puts_is_written_once(rig: Rig) -> None:
    """Coalesced by key."""
    for age in range(20):
        rig.cache.put("a", Profile("ada", age))
    rig.cache.flush()
    assert (rig.cache.counters.flushed, (rig.row("a") or ())[:2]) == (1, ("ada", 19))


def test_another_process_reads_what_is_dirty(rig: Rig) -> None:
    """Also where it has an older value in its own memory, once the news have come."""
    other = rig.another()
    rig.cache.put("a", Profile("ada", 1))
    assert other.get("a") == Profile("ada", 1)
    rig.cache.put("a", Profile("ada", 2))
    assert other.get("a") == Profile("ada", 2)
    assert other.get("a", refresh=True) == Profile("ada", 2)
    assert other.get_many(["a", "b"]) == {"a": Profile("ada", 2)}
    other.close()


def test_a_row_that_nobody_has_put_is_loaded_by_the_sink(rig: Rig) -> None:
    """With its version, which a put then goes beyond."""
    rig.set_row("a", "ada", 0)
    assert rig.cache.get("a") == Profile("ada", 1)
    rig.cache.put("a", Profile("ada", 2))
    assert (rig.cache.flush()).clean
    assert (rig.row("a") or ())[:2] == ("ada", 2)


def test_a_delete_is_read_at_once_and_the_row_goes(rig: Rig) -> None:
    """And a put after it brings the row back."""
    rig.cache.put("a", Profile("ada", 1))
    rig.cache.flush()
    rig.cache.delete("a")
    assert (rig.cache.get("a"), rig.row("a") is None) == (None, False)
    assert (rig.cache.flush()).clean
    assert (rig.cache.get("a"), rig.row("a")) == (None, None)
    rig.cache.put("a", Profile("ada", 3))
    rig.cache.flush()
    assert (rig.row("a") or ())[:2] == ("ada", 3)


def test_an_update_replaces_the_version_that_it_read(rig: Rig) -> None:
    """Of a value that is dirty, clean, in the table only, or not there."""
    rig.cache.update("a", lambda now: Profile("ada", 0 if now is None else now.age + 1))
    rig.cache.update("a", lambda now: Profile("ada", 0 if now is None else now.age + 1))
    rig.cache.flush()
    rig.cache.update("a", lambda now: Profile("ada", 0 if now is None else now.age + 1))
    assert rig.cache.get("a") == Profile("ada", 2)
    rig.set_row("b", "bob", 0)
    rig.cache.update("b", lambda now: Profile("bob", 0 if now is None else now.age + 1))
    assert rig.cache.get("b") == Profile("bob", 2)


def test_a_put_that_expects_another_version_is_refused(rig: Rig) -> None:
    """And nothing is put."""
    first = rig.cache.put("a", Profile("ada", 1))
    second = rig.cache.put("a", Profile("ada", 2), if_version=first.version)
    with pytest.raises(VersionConflict) as refused:
        rig.cache.put("a", Profile("ada", 3), if_version=first.version)
    assert (refused.value.version, refused.value.committed) == (second.version, "no")
    with pytest.raises(VersionConflict):
        rig.cache.put("a", Profile("ada", 3), if_version=0)
    rig.cache.put("b", Profile("bob", 1), if_version=0)
    assert rig.cache.get("a") == Profile("ada", 2)


@pytest.mark.parametrize("version", ["2:00000000000000000000001", True, 1.5, -1, 2**63])
def test_what_is_no_version_is_refused(rig: Rig, version: Any) -> None:
    """Such as the text of a Lookup: nothing is put, and the error says what to pass."""
    rig.cache.put("a", Profile("ada", 1))
    with pytest.raises(UsageError, match="is no version"):
        rig.cache.put("a", Profile("bob", 2), if_version=version)
    with pytest.raises(UsageError, match="is no version"):
        rig.cache.delete("a", if_version=version)
    assert rig.cache.get("a") == Profile("ada", 1)


def test_what_the_table_refuses_is_parked_and_still_read(rig: Rig) -> None:
    """The others are written; a later put of the key takes its place."""
    for number in range(10):
        rig.cache.put(f"k{number}", Profile(f"n{number}", number))
    rig.cache.put("bad", Profile(None, 1))
    flushed = rig.cache.flush(timeout=30.0)
    assert (flushed.clean, flushed.parked) == (True, 1)
    [parked] = rig.cache.parked()
    assert (parked.key, parked.value, parked.deleted) == ("bad", Profile(None, 1), False)
    assert parked.reason
    assert rig.cache.get("bad") == Profile(None, 1)
    assert [(rig.row(f"k{number}") or ())[:2] for number in range(10)] == [(f"n{n}", n) for n in range(10)]
    rig.cache.put("bad", Profile("good", 2))
    rig.cache.flush()
    assert ((rig.row("bad") or ())[:2], rig.cache.parked()) == (("good", 2), [])


def test_a_parked_value_is_retried_or_discarded(rig: Rig) -> None:
    """Readers get the row once it is discarded."""
    rig.cache.put("a", Profile(None, 1))
    rig.cache.flush(timeout=30.0)
    assert rig.cache.retry("a") == 1
    assert (rig.cache.buffer()).parked == 0
    rig.cache.flush(timeout=30.0)
    assert (rig.cache.buffer()).parked == 1
    assert (rig.cache.discard("a"), rig.cache.discard("a")) == (True, False)
    assert (rig.cache.get("a"), (rig.cache.buffer()).parked) == (None, 0)


def test_a_row_of_another_writer_is_a_conflict(rig: Rig) -> None:
    """It is not overwritten, and the value is not lost."""
    rig.set_row("a", "theirs", 2**62)
    rig.cache.put("a", Profile("ours", 1))
    rig.cache.flush(timeout=30.0)
    assert (rig.row("a") or ())[0] == "theirs"
    [parked] = rig.cache.parked()
    assert "somebody else" in parked.reason


def test_a_full_buffer_writes_through(redis_server: Any, accounts: Any) -> None:
    """With a version of its order; an overwrite needs no room."""
    with Rig(redis_server, accounts, max_dirty=2, on_full=("write-through",)) as rig:
        for key in "ab":
            rig.cache.put(key, Profile(key, 1))
        receipt = rig.cache.put("c", Profile("c", 1))
        assert (receipt.durable_in, rig.row("c")) == ("table", ("c", 1, receipt.version))
        assert rig.cache.get("c") == Profile("c", 1)
        assert (rig.cache.put("a", Profile("a", 2))).durable_in == "redis-memory"


def test_a_full_buffer_that_may_not_write_through_is_backpressure(redis_server: Any, accounts: Any) -> None:
    """After the time that it waits for room."""
    with Rig(redis_server, accounts, max_dirty=1, on_full=("wait", 0.05, "raise")) as rig:
        rig.cache.put("a", Profile("a", 1))
        with pytest.raises(Backpressure) as full:
            rig.cache.put("b", Profile("b", 1))
        assert (full.value.committed, full.value.retryable) == ("no", True)
        rig.cache.flush()
        rig.cache.put("b", Profile("b", 1))


def test_a_flusher_writes_in_the_background_and_drains_when_it_ends(rig: Rig) -> None:
    """Within max_age, and what is dirty at its end."""
    with rig.cache.flusher():
        rig.cache.put("a", Profile("ada", 1))
        rig.cache.put("b", Profile("bob", 1))
    assert [(rig.row(key) or ())[0] for key in "ab"] == ["ada", "bob"]


def test_an_epoch_of_a_process_that_died_before_it_opened_the_buffer_holds_nobody_up(rig: Rig) -> None:
    """A flusher that is told of it opens the buffer anew."""
    rig.cache.put("a", Profile("ada", 1))
    rig.cache.strategy.sink.raise_epoch(rig.called, 5)
    assert (rig.cache.flush(timeout=30.0)).clean
    assert (rig.row("a") or ())[0] == "ada"


@pytest.mark.parametrize("accounts", ["sqlite"], indirect=True)
def test_a_long_queue_is_written_by_few_transactions(redis_server: Any, accounts: Any) -> None:
    """Each twice as large as the one before, while the sink is quick; after a failure as small as at first."""
    with Rig(redis_server, accounts) as rig:
        sink = SqlSink(rig.engine, rig.table, timeout=600.0)
        cache = rig.another(sink=sink)
        sizes, flush = list[int](), sink.flush

        def counted(name: str, epoch: int, changes: Any) -> Any:
            sizes.append(len(changes))
            if len(sizes) == 4:
                raise SinkDown("for once")
            return flush(name, epoch, changes)

        sink.flush = counted  # type: ignore[method-assign]
        for number in range(9 * BATCH):
            cache.put(f"k{number}", Profile("ada", number))
        assert (cache.flush(timeout=60.0)).clean
        assert sizes == [100, 200, 400, 200, 100, 100]
        assert (rig.row("k7") or ())[:2] == ("ada", 7)
        cache.close()


def test_two_servers_that_buffer_one_cache_do_not_take_the_table_from_each_other_for_ever(
    own_redis: Any, redis_server: Any, accounts: Any
) -> None:
    """One of them stops, says so, and keeps what is dirty."""
    with Rig(redis_server, accounts) as rig:
        rig.server = own_redis()
        other, events = rig.another(), []
        for cache in (rig.cache, other):
            cache.subscribe(events.append)
        for age in range(2 * MOST_TAKEN + 2):
            for cache in (rig.cache, other):
                cache.put("a", Profile("ada", age))
                cache.flush(timeout=0.5)
        contended = [event for event in events if isinstance(event, BufferContended)]
        assert contended
        states = [cache.buffer() for cache in (rig.cache, other)]
        assert sum(state.dirty for state in states) >= 1
        other.close()


@pytest.mark.parametrize("accounts", ["sqlite"], indirect=True)
def test_a_record_of_a_later_version_is_left_to_a_process_that_knows_it(rig: Rig) -> None:
    """It is listed and counted, holds up no other, and is neither lost nor parked."""
    for key in "abc":
        rig.cache.put(key, Profile(key))
    events: list[Any] = []
    rig.cache.subscribe(events.append)
    later_kind(rig.server, rig.called, b"b")
    assert not (rig.cache.flush(timeout=0.5)).clean
    assert [(rig.row(key) or ("",))[0] for key in "abc"] == ["a", "", "c"]
    assert (rig.cache.dirty(), rig.cache.parked()) == (["b"], [])
    assert [event.why for event in events if isinstance(event, RecordUnreadable)]
    rig.cache.put("b", Profile("again"))  # who puts need not know what was there
    assert (rig.cache.flush()).clean
    assert (rig.row("b") or ("",))[0] == "again"


def test_a_local_tier_shows_the_newest(redis_server: Any, accounts: Any) -> None:
    """The putter's own, at once."""
    with Rig(redis_server, accounts, local=True) as rig:
        for age in range(5):
            rig.cache.put("a", Profile("ada", age))
            assert rig.cache.get("a") == Profile("ada", age)
        rig.cache.flush()
        assert rig.cache.get("a") == Profile("ada", 4)


def test_verbs_of_other_strategies_and_other_tiers_are_refused(rig: Rig) -> None:
    """With what to do."""
    with pytest.raises(UsageError, match="no set"):
        rig.cache.set("a", Profile("ada"))
    with pytest.raises(ConfigurationError, match="shared tier"):
        Cache("x", Profile, strategy=rig.cache.strategy, tiers=[Local()])
    for options in ({"on_full": ("never",)}, {"max_dirty": 0}, {"max_age": 0}):
        with pytest.raises(ConfigurationError):
            WriteBack(**{"sink": rig.cache.strategy.sink, "durability": "memory", "ttl": 1.0, **options})
