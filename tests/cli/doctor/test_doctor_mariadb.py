"""The doctor on real MariaDB servers: prepared faults are found, and nothing on a healthy pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fix_doctor import codes, examined, kit_over, one, prepared, sql_store

REGIONS = ["r0", "r1"]


class Fleet:
    """A primary and a replica, a database of its own, and settings that are taken back."""

    def __init__(self, mariadb: Any) -> None:
        self.nodes = [mariadb.primary, mariadb.replicas[0]]
        self.database = mariadb.database()
        self.undo: list[Callable[[], Any]] = []

    @property
    def urls(self) -> list[str]:
        return [node.url_for(self.database) for node in self.nodes]

    def set(self, node: int, name: str, value: str) -> None:
        """A setting that needs no restart."""
        server = self.nodes[node]
        before = server.sql(f"SELECT @@global.{name}")[0][0]
        shown = f"'{before}'" if isinstance(before, str) else before
        self.undo.append(lambda: server.sql(f"SET GLOBAL {name} = {shown}"))
        server.sql(f"SET GLOBAL {name} = {value}")

    def kit(self, **options: Any) -> Any:
        """Over its two servers, tables made."""
        return prepared(kit_over(sql_store(*self.urls), REGIONS, **options))

    def close(self) -> None:
        for undo in reversed(self.undo):
            undo()


@pytest.fixture
def fleet(mariadb: Any) -> Iterator[Fleet]:
    """Healthy: what the test servers leave out for speed is on."""
    made = Fleet(mariadb)
    made.set(0, "sync_binlog", "1")
    yield made
    made.close()


def test_a_healthy_pair_has_nothing_to_mend(fleet: Fleet) -> None:
    """Not even a note."""
    assert examined(fleet.kit()) == []


@pytest.mark.parametrize(
    ("node", "name", "value", "code", "severity"),
    [
        (0, "sync_binlog", "0", "D404", "warning"),
        (0, "innodb_flush_log_at_trx_commit", "2", "D404", "warning"),
        (1, "read_only", "0", "D413", "error"),
        (1, "gtid_strict_mode", "0", "D412", "warning"),
        (0, "binlog_format", "'MIXED'", "D411", "warning"),
        (0, "rpl_semi_sync_master_enabled", "1", "D416", "warning"),
    ],
)
def test_a_setting(fleet: Fleet, node: int, name: str, value: str, code: str, severity: str) -> None:
    """Each is found at its server, and nothing else is."""
    kit = fleet.kit()
    fleet.set(node, name, value)
    found = examined(kit)
    assert [(f.code, f.severity, f.subject) for f in found] == [(code, severity, f"orders r{node}")]


def test_two_servers_with_one_id(fleet: Fleet) -> None:
    """They would not replicate from each other; both are named."""
    kit = fleet.kit()
    fleet.set(1, "server_id", str(fleet.nodes[0].sql("SELECT @@server_id")[0][0]))
    assert [(f.code, f.subject) for f in examined(kit)] == [("D414", "orders r0"), ("D414", "orders r1")]


def test_replication_that_was_stopped(fleet: Fleet) -> None:
    """Seen by an account that may look (REPLICA MONITOR)."""
    kit = fleet.kit()
    replica = fleet.nodes[1]
    replica.sql("SET sql_log_bin = 0")
    fleet.nodes[0].sql("GRANT REPLICA MONITOR ON *.* TO app@'127.0.0.1'")
    fleet.undo.append(lambda: fleet.nodes[0].sql("REVOKE REPLICA MONITOR ON *.* FROM app@'127.0.0.1'"))
    replica._await_position_of(fleet.nodes[0], 10.0)
    replica.pause_replay()
    fleet.undo.append(replica.resume_replay)
    assert "applies stands still" in one(examined(kit), "D415").what


def test_an_account_that_writes_to_replicas(fleet: Fleet) -> None:
    """READ ONLY ADMIN, at both."""
    fleet.nodes[0].sql("CREATE USER doc_admin@'127.0.0.1' IDENTIFIED BY 'x'")
    fleet.undo.append(lambda: fleet.nodes[0].sql("DROP USER doc_admin@'127.0.0.1'"))
    fleet.nodes[0].sql(f"GRANT ALL ON {fleet.database}.* TO doc_admin@'127.0.0.1'")
    fleet.nodes[0].sql("GRANT READ_ONLY ADMIN ON *.* TO doc_admin@'127.0.0.1'")
    fleet.nodes[1]._await_position_of(fleet.nodes[0], 10.0)
    urls = [url.replace("app:app@", "doc_admin:x@") for url in fleet.urls]
    found = examined(prepared(kit_over(sql_store(*urls), REGIONS)))
    assert codes(found) == ["D504", "D504"] and found[0].severity == "error"


def test_an_account_that_lacks_rights_on_the_tables(fleet: Fleet) -> None:
    """Each is named with the GRANT that gives it."""
    fleet.kit().close()
    fleet.nodes[0].sql("CREATE USER doc_app@'127.0.0.1' IDENTIFIED BY 'x'")
    fleet.undo.append(lambda: fleet.nodes[0].sql("DROP USER doc_app@'127.0.0.1'"))
    fleet.nodes[0].sql(f"GRANT SELECT ON {fleet.database}.* TO doc_app@'127.0.0.1'")
    url = fleet.urls[0].replace("app:app@", "doc_app:x@")
    found = [f for f in examined(kit_over(sql_store(url), ["r0"])) if f.code == "D502"]
    assert f"GRANT INSERT ON {fleet.database}.doc_rk_history TO doc_app@127.0.0.1;" in {f.fix for f in found}
    assert len(found) == 7


def test_a_wrong_password(fleet: Fleet) -> None:
    """The server refused the account."""
    found = examined(kit_over(sql_store(fleet.urls[0].replace("app:app@", "app:no@")), ["r0"]))
    assert codes(found) == ["D202"] and "refused the account" in found[0].what


def test_a_server_of_another_kind(fleet: Fleet, redis_server: Any) -> None:
    """A mariadb:// URL that leads to a Redis: it cannot be used, and the finding names the endpoint."""
    url = fleet.urls[1].replace(f":{fleet.nodes[1].port}/", f":{redis_server.primary.port}/")
    fleet.kit().close()
    found = examined(kit_over(sql_store(fleet.urls[0], url), REGIONS))
    assert [f.subject for f in found] == ["orders r1"] and found[0].code in ("D201", "D202")
