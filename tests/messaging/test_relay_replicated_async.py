"""`publish_after="replicated"`: nothing is published that a failover could undo."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from regionkit import AsyncRegionKit, ConfigurationError, Endpoint, Region, Role, SqlStore, Topology
from regionkit.messaging.outbox_async import AsyncOutbox
from regionkit.messaging.relay_async import AsyncRelay

from .landing_async import AsyncLanding, payloads

IS_ASYNC = True
A, B = "us-east-1", "eu-west-1"


async def test_it_waits_for_the_copies(own_pg: Any) -> None:
    """While the copy stands still nothing leaves; when it has caught up everything does. "commit" waits for nobody."""
    servers, landing, hasty = own_pg(1), AsyncLanding(), AsyncLanding()
    replica = servers.nodes[1]
    ends = [Endpoint(A, Role.PRIMARY, servers.primary.app_url), Endpoint(B, Role.REPLICA, replica.app_url)]
    topology = Topology(namespace="shop", regions=[Region(A), Region(B)], stores=[SqlStore("orders", endpoints=ends)])
    async with AsyncRegionKit(topology, local=A) as kit:
        await kit.create_tables()
        outbox = AsyncOutbox(kit, store="orders", destinations=["slow", "hasty"])
        await outbox.create_tables()
        relay = AsyncRelay(outbox, to={"slow": landing})
        other = AsyncRelay(outbox, to={"hasty": hasty}, publish_after="commit")
        assert (relay.publish_after, other.publish_after) == ("replicated", "commit")
        await outbox.send("slow", 1, key="a")
        assert (await relay.run_once()).published == 1, "it waits a moment for a copy that streams"
        replica.pause_replay()
        async with kit.session() as s, s.write("orders") as db:
            await db.execute(text("SELECT 1"))
            await outbox.publish(db, "made", 2, key="a", to=["slow", "hasty"])
        assert (await other.run_once()).published == 1
        assert (await relay.run_once()).published == 0
        assert "waits for copy eu-west-1" in str(relay.explain())
        assert (payloads(landing.came), payloads(hasty.came)) == ([1], [2])
        replica.resume_replay()
        while len(landing.came) < 2:
            await relay.run_once()
        assert payloads(landing.came) == [1, 2]
        await relay.stop()
        await other.stop()


async def test_it_needs_copies_that_somebody_knows(accounts: Any) -> None:
    """One engine has none: at once is all that can be had, and to ask for more is refused."""
    outbox = AsyncOutbox(accounts.make(is_async=IS_ASYNC))
    assert AsyncRelay(outbox, to=AsyncLanding()).publish_after == "commit"
    with pytest.raises(ConfigurationError, match="does not know its copies"):
        AsyncRelay(outbox, to=AsyncLanding(), publish_after="replicated")
    await outbox.close()
