"""What is done on a connection of the application's engine, by kind of server. Plain SQL only: the driver may be any.

1. A read block is one transaction that the server itself keeps read-only; what says so ends with the transaction, so it
   cannot be left behind. SQLite has it per connection: it is put back before the connection is, or the connection is lost.
2. A write block is one transaction. Its position is asked for later, when a bookmark or another copy needs it: a later
   position of the owner covers it. SQLite's is raised in the transaction, so it is known.
3. PostgreSQL answers COMMIT with ROLLBACK after an error that was swallowed, and no driver says so alike: after an error
   the transaction is asked whether it still stands before its COMMIT is sent.
4. MariaDB and MySQL undo all of a transaction at a deadlock, and commit before and after some statements: both are remembered.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy.exc import DBAPIError

from regionkit.backends.sql.capabilities import MARIADB, POSTGRESQL, SQLITE
from regionkit.backends.sql.driver import swallowed
from regionkit.backends.sql.mariadb_words import MARIADB_WORDS
from regionkit.backends.sql.mysql_words import MYSQL_WORDS
from regionkit.backends.sql.observation import (
    FLUSHED,
    ServerRuns,
    postgres_observation,
    postgres_questions,
    sqlite_observation,
    sqlite_question,
)
from regionkit.backends.sql.server import SqlContext
from regionkit.contract.capabilities import Capabilities
from regionkit.errors import ConfigurationError
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind

if TYPE_CHECKING:
    from regionkit.backends.sql.own_engine_connection import OwnEngineConnection

__all__ = ["OWN_ENGINE_SERVERS", "OwnEngineServer"]

COLUMNS = 12
"""Columns of PostgreSQL's answer."""
KEEPS = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "VALUES", "(", "SAVEPOINT", "RELEASE"}
) | {*("ROLLBACK", "SET", "SHOW", "EXPLAIN", "DESCRIBE", "DO", "USE")}
"""First words of statements that do not commit on MariaDB; of any other it is taken that they do."""
UNDOES_ALL = (1213, 1020)
"""Errors that roll back the whole transaction on MariaDB, not the statement: ER_LOCK_DEADLOCK, ER_CHECKREAD."""


MOST_LOOKS = 4
"""Questions for one observation: the table of histories may be made, or dropped, between two."""


class OwnEngineServer:
    """One endpoint's kind of server."""

    capabilities: Capabilities
    reads: ClassVar[tuple[str, ...]] = ()
    """What makes a transaction that begins a read-only one."""
    snapshots: ClassVar[tuple[str, ...]] = ()
    """The same, for a repeatable read."""
    largest = 0
    """Bytes of the largest statement that it takes (MariaDB's max_allowed_packet); 0 where there is no limit, or none known."""

    def __init__(self, context: SqlContext) -> None:
        self._context = context
        self._has_history = True
        self._with, self._without, self._exists = self.questions(context.history_table)

    def questions(self, history: str) -> tuple[str, str, str]:
        """Where it stands, with its history and without; and whether the table of histories is there."""
        raise NotImplementedError

    def answered(self, c: OwnEngineConnection, answer: Any, known: str, sent_at: float, rtt: float) -> Observation:
        """What the answer says. `known`: the run that this connection was found to speak to earlier; "" for none."""
        raise NotImplementedError

    def observe(self, c: OwnEngineConnection, known: str) -> Observation:
        """Ask where it stands."""
        clock, looks = self._context.clock, self._has_history
        for _ in range(MOST_LOOKS):
            sent_at = clock.monotonic()
            try:
                answer = c.run_own(self._with if looks else self._without)
            except DBAPIError:
                if c.begun or c.invalidated or not looks:
                    raise
                c.undo()
                if c.run_own(self._exists)[0]:
                    raise
                looks = False  # not there yet, or not any more
                continue
            rtt = clock.monotonic() - sent_at
            if looks or not c.run_own(self._exists)[0]:
                break
            looks = True  # it came meanwhile: an answer without its rows would say that they are gone
        self._has_history = looks
        return self.answered(c, answer, known, sent_at, rtt)

    def flush(self, c: OwnEngineConnection) -> None:
        """Have the server write down what it has logged, where an observation says `unflushed`. No transaction is open."""

    def taken(self, c: OwnEngineConnection) -> None:
        """A block takes the connection."""

    def given_back(self, c: OwnEngineConnection) -> None:
        """The block is over, its transaction too: put back what was changed."""

    def begin(self, c: OwnEngineConnection) -> None:
        """A transaction began, as far as the driver is concerned."""
        if c.kind is Kind.READ:
            for statement in self.snapshots if c.snapshot else self.reads:
                c.run_own(statement)

    def sent(self, c: OwnEngineConnection, statement: str) -> None:
        """A statement of a write block is about to be sent."""

    def failed(self, c: OwnEngineConnection, code: object) -> None:
        """A statement failed, with this code of the server's."""

    def before_commit(self, c: OwnEngineConnection) -> None:
        """The last thing before COMMIT."""


class OwnEnginePostgres(OwnEngineServer):
    """PostgreSQL."""

    capabilities = POSTGRESQL
    reads = ("SET TRANSACTION READ ONLY",)
    snapshots = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",)

    def questions(self, history: str) -> tuple[str, str, str]:
        names = ", ".join(f"c{n}" for n in range(COLUMNS))
        texts = ", ".join(f"c{n}::text" for n in range(COLUMNS))  # drivers make different things of the same type
        asked, bare = (f"SELECT {texts} FROM ({q}) AS answer ({names})" for q in postgres_questions(history))  # noqa: S608
        return asked, bare, f"SELECT CASE WHEN to_regclass('{history}') IS NULL THEN 0 ELSE 1 END"

    def answered(self, c: OwnEngineConnection, answer: Any, known: str, sent_at: float, rtt: float) -> Observation:
        return postgres_observation(answer, sent_at, rtt)

    def flush(self, c: OwnEngineConnection) -> None:
        try:
            c.aside(lambda: c.run_own(FLUSHED))
        except DBAPIError:
            if c.invalidated:
                raise  # else it was answered: whoever may not do that waits for the server

    def before_commit(self, c: OwnEngineConnection) -> None:
        if c.driver.failed or c.driver.bypassed:  # PostgreSQL answers with a tag that drivers do not show
            try:
                c.run_own("SELECT 1")
            except DBAPIError as error:
                if c.invalidated:
                    raise
                raise swallowed("PostgreSQL would answer COMMIT with ROLLBACK.") from error


class OwnEngineMaria(OwnEngineServer):
    """MariaDB or MySQL: which of the two, the first connection tells. Until then it counts as MariaDB."""

    capabilities: Capabilities = MARIADB
    reads = ("START TRANSACTION READ ONLY",)
    snapshots = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION READ ONLY")

    def __init__(self, context: SqlContext) -> None:
        self._words = MARIADB_WORDS
        super().__init__(context)
        self._runs = ServerRuns()

    def questions(self, history: str) -> tuple[str, str, str]:
        there = f"TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{history}'"
        return *self._words.questions(history), f"SELECT COUNT(*) FROM information_schema.TABLES WHERE {there}"  # noqa: S608

    def observe(self, c: OwnEngineConnection, known: str) -> Observation:
        words = MARIADB_WORDS if self._is_mariadb(c) else MYSQL_WORDS
        if words is not self._words:
            self._words, self.capabilities = words, words.capabilities
            self._with, self._without, self._exists = self.questions(self._context.history_table)
        return super().observe(c, known)

    def _is_mariadb(self, c: OwnEngineConnection) -> bool:
        dialect: Any = c.dialect
        if dialect.server_version_info is not None:  # else this connection was made past the engine
            return bool(dialect.is_mariadb)
        return "mariadb" in str(c.run_own("SELECT VERSION()")[0]).lower()

    def answered(self, c: OwnEngineConnection, answer: Any, known: str, sent_at: float, rtt: float) -> Observation:
        values = [v.decode() if isinstance(v, bytes | bytearray) else v for v in answer]
        self.largest = int(values[-1])
        started, connection = int(values[2]), int(values[3])
        run = known if known.startswith(f"{started}.") else self._runs.told(started, connection)
        return self._words.observation(values, run, sent_at, rtt)

    def sent(self, c: OwnEngineConnection, statement: str) -> None:
        words = statement.upper().split(None, 1) or [""]
        first = "(" if words[0].startswith("(") else words[0].rstrip(";")
        c.driver.implicit |= first not in KEEPS or (first == "SET" and "AUTOCOMMIT" in statement.upper())

    def failed(self, c: OwnEngineConnection, code: object) -> None:
        c.driver.lost_all |= code in UNDOES_ALL

    def before_commit(self, c: OwnEngineConnection) -> None:
        if c.driver.lost_all:
            raise swallowed("the server rolled all of it back at a deadlock, and COMMIT would keep what came after.")


class OwnEngineSqlite(OwnEngineServer):
    """SQLite."""

    capabilities = SQLITE

    def __init__(self, context: SqlContext) -> None:
        super().__init__(context)
        self._count = f"UPDATE {context.namespace}_rk_position SET value = value + 1 WHERE id = 1 RETURNING value"  # noqa: S608

    def questions(self, history: str) -> tuple[str, str, str]:
        there = f"SELECT count(*) FROM sqlite_master WHERE name = '{history}'"  # noqa: S608
        return sqlite_question(self._context.namespace, history), "SELECT NULL, NULL", there

    def answered(self, c: OwnEngineConnection, answer: Any, known: str, sent_at: float, rtt: float) -> Observation:
        return sqlite_observation(answer, self._context.endpoint.id, known or self._inode(c), sent_at, rtt)

    def _inode(self, c: OwnEngineConnection) -> str:
        path = c.run_own("PRAGMA database_list")[2]
        if not path:
            raise ConfigurationError(
                f"endpoint {self._context.endpoint.id!r}: its engine keeps a database in memory.",
                why="it is private to one connection.",
                fix="give an engine of a file.",
            )
        stat = Path(path).stat()
        return f"{stat.st_dev}:{stat.st_ino}"

    def taken(self, c: OwnEngineConnection) -> None:
        if c.kind is Kind.READ and not c.run_own("PRAGMA query_only")[0]:
            c.restricted = True
            c.run_own("PRAGMA query_only = ON")

    def given_back(self, c: OwnEngineConnection) -> None:
        if c.restricted:
            c.run_own("PRAGMA query_only = OFF")
            c.restricted = False

    def begin(self, c: OwnEngineConnection) -> None:
        if c.kind is Kind.WRITE or c.snapshot:
            driver: Any = c.connection.driver_connection
            if (
                not driver.in_transaction
            ):  # the driver begins before a change only; a listener of the application's may have
                c.run_own("BEGIN IMMEDIATE" if c.kind is Kind.WRITE else "BEGIN")

    def before_commit(self, c: OwnEngineConnection) -> None:
        try:
            row = c.run_own(self._count)
            c.driver.position = int(row[0]) if row else None  # a migration made the table, and nobody its row
        except DBAPIError as error:
            if "no such table" not in str(error.orig):
                raise


OWN_ENGINE_SERVERS: dict[str, type[OwnEngineServer]] = {
    "postgresql": OwnEnginePostgres,
    "mysql": OwnEngineMaria,
    "mariadb": OwnEngineMaria,
    "sqlite": OwnEngineSqlite,
}
"""By the name of SQLAlchemy's dialect."""
