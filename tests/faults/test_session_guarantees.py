"""Recorded sessions over every backend while copies are held back: no session guarantee is broken, none is vacuous."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from campaign import SIGNING, Campaign
from fix_rig_memory import MemoryActions
from fix_rig_sql import SqlActions, SqlStoreRig
from fix_rigs import Rig, make_tables, wait_until
from fix_store_rigs import REGIONS, StoreRig
from sqlalchemy import text

from regionkit import EVENTUAL, RegionKit
from regionkit.embedded import MemoryRegions, SqliteRegions
from regionkit.testing import Recorder, check

SECONDS = 4.0


def prepared(rig: StoreRig) -> bool:
    """Make the tables; whether BOUNDED reads are possible."""
    with RegionKit(rig.topology(), local=rig.topology().regions[0].name, bookmark_keys=[SIGNING]) as kit:
        kit.create_tables()
        capabilities = kit._store("orders").shards[0].capabilities
        assert capabilities is not None
        return capabilities.bounded


def holds(rig: StoreRig) -> bool:
    """Whether a copy of this backend can be held back."""
    return bool(getattr(rig, "holds", True))


@contextlib.contextmanager
def frozen(rig: Any) -> Iterator[None]:
    """A data centre answers nothing."""
    node = rig.cluster.nodes[-1]
    node.freeze()
    try:
        yield
    finally:
        node.thaw()


@pytest.mark.slow
def test_no_guarantee_is_broken_while_a_copy_lags(store_rig: StoreRig) -> None:
    """Four workers, three regions, sessions crossing them by bookmark; the nearest copy of one is held and let go."""
    bounded = prepared(store_rig)
    topology = store_rig.topology()
    regions = [region.name for region in topology.regions]
    remembers = store_rig.server != "cassandra"
    campaign = Campaign(topology, regions, store_rig.Actions, bounded=bounded, remembers=remembers)

    def disturb() -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with store_rig.held() if holds(store_rig) else frozen(store_rig):
                time.sleep(0.8)
            time.sleep(0.3 if holds(store_rig) else 1.5)
        if not holds(store_rig):
            node = store_rig.cluster.nodes[-1]
            node.kill()
            time.sleep(0.8)
            node.start()

    seconds = SECONDS if holds(store_rig) else 3.0 * SECONDS  # its drivers take seconds to connect
    history = campaign.run(seconds, disturb)
    campaign.verdict(history)
    assert len(history) > (60 if holds(store_rig) else 20)
    assert len(campaign.routes) > 1
    assert campaign.errors["StaleRead, lost"] == 0, "nothing can be lost here"


def test_without_the_bookmark_the_same_rig_breaks_promises(store_rig: StoreRig) -> None:
    """The check can fail: EVENTUAL reads, recorded as if they had been SESSION, miss the session's own writes."""
    if not holds(store_rig):
        assert (
            store_rig.server == "cassandra"
        )  # its unsound pairs of levels are enumerated in tests/facts/test_quorum.py
        return
    prepared(store_rig)
    wait_until(
        lambda: _naive(store_rig) == ["read your writes"], 30.0
    )  # a copy that is not asked, or late, shows nothing


def _naive(store_rig: StoreRig) -> list[str]:
    """What the checker finds when a session reads a held copy and claims that its bookmark was heeded."""
    recorder = Recorder("naive")
    do = store_rig.Actions
    with RegionKit(store_rig.topology(), local="ap-northeast-2", bookmark_keys=[SIGNING]) as kit, kit.session() as s:
        log = recorder.session()
        with log.write("k", 1), s.write("orders") as db:
            do.put(db, "k", "1")
        with store_rig.held():
            with log.write("k", 2), s.write("orders") as db:
                do.put(db, "k", "2")
            with log.read("k") as seen, s.read("orders", consistency=EVENTUAL) as db:
                found = do.get(db, "k")
                seen.version = None if found is None else int(found)
    return [violation.guarantee.value for violation in check(recorder.history())]


def rig_of(server: str, request: pytest.FixtureRequest) -> tuple[StoreRig, Any]:
    """A rig on three nodes of its own, and those."""
    made: Any
    if server == "mongo":
        from fix_rig_mongo import MongoRig

        made = request.getfixturevalue("own_mongo")()
        return MongoRig(made), made
    made = request.getfixturevalue({"postgresql": "own_pg"}.get(server, f"own_{server}"))(2)
    if server == "redis":
        from fix_rig_redis import RedisRig

        return RedisRig(made), made
    name = made.database()
    urls = [node.url_for(name) for node in made.nodes]
    make_tables(urls[0])
    rig = SqlStoreRig(
        Rig(server, urls, made.replicas[0].pause_replay, made.replicas[0].resume_replay, made.wait_for_replicas)
    )
    made.wait_for_replicas()
    return rig, made


@pytest.mark.parametrize("server", ["postgresql", "mariadb", "mysql", "redis", "mongo"])
def test_no_guarantee_is_broken_by_a_failover(server: str, request: pytest.FixtureRequest) -> None:
    """A copy is frozen, then held behind; the primary is killed, another promoted: promises hold, or reads are refused."""
    rig, servers = rig_of(server, request)
    bounded = prepared(rig)
    first, second, third = servers.nodes
    campaign = Campaign(rig.topology(), REGIONS, rig.Actions, bounded=bounded)
    before: list[int] = []

    def disturb() -> None:
        time.sleep(1.0)
        third.freeze()
        time.sleep(0.7)
        third.thaw()
        third.pause_replay()
        time.sleep(0.5)
        first.kill()
        time.sleep(0.3)
        if server != "mongo":  # it elects
            second.promote()
        third.resume_replay()
        if server != "mongo":
            third.follow(second)
        if server in (
            "postgresql",
            "mariadb",
            "mysql",
        ):  # an ordinary account cannot prove a promotion: an operator says it
            with RegionKit(rig.topology(), local=REGIONS[1], bookmark_keys=[SIGNING], profile="aggressive") as kit:
                kit.adopt("orders", REGIONS[1])
        before.append(campaign.acknowledged)
        time.sleep(3.0)
        if server == "mongo":
            first.start()
        else:
            first.follow(second)
        time.sleep(1.5)

    history = campaign.run(7.0, disturb)
    campaign.verdict(history, lossy=server != "mongo")  # what asynchronous replication had not sent is lost
    assert campaign.acknowledged > before[0] + 5, "writes did not go on after the failover"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_no_guarantee_is_broken_by_a_failover_of_embedded_regions(kind: str, tmp_path: Path) -> None:
    """The same on regions without a server, with a lag: what was not shipped is lost, and told."""
    made: Any
    if kind == "memory":
        made = MemoryRegions(store="orders", primary=REGIONS[0], replicas=REGIONS[1:], lag=0.05)
    else:
        made = SqliteRegions(tmp_path, store="orders", primary=REGIONS[0], replicas=REGIONS[1:], lag=0.05)
    with made as regions:
        with RegionKit(regions.topology, local=REGIONS[0], bookmark_keys=[SIGNING]) as kit:
            kit.create_tables()
            if kind == "sqlite":
                with kit.session() as s, s.write("orders") as db:
                    db.execute(text("CREATE TABLE things (name VARCHAR(100) PRIMARY KEY, value VARCHAR(100))"))
                time.sleep(2.0)  # forty times the lag: the copies have the table
        actions: Any = MemoryActions if kind == "memory" else SqlActions
        campaign = Campaign(regions.topology, REGIONS, actions, bounded=True)
        before: list[int] = []

        def disturb() -> None:
            time.sleep(1.0)
            regions.kill(REGIONS[0])
            time.sleep(0.3)
            regions.promote(REGIONS[1])
            before.append(campaign.acknowledged)
            time.sleep(1.0)
            regions.revive(REGIONS[0])
            time.sleep(1.0)

        history = campaign.run(4.0, disturb)
        campaign.verdict(history, lossy=True)
        assert campaign.acknowledged > before[0] + 5, "writes did not go on after the failover"
