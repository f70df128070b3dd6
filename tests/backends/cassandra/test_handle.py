# Generated from test_handle_async.py by scripts/twins.py. Do not edit.
"""What is special to Cassandra: levels instead of positions, time stamps, conditions, pages, prepared statements."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.policies import FallthroughRetryPolicy
from cassandra.query import BatchStatement, SimpleStatement
from fix_rig_cassandra import GET, PUT, THINGS, CassandraActions, CassandraStoreRig

from regionkit import (
    EVENTUAL,
    STRONG,
    ConfigurationError,
    InvalidBookmark,
    RegionKit,
    RegionUnavailable,
    StaleRead,
    Topology,
    UsageError,
)
from regionkit.backends.cassandra.keyspace_state import MOST_SKEW, keyspace_state_of
from regionkit.core.concurrency import gather
from regionkit.core.deadline import Deadline
from regionkit.facts.request import Kind

KEY = "a key of more than sixteen characters"
HERE, THERE = "ap-northeast-2", "eu-west-1"
TRUE_QUORUM = {"write_level": "QUORUM", "read_level": "QUORUM"}
PLACE_ONCE = "INSERT INTO things (name, value) VALUES (%s, %s) IF NOT EXISTS"
PATIENT = {"base": "gentle", "read_deadline": 60.0, "write_deadline": 60.0, "probe_timeout": 10.0, "trip_probes": 100}
"""No test here is about time: a busy machine may take it."""
do = CassandraActions


class FastClock:
    """A machine whose wall clock is ahead."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        return time.time() + self.ahead


def kit_of(rig: CassandraStoreRig, local: str = HERE, **options: Any) -> RegionKit:
    """A kit in one of the two regions."""
    return RegionKit(rig.topology(**options), local=local, bookmark_keys=[KEY], profile=PATIENT)


def write_in_a_fast_process(topology: Topology, ahead: float) -> str:
    """The bookmark of a write by a kit of its own process, whose clock is ahead: this one learns of it by nothing else."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_write_with_a_fast_clock, topology, ahead).result(120.0)


def _write_with_a_fast_clock(topology: Topology, ahead: float) -> str:
    kit = RegionKit(topology, local=HERE, bookmark_keys=[KEY], profile=PATIENT, clock=FastClock(ahead))
    with kit, kit.session() as s:
        with s.write("orders") as cql:
            cql.execute(PUT, ("a", "first"))
        return s.bookmark()


@pytest.fixture
def rig(cassandra: Any) -> CassandraStoreRig:
    """A keyspace of its own."""
    return CassandraStoreRig(cassandra)  # a process remembers which tables it writes with conditions


def test_every_request_goes_to_the_endpoints_own_data_centre(rig: CassandraStoreRig) -> None:
    """Reads and writes alike, whatever the region of its data centre is called."""
    for local, datacenter in ((HERE, "us-east-1"), (THERE, "eu-west-1")):
        with kit_of(rig, local) as kit, kit.session() as s:
            with s.read("orders", consistency=EVENTUAL) as cql:
                assert (cql.datacenter, cql.keyspace) == (datacenter, rig.keyspace)
                for _ in range(4):
                    row = (cql.execute("SELECT data_center FROM system.local")).one()
                    assert row.data_center == datacenter
            nodes = kit._store("orders").shards[0].backend(0 if local == HERE else 1)._datacenter._opener.opened
            assert {pool.host.datacenter for pool in nodes.session.get_pools()} == {datacenter}


@pytest.mark.parametrize(("options", "served_by"), [({}, HERE), (TRUE_QUORUM, THERE)])
def test_a_write_is_read_where_the_levels_meet_it(
    rig: CassandraStoreRig, options: dict[str, str], served_by: str
) -> None:
    """LOCAL_QUORUM only in the data centre that took the write; QUORUM anywhere, so in the nearest."""
    with kit_of(rig, options=options) as kit, kit.session() as s:
        with s.write("orders") as cql:
            do.put(cql, "a", "tea")
        bookmark = s.bookmark()
    with kit_of(rig, THERE, options=options) as kit, kit.session(bookmark=bookmark) as s:
        with s.read("orders") as cql:
            assert do.get(cql, "a") == "tea"
        assert s.last_route.region == served_by
        with s.read("orders", consistency=EVENTUAL) as cql:
            do.get(cql, "a")
        assert s.last_route.region == THERE
        with s.read("orders") as cql:  # what an EVENTUAL read showed ties the session to nothing
            assert do.get(cql, "a") == "tea"
        assert s.last_route.region == served_by


@pytest.mark.parametrize(
    ("options", "served_by"),
    [({}, HERE), ({"write_level": "EACH_QUORUM", "read_level": "LOCAL_QUORUM"}, HERE), (TRUE_QUORUM, THERE)],
)
def test_what_was_read_is_read_where_it_is_sure_to_be(
    rig: CassandraStoreRig, options: dict[str, str], served_by: str
) -> None:
    """Its write may not have been acknowledged: reads alone must overlap, or stay in the data centre."""
    with kit_of(rig, options=options) as kit, kit.session() as s:
        with s.read("orders") as cql:
            do.get(cql, "a")
        bookmark = s.bookmark()
    assert bookmark
    with kit_of(rig, THERE, options=options) as kit, kit.session(bookmark=bookmark) as s:
        with s.read("orders") as cql:
            do.get(cql, "a")
        assert s.last_route.region == served_by


def test_a_kit_without_tables_carries_its_writes_too(rig: CassandraStoreRig) -> None:
    """And a bookmark from before create_tables() is good after it."""
    with (
        RegionKit(rig.topology(), local=HERE, bookmark_keys=[KEY], profile=PATIENT) as kit,
        kit.session() as s,
    ):
        with s.write("orders") as cql:
            do.put(cql, "a", "tea")
        bookmark = s.bookmark()
    with kit_of(rig, THERE) as kit, kit.session(bookmark=bookmark) as s:
        kit.create_tables()
        with s.read("orders") as cql:
            assert do.get(cql, "a") == "tea"


def test_a_keyspace_made_anew_is_another_history(rig: CassandraStoreRig) -> None:
    """What the bookmark speaks of is gone; nothing pretends otherwise."""
    with kit_of(rig) as kit, kit.session() as s:
        kit.create_tables()
        with s.write("orders") as cql:
            do.put(cql, "a", "tea")
        bookmark = s.bookmark()
    rig.cluster.keyspace(rig.keyspace)
    rig.cluster.ddl(THINGS, keyspace=rig.keyspace)
    with kit_of(rig) as kit, kit.session(bookmark=bookmark) as s:
        kit.create_tables()
        with pytest.raises(InvalidBookmark):
            with s.read("orders") as cql:
                do.get(cql, "a")


def test_changed_replicas_close_session_reads_until_confirmed(rig: CassandraStoreRig) -> None:
    """A level overlaps on paper only until a repair has moved the data; create_tables() says that it has."""
    with kit_of(rig) as kit, kit.session() as s:
        kit.create_tables()
        with s.write("orders") as cql:
            do.put(cql, "a", "tea")
        rig.cluster.ddl(
            f"ALTER KEYSPACE \"{rig.keyspace}\" WITH replication = {{'class': 'NetworkTopologyStrategy', 'us-east-1': 1}}"
        )
        store = kit._store("orders").shards[0]
        store.probe(0)
        with pytest.raises(StaleRead) as caught:
            with s.read("orders") as cql:
                do.get(cql, "a")
        assert "repair, then call kit.create_tables()" in caught.value.decision.verdicts[0].reason
        with s.read("orders", consistency=EVENTUAL) as cql:
            assert do.get(cql, "a") == "tea"
        kit.create_tables()
        with s.read("orders") as cql:
            assert do.get(cql, "a") == "tea"


def test_a_keyspace_without_factors_by_data_centre_is_refused(rig: CassandraStoreRig) -> None:
    """SimpleStrategy says nothing of data centres; a keyspace that is not there says nothing at all."""
    name = rig.cluster.keyspace()
    rig.cluster.ddl(
        f'DROP KEYSPACE "{name}"',
        f"CREATE KEYSPACE \"{name}\" WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
    )
    for keyspace, text in ((name, "SimpleStrategy"), ("nowhere", "no keyspace 'nowhere'")):
        topology = rig.topology(url=rig.cluster.url_for(keyspace))
        with RegionKit(topology, local=HERE, profile=PATIENT) as kit, kit.session() as s:
            with pytest.raises(ConfigurationError, match=text):
                with s.read("orders", consistency=EVENTUAL) as cql:
                    cql.execute("SELECT key FROM system.local")


def test_a_region_without_its_data_centre_says_so(rig: CassandraStoreRig) -> None:
    """By name, with those that there are; its reads go to another region."""
    topology = rig.topology(datacenters={HERE: "atlantis"})
    with RegionKit(topology, local=HERE, profile=PATIENT) as kit, kit.session() as s:
        with s.read("orders", consistency=EVENTUAL) as cql:
            do.get(cql, "a")
        assert s.last_route.region == THERE
        store = kit._store("orders").shards[0]
        with pytest.raises(RegionUnavailable, match=f"no data centre 'atlantis' for region {HERE}") as caught:
            store.backend(0).check_out(Kind.READ, Deadline(store.clock, 60.0), 60.0)
        assert "eu-west-1, us-east-1" in caught.value.why
        assert not caught.value.retryable


def test_a_statements_own_level_may_only_ask_for_more(rig: CassandraStoreRig) -> None:
    """The bookmark says what the block's level promises; LOCAL_SERIAL and retries of its own are refused too."""
    level = ConsistencyLevel
    with kit_of(rig) as kit, kit.session() as s:
        with s.write("orders") as cql:
            for good in (level.LOCAL_QUORUM, level.EACH_QUORUM, level.ALL):
                cql.execute(SimpleStatement(PUT, consistency_level=good), ("a", "tea"))
            for bad in (level.ONE, level.ANY):
                with pytest.raises(UsageError, match="in a block whose statements go at LOCAL_QUORUM"):
                    cql.execute(SimpleStatement(PUT, consistency_level=bad), ("a", "milk"))
            with pytest.raises(UsageError, match="LOCAL_SERIAL"):
                cql.execute(SimpleStatement(PLACE_ONCE, serial_consistency_level=level.LOCAL_SERIAL), ("b", "x"))
            with pytest.raises(UsageError, match="retry policy"):
                cql.execute(SimpleStatement(PUT, retry_policy=FallthroughRetryPolicy()), ("a", "milk"))
        with s.read("orders") as cql:
            with pytest.raises(UsageError, match="consistency=EVENTUAL"):
                cql.execute(SimpleStatement(GET, consistency_level=level.ONE), ("a",))
            assert (cql.execute(SimpleStatement(GET, consistency_level=level.ALL), ("a",))).one().value == "tea"


@pytest.mark.parametrize("before", ["", "/* by id */ ", "-- by id\n", "// UPDATE\n"])
def test_a_read_is_known_behind_a_comment(rig: CassandraStoreRig, before: str) -> None:
    """Its level is held against the reads', as a text and prepared; the writes' is lower here."""
    level = ConsistencyLevel
    with (
        kit_of(rig, options={"write_level": "ONE", "read_level": "ALL"}) as kit,
        kit.session() as s,
        s.read("orders") as cql,
    ):
        prepared = cql.prepare(before + "SELECT value FROM things WHERE name = 'a'")
        prepared.consistency_level = level.ONE
        for weak in (SimpleStatement(before + GET, consistency_level=level.ONE), prepared.bind(())):
            with pytest.raises(UsageError, match="at ONE, in a block whose statements go at ALL"):
                cql.execute(weak, ("a",))
        assert (cql.execute(SimpleStatement(before + GET, consistency_level=level.ALL), ("a",))).one() is None


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO things (name, value) VALUES ('a', 'x') USING TIMESTAMP 1",
        "UPDATE things USING TTL 10 AND TIMESTAMP 1 SET value = 'x' WHERE name = 'a'",
        "USE system",
    ],
)
def test_statements_that_step_over_the_session_are_refused(rig: CassandraStoreRig, text: str) -> None:
    """A time stamp of one's own, and another keyspace for everybody."""
    with kit_of(rig) as kit, kit.session() as s, s.write("orders") as cql:
        with pytest.raises(UsageError):
            cql.execute(text)


def test_a_table_is_written_with_conditions_or_without(rig: CassandraStoreRig) -> None:
    """The first write decides, for every endpoint of the process by whatever contact point; batches count with all their
    tables."""
    rig.cluster.ddl("CREATE TABLE seats (name text PRIMARY KEY, value text)", keyspace=rig.keyspace)
    with kit_of(rig) as kit, kit.session() as s:
        with s.write("orders") as cql:
            do.put(cql, "a", "tea")
            rows = cql.execute("UPDATE seats SET value = 'x' WHERE name = 'a' IF value = null")
            assert rows.was_applied
        url = rig.cluster.node("eu-west-1").url_for(rig.keyspace)
        with kit_of(rig, THERE, url=url) as other, other.session() as elsewhere, elsewhere.write("orders") as cql:
            with pytest.raises(UsageError, match=r"a conditional write to .*things"):
                cql.execute(PLACE_ONCE, ("a", "milk"))
            with pytest.raises(UsageError, match=r"a plain write to .*seats"):
                cql.execute(f'DELETE FROM "{rig.keyspace}".seats WHERE name = %s', ("a",))
            batch = BatchStatement()
            batch.add("INSERT INTO seats (name, value) VALUES ('b', 'y')")
            with pytest.raises(UsageError, match="seats"):
                cql.execute(batch)
        with pytest.raises(UsageError, match=r"a STRONG read of .*things"):
            with s.read("orders", consistency=STRONG) as cql:
                do.get(cql, "a")
    assert rig.value("a") == "tea"


def test_clusters_and_keyspaces_are_told_apart_by_name() -> None:
    """Each has tables of its own, and one may well be called like another's."""
    state = keyspace_state_of("east", "shop")
    assert keyspace_state_of("east", "shop") is state
    assert keyspace_state_of("west", "shop") is not state
    assert keyspace_state_of("east", "other") is not state


def test_strong_reads_are_serial_on_tables_with_conditions(rig: CassandraStoreRig) -> None:
    """Another session in the other data centre sees the last conditional write, without a bookmark."""
    with kit_of(rig) as here, kit_of(rig, THERE) as there:
        for number in range(5):
            with here.session() as s, s.write("orders") as cql:
                if number == 0:
                    cql.execute(PLACE_ONCE, ("a", "0"))
                else:
                    text = "UPDATE things SET value = %s WHERE name = 'a' IF value = %s"
                    assert (cql.execute(text, (str(number), str(number - 1)))).was_applied
            with there.session() as s, s.read("orders", consistency=STRONG) as cql:
                assert do.get(cql, "a") == str(number)
            assert s.last_route.region == THERE


def test_a_later_write_of_the_session_wins_over_a_fast_clock(rig: CassandraStoreRig) -> None:
    """One data centre's machines are 9 s fast; the session goes on in the other, by bookmark, and its last write stands."""
    bookmark = write_in_a_fast_process(rig.topology(), 9.0)
    with kit_of(rig, THERE) as right:
        with right.session() as other, other.write("orders") as cql:
            do.put(cql, "a", "another session's")
        assert rig.value("a") == "first"  # what a fast clock does to those who do not know of it
        with right.session(bookmark=bookmark) as s, s.write("orders") as cql:
            do.put(cql, "a", "second")
    assert rig.value("a") == "second"


def test_a_time_stamp_too_far_ahead_is_refused(rig: CassandraStoreRig) -> None:
    """Or one broken clock would spread to every machine."""
    bookmark = write_in_a_fast_process(rig.topology(), MOST_SKEW + 60.0)
    with kit_of(rig, THERE) as right:
        with pytest.raises(InvalidBookmark, match="ahead of this machine's clock"):
            with right.session(bookmark=bookmark) as s, s.write("orders") as cql:
                do.put(cql, "a", "second")
    assert rig.value("a") == "first"


def test_plain_writes_carry_rising_time_stamps(rig: CassandraStoreRig) -> None:
    """Ours, in microseconds, none twice; a conditional write takes the server's."""
    seen = []
    with kit_of(rig) as kit, kit.session() as s:
        with s.write("orders") as cql:
            for number in range(20):
                do.put(cql, "a", str(number))
                row = (cql.execute("SELECT writetime(value) AS stamp FROM things WHERE name = 'a'")).one()
                seen.append(row.stamp)
        entry = (s._state.take_all_positions()).sources["orders/"][0]
    assert seen == sorted(set(seen))
    assert abs(seen[-1] - time.time() * 1e6) < 60e6
    assert entry.position.stamp == seen[-1]


def test_pages_are_fetched_as_rows_are_looked_at(rig: CassandraStoreRig) -> None:
    """Every row once; a page that was not fetched inside the block is not fetched after it."""
    with kit_of(rig, options={"page_size": 10}) as kit, kit.session() as s:
        with s.write("orders") as cql:
            for number in range(25):
                do.put(cql, str(number), "x")
        with s.read("orders") as cql:
            rows = cql.execute("SELECT name FROM things")
            assert (len(rows.current_rows), rows.has_more_pages, rows.column_names) == (10, True, ["name"])
            assert sorted([int(row.name) for row in rows]) == list(range(25))
            assert len(rows.all()) == 25
            second = cql.execute("SELECT name FROM things", paging_state=rows.paging_state)
            assert len({row.name for row in (*rows.current_rows, *second.current_rows)}) == 20
        with pytest.raises(UsageError, match="after its block"):
            rows.all()


def test_what_was_sent_and_not_waited_for_ends_with_the_block(rig: CassandraStoreRig) -> None:
    """Its rows are there, its effects count, and an error that nobody asked for is raised."""
    with kit_of(rig) as kit, kit.session() as s:
        with s.write("orders") as cql:
            for number in range(50):
                cql.execute_async(PUT, (f"k{number}", str(number)))
        with s.read("orders") as cql:
            assert len((cql.execute("SELECT name FROM things")).all()) == 50
        with pytest.raises(InvalidRequest):
            with s.write("orders") as cql:
                cql.execute_async("INSERT INTO nowhere (name) VALUES ('a')")
        with s.write("orders") as cql:
            pending = cql.execute_async("INSERT INTO nowhere (name) VALUES ('a')")
            with pytest.raises(InvalidRequest):
                pending.result()
    assert rig.value("k49") == "49"


def test_statements_are_prepared_once_and_forgotten_in_order(rig: CassandraStoreRig) -> None:
    """As many as the option says are kept; one that was prepared in another data centre works here."""
    with kit_of(rig, options={"statements": 3}) as kit, kit.session() as s:
        with s.write("orders") as cql:
            put = cql.prepare("INSERT INTO things (name, value) VALUES (?, ?)")
            assert cql.prepare("INSERT INTO things (name, value) VALUES (?, ?)") is put
            cql.execute(put, ("a", "tea"))
            batch = BatchStatement()
            batch.add(put, ("b", "milk"))
            batch.add("DELETE FROM things WHERE name = 'c'")
            cql.execute(batch)
            for number in range(5):
                cql.prepare(f"SELECT value FROM things WHERE name = 'x{number}'")
            assert cql.prepare("INSERT INTO things (name, value) VALUES (?, ?)") is not put
            assert len(kit._store("orders").shards[0].backend(0)._datacenter._opener.opened._prepared) == 3
            with pytest.raises(InvalidRequest):
                cql.prepare("SELECT nothing FROM things")
    with kit_of(rig, THERE) as kit, kit.session() as s:
        with s.write("orders") as cql:
            cql.execute(put.bind(("d", "water")))
        with pytest.raises(UsageError, match="INSERT in a read block"):
            with s.read("orders") as cql:
                cql.execute(put, ("d", "wine"))
    assert (rig.value("b"), rig.value("d")) == ("milk", "water")


def test_one_connecting_serves_statements_sent_at_once(rig: CassandraStoreRig) -> None:
    """The first statements of a block may be many; the block has one checkout."""
    with kit_of(rig) as kit, kit.session() as s, s.read("orders", consistency=EVENTUAL) as cql:
        pending = [cql.execute_async(GET, ("a",)) for _ in range(30)]
        assert [(one.result()).one() for one in pending] == [None] * 30


def test_a_read_in_a_write_block_is_remembered_with_it(rig: CassandraStoreRig) -> None:
    """What a write block read is asked for later as what it wrote."""
    with kit_of(rig) as kit, kit.session() as s:
        with s.write("orders") as cql:
            do.add(cql, "n")
        position: Any = (s._state.take_all_positions()).sources["orders/"][0].position
    assert position.writes == position.reads == (("us-east-1", "LOCAL_QUORUM"),)


def test_many_sessions_share_the_connections(rig: CassandraStoreRig) -> None:
    """Each sees its own writes."""

    def one(kit: Any, number: int) -> None:
        with kit.session() as s:
            for step in range(10):
                with s.write("orders") as cql:
                    do.put(cql, f"n{number}", str(step))
                with s.read("orders") as cql:
                    assert do.get(cql, f"n{number}") == str(step)

    with kit_of(rig) as kit:
        assert gather([lambda n=n: one(kit, n) for n in range(16)]) == [None] * 16  # type: ignore[misc]  # a default binds
    assert rig.value("n15") == "9"


def test_a_write_is_told_of_where_it_went(rig: CassandraStoreRig) -> None:
    """The data centre decided on could not be had: the bookmark names the one that took it."""
    with (
        RegionKit(rig.topology(datacenters={HERE: "atlantis"}), local=HERE, profile=PATIENT) as kit,
        kit.session() as s,
    ):
        with s.write("orders") as cql:
            do.put(cql, "a", "tea")
            assert cql.datacenter == "eu-west-1"
        position: Any = (s._state.take_all_positions()).sources["orders/"][0].position
        assert position.writes == (("eu-west-1", "LOCAL_QUORUM"),)
        with s.read("orders") as cql:
            assert do.get(cql, "a") == "tea"
