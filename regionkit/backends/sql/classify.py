"""What a SQL error says, by table. Connection errors speak of the endpoint; application errors never do.

Sources: PostgreSQL manual appendix A; MariaDB and MySQL error references; SQLite result codes.
"""

from __future__ import annotations

import ssl
from typing import Any

from regionkit.backends.sql.driver import DeadlinePassed, Undone
from regionkit.contract.interrupted import is_drivers
from regionkit.contract.outcomes import Failure, Refused
from regionkit.errors import DeadlineExceeded, RegionUnavailable, TransactionRolledBack

__all__ = ["classify", "code_of", "is_unknown_at_commit", "missing_table", "refused"]

POSTGRES: dict[str, Failure] = {
    "25006": Failure.READ_ONLY,  # read_only_sql_transaction: on a write connection a change of role
    "40001": Failure.ROLLED_BACK,  # serialization_failure
    "40P01": Failure.ROLLED_BACK,  # deadlock_detected
    "57P01": Failure.CONNECTION,  # admin_shutdown
    "57P02": Failure.CONNECTION,  # crash_shutdown
    "57P03": Failure.CONNECTION,  # cannot_connect_now
    "57P05": Failure.CONNECTION,  # idle_session_timeout
    "25P03": Failure.CANCELLED,  # idle_in_transaction_session_timeout: ours outlasts the deadline
    "25P04": Failure.CANCELLED,  # transaction_timeout
    "57014": Failure.CANCELLED,  # query_canceled: a statement_timeout (ours outlasts the deadline), or pg_cancel_backend
    "53300": Failure.CONNECTION,  # too_many_connections
}
MYSQL: dict[int, Failure] = {
    1153: Failure.APPLICATION,  # ER_NET_PACKET_TOO_LARGE: the statement is too large, though the server closes then
    1792: Failure.READ_ONLY,  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    1290: Failure.ROLE,  # ER_OPTION_PREVENTS_STATEMENT: --read-only
    1836: Failure.ROLE,  # ER_READ_ONLY_MODE
    3100: Failure.ROLLED_BACK,  # MySQL: ER_RUN_HOOK_ERROR, a plugin refused a COMMIT
    3101: Failure.ROLLED_BACK,  # MySQL: ER_TRANSACTION_ROLLBACK_DURING_COMMIT, a conflict within a group
    1213: Failure.ROLLED_BACK,  # ER_LOCK_DEADLOCK: the whole transaction
    1020: Failure.ROLLED_BACK,  # ER_CHECKREAD under snapshot isolation
    1969: Failure.CANCELLED,  # ER_STATEMENT_TIMEOUT: a max_statement_time; ours outlasts the deadline
    3024: Failure.CANCELLED,  # MySQL: max_execution_time
    1317: Failure.CANCELLED,  # ER_QUERY_INTERRUPTED: KILL QUERY
    1053: Failure.CONNECTION,  # ER_SERVER_SHUTDOWN
    1040: Failure.CONNECTION,  # ER_CON_COUNT_ERROR
    1927: Failure.CONNECTION,  # ER_CONNECTION_KILLED
    3032: Failure.CONNECTION,  # MySQL: ER_SERVER_OFFLINE_MODE
    4031: Failure.CONNECTION,  # MySQL: ER_CLIENT_INTERACTION_TIMEOUT, its farewell after wait_timeout
    2002: Failure.CONNECTION,
    2003: Failure.CONNECTION,
    2006: Failure.CONNECTION,
    2013: Failure.CONNECTION,
    2014: Failure.CONNECTION,
    2055: Failure.CONNECTION,
}
SQLITE: dict[str, Failure] = {
    "SQLITE_READONLY": Failure.READ_ONLY,
    "SQLITE_BUSY": Failure.DEADLINE,  # we wait for locks until the deadline
    "SQLITE_BUSY_SNAPSHOT": Failure.ROLLED_BACK,
    "SQLITE_LOCKED": Failure.DEADLINE,
    "SQLITE_INTERRUPT": Failure.CANCELLED,  # by us at the deadline; before that by the application
    "SQLITE_CANTOPEN": Failure.CONNECTION,
    "SQLITE_IOERR": Failure.CONNECTION,
    "SQLITE_NOTADB": Failure.CONNECTION,
    "SQLITE_CORRUPT": Failure.CONNECTION,
}
REFUSED: dict[int | str, Refused] = {
    1045: Refused.ACCOUNT,  # ER_ACCESS_DENIED_ERROR; also of an account that may come with TLS only
    1698: Refused.ACCOUNT,  # ER_ACCESS_DENIED_NO_PASSWORD_ERROR
    1130: Refused.ACCOUNT,  # ER_HOST_NOT_PRIVILEGED
    4151: Refused.ACCOUNT,  # ER_ACCOUNT_HAS_BEEN_LOCKED
    3118: Refused.ACCOUNT,  # the same of MySQL
    1862: Refused.ACCOUNT,  # MySQL: ER_MUST_CHANGE_PASSWORD_LOGIN
    1820: Refused.ACCOUNT,  # ER_MUST_CHANGE_PASSWORD
    3159: Refused.NO_TLS,  # MySQL: ER_SECURE_TRANSPORT_REQUIRED
    1044: Refused.DATABASE,  # ER_DBACCESS_DENIED_ERROR
    1049: Refused.DATABASE,  # ER_BAD_DB_ERROR
    2026: Refused.TLS,  # CR_SSL_CONNECTION_ERROR
    2007: Refused.KIND,  # CR_VERSION_ERROR
    2012: Refused.KIND,  # CR_SERVER_HANDSHAKE_ERR
    2027: Refused.KIND,  # CR_MALFORMED_PACKET
    "SQLITE_NOTADB": Refused.KIND,
}
WORDS: tuple[tuple[str, Refused], ...] = (
    ("no encryption", Refused.NO_TLS),
    ("pg_hba.conf", Refused.ACCOUNT),
    ("authentication failed", Refused.ACCOUNT),
    ("no password supplied", Refused.ACCOUNT),
    ("is not permitted to log in", Refused.ACCOUNT),
    ('role "', Refused.ACCOUNT),
    ('database "', Refused.DATABASE),
    ("expected authentication request", Refused.KIND),
    ("invalid response to SSL negotiation", Refused.KIND),
    ("the database system is", Refused.STARTING),
    ("certificate", Refused.TLS),
    ("SSL", Refused.TLS),
    ("FATAL:", Refused.OTHER),  # a server that speaks another language than English says this word too
)
"""Of what libpq reports of a connection that was not made, which has no state: the first words that occur decide."""


NO_TABLE = ("42P01", 1146)
"""Codes of a table that is not there: undefined_table, ER_NO_SUCH_TABLE."""


def refused(error: BaseException) -> Refused | None:
    """Why a server that answered would not be connected to; None when it was lost, or never reached."""
    driver: Any = getattr(error, "orig", None) or error
    code = driver.args[0] if getattr(driver, "args", ()) else None
    if isinstance(code, int):
        return Refused.TLS if isinstance(driver.__context__, ssl.SSLError) else REFUSED.get(code)
    if type(driver).__module__.partition(".")[0] == "psycopg":
        said = str(driver).rpartition(" failed: ")[2]  # without the address, whose names are anybody's
        return next((cause for words, cause in WORDS if words in said), None)
    return REFUSED.get(getattr(driver, "sqlite_errorname", ""))


def classify(error: BaseException) -> Failure:
    """What an error that left a block, or a probe, says of the endpoint."""
    if isinstance(error, DeadlineExceeded):
        return Failure.DEADLINE
    if isinstance(error, TransactionRolledBack):
        return Failure.ROLLED_BACK
    if isinstance(error, RegionUnavailable):
        return Failure.CONNECTION
    driver: Any = getattr(error, "orig", None) or error
    if isinstance(driver, DeadlinePassed):
        return Failure.DEADLINE
    below = driver.__cause__ or getattr(driver, "original_exception", None)  # PyMySQL's, of an error while connecting
    if isinstance(below, DeadlineExceeded):
        return Failure.DEADLINE
    if isinstance(driver, Undone):
        return Failure.ROLLED_BACK
    if _is_refused_unsent(error, driver):
        return Failure.APPLICATION
    found = _by_code(driver)
    if found is not None:
        return found
    if getattr(error, "connection_invalidated", False) or (isinstance(driver, ConnectionError) and is_drivers(driver)):
        return Failure.CONNECTION
    return Failure.APPLICATION


def _is_refused_unsent(error: Any, driver: Any) -> bool:
    """Whether a driver would not send a statement, too many parameters for example, and the connection stands as it was.

    psycopg raises the class of a lost connection then: SQLAlchemy asked the connection itself.
    """
    statement = getattr(error, "statement", None)
    return statement is not None and not error.connection_invalidated and _is_bare(driver)


def _is_bare(driver: Any) -> bool:
    """Whether it is psycopg's own OperationalError, without a state from the server."""
    return type(driver).__module__.partition(".")[0] == "psycopg" and type(driver).__name__ == "OperationalError"


def code_of(error: BaseException) -> int | str | None:
    """The server's code in an error: MariaDB's number or PostgreSQL's state, wherever the driver keeps it."""
    driver: Any = getattr(error, "orig", None) or error
    if (
        isinstance(driver, OSError) or type(driver).__module__ == "builtins"
    ):  # an application's KeyError(1213) is its own
        return None
    first = driver.args[0] if getattr(driver, "args", ()) else None
    if isinstance(first, int):  # first: PyMySQL's errors have a sqlstate too
        return first
    if isinstance(first, dict):  # pg8000's
        return first.get("C")
    for name in ("sqlstate", "pgcode", "errno"):
        found = getattr(driver, name, None)
        if isinstance(found, int | str):
            return found
    return None


def missing_table(error: BaseException) -> bool:
    """Whether a statement failed because its table is not there."""
    if code_of(error) in NO_TABLE:
        return True
    driver: Any = getattr(error, "orig", None) or error
    return type(driver).__module__.partition(".")[0] == "sqlite3" and "no such table" in str(driver)


def _by_code(driver: Any) -> Failure | None:
    code = code_of(driver)
    if isinstance(code, int):
        return MYSQL.get(code)
    if _is_bare(driver):
        return Failure.CONNECTION  # psycopg itself lost it
    if isinstance(code, str):
        return POSTGRES.get(code) or (Failure.CONNECTION if code.startswith("08") else None)
    name = getattr(driver, "sqlite_errorname", None)
    if isinstance(name, str):
        return SQLITE.get(name) or SQLITE.get("_".join(name.split("_")[:2]))
    return None


def is_unknown_at_commit(error: BaseException) -> bool:
    """Whether an answer to COMMIT leaves its outcome open: MariaDB's errors during commit, shutdown, time-out and kill."""
    return code_of(error) in (1180, 1053, 1317, 1969, 2006, 2013, 3024)
