"""MySQL 8: statements and questions that differ from those for MariaDB. Its sets of transactions are read in gtid_sets.py.

max_execution_time ends SELECTs only, in milliseconds; the server has no limit for other statements, and none for a
transaction that is idle. Both end with their connection, which is closed at the deadline.
"""

from __future__ import annotations

from regionkit.backends.sql.capabilities import MYSQL
from regionkit.backends.sql.observation import mysql_brief_questions, mysql_observation, mysql_questions
from regionkit.backends.sql.server_words import ServerWords, lock_limits

__all__ = ["MYSQL_WORDS"]

MYSQL_WORDS = ServerWords(
    MYSQL,
    "@@session.session_track_gtids='OWN_GTID'",
    "@@session.transaction_read_only=1",
    lambda seconds: [f"@@session.max_execution_time={int(seconds * 1000) + 1}", *lock_limits(seconds)],
    mysql_questions,
    mysql_brief_questions,
    mysql_observation,
)
