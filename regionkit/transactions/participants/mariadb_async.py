"""MariaDB as a participant: see xa_sql_async.py; what is its own stands in mariadb_words.py."""

from __future__ import annotations

from regionkit.transactions.participants.xa_sql_async import AsyncXaParticipant

__all__ = ["AsyncMariaParticipant"]


class AsyncMariaParticipant(AsyncXaParticipant):
    """One database of MariaDB; a MySQL that answers in its place is served as MySQL. See `AsyncXaParticipant`."""

    kind = "mariadb"
