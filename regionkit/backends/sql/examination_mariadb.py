"""What MariaDB and an account of it say of themselves. Sources: MariaDB documentation, "Replication and Binary Log System
Variables", "SHOW REPLICA STATUS".
"""

from __future__ import annotations

from regionkit.backends.sql.asking import Asking
from regionkit.backends.sql.examination_binlog import ask_binlog
from regionkit.contract.examination import Examined

__all__ = ["ask_mariadb"]

SETTINGS = (
    *("server_id", "log_bin", "log_slave_updates", "binlog_format", "gtid_strict_mode", "read_only", "sync_binlog"),
    *("innodb_flush_log_at_trx_commit", "rpl_semi_sync_master_enabled", "max_connections"),
)


def ask_mariadb(asking: Asking) -> Examined:
    """Ask on one account's connection."""
    return ask_binlog(asking, "mariadb", SETTINGS)
