"""Write-through: whoever dies when, readers see the old or the new value, and the table's value in the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import copy
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from regionkit.caching import AsyncCache, Lazy, Loaded, Local, Shared, WriteThrough
from regionkit.caching.steps import TierDown
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import agather, asleep
from regionkit.core.deadline import Deadline
from regionkit.errors import (
    CacheError,
    ConfigurationError,
    OutcomeUnknown,
    RegionKitError,
    RegionUnavailable,
    UsageError,
)
from regionkit.testing import FaultProxy, crash_points

IS_ASYNC = True
UPSERT = {
    "mysql": "INSERT INTO accounts VALUES (:id, :n) ON DUPLICATE KEY UPDATE n = :n",
    "other": "INSERT INTO accounts VALUES (:id, :n) ON CONFLICT (id) DO UPDATE SET n = :n",
}


class Boom(Exception):
    """The application's own."""


class Rig:
    """A write-through cache over one database, and what its functions did."""

    def __init__(self, accounts: Any, tiers: list[Any], *, tenant: str = "", **options: Any) -> None:
        self.engine = accounts.make(is_async=IS_ASYNC)
        self.loads = 0
        self.fail: Exception | None = None
        self.inside: Callable[[], Any] | None = None
        self.cache: AsyncCache[int] = AsyncCache(
            "accounts",
            int,
            tiers=tiers,
            tenant=tenant,
            backing=self.engine,
            strategy=WriteThrough(load=self.load, store=self.store, ttl=300, negative_ttl=60, **options),
        )

    async def load(self, key: str) -> int | None:
        self.loads += 1
        async with self.engine.connect() as db:
            found = await db.execute(text("SELECT n FROM accounts WHERE id = :id"), {"id": key})
            return found.scalar()  # type: ignore[no-any-return]

    async def store(self, db: Any, key: str, value: int) -> None:
        dialect = db.get_bind().dialect.name
        statement = UPSERT["mysql" if dialect in ("mysql", "mariadb") else "other"]
        await db.execute(text(statement), {"id": key, "n": value})
        if self.inside is not None:
            await self.inside()
        if self.fail is not None:
            raise self.fail

    async def __aenter__(self) -> Rig:
        await self.cache.create_tables()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cache.close()
        await self.engine.dispose()


async def test_a_put_is_read_and_stands_in_the_table(tiered: Any) -> None:
    """With the row of its intent, in one transaction."""
    async with Rig(*tiered) as rig:
        assert await rig.cache.get("a") is None
        await rig.cache.put("a", 1)
        assert await rig.cache.get("a") == 1
        await rig.cache.put("a", 2)
        assert (await rig.cache.get("a"), tiered.accounts.value("a"), tiered.accounts.rows("w")) == (2, 2, 2)


async def test_what_was_put_is_published(tiered: Any) -> None:
    """The next get loads nothing."""
    async with Rig(*tiered) as rig:
        await rig.cache.put("a", 1)
        assert await rig.cache.get("a") == 1
        assert rig.loads == 0


async def test_a_store_that_raises_changes_nothing(tiered: Any) -> None:
    """The error is the application's, the value is the old one, and it is cached again."""
    async with Rig(*tiered) as rig:
        await rig.cache.put("a", 1)
        rig.fail = Boom("no")
        with pytest.raises(Boom):
            await rig.cache.put("a", 2)
        assert (await rig.cache.get("a"), tiered.accounts.value("a"), tiered.accounts.rows("w")) == (1, 1, 1)
        loads = rig.loads
        assert await rig.cache.get("a") == 1
        assert rig.loads == loads


async def test_nobody_is_given_what_may_be_rolled_back(tiered: Any) -> None:
    """A get inside the write sees the old value, and does not keep it: after the COMMIT nobody has it."""
    if tiered.accounts.url.startswith("sqlite"):
        pytest.skip("SQLite has one writer, and readers wait for it")
    async with Rig(*tiered) as rig:
        await rig.cache.put("a", 1)
        found = []

        async def look() -> None:
            found.append(await rig.cache.get("a"))

        rig.inside = look
        await rig.cache.put("a", 2)
        assert (found, await rig.cache.get("a")) == ([1], 2)


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_commit_without_an_answer(tiered: Any, arrives: bool) -> None:
    """The caller hears that nobody knows; readers see what the table says, and it is kept again when the intent is settled."""
    if tiered.accounts.url.startswith("sqlite"):
        pytest.skip("there is no connection that could be lost")
    proxied = copy(tiered.accounts)
    with FaultProxy(proxied.url) as proxy:
        proxied.url = proxy.url

        def broken() -> None:
            proxy.cut()
            proxy.heal()

        async with Rig(proxied, tiered.tiers) as rig:
            await rig.cache.put("a", 1)
            object.__setattr__(rig.cache.strategy, "write_timeout", 4.0)
            with (
                crash_points({"cache.stored": proxy.drop_replies if arrives else broken}),
                pytest.raises(RegionKitError) as caught,
            ):
                await rig.cache.put("a", 2)
            proxy.heal()
            assert (type(caught.value), caught.value.committed) in [
                (OutcomeUnknown, "unknown"),
                *([] if arrives else [(RegionUnavailable, "no")]),
            ]
            end, loads = time.monotonic() + 30.0, -1
            while loads != rig.loads or await rig.cache.get("a") != tiered.accounts.value("a"):
                assert time.monotonic() < end
                loads = rig.loads
                assert await rig.cache.get("a") == tiered.accounts.value("a")
                await asleep(0.05)
            assert tiered.accounts.value("a") == (2 if arrives else 1)


async def test_a_value_of_another_type_is_refused_before_anything_is_written(accounts: Any) -> None:
    """Nothing stands in the table."""
    async with Rig(accounts, [Local()]) as rig:
        wrong: Any = "seven"
        with pytest.raises(CacheError, match="cannot be cached"):
            await rig.cache.put("a", wrong)
        assert accounts.value("a") is None


async def test_store_may_say_what_is_published(accounts: Any) -> None:
    """Triggers and defaults: what the row holds is not what was put."""

    async def doubled(db: Any, key: str, value: int) -> Any:
        await rig.store(db, key, 2 * value)
        return Loaded(2 * value, ttl=30.0)

    async with Rig(accounts, [Local()]) as rig:
        object.__setattr__(rig.cache.strategy, "store", doubled)
        await rig.cache.put("a", 4)
        assert (await rig.cache.get("a"), accounts.value("a"), rig.loads) == (8, 8, 0)


async def test_the_store_cannot_end_the_transaction(accounts: Any) -> None:
    """It would commit without its intent's end."""

    async def commits(db: Any, key: str, value: int) -> None:
        await rig.store(db, key, value)
        await db.commit()

    async with Rig(accounts, [Local()]) as rig:
        object.__setattr__(rig.cache.strategy, "store", commits)
        with pytest.raises(UsageError):
            await rig.cache.put("a", 4)
        assert (accounts.value("a"), await rig.cache.get("a")) == (None, None)


async def test_a_store_that_is_a_generator_is_refused(accounts: Any) -> None:
    """Nothing runs it: the value would be cached, and stand in no row."""

    def generates(db: Any, key: str, value: int) -> Any:
        yield db, key, value

    async with Rig(accounts, [Local()]) as rig:
        object.__setattr__(rig.cache.strategy, "store", generates)
        with pytest.raises(UsageError, match="generator"):
            await rig.cache.put("a", 4)
        assert (accounts.value("a"), await rig.cache.get("a")) == (None, None)


async def test_a_write_that_was_given_up_can_never_commit(accounts: Any) -> None:
    """A tombstone goes in under its id; what comes after that is refused by the database."""
    async with Rig(accounts, [Local()]) as rig:
        intents = rig.cache._writer.intents
        deadline = Deadline(SYSTEM_CLOCK, 20.0)
        assert await intents.never(b"0123456789abcdef", deadline)
        with pytest.raises(IntegrityError):
            async with intents.backing.write(deadline=deadline) as unit:
                await unit.native.execute(intents.statement(b"0123456789abcdef", "w", []))
        async with intents.backing.write(deadline=deadline) as unit:
            await unit.native.execute(intents.statement(b"fedcba9876543210", "w", []))
        assert not await intents.never(b"fedcba9876543210", deadline)


@pytest.mark.parametrize("committed", [True, False])
async def test_whoever_meets_a_dead_write_finds_out(tiered: Any, committed: bool) -> None:
    """The writer died before or after its COMMIT: the next get gives what the table says, and it is cached again."""
    async with Rig(*tiered) as rig:
        await rig.cache.put("a", 1)
        object.__setattr__(rig.cache.strategy, "write_timeout", 0.3)
        writer = rig.cache._writer
        id = b"0123456789abcdef"
        await writer.intend(["a"], id)
        if committed:
            async with writer.intents.backing.write(deadline=Deadline(SYSTEM_CLOCK, 20.0)) as unit:
                await unit.native.execute(writer.intents.statement(id, "w", writer.names(["a"])))
                await rig.store(unit.native, "a", 2)
        expected = 2 if committed else 1
        assert await rig.cache.get("a") == expected  # from the owner, while the intent is alive
        await asleep(0.5)
        end, loads = time.monotonic() + 20.0, -1
        while loads != rig.loads:  # the row may be told once more
            assert time.monotonic() < end
            loads = rig.loads
            assert await rig.cache.get("a") == expected
        assert tiered.accounts.rows("x") == (0 if committed else 1)


async def test_a_reader_that_cannot_find_out_leaves_it_to_those_who_can(accounts: Any, shared_url: Any) -> None:
    """A cache of the same name without a backing: as long as nobody has settled a dead write, it keeps nothing."""
    if accounts.url.startswith("sqlite"):
        pytest.skip("one server will do")
    tiers = [Shared(shared_url())]
    async with Rig(accounts, tiers) as rig, AsyncCache("accounts", int, tiers=tiers, strategy=Lazy(ttl=300)) as other:
        await rig.cache.put("a", 1)
        object.__setattr__(rig.cache.strategy, "write_timeout", 0.3)
        await rig.cache._tails[""].close()
        await rig.cache._writer.intend(["a"], b"0123456789abcdef")
        await asleep(0.5)
        for value in (1, 2):  # the writer commits between the two, and dies
            assert await other.get_or_load("a", lambda key, value=value: value) == value
        assert await rig.cache.get("a") == 1
        assert accounts.rows("x") == 1


async def test_writers_and_readers_of_one_key_agree_in_the_end(tiered: Any) -> None:
    """Many rounds of puts that overlap; after each round the cache says what the table says."""
    rounds = 5 if tiered.accounts.url.startswith("sqlite") else 25
    async with Rig(*tiered) as rig:
        for number in range(rounds):

            async def put(value: int) -> None:
                await rig.cache.put("a", value)

            async def read() -> None:
                for _ in range(5):
                    await rig.cache.get("a")

            values = [10 * number + n for n in range(3)]
            results = await agather([*(_bound(put, value) for value in values), read, read])
            failed = [r for r in results if isinstance(r, BaseException)]
            assert not failed or tiered.accounts.url.startswith("sqlite"), failed
            assert await rig.cache.get("a") == tiered.accounts.value("a")


def _bound(call: Callable[[int], Any], value: int) -> Callable[[], Any]:
    return lambda: call(value)


async def test_without_the_shared_tier_a_put_is_refused_before_it_writes(accounts: Any, own_redis: Any) -> None:
    """Readers of other processes would have kept the old value."""
    server = own_redis()
    async with Rig(accounts, [Local(), Shared(server.primary.url)]) as rig:
        await rig.cache.put("a", 1)
        server.primary.kill()
        with pytest.raises(CacheError) as caught:
            await rig.cache.put("a", 2)
        assert (caught.value.committed, caught.value.retryable, accounts.value("a")) == ("no", True, 1)


async def test_without_the_shared_tier_a_put_may_go_on_and_its_row_tells(accounts: Any, own_redis: Any) -> None:
    """`on_shared_down="commit"`: the value of another process is gone as soon as the tier answers and the row was read."""
    server = own_redis(settings=["--appendonly", "yes", "--appendfsync", "always"])
    tiers = [Local(), Shared(server.primary.url)]
    async with Rig(accounts, tiers, on_shared_down="commit") as rig, Rig(accounts, tiers) as other:
        await rig.cache.put("a", 1)
        assert await other.cache.get("a") == 1
        server.primary.kill()
        await rig.cache.put("a", 2)
        assert accounts.value("a") == 2
        server.primary.start()
        end = time.monotonic() + 30.0
        while await other.cache.get("a") != 2:
            assert time.monotonic() < end
            await asleep(0.05)


async def test_without_a_backing_the_store_commits_by_itself(accounts: Any) -> None:
    """And `explain` says what a crash leaves behind."""
    values: dict[str, int] = {}
    strategy = WriteThrough(load=values.get, store=values.__setitem__, ttl=60)
    async with AsyncCache("accounts", int, strategy=strategy) as cache:
        await cache.put("a", 1)
        assert (await cache.get("a"), values) == (1, {"a": 1})
        assert any("stale for up to ttl" in limit for limit in cache.explain().limits)


async def test_a_writer_that_stands_still_stops_no_reader(accounts: Any) -> None:
    """Its transaction holds the row of its intent: gets give the owner's value, and store nothing, until it has ended."""
    if accounts.url.startswith("sqlite"):
        pytest.skip("SQLite has one writer")
    async with Rig(accounts, [Local()]) as rig:
        await rig.cache.put("a", 1)
        object.__setattr__(rig.cache.strategy, "write_timeout", 0.3)
        writer = rig.cache._writer
        id = b"0123456789abcdef"
        async with rig.engine.connect() as db:
            await writer.intend(["a"], id)
            await db.execute(writer.intents.statement(id, "w", writer.names(["a"])))
            await db.execute(text("UPDATE accounts SET n = 2 WHERE id = 'a'"))
            await asleep(0.4)
            for _ in range(3):
                assert await rig.cache.get("a") == 1
            assert rig.loads == 3
            await db.commit()
        assert await rig.cache.get("a") == 2


async def test_the_tail_tells_the_keys_of_a_tenant(accounts: Any, shared_url: Callable[[], str]) -> None:
    """What another region wrote: the tenant's entry at the server goes, whichever tenant's cache tails."""
    tiers = [Shared(shared_url())]
    async with Rig(accounts, tiers, tenant="blue") as rig, Rig(accounts, tiers, tenant="red") as other:
        await rig.cache.put("a", 1)
        assert (await rig.cache.get("a"), await other.cache.get("b")) == (1, None)
        writer = rig.cache._writer
        async with rig.engine.begin() as db:
            await db.execute(writer.intents.statement(b"0123456789abcdef", "w", writer.names(["a"])))
            await db.execute(text("UPDATE accounts SET n = 2 WHERE id = 'a'"))
        end = time.monotonic() + 20.0
        while await rig.cache.get("a") != 2:
            assert time.monotonic() < end
            await asleep(0.05)


async def test_who_comes_after_a_put_that_was_not_published_joins_no_older_load(
    accounts: Any, shared_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tier goes down between the COMMIT and the publication: a load that began before is not taken."""
    async with Rig(accounts, [Shared(shared_url())]) as rig:
        cache = rig.cache

        async def began_before() -> None:
            cache._flights.board("a", cache.strategy.load)

        async def down(*_: Any) -> None:
            raise TierDown("gone")

        rig.inside = began_before
        monkeypatch.setattr(cache.tier, "publish", down)
        await cache.put("a", 1)
        assert await cache.get("a") == 1
        assert rig.loads == 1
        _, leads = cache._flights.board("a", cache.strategy.load)
        assert leads


async def test_a_put_without_its_table_says_which_call_makes_it(accounts: Any) -> None:
    """Nothing is written, and no reader waits for it; a table of the application's that is missing is its own error."""
    rig = Rig(accounts, [Local()])
    with pytest.raises(ConfigurationError, match=r"no table 'regionkit_rk_cache_intent'.*create_tables\(\)"):
        await rig.cache.put("a", 1)
    assert (await rig.cache.get("a"), accounts.value("a")) == (None, None)
    await rig.cache.create_tables()
    await rig.cache.put("a", 1)

    async def elsewhere() -> None:
        async with rig.engine.connect() as db:
            await db.execute(text("SELECT * FROM nowhere"))

    rig.inside = elsewhere
    with pytest.raises(DBAPIError, match="nowhere"):
        await rig.cache.put("a", 2)
    assert await rig.cache.get("a") == 1
    await rig.cache.close()
    await rig.engine.dispose()


async def test_a_late_row_is_told_beside_a_cache_that_writes_more(
    accounts: Any, shared_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of other caches are no numbers to wait for: those of a slow transaction are not crowded out by them."""
    if accounts.url.startswith("sqlite"):
        pytest.skip("SQLite has one writer")

    async def until(key: str) -> None:
        end = time.monotonic() + 20.0
        while await rig.cache.get(key) != 2:
            assert time.monotonic() < end, key
            await asleep(0.05)

    async with Rig(accounts, [Shared(shared_url())]) as rig:
        monkeypatch.setitem(type(rig.cache._tails[""])._passed.__globals__, "MOST_LEFT_OUT", 5)
        intents, names = rig.cache._writer.intents, rig.cache._writer.names
        others = type(intents)(intents.backing, "others", SYSTEM_CLOCK)
        for key in "ab":
            await rig.cache.put(key, 1)
            assert await rig.cache.get(key) == 1
        async with rig.engine.connect() as late:
            await late.execute(intents.statement(b"0" * 16, "w", names(["a"])))
            await late.execute(text("UPDATE accounts SET n = 2 WHERE id = 'a'"))
            async with rig.engine.begin() as db:
                for number in range(20):
                    await db.execute(others.statement(b"%016d" % (number + 1), "k", []))
                await db.execute(intents.statement(b"1" * 16, "w", names(["b"])))
                await db.execute(text("UPDATE accounts SET n = 2 WHERE id = 'b'"))
            await until("b")
            await late.commit()
        await until("a")
