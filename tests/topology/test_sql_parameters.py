"""Each parameter of a SQL URL is passed, read or refused by name; none is dropped in silence."""

from __future__ import annotations

import pytest

from regionkit import ConfigurationError, Endpoint, Role, SqlStore
from regionkit.topology import sql_parameters, sql_url
from regionkit.topology.sql_parameters import _PASSED, _READ, _REFUSED

SCHEMES = {"postgresql": "postgresql://h/d", "mariadb": "mariadb://h/d", "sqlite": "sqlite:////d"}
REFUSED = [(server, name) for server, names in _REFUSED.items() for name in names]


def test_no_parameter_is_in_two_tables():
    for server, passed in _PASSED.items():
        assert not passed & _READ[server]
        assert not (passed | _READ[server]) & set(_REFUSED[server])


@pytest.mark.parametrize(("server", "name"), REFUSED)
def test_a_parameter_that_breaks_a_promise_is_refused_by_name(server, name):
    with pytest.raises(ConfigurationError, match=f"parameter {name} is refused for {server}") as caught:
        sql_parameters(sql_url(f"{SCHEMES[server]}?{name}=true", is_async=False))
    assert caught.value.why


@pytest.mark.parametrize("server", SCHEMES)
def test_an_unknown_parameter_is_refused_and_not_shown(server):
    with pytest.raises(ConfigurationError, match="none that") as caught:
        sql_parameters(sql_url(f"{SCHEMES[server]}?CANARY=CANARY", is_async=False))
    assert "CANARY" not in str(caught.value)


def test_a_mistyped_parameter_is_guessed():
    with pytest.raises(ConfigurationError, match="did you mean 'sslrootcert'"):
        sql_parameters(sql_url("postgresql://h/d?sslrootcrt=/x", is_async=False))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://h/d?connect_timeout=soon", "whole number"),
        ("postgresql://h/d?keepalives_idle=-1", "whole number"),
        ("postgresql://h/d?prepare_threshold=often", "whole number, or none"),
        ("postgresql://h/d?client_encoding=latin1", "UTF8"),
        ("mysql://h/d?local_infile=perhaps", "true or false"),
        ("mysql://h/d?use_unicode=0", "texts are texts"),
        ("mysql://h/d?charset=utf8%27", "its name"),
        ("sqlite:////d?mode=ro", "uri=true"),
        ("sqlite:////d?uri=true&mode=memory", "private to one connection"),
    ],
)
def test_a_value_of_another_kind_is_refused(url, message):
    with pytest.raises(ConfigurationError, match=message):
        sql_parameters(sql_url(url, is_async=False))


@pytest.mark.parametrize("name", ["url", "read_url"])
def test_they_are_looked_at_when_the_store_is_described(name):
    urls = {"url": "postgresql://h/d", name: "postgresql://h/d?autocommit=true"}
    with pytest.raises(ConfigurationError, match="autocommit is refused"):
        SqlStore("orders", endpoints=[Endpoint("eu-west-1", Role.PRIMARY, **urls)])


@pytest.mark.parametrize(
    "query", ["ssl_ca=/x", "ssl_cert=/x", "ssl=true", "ssl_mode=VERIFY_IDENTITY", "ssl_verify_cert=1"]
)
def test_a_mariadb_url_that_asks_for_tls_gets_it_on_loopback_too(query):
    url = sql_url(f"mysql://localhost/d?{query}", is_async=False)
    assert url.tls(None) == "require"
    with pytest.raises(ConfigurationError, match="requires TLS"):
        url.tls("off")
