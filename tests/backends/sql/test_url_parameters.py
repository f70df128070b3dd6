# Generated from test_url_parameters_async.py by scripts/twins.py. Do not edit.
"""Every parameter that a URL may give works with every driver, and what it asks for happens."""

from __future__ import annotations

from typing import Any

import pytest
from fix_rigs import NAMESPACE, Rig
from sqlalchemy import text

from regionkit import STRONG, Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.topology import sql_parameters, sql_url
from regionkit.topology.sql_parameters import _PASSED, _READ

HERE = "us-east-1"
POSTGRESQL = {
    "application_name": "billing",
    "client_encoding": "UTF8",
    "connect_timeout": "10",
    "fallback_application_name": "x",
    "keepalives": "1",
    "keepalives_count": "9",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "gssencmode": "disable",
    "options": "-c%20search_path%3Dpublic%2Cpg_catalog",
    "prepare_threshold": "none",
    "sslmode": "prefer",
    "target_session_attrs": "any",
    "tcp_user_timeout": "20000",
}
MARIADB = {
    "charset": "utf8mb4",
    "client_flag": "2",
    "connect_timeout": "10",
    "local_infile": "true",
    "program_name": "billing",
    "sql_mode": "STRICT_ALL_TABLES",
    "ssl_disabled": "true",
    "use_unicode": "1",
}
SQLITE = {"cached_statements": "64", "detect_types": "0"}
GIVEN = {"postgresql": POSTGRESQL, "mariadb": MARIADB, "mysql": MARIADB, "sqlite": SQLITE}
ASKED = {
    "postgresql": "SELECT concat_ws(' ', current_setting('application_name'), current_setting('search_path'))",
    **dict.fromkeys(("mariadb", "mysql"), "SELECT @@sql_mode"),
    "sqlite": "SELECT ''",
}
STRICT = "STRICT_ALL_TABLES"
FOUND = {"postgresql": "billing public,pg_catalog", "mariadb": STRICT, "mysql": STRICT, "sqlite": ""}


def kit_of(url: str, **options: Any) -> RegionKit:
    """A kit with one endpoint."""
    store = SqlStore("orders", endpoints=[Endpoint(HERE, Role.PRIMARY, url)], **options)
    return RegionKit(Topology(namespace=NAMESPACE, regions=[Region(HERE)], stores=[store]), local=HERE)


def test_all_at_once(rig: Rig) -> None:
    """A write and a read with every parameter that needs no file and no account of its own."""
    query = "&".join(f"{name}={value}" for name, value in GIVEN[rig.server].items())
    with kit_of(f"{rig.urls[0]}?{query}") as kit, kit.session() as s:
        kit.create_tables()
        with s.write("orders") as db:
            db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
        with s.read("orders", consistency=STRONG) as db:
            assert (db.execute(text("SELECT item FROM orders"))).scalar() == "tea"
            assert (db.execute(text(ASKED[rig.server]))).scalar() == FOUND[rig.server]


@pytest.mark.parametrize("server", GIVEN)
def test_those_given_here_are_known(server: str) -> None:
    """Each of them passes the table."""
    url = sql_url(f"{'mysql' if server == 'mariadb' else server}:///d", is_async=False)
    assert sql_parameters(url) == {}
    assert set(GIVEN[server]) <= _PASSED[url.server] | _READ[url.server]


@pytest.mark.parametrize("how", ["option", "url"])
def test_preparing_is_turned_off(postgresql_rig: Rig, how: str) -> None:
    """However often a statement runs, the server keeps no plan of it."""
    url = postgresql_rig.urls[0] + ("?prepare_threshold=none" if how == "url" else "")
    count = text("SELECT count(*) FROM pg_prepared_statements")
    with kit_of(url, options={"prepare": how == "url"}) as kit, kit.session() as s:
        for _ in range(10):
            with s.read("orders", consistency=STRONG) as db:
                db.execute(text("SELECT item FROM orders"))
                assert (db.execute(count)).scalar() == 0
