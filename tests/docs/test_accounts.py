"""The grants in the pages of PostgreSQL, MariaDB and MySQL are enough, on real servers, and the limits they tell of hold."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology, UsageError

PATIENT = {"base": "balanced", "probe_timeout": 3.0, "trip_probes": 20}  # a busy machine is no dead server
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


def grants(page: str) -> list[str]:
    """The statements of a page's SQL blocks."""
    blocks = re.findall(r"```sql\n(.*?)```", (HOW_TO / page).read_text(), re.DOTALL)
    return [statement.strip() for block in blocks for statement in block.split(";") if statement.strip()]


def account(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}").geturl()


def works(url: str, read_url: str | None) -> None:
    """Tables, a keyed write, a read; and a write in a read block is refused."""
    endpoint = Endpoint("here", Role.PRIMARY, url, read_url=read_url)
    topology = Topology("shop", regions=[Region("here")], stores=[SqlStore("orders", endpoints=[endpoint])])
    with RegionKit(topology, local="here") as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders", core=True) as db:
                db.execute(text("CREATE TABLE tea (id INT PRIMARY KEY)"))
            s.execute_write(
                "orders", lambda db: db.execute(text("INSERT INTO tea VALUES (1)")).rowcount, idempotency_key="k"
            )
            with s.read("orders") as db:
                assert db.execute(text("SELECT id FROM tea")).scalar() == 1
            with pytest.raises(UsageError), s.read("orders") as db:
                db.execute(text("INSERT INTO tea VALUES (2)"))
        assert kit.status().to_dict()["endpoints"][0]["epoch"] == 1


@pytest.mark.postgresql
def test_the_grants_for_postgresql_are_enough(own_pg: Any) -> None:
    """The accounts of the page make the tables, write, and read with a reader's account."""
    pg = own_pg()
    node = pg.primary
    for statement in grants("postgresql.md"):
        node.sql(statement, database="shop")
    works(account(node.app_url, "shop_app", "change-me"), account(node.app_url, "shop_reader", "change-me-too"))


@pytest.mark.mariadb
def test_the_grants_for_mariadb_are_enough(own_mariadb: Any) -> None:
    """The account of the page makes the tables, writes and reads."""
    mariadb = own_mariadb()
    node = mariadb.primary
    for statement in grants("mariadb.md"):
        node.sql(statement)
    works(account(node.app_url, "shop_app", "change-me"), None)


@pytest.mark.mysql
def test_the_grants_for_mysql_are_enough(own_mysql: Any) -> None:
    """The account of the page makes the tables, writes and reads; its plugin is the server's default."""
    pytest.importorskip("cryptography")
    mysql = own_mysql()
    for statement in grants("mysql.md"):
        mysql.primary.sql(statement)
    works(account(mysql.primary.app_url, "shop_app", "change-me"), None)


@pytest.mark.postgresql
def test_a_promotion_is_recorded_by_itself_with_these_grants(own_pg: Any) -> None:
    """With REPLICATION the monitor writes the history row of a promotion; the new primary then takes writes."""
    pg = own_pg(1)
    for statement in grants("postgresql.md"):
        pg.primary.sql(statement, database="shop")
    urls = [account(node.app_url, "shop_app", "change-me") for node in (pg.primary, pg.replicas[0])]
    topology = Topology(
        "shop",
        regions=[Region("a"), Region("b")],
        stores=[
            SqlStore("orders", endpoints=[Endpoint("a", Role.PRIMARY, urls[0]), Endpoint("b", Role.REPLICA, urls[1])])
        ],
    )
    with RegionKit(topology, local="b", profile=PATIENT) as kit:
        kit.create_tables()
        until(lambda: kit.status().to_dict()["endpoints"][1]["epoch"] == 1)
        pg.primary.kill()
        pg.replicas[0].promote()
        until(lambda: kit.status().to_dict()["endpoints"][1]["role"] == "owner")
        with kit.session() as s:
            with s.write("orders", core=True) as db:
                db.execute(text("CREATE TABLE tea (id INT PRIMARY KEY)"))
            assert s.last_route is not None
            assert (s.last_route.region, s.last_route.epoch) == ("b", 2)


def until(holds: Any, within: float = 20.0) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
