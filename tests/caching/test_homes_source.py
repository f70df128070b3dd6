# Generated from test_homes_source_async.py by scripts/twins.py. Do not edit.
"""Caches over a store whose keys have homes: loads, versions, writes, invalidations and tails of each home by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy
from fix_rig_partitions import HOMES, PartitionRig
from sqlalchemy import text
from waiting import seen

from regionkit import Contextual, Directory, Hashed, Intrinsic, RegionKit, UnknownHome
from regionkit.caching import Lazy, Loaded, Local, Shared, WriteThrough
from regionkit.caching.keys import canonical
from regionkit.caching.steps import TierDown
from regionkit.caching.version import NOTHING
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError

US, KR = HOMES
AT_US, AT_KR = f"{US}:a", f"{KR}:a"
PATTERN = Intrinsic("^(?P<region>[a-z0-9-]+):")
PATIENCE = 30.0


@pytest.fixture(params=["sqlite", "postgresql"])
def homes(request: pytest.FixtureRequest) -> PartitionRig:
    """Two homes, each with a copy in the other's region."""
    found: PartitionRig = request.getfixturevalue(f"{request.param}_partition_rig")
    return found


class Rig:
    """A kit in one region, with a cache of the carts."""

    def __init__(self, homes: PartitionRig, local: str, *, home: Any = PATTERN, **options: Any) -> None:
        self.homes = homes
        self.do = homes.Actions
        self.loads: list[Any] = []
        self.kit = RegionKit(homes.topology(home), local=local)
        strategy = options.pop("strategy", None) or Lazy(load=self.load, ttl=300, negative_ttl=60)
        self.cache = self.kit.cache("carts", str, store="carts", strategy=strategy, **options)

    def load(self, key: Any, store: Any) -> Any:
        self.loads.append(key)
        with store.read(core=True) as db:
            found = db.execute(text("SELECT value FROM things WHERE name = :key"), {"key": str(key)})
            return found.scalar()

    def write(self, key: str, value: str, session: Any = None) -> None:
        """As the application does, in the key's home."""
        if session is None:
            with self.kit.session() as session:
                self.write(key, value, session)
            return
        with session.write("carts", key=key) as db:
            db.execute(text("DELETE FROM things WHERE name = :key"), {"key": key})
            self.do.put(db, key, value)

    def __enter__(self) -> Rig:
        seen(self.kit)
        return self

    def __exit__(self, *_: object) -> None:
        self.kit.close()

    def until(self, key: Any, expected: str | None) -> None:
        """Wait until the cache gives a value to somebody without a session."""
        until(lambda: self.cache.get(key, session=False), expected)

    def rows(self, home: str, kind: str) -> int:
        """Rows of intents at a home's owner."""
        engine = sqlalchemy.create_engine(self.homes.urls[home][0])
        with engine.connect() as db:
            found = db.execute(text("SELECT count(*) FROM shop_rk_cache_intent WHERE kind = :kind"), {"kind": kind})
            count: int = found.scalar_one()
        engine.dispose()
        return count


def until(ask: Callable[[], Any], expected: Any) -> None:
    """Wait for an answer."""
    end = time.monotonic() + PATIENCE
    while (found := ask()) != expected:
        assert time.monotonic() < end, f"{found!r} never became {expected!r}"
        sleep(0.02)


def test_each_key_is_loaded_from_its_home_or_a_copy_of_it(homes: PartitionRig) -> None:
    """And kept, with a version of that home: one of them is far ahead of the other."""
    with Rig(homes, KR) as rig:
        for number in range(30):
            rig.write(f"{US}:{number}", "x")
        rig.write(AT_US, "1")
        rig.write(AT_KR, "2")
        for key, value in ((AT_US, "1"), (AT_KR, "2")):
            rig.cache.invalidate(key)
            rig.until(key, value)
            rig.loads.clear()
            found = rig.cache.lookup(key, session=False)
            assert (found.value, len(found.version), rig.loads) == (value, 27, [])


def test_a_copy_that_lags_is_not_kept_after_an_invalidation(homes: PartitionRig) -> None:
    """The local copy of the other home lacks the write: its owner is read. Keys of the local home do not care."""
    with Rig(homes, KR) as rig:
        rig.write(AT_US, "1")
        rig.cache.invalidate(AT_US)
        rig.until(AT_US, "1")
        with homes.hold(US):
            rig.write(AT_US, "2")
            rig.cache.invalidate(AT_US)
            assert rig.cache.get(AT_US, session=False) == "2"
            rig.loads.clear()
            assert (rig.cache.get(AT_US, session=False), rig.loads) == ("2", [])
        rig.write(AT_KR, "1")
        rig.cache.invalidate(AT_KR)
        assert rig.cache.get(AT_KR, session=False) == "1"


def test_a_session_asks_for_what_it_wrote_in_that_home_alone(homes: PartitionRig) -> None:
    """A write in one home says nothing of values of the other."""
    with Rig(homes, KR) as rig:
        rig.write(AT_US, "1")
        rig.write(AT_KR, "1")
        rig.cache.invalidate_many([AT_US, AT_KR])
        rig.until(AT_US, "1")
        rig.until(AT_KR, "1")
        with homes.hold(US):
            # what the server itself logs in between is newer than what was kept, too: then it is loaded once more
            loads = [_loads_of_a_session(rig, str(number)) for number in range(2, 7)]
        assert [AT_US] in loads


def _loads_of_a_session(rig: Rig, value: str) -> list[str]:
    """What is loaded for a session that wrote in one home, and for one with its bookmark."""
    with rig.kit.session() as session:
        rig.cache.get(AT_KR)
        rig.write(AT_US, value, session)
        rig.loads.clear()
        assert rig.cache.get(AT_US) == value
        bookmark = session.bookmark()
    with rig.kit.session(bookmark=bookmark) as later:
        assert rig.cache.get(AT_US) == value
        loads = list(rig.loads)
        with later.read("carts", key=AT_US) as db:
            assert rig.do.get(db, AT_US) == value
        assert rig.cache.get(AT_KR) == "1"
    return loads


def test_many_keys_are_one_load_for_each_home(homes: PartitionRig) -> None:
    """Those of a home together; each is kept."""
    asked: list[list[str]] = []

    def load_many(keys: list[str], store: Any) -> dict[str, Loaded]:
        asked.append(sorted(keys))
        with store.read(core=True) as db:
            found = (db.execute(text("SELECT name, value FROM things"))).all()
        return {name: Loaded(value) for name, value in found if name in keys}

    with Rig(homes, KR, strategy=Lazy(load_many=load_many, ttl=300, negative_ttl=60)) as rig:
        keys = [f"{home}:{number}" for home in HOMES for number in range(3)]
        for key in keys:
            rig.write(key, f"of {key}")
        rig.cache.invalidate_many(keys)
        found = rig.cache.get_many([*keys, f"{US}:none"], session=False)
        assert found == {key: f"of {key}" for key in keys}
        assert sorted(asked)[:2] == [sorted(keys[3:]), sorted([*keys[:3], f"{US}:none"])]
        asked.clear()
        assert rig.cache.get_many(keys, session=False) == found
        assert asked == []


def test_other_regions_hear_by_a_row_in_the_keys_home(homes: PartitionRig) -> None:
    """Each home has its rows, and each region reads those of each home."""
    with Rig(homes, US) as here, Rig(homes, KR) as there:
        for home, key in ((US, AT_US), (KR, AT_KR)):
            here.write(key, "1")
            there.cache.invalidate(key)
            there.until(key, "1")
            before = [there.rows(h, "k") for h in (home, *(h for h in HOMES if h != home))]
            here.write(key, "2")
            here.cache.invalidate(key)
            there.until(key, "2")
            assert [there.rows(h, "k") for h in (home, *(h for h in HOMES if h != home))] == [before[0] + 1, before[1]]


def test_tags_and_clear_reach_values_of_all_homes(homes: PartitionRig) -> None:
    """By a row in the nearest home. Its position says nothing of the other home, whose copy lags and is not believed."""

    def load(key: str, store: Any) -> Loaded:
        return Loaded(one.load(key, store), tags=("t",))

    lazy = Lazy(load=load, ttl=300)
    with Rig(homes, US, strategy=lazy) as one, Rig(homes, US, strategy=lazy) as two, Rig(homes, KR) as there:
        for number in range(30):  # positions there are above those of the nearest home
            one.write(f"{KR}:{number}", "x")
        for number, tell in enumerate((lambda: one.cache.invalidate_tag("t"), one.cache.clear)):
            for key in (AT_US, AT_KR):
                one.write(key, f"old {number}")
                for rig in (one, two, there):
                    rig.cache.invalidate(key)
                    rig.until(key, f"old {number}")
            with homes.hold(KR):
                for key in (AT_US, AT_KR):
                    one.write(key, f"new {number}")
                tell()
                assert one.cache.get(AT_KR, session=False) == f"new {number}"
                for rig in (two, one) if number == 0 else (two, one, there):
                    rig.until(AT_US, f"new {number}")
                    rig.until(AT_KR, f"new {number}")


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("down", [False, True])
def test_a_tag_told_before_counts_also_where_the_load_is_not_judged(
    homes: PartitionRig, monkeypatch: pytest.MonkeyPatch, *, together: bool, down: bool
) -> None:
    """News of the key take the load's lease away, or the tier goes down: the owner is read, and no copy that lags."""
    read: list[bool] = []

    def load(key: str, store: Any) -> Loaded:
        value = rig.load(key, store)
        read.append(store.owner)
        if len(read) == 1 and down:

            def gone(*_: Any) -> Any:
                monkeypatch.undo()
                raise TierDown("it went down")

            monkeypatch.setattr(rig.cache.tier, "commit", gone)
            monkeypatch.setattr(rig.cache.tier, "commit_many", gone)
        elif len(read) == 1:
            rig.cache.tier.invalidate([canonical(key)], NOTHING)
        return Loaded(value, tags=("t",))

    def load_many(keys: list[str], store: Any) -> dict[str, Loaded]:
        return {key: load(key, store) for key in keys}

    lazy = Lazy(load_many=load_many, ttl=300) if together else Lazy(load=load, ttl=300)
    with Rig(homes, US, strategy=lazy) as rig:
        rig.write(AT_KR, "old")
        rig.cache.invalidate(AT_KR)
        rig.until(AT_KR, "old")
        with homes.hold(KR):
            rig.write(AT_KR, "new")
            rig.cache.invalidate_tag("t")
            read.clear()
            if together:
                assert rig.cache.get_many([AT_KR], session=False) == {AT_KR: "new"}
            else:
                assert rig.cache.get(AT_KR, session=False) == "new"
            assert read[-1]


def through(rig: list[Rig]) -> WriteThrough:
    """Write-through with the rig's actions."""

    def store(db: Any, key: str, value: str) -> None:
        db.execute(text("DELETE FROM things WHERE name = :key"), {"key": key})
        db.execute(text("INSERT INTO things VALUES (:key, :value)"), {"key": key, "value": value})

    return WriteThrough(
        load=lambda key, of: rig[0].load(key, of), store=store, ttl=300, negative_ttl=60, write_timeout=3.0
    )


def test_a_put_is_made_in_the_keys_home(homes: PartitionRig) -> None:
    """With its intent's row, which tells the other region; and its session has seen it."""
    first: list[Rig] = []
    second: list[Rig] = []
    with Rig(homes, US, strategy=through(first)) as here, Rig(homes, KR, strategy=through(second)) as there:
        first.append(here)
        second.append(there)
        there.until(AT_KR, None)
        with homes.hold(KR):
            with here.kit.session() as session:
                here.cache.put(AT_KR, "1")
                with session.read("carts", key=AT_KR) as db:
                    assert here.do.get(db, AT_KR) == "1"
        with here.kit.session() as session:
            assert here.cache.get(AT_KR) == "1"
            with session.read("carts", key=AT_KR) as db:
                assert here.do.get(db, AT_KR) == "1"
        assert (homes.value(KR, AT_KR), homes.value(US, AT_KR)) == ("1", None)
        assert (here.rows(KR, "w"), here.rows(US, "w")) == (1, 0)
        there.until(AT_KR, "1")


@pytest.mark.parametrize("committed", [True, False])
def test_a_dead_write_is_found_out_in_the_keys_home(homes: PartitionRig, committed: bool) -> None:
    """Its tombstone stands there, and nowhere else."""
    rigs: list[Rig] = []
    with Rig(homes, US, strategy=through(rigs)) as rig:
        rigs.append(rig)
        rig.cache.put(AT_KR, "1")
        object.__setattr__(rig.cache.strategy, "write_timeout", 0.3)
        writer, id = rig.cache._writer, b"0123456789abcdef"
        writer.intend([AT_KR], id)
        if committed:
            intents = writer.parts[KR]
            with intents.backing.write(deadline=Deadline(SYSTEM_CLOCK, 20.0)) as unit:
                unit.native.execute(intents.statement(id, "w", writer.names([AT_KR])))
                rig.cache.strategy.store(unit.native, AT_KR, "2")  # type: ignore[union-attr]
        sleep(0.5)
        rig.until(AT_KR, "2" if committed else "1")
        assert (rig.rows(KR, "x"), rig.rows(US, "x")) == (0 if committed else 1, 0)


def test_a_tracked_transaction_in_a_home(homes: PartitionRig) -> None:
    """Its row stands there, and the other region hears."""
    first: list[Rig] = []
    with Rig(homes, US, strategy=through(first)) as here, Rig(homes, KR) as there:
        first.append(here)
        here.write(AT_US, "1")
        there.cache.invalidate(AT_US)
        there.until(AT_US, "1")
        with here.kit.session() as session, session.write("carts", key=AT_US) as db:
            db.connection()
            here.cache.track(db)
            db.execute(text("UPDATE things SET value = '2' WHERE name = :key"), {"key": AT_US})
            here.cache.touch([AT_US])
        assert (here.rows(US, "w"), here.rows(KR, "w")) == (1, 0)
        assert here.cache.get(AT_US, session=False) == "2"
        there.until(AT_US, "2")


def test_the_home_may_be_found_by_another_key(homes: PartitionRig) -> None:
    """`partition=`; without it a key that is no text is refused by its type."""
    with Rig(homes, KR, partition=lambda key: key[0] + ":") as rig:
        rig.write(f"{US}:7", "1")

        def load(key: Any, store: Any) -> Any:
            return rig.load(f"{key[0]}:{key[1]}", store)

        rig.cache.invalidate((US, 7))
        until(lambda: rig.cache.get_or_load((US, 7), load, session=False), "1")
        with pytest.raises(UnknownHome):
            rig.cache.get_or_load(("nowhere", 7), load)
    with Rig(homes, KR) as rig:
        with pytest.raises(ConfigurationError, match=r"a key of type int names no home.*partition="):
            rig.cache.get(7)


@pytest.mark.parametrize("home", [Directory(), Hashed(HOMES)], ids=["directory", "hashed"])
def test_homes_that_are_asked_for(sqlite_partition_rig: PartitionRig, home: Any) -> None:
    """Where a row, or a list that stands beside the data, says where a key lives: the cache asks as the store does."""
    with Rig(sqlite_partition_rig, KR, home=home) as rig:
        if isinstance(home, Directory):
            with pytest.raises(UnknownHome):
                rig.cache.get("c9")
            rig.kit.place("carts", key="c9", home=US)
        for key in ("c9", "c9", *(f"c{n}" for n in range(4) if isinstance(home, Hashed))):
            rig.write(key, f"of {key}")
            rig.cache.invalidate(key)
            assert rig.cache.get(key, session=False) == f"of {key}"
            assert sorted(str(sqlite_partition_rig.value(h, key)) for h in HOMES) == ["None", f"of {key}"]
        assert rig.rows(US, "k") + rig.rows(KR, "k") == (2 if isinstance(home, Directory) else 6)


def test_an_invalidation_of_a_key_without_a_home_is_told_here(homes: PartitionRig) -> None:
    """And of the others everywhere, before the error is raised."""
    with Rig(homes, KR) as rig:
        rig.write(AT_KR, "1")
        rig.cache.invalidate(AT_KR)
        rig.until(AT_KR, "1")
        rig.write(AT_KR, "2")
        with pytest.raises(UnknownHome):
            rig.cache.invalidate_many(["nowhere:a", AT_KR])
        assert rig.cache.get(AT_KR, session=False) == "2"
        assert rig.rows(KR, "k") == 2


def test_what_cannot_be_cached_so_is_refused(sqlite_partition_rig: PartitionRig) -> None:
    """Homes that only a caller knows; partition= where there are none."""
    with RegionKit(sqlite_partition_rig.topology(Contextual()), local=KR) as kit:
        with pytest.raises(ConfigurationError, match="only the caller knows a key's home"):
            kit.cache("carts", str, store="carts", strategy=Lazy(load=lambda key, store: None, ttl=60))
        with pytest.raises(ConfigurationError, match="is not partitioned"):
            kit.cache("orders", str, store="orders", strategy=Lazy(ttl=60), partition=str)


def test_two_processes_of_a_region_share_the_tails(homes: PartitionRig, shared_url: Callable[[], str]) -> None:
    """One account at the server: how far each home was told stands there by itself, and both see what came."""
    tiers = [Local(), Shared(shared_url())]
    with Rig(homes, US) as here, Rig(homes, KR, tiers=tiers) as one, Rig(homes, KR, tiers=tiers) as two:
        for key in (AT_US, AT_KR):
            here.write(key, "1")
            for rig in (one, two):
                rig.cache.invalidate(key)
                rig.until(key, "1")
            here.write(key, "2")
            here.cache.invalidate(key)
            for rig in (one, two):
                rig.until(key, "2")
        assert "written and invalidated in its home" in str(one.cache.explain())
