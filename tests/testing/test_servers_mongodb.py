"""MongoDB under the test kit: member tags, held secondaries, elections, members that die and come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymongo
import pytest
from fix_servers import absent
from pymongo.errors import PyMongoError
from pymongo.read_preferences import Nearest

from regionkit.testing import ServerUnavailable, servers
from regionkit.testing.servers import process
from regionkit.testing.servers.kinds.mongodb import MongodbNode, MongodbServers
from regionkit.testing.servers.nodes import wait_until

pytestmark = pytest.mark.mongodb

REGIONS = ["us-east-1", "ap-northeast-2", "eu-west-1"]


def _write(url: str, database: str, *ids: int) -> None:
    """Insert documents that a majority has when this returns; a driver's own retries apply."""
    with pymongo.MongoClient(url, w="majority", wTimeoutMS=20_000, serverSelectionTimeoutMS=20_000) as client:
        client[database].t.insert_many([{"_id": number} for number in ids])


def _ids(node: MongodbNode, database: str) -> list[int]:
    """What this member alone has."""
    with node.client() as client:
        return sorted(row["_id"] for row in client[database].t.find())


def _roles(mongo: MongodbServers) -> dict[str, bool]:
    """Of each member, whether it takes itself for the primary."""
    return {node.region: node.admin("hello")["isWritablePrimary"] for node in mongo.nodes}


def test_members_carry_their_region(mongo: MongodbServers) -> None:
    """Nodes come in the order of the regions, the members say so by tag, and a read by tag is served there."""
    assert [node.region for node in mongo.nodes] == REGIONS
    assert [node.admin("hello")["tags"] for node in mongo.nodes] == [{"region": region} for region in REGIONS]
    assert mongo.node("eu-west-1") is mongo.nodes[2]
    with pytest.raises(KeyError, match="us-east-1, ap-northeast-2, eu-west-1"):
        mongo.node("mars-1")
    database = mongo.database()
    _write(mongo.url, database, 1)
    with pymongo.MongoClient(mongo.url) as client:
        assert client.get_default_database().name == "test"
        for node in mongo.nodes:
            there = client.get_database(database, read_preference=Nearest(tag_sets=[{"region": node.region}]))
            cursor = there.t.find()
            cursor.to_list()
            assert cursor.address == (node.host, node.port)


def test_a_majority_write_reaches_all(mongo: MongodbServers) -> None:
    """What is written through the set's URL is on each member after wait_for_replicas."""
    database = mongo.database()
    _write(mongo.url_for(database), database, 1, 2)
    mongo.wait_for_replicas()
    assert [_ids(node, database) for node in mongo.nodes] == [[1, 2]] * 3


def test_replay_paused_holds_one_secondary(mongo: MongodbServers) -> None:
    """In a stream of writes a held secondary stands from the moment pause_replay returns; the others go on."""
    database = mongo.database()
    held, other = mongo.replicas
    written: list[int] = []
    enough = threading.Event()

    def write() -> None:
        with pymongo.MongoClient(mongo.url) as client:
            while not enough.is_set():
                client[database].t.insert_one({"_id": len(written)})
                written.append(len(written))

    writing = threading.Thread(target=write)
    writing.start()
    try:
        wait_until(lambda: _ids(held, database), "the writes arrive")
        held.pause_replay()
        seen = _ids(held, database)
        wait_until(lambda: len(written) > len(seen) + 20, "the writes go on")
        enough.set()
        writing.join(20)
        mongo.wait_for_replicas()
        assert _ids(held, database) == seen
        assert _ids(other, database) == written
    finally:
        enough.set()
        writing.join(20)
        held.resume_replay()
    mongo.wait_for_replicas()
    assert _ids(held, database) == written


def test_an_idle_secondary_is_held_too(mongo: MongodbServers) -> None:
    """The first write after pause_replay of a set where nothing goes on is not applied any more."""
    database = mongo.database()
    _write(mongo.url, database, 0)
    held = mongo.replicas[0]
    for number in range(1, 4):
        mongo.wait_for_replicas()
        held.pause_replay()
        try:
            _write(mongo.url, database, number)
            time.sleep(0.1)
            assert _ids(held, database) == list(range(number))
        finally:
            held.resume_replay()


def test_databases_are_fresh(mongo: MongodbServers) -> None:
    """Asking again for a database gives an empty one, on secondaries too; names given by the kit differ."""
    for _ in range(2):
        assert mongo.database("again") == "again"
        assert [_ids(node, "again") for node in mongo.nodes] == [[]] * 3
        _write(mongo.url, "again", 1)
    assert mongo.database() != mongo.database()


def test_step_down_and_promote_move_the_primary(own_mongo: Callable[..., MongodbServers]) -> None:
    """The first region's member is the primary at the start; then another one; then the one that was promoted."""
    mongo = own_mongo()
    first = mongo.primary
    assert (first.region, [node.region for node in mongo.replicas]) == (REGIONS[0], REGIONS[1:])
    second = mongo.step_down()
    assert second is not first
    assert mongo.primary is second
    third = next(node for node in mongo.replicas if node is not first)
    third.promote()
    assert mongo.primary is third
    wait_until(lambda: sum(_roles(mongo).values()) == 1, "the others have noticed")
    database = mongo.database()
    _write(third.url, database, 1)
    mongo.wait_for_replicas()
    assert _ids(first, database) == [1]


def test_kill_and_restart(own_mongo: Callable[..., MongodbServers]) -> None:
    """The others elect a primary when it is killed; back on its port it is a secondary with all that was written."""
    mongo = own_mongo()
    database = mongo.database()
    _write(mongo.url, database, 1)
    old = mongo.primary
    url = old.url
    old.kill()
    assert not old.alive
    with pytest.raises(PyMongoError), old.client(serverSelectionTimeoutMS=100) as client:
        client.admin.command("ping")
    begun = time.monotonic()
    new = mongo.primary
    assert new is not old
    assert time.monotonic() - begun < 10
    _write(mongo.url, database, 2)
    old.start()
    assert (old.alive, old.url) == (True, url)
    mongo.wait_for_replicas()
    assert _ids(old, database) == [1, 2]
    old.pause_replay()
    old.stop()  # a mongod that is held aborts when it is asked to end
    assert not old.alive
    old.start()
    _write(mongo.url, database, 3)
    mongo.wait_for_replicas()
    assert _ids(old, database) == [1, 2, 3]


def test_a_frozen_primary_is_replaced(own_mongo: Callable[..., MongodbServers]) -> None:
    """A frozen primary is alive and silent; another takes majority writes meanwhile, and it joins in after the thaw."""
    mongo = own_mongo()
    database = mongo.database()
    _write(mongo.url, database, 1)
    mongo.wait_for_replicas()
    old = mongo.primary
    begun = time.monotonic()
    old.freeze()
    assert old.alive
    with pytest.raises(PyMongoError), old.client(socketTimeoutMS=200, serverSelectionTimeoutMS=200) as client:
        client.admin.command("ping")
    new = mongo.wait_for_primary(instead_of=old)
    _write(new.url, database, 2)
    assert time.monotonic() - begun < 20
    old.thaw()
    assert mongo.primary is new  # for a moment both say that they are
    wait_until(lambda: not _roles(mongo)[old.region], "the old primary has noticed")
    mongo.wait_for_replicas()
    assert _ids(old, database) == [1, 2]


def test_all_ends_with_the_block(mongo: MongodbServers) -> None:
    """After the block no process and no folder is left; one region is a set too, and not the one of another block."""
    try:
        with servers.mongodb(["us-east-1"]) as alone:
            folder = Path(str(alone._workspace))
            _write(alone.url, alone.database(), 1)
            assert alone.replicas == []
            assert _set_id(alone) != _set_id(mongo)
            alone.primary.freeze()
    except ServerUnavailable as error:
        absent(str(error))
    assert not any(node.alive for node in alone.nodes)
    assert not folder.exists()


def _set_id(mongo: MongodbServers) -> Any:
    return mongo.primary.admin("replSetGetConfig")["config"]["settings"]["replicaSetId"]


def test_a_lost_race_for_a_port_is_run_again(
    mongo: MongodbServers, own_mongo: Callable[..., MongodbServers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member whose port was taken meanwhile starts on another one."""
    offers = iter([mongo.nodes[0].port, process.free_port()])
    monkeypatch.setattr("regionkit.testing.servers.nodes.free_port", lambda: next(offers))
    assert own_mongo(["us-east-1"]).primary.port != mongo.nodes[0].port


def test_mongodb_by_url(mongo: MongodbServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A given replica set is used in the asked order of regions, left running, and cannot be killed."""
    monkeypatch.setenv("REGIONKIT_TEST_MONGODB_URL", mongo.url)
    with servers.mongodb(REGIONS[::-1]) as given:
        assert [(node.region, node.url) for node in given.nodes] == [(n.region, n.url) for n in mongo.nodes[::-1]]
        assert given.primary.url == mongo.primary.url
        database = given.database("given")
        _write(given.url, database, 1)
        given.wait_for_replicas()
        with pytest.raises(servers.NotControllable, match="REGIONKIT_TEST_MONGODB_URL"):
            given.primary.kill()
    assert all(node.alive for node in mongo.nodes)
    assert _ids(mongo.primary, "given") == [1]
    with pytest.raises(ServerUnavailable, match=r"no member with the tag region=mars-1; found are ap-northeast-2"):
        servers.mongodb(["us-east-1", "mars-1"]).__enter__()


def test_an_absent_server_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no provider has one, the error names the command that would."""
    monkeypatch.setenv("REGIONKIT_TEST_PROVIDERS", "wheel")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ServerUnavailable,
        match=r"No MongoDB was found by the providers wheel.* run: .*(regionkit\[servers-mongo\]|brew)",
    ):
        servers.mongodb(REGIONS).__enter__()


@pytest.mark.parametrize("regions", [[], ["us-east-1", "us-east-1"], "us-east-1"])
def test_regions_must_differ(regions: Any) -> None:
    """One member a region is the promise; a string is not a list of regions."""
    with pytest.raises(ValueError, match="regions must be"):
        servers.mongodb(regions)
