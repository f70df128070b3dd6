"""Killed, frozen and half-open servers: each test names the region that must answer, and when.

An error passes only where no endpoint is eligible, and always inside the deadline.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fix_rigs import NAMESPACE, Order, make_tables, wait_until
from sqlalchemy import text

from regionkit import (
    EVENTUAL,
    DeadlineExceeded,
    Endpoint,
    NoEligibleEndpoint,
    OutcomeUnknown,
    Region,
    RegionKit,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
)
from regionkit.testing import FaultProxy

HERE, FAR = "ap-northeast-2", "us-east-1"
GRACE = 2.0
"""Beyond the deadline, for a machine that is busy with other tests: who does not heed it hangs for as long as the server does."""


def topology(urls: list[str], **options: Any) -> Topology:
    """The primary far away, replicas after it, the first of them here."""
    regions = [FAR, HERE, "eu-west-1"][: len(urls)]
    endpoints = [
        Endpoint(region, Role.REPLICA if i else Role.PRIMARY, url)
        for i, (region, url) in enumerate(zip(regions, urls, strict=True))
    ]
    store = SqlStore("orders", endpoints=endpoints, **options)
    return Topology(namespace=NAMESPACE, regions=[Region(r) for r in regions], stores=[store])


@pytest.fixture(params=["postgresql", "mariadb", "mysql"])
def pair(request: pytest.FixtureRequest) -> Any:
    """A primary and a replica of one's own, to destroy."""
    servers = request.getfixturevalue({"postgresql": "own_pg"}.get(request.param, f"own_{request.param}"))(replicas=1)
    make_tables(servers.primary.app_url)
    servers.wait_for_replicas()
    return servers


@contextlib.contextmanager
def kit_of(servers: Any, **profile: Any) -> Iterator[RegionKit]:
    """A kit here, every endpoint seen and one order written."""
    urls = [servers.primary.app_url, *(r.app_url for r in servers.replicas)]
    spec = {"base": "balanced", "open_first": 0.5, "open_longest": 1.0, "hold_down": 0.2, **profile}
    with RegionKit(topology(urls), local=HERE, profile=spec) as kit:
        kit.create_tables()
        with kit.session() as s:
            s.execute_write("orders", lambda db: db.add(Order(id=1, item="tea")))
        wait_until(lambda: all(e.lag is not None and e.lag < 2.0 for e in kit.status().endpoints))
        wait_until(lambda: eventual(kit)[1] == HERE)
        yield kit


def eventual(kit: RegionKit, timeout: float = 3.0) -> tuple[Any, str]:
    """An eventual read: the order, and the region that answered."""
    with kit.session() as s:
        order = s.execute_read("orders", lambda db: db.get(Order, 1), consistency=EVENTUAL, timeout=timeout)
        assert s.last_route is not None
        return order, s.last_route.region


def within(seconds: float) -> Any:
    """The block may not outlive its deadline."""

    @contextlib.contextmanager
    def measure() -> Iterator[None]:
        began = time.monotonic()
        yield
        assert time.monotonic() - began < seconds + GRACE

    return measure()


def test_a_killed_replica_is_left_at_once(pair: Any) -> None:
    """Here is dead: far answers, in blocks too, since nothing was sent; and here answers again after its return."""
    with kit_of(pair) as kit:
        pair.replicas[0].kill()
        with within(1.0):
            assert eventual(kit)[1] == FAR
        with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            assert db.get(Order, 1) is not None
        pair.replicas[0].start()
        wait_until(lambda: eventual(kit)[1] == HERE, 20)


def test_a_frozen_replica_is_left_inside_the_deadline(pair: Any) -> None:
    """Here is frozen: far answers inside the deadline, at first by running again, then by the breaker."""
    with kit_of(pair) as kit:
        pair.replicas[0].freeze()
        with within(3.0):
            assert eventual(kit, 3.0)[1] == FAR
        wait_until(lambda: kit.status().endpoints[1].read_breaker != "closed")
        with within(0.5), kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            assert db.get(Order, 1) is not None
        pair.replicas[0].thaw()
        wait_until(lambda: eventual(kit)[1] == HERE, 20)


def test_a_dead_primary_leaves_local_reads_alone(pair: Any) -> None:
    """Far is dead or frozen: eventual reads here do not notice, writes fail in time and say that nothing is committed."""
    with kit_of(pair) as kit:
        for strike, heal in (
            (pair.primary.freeze, pair.primary.thaw),
            (pair.primary.kill, pair.primary.start),
        ):
            strike()
            with kit.session() as s:
                for _ in range(200):
                    with s.read("orders", consistency=EVENTUAL) as db:
                        assert db.get(Order, 1) is not None
                    assert s.last_route is not None
                    assert [(a.region, a.kind, a.outcome) for a in s.last_route.attempts] == [(HERE, "initial", "ok")]
            refused = (
                DeadlineExceeded,
                RegionUnavailable,
                NoEligibleEndpoint,
            )  # the last where its breaker is open by now
            with kit.session() as s, within(1.0), pytest.raises(refused) as caught:
                with s.write("orders", timeout=1.0) as db:
                    db.add(Order(id=2, item="tea"))
            assert caught.value.committed == "no"
            wait_until(lambda: kit.status().endpoints[0].write_breaker != "closed")
            with kit.session() as s, within(0.2), pytest.raises((NoEligibleEndpoint, RegionUnavailable)):
                with s.write("orders") as db:
                    db.add(Order(id=2, item="tea"))
            heal()
            wait_until(lambda: kit.explain("orders", "write").decision.outcome == "use", 20)
            wait_until(lambda: _writes(kit), 20)


def _writes(kit: RegionKit) -> bool:
    try:
        with kit.session() as s:
            s.execute_write("orders", lambda db: db.execute(text("UPDATE orders SET item = 'coffee' WHERE id = 1")))
    except (RegionUnavailable, NoEligibleEndpoint, DeadlineExceeded):
        return False
    return True


def test_a_session_read_with_its_owner_dead_is_refused_in_time(pair: Any) -> None:
    """The replica lacks the write and far is dead: an error inside the deadline, not an old value."""
    with kit_of(pair) as kit, kit.session() as s:
        pair.replicas[0].pause_replay()
        s.execute_write("orders", lambda db: db.add(Order(id=2, item="tea")))
        pair.primary.kill()
        with within(3.0), pytest.raises(Exception) as caught:
            s.execute_read("orders", lambda db: db.get(Order, 2), timeout=3.0)
        assert type(caught.value).__name__ in {
            "StaleRead",
            "RegionUnavailable",
            "NoEligibleEndpoint",
            "DeadlineExceeded",
        }


def test_a_server_frozen_in_a_transaction(pair: Any) -> None:
    """Frozen before COMMIT: nothing committed, said in time; frozen at COMMIT: unknown, said in time."""
    from regionkit.testing import crash_points

    with kit_of(pair) as kit, kit.session() as s:
        with within(1.0), pytest.raises(DeadlineExceeded) as before, s.write("orders", timeout=1.0) as db:
            db.add(Order(id=2, item="tea"))
            db.flush()
            pair.primary.freeze()
            db.execute(text("SELECT 1"))
        assert before.value.committed == "no"
        pair.primary.thaw()
        wait_until(lambda: _writes(kit), 20)
        with crash_points({"write.before_commit": pair.primary.freeze}), within(1.0):
            with pytest.raises(OutcomeUnknown), s.write("orders", timeout=1.0) as db:
                db.add(Order(id=3, item="tea"))
        pair.primary.thaw()


def test_everything_down_at_the_start(own_pg: Any) -> None:
    """The kit can be built while every server is down; it works once they are there."""
    servers = own_pg(replicas=1)
    make_tables(servers.primary.app_url)
    servers.wait_for_replicas()
    for node in (servers.primary, *servers.replicas):
        node.kill()
    urls = [servers.primary.app_url, servers.replicas[0].app_url]
    spec = {"base": "aggressive", "open_first": 0.2, "open_longest": 0.4, "hold_down": 0.1}
    with RegionKit(topology(urls), local=HERE, profile=spec) as kit, kit.session() as s:
        with within(1.0), pytest.raises((RegionUnavailable, NoEligibleEndpoint, DeadlineExceeded)):
            with s.read("orders", timeout=1.0) as db:
                db.get(Order, 1)
        for node in (servers.primary, *servers.replicas):
            node.start()
        wait_until(lambda: _writes(kit), 20)
        kit.create_tables()
        wait_until(lambda: eventual(kit)[1] == HERE, 20)


def test_a_half_open_server_is_left_inside_the_deadline(pg: Any) -> None:
    """It accepts connections and never answers: another region does."""
    name = pg.database()
    make_tables(pg.primary.url_for(name))
    pg.wait_for_replicas()
    with FaultProxy(pg.replicas[0].url_for(name)) as proxy:
        urls = [pg.primary.url_for(name), proxy.url]
        with RegionKit(topology(urls), local=HERE) as kit:
            kit.create_tables()
            proxy.freeze()
            with within(3.0):
                assert eventual(kit, 3.0)[1] == FAR
            wait_until(lambda: kit.status().endpoints[1].read_breaker != "closed")
            with kit.session() as s, within(0.5), s.read("orders", consistency=EVENTUAL) as db:
                db.get(Order, 1)


def test_an_unreachable_pool_of_dead_connections_is_not_used(pair: Any) -> None:
    """A full pool of connections that died with the server: the next reads get live ones, none fails."""
    with kit_of(pair) as kit:
        sessions = [kit.session() for _ in range(8)]
        with contextlib.ExitStack() as stack:
            for s in sessions:
                db = stack.enter_context(s.read("orders", consistency=EVENTUAL))
                db.execute(text("SELECT 1"))
        pair.replicas[0].kill()
        pair.replicas[0].start()
        for _ in range(20):
            with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
                assert db.get(Order, 1) is not None
