"""A copy that freezes while a read asks it where it stands: another region still answers inside the deadline."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fix_rigs import NAMESPACE, Order, Rig, wait_until

from regionkit import EVENTUAL, STRONG, Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.testing import FaultProxy

HERE, FAR = "ap-northeast-2", "us-east-1"


@pytest.fixture(params=["postgresql", "mariadb", "mysql"])
def servers(request: pytest.FixtureRequest) -> Rig:
    """A primary and a replica that can be held back."""
    rig: Rig = request.getfixturevalue(f"{request.param}_rig")
    return rig


@contextlib.contextmanager
def far_and_here(rig: Rig, **profile: Any) -> Iterator[tuple[RegionKit, FaultProxy]]:
    """A kit beside the replica, the primary a tenth of a second away; and the replica's proxy. One order is written."""
    with FaultProxy(rig.urls[0]) as far, FaultProxy(rig.urls[1]) as here:
        far.latency(0.04)
        endpoints = [Endpoint(FAR, Role.PRIMARY, far.url), Endpoint(HERE, Role.REPLICA, here.url)]
        topology = Topology(
            namespace=NAMESPACE,
            regions=[Region(FAR), Region(HERE)],
            stores=[SqlStore("orders", endpoints=endpoints)],
        )
        with RegionKit(topology, local=HERE, profile={"base": "balanced", **profile}) as kit:
            kit.create_tables()
            with kit.session() as s:
                s.execute_write("orders", lambda db: db.add(Order(id=1, item="tea")))
                wait_until(lambda: kit.explain("orders").decision.index == 1)
                wait_until(lambda: _read(kit, s.bookmark()) == HERE)
                with s.read("orders", consistency=STRONG) as db:  # far has a connection too: making one takes a second
                    assert db.get(Order, 1) is not None
            yield kit, here


def _read(kit: RegionKit, bookmark: str) -> str:
    with kit.session(bookmark=bookmark) as s:
        with s.read("orders") as db:
            assert db.get(Order, 1) is not None
        assert s.last_route is not None
        return s.last_route.region


def test_frozen_while_a_session_read_waits_for_it(servers: Rig) -> None:
    """The replica lacks the write, so the read waits for it, and it freezes just then: the owner answers in time."""
    # with a patient monitor nothing but the worth of the wait ends it
    with far_and_here(servers, probe_timeout=4.0) as (kit, here), kit.session() as s, servers.held():
        s.execute_write("orders", lambda db: db.add(Order(id=2, item="coffee")))
        freezing = threading.Timer(0.02, here.freeze)
        freezing.start()
        began = time.monotonic()
        with s.read("orders", timeout=4.0) as db:
            assert db.get(Order, 2) is not None
        assert time.monotonic() - began < 1.5, "it was waited for longer than that was worth: half of the deadline"
        assert s.last_route is not None
        assert s.last_route.region == FAR
        assert [a.region for a in s.last_route.attempts] == [HERE, FAR]
        freezing.join()


def test_frozen_while_its_connection_is_proved(servers: Rig) -> None:
    """Its run is not known any more, the question on the connection gets no answer: the owner answers in time."""
    with far_and_here(servers) as (kit, here), kit.session() as s:
        here.freeze()
        kit._store("orders").lost(1)
        with s.read("orders", consistency=EVENTUAL, timeout=4.0) as db:
            assert db.get(Order, 1) is not None
        assert s.last_route is not None
        assert s.last_route.region == FAR
        assert [a.outcome for a in s.last_route.attempts] == ["DeadlineExceeded", "ok"]


def test_frozen_before_the_position_of_a_read_was_taken(servers: Rig) -> None:
    """What was read there is asked for before the session moves on; its silence leaves the owner time to answer."""
    with far_and_here(servers, probe_timeout=4.0) as (kit, here), kit.session() as s:
        with s.read("orders") as db:
            assert db.get(Order, 1) is not None
        assert s.last_route is not None
        assert s.last_route.region == HERE
        here.freeze()
        assert s.execute_read("orders", lambda db: db.get(Order, 1), timeout=4.0) is not None
        assert s.last_route.region == FAR
