"""A primary that was replaced comes back as it was. A process that starts now has it nearest, and must not write there."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fix_rigs import NAMESPACE
from sqlalchemy import text

from regionkit import (
    STRONG,
    Endpoint,
    Region,
    RegionKit,
    RegionKitError,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
)
from regionkit.core.deadline import Deadline
from regionkit.facts.record import Record
from regionkit.testing import FaultProxy

WRITE = text("INSERT INTO t (who) VALUES (:who)")
PATIENCE = 30.0


@pytest.fixture(scope="module")
def replaced(request: pytest.FixtureRequest) -> Iterator[Any]:
    """us was replaced by eu, which took a write; then us came back. With a kit that saw nothing of it."""
    from regionkit.testing import servers

    with servers.postgresql(replicas=1) as pg:
        us, eu = pg.primary, pg.replicas[0]
        with kit_of(us.url, eu.url) as kit:
            kit.create_tables()
            with kit.session() as s, s.write("orders") as db:
                db.execute(text("CREATE TABLE t (id serial PRIMARY KEY, who text)"))
            pg.wait_for_replicas()
            with kit_of(us.url, eu.url) as busy, kit_of(us.url, eu.url) as filing:
                for worked in (busy, filing):
                    until(worked, "us")
                    worked._monitor.stop()  # as if it had looked a moment ago
                us.kill()
                eu.promote()
                until(kit, "eu")
                us.start()
                kit.close()
                yield us, eu, (busy, filing)


pytestmark = pytest.mark.postgresql


def kit_of(us: str, eu: str) -> RegionKit:
    """A kit in us, as the configuration still says."""
    endpoints = [Endpoint("us", Role.PRIMARY, us), Endpoint("eu", Role.REPLICA, eu)]
    store = SqlStore("orders", endpoints=endpoints)
    return RegionKit(Topology(namespace=NAMESPACE, regions=[Region("us"), Region("eu")], stores=[store]), local="us")


def until(kit: RegionKit, region: str) -> None:
    """Write until it is acknowledged; it was in that region."""
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(RegionKitError), kit.session() as s:
            with s.write("orders") as db:
                db.execute(WRITE, {"who": "the application"})
            assert s.last_route is not None and s.last_route.region == region
            return
        assert time.monotonic() < end, f"no write for {PATIENCE} s:\n{kit.status()}"
        time.sleep(0.02)


def rows(url: str) -> int:
    """Of the table, past the library."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as c:
        found = c.execute("SELECT count(*) FROM t").fetchone()
    assert found is not None
    return int(found[0])


def test_a_process_that_worked_meanwhile_does_not_write_to_it(replaced: Any) -> None:
    """It knows the owner, whose server began anew: the others are asked before its next write."""
    us, _, (busy, _) = replaced
    before = rows(us.url)
    store: Any = busy._store("orders")
    now = store.clock.monotonic()
    store.state._asked_at = [now for _ in store.state._asked_at]  # its monitor did run, and saw nothing yet
    until(busy, "eu")
    assert rows(us.url) == before


def test_a_record_is_not_put_there_either(replaced: Any) -> None:
    """Placements, leases of work and lists are records: the connection tells of another run, and the others are asked."""
    us, eu, (_, filing) = replaced
    store: Any = filing._store("orders")
    now = store.clock.monotonic()
    store.state._asked_at = [now for _ in store.state._asked_at]
    records, row = filing.backing("orders").records(), Record("kind", "key", b"value", 1)
    with pytest.raises(RegionUnavailable, match="does not own the store now"):
        records.put(Deadline(store.clock, PATIENCE), row, expected=0)
    assert records.put(Deadline(store.clock, PATIENCE), row, expected=0) == row
    with kit_of(eu.url, us.url) as other:
        found = [
            other._store("orders").backend(i).records.get(Deadline(store.clock, PATIENCE), "kind", "key")
            for i in range(2)
        ]
    assert found == [row, None]


@pytest.mark.parametrize("rtt", [0.02, 0.2])
def test_a_process_that_starts_does_not_write_to_it(replaced: Any, rtt: float) -> None:
    """Its first write and its first STRONG read wait until the far one has answered."""
    us, eu, _ = replaced
    before = rows(us.url)
    with FaultProxy(eu.url) as far:
        far.latency(rtt / 2)
        for _ in range(3 if rtt < 0.1 else 2):
            with kit_of(us.url, far.url) as kit:
                until(kit, "eu")
            with kit_of(us.url, far.url) as kit, kit.session() as s, contextlib.suppress(RegionKitError):
                with s.read("orders", consistency=STRONG) as db:
                    db.execute(text("SELECT 1"))
                assert s.last_route is not None and s.last_route.region == "eu"
    assert rows(us.url) == before


def test_a_far_endpoint_that_is_dead_holds_a_write_up_once(replaced: Any) -> None:
    """It failed to answer: that is all that can be known. Nobody waits for it again."""
    us, eu, _ = replaced
    with FaultProxy(us.url) as dead, kit_of(dead.url, eu.url) as kit:
        dead.freeze()
        until(kit, "eu")
        for _ in range(5):
            began = time.monotonic()
            until(kit, "eu")
            assert time.monotonic() - began < kit._profile.probe_timeout, "a later write waited for the dead one, too"


@pytest.mark.parametrize("how", ["fork", "pause"])
def test_a_process_that_knew_nothing_for_long_asks_anew(replaced: Any, how: str) -> None:
    """A child has its parent's knowledge, and a process that slept its own: both are old."""
    us, eu, _ = replaced
    with kit_of(us.url, eu.url) as kit:
        until(kit, "eu")
        store: Any = kit._store("orders")
        assert store.state.met(store.state.snapshot.owner)
        if how == "fork":
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                kit._started()
                os.write(write, b"knows" if store.state.met(store.state.snapshot.owner) else b"asks")
                os._exit(0)
            os.waitpid(child, 0)
            assert os.read(read, 9) == b"asks"
            os.close(read)
            os.close(write)
        else:
            kit._monitor.stop()
            time.sleep(2 * kit._profile.sample_every)
            store.state._asked_at = [at - 60.0 for at in store.state._asked_at]  # a minute without the monitor
            assert not store.state.met(store.state.snapshot.owner)
            until(kit, "eu")
            assert store.state.met(store.state.snapshot.owner)
