"""Records of calls: which store takes what, what missing tables say, sweeping, and a store that fails at each step."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
import sqlalchemy
from fix_claims import ClaimStore
from sqlalchemy import text

from regionkit import AsyncRegionKit, ConfigurationError, RegionUnavailable
from regionkit.errors import InDoubt, OutcomeUnknown
from regionkit.messaging import AsyncMemoryRecords, AsyncRedisRecords, AsyncSqlRecords, idempotent
from regionkit.messaging.claim import Done, Wish, Won
from regionkit.messaging.claims.memory_async import AsyncMemoryClaims
from regionkit.messaging.records_async import AsyncCallRecords

IS_ASYNC = True
FORM = "_async" if IS_ASYNC else ""


@pytest.fixture
async def sql(sqlite_store_rig: Any) -> AsyncIterator[AsyncCallRecords]:
    """In SQLite."""
    async with ClaimStore("sqlite", sqlite_store_rig).opened_async() as opened:
        yield opened


async def test_a_store_of_another_kind_is_refused_where_it_is_written(
    sql: AsyncCallRecords, sqlite_store_rig: Any
) -> None:
    """An engine for Redis, a client for SQL, a URL, a class; a kit without the name of a store."""
    for kind, given in (
        (AsyncRedisRecords, sql._given),
        (AsyncSqlRecords, redis.asyncio.Redis() if IS_ASYNC else redis.Redis()),
        (AsyncSqlRecords, "sqlite:///x.db"),
        (AsyncSqlRecords, sqlalchemy.Engine),
    ):
        with pytest.raises(ConfigurationError):
            kind(given)
    async with AsyncRegionKit(sqlite_store_rig.topology(), local="us-east-1") as kit:
        with pytest.raises(ConfigurationError, match="store="):
            AsyncSqlRecords(kit)
        records = AsyncRedisRecords(kit, store="orders")
        with pytest.raises(ConfigurationError, match="cannot keep records in sqlite"):
            await records.create_tables()


@pytest.mark.parametrize("name", ["sqlite", "redis", "mongo", "cassandra"])
async def test_a_kits_store_keeps_calls(request: pytest.FixtureRequest, name: str) -> None:
    """On its owner, under the kit's namespace; the same record for who comes with another kit."""
    rig: Any = request.getfixturevalue(f"{name}_store_rig")
    store = ClaimStore(name, rig)
    regions = [region.name for region in rig.topology().regions]
    local = "us-east-1" if "us-east-1" in regions else regions[0]
    runs: list[int] = []

    async def work(id: int) -> int:
        runs.append(id)
        return len(runs)

    for _ in range(2):
        async with AsyncRegionKit(rig.topology(), local=local) as kit:
            records = store.made_async(kit)
            await kit.create_tables()
            await records.create_tables()
            call = idempotent(records, key=lambda id: id, name="k")(work)
            assert await call(1) == 1 == await call(1)
            await records.close()
    assert runs == [1]


@pytest.mark.parametrize("name", ["postgresql", "mariadb", "mongo", "cassandra"])
async def test_a_missing_table_says_what_to_call(request: pytest.FixtureRequest, name: str) -> None:
    """Nothing ran; after create_tables(), once or twice, it does."""
    store = ClaimStore(name, request.getfixturevalue(f"{name}_store_rig"))
    async with store.opened_async(namespace=f"bare{FORM}", make=False) as bare:
        await _without_a_table(bare)


async def _without_a_table(bare: AsyncCallRecords) -> None:
    runs: list[int] = []

    @idempotent(bare, key=lambda id: id)
    async def call(id: int) -> int:
        runs.append(id)
        return id

    with pytest.raises(ConfigurationError, match=r"create_tables\(\)"):
        await call(1)
    assert runs == []
    await bare.create_tables()
    await bare.create_tables()
    assert await call(1) == 1


async def test_rows_that_are_over_are_swept_and_no_others(sql: AsyncCallRecords) -> None:
    """By one at a time, a bounded number at once; what is held, done, or remembered for its fence stays."""
    claims = sql.claims
    ids = [os.urandom(4) for _ in range(12)]
    wishes = [Wish(b"s", id, os.urandom(16), keep=100.0) for id in ids]
    for wish in wishes:
        assert await claims.claim(wish, within=20.0) == Won(1)
    for wish in wishes[:10]:
        await claims.step("complete", wish, 1, within=20.0)
    assert await sql.sweep() == 0
    given: Any = sql._given
    old = "UPDATE claims_rk_idempotency SET forget = 1 WHERE state = 'done' AND id <> :kept AND scope = :scope"
    async with given.begin() as db:
        await db.execute(text(old), {"kept": ids[0], "scope": b"s"})
    other = Wish(b"regionkit", b"janitor", os.urandom(16))
    won = await claims.claim(other, within=20.0)
    assert isinstance(won, Won) and await sql.sweep() == 0, "another is at it"
    await claims.step("release", other, won.fence, within=20.0)
    assert await sql.sweep() == 9
    assert await sql.sweep() == 0
    assert await claims.claim(Wish(b"s", ids[0], os.urandom(16)), within=20.0) == Done(None)
    assert await claims.claim(Wish(b"s", ids[1], os.urandom(16)), within=20.0) == Won(1)


async def test_in_memory_what_is_over_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own order; the table is bounded, and says so when it is full."""

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        wall = monotonic

    monkeypatch.setattr(f"regionkit.messaging.claims.memory{FORM}.MOST_KEPT", 10)
    clock = Clock()
    claims = AsyncMemoryClaims(clock)
    for number in range(10):
        wish = Wish(b"s", b"%d" % number, b"o", keep=86_400.0 if number % 2 else 200_000.0)
        await claims.claim(wish, within=1.0)
        await claims.step("complete", wish, 1, within=1.0)
    with pytest.raises(RegionUnavailable, match="remembered"):
        await claims.claim(Wish(b"s", b"x", b"o"), within=1.0)
    clock.now = 86_300.0
    assert await claims.sweep(within=1.0) == 0
    clock.now = 86_500.0
    assert await claims.claim(Wish(b"s", b"x", b"o"), within=1.0) == Won(1)
    assert await claims.sweep(within=1.0) == 3
    assert isinstance(await claims.claim(Wish(b"s", b"0", b"p"), within=1.0), Done)


class Failing:
    """Claims of which some steps fail: before they are made, or after."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.fail: list[tuple[str, Exception, bool]] = []

    async def close(self) -> None:
        await self.inner.close()

    async def _made(self, name: str, call: Any) -> Any:
        for at, (step, error, after) in enumerate(self.fail):
            if step == name:
                del self.fail[at]
                if after:
                    await call()
                raise error
        return await call()

    async def claim(self, wish: Wish, *, within: float) -> Any:
        return await self._made("claim", lambda: self.inner.claim(wish, within=within))

    async def step(self, step: Any, wish: Wish, fence: int, *, result: bytes | None = None, within: float) -> Any:
        return await self._made(step, lambda: self.inner.step(step, wish, fence, result=result, within=within))


async def test_a_store_that_fails_at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost answer to a claim is asked for again, one to "done" too; a store that stays away: nothing ran, or it is in doubt."""
    records = AsyncMemoryRecords()
    failing: Any = Failing(records.claims)
    records.claims = failing
    runs: list[int] = []
    lost, down = OutcomeUnknown("no answer"), RegionUnavailable("down")

    @idempotent(records, key=lambda id: id)
    async def call(id: int) -> int:
        runs.append(id)
        if id < 0:
            raise ValueError(id)
        return id

    failing.fail = [("claim", lost, True), ("complete", lost, True), ("complete", down, False)]
    assert await call(1) == 1 == await call(1)
    assert runs == [1] and not failing.fail
    failing.fail = [("claim", down, False)]
    with pytest.raises(RegionUnavailable):
        await call(2)
    failing.fail = [("claim", lost, True), ("claim", lost, True)]
    with pytest.raises(OutcomeUnknown):
        await call(3)
    assert runs == [1]
    failing.fail = [("release", down, False)]
    with pytest.raises(ValueError, match="-4"):
        await call(-4)
    monkeypatch.setattr(f"regionkit.messaging.keyed_call{FORM}.FINISH_WITHIN", 0.2)
    failing.fail = [("complete", down, False)] * 50
    with pytest.raises(InDoubt) as caught:
        await call(5)
    assert caught.value.committed == "unknown" and isinstance(caught.value.__cause__, RegionUnavailable)
