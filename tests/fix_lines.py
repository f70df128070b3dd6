"""A line to one server: the owner of a store rig, alone in its topology, behind a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from fix_rigs import NAMESPACE

from regionkit import Endpoint, MongoStore, RedisStore, Region, Role, SqlStore, Topology
from regionkit.testing import FaultProxy

HOME = "us-east-1"
PATIENT = {"base": "gentle", "read_deadline": 30.0, "write_deadline": 30.0}
STORES: dict[str, Any] = {"redis": RedisStore, "mongo": MongoStore}
"""Stores that are no SQL stores."""


class Line(NamedTuple):
    """What stands behind the proxy, and how it is spoken to."""

    server: str
    topology: Topology
    proxy: FaultProxy
    actions: Any
    async_actions: Any
    home: str = HOME
    patient: Any = PATIENT


def line_of(request: pytest.FixtureRequest) -> Iterator[Line]:
    """That of the server that the fixture's parameter names."""
    server: str = request.param
    rig: Any = request.getfixturevalue(f"{server}_store_rig")
    url = rig.servers.node(HOME).url if server == "mongo" else str(rig.topology().stores[0].endpoints[0].url)
    with FaultProxy(url) as proxy:
        where = proxy.url
        if server == "mongo":
            asked = urlsplit(rig.url)
            where = f"mongodb://127.0.0.1:{proxy.port}{asked.path}?{asked.query}"
        store = STORES.get(server, SqlStore)("orders", endpoints=[Endpoint(HOME, Role.PRIMARY, where)])
        topology = Topology(namespace=NAMESPACE, regions=[Region(HOME)], stores=[store])
        yield Line(server, topology, proxy, rig.Actions, rig.AsyncActions)
