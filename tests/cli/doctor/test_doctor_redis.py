"""The doctor on real Redis servers: prepared faults are found, and nothing on a healthy pair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_doctor import codes, examined, kit_over, one, prepared
from fix_rigs import wait_until
from fix_tls_redis import encrypted_redis

from regionkit import Endpoint, RedisStore, Role
from regionkit.topology.caches import CacheTiers

REGIONS = ["r0", "r1"]


def store(*urls: str, **endpoint: Any) -> RedisStore:
    """A primary in r0 and a replica in r1."""
    roles = [Role.PRIMARY, *[Role.REPLICA] * (len(urls) - 1)]
    endpoints = [
        Endpoint(f"r{i}", role, url, **endpoint) for i, (role, url) in enumerate(zip(roles, urls, strict=True))
    ]
    return RedisStore("carts", endpoints=endpoints)


class Fleet:
    """A primary and a replica, flushed, and settings that are taken back."""

    def __init__(self, servers: Any) -> None:
        self.nodes = [servers.primary, servers.replicas[0]]
        self.clients = [node.client(decode_responses=True) for node in self.nodes]
        self.before: list[tuple[Any, str, str]] = []
        self.urls = [node.url for node in self.nodes]

    def set(self, node: int, name: str, value: str) -> None:
        """A setting."""
        client = self.clients[node]
        self.before.append((client, name, client.config_get(name)[name]))
        client.config_set(name, value)

    def kit(self, **options: Any) -> Any:
        """Over its two servers, tables made."""
        return prepared(kit_over(store(*self.urls), REGIONS, **options))

    def close(self) -> None:
        for client, name, value in reversed(self.before):
            client.config_set(name, value)
        self.clients[0].flushall()
        for client in self.clients:
            client.close()


@pytest.fixture
def fleet(redis_server: Any) -> Iterator[Fleet]:
    """Healthy: it keeps what it has, and its replication id."""
    made = Fleet(redis_server)
    made.set(0, "appendonly", "yes")
    made.set(0, "repl-backlog-ttl", "0")
    yield made
    made.close()


def test_a_healthy_pair_has_nothing_to_mend(fleet: Fleet) -> None:
    """Not even a note."""
    assert examined(fleet.kit()) == []


@pytest.mark.parametrize(
    ("node", "name", "value", "code", "severity"),
    [
        (0, "maxmemory-policy", "allkeys-lru", "D421", "note"),
        (0, "appendonly", "no", "D422", "warning"),
        (0, "appendfsync", "no", "D422", "warning"),
        (0, "repl-backlog-ttl", "3600", "D424", "note"),
        (1, "replica-read-only", "no", "D413", "error"),
    ],
)
def test_a_setting(fleet: Fleet, node: int, name: str, value: str, code: str, severity: str) -> None:
    """Each is found at its server, and nothing else is."""
    kit = fleet.kit()
    fleet.set(node, name, value)
    assert [(f.code, f.severity, f.subject) for f in examined(kit)] == [(code, severity, f"carts r{node}")]


def test_what_regionkit_keeps_may_be_evicted(fleet: Fleet) -> None:
    """An error once memory is bounded; of a store that only caches use, a warning."""
    kit = fleet.kit()
    fleet.set(0, "maxmemory-policy", "allkeys-lfu")
    fleet.set(0, "maxmemory", "100mb")
    assert one(examined(kit), "D421").severity == "error"
    found = examined(fleet.kit(caches=[CacheTiers("users", "carts")]))
    assert one(found, "D421").severity == "warning"


def test_a_cache_needs_no_persistence(fleet: Fleet) -> None:
    """Where the topology says that caches use the store."""
    fleet.set(0, "appendonly", "no")
    assert examined(fleet.kit(caches=[CacheTiers("users", "carts")])) == []


def test_a_link_that_is_down(fleet: Fleet) -> None:
    """The replica has lost its primary."""
    kit = fleet.kit()
    replica = fleet.nodes[1]
    replica._link.cut()
    try:
        wait_until(lambda: fleet.clients[1].info("replication")["master_link_status"] == "down", 30.0)
        assert one(examined(kit), "D415").subject == "carts r1"
    finally:
        replica._link.heal()
        replica._await_link()


def test_an_account_without_scripts(fleet: Fleet) -> None:
    """Keyed writes, histories and records need EVAL."""
    fleet.kit().close()
    fleet.clients[0].execute_command("ACL SETUSER doc on >secret ~* &* +@all -@admin -@dangerous +info -eval")
    try:
        url = fleet.urls[0].replace("redis://", "redis://doc:secret@")
        found = one(examined(kit_over(store(url), ["r0"])), "D502")
        assert "EVAL" in found.what and "+eval" in found.fix
    finally:
        fleet.clients[0].execute_command("ACL DELUSER doc")


def test_others_that_write_the_keys(fleet: Fleet) -> None:
    """Another account whose rules reach them; one whose keys are elsewhere is none."""
    fleet.clients[0].execute_command("ACL SETUSER doc on >secret ~* +@all")
    fleet.clients[0].execute_command("ACL SETUSER elsewhere on >secret ~other:* +@all")
    try:
        found = one(examined(fleet.kit()), "D603")
        assert "doc" in found.what and "elsewhere" not in found.what
    finally:
        fleet.clients[0].execute_command("ACL DELUSER doc elsewhere")


def test_a_certificate_that_ends_soon(own_redis: Any, tmp_path: Path) -> None:
    """Of two days; the wire is encrypted."""
    url, cert = encrypted_redis(own_redis, tmp_path)
    found = examined(prepared(kit_over(store(f"{url}?ssl_ca_certs={cert}", tls="require"), ["r0"])))
    assert one(found, "D107").what.startswith("the server's certificate expires in ")
    assert "D106" not in codes(found)


def test_a_certificate_that_nobody_trusts(own_redis: Any, tmp_path: Path) -> None:
    """TLS fails, and the finding says so."""
    url, _ = encrypted_redis(own_redis, tmp_path)
    assert codes(examined(kit_over(store(url, tls="require"), ["r0"]))) == ["D203"]
