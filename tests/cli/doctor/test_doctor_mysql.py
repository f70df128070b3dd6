"""The doctor on real MySQL servers: prepared faults are found, and nothing on a healthy pair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fix_certificates import certificate
from fix_doctor import BinlogFleet, codes, examined, kit_over, one, prepared, sql_store

from regionkit.cli.doctor.findings import Finding
from regionkit.core.clock import SYSTEM_CLOCK

REGIONS = ["r0", "r1"]


@pytest.fixture
def fleet(mysql: Any) -> Iterator[BinlogFleet]:
    """Healthy: what the test servers leave out for speed is on."""
    made = BinlogFleet(mysql)
    made.set(0, "sync_binlog", "1")
    made.set(0, "innodb_flush_log_at_trx_commit", "1")
    made.set(0, "wait_timeout", "600")
    yield made
    made.close()


@pytest.fixture
def seen(fleet: BinlogFleet) -> BinlogFleet:
    """The account may look at the threads of replication."""
    fleet.sql(
        "GRANT REPLICATION CLIENT ON *.* TO app@'127.0.0.1'", "REVOKE REPLICATION CLIENT ON *.* FROM app@'127.0.0.1'"
    )
    return fleet


def test_a_healthy_pair_has_nothing_to_mend(seen: BinlogFleet) -> None:
    """Not even a note, by an account that sees all."""
    assert examined(seen.kit(REGIONS)) == []


@pytest.mark.parametrize(
    ("node", "name", "value", "code", "severity"),
    [
        (0, "sync_binlog", "0", "D404", "warning"),
        (0, "innodb_flush_log_at_trx_commit", "2", "D404", "warning"),
        (0, "binlog_format", "'MIXED'", "D411", "warning"),
        (0, "gtid_mode", "'ON_PERMISSIVE'", "D412", "error"),
        (0, "wait_timeout", "28800", "D418", "note"),
        (1, "super_read_only", "0", "D413", "note"),
        (1, "time_zone", "'+09:00'", "D306", "warning"),
    ],
)
def test_a_setting(fleet: BinlogFleet, node: int, name: str, value: str, code: str, severity: str) -> None:
    """Each is found at its server, and nothing else is."""
    assert fleet.judged(REGIONS, node, name, value) == [(code, severity, f"orders r{node}")]


def writable(fleet: BinlogFleet) -> list[Finding]:
    """Of a kit that starts after the replica was made to take writes."""
    fleet.kit(REGIONS).close()
    fleet.set(1, "super_read_only", "0")
    fleet.set(1, "read_only", "0")
    return examined(kit_over(sql_store(*fleet.urls), REGIONS))


def test_a_replica_that_takes_writes(fleet: BinlogFleet) -> None:
    """It reports to be a primary and is fenced; whether it was promoted cannot be seen, so the fix names both."""
    found = writable(fleet)
    assert [(f.code, f.severity, f.subject) for f in found] == [
        ("D205", "error", "orders r1"),
        ("D413", "error", "orders r1"),
    ]
    assert "If it was promoted" in found[1].fix


def test_a_replica_that_takes_writes_and_replicates(seen: BinlogFleet) -> None:
    """Where its threads are seen, it was not promoted."""
    found = writable(seen)
    assert codes(found) == ["D205", "D413"] and "promoted" not in found[1].fix


def test_two_servers_with_one_id(fleet: BinlogFleet) -> None:
    """They would not replicate from each other; both are named."""
    kit = fleet.kit(REGIONS)
    fleet.set(1, "server_id", str(fleet.nodes[0].sql("SELECT @@server_id")[0][0]))
    assert [(f.code, f.subject) for f in examined(kit)] == [("D414", "orders r0"), ("D414", "orders r1")]


def test_replication_that_was_stopped(seen: BinlogFleet) -> None:
    """Seen by an account that may look (REPLICATION CLIENT)."""
    kit = seen.kit(REGIONS)
    seen.nodes[1].pause_replay()
    seen.undo.append(seen.nodes[1].resume_replay)
    found = examined(kit)
    assert codes(found) == ["D415"] and found[0].what == "the thread that applies does not run."


def change(replica: Any, *settings: str) -> None:
    """Settings that need replication stopped."""
    for statement in ("STOP SLAVE", *settings, "START SLAVE"):
        replica.sql(statement)


@pytest.mark.parametrize(
    ("changed", "undone", "code", "says"),
    [
        ("CHANGE MASTER TO MASTER_DELAY = 30", "CHANGE MASTER TO MASTER_DELAY = 0", "D407", "30 s late"),
        (
            "CHANGE MASTER TO MASTER_AUTO_POSITION = 0",
            "CHANGE MASTER TO MASTER_AUTO_POSITION = 1",
            "D412",
            "file and offset",
        ),
        ("SET GLOBAL slave_parallel_workers = 4", "SET GLOBAL slave_parallel_workers = 0", "D417", "4 workers"),
    ],
)
def test_a_replica_that_applies_otherwise(seen: BinlogFleet, changed: str, undone: str, code: str, says: str) -> None:
    """Late on purpose; by file and offset, so a promotion leaves it without a place; by workers that commit out of order."""
    kit, replica = seen.kit(REGIONS), seen.nodes[1]
    seen.undo.append(lambda: change(replica, undone))
    change(replica, changed)
    [found] = examined(kit)
    assert found.code == code
    assert says in found.what


def test_an_account_that_writes_to_replicas(fleet: BinlogFleet) -> None:
    """CONNECTION_ADMIN: a warning while super_read_only stops it, else an error at the replica."""
    urls = fleet.account("doc_admin", f"ALL ON {fleet.database}.*", "CONNECTION_ADMIN ON *.*")
    found = examined(prepared(kit_over(sql_store(*urls), REGIONS)))
    assert [(f.code, f.severity) for f in found] == [("D504", "warning"), ("D504", "warning")]
    fleet.set(1, "super_read_only", "0")
    found = examined(kit_over(sql_store(*urls), REGIONS))
    assert [(f.severity, f.subject) for f in found if f.code == "D504"] == [
        ("error", "orders r1"),
        ("warning", "orders r0"),
    ]
    fleet.sql(found[0].fix.replace("SUPER, ", ""))
    assert "D504" not in codes(examined(kit_over(sql_store(*urls), REGIONS)))


def test_an_account_that_may_do_everything(fleet: BinlogFleet) -> None:
    """MySQL lists its rights one by one."""
    store = sql_store(*(f"{node.url.rpartition('/')[0]}/{fleet.database}" for node in fleet.nodes))
    assert set(codes(examined(prepared(kit_over(store, REGIONS))))) == {"D501", "D504", "D603"}, (
        "it sees other accounts"
    )


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


def test_an_account_that_cannot_recover_branches(fleet: BinlogFleet) -> None:
    """Only where global transactions keep their table; the GRANT that is named is enough."""
    kit = fleet.kit(REGIONS)
    with kit:
        pass
    fleet.sql("CREATE TABLE doc_rk_tpc_branch (id INT PRIMARY KEY)")
    found = one(examined(fleet.kit(REGIONS)), "D508")
    assert (found.severity, found.subject) == ("error", "orders r0")
    fleet.sql(found.fix, "REVOKE XA_RECOVER_ADMIN ON *.* FROM app@'127.0.0.1'")
    assert examined(fleet.kit(REGIONS)) == []


def test_an_account_for_reads_that_may_write(fleet: BinlogFleet) -> None:
    """`read_url` with the rights of the other."""
    fleet.kit(REGIONS).close()
    store = sql_store(fleet.urls[0], read_url=fleet.urls[0])
    assert codes(examined(kit_over(store, ["r0"]))) == ["D503"]


def test_others_that_write_the_tables(fleet: BinlogFleet) -> None:
    """They are named, where the account may read mysql.*."""
    fleet.kit(REGIONS).close()
    fleet.account("doc_other", f"UPDATE ON {fleet.database}.doc_rk_history")
    url = fleet.account("doc_curious", f"ALL ON {fleet.database}.*", "SELECT ON mysql.*")[0]
    found = one(examined(kit_over(sql_store(url), ["r0"])), "D603")
    assert "doc_other@127.0.0.1" in found.what and "doc_curious" not in found.what


def test_missing_tables(fleet: BinlogFleet) -> None:
    """Nobody called create_tables()."""
    found = examined(kit_over(sql_store(*fleet.urls), REGIONS))
    assert codes(found) == ["D601"] and "history, marker, record" in found[0].what


def test_a_wrong_password(fleet: BinlogFleet) -> None:
    """The server refused the account."""
    found = examined(kit_over(sql_store(fleet.urls[0].replace("app:app@", "app:no@")), ["r0"]))
    assert codes(found) == ["D202"] and "refused the account" in found[0].what


def test_a_clock_that_is_wrong(fleet: BinlogFleet) -> None:
    """This machine's is half a minute behind, as seen by both servers."""

    class Behind:
        monotonic = staticmethod(SYSTEM_CLOCK.monotonic)

        @staticmethod
        def wall() -> float:
            return SYSTEM_CLOCK.wall() - 30.0

    found = examined(fleet.kit(REGIONS, clock=Behind()))
    assert codes(found) == ["D305", "D305"] and "30.0 s ahead" in found[0].what


def test_a_server_of_another_kind(fleet: BinlogFleet, mariadb: Any) -> None:
    """A MariaDB as the replica of a MySQL: it is fenced, and the finding says why."""
    fleet.kit(REGIONS).close()
    url = mariadb.primary.url_for(mariadb.database())
    found = one(examined(kit_over(sql_store(fleet.urls[0], url), REGIONS)), "D205")
    assert found.subject == "orders r1" and "MariaDB" in found.what


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder whose files the account of the server may read: pytest's own are private."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_settings_that_need_a_restart(own_mysql: Any, readable: Path) -> None:
    """No binary log, too few connections for one pool, a certificate of two days; and one that nobody trusts."""
    cert, key = certificate(readable, "IP:127.0.0.1,DNS:localhost")
    key.chmod(0o644)
    settings = ["disable-log-bin", "max-connections=12", f"ssl-cert={cert}", f"ssl-key={key}", "sync-binlog=1"]
    node = own_mysql(0, settings=[*settings, "innodb-flush-log-at-trx-commit=1", "wait-timeout=600"]).primary
    url = node.app_url.replace("127.0.0.1", "localhost")
    found = examined(prepared(kit_over(sql_store(f"{url}?ssl_ca={cert}", tls="require"), ["r0"])))
    assert [(f.code, f.severity) for f in found] == [("D411", "error"), ("D107", "warning"), ("D408", "warning")]
    refused = examined(kit_over(sql_store(url, tls="require"), ["r0"]))
    assert one(refused, "D203").subject == "orders r0"
