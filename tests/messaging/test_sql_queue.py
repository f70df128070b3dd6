# Generated from test_sql_queue_async.py by scripts/twins.py. Do not edit.
"""What only a queue in a table has: its table, several queues in one, many claimers at once, the server's clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.core.concurrency import gather
from regionkit.errors import ConfigurationError
from regionkit.messaging.envelope import LARGEST_MESSAGE
from regionkit.messaging.sources import SqlQueue

from .source_engines import client_of, engine_of, locked_row, url_of
from .source_rigs import drained, soon

IS_ASYNC = False
KINDS = ("postgresql", "mariadb", "sqlite")


@pytest.fixture(params=KINDS)
def queues(request: pytest.FixtureRequest, data_path: Any) -> Iterator[Any]:
    """Makes queues over one engine, in an empty database."""
    made: list[Any] = []
    engine = engine_of(url_of(request.param, request, data_path), IS_ASYNC)

    def make(name: str = "orders", **options: Any) -> Any:
        made.append(SqlQueue(engine, name, **options))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


@pytest.fixture(params=("postgresql", "mariadb"))
def url(request: pytest.FixtureRequest, data_path: Any) -> str:
    """Of a server that locks rows."""
    return url_of(request.param, request, data_path)


def publish(queue: Any, *bodies: bytes) -> None:
    assert all(sent.confirmed for sent in queue.publish([(None, body) for body in bodies], soon()))


def test_a_table_that_is_missing_is_told(queues: Any) -> None:
    """With what makes it; making it twice does no harm."""
    queue = queues()
    with pytest.raises(ConfigurationError, match="create_tables"):
        queue.open(soon())
    queue.create_tables()
    queue.create_tables()
    queue.open(soon())


def test_queues_of_one_table_are_apart(queues: Any) -> None:
    """By name, byte for byte."""
    one, other, blank = queues("orders"), queues("Orders"), queues("orders ")
    one.create_tables()
    publish(one, b"a")
    publish(other, b"b")
    assert blank.fetch(10, 0.0) == []
    assert [delivery.body for delivery in drained(one, 1)] == [b"a"]
    assert [delivery.body for delivery in drained(other, 1)] == [b"b"]


def test_many_claim_and_publish_at_once(queues: Any) -> None:
    """Each message goes to one of them; nobody deadlocks, and none is passed over for good."""
    members = [queues(lease=60.0) for _ in range(4)]
    members[0].create_tables()
    counts = 30

    def work(number: int) -> list[bytes]:
        queue, done = members[number], []
        for n in range(counts):
            publish(queue, b"%d-%d-a" % (number, n), b"%d-%d-b" % (number, n))
            found = queue.fetch(3, 0.0)
            assert queue.ack(found) == len(found)
            done += [delivery.body for delivery in found]
        return done

    def job(number: int) -> Any:
        def run() -> list[bytes]:
            return work(number)

        return run

    done = gather([job(number) for number in range(4)])
    bodies = [body for some in done for body in (some if isinstance(some, list) else [repr(some).encode()])]
    while found := members[0].fetch(100, 0.0):
        bodies += [delivery.body for delivery in found]
    assert len(bodies) == len(set(bodies)) == 4 * counts * 2, bodies[-1]


def test_a_claim_passes_over_what_another_one_has_locked(url: str) -> None:
    """SKIP LOCKED: a claim that hangs holds up its own rows only."""
    queue = SqlQueue(engine_of(url, IS_ASYNC), "orders")
    queue.create_tables()
    publish(queue, b"a", b"b", b"c")
    with locked_row(url, "min"):
        found = queue.fetch(10, 0.0)
        assert [delivery.body for delivery in found] == [b"b", b"c"]
    assert [delivery.body for delivery in drained(queue, 1)] == [b"a"]
    queue.close()


def test_a_message_that_is_too_large_is_refused_alone(queues: Any) -> None:
    """For good; its neighbours are confirmed, and come in order. The largest one passes."""
    queue = queues()
    queue.create_tables()
    most = b"x" * LARGEST_MESSAGE
    sent = queue.publish([(None, most), (None, most + b"x"), (None, b"b")], soon())
    assert [(one.confirmed, one.refused) for one in sent] == [(True, ""), (False, "too_large"), (True, "")]
    assert [delivery.body for delivery in drained(queue, 2)] == [most, b"b"]


def test_names_that_cannot_be_are_refused(queues: Any) -> None:
    """And what is no SQL."""
    for name in ("", "q" * 65):
        with pytest.raises(ConfigurationError, match="named"):
            queues(name)
    with pytest.raises(ConfigurationError, match="PostgreSQL"):
        SqlQueue(client_of("redis://127.0.0.1:1", IS_ASYNC), "orders")


def test_a_kits_store_keeps_a_queue(tmp_path: Any) -> None:
    """Its table comes with the kit's."""
    store = SqlStore("main", endpoints=[Endpoint("here", Role.PRIMARY, f"sqlite:///{tmp_path / 'main.db'}")])
    with RegionKit(Topology("shop", regions=[Region("here")], stores=[store]), local="here") as kit:
        kit.create_tables()
        queue = SqlQueue(kit, "orders", store="main", group="billing")
        queue.create_tables()
        queue.open(soon())
        publish(queue, b"a")
        [found] = drained(queue, 1)
        assert queue.ack([found]) == 1
        queue.close()
