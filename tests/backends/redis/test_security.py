"""TLS to Redis, verified, the host name checked; and the account of the how-to page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from fix_store_rigs import NAMESPACE
from fix_tls_redis import encrypted_redis

from regionkit import AsyncRegionKit, Endpoint, RedisStore, Region, RegionKit, RegionUnavailable, Role, Topology

pytestmark = pytest.mark.redis


@pytest.fixture
def encrypted(own_redis: Any, tmp_path: Path) -> tuple[str, Path]:
    """Its URL, and its certificate."""
    return encrypted_redis(own_redis, tmp_path)


def topology(url: str) -> Topology:
    """A store with one endpoint."""
    store = RedisStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, url, tls="require")])
    return Topology(namespace=NAMESPACE, regions=[Region("us-east-1")], stores=[store])


async def ask(url: str) -> None:
    """Write and read, in both worlds."""
    with RegionKit(topology(url), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        with s.write("orders") as client:
            client.set("a", "tea")
        with s.read("orders") as client:
            assert client.get("a") == b"tea"
    async with AsyncRegionKit(topology(url), local="us-east-1") as async_kit, async_kit.session() as t:
        async with t.write("orders") as client:
            await client.set("a", "milk")
        for _ in range(3):
            async with t.read("orders") as client:
                assert await client.get("a") == b"milk"


async def test_a_trusted_certificate_for_the_right_host_is_taken(encrypted: tuple[str, Path]) -> None:
    """Verified against the root that the URL names."""
    url, cert = encrypted
    await ask(f"{url}?ssl_ca_certs={cert}")


@pytest.mark.parametrize("fault", ["unknown", "host"])
async def test_a_certificate_that_proves_nothing_is_refused(encrypted: tuple[str, Path], fault: str) -> None:
    """One that no root vouches for, and one for another host."""
    url, cert = encrypted
    changed = url if fault == "unknown" else url.replace("localhost", "127.0.0.1") + f"?ssl_ca_certs={cert}"
    with pytest.raises(RegionUnavailable) as caught, RegionKit(topology(changed), local="us-east-1") as kit:
        with kit.session() as s, s.read("orders", timeout=5.0) as client:
            client.get("a")
    assert "certificate" in caught.value.why
    with pytest.raises(RegionUnavailable) as caught:
        async with AsyncRegionKit(topology(changed), local="us-east-1") as async_kit, async_kit.session() as t:
            async with t.read("orders", timeout=5.0) as client:
                await client.get("a")
    assert "certificate" in caught.value.why


def test_the_account_of_the_page_is_enough(own_redis: Any) -> None:
    """It makes the history, writes, writes under a key and reads; and it may not change the server."""
    page = Path(__file__).parents[3] / "docs" / "how-to" / "redis.md"
    [words] = [line.split() for line in page.read_text().splitlines() if line.startswith("ACL SETUSER")]
    servers = own_redis(1)
    for node in servers.nodes:
        with node.client() as client:
            client.execute_command(*words)
    urls = [node.url.replace("redis://", "redis://shop_app:change-me@") for node in servers.nodes]
    endpoints = [Endpoint("a", Role.PRIMARY, urls[0]), Endpoint("b", Role.REPLICA, urls[1])]
    made = Topology("shop", regions=[Region("a"), Region("b")], stores=[RedisStore("orders", endpoints=endpoints)])
    with RegionKit(made, local="b") as kit, kit.session() as s:
        kit.create_tables()

        def order(pipe: Any) -> None:
            pipe.incr("n")

        assert s.execute_write("orders", order, idempotency_key="k") == [1]
        with s.read("orders") as client:
            assert client.get("n") == b"1"
        with s.write("orders") as client, pytest.raises(redis.exceptions.NoPermissionError):
            client.config_set("maxmemory", 0)
        assert kit.status().to_dict()["endpoints"][0]["epoch"] == 1
