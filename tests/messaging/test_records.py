# Generated from test_records_async.py by scripts/twins.py. Do not edit.
"""Records of calls: which store takes what, what missing tables say, sweeping, and a store that fails at each step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import sqlalchemy
from fix_claims import ClaimStore
from sqlalchemy import text

from regionkit import ConfigurationError, RegionKit, RegionUnavailable
from regionkit.errors import InDoubt, OutcomeUnknown
from regionkit.messaging import MemoryRecords, RedisRecords, SqlRecords, idempotent
from regionkit.messaging.claim import Done, Wish, Won
from regionkit.messaging.claims.memory import MemoryClaims
from regionkit.messaging.records import CallRecords

IS_ASYNC = False
FORM = "_async" if IS_ASYNC else ""


@pytest.fixture
def sql(sqlite_store_rig: Any) -> Iterator[CallRecords]:
    """In SQLite."""
    with ClaimStore("sqlite", sqlite_store_rig).opened() as opened:
        yield opened


def test_a_store_of_another_kind_is_refused_where_it_is_written(sql: CallRecords, sqlite_store_rig: Any) -> None:
    """An engine for Redis, a client for SQL, a URL, a class; a kit without the name of a store."""
    for kind, given in (
        (RedisRecords, sql._given),
        (SqlRecords, redis.asyncio.Redis() if IS_ASYNC else redis.Redis()),
        (SqlRecords, "sqlite:///x.db"),
        (SqlRecords, sqlalchemy.Engine),
    ):
        with pytest.raises(ConfigurationError):
            kind(given)
    with RegionKit(sqlite_store_rig.topology(), local="us-east-1") as kit:
        with pytest.raises(ConfigurationError, match="store="):
            SqlRecords(kit)
        records = RedisRecords(kit, store="orders")
        with pytest.raises(ConfigurationError, match="cannot keep records in sqlite"):
            records.create_tables()


@pytest.mark.parametrize("name", ["sqlite", "redis", "mongo", "cassandra"])
def test_a_kits_store_keeps_calls(request: pytest.FixtureRequest, name: str) -> None:
    """On its owner, under the kit's namespace; the same record for who comes with another kit."""
    rig: Any = request.getfixturevalue(f"{name}_store_rig")
    store = ClaimStore(name, rig)
    regions = [region.name for region in rig.topology().regions]
    local = "us-east-1" if "us-east-1" in regions else regions[0]
    runs: list[int] = []

    def work(id: int) -> int:
        runs.append(id)
        return len(runs)

    for _ in range(2):
        with RegionKit(rig.topology(), local=local) as kit:
            records = store.made(kit)
            kit.create_tables()
            records.create_tables()
            call = idempotent(records, key=lambda id: id, name="k")(work)
            assert call(1) == 1 == call(1)
            records.close()
    assert runs == [1]


@pytest.mark.parametrize("name", ["postgresql", "mariadb", "mongo", "cassandra"])
def test_a_missing_table_says_what_to_call(request: pytest.FixtureRequest, name: str) -> None:
    """Nothing ran; after create_tables(), once or twice, it does."""
    store = ClaimStore(name, request.getfixturevalue(f"{name}_store_rig"))
    with store.opened(namespace=f"bare{FORM}", make=False) as bare:
        _without_a_table(bare)


def _without_a_table(bare: CallRecords) -> None:
    runs: list[int] = []

    @idempotent(bare, key=lambda id: id)
    def call(id: int) -> int:
        runs.append(id)
        return id

    with pytest.raises(ConfigurationError, match=r"create_tables\(\)"):
        call(1)
    assert runs == []
    bare.create_tables()
    bare.create_tables()
    assert call(1) == 1


def test_rows_that_are_over_are_swept_and_no_others(sql: CallRecords) -> None:
    """By one at a time, a bounded number at once; what is held, done, or remembered for its fence stays."""
    claims = sql.claims
    ids = [os.urandom(4) for _ in range(12)]
    wishes = [Wish(b"s", id, os.urandom(16), keep=100.0) for id in ids]
    for wish in wishes:
        assert claims.claim(wish, within=20.0) == Won(1)
    for wish in wishes[:10]:
        claims.step("complete", wish, 1, within=20.0)
    assert sql.sweep() == 0
    given: Any = sql._given
    old = "UPDATE claims_rk_idempotency SET forget = 1 WHERE state = 'done' AND id <> :kept AND scope = :scope"
    with given.begin() as db:
        db.execute(text(old), {"kept": ids[0], "scope": b"s"})
    other = Wish(b"regionkit", b"janitor", os.urandom(16))
    won = claims.claim(other, within=20.0)
    assert isinstance(won, Won) and sql.sweep() == 0, "another is at it"
    claims.step("release", other, won.fence, within=20.0)
    assert sql.sweep() == 9
    assert sql.sweep() == 0
    assert claims.claim(Wish(b"s", ids[0], os.urandom(16)), within=20.0) == Done(None)
    assert claims.claim(Wish(b"s", ids[1], os.urandom(16)), within=20.0) == Won(1)


def test_in_memory_what_is_over_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own order; the table is bounded, and says so when it is full."""

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        wall = monotonic

    monkeypatch.setattr(f"regionkit.messaging.claims.memory{FORM}.MOST_KEPT", 10)
    clock = Clock()
    claims = MemoryClaims(clock)
    for number in range(10):
        wish = Wish(b"s", b"%d" % number, b"o", keep=86_400.0 if number % 2 else 200_000.0)
        claims.claim(wish, within=1.0)
        claims.step("complete", wish, 1, within=1.0)
    with pytest.raises(RegionUnavailable, match="remembered"):
        claims.claim(Wish(b"s", b"x", b"o"), within=1.0)
    clock.now = 86_300.0
    assert claims.sweep(within=1.0) == 0
    clock.now = 86_500.0
    assert claims.claim(Wish(b"s", b"x", b"o"), within=1.0) == Won(1)
    assert claims.sweep(within=1.0) == 3
    assert isinstance(claims.claim(Wish(b"s", b"0", b"p"), within=1.0), Done)


class Failing:
    """Claims of which some steps fail: before they are made, or after."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.fail: list[tuple[str, Exception, bool]] = []

    def close(self) -> None:
        self.inner.close()

    def _made(self, name: str, call: Any) -> Any:
        for at, (step, error, after) in enumerate(self.fail):
            if step == name:
                del self.fail[at]
                if after:
                    call()
                raise error
        return call()

    def claim(self, wish: Wish, *, within: float) -> Any:
        return self._made("claim", lambda: self.inner.claim(wish, within=within))

    def step(self, step: Any, wish: Wish, fence: int, *, result: bytes | None = None, within: float) -> Any:
        return self._made(step, lambda: self.inner.step(step, wish, fence, result=result, within=within))


def test_a_store_that_fails_at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost answer to a claim is asked for again, one to "done" too; a store that stays away: nothing ran, or it is in doubt."""
    records = MemoryRecords()
    failing: Any = Failing(records.claims)
    records.claims = failing
    runs: list[int] = []
    lost, down = OutcomeUnknown("no answer"), RegionUnavailable("down")

    @idempotent(records, key=lambda id: id)
    def call(id: int) -> int:
        runs.append(id)
        if id < 0:
            raise ValueError(id)
        return id

    failing.fail = [("claim", lost, True), ("complete", lost, True), ("complete", down, False)]
    assert call(1) == 1 == call(1)
    assert runs == [1] and not failing.fail
    failing.fail = [("claim", down, False)]
    with pytest.raises(RegionUnavailable):
        call(2)
    failing.fail = [("claim", lost, True), ("claim", lost, True)]
    with pytest.raises(OutcomeUnknown):
        call(3)
    assert runs == [1]
    failing.fail = [("release", down, False)]
    with pytest.raises(ValueError, match="-4"):
        call(-4)
    monkeypatch.setattr(f"regionkit.messaging.keyed_call{FORM}.FINISH_WITHIN", 0.2)
    failing.fail = [("complete", down, False)] * 50
    with pytest.raises(InDoubt) as caught:
        call(5)
    assert caught.value.committed == "unknown" and isinstance(caught.value.__cause__, RegionUnavailable)
