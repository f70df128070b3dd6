"""A journal in a table of a kit's store: made with the kit's tables, written on the owner, replayed from any region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, MetaData, String, Table, text

from regionkit import RegionKit
from regionkit.caching import Shared, SqlJournal, SqlSink, WriteBack
from regionkit.embedded import SqliteRegions


class Person(msgspec.Struct, frozen=True):
    """A row without its key."""

    name: str


def test_a_store_of_the_kit_keeps_the_journal(redis_server: Any, tmp_path: Path) -> None:
    """A put in another region than the owner's; the server is emptied; the row follows."""
    people = Table(
        "people",
        MetaData(),
        Column("id", String(40), primary_key=True),
        Column("name", String(50), nullable=False),
        Column("rk_ver", BigInteger, nullable=False, server_default="0"),
    )
    home, here = "us-east-1", "eu-west-1"
    with (
        SqliteRegions(tmp_path, store="orders", primary=home, replicas=[here], lag=0.05) as regions,
        RegionKit(regions.topology, local=here) as kit,
    ):
        kit.create_tables()
        with kit.session() as s, s.write("orders", core=True) as db:
            people.metadata.create_all(db)
        strategy = WriteBack(
            sink=SqlSink(kit, people, store="orders"),
            durability="sql-journal",
            journal=SqlJournal(kit, store="orders"),
            ttl=60.0,
        )
        shared = Shared(redis_server.primary.url, timeout=5.0)
        with kit.cache("people", Person, store="orders", strategy=strategy, tiers=[shared]) as cache:
            kit.create_tables()
            receipt = cache.put("a", Person("Ada"))
            assert receipt.durable_in == "sql-journal"
            with redis_server.primary.client() as client:
                for key in client.scan_iter("*people*", count=1000):
                    client.delete(key)
            assert cache.flush(timeout=20.0).clean
            with kit.session() as s, s.write("orders", core=True) as db:
                assert tuple(db.execute(text("SELECT * FROM people")).one()) == ("a", "Ada", receipt.version)
                assert db.execute(text("SELECT count(*) FROM regionkit_rk_wb_journal")).scalar() == 0
