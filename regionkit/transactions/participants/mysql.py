# Generated from mysql_async.py by scripts/twins.py. Do not edit.
"""MySQL 8 as a participant: see xa_sql_async.py; what is its own stands in mysql_words.py."""

from __future__ import annotations

from regionkit.transactions.participants.xa_sql import XaParticipant

__all__ = ["MysqlParticipant"]


class MysqlParticipant(XaParticipant):
    """One database of MySQL; a MariaDB that answers in its place is served as MariaDB. See `XaParticipant`."""

    kind = "mysql"
