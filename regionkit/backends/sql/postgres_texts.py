"""What PostgreSQL's statements leave behind, what puts it back, and what their answers tell of a transaction's end."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["LASTS", "PROVED", "RESTORE", "UNLOCK", "note_end", "several"]

RESTORE = b";CLOSE ALL;SET SESSION AUTHORIZATION DEFAULT;RESET ALL;UNLISTEN *;DISCARD TEMP;DISCARD SEQUENCES"
UNLOCK = b";SELECT pg_advisory_unlock_all()"
"""What a block set ends with these, its settings between them, in the message of its COMMIT, ROLLBACK or PREPARE TRANSACTION,
behind it: DISCARD ALL without the prepared statements, and without that it must stand alone. The server takes some 15 us."""
PROVED = b", (SELECT count(*) FROM pg_prepared_statement() WHERE from_sql)"
"""Goes on with the last one on a branch's connection: what a user's PREPARE left stays, under a name that a later branch may use.
Not 0: it is closed."""
LASTS = re.compile(r"set_config|advisory|\bnextval|\bsetval|\blo_", re.IGNORECASE)
"""In a read, which has no such message: what gives a row and outlives its statement. The connection is closed then."""


TO_SAVEPOINT = re.compile(r"\bTO\b", re.IGNORECASE)
"""ROLLBACK TO has the tag of a ROLLBACK, and ends nothing."""


def note_end(driver: Any, cursor: Any, statement: str) -> None:
    """The tags of the answers say whether a text of the user's ended the transaction, also where it opened another one."""
    raw = getattr(cursor, "_cursor", cursor)
    results = raw._results if several(statement) else [raw.pgresult]
    for result in results:
        tag = b"" if result is None else result.command_status
        if tag == b"COMMIT" or (tag == b"ROLLBACK" and not TO_SAVEPOINT.search(statement)):
            driver.ended_by(tag.decode())


def several(statement: str) -> bool:
    """Whether a text may hold several statements; a semicolon inside of a literal counts too, and costs a round trip."""
    return ";" in statement.rstrip("; \t\r\n")
