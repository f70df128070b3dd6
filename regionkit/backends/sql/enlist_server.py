"""What the server thinks of a transaction that was joined: is it still the one, and can its COMMIT do anything?

Statements are watched on the one Connection. Most drivers know from the last answer whether a transaction is open: looking
at that costs no round trip. Only after a statement that failed MariaDB (and a PostgreSQL driver that does not tell) is asked.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator
from typing import Any, Literal

import sqlalchemy

from regionkit.backends.sql.classify import code_of
from regionkit.backends.sql.driver import as_driver

__all__ = ["INERT", "Watch", "commits_by_itself"]

State = Literal["open", "none", "failed", ""]

_BLANK = r"^(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*+\*/|;|\()*+"  # each way to skip is the only one: no backtracking
_ENDS = re.compile(
    _BLANK + r"(COMMIT\b|END\b|ABORT\b|ROLLBACK\b(?!\s+(WORK\s+|TRANSACTION\s+)?TO\b)|PREPARE\s+TRANSACTION\b)",
    re.I | re.S,
)
_BLANK_MARIADB = _BLANK.replace(r"|;|", r"|\#[^\n]*\n|;|")
_ENDS_MARIADB = re.compile(
    _BLANK_MARIADB + r"(COMMIT\b|ROLLBACK\b(?!\s+(WORK\s+)?TO\b)|BEGIN\s*(WORK\s*)?;?\s*$|START\s+TRANSACTION\b|XA\s"
    r"|(CREATE|DROP)\b(?!\s+(OR\s+REPLACE\s+)?TEMPORARY)|ALTER\b|TRUNCATE\b|RENAME\b|GRANT\b|REVOKE\b|LOCK\s+TABLES?\b"
    r"|(ANALYZE|OPTIMIZE|REPAIR|CHECK)\s+((LOCAL|NO_WRITE_TO_BINLOG)\s+)?TABLES?\b|FLUSH\b"
    r"|SET\s+(SESSION\s+|@@(SESSION\.)?)?AUTOCOMMIT\s*=\s*(1|ON)\b)",
    re.I | re.S,
)
"""Statements that end the transaction, also where the next one is open at once, or the driver does not tell."""
_WRITES = re.compile(_BLANK + r"(INSERT|UPDATE|DELETE|REPLACE|LOAD)\b", re.I | re.S)
"""Statements after which a transaction is open, where the driver does not tell."""
INERT = re.compile(
    r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"|`[^`]*`|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/", re.S
)
"""What holds no statement: quoted texts and comments."""
_PG8000 = {b"I": "none", b"T": "open", b"E": "failed"}
_LIBPQ = {0: "none", 1: "open", 2: "open", 3: "failed"}  # what is left is a lost connection
_SERVER_STATUS_IN_TRANS = 1
DEADLOCK = 1213
"""ER_LOCK_DEADLOCK: MySQL and MariaDB have rolled back the whole transaction."""


def _said(driver: Any) -> State:
    """What the last answer of the server said of a transaction; "" where the driver does not keep it."""
    state: Any = ""
    if isinstance(getattr(driver, "in_transaction", None), bool):  # sqlite3
        state = "open" if driver.in_transaction else "none"
    elif isinstance(getattr(driver, "server_status", None), int):  # pymysql, aiomysql
        state = "open" if driver.server_status & _SERVER_STATUS_IN_TRANS else "none"
    elif hasattr(driver, "info") and hasattr(driver.info, "transaction_status"):  # psycopg, psycopg2
        state = _LIBPQ.get(int(driver.info.transaction_status), "")
    elif isinstance(getattr(driver, "_transaction_status", None), bytes):  # pg8000
        state = _PG8000.get(driver._transaction_status, "")
    elif callable(getattr(driver, "is_in_transaction", None)):  # asyncpg, which does not tell open from failed
        state = "open" if driver.is_in_transaction() else "none"
    return state  # type: ignore[no-any-return]


def commits_by_itself(connection: sqlalchemy.Connection) -> bool:
    """Whether each statement commits by itself, by SQLAlchemy's doing or by the driver's."""
    if connection._is_autocommit_isolation():
        return True
    under = connection.connection.dbapi_connection
    try:
        automatic = connection.dialect.detect_autocommit_setting(under)  # type: ignore[arg-type]  # it is there
    except (AttributeError, NotImplementedError):  # not every dialect can tell
        return False
    return automatic and _said(as_driver(under)) not in ("open", "failed")  # SQLite's BEGIN may be somebody's own


class Watch:
    """One transaction, as its server sees it. It holds on to no Connection.

    Attributes:
        ended: it ended past SQLAlchemy: by a statement, by the driver's own commit, or by the server.
        paused: what is sent ends it on purpose.
    """

    __slots__ = ("_doubt", "_failed", "_seen", "_undone", "ended", "paused")

    def __init__(self) -> None:
        self.ended = self.paused = False
        self._seen = False  # the server said that a transaction is open: if it says "none" later, that one ended
        self._failed = self._doubt = self._undone = False

    def start(self, connection: Any) -> None:
        """The transaction is joined: what was done in it before is not known."""
        self.look(connection)
        if _mariadb(connection) and not _said(_driver(connection)):
            self._seen = _asked(connection) != "none"

    def install(self, connection: sqlalchemy.Connection) -> None:
        """See each statement. A listener would do the same, and cost a hundred times as much to put there and take away."""
        known = weakref.ref(connection)

        def execute_context(dialect: Any, constructor: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
            seen: Any = known()
            run = type(seen)._execute_context
            if self.paused:
                return run(seen, dialect, constructor, statement, *args, **kwargs)
            self.look(seen)
            try:
                result = run(seen, dialect, constructor, statement, *args, **kwargs)
            except sqlalchemy.exc.IntegrityError:  # undoes its own statement only, on MariaDB
                self._doubt = True
                raise
            except BaseException as error:
                self._doubt = self._failed = True
                self._undone |= code_of(error) == DEADLOCK
                raise
            self._answered(seen, str(statement))
            return result

        connection.__dict__["_execute_context"] = execute_context

    @staticmethod
    def remove(connection: sqlalchemy.Connection) -> None:
        """Statements are the class's own again."""
        connection.__dict__.pop("_execute_context", None)

    def _answered(self, connection: Any, statement: str) -> None:
        ends = _ENDS_MARIADB if _mariadb(connection) else _ENDS
        silent = not _said(_driver(connection))
        if (self._seen or silent) and any(ends.match(part) for part in _statements(statement)):
            self.ended = True
        self._seen |= silent and _WRITES.match(statement) is not None
        self.look(connection)

    def look(self, connection: Any, *, ask: bool = True) -> bool:
        """Whether the transaction is still the one that was joined. `ask`: MariaDB, where a statement failed."""
        if connection.invalidated or connection.closed:
            return not self.ended
        state = _said(_driver(connection))
        if ask and self._failed:
            self._failed = False
            if _mariadb(connection):
                state = _asked(connection) or ("none" if self._undone else "")  # MySQL has no question for it
        self.ended |= state == "none" and self._seen
        self._seen |= state in ("open", "failed")
        return not self.ended

    def aborted(self, connection: Any) -> bool:
        """Whether COMMIT would do nothing: PostgreSQL's answer to an error that was swallowed."""
        if connection.invalidated or connection.closed:
            return False
        self.look(connection)
        state = _said(_driver(connection))
        if self._doubt and state != "failed" and connection.dialect.name == "postgresql":
            state = _asked(connection)
        return state == "failed"


def _statements(text: str) -> Iterator[str]:
    """The statements of a text; of several, without what is quoted and commented."""
    if text.partition(";")[2].strip():
        yield from INERT.sub(" ", text).split(";")
    else:
        yield text


def _asked(connection: Any) -> State:
    """The same, of an answer to a question: an error's says nothing of the transaction on MariaDB."""
    proxied = connection.connection
    by_status = bool(_said(as_driver(proxied))) or not getattr(connection.dialect, "is_mariadb", False)
    # PyMySQL reads the status of OK packets only: of a SELECT's it does not
    question = "SELECT @@in_transaction" if not by_status else "DO 0" if _mariadb(connection) else "SELECT 1"
    cursor = proxied.cursor()
    try:
        cursor.execute(question)
        rows: Any = cursor.fetchall() if cursor.description else ()
    except Exception:  # aborted, or lost: its COMMIT cannot do anything
        return "failed"
    finally:
        cursor.close()
    return _said(as_driver(proxied)) if by_status else ("open" if rows[0][0] else "none")


def _mariadb(connection: Any) -> bool:
    return connection.dialect.name in ("mysql", "mariadb")


def _driver(connection: Any) -> Any:
    return as_driver(connection.connection)
