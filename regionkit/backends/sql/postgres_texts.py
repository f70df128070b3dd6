"""What PostgreSQL's statements leave behind, what puts it back, and what their answers tell of a transaction's end."""

from __future__ import annotations

import functools
import re
from typing import Any

from regionkit.backends.sql.enlist_server import INERT
from regionkit.contract.message import Answer

__all__ = [
    "ABORTED",
    "BEGINNINGS",
    "COMMIT",
    "SEPARATOR",
    "SWALLOWED",
    "TO_SAVEPOINT",
    "ends",
    "holds_several",
    "lasts",
    "note_end",
    "plain_answer",
    "restoring",
    "several",
]

COMMIT = (
    b"SELECT current_setting('synchronous_commit');COMMIT;"
    b"SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn, pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
)
"""COMMIT, and its position, in one round trip."""
SWALLOWED = "PostgreSQL answers COMMIT with ROLLBACK then."
ABORTED = "25P02"
"""in_failed_sql_transaction."""
SEPARATOR = "\n;\n"
"""Between statements of a message: a comment at the end of one must not swallow it."""
BEGINNINGS = ("BEGIN", "START")
COUNTED = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
MOST_TAGS = 256
"""Remembered: those of BEGIN, SET, COMMIT and of a few counts come again and again."""

RESTORE = b";CLOSE ALL;SET SESSION AUTHORIZATION DEFAULT;RESET ALL;UNLISTEN *;DISCARD TEMP;DISCARD SEQUENCES"
UNLOCK = b";SELECT pg_advisory_unlock_all()"
"""What a block set ends with these, in the message of its COMMIT, ROLLBACK or PREPARE TRANSACTION, behind it: DISCARD ALL
without the prepared statements, and without that it must stand alone. The server takes some 15 us."""
PROVED = b", (SELECT count(*) FROM pg_prepared_statement() WHERE from_sql)"
"""Ends the last one on a branch's connection: what a user's PREPARE left stays, under a name that a later branch may use.
Not 0: it is closed."""
LASTS = re.compile(r"set_config|advisory|\bnextval|\bsetval|\blo_", re.IGNORECASE)
"""In a read, which has no such message: what gives a row and outlives its statement. The connection is closed then."""


LONGEST_KNOWN, MOST_KNOWN = 2000, 512
"""Statements of a read that are remembered: characters of each, and how many."""


def lasts(statement: str) -> bool:
    """Whether a read's statement may leave something behind, though it gives rows."""
    return _lasts(statement) if len(statement) <= LONGEST_KNOWN else LASTS.search(statement) is not None


@functools.lru_cache(MOST_KNOWN)
def _lasts(statement: str) -> bool:
    return LASTS.search(statement) is not None


TO_SAVEPOINT = re.compile(r"\bTO\b", re.IGNORECASE)
"""ROLLBACK TO has the tag of a ROLLBACK, and ends nothing."""


def note_end(driver: Any, cursor: Any, statement: str) -> None:
    """The tags of the answers say whether a text of the user's ended the transaction, also where it opened another one."""
    results = cursor._results if several(statement) else [cursor.pgresult]
    for result in results:
        tag = b"" if result is None else result.command_status
        if tag == b"COMMIT" or (tag == b"ROLLBACK" and not TO_SAVEPOINT.search(statement)):
            driver.ended_by(tag.decode())


def several(statement: str) -> bool:
    """Whether a text may hold several statements; a semicolon inside of a literal counts too, and costs a round trip."""
    return ";" in statement.rstrip("; \t\r\n")


def holds_several(statement: str) -> bool:
    """Whether a text holds several statements: a semicolon inside of a literal or a comment does not count."""
    return several(statement) and several(INERT.sub("''", statement))


def ends(last: str) -> bool:
    """Whether what a block set is put back behind a message's last statement. COMMIT PREPARED stands alone in its message."""
    return last == "COMMIT" or last.startswith("PREPARE TRANSACTION ")


@functools.lru_cache(maxsize=MOST_TAGS)
def restoring(settings: tuple[tuple[str, str], ...], *, branch: bool) -> bytes:
    """Statements that put back what a block may have set, behind a semicolon; `settings`: what the session began with.

    Each statement has an answer to be read: the settings are set in the last one, and do not need one each.
    """
    began = "".join(f",set_config('{name}','{value}',false)" for name, value in settings)
    return RESTORE + UNLOCK + began.encode() + (PROVED if branch else b"")


@functools.lru_cache(maxsize=MOST_TAGS)
def plain_answer(tag: str) -> Answer:
    """Of a command that gives no rows: its tag without its counts, and how many rows it counts."""
    words = tag.split()
    counts = bool(words) and words[0] in COUNTED and words[-1].isdigit()
    return Answer(" ".join(word for word in words if not word.isdigit()), count=int(words[-1]) if counts else -1)
