# Generated from test_own_client_async.py by scripts/twins.py. Do not edit.
"""An application's own client of redis-py: our connections are like its own, and what cannot be copied is refused by name."""

from __future__ import annotations

import importlib
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from fix_redis_endpoints import context_of
from fix_rig_redis import RedisRig
from fix_servers import absent
from fix_tls_redis import encrypted_redis

from regionkit import ConfigurationError, RegionUnavailable
from regionkit.backends.redis.endpoint import RedisEndpoint
from regionkit.backends.redis.own_client import client_settings
from regionkit.backends.redis.stream import (
    BlockingConnectionPool,
    ConnectionPool,
    Redis,
    TcpConnection,
    TlsConnection,
    UnixConnection,
)
from regionkit.core.clock import SystemClock
from regionkit.core.deadline import Deadline
from regionkit.facts.record import Record
from regionkit.facts.request import Kind

pytestmark = pytest.mark.redis

IS_ASYNC = False
NOWHERE = "redis://nowhere.invalid:1/0"
"""Of the store: the client's address counts."""

OWN_PROTOCOL = 3 if int(redis.__version__.split(".")[0]) >= 8 else 2
"""What redis-py speaks where nobody asks for one."""


def soon() -> Deadline:
    """Longer than any of these takes."""
    return Deadline(SystemClock(), 20.0)


class Own:
    """An endpoint through a client of the application's."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.endpoint = RedisEndpoint(context_of(NOWHERE, client))

    def __enter__(self) -> Own:
        return self

    def __exit__(self, *error: Any) -> None:
        self.endpoint.close()
        with self.client:
            pass
        self.client.connection_pool.disconnect()  # a pool that was handed in is left open by its client

    def block(self, kind: Kind = Kind.WRITE) -> tuple[Any, Any]:
        """The client of a block, and the block's checkout."""
        checkout = self.endpoint.check_out(kind, soon(), 5.0)

        def source() -> Any:
            return checkout

        mode: Any = None
        asked: Any = None
        handle = self.endpoint.handle(kind, source, mode, asked)
        return handle.native, checkout


def same(own: Own) -> dict[str, Any]:
    """What a block's client says of its connection; it types and is answered as the application's own."""
    client, checkout = own.block()
    client.set("a", "é")
    assert client.get("a") == own.client.get("a")
    client.zadd("z", {"m": 1.5})
    theirs = own.client.zrange("z", 0, -1, withscores=True)
    assert client.zrange("z", 0, -1, withscores=True) == theirs
    found: dict[str, Any] = client.client_info()
    checkout.release()
    record = Record("k", "a", b"tea")
    assert own.endpoint.records.put(soon(), record, expected=0) is record
    assert (own.endpoint.probe(1.0, 5.0)).incarnation
    return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"protocol": 2},
        {"protocol": 3, "decode_responses": True},
        {"decode_responses": True, "encoding": "latin-1"},
        pytest.param(
            {"legacy_responses": False}, marks=pytest.mark.skipif(OWN_PROTOCOL == 2, reason="since redis-py 8")
        ),
        {"client_name": "shop", "socket_timeout": 0.5, "retry_on_timeout": True, "health_check_interval": 1},
    ],
)
def test_a_client_from_a_url_is_copied(redis_store_rig: RedisRig, options: dict[str, Any]) -> None:
    """Address, database, name, protocol, encoding and shapes of replies."""
    with Own(Redis.from_url(redis_store_rig.urls[0], **options)) as own:
        info = same(own)
    assert str(info["db"]) == "1"
    assert info["name"] == options.get("client_name", "")
    protocol = options.get("protocol", OWN_PROTOCOL)
    assert str(info.get("resp", protocol)) == str(protocol)


def test_a_client_from_arguments_and_one_of_a_pool_are_copied(redis_store_rig: RedisRig) -> None:
    """The driver's own two pools; the pool's size and patience are the client's own."""
    url = redis_store_rig.urls[0]
    arguments = Redis.from_url(url).connection_pool.connection_kwargs
    address = {name: arguments[name] for name in ("host", "port", "db")}
    for client in (
        Redis(**address),
        Redis(connection_pool=ConnectionPool(**address, max_connections=2)),
        Redis(connection_pool=BlockingConnectionPool.from_url(url, timeout=1)),
        Redis(**address, single_connection_client=True),
    ):
        with redis_store_rig.client() as plain:
            plain.flushdb()
        with Own(client) as own:
            same(own)


def test_user_and_password_or_a_provider_of_them_are_copied(redis_store_rig: RedisRig) -> None:
    """The server sees the same user; no repr shows the password."""
    url = redis_store_rig.urls[0]
    with redis_store_rig.client() as plain:
        plain.acl_setuser("shop", enabled=True, passwords=["+secret-word"], commands=["+@all"], keys=["*"])
        provider = redis.UsernamePasswordCredentialProvider("shop", "secret-word")
        named = url.replace("redis://", "redis://shop:secret-word@")
        for client in (Redis.from_url(named), Redis.from_url(url, credential_provider=provider)):
            plain.delete("a", "z", *plain.scan_iter("*record*"))
            with Own(client) as own:
                assert (same(own))["user"] == "shop"
                assert "secret-word" not in repr(own.endpoint.settings)
                wrong = Own(Redis.from_url(named.replace("secret-word", "wrong-word")))
                with pytest.raises(RegionUnavailable, match="account") as caught:
                    wrong.block()
                assert "-word" not in str(caught.value)
                with wrong:
                    pass
        plain.acl_deluser("shop")


def test_the_clients_time_outs_and_retries_are_not_ours(redis_store_rig: RedisRig) -> None:
    """A command may take as long as the block, and a lost one is sent once."""
    client = Redis.from_url(redis_store_rig.urls[0], socket_timeout=0.2)
    with Own(client) as own:
        db, checkout = own.block()
        began = time.monotonic()
        assert db.blpop("nothing", timeout=1) is None
        assert time.monotonic() - began > 0.9
        assert checkout.connection.retry.get_retries() == 0
        checkout.release()


def test_a_unix_socket_is_copied(own_redis: Any) -> None:
    """By its path; errors name it."""
    servers = own_redis(0, settings=("--unixsocket", "redis.sock", "--unixsocketperm", "777"))
    with servers.primary.client() as plain:
        path = Path(str(plain.config_get("dir")["dir"])) / "redis.sock"
    if not path.is_socket():
        absent("this server's socket is not on this machine")
    for client in (Redis(unix_socket_path=str(path), db=2), Redis.from_url(f"unix://{path}?db=2")):
        with servers.primary.client() as plain:
            plain.flushall()
        with Own(client) as own:
            assert str((same(own))["db"]) == "2"
    with Own(Redis(unix_socket_path=f"{path}.none")) as own:
        with pytest.raises(RegionUnavailable, match="socket does not exist"):
            own.block()


def test_tls_is_copied_and_verified(own_redis: Any, tmp_path: Path) -> None:
    """Trusted root and host name are taken, others refused as the client refuses them, and "none" is the client's word."""
    url, cert = encrypted_redis(own_redis, tmp_path)
    with Own(Redis.from_url(url, ssl_ca_certs=str(cert), ssl_min_version=ssl.TLSVersion.TLSv1_2)) as own:
        same(own)
    with Own(Redis.from_url(url, ssl_ca_data=cert.read_text())) as own:
        db, checkout = own.block()
        assert db.ping()
        checkout.release()
    for changed, options in (
        (url, {}),
        (url.replace("localhost", "127.0.0.1"), {"ssl_ca_certs": str(cert)}),
    ):
        with Own(Redis.from_url(changed, **options)) as own:
            with pytest.raises(RegionUnavailable) as caught:
                own.block()
            assert "certificate" in caught.value.why
    for options in ({"ssl_cert_reqs": "none"}, {"ssl_cert_reqs": "none", "ssl_check_hostname": False}):
        with Own(Redis.from_url(url.replace("localhost", "127.0.0.1"), **options)) as own:
            db, checkout = own.block()
            assert db.ping()
            checkout.release()


class OwnPool(ConnectionPool):
    """A pool of the application's."""


class OwnBlockingPool(BlockingConnectionPool):
    """Another one."""


class OwnConnection(TcpConnection):
    """A connection of the application's."""


class OwnTlsConnection(TlsConnection):
    """Another one."""


class OwnUnixConnection(UnixConnection):
    """And another one."""


def foreign(name: str) -> Any:
    """A client that cannot serve."""
    home: Any = redis.asyncio if IS_ASYNC else redis
    other: Any = redis if IS_ASYNC else redis.asyncio
    match name:
        case "Sentinel":
            return home.sentinel.Sentinel([("localhost", 1)]).master_for("shop")
        case "a Sentinel":
            return home.sentinel.Sentinel([("localhost", 1)])
        case "RedisCluster":
            return home.cluster.RedisCluster.__new__(home.cluster.RedisCluster)
        case "MultiDBClient":
            pytest.importorskip("pybreaker")
            kind: Any = importlib.import_module(f"{home.__name__}.multidb.client").MultiDBClient
            return kind.__new__(kind)
        case "redis_connect_func":
            return Redis(redis_connect_func=print)
        case "class OwnPool":
            return Redis(connection_pool=OwnPool())
        case "class OwnBlockingPool":
            return Redis(connection_pool=OwnBlockingPool())
        case "class OwnConnection" | "class OwnTlsConnection" | "class OwnUnixConnection":
            return Redis(connection_pool=ConnectionPool(connection_class=globals()[name.removeprefix("class ")]))
        case "threads|asyncio":
            return other.Redis()
        case "ssl_new_check":
            return Redis(connection_pool=ConnectionPool(connection_class=TlsConnection, ssl_new_check=1))
    return {}


@pytest.mark.parametrize(
    "name",
    [
        *("Sentinel", "a Sentinel", "RedisCluster", "MultiDBClient", "redis_connect_func", "threads|asyncio", "a dict"),
        *("class OwnPool", "class OwnBlockingPool", "class OwnConnection", "class OwnTlsConnection"),
        *("class OwnUnixConnection", "ssl_new_check"),
    ],
)
def test_what_can_not_be_copied_is_refused_by_name(name: str) -> None:
    """Before anything is connected."""
    with pytest.raises(ConfigurationError, match=rf"({name}).* cannot serve") as caught:
        client_settings(foreign(name))
    assert caught.value.why
    assert "one server" in caught.value.fix


def test_a_blocks_own_client_is_no_application_client(redis_store_rig: RedisRig) -> None:
    """It ends with its block."""
    with Own(Redis.from_url(redis_store_rig.urls[0])) as own:
        db, checkout = own.block()
        with pytest.raises(ConfigurationError, match=r"class \w*RedisHandle"):
            client_settings(db)
        checkout.release()
