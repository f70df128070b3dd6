"""URLs of Redis, MongoDB, Cassandra and memory: several hosts, few parameters, TLS off loopback, no password shown."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit.errors import ConfigurationError
from regionkit.topology.server_urls import MOST_HOSTS, server_url


@pytest.mark.parametrize(
    ("backend", "url", "hosts", "database"),
    [
        ("redis", "redis://r.example", (("r.example", 6379),), None),
        ("redis", "valkeys://r.example:7000/3", (("r.example", 7000),), "3"),
        ("redis", "unix:///run/redis/redis.sock", (("/run/redis/redis.sock", 0),), None),
        ("redis", "unix://app:word@/run/re%20dis.sock?db=3", (("/run/re dis.sock", 0),), "3"),
        ("redis", "redis://[::1]:7000/0", (("::1", 7000),), "0"),
        ("mongo", "mongodb://a.example,b.example:27018/shop", (("a.example", 27017), ("b.example", 27018)), "shop"),
        ("cassandra", "cassandra://10.0.0.1,10.0.0.2/shop", (("10.0.0.1", 9042), ("10.0.0.2", 9042)), "shop"),
        ("memory", "memory://orders.us", (("orders.us", 0),), None),
    ],
)
def test_hosts_ports_and_database_are_found(backend: str, url: str, hosts: object, database: str | None) -> None:
    """With each backend's usual port."""
    found = server_url(backend, url)
    assert (found.hosts, found.database) == (hosts, database)


@pytest.mark.parametrize(
    ("backend", "url", "message"),
    [
        ("redis", "http://r.example", "is not the scheme of a redis URL"),
        ("redis", "redis://a.example,b.example", "is not a host"),
        ("redis", "redis://r.example:70000", "port|host"),
        ("redis", "redis://r.example?socket_timeout=1", "'socket_timeout' is not taken"),
        ("redis", "redis://r.example/shop", "'shop' is not a database of a Redis server.*they are numbers"),
        ("redis", "unix://r.example/run/redis.sock", "not a path of a socket.*there is a host before the path"),
        ("redis", "unix://", "not a path of a socket"),
        ("redis", "unix:///run/redis.sock?db=shop", "'shop' is not a database"),
        ("redis", "unix:///run/redis.sock?db=1&db=2", "there twice"),
        ("redis", "unix:///run/redis.sock?password=word", "unix://name:password@"),
        ("mongo", "unix:///run/redis.sock", "not the scheme of a mongo URL"),
        ("mongo", "mongodb+srv://a.example", "mongodb\\+srv URL is not taken"),
        ("mongo", "mongodb://a.example,a.example/shop", "names a host twice"),
        ("mongo", "mongodb://a.example/shop?tls=maybe", "tls is 'maybe'"),
        ("mongo", "mongodb://a.example/shop?tls=false", "disables TLS"),
        ("mongo", "mongodb://a.example/shop?w=1", "w is '1'.*write majority"),
        ("mongo", "mongodb://a.example/shop?replicaSet=a&replicaSet=b", "'replicaSet' is not taken"),
        ("cassandra", "cassandra://" + ",".join(f"h{i}" for i in range(MOST_HOSTS + 1)) + "/shop", "more than 64"),
        ("redis", 7, "must be a text"),
    ],
)
def test_what_is_no_sure_address_is_refused(backend: str, url: Any, message: str) -> None:
    """Before anything connects."""
    with pytest.raises(ConfigurationError, match=message):
        server_url(backend, url)


def test_tls_is_required_off_loopback_and_may_be_asked_for_anywhere() -> None:
    """What the URL asks for, the endpoint does not take away."""
    assert server_url("redis", "redis://r.example").tls(None) == "require"
    assert server_url("redis", "redis://r.example").tls("off") == "off"
    assert server_url("redis", "redis://127.0.0.1").tls(None) == "off"
    assert server_url("redis", "rediss://127.0.0.1").tls(None) == "require"
    assert server_url("mongo", "mongodb://localhost,db.example/shop").tls(None) == "require"
    assert server_url("mongo", "mongodb://localhost/shop?tls=true").tls(None) == "require"
    with pytest.raises(ConfigurationError, match="disables it"):
        server_url("redis", "rediss://r.example").tls("off")
    assert server_url("redis", "unix:///run/redis.sock").tls(None) == "off"
    for backend, url in (("memory", "memory://orders"), ("redis", "unix:///run/redis.sock")):
        with pytest.raises(ConfigurationError, match="no connection to protect"):
            server_url(backend, url).tls("require")


@pytest.mark.parametrize("backend", ["redis", "mongo", "cassandra"])
def test_the_password_is_decoded_and_never_shown(backend: str) -> None:
    """Neither by repr nor by an error."""
    scheme = {"redis": "redis", "mongo": "mongodb", "cassandra": "cassandra"}[backend]
    found = server_url(backend, f"{scheme}://app:CAN%40ARY@db.example/0")
    assert (found.username, found.password) == ("app", "CAN@ARY")
    assert "CAN" not in repr(found) + str(found) + found.masked
    with pytest.raises(ConfigurationError) as caught:
        server_url(backend, f"{scheme}://app:CANARY@db.example/0?nothing=CANARY")
    assert "CANARY" not in str(caught.value)
