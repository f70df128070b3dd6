"""TLS off loopback is verified, and what is weaker is refused (threat model: the network is not trusted)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fix_certificates import certificate
from fix_rigs import NAMESPACE, make_tables
from fix_servers import absent

from regionkit import ConfigurationError, Endpoint, Region, RegionKit, RegionUnavailable, Role, SqlStore, Topology

CANARY = "canary-s3cret"


def kit_of(url: str, **endpoint: Any) -> RegionKit:
    """A kit over one endpoint."""
    store = SqlStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, url, **endpoint)])
    return RegionKit(Topology(namespace=NAMESPACE, regions=[Region("us-east-1")], stores=[store]), local="us-east-1")


@pytest.fixture
def tls_server(own_pg: Any, tmp_path: Path) -> Any:
    """PostgreSQL with a certificate for "localhost" that nobody trusts by himself; its URL by name, and the certificate."""
    cert, key = certificate(tmp_path, "DNS:localhost")
    servers = own_pg()
    if servers.primary.sql("SELECT count(*) FROM pg_settings WHERE name = 'ssl_library' AND setting = ''")[0][0]:
        absent("this PostgreSQL was built without TLS: apt-get install postgresql")
    for name, path in (("server.crt", cert), ("server.key", key)):
        text = path.read_text()
        folder = servers.primary.sql("SHOW data_directory")[0][0]
        target = Path(folder) / name
        target.write_text(text)
        owner = Path(folder).stat()
        shutil.chown(target, owner.st_uid, owner.st_gid)
        target.chmod(0o600)
    servers.primary.sql("ALTER SYSTEM SET ssl = on")
    servers.primary.sql("SELECT pg_reload_conf()")
    make_tables(servers.primary.app_url)
    return servers.primary.app_url.replace("127.0.0.1", "localhost"), cert


def ask(kit: RegionKit) -> bool:
    """Whether the connection is encrypted, asked of the server."""
    with kit, kit.session() as s, s.read("orders", core=True, timeout=3.0) as connection:
        found = connection.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar()
        return bool(found)


def test_a_trusted_certificate_for_the_right_host_is_taken(tls_server: Any) -> None:
    """verify-full against the root that the URL names."""
    url, cert = tls_server
    assert ask(kit_of(f"{url}?sslrootcert={cert}", tls="require"))


def test_an_unknown_certificate_is_refused(tls_server: Any) -> None:
    """Without its root the server's self-signed certificate proves nothing."""
    url, _ = tls_server
    with pytest.raises(RegionUnavailable) as caught:
        ask(kit_of(url, tls="require"))
    assert "certificate" in caught.value.why


def test_the_wrong_host_is_refused(tls_server: Any) -> None:
    """The certificate is for "localhost", the address is 127.0.0.1: verify-full refuses it."""
    url, cert = tls_server
    with pytest.raises(RegionUnavailable) as caught:
        ask(kit_of(f"{url.replace('localhost', '127.0.0.1')}?sslrootcert={cert}", tls="require"))
    assert "certificate" in caught.value.why


def test_a_server_without_tls_is_refused(pg: Any, mariadb: Any) -> None:
    """Nothing falls back to plain text, with either driver."""
    for servers in (pg, mariadb):
        with (
            pytest.raises(RegionUnavailable),
            kit_of(servers.primary.app_url, tls="require") as kit,
            kit.session() as s,
        ):
            with s.read("orders", core=True, timeout=3.0) as connection:
                connection.exec_driver_sql("SELECT 1")


def test_a_url_that_weakens_tls_is_refused_early() -> None:
    """Off loopback, before anything is connected to."""
    for weak in ("sslmode=require", "sslmode=disable"):
        with pytest.raises(ConfigurationError, match="weakens TLS"):
            kit_of(f"postgresql://app:{CANARY}@orders.example/shop?{weak}")


def test_no_password_is_shown(pg: Any, mariadb: Any) -> None:
    """A wrong password, in the user part or the query, shows in no text, repr or cause of the error."""
    for servers in (pg, mariadb):
        url = servers.primary.app_url.replace("app:app", f"nobody:{CANARY}")
        for given in (url, f"{url.replace(f':{CANARY}', '')}?password={CANARY}"):
            with kit_of(given) as kit, kit.session() as s:
                try:
                    with s.read("orders", core=True, timeout=3.0) as connection:
                        connection.exec_driver_sql("SELECT 1")
                except Exception as error:
                    seen: BaseException | None = error
                    while seen is not None:
                        assert CANARY not in f"{seen} {seen!r} {vars(seen)}"
                        seen = seen.__cause__ or seen.__context__
                assert CANARY not in f"{kit.status()} {kit.explain('orders')} {kit._topology!r}"


def test_a_wrong_password_is_no_retryable_error(pg: Any) -> None:
    """Making the same call again does not help: the error says so."""
    with psycopg.connect(pg.primary.url.replace("+psycopg", ""), autocommit=True) as admin:
        trusting = admin.execute("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'").fetchone()
    if trusting and trusting[0]:
        url = pg.primary.app_url.replace("/shop", "/no_such_database")
    else:
        url = pg.primary.app_url.replace("app:app", "app:wrong")
    with kit_of(url) as kit, kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught, s.read("orders", core=True, timeout=3.0) as connection:
            connection.exec_driver_sql("SELECT 1")
    assert caught.value.committed == "no"
    assert "exist" in caught.value.why or "password" in caught.value.why
