"""SQL URLs: one address, our driver, TLS never weakened, the password never shown."""

from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sqlalchemy.engine import URL, create_engine, make_url

from regionkit.errors import ConfigurationError
from regionkit.topology import mask_url, sql_url
from regionkit.topology.url_parts import split_url

passwords = st.text(max_size=40).filter(lambda text: not any(0xD800 <= ord(c) <= 0xDFFF for c in text))
# no character of these stands in the URLs around them, so that any one that is shown is a leak
loud = st.text(alphabet="QWXYZ@:/?#%&=+$[]{}, ", max_size=30).filter(lambda text: any(c in "QWXYZ" for c in text))


def parse(url, is_async=False):
    return sql_url(url, is_async=is_async)


@pytest.mark.parametrize(
    ("url", "sync", "asynchronous", "server"),
    [
        ("postgresql://h/d", "postgresql+psycopg", "postgresql+psycopg", "postgresql"),
        ("postgres://h/d", "postgresql+psycopg", "postgresql+psycopg", "postgresql"),
        ("POSTGRESQL+PSYCOPG://h/d", "postgresql+psycopg", "postgresql+psycopg", "postgresql"),
        ("postgresql+psycopg_async://h/d", "postgresql+psycopg", "postgresql+psycopg", "postgresql"),
        ("postgresql+asyncpg://h/d", "postgresql+psycopg", "postgresql+asyncpg", "postgresql"),
        ("mysql://h/d", "mysql+pymysql", "mysql+aiomysql", "mariadb"),
        ("mariadb+aiomysql://h/d", "mariadb+pymysql", "mariadb+aiomysql", "mariadb"),
        ("sqlite:///d.db", "sqlite+pysqlite", "sqlite+aiosqlite", "sqlite"),
        ("sqlite+aiosqlite:////d.db", "sqlite+pysqlite", "sqlite+aiosqlite", "sqlite"),
    ],
)
def test_our_driver_is_taken_whether_named_or_not(url, sync, asynchronous, server):
    assert parse(url).drivername == sync
    assert parse(url, is_async=True).drivername == asynchronous
    assert parse(url).server == server


@pytest.mark.parametrize("url", ["postgresql+psycopg2://h", "mysql+mysqldb://h", "sqlite+pysqlcipher:///x"])
def test_other_drivers_are_refused(url):
    with pytest.raises(ConfigurationError, match=r"is not supported.*client="):
        parse(url)


def test_other_dialects_are_refused_with_a_near_match():
    with pytest.raises(ConfigurationError, match="did you mean 'postgresql'"):
        parse("postgressql://h/d")
    with pytest.raises(ConfigurationError, match="known: mariadb, mysql, postgresql, sqlite"):
        parse("oracle://h/d")


def test_every_part_is_decoded():
    url = parse("postgresql://a%40b:p%3A%2F%3F%23%25@[::1]:6432/my%2Fdb?application_name=a+b%26c&options=-c%20x%3D1")
    assert (url.username, url.password, url.host, url.port) == ("a@b", "p:/?#%", "::1", 6432)
    assert url.database == "my/db"
    assert url.query == (("application_name", "a b&c"), ("options", "-c x=1"))


@pytest.mark.parametrize(
    ("url", "host", "port", "database"),
    [
        ("postgresql://", None, None, None),
        ("postgresql:///d", None, None, "d"),
        ("postgresql://h", "h", None, None),
        ("postgresql://h:/d", "h", None, "d"),
        ("postgresql:///d?host=/run/pg&port=5433", "/run/pg", 5433, "d"),
        ("postgresql://%2Frun%2Fpg/d", "/run/pg", None, "d"),
        ("postgresql://?host=h&dbname=d&user=u", "h", None, "d"),
        ("mysql://?host=h&db=d&passwd=x", "h", None, "d"),
        ("sqlite://", None, None, None),
        ("sqlite:///:memory:", None, None, ":memory:"),
        ("sqlite:///a@b/c.db", None, None, "a@b/c.db"),
        ("sqlite:////abs/c.db", None, None, "/abs/c.db"),
    ],
)
def test_address_parts_are_found_wherever_they_are_written(url, host, port, database):
    parsed = parse(url)
    assert (parsed.host, parsed.port, parsed.database) == (host, port, database)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("h/d", "does not begin with a scheme"),
        ("", "does not begin with a scheme"),
        ("postgresql://h/d\n", "line break"),
        (" postgresql://h/d", "does not begin with a scheme"),
        ("postgresql://a:b/c@h/d", "'@' after the address"),
        ("postgresql://a:1?c@h/d", "'@' after the address"),
        ("postgresql://a:%ff@h/d", "not UTF-8"),
        ("postgresql://h1,h2/d", "several hosts"),
        ("postgresql://h1:1,h2:2/d", "several hosts"),
        ("postgresql:///d?host=h1,h2", "several hosts"),
        ("postgresql:///d?host=h1&host=h2", "'host' twice"),
        ("postgresql://h/d?host=evil", "'host' twice"),
        ("postgresql://a:b@h/d?password=c", "'password' twice"),
        ("postgresql://h/d?sslmode=verify-full&sslmode=disable", "'sslmode' twice"),
        ("mysql://h/d?host=evil", "'host' twice"),
        ("mysql://h/d?passwd=a&password=b", "twice"),
        ("postgresql://::1/d", "several ':'"),
        ("postgresql://h st/d", "not a host name"),
        ("postgresql://[::zz]/d", "not a host name"),
        ("mysql://%2Ftmp%2Fsock/d", "not a host name"),
        ("postgresql://h:port/d", "number from 1 to 65535"),
        ("postgresql://h:0/d", "number from 1 to 65535"),
        ("postgresql://h:65536/d", "number from 1 to 65535"),
        ("postgresql://h:\N{SUPERSCRIPT TWO}/d", "number from 1 to 65535"),
        ("postgresql://h/d?sslmode", "no '='"),
        ("postgresql://h/d?service=x", "service is refused"),
        ("postgresql://localhost/d?hostaddr=10.0.0.1", "hostaddr is refused"),
        ("mysql://h/d?read_default_file=x", "read_default_file is refused"),
        ("mysql://h/d?unix_socket=/x", "both a host and a unix_socket"),
        ("sqlite://d.db", "names a host"),
        ("postgresql://a:${PW}@h/d", r"still holds a \$\{NAME\}"),
    ],
)
def test_urls_that_are_not_one_sure_address_are_refused(url, message):
    with pytest.raises(ConfigurationError, match=message):
        parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://localhost/d",
        "postgresql://LOCALHOST:5/d",
        "mysql://127.0.0.1/d",
        "mysql://127.8.9.1/d",
        "mysql://[::1]/d",
        "postgresql:///d",
        "mysql:///d",
        "mysql://localhost/d?unix_socket=/tmp/s",
        "postgresql:///d?host=/tmp",
        "postgresql:///d?host=%40abstract",
        "sqlite:///d",
    ],
)
def test_loopback_needs_no_tls(url):
    assert parse(url).is_loopback
    assert parse(url).tls(None) == "off"


@pytest.mark.parametrize(
    "host", ["h", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[2001:db8::1]", "0.0.0.0", "127.1"]
)
def test_anything_else_requires_tls(host):
    url = parse(f"postgresql://{host}/d")
    assert not url.is_loopback
    assert (url.tls(None), url.tls("require"), url.tls("off")) == ("require", "require", "off")


PG_WEAK = [f"sslmode={mode}" for mode in ("disable", "allow", "prefer", "require", "verify-ca", "VERIFY-FULL", "")]
PG_WEAK += [
    "ssl_min_protocol_version=TLSv1.1",
    "ssl_min_protocol_version=",
    "ssl_max_protocol_version=tlsv1",
    "unix_socket=/s&sslmode=allow",
    "gssencmode=prefer",
    "sslkeylogfile=/x",
]
MY_WEAK = [f"{name}=false" for name in ("ssl", "ssl_verify_cert", "ssl_check_hostname", "ssl_verify_identity")]
MY_WEAK += ["ssl_disabled=true", "ssl_disabled=false", "ssl_verify_cert=none", "ssl_verify_cert=optional"]
MY_WEAK += ["ssl_mode=PREFERRED", "ssl-mode=verify_ca", "SSL_DISABLED=1", "ssl_check_hostname=F", "ssl_cipher=aNULL"]


@pytest.mark.parametrize("scheme_and_query", [("postgresql", q) for q in PG_WEAK] + [("mysql", q) for q in MY_WEAK])
def test_a_url_that_weakens_tls_off_loopback_is_refused(scheme_and_query):
    scheme, query = scheme_and_query
    url = parse(f"{scheme}://app:CANARY@db.example/d?{query}")
    for asked in (None, "require"):
        with pytest.raises(ConfigurationError, match="weakens TLS") as caught:
            url.tls(asked)
        assert "CANARY" not in str(caught.value)
    assert url.tls("off") == "off"
    assert parse(f"{scheme}://app:CANARY@localhost/d?{query}").tls(None) == "off"
    with pytest.raises(ConfigurationError, match="weakens TLS"):
        parse(f"{scheme}://localhost/d?{query}").tls("require")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/d?sslmode=verify-full&sslrootcert=system&ssl_min_protocol_version=TLSv1.3&gssencmode=disable",
        "mysql://h/d?ssl_ca=/x&ssl_verify_cert=true&ssl_check_hostname=true&ssl_verify_identity=1&ssl_mode=VERIFY_IDENTITY",
    ],
)
def test_a_url_that_asks_for_full_tls_is_taken(url):
    assert parse(url).tls(None) == "require"


@pytest.mark.parametrize("url", ["sqlite:///d", "postgresql:///d", "mysql:///d?unix_socket=/s"])
def test_tls_can_not_be_required_where_there_is_no_network(url):
    with pytest.raises(ConfigurationError, match="is not possible"):
        parse(url).tls("require")


@given(passwords)
@example("@:/?#%&=+$ []{}")
@example("${HOME}")
def test_an_encoded_password_comes_back_and_is_never_shown(password):
    parsed = parse(f"postgresql://app:{quote(password, safe='')}@db:5432/d?password2=1")
    assert parsed.password == password
    assert parsed.masked == str(parsed) == "postgresql+psycopg://app:***@db:5432/d?***"
    assert repr(parsed) == "ParsedUrl('postgresql+psycopg://app:***@db:5432/d?***')"
    assert repr(split_url(f"x://a:{quote(password, safe='')}@h")) == "UrlParts('x://a:***@h')"


@given(passwords, st.sampled_from(["password", "sslpassword", "token", "passfile", "client_secret", "key"]))
def test_a_secret_parameter_is_never_shown(password, name):
    assert mask_url(f"redis://h/0?{name}={quote(password, safe='')}&sslmode=x") == f"redis://h/0?{name}=***&sslmode=x"


@given(loud)
def test_a_raw_password_of_any_characters_is_never_shown(password):
    url = f"postgresql://app:{password}@db.local/orders?sslmode=disable"
    assert not set("QWXYZ") & set(mask_url(url))
    try:
        parsed = parse(url)
        parsed.tls(None)
    except ConfigurationError as error:
        assert not set("QWXYZ") & set(error.what + error.why + error.fix)
        assert error.__cause__ is None and error.__context__ is None
    else:
        pytest.fail("sslmode=disable was let through")


@given(st.text(max_size=60))
@example("postgresql://[/")
@example("x://a:b:c@d:e:f")
def test_masking_and_parsing_end_in_a_value_or_a_configuration_error(text):
    assert isinstance(mask_url(text), str)
    try:
        parse(text)
    except ConfigurationError:
        pass


@given(st.text(max_size=40).filter(lambda text: "://" not in text))
def test_a_text_without_scheme_is_masked_whole(text):
    assert mask_url(text) == "***"


@given(passwords, passwords, st.sampled_from(["db", "::1", "10.0.0.1"]), passwords)
def test_rendering_and_splitting_are_inverse(username, password, host, path):
    assume("\x00" not in path)
    bracketed = f"[{host}]" if ":" in host else host
    url = f"x://{quote(username, safe='')}:{quote(password, safe='')}@{bracketed}:1/{quote(path, safe='')}?a=b&c"
    parts = split_url(url)
    assert split_url(parts.render(masked=False)) == parts
    assert (parts.username, parts.password, parts.host, parts.path) == (username, password, host, path)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://a:p%40%2F%3A@db:5432/shop?application_name=x&connect_timeout=3",
        "mariadb+pymysql://a:b@db:3307/shop?charset=utf8mb4",
        "mysql+pymysql://a@127.0.0.1/shop",
        "sqlite+pysqlite:////var/lib/a.db?timeout=3",
        "sqlite+pysqlite://",
    ],
)
def test_sqlalchemy_reads_the_same_parts(url):
    parsed = parse(url)
    parts = (parsed.username, parsed.password, parsed.host, parsed.port, parsed.database, dict(parsed.query))
    assert URL.create(parsed.drivername, *parts) == make_url(url)
    create_engine(URL.create(parsed.drivername, *parts)).dispose()


def test_unknown_parameters_are_shown_neither_by_name_nor_by_value():
    assert mask_url("mongodb://a:b@m1:1,m2:2/d?authSource=CANARY&CANARY") == "mongodb://a:***@m1:1,m2:2/d?***&***"
