"""Stores: every refusal that needs no topology, ids, options, and nothing secret in a repr."""

import dataclasses
import pickle

import pytest

from regionkit.errors import ConfigurationError
from regionkit.topology import (
    Endpoint,
    LocalReadGlobalWrite,
    MongoStore,
    Nearest,
    RedisStore,
    Residency,
    Role,
    SessionOptions,
    SqlOptions,
    SqlStore,
)

URL = "postgresql://app:CANARY@us.example/shop"


class Client:
    """An engine of the user's, whose repr tells too much."""

    def __repr__(self):
        return "Client(CANARY)"


def refused(message, make):
    with pytest.raises(ConfigurationError, match=message) as caught:
        make()
    assert "CANARY" not in str(caught.value) + repr(caught.value)
    return caught.value


def two(**options):
    us = Endpoint("us-east-1", Role.PRIMARY, URL)
    kr = Endpoint("ap-northeast-2", Role.REPLICA, URL.replace("us.", "kr."))
    return SqlStore("orders", endpoints=[us, kr], **options)


def test_a_store_names_its_endpoints_in_order():
    replica, other = (Endpoint("us-east-1", Role.REPLICA, URL.replace("us.", f"us{n}.")) for n in (2, 3))
    store = SqlStore("orders", endpoints=(endpoint for endpoint in (*two().endpoints, replica, other)))
    assert [endpoint.id for endpoint in store.endpoints] == [
        "us-east-1", "ap-northeast-2", "us-east-1#2", "us-east-1#3",
    ]  # fmt: skip
    assert store.primary is store.endpoint("us-east-1")
    assert store.endpoint("us-east-1#3") == other
    refused("no endpoint 'us-east-2'.*did you mean 'us-east-1", lambda: store.endpoint("us-east-2"))


@pytest.mark.parametrize(
    ("store", "one", "other"),
    [
        (SqlStore, URL, "postgresql://other:word@US.example:5432/shop?application_name=x"),
        (SqlStore, "mysql://us.example/shop", "mariadb://us.example:3306/shop"),
        (SqlStore, "sqlite:////data/orders.db", "sqlite:////data/orders.db"),
        (RedisStore, "redis://r.example", "rediss://app:word@R.example:6379"),
        (RedisStore, "unix:///run/a.sock", "unix://:word@/run/a.sock"),
        (MongoStore, "mongodb://a,b/shop", "mongodb://c,b:27017/shop"),
    ],
)
def test_an_address_is_one_endpoint(store, one, other):
    """Whatever else the URLs say; another database at the same server is another address."""
    urls = [one, other]
    endpoints = [Endpoint(region, role, url) for region, role, url in zip(("us", "kr"), Role, urls, strict=True)]
    error = refused("endpoint 'kr': the same address as 'us'", lambda: store("orders", endpoints=endpoints))
    assert "partitions=" in error.fix
    if store is SqlStore and "sqlite" not in one:
        urls[1] = f"{one}2"
        endpoints = [Endpoint(region, role, url) for region, role, url in zip(("us", "kr"), Role, urls, strict=True)]
        assert store("orders", endpoints=endpoints)


def test_mongodb_hosts_without_the_name_of_their_set_are_a_caution():
    """A host of another set would be taken for a member; one host, or a named set, is sure."""
    assert "no replicaSet=" in MongoStore("orders", url="mongodb://app:CANARY@a,b/shop").cautions[0]
    assert "CANARY" not in MongoStore("orders", url="mongodb://app:CANARY@a,b/shop").cautions[0]
    endpoint = Endpoint("us", Role.PRIMARY, "mongodb://a,b/shop")
    assert len(MongoStore("orders", endpoints=[endpoint]).cautions) == 1
    assert MongoStore("orders", url="mongodb://a,b/shop?replicaSet=rs").cautions == ()
    assert MongoStore("orders", url="mongodb://a/shop").cautions == ()
    assert two().cautions == ()


def test_a_store_has_defaults_and_is_a_frozen_value():
    store = two()
    assert (store.backend, store.is_reference, store.residency) == ("sql", False, Residency())
    assert (store.strategy, store.prefer) == (LocalReadGlobalWrite(), Nearest(latency_window=0.015))
    assert store.options == SqlOptions(pool_size=10)
    assert store.session == SessionOptions(autoflush=True, expire_on_commit=False)
    assert store == two() and hash(store) == hash(two()) and pickle.loads(pickle.dumps(store)) == store
    assert dataclasses.replace(store, options={"echo": True}).options.echo
    assert "CANARY" not in repr(store) and "app:***@us.example" in repr(store)
    with pytest.raises(AttributeError):
        store.name = "x"


def test_a_store_without_endpoints_is_a_reference():
    assert SqlStore("orders").is_reference
    refused("0 primaries.*reference", lambda: SqlStore("orders").primary)


@pytest.mark.parametrize("name", ["", "Orders", "1a", "a" * 49, "a b", URL, None])
def test_a_store_refuses_unusable_names(name):
    refused("not a usable store name", lambda: SqlStore(name))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fence": "strict"}, "fence = 'strict' is refused.*no failover"),
        ({"strategy": "local-read-global-write"}, "strategy is 'local-read-global-write'"),
        ({"strategy": LocalReadGlobalWrite}, "strategy is"),
        ({"residency": ["US"]}, "residency is"),
        ({"prefer": 3}, "prefer is 3"),
        ({"prefer": LocalReadGlobalWrite()}, "prefer is .*pass one of: Nearest"),
        ({"options": {"pool_sise": 3}}, "store 'orders': options: unknown key 'pool_sise'.*did you mean 'pool_size'"),
        ({"options": {URL: 3}}, "unknown key"),
        ({"options": {"pool_size": "3"}}, "option pool_size = '3'.*whole number from 1"),
        ({"options": {"pool_size": True}}, "option pool_size = True"),
        ({"options": {"pool_size": 0}}, "option pool_size = 0"),
        ({"options": {"max_overflow": -1}}, "option max_overflow = -1"),
        ({"options": {"pool_recycle": 0.5}}, "option pool_recycle = 0.5"),
        ({"options": {"query_cache_size": -1}}, "option query_cache_size"),
        ({"options": {"echo": 1}}, "option echo = 1.*true or false"),
        ({"options": [3]}, "options must be a mapping"),
        ({"session": {"autoflsh": True}}, "session: unknown key 'autoflsh'.*did you mean 'autoflush'"),
        ({"session": {"expire_on_commit": "no"}}, "option expire_on_commit = 'no'"),
    ],
)
def test_a_store_refuses_arguments(options, message):
    refused(message, lambda: two(**options))


def test_a_store_refuses_what_is_no_endpoint():
    refused("endpoints must be a sequence of Endpoint", lambda: SqlStore("orders", endpoints=[URL]))
    refused("endpoints must be a sequence of Endpoint", lambda: SqlStore("orders", endpoints=two().endpoints[0]))


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        (URL + "?sslmode=disable", {}, "store 'orders', endpoint 'us': .*weakens TLS.*verify-full"),
        (URL + "?sslmode=require", {"tls": "require"}, "weakens TLS"),
        ("mysql://a:CANARY@h/d?ssl_verify_cert=0", {}, "ssl_verify_cert turns a check off"),
        ("sqlite:///x.db", {"tls": "require"}, "is not possible"),
        ("postgresql+psycopg2://a:CANARY@h/d", {}, "'psycopg2' is not supported"),
        ("redis://:CANARY@h", {}, "cannot use 'redis'"),
        ("postgresql://a:CANARY/x@h/d", {}, "cannot be read"),
        ("postgresql://a:CANARY@h1,h2/d", {}, "several hosts"),
        (URL, {"read_url": "postgresql://r:CANARY@other.example/shop"}, "read_url: .* is not the address of"),
        (URL, {"read_url": URL + "?sslmode=prefer"}, "read_url: .*weakens TLS"),
        (URL, {"read_url": "CANARY"}, "read_url: .*cannot be read"),
    ],
)
def test_a_sql_store_refuses_urls(url, options, message):
    refused(message, lambda: SqlStore("orders", endpoints=[Endpoint("us", Role.PRIMARY, url, **options)]))


def test_a_read_url_is_another_account_at_the_same_address():
    reader = "postgresql+psycopg://reader:y@US.example:5432/shop?application_name=r"
    SqlStore("orders", endpoints=[Endpoint("us", Role.PRIMARY, URL, read_url=reader)])


def test_endpoints_of_different_kinds_of_server_are_refused():
    mixed = [Endpoint("us", Role.PRIMARY, URL), Endpoint("kr", Role.REPLICA, "mysql://a:CANARY@kr/d")]
    refused("different kinds.*us is postgresql.*kr is mariadb", lambda: SqlStore("orders", endpoints=mixed))
    mixed[1] = Endpoint("kr", Role.REPLICA, client=Client())
    assert "CANARY" not in repr(SqlStore("orders", endpoints=mixed))


@pytest.mark.parametrize("window", [-0.1, float("nan"), float("inf"), "1", True, None])
def test_nearest_refuses_a_window_that_is_none(window):
    refused("latency_window", lambda: Nearest(window))
