"""How replicas of MariaDB and MySQL tell of their replication, in old words and in new ones, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit.backends.sql.examination_mysql import in_new_words
from regionkit.backends.sql.replication_state import replication_settings, said

NEW = {
    "Source_Host": "h", "Source_Port": 3306, "Replica_IO_Running": "Yes", "Replica_SQL_Running": "Yes", "Last_IO_Error": "",
    "Last_SQL_Error": "", "SQL_Delay": 0, "Auto_Position": 1,
}  # fmt: skip
OLD = {name.replace("Source", "Master").replace("Replica", "Slave"): value for name, value in NEW.items()}
MARIADB = {name: value for name, value in OLD.items() if name != "Auto_Position"} | {"Using_Gtid": "Slave_Pos"}


@pytest.mark.parametrize("row", [NEW, OLD, MARIADB])
def test_a_healthy_channel(row: dict[str, Any]) -> None:
    """The same from each version; MariaDB says how it uses GTIDs."""
    told = replication_settings([row])
    assert told["uses_gtid"] in ("Yes", "Slave_Pos")
    assert told | {"uses_gtid": ""} == {
        "receives": "Yes", "applies": "Yes", "replication_error": "", "delay": "0", "uses_gtid": "",
    }  # fmt: skip
    assert (said(row, "Source_Host"), said(row, "Source_Port")) == ("h", "3306")


def test_the_worst_of_several_channels() -> None:
    """One that is stopped, one that is late, one that follows by offset."""
    rows = [
        NEW,
        NEW | {"Replica_SQL_Running": "No", "Last_SQL_Error": "e" * 1000},
        NEW | {"SQL_Delay": 5, "Auto_Position": 0},
    ]
    told = replication_settings(rows)
    assert (told["receives"], told["applies"], told["delay"], told["uses_gtid"]) == ("Yes", "No", "5", "No")
    assert 0 < len(told["replication_error"]) <= 300
    assert replication_settings([]) == {}


def test_names_of_settings() -> None:
    """Those of 8.4, whatever the version."""
    old = {"slave_parallel_workers": "4", "rpl_semi_sync_master_enabled": "ON", "log_slave_updates": "ON"}
    assert in_new_words(old) == {
        "replica_parallel_workers": "4", "rpl_semi_sync_source_enabled": "ON", "log_replica_updates": "ON",
    }  # fmt: skip
