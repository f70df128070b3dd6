"""MariaDB: statements and questions that differ from those for MySQL."""

from __future__ import annotations

from regionkit.backends.sql.capabilities import MARIADB
from regionkit.backends.sql.observation import maria_observation, maria_questions
from regionkit.backends.sql.server_words import ServerWords, lock_limits

__all__ = ["MARIADB_WORDS"]

MARIADB_WORDS = ServerWords(
    MARIADB,
    "@@session.session_track_system_variables='last_gtid'",
    "@@session.tx_read_only=1",
    lambda seconds: [
        f"@@session.max_statement_time={seconds:.3f}",
        f"@@session.idle_transaction_timeout={int(seconds) + 1}",
        *lock_limits(seconds),
    ],
    maria_questions,
    None,
    maria_observation,
)
