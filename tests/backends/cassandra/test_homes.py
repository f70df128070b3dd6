# Generated from test_homes_async.py by scripts/twins.py. Do not edit.
"""Keys with a home on Cassandra: every write is conditional, at SERIAL, by the home's data centre."""

from __future__ import annotations

from typing import Any

import pytest
from cassandra.protocol import ErrorMessage
from cassandra.query import BatchStatement
from fix_rig_cassandra import REGIONS, CassandraStoreRig
from fix_rigs import NAMESPACE

from regionkit import (
    EVENTUAL,
    STRONG,
    CassandraStore,
    ConfigurationError,
    Contextual,
    Directory,
    Hashed,
    Intrinsic,
    OutcomeUnknown,
    Region,
    RegionKit,
    Residency,
    Topology,
    UnknownHome,
    UsageError,
    WritePartitioning,
)
from regionkit.backends.cassandra.classify import classify
from regionkit.contract.outcomes import Failure
from regionkit.core.concurrency import gather

KEY = "a key of more than sixteen characters"
HERE, THERE = REGIONS
PATTERN = Intrinsic("^(?P<region>[a-z0-9-]+):")
PATIENT = {"base": "gentle", "read_deadline": 60.0, "write_deadline": 60.0, "probe_timeout": 10.0, "trip_probes": 100}
"""No test here is about time: a busy machine may take it."""
FIRST = "INSERT INTO things (name, value) VALUES (%s, %s) IF NOT EXISTS"
CHANGE = "UPDATE things SET value = %s WHERE name = %s IF value = %s"
GET = "SELECT value FROM things WHERE name = %s"


@pytest.fixture
def rig(cassandra: Any) -> CassandraStoreRig:
    """A keyspace of its own."""
    return CassandraStoreRig(cassandra)  # a process remembers which tables it writes with conditions


def kit_of(rig: CassandraStoreRig, home: Any, local: str = HERE, **options: Any) -> RegionKit:
    """A kit in one of the two regions; its store "orders" has homes."""
    topology = rig.topology(strategy=WritePartitioning(home), **options)
    return RegionKit(topology, local=local, bookmark_keys=[KEY], profile=PATIENT)


def value(cql: Any, key: str) -> Any:
    """What stands there."""
    row = (cql.execute(GET, (key,))).one()
    return None if row is None else row.value


def test_writes_go_to_the_home_and_reads_near(rig: CassandraStoreRig) -> None:
    """By each key's own data centre, from either region; a SESSION read where the levels meet the write."""
    with kit_of(rig, PATTERN) as kit:
        for home, datacenter in ((HERE, "us-east-1"), (THERE, "eu-west-1")):
            key = f"{home}:c9"
            with kit.session(key=key) as s:
                with s.write("orders") as cql:
                    assert (cql.execute(FIRST, (key, "tea"))).was_applied
                    assert cql.datacenter == datacenter
                assert s.last_route.region == home
                with s.read("orders") as cql:
                    assert value(cql, key) == "tea"
                assert s.last_route.region == home  # LOCAL_QUORUM there, and only there
                with s.read("orders", consistency=STRONG) as cql:
                    assert value(cql, key) == "tea"
                assert s.last_route.region == HERE  # SERIAL asks a majority of all replicas, from anywhere
                with s.read("orders", consistency=EVENTUAL) as cql:
                    value(cql, key)
                assert s.last_route.region == HERE
        told = str(kit.explain("orders", "write", key=f"{THERE}:c9"))
        assert f"the key's home is {THERE}" in told


def test_a_function_is_run_by_the_home_too(rig: CassandraStoreRig) -> None:
    """`execute_write` and `execute_read` route as blocks do."""

    def put(cql: Any) -> bool:
        return bool((cql.execute(FIRST, (f"{THERE}:c9", "tea"))).was_applied)

    with kit_of(rig, PATTERN) as kit, kit.session() as s:
        assert s.execute_write("orders", put, key=f"{THERE}:c9")
        assert s.last_route.region == THERE
        found = s.execute_read("orders", lambda cql: value(cql, f"{THERE}:c9"), key=f"{THERE}:c9")
        assert found == "tea"


def test_a_plain_write_is_refused(rig: CassandraStoreRig) -> None:
    """One statement or a batch without IF: it could undo a writer of another region. Nothing is sent."""
    plain = "INSERT INTO things (name, value) VALUES (%s, %s)"
    with kit_of(rig, PATTERN) as kit, kit.session(key=f"{HERE}:c9") as s:
        batch = BatchStatement()
        batch.add("DELETE FROM things WHERE name = 'a'")
        named = "UPDATE things SET value = %(if)s WHERE name = %(name)s"
        for statement, values in (
            (plain, ("a", "tea")),
            (batch, None),
            (named, {"if": "tea", "name": "a"}),
            ("TRUNCATE things", None),
        ):
            with pytest.raises(UsageError, match="whose keys have a home"):
                with s.write("orders") as cql:
                    cql.execute(statement, values)
        batch = BatchStatement()
        batch.add(FIRST, ("a", "tea"))
        with s.write("orders") as cql:
            assert (cql.execute(batch)).was_applied
    assert rig.value("a") == "tea"


def test_writers_of_two_data_centres_are_ordered(rig: CassandraStoreRig) -> None:
    """Two processes that disagree about a home, as while it moves: no increment is lost between their data centres."""
    rounds = 12
    applied: list[str] = []
    unknown: list[str] = []
    with kit_of(rig, Contextual()) as one, kit_of(rig, Contextual(), local=THERE) as other:
        with one.session(key="n", home=HERE) as s, s.write("orders") as cql:
            cql.execute(FIRST, ("n", "0"))

        def add(kit: RegionKit, home: str) -> None:
            with kit.session(key="n", home=home) as s:
                while applied.count(home) < rounds:
                    try:
                        seen = s.execute_read("orders", lambda cql: value(cql, "n"), consistency=STRONG)
                        with s.write("orders") as cql:
                            done = cql.execute(CHANGE, (str(int(seen) + 1), "n", seen))
                    except OutcomeUnknown:
                        unknown.append(home)
                    except ErrorMessage as error:  # a read that others' writes came in between of, each time it ran
                        assert classify(error) is Failure.ROLLED_BACK
                    else:
                        applied.extend([home] * done.was_applied)
                assert s.last_route.region == home

        done = gather([lambda: add(one, HERE), lambda: add(other, THERE)])
        assert done == [None, None]
    print(f"{len(applied)} increments, {len(unknown)} of unknown outcome")
    assert len(applied) <= int(rig.value("n")) <= len(applied) + len(unknown)


def test_a_list_of_regions_is_kept_with_the_data(rig: CassandraStoreRig) -> None:
    """Another one is refused, as keys would change their home."""
    with kit_of(rig, Hashed(REGIONS)) as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders", key="c9") as cql:
                assert (cql.execute(FIRST, ("c9", "tea"))).was_applied
            assert s.last_route.region == Hashed(REGIONS).of("c9")
    with kit_of(rig, Hashed(tuple(reversed(REGIONS)))) as kit, kit.session() as s:
        with pytest.raises(ConfigurationError, match="the stored table"):
            with s.write("orders", key="c9") as cql:
                cql.execute(FIRST, ("c9", "tea"))


def test_a_fan_out_asks_the_cluster_once(rig: CassandraStoreRig) -> None:
    """Its data centres hold the same rows; as it cannot be written by a fan-out, a fan-out of writes is refused."""
    with kit_of(rig, PATTERN) as kit:
        with kit.session() as s:
            for home in REGIONS:
                with s.write("orders", key=f"{home}:a") as cql:
                    cql.execute(FIRST, (f"{home}:a", "tea"))
            bookmark = s.bookmark()

        def count(cql: Any) -> int:
            return len((cql.execute("SELECT name FROM things")).all())

        # LOCAL_QUORUM writes of both homes: no data centre's LOCAL_QUORUM meets both
        results = [result for _, result in kit.fan_out("orders", count, consistency=STRONG)]
        assert [result.value for result in results] == [2]
        raised = [result for _, result in kit.fan_out("orders", count, bookmark=bookmark)]
        assert [result.value for result in raised] == [2]  # at EACH_QUORUM
        with pytest.raises(UsageError, match="cannot be written by a fan-out"):
            kit.fan_out("orders", count, kind="write")


def test_homes_are_the_regions_that_may_hold_the_data(rig: CassandraStoreRig) -> None:
    """A home outside the residency, or none of the topology's, is refused: by the list at once, by a key when it comes."""
    residency = Residency(deny=[THERE])
    with pytest.raises(ConfigurationError, match="which no primary holds"):
        kit_of(rig, Hashed(REGIONS), residency=residency)
    with pytest.raises(ConfigurationError, match="which no primary holds"):
        kit_of(rig, Hashed((HERE, "mars")))
    with kit_of(rig, PATTERN, residency=residency) as kit, kit.session() as s:
        for key in (f"{THERE}:c9", "mars:c9"):
            with pytest.raises(UnknownHome, match="none of its homes"):
                s.write("orders", key=key)
        with s.write("orders", key=f"{HERE}:c9") as cql:
            cql.execute(FIRST, (f"{HERE}:c9", "tea"))


def test_a_directory_of_the_same_cluster_places_keys(rig: CassandraStoreRig) -> None:
    """Kept in another store of the keyspace, without homes of its own."""
    orders, places = (
        CassandraStore(name, url=rig.url, datacenters=rig.datacenters, **more)
        for name, more in (("orders", {"strategy": WritePartitioning(Directory("places"))}), ("places", {}))
    )
    regions = [Region(name) for name in REGIONS]
    topology = Topology(namespace=NAMESPACE, regions=regions, stores=[orders, places])
    with RegionKit(topology, local=HERE, bookmark_keys=[KEY], profile=PATIENT) as kit:
        kit.create_tables()
        with pytest.raises(UnknownHome, match="none of its homes"):
            kit.place("orders", key="c9", home="mars")
        kit.place("orders", key="c9", home=THERE)
        with kit.session(key="c9") as s:
            with s.write("orders") as cql:
                assert (cql.execute(FIRST, ("c9", "tea"))).was_applied
            assert s.last_route.region == THERE


def test_a_session_that_wrote_two_homes_reads_where_levels_meet(rig: CassandraStoreRig) -> None:
    """With LOCAL_QUORUM for both levels nowhere, and the error says what does it; with QUORUM near; STRONG always."""
    near = {"write_level": "QUORUM", "read_level": "QUORUM"}
    for options, meets in (({}, False), (near, True)):
        with kit_of(rig, PATTERN, options=options) as kit, kit.session() as s:
            keys = [f"{home}:{len(options)}" for home in REGIONS]
            for key in keys:
                with s.write("orders", key=key) as cql:
                    cql.execute(FIRST, (key, "tea"))
            for key in keys:
                assert s.execute_read("orders", lambda cql, k=key: value(cql, k), key=key, consistency=STRONG) == "tea"
                assert s.execute_read("orders", lambda cql, k=key: value(cql, k), key=key) == "tea"
                assert s.last_route.region == HERE
                assert ("EACH_QUORUM" in s.last_decision.proof) is not meets
