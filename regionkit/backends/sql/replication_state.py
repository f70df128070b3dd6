"""How replication runs on a replica of MariaDB or MySQL, where the account may see it. Pure but for the question.

MySQL asks for REPLICATION CLIENT, MariaDB for REPLICA MONITOR. MySQL before 8.0.22 and MariaDB before 10.5 say SLAVE and MASTER,
MySQL 8.4 only REPLICA and SOURCE: both statements are tried, and the columns of both are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from regionkit.backends.sql.asking import Asking

__all__ = ["channels", "replicas_of", "replication_settings", "said"]

MOST_ERROR = 300
"""Characters of an error of replication: it may hold a whole statement."""


def channels(asking: Asking) -> list[Mapping[str, Any]]:
    """One row for each channel of replication; [] on a primary, or where the account may not look."""
    return asking.named("SHOW REPLICA STATUS") or asking.named("SHOW SLAVE STATUS")


def replicas_of(asking: Asking) -> list[Mapping[str, Any]]:
    """One row for each replica that is connected; [] where there are none, or where the account may not look."""
    return asking.named("SHOW REPLICAS") or asking.named("SHOW SLAVE HOSTS")


def said(row: Mapping[str, Any], name: str) -> str:
    """A column by its new name or by its old one, in whatever case: "Source_Host" is "Master_Host" on older servers."""
    old = name.replace("Source", "Master").replace("Replica", "Slave")
    for key, value in row.items():
        if key.lower() in (name.lower(), old.lower()):
            return "" if value is None else str(value)
    return ""


def replication_settings(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the rules of the doctor look at, over all channels: the worst of them."""
    if not rows:
        return {}
    errors = [(said(row, "Last_SQL_Error") or said(row, "Last_IO_Error"))[:MOST_ERROR] for row in rows]
    return {
        "receives": _worst(said(row, "Replica_IO_Running") for row in rows),
        "applies": _worst(said(row, "Replica_SQL_Running") for row in rows),
        "replication_error": next(filter(None, errors), ""),
        "delay": str(max(int(said(row, "SQL_Delay") or 0) for row in rows)),
        "uses_gtid": _worst(_by_gtid(row) for row in rows),
    }


def _by_gtid(row: Mapping[str, Any]) -> str:
    """MariaDB: "Slave_Pos", "Current_Pos" or "No". MySQL: whether it places itself (Auto_Position)."""
    return said(row, "Using_Gtid") or ("No" if said(row, "Auto_Position") == "0" else "Yes")


def _worst(words: Iterable[str]) -> str:
    found = list(words)
    return next((word for word in found if word.lower() == "no"), found[0])
