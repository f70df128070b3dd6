"""A `unix://` URL: the kit speaks through the server's socket, for all that it does; who is not there is told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fix_servers import absent

from regionkit import SESSION, AsyncRegionKit, Endpoint, RedisStore, Region, Role, Topology
from regionkit.contract.outcomes import Unreached
from regionkit.core.concurrency_async import asleep


async def count(pipe: Any) -> None:
    """What a keyed write does."""
    pipe.incr("n")


def socket_of(node: Any) -> Path:
    """Where it listens."""
    with node.client() as plain:
        path = Path(str(plain.config_get("dir")["dir"])) / "redis.sock"
    if not path.is_socket():
        absent("this server's socket is not on this machine")
    return path


async def test_a_store_by_sockets(own_redis: Any) -> None:
    """Tables, writes, keyed writes and reads of a copy; the database is the one of the URL; a dead server is told."""
    servers = own_redis(1, settings=("--unixsocket", "redis.sock", "--unixsocketperm", "700"))
    urls = [f"unix://{socket_of(node)}?db=2" for node in servers.nodes]
    endpoints = [Endpoint("us", Role.PRIMARY, urls[0]), Endpoint("kr", Role.REPLICA, urls[1])]
    store = RedisStore("carts", endpoints=endpoints, options={"decode_responses": True})
    topology = Topology("shop", regions=[Region("us"), Region("kr")], stores=[store])
    async with AsyncRegionKit(topology, local="kr") as kit:
        await kit.create_tables()
        async with kit.session() as s:
            async with s.write("carts") as client:
                await client.set("a", "tea")
                assert (await client.client_info())["db"] == 2
            assert await s.execute_write("carts", count, idempotency_key="k") == [1]
            end = time.monotonic() + 20.0
            while s.last_route is None or s.last_route.region != "kr":
                assert time.monotonic() < end, "the copy does not catch up"
                async with s.read("carts", consistency=SESSION) as client:
                    assert await client.get("a") == "tea"
            assert s.last_route is not None
            assert s.last_route.region == "kr"
        servers.replicas[0].kill()
        told = (Unreached.CLOSED.cause, Unreached.FILE.cause)  # a server that was killed leaves its socket there
        end = time.monotonic() + 20.0
        while not any(cause in kit.status().endpoints[1].state for cause in told):
            assert time.monotonic() < end, kit.status()
            await asleep(0.02)
        assert kit.status().endpoints[1].advice
