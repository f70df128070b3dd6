"""Parameters of URLs that are no SQL servers': used, holding anyway, or refused with a reason; none is dropped in silence."""

from __future__ import annotations

import pytest

from regionkit import ConfigurationError, Endpoint, MongoStore, RedisStore, Role
from regionkit.topology.server_parameters import _FLAGS, _HOLDS, _REFUSED, _USED
from regionkit.topology.server_urls import ServerUrl
from regionkit.topology.server_urls import server_url as url_of

URLS = {
    "redis": "rediss://r.example/1",
    "mongo": "mongodb://m.example/shop",
    "cassandra": "cassandra://c.example/shop",
    "memory": "memory://orders",
    "unix": "unix:///run/redis/redis.sock",
}
ATLAS = "retryWrites=true&w=majority&appName=Cluster0&ssl=true&authSource=admin&replicaSet=atlas-x-shard-0"


def server_url(kind: str, url: str) -> ServerUrl:
    """A Unix socket is one of Redis."""
    return url_of("redis" if kind == "unix" else kind, url)


def test_a_url_as_providers_hand_it_out_is_taken() -> None:
    """What holds anyway is left out of the query; the other spelling of a name is the one that is known."""
    found = dict(server_url("mongo", f"{URLS['mongo']}?{ATLAS}").query)
    assert found == {"appName": "Cluster0", "tls": "true", "authSource": "admin", "replicaSet": "atlas-x-shard-0"}


@pytest.mark.parametrize(("backend", "name"), [(b, n) for b, names in _REFUSED.items() for n in names])
def test_what_is_no_urls_to_set_says_where_it_is_set(backend: str, name: str) -> None:
    """Each with a reason and a way."""
    with pytest.raises(ConfigurationError, match=f"'{name}' is not taken") as caught:
        server_url(backend, f"{URLS[backend]}?{name}=1")
    assert caught.value.why and caught.value.fix


@pytest.mark.parametrize(("backend", "name"), [(b, n) for b, names in _HOLDS.items() for n in names])
def test_what_holds_anyway_may_be_said_and_nothing_else(backend: str, name: str) -> None:
    """Whatever else it asks for would not happen."""
    allowed, _ = _HOLDS[backend][name]
    for value in allowed:
        assert server_url(backend, f"{URLS[backend]}?{name}={value}").query == ()
    with pytest.raises(ConfigurationError, match=f"{name} is 'something'"):
        server_url(backend, f"{URLS[backend]}?{name}=something")


def test_every_parameter_is_in_one_table() -> None:
    """One that stood in two would do what the first says."""
    for backend, used in _USED.items():
        tables = [set(used), set(_HOLDS.get(backend, {})), set(_REFUSED.get(backend, {}))]
        assert sum(map(len, tables)) == len(set().union(*tables))
    assert set(_USED) == set(URLS)
    assert set(_USED["mongo"]) | set(_HOLDS["mongo"]) >= _FLAGS


@pytest.mark.parametrize("backend", [b for b in URLS if b != "memory"])
def test_unknown_and_double_ones_are_refused(backend: str) -> None:
    """By name, with a near match."""
    with pytest.raises(ConfigurationError, match="'nothing' is not taken"):
        server_url(backend, f"{URLS[backend]}?nothing=1")
    with pytest.raises(ConfigurationError, match="it is there twice"):
        name = {"mongo": "ssl=true&tls", "unix": "db=1&db"}.get(backend, "ssl_ca_certs=a&ssl_ca_certs")
        server_url(backend, f"{URLS[backend]}?{name}=true")


def test_it_is_told_when_the_store_is_made() -> None:
    """Not at the first connection."""
    with pytest.raises(ConfigurationError, match="redis://host/1"):
        RedisStore("carts", endpoints=[Endpoint("us", Role.PRIMARY, "redis://r.example?db=1")])
    with pytest.raises(ConfigurationError, match="uuid_representation"):
        MongoStore("profiles", url="mongodb://m.example/shop?uuidRepresentation=standard")
    with pytest.raises(ConfigurationError, match=r"uuid_representation is 'standrad'.*did you mean 'standard'"):
        MongoStore("profiles", url=URLS["mongo"], options={"uuid_representation": "standrad"})
