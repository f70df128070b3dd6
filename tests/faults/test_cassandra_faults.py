"""Cassandra with nodes killed, frozen and back: what was sent is told truly, and what was seen stays seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.query import SimpleStatement
from fix_certificates import certificate
from fix_rig_cassandra import GET, PUT, REGIONS, CassandraActions, CassandraStoreRig
from fix_rigs import NAMESPACE, wait_until
from fix_servers import entered

from regionkit import (
    EVENTUAL,
    AsyncRegionKit,
    CassandraStore,
    DeadlineExceeded,
    NoEligibleEndpoint,
    OutcomeUnknown,
    Region,
    RegionKit,
    RegionUnavailable,
    StaleRead,
    Topology,
)
from regionkit.contract.outcomes import Refused
from regionkit.core.deadline import Deadline
from regionkit.facts.request import Kind
from regionkit.testing import servers

pytestmark = pytest.mark.cassandra  # clusters of its own: no fixture says so

KEY = "a key of more than sixteen characters"
HERE, THERE = "ap-northeast-2", "eu-west-1"
PATIENT: dict[str, Any] = {
    "base": "balanced",
    "read_deadline": 15.0,
    "write_deadline": 30.0,
    "probe_timeout": 2.0,
    "open_first": 0.2,
    "open_longest": 0.5,
    "hold_down": 0.1,
    "trip_probes": 1000,
    "trip_errors": 1000,
}
"""Breakers stay closed: what a call itself does with a dead node is looked at."""
do = CassandraActions


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Without hints: what a node missed, it goes on missing."""
    with contextlib.ExitStack() as stack:
        offer = servers.cassandra({"us-east-1": 1, "eu-west-1": 1}, settings={"hinted_handoff_enabled": "false"})
        yield entered(stack, offer)


@pytest.fixture
def rig(cluster: Any) -> Iterator[CassandraStoreRig]:
    """A keyspace of its own; whatever a test did to the nodes, the next one finds them up."""
    yield CassandraStoreRig(cluster)
    for node in cluster.nodes:
        node.thaw()
        node.start()


def kit_of(rig: CassandraStoreRig, local: str = HERE, **options: Any) -> RegionKit:
    return RegionKit(rig.topology(**options), local=local, bookmark_keys=[KEY], profile=PATIENT)


@contextlib.contextmanager
def frozen(node: Any) -> Iterator[None]:
    """It holds its connections and answers nothing."""
    node.freeze()
    try:
        yield
    finally:
        node.thaw()


def test_what_was_seen_of_an_unacknowledged_write_is_not_missed_elsewhere(rig: CassandraStoreRig) -> None:
    """EACH_QUORUM and LOCAL_QUORUM meet everywhere, and yet a value of a write that failed is in one data centre only."""
    there = rig.cluster.node("eu-west-1")
    options = {"write_level": "EACH_QUORUM", "read_level": "LOCAL_QUORUM"}
    with kit_of(rig, options=options) as here, kit_of(rig, THERE, options=options) as other:
        here.create_tables()
        with other.session() as s, s.read("orders") as cql:
            do.get(cql, "a")
        there.kill()
        with pytest.raises(OutcomeUnknown), here.session() as s, s.write("orders", timeout=6.0) as cql:
            do.put(cql, "a", "tea")
        with here.session() as s:
            with s.read("orders") as cql:
                assert do.get(cql, "a") == "tea"
            bookmark = s.bookmark()
        there.start()
        wait_until(lambda: _answers(other, THERE), 120.0)
        with other.session(bookmark=bookmark) as s:
            with s.read("orders", consistency=EVENTUAL) as cql:
                assert do.get(cql, "a") is None  # the data centre itself does not have it
            with s.read("orders") as cql:
                assert do.get(cql, "a") == "tea"
            assert s.last_route is not None
            assert s.last_route.region == HERE


def test_a_frozen_node_costs_the_deadline_and_no_more(rig: CassandraStoreRig) -> None:
    """A read says so, or goes on elsewhere; a write has an unknown outcome; no thread hangs."""
    node = rig.cluster.node("us-east-1")
    with kit_of(rig) as kit, kit.session() as s:
        with s.write("orders") as cql:
            do.put(cql, "a", "tea")
        wait_until(lambda: _writes(kit), 60.0)  # a busy machine may have led the write elsewhere
        with frozen(node):
            began = time.monotonic()
            with pytest.raises(OutcomeUnknown):
                _write(s, 1.0)
            assert time.monotonic() - began < 5.0
            began = time.monotonic()
            with contextlib.suppress(DeadlineExceeded):  # or it is known by now, and passed over
                _read(s, 1.0)
            assert time.monotonic() - began < 5.0
            assert kit.session().execute_read("orders", lambda cql: do.get(cql, "b"), consistency=EVENTUAL) is None
        rig.cluster.wait_until_up()
        wait_until(lambda: _writes(kit), 120.0)
        with s.read("orders") as cql:  # the session goes on: an unacknowledged write is promised to nobody
            assert do.get(cql, "a") == "milk"


def test_what_the_drivers_helper_sent_without_an_answer_is_unknown(rig: CassandraStoreRig) -> None:
    """Of many statements at once the first that fails leaves the block; the others may be there too."""
    node = rig.cluster.node("us-east-1")
    with kit_of(rig) as kit, kit.session() as s:
        with s.write("orders") as cql:
            execute_concurrent_with_args(cql, PUT, [("a", "tea"), ("b", "tea")])
        wait_until(lambda: _writes(kit), 60.0)  # a busy machine may have led the write elsewhere
        with frozen(node):
            with pytest.raises(OutcomeUnknown), s.write("orders", timeout=3.0) as cql:
                execute_concurrent_with_args(cql, PUT, [("a", "milk"), ("b", "milk"), ("c", "milk")], concurrency=2)
        rig.cluster.wait_until_up()
        wait_until(lambda: _writes(kit), 120.0)


def _read(s: Any, timeout: float) -> None:
    with s.read("orders", consistency=EVENTUAL, timeout=timeout) as cql:
        do.get(cql, "a")


def _write(s: Any, timeout: float) -> None:
    with s.write("orders", timeout=timeout) as cql:
        do.put(cql, "a", "milk")


def _writes(kit: RegionKit) -> bool:
    """Whether the near data centre takes writes."""
    with kit.session() as s:
        try:
            _write(s, 3.0)
        except (RegionUnavailable, DeadlineExceeded, OutcomeUnknown, NoEligibleEndpoint):
            return False
        return s.last_route is not None and s.last_route.region == HERE


def _answers(kit: RegionKit, region: str) -> bool:
    """Whether reads are served there."""
    with kit.session() as s:
        try:
            _read(s, 3.0)
        except (RegionUnavailable, DeadlineExceeded, NoEligibleEndpoint):
            return False
        return s.last_route is not None and s.last_route.region == region


def test_a_killed_node_loses_nothing_that_was_acknowledged(rig: CassandraStoreRig) -> None:
    """Where nothing was sent, the next data centre takes the write; the node comes back into use by itself."""
    node = rig.cluster.node("us-east-1")
    with kit_of(rig) as kit:
        with kit.session() as s, s.write("orders") as cql:
            do.put(cql, "a", "tea")
        node.kill()

        def elsewhere() -> bool:
            with kit.session() as s:
                try:
                    s.execute_write("orders", lambda cql: do.put(cql, "b", "milk"))
                except (RegionUnavailable, OutcomeUnknown):
                    return False
                assert s.execute_read("orders", lambda cql: do.get(cql, "b")) == "milk"
                return s.last_route is not None and s.last_route.region == THERE

        wait_until(elsewhere, 60.0)
        node.start()
        wait_until(lambda: _writes(kit), 120.0)
        rig.cluster.wait_until_up()
        assert rig.value("a") == "milk"


def test_a_session_outlives_the_data_centre_that_it_read(rig: CassandraStoreRig) -> None:
    """Its bookmark still says where it read; nowhere else is that sure to be, and there it is again once it is back."""
    node = rig.cluster.node("us-east-1")
    with kit_of(rig) as kit, kit_of(rig, THERE) as other:
        with kit.session() as s:
            with s.write("orders") as cql:
                do.put(cql, "a", "tea")
            with s.read("orders") as cql:
                do.get(cql, "a")
            node.kill()
            wait_until(lambda: not _answers(kit, HERE), 60.0)
            bookmark = s.bookmark()
        with other.session(bookmark=bookmark) as s:
            with pytest.raises((RegionUnavailable, StaleRead, NoEligibleEndpoint)), s.read("orders") as cql:
                do.get(cql, "a")
            node.start()
            wait_until(lambda: _answers(kit, HERE), 120.0)
            with s.read("orders", timeout=10.0) as cql:
                assert do.get(cql, "a") == "tea"
            assert s.last_route is not None
            assert s.last_route.region == HERE


def test_a_condition_needs_most_replicas_of_all_data_centres(rig: CassandraStoreRig) -> None:
    """With one of two data centres dead its outcome is unknown at first, refused for sure later; plain writes go on."""
    with kit_of(rig) as kit, kit.session() as s:
        rig.cluster.ddl("CREATE TABLE seats (name text PRIMARY KEY, value text)", keyspace=rig.keyspace)
        text = "INSERT INTO seats (name, value) VALUES ('a', 'x') IF NOT EXISTS"
        with s.write("orders") as cql:
            assert cql.execute(text).was_applied
        rig.cluster.node("eu-west-1").kill()
        with pytest.raises((OutcomeUnknown, DeadlineExceeded)) as caught, s.write("orders") as cql:
            cql.execute(text)
        assert caught.value.committed == "unknown"
        rig.cluster.wait_until_down(rig.cluster.node("eu-west-1"))
        with pytest.raises(OutcomeUnknown), kit.session() as other, other.write("orders") as cql:
            cql.execute(text)
        with kit.session() as other, other.write("orders") as cql:
            do.put(cql, "a", "tea")


def test_too_few_replicas_is_a_sure_no(rig: CassandraStoreRig) -> None:
    """The coordinator refuses before it writes anywhere: nothing has to be looked up, and a retry does no harm."""
    options = {"write_level": "EACH_QUORUM", "read_level": "LOCAL_QUORUM"}
    with kit_of(rig, options=options) as kit, kit.session() as s:
        with s.write("orders") as cql:
            do.put(cql, "a", "tea")
        rig.cluster.node("eu-west-1").kill()
        rig.cluster.wait_until_down(rig.cluster.node("eu-west-1"))
        with pytest.raises(RegionUnavailable) as caught, s.write("orders") as cql:
            do.put(cql, "a", "milk")
        assert caught.value.committed == "no"
        with s.read("orders") as cql:
            assert do.get(cql, "a") == "tea"


async def test_a_cancelled_task_leaves_its_answer_to_nobody(rig: CassandraStoreRig) -> None:
    """The next statement on the shared connection gets its own answer; the session does not call its write made."""
    node = rig.cluster.node("us-east-1")
    await asyncio.to_thread(rig.cluster.wait_until_up)  # the test before may have killed the other data centre
    async with AsyncRegionKit(rig.topology(), local=HERE, profile=PATIENT) as kit:
        async with kit.session() as s, s.write("orders") as cql:
            await cql.execute("INSERT INTO things (name, value) VALUES ('a', 'tea')")
        assert await asyncio.to_thread(rig.value, "a") == "tea"  # every replica: wherever it is read, it is there
        store: Any = kit._store("orders").shards[0]

        async def stuck() -> None:
            async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as cql:
                await cql.execute("SELECT name, value FROM things")

        async def read_near() -> bool:
            async with kit.session() as s:
                async with s.read("orders", consistency=EVENTUAL) as cql:
                    await cql.execute(GET, ("a",))
                return s.last_route is not None and s.last_route.region == HERE

        end = time.monotonic() + 60.0
        while not await read_near():  # a busy machine may have led the write elsewhere, and no connection here yet
            assert time.monotonic() < end, f"the near data centre serves nothing:\n{kit.status()}"
            await asyncio.sleep(0.1)
        with frozen(node):
            tasks = [asyncio.ensure_future(stuck()) for _ in range(5)]
            end = time.monotonic() + PATIENT["read_deadline"] / 3.0
            while store.state.loads[REGIONS.index(HERE)] < 5:  # each has sent its statement to the node that is silent
                assert time.monotonic() < end
                await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            began = time.monotonic()
            gone = await asyncio.gather(*tasks, return_exceptions=True)
            assert (
                time.monotonic() - began < PATIENT["read_deadline"] / 3.0
            )  # nothing else ends while the node is silent
            assert all(isinstance(one, asyncio.CancelledError) for one in gone)
        await asyncio.to_thread(rig.cluster.wait_until_up)
        for _ in range(20):
            async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as cql:
                assert (await cql.execute(GET, ("a",))).one() == ("tea",)


def test_nothing_listens_where_the_url_points(rig: CassandraStoreRig) -> None:
    """One dead contact point is passed over; with none alive the error says which data centre cannot be had, and no secret."""
    node = rig.cluster.node("us-east-1")
    dead = f"cassandra://shop:s3cr3t@127.0.0.1:9,{node.host}:{node.port}/{rig.keyspace}"
    with kit_of(rig, url=dead) as kit, kit.session() as s, s.read("orders", consistency=EVENTUAL) as cql:
        assert do.get(cql, "a") is None
    with kit_of(rig, url="cassandra://shop:s3cr3t@127.0.0.1:9/shop") as kit, kit.session() as s:
        with pytest.raises((RegionUnavailable, NoEligibleEndpoint)) as caught, s.read("orders") as cql:
            do.get(cql, "a")
    assert "s3cr3t" not in str(caught.value) + repr(caught.value) + repr(rig.topology(url=dead))


@pytest.fixture(scope="module")
def pair() -> Iterator[Any]:
    """A data centre of two nodes, each with all data. The last test kills one."""
    with contextlib.ExitStack() as stack:
        yield entered(stack, servers.cassandra({"us-east-1": 2}, replication={"us-east-1": 2}))


def _kit_of_pair(pair: Any, **profile: Any) -> tuple[CassandraStoreRig, RegionKit]:
    rig = CassandraStoreRig(pair)
    store = CassandraStore("orders", url=rig.url, options={"write_level": "ONE", "read_level": "ALL"})
    topology = Topology(namespace=NAMESPACE, regions=[Region("us-east-1")], stores=[store])
    return rig, RegionKit(topology, local="us-east-1", profile=profile or PATIENT)


def test_one_node_that_hangs_closes_no_data_centre(pair: Any) -> None:
    """It costs the calls that were on it, and one a while; then the other node serves, and nothing is refused."""
    _, made = _kit_of_pair(pair, base="balanced")
    with made as kit:
        wait_until(lambda: len(_addresses(kit)) == 2, 60.0)
        pair.nodes[1].freeze()
        try:
            failed, end = [], time.monotonic() + 8.0
            while time.monotonic() < end:
                try:
                    with kit.session() as s, s.write("orders", timeout=1.0) as cql:
                        do.put(cql, "a", "tea")
                except OutcomeUnknown as error:
                    failed.append(error)
                assert all(e.read_breaker == e.write_breaker == "closed" for e in kit.status().endpoints)
                time.sleep(0.01)
            assert 1 <= len(failed) <= 4
        finally:
            pair.nodes[1].thaw()
            pair.wait_until_up()


def test_only_an_idempotent_statement_goes_on_to_another_node(pair: Any) -> None:
    """Of two nodes of one data centre one is lost with statements of two blocks: the ones that may run twice are served."""
    rig, made = _kit_of_pair(pair, **{**PATIENT, "probe_timeout": 10.0})  # a node found silent would be asked last
    with made as kit:
        wait_until(lambda: len(_addresses(kit)) == 2, 60.0)
        lost = pair.nodes[1]
        with kit.session() as s, kit.session() as other:
            with s.write("orders") as again:
                do.put(again, "b", "tea")
                lost.freeze()
                for number in range(4):  # the nodes take turns
                    again.execute_async(SimpleStatement(PUT, is_idempotent=True), (f"a{number}", "tea"))
                with pytest.raises(OutcomeUnknown), other.write("orders") as once:
                    sent = {f"b{n}": once.execute_async(SimpleStatement(PUT), (f"b{n}", "tea")) for n in range(4)}
                    time.sleep(0.2)
                    lost.kill()
        found = {name for name, _ in pair.nodes[0].cql("SELECT name, value FROM things", keyspace=rig.keyspace)}
        assert found >= {f"a{number}" for number in range(4)}
        here = {name for name, one in sent.items() if one._current_host.address == pair.nodes[0].host}
        assert 0 < len(here) < 4  # two, unless a question of the monitor's took a turn in between
        assert found & sent.keys() == here  # what the lost node had is nowhere


def _addresses(kit: RegionKit) -> set[str]:
    """Of the nodes that answer."""
    with kit.session() as s, s.read("orders", consistency=EVENTUAL) as cql:
        return {cql.execute("SELECT rpc_address FROM system.local").one().rpc_address for _ in range(4)}


def test_tls_with_a_node_that_has_none_is_named(cassandra_store_rig: CassandraStoreRig) -> None:
    """By a read, and by the status; it does not pass by itself."""
    with kit_of(cassandra_store_rig, tls="require") as kit, kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught, s.read("orders") as cql:
            do.get(cql, "a")
        assert caught.value.cause == Refused.TLS.value[0]
        assert not caught.value.retryable
        wait_until(lambda: Refused.TLS.value[0] in str(kit.status()), 30.0)


def test_a_certificate_is_verified_and_what_is_wrong_with_it_named(tmp_path: Path) -> None:
    """Trusted and for the node's address it is taken; unknown, or another node's, it is refused."""
    cert, key = certificate(tmp_path, "IP:127.0.0.1")  # the first node's address, not the second's
    pem = {"private_key": key.read_text() + cert.read_text()}
    factory = {"class_name": "org.apache.cassandra.security.PEMBasedSslContextFactory", "parameters": pem}
    tls = {"enabled": True, "optional": True, "ssl_context_factory": factory}
    with contextlib.ExitStack() as stack:
        settings = {"client_encryption_options": json.dumps(tls)}
        offer = servers.cassandra({"us-east-1": 1, "eu-west-1": 1}, settings=settings)
        rig = CassandraStoreRig(entered(stack, offer))
        first = rig.cluster.node("us-east-1")
        trusting = f"?ssl_ca_certs={cert}"
        with kit_of(rig, url=rig.url + trusting, tls="require") as kit:
            assert kit.session().execute_read("orders", lambda cql: do.get(cql, "a")) is None
            assert "CERTIFICATE_VERIFY_FAILED" in _refused(kit, THERE)
        dead = f"cassandra://{first.host}:{first.port},127.0.0.1:9/{rig.keyspace}"
        by_name = f"cassandra://localhost:{first.port}/{rig.keyspace}{trusting}"
        for url in (rig.url, dead, by_name):
            with kit_of(rig, url=url, tls="require") as kit:
                assert "CERTIFICATE_VERIFY_FAILED" in _refused(kit, HERE)


def _refused(kit: RegionKit, region: str) -> str:
    """Why TLS with a region's data centre failed."""
    store: Any = kit._store("orders").shards[0]
    with pytest.raises(RegionUnavailable) as caught:
        store.backend(REGIONS.index(region)).check_out(Kind.READ, Deadline(store.clock, 60.0), 60.0)
    assert caught.value.cause == Refused.TLS.value[0]
    return str(caught.value.why)
