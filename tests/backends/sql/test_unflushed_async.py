"""What PostgreSQL logs for a transaction that rolls back is written down soon: until then all copies look as if they lagged."""

from __future__ import annotations

import time
from typing import Any
from unittest import mock

import pytest
from fix_rigs import Rig
from sqlalchemy import create_engine, text
from waiting_async import seen

from regionkit import AsyncRegionKit
from regionkit.backends.sql.observation import Unflushed, postgres_observation
from regionkit.core.concurrency_async import asleep

from .test_own_engine_async import HERE, KEY, engine_of, topology_of

PATIENCE = 30.0
LOGGED = text("SELECT pg_logical_emit_message(false, 'test', 'as a page that is tidied up when it is read')")


def answer(position: int, flushed: int | None, *, replica: bool = False) -> list[str | None]:
    """What PostgreSQL says."""
    last = None if flushed is None else str(flushed)
    told = ["t" if replica else "f", "1", str(position), None if replica else "0" * 24, None, "7", "f", "0", "t", None]
    return [*told, str(position) if replica else None, last]


async def test_an_owner_is_told_when_it_stands_still() -> None:
    """At the second look that finds the same end of the log, and the same part of it on disk nowhere."""
    looks = [(100, 100), (164, 100), (228, 100), (228, 100), (228, 100), (262, 228), (262, 262)]
    unflushed = Unflushed()
    seen = [postgres_observation(answer(position, flushed), 0.0, 0.0) for position, flushed in looks]
    assert [one.unflushed for one in seen] == [False, True, True, True, True, True, False]
    assert [unflushed.looked(one) for one in seen] == [False, False, False, True, True, False, False]
    assert not postgres_observation(answer(228, None, replica=True), 0.0, 0.0).unflushed


def logged(engine: Any) -> int:
    """Something is logged for nobody who waits for it; where the log ends then."""
    with engine.connect() as db:
        db.execute(LOGGED)
        end = int(db.execute(text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")).scalar_one())
        db.rollback()
    return end


@pytest.mark.parametrize("own", [False, True])
async def test_copies_of_an_owner_at_rest_are_fresh(postgresql_rig: Rig, own: bool) -> None:
    """A reader logged something and rolled back: without anybody's commit the copies get it, and prove that they are fresh."""
    engines = [engine_of(url, pool_size=1, max_overflow=0) for url in postgresql_rig.urls]
    topology = topology_of(engines) if own else postgresql_rig.topology()
    plain = create_engine(postgresql_rig.urls[0])
    async with AsyncRegionKit(topology, local=HERE, bookmark_keys=[KEY]) as kit:
        await seen(kit)
        shard = kit._store("orders").shards[0]
        until = time.monotonic() + PATIENCE
        server: Any = getattr(shard.backends[0], "_server" if own else "server")
        with mock.patch.object(type(server), "flush", autospec=True, side_effect=type(server).flush) as told:
            owner, end = None, 0
            while True:
                waits = owner is not None and owner.unflushed
                if not waits and not told.call_count:  # at first; or the server has written it down by itself
                    end = logged(plain)
                owner, *copies = [await shard.probe(index) for index in range(3)]
                assert owner is not None
                if told.call_count and all(copy is not None and copy.reached >= end for copy in copies):
                    break
                assert time.monotonic() < until, "no copy gets what was logged"
                await asleep(0.01)
    plain.dispose()
    for engine in engines:
        await engine.dispose()


async def test_who_may_not_do_that_waits(postgresql_rig: Rig) -> None:
    """The server refuses: the endpoint is healthy, and the connection stays."""
    async with AsyncRegionKit(postgresql_rig.topology(), local=HERE, bookmark_keys=[KEY]) as kit:
        await seen(kit)
        shard = kit._store("orders").shards[0]
        backend: Any = shard.backends[0]
        with mock.patch("regionkit.backends.sql.postgres_server.FLUSHED", "SELECT 1/0"):
            with mock.patch.object(backend._unflushed, "looked", return_value=True):
                connection = backend._monitor
                assert await shard.probe(0) is not None
        assert backend._monitor is connection
