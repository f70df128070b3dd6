"""The doctor on real MariaDB servers: prepared faults are found, and nothing on a healthy pair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fix_doctor import BinlogFleet, codes, examined, kit_over, one, prepared, sql_store

REGIONS = ["r0", "r1"]


@pytest.fixture
def fleet(mariadb: Any) -> Iterator[BinlogFleet]:
    """Healthy: what the test servers leave out for speed is on."""
    made = BinlogFleet(mariadb)
    made.set(0, "sync_binlog", "1")
    yield made
    made.close()


def test_a_healthy_pair_has_nothing_to_mend(fleet: BinlogFleet) -> None:
    """Not even a note."""
    assert examined(fleet.kit(REGIONS)) == []


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
def test_a_setting(fleet: BinlogFleet, node: int, name: str, value: str, code: str, severity: str) -> None:
    """Each is found at its server, and nothing else is."""
    assert fleet.judged(REGIONS, node, name, value) == [(code, severity, f"orders r{node}")]


def test_two_servers_with_one_id(fleet: BinlogFleet) -> None:
    """They would not replicate from each other; both are named."""
    kit = fleet.kit(REGIONS)
    fleet.set(1, "server_id", str(fleet.nodes[0].sql("SELECT @@server_id")[0][0]))
    assert [(f.code, f.subject) for f in examined(kit)] == [("D414", "orders r0"), ("D414", "orders r1")]


@pytest.fixture
def seen(fleet: BinlogFleet) -> BinlogFleet:
    """The account may look at the threads of replication."""
    fleet.sql("GRANT REPLICA MONITOR ON *.* TO app@'127.0.0.1'", "REVOKE REPLICA MONITOR ON *.* FROM app@'127.0.0.1'")
    return fleet


def delay(replica: Any, seconds: int) -> None:
    for statement in ("STOP SLAVE", f"CHANGE MASTER TO MASTER_DELAY = {seconds}", "START SLAVE"):
        replica.sql(statement)


def test_replication_that_was_stopped(seen: BinlogFleet) -> None:
    """Seen by an account that may look (REPLICA MONITOR)."""
    kit = seen.kit(REGIONS)
    seen.nodes[1].pause_replay()
    seen.undo.append(seen.nodes[1].resume_replay)
    assert one(examined(kit), "D415").what == "the thread that applies does not run."


def test_a_replica_that_is_delayed(seen: BinlogFleet) -> None:
    """On purpose: it never has what was just written."""
    kit, replica = seen.kit(REGIONS), seen.nodes[1]
    seen.undo.append(lambda: delay(replica, 0))
    delay(replica, 30)
    assert "30 s late" in one(examined(kit), "D407").what


def test_another_time_zone(fleet: BinlogFleet) -> None:
    """The same moment reads as another local time there."""
    kit = fleet.kit(REGIONS)
    fleet.set(1, "time_zone", "'+09:00'")
    found = examined(kit)
    assert [(f.code, f.subject) for f in found] == [("D306", "orders r1")] and "+09:00" in found[0].what


def test_an_account_that_writes_to_replicas(fleet: BinlogFleet) -> None:
    """READ ONLY ADMIN, at both."""
    urls = fleet.account("doc_admin", f"ALL ON {fleet.database}.*", "READ_ONLY ADMIN ON *.*")
    found = examined(prepared(kit_over(sql_store(*urls), REGIONS)))
    assert codes(found) == ["D504", "D504"] and found[0].severity == "error"


def test_an_account_that_lacks_rights_on_the_tables(fleet: BinlogFleet) -> None:
    """Each is named with the GRANT that gives it, and those are enough."""
    fleet.kit(REGIONS).close()
    url = fleet.account("doc_app", f"SELECT ON {fleet.database}.*")[0]
    found = [f for f in examined(kit_over(sql_store(url), ["r0"])) if f.code == "D502"]
    assert f"GRANT INSERT ON {fleet.database}.doc_rk_history TO 'doc_app'@'127.0.0.1';" in {f.fix for f in found}
    assert len(found) == 7
    for finding in found:
        fleet.sql(finding.fix)
    assert "D502" not in codes(examined(kit_over(sql_store(url), ["r0"])))


def test_a_wrong_password(fleet: BinlogFleet) -> None:
    """The server refused the account."""
    found = examined(kit_over(sql_store(fleet.urls[0].replace("app:app@", "app:no@")), ["r0"]))
    assert codes(found) == ["D202"] and "refused the account" in found[0].what


def test_a_server_of_another_kind(fleet: BinlogFleet, redis_server: Any) -> None:
    """A mariadb:// URL that leads to a Redis: it cannot be used, and the finding names the endpoint."""
    url = fleet.urls[1].replace(f":{fleet.nodes[1].port}/", f":{redis_server.primary.port}/")
    fleet.kit(REGIONS).close()
    found = examined(kit_over(sql_store(fleet.urls[0], url), REGIONS))
    assert [f.subject for f in found] == ["orders r1"] and found[0].code in ("D201", "D202")
