# Generated from test_data_set_async.py by scripts/twins.py. Do not edit.
"""A replica that begins anew keeps its run and its clients, with other data: nothing of them passes for what was proved."""

from __future__ import annotations

import time
from typing import Any

import pytest
from fix_rigs import wait_until

from regionkit import (
    EVENTUAL,
    Endpoint,
    RedisStore,
    Region,
    RegionKit,
    RegionKitError,
    Role,
    StaleRead,
    Topology,
)
from regionkit.core.concurrency import sleep

US, KR = "us-east-1", "ap-northeast-2"


def kit_of(servers: Any) -> RegionKit:
    """A kit beside the replica."""
    ends = [
        Endpoint(r, Role.REPLICA if i else Role.PRIMARY, n.url) for i, (r, n) in enumerate(zip((US, KR), servers.nodes))
    ]
    store = RedisStore("carts", endpoints=ends, options={"decode_responses": True})
    topology = Topology(namespace="shop", regions=[Region(US), Region(KR)], stores=[store])
    return RegionKit(topology, local=KR)


def written(kit: RegionKit, servers: Any, *, still: bool = True) -> str:
    """The bookmark of a value, once the replica has it and the kit knows."""
    with kit.session() as s:
        with s.write("carts") as db:
            db.set("k", "1")
        bookmark = s.bookmark()
    servers.wait_for_replicas()
    end = time.monotonic() + 20.0
    while True:
        with kit.session(bookmark=bookmark) as s:
            with s.read("carts") as db:
                assert db.get("k") == "1"
            if s.last_route is not None and s.last_route.region == KR:
                break
        assert time.monotonic() < end
        sleep(0.02)
    if still:
        kit._monitor.stop()  # from here on it learns nothing by itself
    return bookmark


def emptied(servers: Any) -> None:
    """The primary dies with its data, and the replica follows it."""
    with servers.replicas[0].client() as replica:
        servers.primary.kill()
        servers.primary.start()
        wait_until(lambda: replica.get("k") is None and replica.info("replication")["master_link_status"] == "up", 30)


@pytest.mark.parametrize("how", ["command", "pipeline", "transaction", "script"])
def test_what_is_shown_of_other_data_is_not_given_out(own_redis: Any, how: str) -> None:
    """Neither in a block that was open, nor in a new one on a connection of the pool; EVENTUAL asks for nothing."""
    servers = own_redis(1)
    with kit_of(servers) as kit:
        kit.create_tables()
        bookmark = written(kit, servers)

        def got(db: Any) -> Any:
            if how == "command":
                return db.get("k")
            if how == "script":
                return db.eval_ro("return redis.call('GET', KEYS[1])", 1, "k")
            pipeline = db.pipeline(transaction=how == "transaction")
            pipeline.get("k")
            pipeline.strlen("k")
            return (pipeline.execute())[0]

        with pytest.raises(StaleRead, match="were replaced during a read block") as caught:
            with kit.session(bookmark=bookmark) as s, s.read("carts") as db:
                assert got(db) == "1"
                emptied(servers)
                got(db)
        assert caught.value.retryable
        with pytest.raises(StaleRead):
            with kit.session(bookmark=bookmark) as s, s.read("carts", timeout=2.0) as db:
                got(db)
        with kit.session(bookmark=bookmark) as s, s.read("carts", consistency=EVENTUAL) as db:
            assert db.get("k") is None


def test_a_function_reads_elsewhere_when_the_data_are_exchanged(own_redis: Any) -> None:
    """The primary has all: the function runs again there."""
    servers = own_redis(1)
    with kit_of(servers) as kit:
        kit.create_tables()
        bookmark = written(kit, servers)
        runs: list[str] = []

        def work(db: Any) -> Any:
            if not runs:
                db.get("k")
                with servers.primary.client() as primary, servers.replicas[0].client() as replica:
                    offset = replica.info("replication")["master_replid"]
                    primary.config_set("repl-backlog-ttl", 1)
                    replica.replicaof("NO", "ONE")
                    replica.flushall()  # what it has now is no copy of anything
                    wait_until(lambda: replica.info("replication")["master_replid"] != offset)
            runs.append("run")
            return db.get("k")

        with kit.session(bookmark=bookmark) as s:
            assert s.execute_read("carts", work) == "1"
            assert s.last_route is not None and s.last_route.region == US
        assert len(runs) == 2


@pytest.mark.slow
def test_no_bookmarked_read_of_an_emptied_store_answers_nothing(own_redis: Any) -> None:
    """Read as often as can be while the data are exchanged, under an ordinary monitor."""
    servers = own_redis(1)
    with kit_of(servers) as kit:
        kit.create_tables()
        bookmark = written(kit, servers, still=False)
        servers.primary.kill()
        servers.primary.start()
        loop_end = time.monotonic() + 3.0
        while time.monotonic() < loop_end:
            try:
                with kit.session(bookmark=bookmark) as s, s.read("carts", timeout=1.0) as db:
                    assert db.get("k") == "1"
            except RegionKitError:
                continue
