"""All or none over several databases: two-phase commit with a durable decision log and recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.transactions.logs.file import FileDecisionLog
    from regionkit.transactions.logs.file_async import AsyncFileDecisionLog
    from regionkit.transactions.logs.memory import MemoryDecisionLog
    from regionkit.transactions.logs.memory_async import AsyncMemoryDecisionLog
    from regionkit.transactions.logs.sql import SqlDecisionLog
    from regionkit.transactions.logs.sql_async import AsyncSqlDecisionLog
    from regionkit.transactions.manager import TransactionManager
    from regionkit.transactions.manager_async import AsyncTransactionManager
    from regionkit.transactions.participants.files import FilesParticipant
    from regionkit.transactions.participants.files_async import AsyncFilesParticipant
    from regionkit.transactions.participants.mariadb import MariaParticipant
    from regionkit.transactions.participants.mariadb_async import AsyncMariaParticipant
    from regionkit.transactions.participants.memory import MemoryParticipant
    from regionkit.transactions.participants.memory_async import AsyncMemoryParticipant
    from regionkit.transactions.participants.mysql import MysqlParticipant
    from regionkit.transactions.participants.mysql_async import AsyncMysqlParticipant
    from regionkit.transactions.participants.postgres import PostgresParticipant
    from regionkit.transactions.participants.postgres_async import AsyncPostgresParticipant
    from regionkit.transactions.participants.sqlite import SqliteParticipant
    from regionkit.transactions.participants.sqlite_async import AsyncSqliteParticipant
    from regionkit.transactions.protocol import Outcome
    from regionkit.transactions.transaction import Transaction
    from regionkit.transactions.transaction_async import AsyncTransaction

__all__ = [
    "AsyncFileDecisionLog",
    "AsyncFilesParticipant",
    "AsyncMariaParticipant",
    "AsyncMemoryDecisionLog",
    "AsyncMemoryParticipant",
    "AsyncMysqlParticipant",
    "AsyncPostgresParticipant",
    "AsyncSqlDecisionLog",
    "AsyncSqliteParticipant",
    "AsyncTransaction",
    "AsyncTransactionManager",
    "FileDecisionLog",
    "FilesParticipant",
    "MariaParticipant",
    "MemoryDecisionLog",
    "MemoryParticipant",
    "MysqlParticipant",
    "Outcome",
    "PostgresParticipant",
    "SqlDecisionLog",
    "SqliteParticipant",
    "Transaction",
    "TransactionManager",
]

_PAIRS = {
    "FileDecisionLog": "logs.file",
    "FilesParticipant": "participants.files",
    "MariaParticipant": "participants.mariadb",
    "MemoryDecisionLog": "logs.memory",
    "MemoryParticipant": "participants.memory",
    "MysqlParticipant": "participants.mysql",
    "PostgresParticipant": "participants.postgres",
    "SqlDecisionLog": "logs.sql",
    "SqliteParticipant": "participants.sqlite",
    "Transaction": "transaction",
    "TransactionManager": "manager",
}
"""Names that come in two worlds, and where the sync one is."""

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Outcome": "protocol",
        **_PAIRS,
        **{f"Async{name}": f"{module}_async" for name, module in _PAIRS.items()},
    },
)
