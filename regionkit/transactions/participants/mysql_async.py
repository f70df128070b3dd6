"""MySQL 8 as a participant: see xa_sql_async.py; what is its own stands in mysql_words.py."""

from __future__ import annotations

from regionkit.transactions.participants.xa_sql_async import AsyncXaParticipant

__all__ = ["AsyncMysqlParticipant"]


class AsyncMysqlParticipant(AsyncXaParticipant):
    """One database of MySQL; a MariaDB that answers in its place is served as MariaDB. See `AsyncXaParticipant`."""

    kind = "mysql"
