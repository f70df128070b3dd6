"""TOML: the example of the public face, the path of every mistake, and no secret in any of them."""

import logging
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.errors import ConfigurationError
from regionkit.topology import (
    PROFILES,
    ByProfile,
    Intrinsic,
    Nearest,
    Residency,
    Role,
    SqlStore,
    WritePartitioning,
    load_toml,
    parse_toml,
    sql_url,
)

GOOD = """
namespace = "shop"
profile   = "balanced"
bookmark_keys = ["${BOOKMARK_KEY}", "old-${BOOKMARK_KEY}"]
[regions.us-east-1]
jurisdiction = "US"
[regions.ap-northeast-2]
jurisdiction = "KR"
[stores.orders]
backend   = "sql"
strategy  = "local-read-global-write"
residency = { allow = ["US", "KR"] }
[[stores.orders.endpoints]]
region = "us-east-1"
role   = "primary"
url    = "postgresql://app:${ORDERS_PASSWORD}@orders.us/shop"
[[stores.orders.endpoints]]
region = "ap-northeast-2"
role   = "replica"
url    = "postgresql://app:${ORDERS_PASSWORD}@orders.kr/shop?application_name=${APP}"
"""
PASSWORD = "CANARY@:/?#%&pw"
ENVIRON = {"BOOKMARK_KEY": "CANARY-key", "ORDERS_PASSWORD": PASSWORD, "APP": "CANARY-app", "WORD": "CANARY-word"}


def load(text=GOOD, **environ):
    return parse_toml(text, name="r.toml", environ=ENVIRON | environ)


def refused(message, text, **environ):
    with pytest.raises(ConfigurationError, match=message) as caught:
        load(text, **environ)
    error = caught.value
    assert error.__cause__ is None and error.__context__ is None
    everything = "".join(traceback.format_exception_only(error)) + repr(error) + repr(vars(error)) + str(error)
    assert "CANARY" not in everything
    return error


def edited(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


def test_the_example_is_read():
    loaded = load()
    store = loaded.topology.store("orders")
    assert isinstance(store, SqlStore)
    assert (loaded.topology.namespace, loaded.topology.control, loaded.profile) == ("shop", None, PROFILES["balanced"])
    assert loaded.topology.region("ap-northeast-2").jurisdiction == "KR"
    assert store.residency == Residency(allow=["US", "KR"])
    assert [endpoint.role for endpoint in store.endpoints] == [Role.PRIMARY, Role.REPLICA]
    parsed = [sql_url(endpoint.url, is_async=True) for endpoint in store.endpoints]
    assert [url.password for url in parsed] == [PASSWORD, PASSWORD]
    assert parsed[1].query == (("application_name", "CANARY-app"),)
    assert loaded.bookmark_keys == ("CANARY-key", "old-CANARY-key")


def test_everything_that_is_printed_is_masked(caplog):
    loaded = load(GOOD.replace("application_name", "sslpassword"))
    with caplog.at_level(logging.DEBUG):
        for value in (loaded, loaded.topology, loaded.topology.store("orders"), *loaded.topology.stores[0].endpoints):
            logging.getLogger("canary").debug("%s %r", value, value)
            assert "CANARY" not in f"{value} {value!r}" + repr([value])
    assert "CANARY" not in caplog.text and "***" in caplog.text
    assert "bookmark_keys=(***, ***)" in repr(loaded)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_password_arrives_and_shows_nowhere(password):
    loaded = load(ORDERS_PASSWORD=password)
    assert sql_url(loaded.topology.store("orders").primary.url, is_async=False).password == password
    assert repr(loaded) == repr(load())


def test_every_other_key_is_read():
    loaded = load(
        edited(
            'profile   = "balanced"', 'profile = { base = "gentle", probe_every = 2 }\ncontrol = { store = "orders" }'
        )
        .replace('strategy  = "local-read-global-write"', 'strategy = { name = "local-read-global-write" }')
        .replace('"US", "KR"] }', '"US", "KR"], deny = ["us-east-2"] }')
        .replace("[regions.us-east-1]", "[regions.us-east-2]\n[regions.us-east-1]")
        .replace(
            "[[stores.orders.endpoints]]",
            'prefer = { name = "nearest", latency_window = 0.1 }\noptions = { pool_size = 3, echo = true }\n'
            "session = { autoflush = false }\n[[stores.orders.endpoints]]",
            1,
        )
        + 'of = "us-east-1"\ntls = "require"\nread_url = "postgresql://r:${WORD}@orders.kr/shop"\npartitions = []\n'
    )
    store = loaded.topology.store("orders")
    assert (loaded.profile.probe_every, loaded.profile.probe_timeout, loaded.topology.control) == (2.0, 2.0, "orders")
    assert (store.options.pool_size, store.options.echo, store.session.autoflush) == (3, True, False)
    assert (store.prefer, store.residency.deny) == (Nearest(0.1), ("us-east-2",))
    assert (store.endpoints[1].of, store.endpoints[1].tls) == ("us-east-1", "require")
    assert sql_url(store.endpoints[1].read_url, is_async=False).password == "CANARY-word"


def test_variables_are_put_into_every_text():
    text = GOOD.replace('"us-east-1"', '"${HOME_REGION}"').replace('"shop"', '"${NS}"').replace('"primary"', '"${R}"')
    loaded = load(
        text.replace('["US", "KR"]', '["${J}", "KR"]'), HOME_REGION="us-east-1", NS="shop2", R="primary", J="US"
    )
    assert loaded.topology.namespace == "shop2"
    assert loaded.topology.store("orders").primary.region == "us-east-1"


def test_a_whole_url_may_be_a_variable():
    text = edited('"postgresql://app:${ORDERS_PASSWORD}@orders.us/shop"', '"${URL}"')
    assert load(text, URL="postgresql://a:b%40@h/d").topology.store("orders").primary.url == "postgresql://a:b%40@h/d"
    refused("stores.orders: store 'orders', endpoint 'us-east-1': .*cannot be read", text, URL="CANARY")
    refused("'@' after the address", text, URL="postgresql://a:CANARY/x@h/d")
    refused("weakens TLS", text, URL="postgresql://a:CANARY@h/d?sslmode=allow")
    refused("environment variable URL is not set", text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'role   = "replica"', 'rol = "replica"',
            r"r\.toml: stores\.orders\.endpoints\[1\]\.rol: unknown key 'rol'.*did you mean 'role'",
        ),
        ('role   = "replica"', "", r"r\.toml: stores\.orders\.endpoints\[1\]: the key 'role' is missing"),
        ('role   = "replica"', "role = 3", r"endpoints\[1\]\.role: expected a text, got a whole number"),
        ('role   = "replica"', 'role = "replca"', r"endpoints\[1\]: .*'replca' is not a role.*did you mean 'replica'"),
        ('role   = "replica"', 'role = "replica"\ntls = 1', r"endpoints\[1\]\.tls: expected a text, got a whole"),
        ('role   = "replica"', 'role = "replica"\npartitions = "a"', r"partitions: expected a list, got a text"),
        ('role   = "replica"', 'role = "primary"', r"r\.toml: store 'orders': .*needs one primary, and has 2"),
        ('role   = "replica"', 'role = "replica"\n"${A} b" = 1', r"endpoints\[1\]\.\(a text of 6 .*unknown key"),
        ('namespace = "shop"', 'namespce = "shop"', r"r\.toml: namespce: unknown key.*did you mean 'namespace'"),
        ('namespace = "shop"', "namespace = 1.5", r"r\.toml: namespace: expected a text, got a number"),
        ('namespace = "shop"', 'namespace = "Shop"', r"r\.toml: 'Shop' is not a usable namespace"),
        ('profile   = "balanced"', 'profile = "blanced"', r"r\.toml: profile: .*did you mean 'balanced'"),
        (
            'profile   = "balanced"', "profile = { probe_evry = 1 }",
            r"profile: profile: unknown key 'probe_evry'.*'probe_every'",
        ),
        ('profile   = "balanced"', "profile = 3", r"profile: expected a text or a table, got a whole number"),
        ('profile   = "balanced"', "control = 3", r"control: expected a table, got a whole number"),
        ('profile   = "balanced"', "control = { stroe = 'x' }", r"control\.stroe: unknown key.*did you mean 'store'"),
        ('profile   = "balanced"', "control = { store = 'x' }", r"r\.toml: the control store 'x' is not one"),
        (
            'jurisdiction = "KR"', 'jurisdction = "KR"',
            r"regions\.ap-northeast-2\.jurisdction: .*did you mean 'jurisdiction'",
        ),
        (
            'jurisdiction = "KR"', "jurisdiction = true",
            r"regions\.ap-northeast-2\.jurisdiction: expected a text, got true",
        ),
        ("[regions.ap-northeast-2]", '[regions."A b"]', r"regions\.'A b': 'A b' is not a usable region name"),
        ("[regions.us-east-1]", "[regions]\nx = 3\n[regions.us-east-1]", r"regions\.x: expected a table, got a whole"),
        ('backend   = "sql"', "", r"stores\.orders: the key 'backend' is missing"),
        ('backend   = "sql"', "backend = 1", r"stores\.orders\.backend: expected a text, got a whole number"),
        (
            'backend   = "sql"', 'backend = "dynamo"',
            r"stores\.orders\.backend: 'dynamo' is not in this version.*known: cassandra",
        ),
        ('backend   = "sql"', 'backend = "postgres"', r"stores\.orders\.backend: 'postgres' is not.*did you mean 'sql'"),
        ('backend   = "sql"', 'backend = "PostgreSQL"', r"'PostgreSQL' is not.*did you mean 'sql'"),
        ('backend   = "sql"', 'backend = "mysql"', r"'mysql' is not.*did you mean 'sql'"),
        ('backend   = "sql"', 'backend = "mongodb"', r"'mongodb' is not.*did you mean 'mongo'"),
        ('backend   = "sql"', 'backend = "valkey"', r"'valkey' is not.*did you mean 'redis'"),
        ('backend   = "sql"', 'backend = "${WORD}"', r"stores\.orders\.backend: '\$\{WORD\}' is not in this version"),
        (
            '"local-read-global-write"', '"write-everywhere"',
            r"stores\.orders\.strategy: .*not in this version.*local-read-global-write",
        ),
        (
            '"local-read-global-write"', '{ name = "local-read-global-write", home = "x" }',
            r"strategy: .*unknown key 'home'",
        ),
        ('"local-read-global-write"', "{ home = 'x' }", r"strategy: strategy None is not in this version"),
        ('"local-read-global-write"', '"x"\nprefer = "nearst"', r"stores\.orders\.strategy: "),
        (
            'backend   = "sql"', 'backend = "sql"\nprefer = "nearst"',
            r"stores\.orders\.prefer: .*did you mean 'nearest'",
        ),
        ('backend   = "sql"', 'backend = "sql"\nurl = "x"', r"stores\.orders\.url: unknown key 'url'"),
        ('backend   = "sql"', 'backend = "sql"\nfence = "strict"', r"stores\.orders: .*fence = 'strict' is refused"),
        (
            'backend   = "sql"', 'backend = "sql"\noptions = { pool_sz = 1 }',
            r"stores\.orders: .*did you mean 'pool_size'",
        ),
        ('backend   = "sql"', 'backend = "sql"\noptions = 1', r"stores\.orders\.options: expected a table"),
        ('backend   = "sql"', 'backend = "sql"\noptions = { echo = "${WORD}" }', r"option echo = '\$\{WORD\}'"),
        ("{ allow =", "{ alow =", r"stores\.orders\.residency\.alow: .*did you mean 'allow'"),
        ('["US", "KR"] }', "[] }", r"stores\.orders\.residency: residency allow is empty"),
        ('["US", "KR"] }', '["US", 3] }', r"stores\.orders\.residency\.allow\[1\]: expected a text"),
        ('["US", "KR"] }', '["US", "${WORD}"] }', r"residency names '\$\{WORD\}', which is neither a region"),
        ('region = "us-east-1"', 'region = "us-east-2"', r"r\.toml: store 'orders': .*did you mean 'us-east-1'"),
        ('region = "us-east-1"', 'region = "${WORD}"', r"in region '\$\{WORD\}', which the topology does not have"),
        ('region = "us-east-1"', 'region = "${NOPE}"', r"stores\.orders\.endpoints\[0\]\.region: .*NOPE is not set"),
        (
            "${ORDERS_PASSWORD}@orders.us", "${NOPE}@orders.us",
            r"r\.toml: stores\.orders\.endpoints\[0\]\.url: .*NOPE is not set",
        ),
        (
            "${ORDERS_PASSWORD}@orders.us", "${ORDERS PASSWORD}@orders.us",
            r"endpoints\[0\]\.url: '\$\{' begins no variable",
        ),
        ("${ORDERS_PASSWORD}@orders.us", "${WORD}/x@orders.us", r"endpoints\[0\]\.url: a URL cannot be read"),
        ("@orders.us", "@${ORDERS_PASSWORD}", "not a host name"),
        ("@orders.us", "@orders.us:${WORD}", "number from 1 to 65535"),
        ("orders.us/shop", "orders.us/shop?sslmode=require", r"stores\.orders: .*weakens TLS.*verify-full"),
        ('["${BOOKMARK_KEY}", "old', '["", "old', r"r\.toml: bookmark_keys\[0\]: the key is empty"),
        ('["${BOOKMARK_KEY}", "old', '["${NOPE}", "old', r"r\.toml: bookmark_keys\[0\]: .*NOPE is not set"),
        ('["${BOOKMARK_KEY}", "old', '[7, "old', r"bookmark_keys\[0\]: expected a text, got a whole number"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_path(old, new, message):
    refused(message, edited(old, new))


def test_a_store_of_another_kind_is_refused_before_its_keys_are_looked_at():
    refused(
        r"stores\.profiles\.backend: 'dynamo' is not in this version",
        GOOD + '[stores.profiles]\nbackend = "dynamo"\nurl = "mongodb://m"\n',
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key = CANARY", r"r\.toml is not TOML \(at line 1, column 7\)"),
        ('bookmark_keys = ["CANARY', r"is not TOML \(at (end of document|line 1, column \d+)\)"),
        ("CANARY = 1\nCANARY = 2\n", r"is not TOML \(at line 2"),
        ("a = " + "[" * 100_000, "is not TOML"),
        ("", "the key 'regions' is missing"),
        ("[regions]", "has no region"),
        ("stores = 3\n[regions]", "stores: expected a table"),
        ("stores = { orders = 3 }\n[regions]", r"stores\.orders: expected a table, got a whole number"),
        ("[regions]\n[stores.orders]\nbackend = 'sql'", r"stores\.orders: the key 'endpoints' is missing"),
        ("[regions.a]\n[stores.orders]\nbackend = 'sql'\nendpoints = []", "'orders' has no endpoints"),
    ],
)
def test_other_texts_are_refused(text, message):
    refused(message, text)


def test_a_file_is_read(tmp_path, monkeypatch):
    path = tmp_path / "regionkit.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert load_toml(path, environ=ENVIRON) == load()
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    assert load_toml(str(path)) == load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read.*No such file"),
        (b"\xffCANARY", "is not UTF-8"),
        (b"#" * (1 << 18 | 1), "is larger than 256 KiB"),
    ],
)
def test_a_file_that_can_not_be_taken_is_named(tmp_path, content, message):
    path = tmp_path / "regionkit.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"regionkit.toml {message}") as caught:
        load_toml(path)
    assert "CANARY" not in str(caught.value) and caught.value.__context__ is None


STORES = """
namespace = "shop"
[regions.us-east-1]
[regions.ap-northeast-2]
[stores.carts]
backend  = "redis"
strategy = { name = "write-partitioning", home = "intrinsic", pattern = "^(?P<region>[a-z0-9-]+):" }
[[stores.carts.endpoints]]
region = "us-east-1"
role   = "primary"
url    = "rediss://carts.us"
[[stores.carts.endpoints]]
region = "ap-northeast-2"
role   = "primary"
url    = "rediss://:${PASSWORD}@carts.kr"
[stores.profiles]
backend  = "mongo"
strategy = "local-read-global-write"
url      = "mongodb://m1.us,m2.kr/shop?replicaSet=rs0"
[stores.events]
backend  = "cassandra"
url      = "cassandra://c1.us,c2.kr/shop"
datacenters = { us-east-1 = "dc1" }
prefer = { name = "by-profile", attribute = "nationality", table = { KR = "ap-northeast-2" } }
[stores.tests]
backend = "memory"
[[stores.tests.endpoints]]
region = "us-east-1"
role   = "primary"
url    = "memory://tests"
"""


def test_stores_of_every_backend_are_read():
    """The stores of the documentation, as the classes that describe them."""
    topology = parse_toml(STORES, environ={"PASSWORD": "p@ss/word"}).topology
    carts, profiles, events = (topology.store(name) for name in ("carts", "profiles", "events"))
    assert carts.strategy == WritePartitioning(Intrinsic("^(?P<region>[a-z0-9-]+):"))
    assert "p@ss/word" not in repr(topology)
    assert profiles.url == "mongodb://m1.us,m2.kr/shop?replicaSet=rs0"
    assert [e.id for e in profiles.shards([])[0].endpoints] == ["m1.us:27017", "m2.kr:27017"]
    assert events.datacenters == (("us-east-1", "dc1"),)
    assert events.prefer == ByProfile("nationality", {"KR": "ap-northeast-2"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'pattern = "^(?P<region>[a-z0-9-]+):"',
            'pattern = "("',
            r"stores\.carts\.strategy: .*not a regular expression",
        ),
        ('"^(?P<region>[a-z0-9-]+):"', '"^[a-z]+:"', r"does not say where the home is"),
        (', home = "intrinsic", pattern = "^(?P<region>[a-z0-9-]+):"', "", "has no home function"),
        ('home = "intrinsic"', 'home = "intrinsik"', "did you mean 'intrinsic'"),
        ("rediss://carts.us", "postgresql://carts.us", r"stores\.carts: .*not the scheme of a redis URL"),
        ("rediss://carts.us", "rediss://carts.us?ssl_cert_reqs=none", "parameter 'ssl_cert_reqs' is not taken"),
        ("/shop?replicaSet=rs0", "/?replicaSet=rs0", r"stores\.profiles: .*names no database"),
        ("mongodb://m1.us", "mongodb+srv://m1.us", r"a mongodb\+srv URL is not taken"),
        ("replicaSet=rs0", "tls=false", "disables TLS"),
        ("replicaSet=rs0", "w=1", "w is '1'"),
        ('us-east-1 = "dc1"', 'us-east-9 = "dc1"', "it names region 'us-east-9'"),
        ('KR = "ap-northeast-2"', 'KR = "ap-northeast-9"', "prefer names region 'ap-northeast-9'"),
        ("memory://tests", "memory://", "is not a host"),
        ('"cassandra://c1.us,c2.kr/shop"', '"cassandra://c1.us"', "names no keyspace"),
    ],
)
def test_mistakes_in_stores_of_other_backends(old, new, message):
    """Each with its place, and nothing secret."""
    assert old in STORES
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse_toml(STORES.replace(old, new, 1), environ={"PASSWORD": "p@ss/word"})
    assert "p@ss/word" not in str(caught.value)
