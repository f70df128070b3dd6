# Generated from mariadb_async.py by scripts/twins.py. Do not edit.
"""MariaDB as a participant: see xa_sql_async.py; what is its own stands in mariadb_words.py."""

from __future__ import annotations

from regionkit.transactions.participants.xa_sql import XaParticipant

__all__ = ["MariaParticipant"]


class MariaParticipant(XaParticipant):
    """One database of MariaDB; a MySQL that answers in its place is served as MySQL. See `XaParticipant`."""

    kind = "mariadb"
