# Generated from test_relay_replicated_async.py by scripts/twins.py. Do not edit.
"""`publish_after="replicated"`: nothing is published that a failover could undo."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from regionkit import ConfigurationError, Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.messaging.outbox import Outbox
from regionkit.messaging.relay import Relay

from .landing import Landing, payloads

IS_ASYNC = False
A, B = "us-east-1", "eu-west-1"


def test_it_waits_for_the_copies(own_pg: Any) -> None:
    """While the copy stands still nothing leaves; when it has caught up everything does. "commit" waits for nobody."""
    servers, landing, hasty = own_pg(1), Landing(), Landing()
    replica = servers.nodes[1]
    ends = [Endpoint(A, Role.PRIMARY, servers.primary.app_url), Endpoint(B, Role.REPLICA, replica.app_url)]
    topology = Topology(namespace="shop", regions=[Region(A), Region(B)], stores=[SqlStore("orders", endpoints=ends)])
    with RegionKit(topology, local=A) as kit:
        kit.create_tables()
        outbox = Outbox(kit, store="orders", destinations=["slow", "hasty"])
        outbox.create_tables()
        relay = Relay(outbox, to={"slow": landing})
        other = Relay(outbox, to={"hasty": hasty}, publish_after="commit")
        assert (relay.publish_after, other.publish_after) == ("replicated", "commit")
        outbox.send("slow", 1, key="a")
        assert (relay.run_once()).published == 1, "it waits a moment for a copy that streams"
        replica.pause_replay()
        with kit.session() as s, s.write("orders") as db:
            db.execute(text("SELECT 1"))
            outbox.publish(db, "made", 2, key="a", to=["slow", "hasty"])
        assert (other.run_once()).published == 1
        assert (relay.run_once()).published == 0
        assert "waits for copy eu-west-1" in str(relay.explain())
        assert (payloads(landing.came), payloads(hasty.came)) == ([1], [2])
        replica.resume_replay()
        while len(landing.came) < 2:
            relay.run_once()
        assert payloads(landing.came) == [1, 2]
        relay.stop()
        other.stop()


def test_it_needs_copies_that_somebody_knows(accounts: Any) -> None:
    """One engine has none: at once is all that can be had, and to ask for more is refused."""
    outbox = Outbox(accounts.make(is_async=IS_ASYNC))
    assert Relay(outbox, to=Landing()).publish_after == "commit"
    with pytest.raises(ConfigurationError, match="does not know its copies"):
        Relay(outbox, to=Landing(), publish_after="replicated")
    outbox.close()
