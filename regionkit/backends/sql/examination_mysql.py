"""What MySQL and an account of it say of themselves. Sources: MySQL manual, "Replication and Binary Logging Options and
Variables", "SHOW REPLICA STATUS", "Server System Variables".
"""

from __future__ import annotations

import msgspec

from regionkit.backends.sql.asking import Asking
from regionkit.backends.sql.examination_binlog import ask_binlog
from regionkit.contract.examination import Examined

__all__ = ["ask_mysql", "in_new_words"]

SETTINGS = (
    *("server_id", "server_uuid", "log_bin", "log_slave_updates", "log_replica_updates", "binlog_format", "gtid_mode"),
    *("enforce_gtid_consistency", "read_only", "super_read_only", "sync_binlog", "innodb_flush_log_at_trx_commit"),
    *("slave_parallel_workers", "replica_parallel_workers", "slave_preserve_commit_order"),
    *("replica_preserve_commit_order", "rpl_semi_sync_master_enabled", "rpl_semi_sync_source_enabled"),
    *("max_connections", "wait_timeout"),
)


def ask_mysql(asking: Asking) -> Examined:
    """Ask on one account's connection."""
    found = ask_binlog(asking, "mysql", SETTINGS)
    return msgspec.structs.replace(found, settings=in_new_words(dict(found.settings)))


def in_new_words(settings: dict[str, str]) -> dict[str, str]:
    """Every name as 8.4 has it: 8.0.26 renamed `slave` to `replica` and `master` to `source`. Pure."""
    return {name.replace("slave", "replica").replace("master", "source"): value for name, value in settings.items()}
