"""`regionkit init`: flags, answers, running servers; what it writes is what the doctor finds no fault with."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from fix_doctor import KEYS

from regionkit import RegionKit
from regionkit.cli import main
from regionkit.topology.loading import load_toml


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it writes; the variables that it asks for are set."""
    monkeypatch.setenv("BOOKMARK_KEY", KEYS[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "regionkit.toml"


def doctor(path: Path, local: str) -> int:
    """Tables made, as `init` says; the doctor's exit code."""
    with RegionKit.from_toml(path, local=local) as kit:
        kit.create_tables()
    return main(["doctor", "--config", str(path), "--local", local])


def test_flags(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords become variables; the first endpoint is the primary; what to do next stands on stderr."""
    words = ["--endpoint", "us-east-1=postgresql://app:s3cret@db.us/shop", "--endpoint"]
    words += ["eu-west-1=postgresql://app:other@db.eu/shop", "--namespace", "web"]
    assert main(["init", *words]) == 0
    told = capsys.readouterr()
    assert told.out == "" and "export SHOP_PASSWORD=" in told.err and "regionkit doctor" in told.err
    text = path.read_text()
    assert "s3cret" not in text + told.err and "other" not in told.err
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret")
    monkeypatch.setenv("SHOP_PASSWORD_2", "other")
    loaded = load_toml(path)
    assert loaded.topology.namespace == "web" and loaded.bookmark_keys == (KEYS[0],)
    assert [(e.region, e.role.value, e.url) for e in loaded.topology.store("shop").endpoints] == [
        ("us-east-1", "primary", "postgresql://app:s3cret@db.us/shop"),
        ("eu-west-1", "replica", "postgresql://app:other@db.eu/shop"),
    ]
    assert len([line for line in text.splitlines() if "# " in line]) > 8, "it is commented"


def test_nothing_is_written_over(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """2, and the file is as it was."""
    path.write_text("mine")
    assert main(["init", "--endpoint", "us=sqlite:///a.db"]) == 2
    assert path.read_text() == "mine" and "already exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no terminal"),
        (["--endpoint", "postgresql://db/shop"], "not REGION=URL"),
        (["--endpoint", "us=oracle://db/shop"], "names no server"),
        (["--endpoint", "us=redis://a", "--endpoint", "eu=postgresql://b/c"], "2 kinds"),
        (["--endpoint", "us=redis://a", "--from", "redis://a"], "exclude each other"),
        (["--from", "redis://a"], "does not work with Redis"),
        (["--endpoint", 'us"=redis://a'], "regionkit.toml"),
    ],
)
def test_what_cannot_be_used(path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """2 with what to do, and no file."""
    assert main(["init", *words]) == 2
    assert said in re.sub(r"\s+", " ", capsys.readouterr().err)
    assert not path.exists()


def test_answers_on_a_terminal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty ones take what is proposed: the region in the host's name, the folder, the database."""
    given = iter(
        ["postgresql://app@db.eu-west-1.example/shop", "", "postgresql://app@db2/shop", "us-east-1", "", "", "orders"]
    )

    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return f"{next(given)}\n"

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main(["init"]) == 0
    topology = load_toml(path).topology
    assert [region.name for region in topology.regions] == ["eu-west-1", "us-east-1"]
    assert [store.name for store in topology.stores] == ["orders"]


def test_files_that_the_doctor_finds_no_fault_with(path: Path, tmp_path: Path) -> None:
    """SQLite, from flags to exit code 0."""
    assert main(["init", "--endpoint", f"us=sqlite:///{tmp_path}/a.db"]) == 0
    assert doctor(path, "us") == 0


def test_from_postgresql(
    pg: Any, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replica knows its primary; a primary knows that replicas are there. The doctor has nothing to say of what is written."""
    database, replica = pg.database(), pg.replicas[0]
    pg.primary.sql("GRANT pg_read_all_stats TO app")
    pg.primary.sql("ALTER ROLE app REPLICATION")
    for node in (pg.primary, replica):
        node.sql("ALTER SYSTEM SET fsync = on")
        node._reload("fsync", "on")
    pg.wait_for_replicas()
    try:
        url = replica.url_for(database)
        where = ["--region", f"127.0.0.1:{replica.port}=eu", "--region", f"127.0.0.1:{pg.primary.port}=us"]
        assert main(["init", "--from", url, "--store", "orders", "--namespace", "found", *where]) == 0
        monkeypatch.setenv("ORDERS_PASSWORD", "app")
        endpoints = load_toml(path).topology.store("orders").endpoints
        assert [(e.region, e.role.value) for e in endpoints] == [("us", "primary"), ("eu", "replica")]
        assert doctor(path, "eu") == 0
        assert capsys.readouterr().out.endswith("no findings.\n")
        other = path.with_name("other.toml")
        assert main(["init", "--from", pg.primary.url_for(database), "--config", str(other), "--store", "orders"]) == 0
        assert "# a replica exists, but its address is not complete. replica1: only its address" in other.read_text()
        load_toml(other)
    finally:
        for node in (pg.primary, replica):
            node.sql("ALTER SYSTEM RESET fsync")
            node.sql("SELECT pg_reload_conf()")
        pg.primary.sql("REVOKE pg_read_all_stats FROM app")
        pg.primary.sql("ALTER ROLE app NOREPLICATION")


def test_from_mariadb(mariadb: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica knows its primary, where the account may ask."""
    database, replica = mariadb.database(), mariadb.replicas[0]
    mariadb.primary.sql("GRANT REPLICA MONITOR ON *.* TO app@'127.0.0.1'")
    mariadb.primary.sql("SET GLOBAL sync_binlog = 1")
    mariadb.wait_for_replicas()
    try:
        assert main(["init", "--from", replica.url_for(database), "--store", "orders", "--namespace", "found"]) == 0
        monkeypatch.setenv("ORDERS_PASSWORD", "app")
        endpoints = load_toml(path).topology.store("orders").endpoints
        assert [(e.region, e.role.value) for e in endpoints] == [("region-1", "primary"), ("region-2", "replica")]
        assert "the region is a guess" in path.read_text()
        assert doctor(path, "region-2") == 0
    finally:
        mariadb.primary.sql("REVOKE REPLICA MONITOR ON *.* FROM app@'127.0.0.1'")
        mariadb.primary.sql("SET GLOBAL sync_binlog = 0")


def test_from_mysql(mysql: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica knows its primary; a primary lists replicas, whose address is a comment where they have no report_host."""
    database, replica = mysql.database(), mysql.replicas[0]
    mysql.primary.sql("GRANT REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO app@'127.0.0.1'")
    usual = {"sync_binlog": 0, "innodb_flush_log_at_trx_commit": 2, "wait_timeout": 28800}
    for name, value in {"sync_binlog": 1, "innodb_flush_log_at_trx_commit": 1, "wait_timeout": 600}.items():
        mysql.primary.sql(f"SET GLOBAL {name} = {value}")
    mysql.wait_for_replicas()
    try:
        assert main(["init", "--from", replica.url_for(database), "--store", "orders", "--namespace", "found"]) == 0
        monkeypatch.setenv("ORDERS_PASSWORD", "app")
        endpoints = load_toml(path).topology.store("orders").endpoints
        assert [(e.region, e.role.value) for e in endpoints] == [("region-1", "primary"), ("region-2", "replica")]
        assert "the region is a guess" in path.read_text()
        assert doctor(path, "region-2") == 0
        other = path.with_name("other.toml")
        url = mysql.primary.url_for(database)
        assert main(["init", "--from", url, "--config", str(other), "--store", "orders"]) == 0
        number = replica.sql("SELECT @@server_id")[0][0]
        assert f"server_id {number}: it has no report_host" in other.read_text()
        assert [e.role.value for e in load_toml(other).topology.store("orders").endpoints] == ["primary"]
    finally:
        mysql.primary.sql("REVOKE REPLICATION CLIENT, REPLICATION SLAVE ON *.* FROM app@'127.0.0.1'")
        for name, value in usual.items():
            mysql.primary.sql(f"SET GLOBAL {name} = {value}")


def test_from_mongodb(mongo: Any, path: Path) -> None:
    """One member names all, and their tags the regions."""
    assert main(["init", "--from", mongo.nodes[1].url_for("found").partition("?")[0], "--namespace", "found"]) == 0
    topology = load_toml(path).topology
    assert {region.name for region in topology.regions} == {node.region for node in mongo.nodes}
    assert topology.stores[0].url is not None and "replicaSet=" in path.read_text()
    assert doctor(path, mongo.nodes[0].region) == 0


def test_from_cassandra(cassandra: Any, path: Path) -> None:
    """Data centres are regions, or have another name there; what the doctor notes is that they are small."""
    url = cassandra.url_for(cassandra.keyspace())
    assert main(["init", "--from", url, "--namespace", "found", "--store", "events", "--region", "eu-west-1=eu"]) == 0
    topology = load_toml(path).topology
    assert {region.name for region in topology.regions} == {"us-east-1", "eu"}
    assert '"eu" = "eu-west-1"' in path.read_text()
    assert doctor(path, "eu") == 0
