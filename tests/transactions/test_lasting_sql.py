"""What a server says of itself, and whether a log may stand there."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit.transactions.logs.lasting_sql import standing

GOOD = {
    "innodb_flush_log_at_trx_commit": "1",
    "innodb_flush_method": "O_DIRECT",
    "log_bin": "ON",
    "sync_binlog": "1",
    "server_id": "7",
    "Slaves_connected": "0",
}
SEMI = {
    "Slaves_connected": "1",
    "rpl_semi_sync_master_enabled": "ON",
    "Rpl_semi_sync_master_status": "ON",
    "rpl_semi_sync_master_wait_point": "AFTER_SYNC",
    "rpl_semi_sync_master_timeout": "3600000",
}


@pytest.mark.parametrize(
    ("row", "copies", "risks"),
    [
        (("on", "on", "", "00000001", 0, "public"), 0, []),
        (("off", "on", "", "00000001", 0, "public"), 0, ["fsync"]),
        (("on", "off", "", "00000001", 0, "public"), 0, ["full_page_writes"]),
        (("on", "on", "", "00000001", 1, "public"), 0, ["asynchronous"]),
        (("on", "on", "", "00000001", 0, "public"), 2, ["asynchronous"]),
        (("on", "on", "ANY 1 (*)", "00000001", 2, "public"), 2, []),
    ],
)
def test_postgresql(row: Any, copies: int, risks: list[str]) -> None:
    """Flushing, whole pages, and replicas that nobody waits for."""
    found = standing("postgresql", [[row]], copies)
    assert [word for word in risks if not any(word in risk.what for risk in found.risks)] == []
    assert (len(found.risks), found.here, found.schema) == (len(risks), "00000001", "public")


@pytest.mark.parametrize(
    ("changed", "copies", "risks"),
    [
        ({}, 0, 0),
        ({"innodb_flush_log_at_trx_commit": "2"}, 0, 1),
        ({"innodb_flush_method": "nosync"}, 0, 1),
        ({"sync_binlog": "0"}, 0, 1),
        ({"sync_binlog": "0", "log_bin": "OFF"}, 0, 0),
        ({"Slaves_connected": "1"}, 0, 1),
        ({}, 1, 1),
        (SEMI, 1, 0),
        ({**SEMI, "rpl_semi_sync_master_timeout": "10000"}, 0, 1),
        ({**SEMI, "rpl_semi_sync_master_wait_no_slave": "OFF"}, 0, 1),
        ({**SEMI, "rpl_semi_sync_master_wait_point": "AFTER_COMMIT"}, 0, 1),
        ({**SEMI, "Rpl_semi_sync_master_status": "OFF"}, 0, 1),
    ],
)
def test_mariadb(changed: dict[str, str], copies: int, risks: int) -> None:
    """Flushing, the binary log, and replicas that nobody waits for, or not for long."""
    found = standing("mariadb", [list({**GOOD, **changed}.items())], copies)
    assert (len(found.risks), found.here) == (risks, "7")


@pytest.mark.parametrize("prefix", ["rpl_semi_sync_master", "rpl_semi_sync_source"])
@pytest.mark.parametrize(
    ("changed", "copies", "risks"),
    [
        ({"seen": "1"}, 0, []),
        ({}, 0, ["cannot see"]),
        ({"log_bin": "OFF"}, 0, []),
        ({"seen": "1", "slaves_connected": "1"}, 0, ["asynchronous"]),
        ({"seen": "1"}, 1, ["asynchronous"]),
        ({"innodb_flush_log_at_trx_commit": "2"}, 0, ["flush its commits", "cannot see"]),
        ({"sync_binlog": "0", "seen": "1"}, 0, ["binary log"]),
        ({"*": "ON"}, 1, []),
        ({"*": "ON", "*_wait_no_slave": "OFF"}, 0, ["cannot see"]),
        ({"*": "ON", "*_wait_no_replica": "OFF", "slaves_connected": "1"}, 0, ["asynchronous"]),
        ({"*": "ON", "*_timeout": "10000", "seen": "1"}, 1, ["asynchronous"]),
        ({"*": "ON", "*_wait_point": "AFTER_COMMIT", "seen": "1"}, 1, ["asynchronous"]),
    ],
)
def test_mysql(changed: dict[str, str], copies: int, risks: list[str], prefix: str) -> None:
    """Flushing, and replicas that nobody waits for, or that the account may not see; by the old names and the new ones."""
    semi = {"*_enabled": "ON", "*_status": "ON", "*_wait_point": "AFTER_SYNC", "*_timeout": "3600000"}
    waits = semi if "*" in changed else {}
    told = {name: value for name, value in GOOD.items() if name != "Slaves_connected"} | waits | changed
    found = standing("mysql", [[(name.replace("*", prefix), value) for name, value in told.items()]], copies)
    assert len(found.risks) == len(risks)
    assert all(word in risk.what for word, risk in zip(risks, found.risks, strict=True))


@pytest.mark.parametrize(("synchronous", "copies", "risks"), [(2, 0, 0), (3, 0, 0), (1, 0, 1), (0, 0, 1), (2, 1, 1)])
def test_sqlite(synchronous: int, copies: int, risks: int) -> None:
    """Flushing, and copies in other regions."""
    assert len(standing("sqlite", [[(synchronous,)]], copies).risks) == risks
