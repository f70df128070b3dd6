"""An observation that was begun before the table of histories was there does not tell that its rows are gone."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy
from fix_rigs import Rig

from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.core.deadline import Deadline
from regionkit.facts.request import Kind

KEY = "a key of more than sixteen characters"


def asked(shard: Any) -> Any:
    """What the owner says on a connection of its own, by a process that has not heard of the table."""
    backend = shard.backend(0)
    server = getattr(backend, "server", None) or backend._server
    server._has_history = False
    deadline = Deadline(shard.clock, 10.0)
    checkout = backend.check_out(Kind.READ, deadline, 10.0)
    try:
        return checkout.observe()
    finally:
        checkout.release()


@pytest.mark.parametrize("own_engine", [False, True])
@pytest.mark.parametrize("server", ["postgresql", "mariadb", "mysql"])
def test_rows_that_came_meanwhile_are_asked_for(server: str, own_engine: bool, request: pytest.FixtureRequest) -> None:
    """Else a store whose tables another process has just made would look like one that lost them, and be fenced."""
    rig: Rig = request.getfixturevalue(f"{server}_rig")
    engine = sqlalchemy.create_engine(rig.urls[0]) if own_engine else None
    here = Endpoint("us", Role.PRIMARY, client=engine) if own_engine else Endpoint("us", Role.PRIMARY, rig.urls[0])
    topology = Topology(namespace="late", regions=[Region("us")], stores=[SqlStore("orders", endpoints=[here])])
    with RegionKit(topology, local="us", bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        observation = asked(kit._store("orders").shards[0])
        assert observation.lineage is not None
    if engine is not None:
        engine.dispose()
