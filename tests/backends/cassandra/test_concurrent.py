"""`cassandra.concurrent` with the session of a block: what it sends keeps all of the block's rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.concurrent import execute_concurrent, execute_concurrent_with_args
from cassandra.query import BatchStatement, SimpleStatement
from fix_rig_cassandra import GET, PUT, CassandraStoreRig

from regionkit import AsyncRegionKit, RegionKit, UsageError

KEY = "a key of more than sixteen characters"
HERE = "ap-northeast-2"
PATIENT = {"base": "gentle", "read_deadline": 60.0, "write_deadline": 60.0, "probe_timeout": 10.0, "trip_probes": 100}
INSERT = "INSERT INTO things (name, value) VALUES (?, ?)"
SELECT = "SELECT value FROM things WHERE name = ?"
STAMPS = "SELECT writetime(value) FROM things WHERE name = %s"
ROWS = [(f"row {number}", str(number)) for number in range(300)]
"""More than the hundred refusals after which the driver asks for another thread."""
NAMES = [(name,) for name, _ in ROWS]


@pytest.fixture
def kit(cassandra_store_rig: CassandraStoreRig) -> Iterator[RegionKit]:
    """In one of the two regions; no test is about time."""
    with RegionKit(cassandra_store_rig.topology(), local=HERE, bookmark_keys=[KEY], profile=PATIENT) as kit:
        kit.create_tables()
        yield kit


def test_writes_and_reads_go_through_the_block(kit: RegionKit) -> None:
    """Prepared in the block, as batches or as texts; the bookmark knows them, and each is stamped after the session's last."""
    with kit.session() as s:
        with s.write("orders") as cql:
            cql.execute(PUT, ("row 0", "old"))
            before = cql.execute(STAMPS, ("row 0",)).one()[0]
            insert = cql.prepare(INSERT)
            batch = BatchStatement()
            batch.add(insert, ("batched", "yes"))
            assert all(done for done, _ in execute_concurrent_with_args(cql, insert, ROWS, concurrency=30))
            assert all(done for done, _ in execute_concurrent(cql, [(batch, None), (PUT, ("text", "yes"))]))
        with kit.session(bookmark=s.bookmark()) as later, later.read("orders") as cql:
            found = execute_concurrent_with_args(cql, cql.prepare(SELECT), [*NAMES, ("batched",), ("text",)])
            assert [rows.one().value for _, rows in found] == [*(value for _, value in ROWS), "yes", "yes"]
            stamps = execute_concurrent_with_args(cql, STAMPS, NAMES, results_generator=True)
            assert all(rows.one()[0] > before for _, rows in stamps)


def test_its_end_counts_what_was_sent_with_nobody_waiting(kit: RegionKit) -> None:
    """The session's next read sees all of it, and what failed was told where it was asked for."""
    with kit.session() as s:
        with s.write("orders") as cql:
            statements = [(PUT, ("a", "tea")), ("INSERT INTO nothing (name) VALUES ('a')", None)]
            (done, _), (failed, error) = execute_concurrent(cql, statements, raise_on_first_error=False)
            assert (done, failed) == (True, False)
            assert isinstance(error, InvalidRequest)
        assert s.bookmark() != ""
        with s.read("orders") as cql:
            assert cql.execute(GET, ("a",)).one().value == "tea"


def test_the_rules_of_a_block_are_kept(kit: RegionKit) -> None:
    """No write in a read block, however many; no level below the block's, no time stamp, no profile."""
    with kit.session() as s:
        with s.read("orders") as cql:
            results = execute_concurrent_with_args(cql, PUT, ROWS, raise_on_first_error=False, concurrency=200)
            assert len(results) == len(ROWS)
            assert all(isinstance(error, UsageError) for _, error in results)
            with pytest.raises(UsageError, match="in a read block"):
                execute_concurrent_with_args(cql, PUT, ROWS)
        with s.write("orders") as cql:
            low = SimpleStatement(PUT, consistency_level=ConsistencyLevel.ONE)
            for statement, match in ((low, "at ONE"), (f"{PUT} USING TIMESTAMP 7", "USING TIMESTAMP")):
                with pytest.raises(UsageError, match=match):
                    execute_concurrent_with_args(cql, statement, ROWS[:1])
            with pytest.raises(UsageError, match="execution profile"):
                execute_concurrent_with_args(cql, PUT, ROWS[:1], execution_profile="mine")
    with pytest.raises(UsageError, match="after its block"):
        execute_concurrent_with_args(cql, PUT, ROWS[:1])


def test_a_first_page_is_a_page_and_the_next_is_refused(kit: RegionKit) -> None:
    """The driver would fetch it past the block; the error names the way."""
    with kit.session() as s, s.write("orders") as cql:
        execute_concurrent_with_args(cql, PUT, ROWS[:20])
        all_rows: Any = SimpleStatement("SELECT name FROM things", fetch_size=5)
        [(_, rows)] = execute_concurrent(cql, [(all_rows, None)])
        assert len(rows.current_rows) == 5 and rows.has_more_pages
        with pytest.raises(UsageError, match=r"cql.execute\("):
            list(rows)


async def test_an_asynchronous_block_names_its_own_way(cassandra_store_rig: CassandraStoreRig) -> None:
    """The helper would block the loop that its answers come to; nothing is sent."""
    topology = cassandra_store_rig.topology()
    async with AsyncRegionKit(topology, local=HERE, bookmark_keys=[KEY], profile=PATIENT) as kit:
        async with kit.session() as s, s.write("orders") as cql:
            with pytest.raises(UsageError, match=r"execute_async\(\.\.\.\) and await"):
                execute_concurrent_with_args(cql, PUT, ROWS)
            assert (await cql.execute(GET, ("row 0",))).one() is None
