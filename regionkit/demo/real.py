"""The stage of `--real`: PostgreSQL with two streaming replicas, behind proxies that are as far away as the cities are."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Self

from regionkit.demo.stage import HEIR, HOME, LOCAL, STORE
from regionkit.kit import RegionKit
from regionkit.testing import FaultProxy, servers
from regionkit.topology import Endpoint, Region, Role, SqlStore, Topology

__all__ = ["ROUND_TRIPS", "RealStage"]

ROUND_TRIPS = {HOME: 0.174, HEIR: 0.034, LOCAL: 0.0}
"""Seconds, as seen from Seoul. (Tokyo to Virginia takes 146 ms; here nobody stands there.)"""
APPLY_DELAY = 0.2
"""Seconds: half a round trip to Virginia, as a commit there has to travel, and some for a busy standby."""

PROBE_TIMEOUT = 2.0
"""Seconds: the first probe also connects, which takes some six round trips to Virginia; "balanced" would give it 0.5 s."""


class RealStage:
    """Servers of this machine, from the testing kit: started for the story and gone after it."""

    name = "real"
    lag = APPLY_DELAY
    about = (
        "PostgreSQL: a primary and two streaming replicas, at the round trips of cities.\n"
        "Virginia (us-east-1, 174 ms away) takes the writes; Tokyo (ap-northeast-1, 34 ms)\n"
        f"and Seoul (ap-northeast-2), where we are, apply them {APPLY_DELAY:g} s later."
    )

    def __init__(self) -> None:
        self.profile: dict[str, Any] = {"probe_timeout": PROBE_TIMEOUT}
        self.calls = {
            "kill": "kill -9 $(head -1 postmaster.pid)",
            "promote": "SELECT pg_promote()",
            "revive": "pg_rewind --source-server=tokyo; pg_ctl start",
        }
        self._stack = ExitStack()
        self._nodes: dict[str, Any] = {}
        self._urls: dict[str, str] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            pg = stack.enter_context(servers.postgresql(replicas=2))
            pg.primary.sql("ALTER ROLE app REPLICATION")  # so that the kit may read how the timelines forked
            self._nodes = {HOME: pg.primary, LOCAL: pg.replicas[0], HEIR: pg.replicas[1]}
            for region, node in self._nodes.items():
                proxy = stack.enter_context(FaultProxy(node.app_url))
                proxy.latency(ROUND_TRIPS[region] / 2.0)
                self._urls[region] = proxy.url
            for replica in pg.replicas:
                replica.lag(self.lag)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def topology(self) -> Topology:
        """As at the start: that roles changed is for the kit to find out."""
        endpoints = [
            Endpoint(region, Role.PRIMARY if region == HOME else Role.REPLICA, url)
            for region, url in self._urls.items()
        ]
        regions = [Region(region) for region in self._urls]
        return Topology(namespace="demo", regions=regions, stores=[SqlStore(STORE, endpoints=endpoints)])

    def kill(self) -> None:
        """SIGKILL."""
        self._nodes[HOME].kill()

    def promote(self) -> None:
        """As an operator does; the kit's monitor writes the history row, proved by the timeline history."""
        self._nodes[HEIR].promote()

    def settle(self) -> None:
        """Let Seoul stream from Tokyo."""
        self._nodes[LOCAL].follow(self._nodes[HEIR])
        self._nodes[LOCAL].lag(self.lag)

    def revive(self, kit: RegionKit) -> None:
        """Rewound to where Tokyo left its history, and streaming from there."""
        self._nodes[HOME].follow(self._nodes[HEIR])
