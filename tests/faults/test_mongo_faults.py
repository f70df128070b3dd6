"""Members killed, frozen, elected and cut off: which member answers, what is known of a write, and when.

An error passes only where no member is eligible, and always inside the deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fix_rigs import NAMESPACE, wait_until

from regionkit import (
    EVENTUAL,
    STRONG,
    AsyncRegionKit,
    MongoStore,
    OutcomeUnknown,
    Region,
    RegionKit,
    RegionKitError,
    Topology,
)
from regionkit.backends.mongo.endpoint import MongoEndpoint
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import SystemClock
from regionkit.errors import ConfigurationError
from regionkit.testing import FaultProxy
from regionkit.topology import profile

HERE, FAR, THIRD = "ap-northeast-2", "us-east-1", "eu-west-1"
REGIONS = [FAR, HERE, THIRD]
KEY = "a key of more than sixteen characters"
GRACE = 1.0
"""Beyond the deadline, for a machine that is busy with other tests."""
QUICK = {"base": "balanced", "open_first": 0.5, "open_longest": 1.0, "hold_down": 0.2}


def topology(url: str) -> Topology:
    """One replica set, a member in each region."""
    store = MongoStore("orders", url=url)
    return Topology(namespace=NAMESPACE, regions=[Region(r) for r in REGIONS], stores=[store])


@contextlib.contextmanager
def kit_of(url: str) -> Iterator[RegionKit]:
    """A kit here, every member seen, one order written and to be read here."""
    with RegionKit(topology(url), local=HERE, profile=QUICK, bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        with kit.session() as s, s.write("orders", timeout=20) as db:
            db.things.replace_one({"_id": 1}, {"n": 0}, upsert=True)
        wait_until(lambda: all(e.lag is not None and e.lag < 2.0 for e in kit.status().endpoints), 20)
        wait_until(lambda: eventual(kit)[1] == HERE, 20)
        yield kit


def eventual(kit: RegionKit, timeout: float = 3.0) -> tuple[Any, str]:
    """An eventual read: the order, and the region that answered."""
    with kit.session() as s:
        found = s.execute_read("orders", lambda db: db.things.find_one({}), consistency=EVENTUAL, timeout=timeout)
        assert s.last_route is not None
        return found, s.last_route.region


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block may not outlive its deadline."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds + GRACE


def written_at_last(kit: RegionKit, key: int) -> str:
    """The region that took a write, however often it had to be tried."""

    def write() -> str:
        try:
            with kit.session() as s:
                with s.write("orders", timeout=3) as db:
                    db.things.replace_one({"_id": key}, {"n": 0}, upsert=True)
                assert s.last_route is not None
                return s.last_route.region
        except RegionKitError:
            return ""

    return str(wait_until(write, 30))


def counted(servers: Any, database: str = "test") -> int:
    """The counter at the primary, asked past the library."""
    with servers.primary.client() as client:
        found = client[database].things.find_one({"_id": 1})
        return 0 if found is None else int(found["n"])


def add_one(db: Any) -> None:
    """A write that must not be carried out twice."""
    db.things.update_one({"_id": 1}, {"$inc": {"n": 1}})


def test_a_killed_member_is_left_at_once(own_mongo: Any) -> None:
    """Here is dead: another one answers, in blocks too, as nothing was sent; here answers again after its return."""
    servers = own_mongo()
    with kit_of(servers.url) as kit:
        servers.node(HERE).kill()
        with within(1.0), kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            assert db.things.find_one({}) is not None
        with within(1.0):
            assert eventual(kit)[1] != HERE
        servers.node(HERE).start()
        wait_until(lambda: eventual(kit)[1] == HERE, 30)


def test_a_frozen_member_is_left_inside_the_deadline(own_mongo: Any) -> None:
    """Here is frozen: a read ends inside its deadline, sync and async, and the next ones go elsewhere."""
    servers = own_mongo()

    async def read() -> None:
        async with AsyncRegionKit(topology(servers.url), local=HERE) as kit:
            async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
                await db.things.find_one({})
            servers.node(HERE).freeze()
            with within(1.0), pytest.raises(TimeoutError):
                async with kit.session() as s, s.read("orders", consistency=EVENTUAL, timeout=1.0) as db:
                    await db.things.find_one({})
            servers.node(HERE).thaw()

    with kit_of(servers.url) as kit:
        servers.node(HERE).freeze()
        with within(1.0), contextlib.suppress(TimeoutError), kit.session() as s:
            with s.read("orders", consistency=EVENTUAL, timeout=1.0) as db:
                db.things.find_one({})
        wait_until(lambda: eventual(kit)[1] != HERE, 10)
        with within(0.5):
            assert eventual(kit)[1] != HERE
        servers.node(HERE).thaw()
        wait_until(lambda: eventual(kit)[1] == HERE, 30)
        asyncio.run(read())


def test_an_election_keeps_what_a_majority_had(own_mongo: Any) -> None:
    """The primary dies: writes go on at the next one, in a later term, and an earlier bookmark is good there and everywhere."""
    servers = own_mongo()
    with kit_of(servers.url) as kit:
        with kit.session() as s:
            with s.write("orders") as db:
                db.things.insert_one({"_id": "kept"})
            assert s.last_route is not None
            term = s.last_route.epoch
            bookmark = s.bookmark()
        servers.node(FAR).kill()
        region = written_at_last(kit, 2)
        assert region != FAR
        with kit.session(bookmark=bookmark) as s:
            for _ in range(20):
                found = s.execute_read("orders", lambda db: db.things.find_one({"_id": "kept"}), timeout=10)
                assert found is not None
            with s.write("orders", timeout=10) as db:
                db.things.insert_one({"_id": "after"})
            assert s.last_route is not None
            assert s.last_route.epoch > term
            found = s.execute_read("orders", lambda db: db.things.find_one({"_id": "after"}), timeout=10)
            assert found is not None


def test_of_two_primaries_the_later_elected_one_counts(own_mongo: Any) -> None:
    """A frozen primary that wakes up and still calls itself one takes no write and serves no session."""
    servers = own_mongo()
    with kit_of(servers.url) as kit:
        servers.node(FAR).freeze()
        assert written_at_last(kit, 2) != FAR
        servers.node(FAR).thaw()
        for number in range(30):
            with kit.session() as s:
                s.execute_write("orders", lambda db, n=number: db.things.insert_one({"_id": f"w{n}"}), timeout=10)
                assert s.last_route is not None
                assert s.last_route.region != FAR
                key = {"_id": f"w{number}"}
                assert s.execute_read("orders", lambda db, k=key: db.things.find_one(k), timeout=10) is not None


def test_a_write_without_a_majority_is_unknown_inside_the_deadline(own_mongo: Any) -> None:
    """It may survive or not: no failure, no success, and no wait beyond the deadline; STRONG does not answer either."""
    servers = own_mongo()
    with kit_of(servers.url) as kit:
        servers.node(HERE).freeze()
        servers.node(THIRD).freeze()
        with within(1.0), pytest.raises(OutcomeUnknown), kit.session() as s, s.write("orders", timeout=1.0) as db:
            db.things.insert_one({"_id": "perhaps"})
        with within(1.0), pytest.raises(RegionKitError), kit.session() as s:
            with s.read("orders", consistency=STRONG, timeout=1.0) as db:
                db.things.find_one({})
        servers.node(HERE).thaw()
        servers.node(THIRD).thaw()
        written_at_last(kit, 3)


@contextlib.contextmanager
def proxied(servers: Any) -> Iterator[tuple[FaultProxy, str]]:
    """A proxy in front of the primary, and the URL of the set through it."""
    with FaultProxy(servers.primary.url) as proxy:
        hosts = [proxy.url.split("//")[1].split("/")[0], *(node.address for node in servers.replicas)]
        yield proxy, f"mongodb://{','.join(hosts)}/test"


def test_a_lost_reply_is_one_execution_and_an_unknown_outcome(own_mongo: Any) -> None:
    """The driver does not send it again, and nobody says that it failed."""
    servers = own_mongo()
    with proxied(servers) as (proxy, url), kit_of(url) as kit:
        with within(1.5), pytest.raises(OutcomeUnknown), kit.session() as s, s.write("orders", timeout=1.5) as db:
            db.things.find_one({})
            proxy.drop_replies()
            add_one(db)
        proxy.heal()
        assert counted(servers) == 1


def test_a_keyed_write_whose_reply_is_lost_takes_effect_once(own_mongo: Any) -> None:
    """The marker commits with the effect, so the same key again, and resolve, know what became of it."""
    servers = own_mongo()
    with proxied(servers) as (proxy, url), kit_of(url) as kit:
        runs: list[int] = []

        def add(db: Any) -> str:
            add_one(db)
            runs.append(1)
            if len(runs) == 1:
                proxy.drop_replies()
            return "done"

        with pytest.raises(RegionKitError) as caught, kit.session() as s:
            s.execute_write("orders", add, idempotency_key="k1", timeout=2)
        assert isinstance(caught.value, OutcomeUnknown)
        proxy.heal()
        with kit.session() as s:
            wait_until(lambda: _keyed(s, add) == "done", 30)
        assert counted(servers) == 1
        assert kit.resolve(caught.value) == "yes"


def _keyed(session: Any, work: Any) -> Any:
    try:
        return session.execute_write("orders", work, idempotency_key="k1", timeout=5)
    except RegionKitError as e:
        print(str(e)[:700])
        time.sleep(1)
        return None


def test_a_tombstone_keeps_an_attempt_from_ever_committing(own_mongo: Any) -> None:
    """resolve says "no" only after it has made it so: an attempt that is still on its way then is refused."""
    servers = own_mongo()
    with kit_of(servers.url) as kit:
        error = OutcomeUnknown("a write.", store="orders", idempotency_key="k2", began_at=time.time())

        def late(db: Any) -> None:
            add_one(db)

        assert kit.resolve(error) == "no"
        assert kit.resolve(error) == "no"
        with kit.session() as s:  # the same key again is a new attempt: it takes the tombstone's place
            s.execute_write("orders", late, idempotency_key="k2")
        assert kit.resolve(error) == "yes"
        assert counted(servers) == 1


def test_a_member_without_its_tag_is_named_and_the_others_go_on(own_mongo: Any) -> None:
    """Where it stands cannot be told, so it is not used; the error says which one and what to do."""
    servers = own_mongo()
    config = servers.primary.admin("replSetGetConfig")["config"]
    bare = servers.node(THIRD)
    for member in config["members"]:
        if member["host"] == bare.address:
            member["tags"] = {}
    config["version"] += 1
    servers.primary.admin("replSetReconfig", config)
    wait_until(lambda: not bare.admin("hello").get("tags"), 20)
    store = MongoStore("orders", url=servers.url)
    member = next(e for e in store.shards([])[0].endpoints if e.id == bare.address)
    endpoint = MongoEndpoint(
        EndpointContext(NAMESPACE, store, member, profile("balanced"), SystemClock(), is_async=False)
    )
    with pytest.raises(ConfigurationError, match=bare.address):
        endpoint.probe(5.0, 5.0)
    endpoint.close()
    with RegionKit(topology(servers.url), local=THIRD) as kit, kit.session() as s:
        kit.create_tables()
        with s.write("orders") as db:
            db.things.insert_one({"_id": 1})
        with s.read("orders") as db:
            assert db.things.find_one({}) is not None
        assert s.last_route is not None
        assert s.last_route.region != THIRD


def test_a_cancelled_task_leaves_no_reply_behind(mongo_store_rig: Any) -> None:
    """The next block gets its own answers."""

    async def run() -> None:
        options = {"pool_size": 1}
        async with AsyncRegionKit(mongo_store_rig.topology(options=options), local=FAR) as kit:
            await kit.create_tables()
            async with kit.session() as s:
                async with s.write("orders") as db:
                    await db.things.insert_many([{"_id": n} for n in range(10)])

                async def slow() -> None:
                    async with kit.session() as other, other.read("orders", consistency=EVENTUAL) as db:
                        await db.things.find_one({"_id": 7, "$where": "sleep(400) || true"})

                task = asyncio.create_task(slow())
                await asyncio.sleep(0.1)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                for number in range(10):
                    async with s.read("orders", consistency=EVENTUAL) as db:
                        assert await db.things.find_one({"_id": number}) == {"_id": number}

    asyncio.run(run())


def test_a_forked_child_has_connections_of_its_own(mongo_store_rig: Any) -> None:
    """Parent and child go on side by side, and neither reads the other's answers."""
    with RegionKit(mongo_store_rig.topology(), local=FAR) as kit:
        kit.create_tables()

        def works(start: int) -> bool:
            with kit.session() as s:
                for number in range(start, start + 20):
                    with s.write("orders") as db:
                        db.things.insert_one({"_id": number})
                    with s.read("orders") as db:
                        if db.things.find_one({"_id": number}) != {"_id": number}:
                            return False
            return True

        assert works(0)
        child = os.fork()
        if child == 0:
            os._exit(0 if works(1000) else 1)
        assert works(2000)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
