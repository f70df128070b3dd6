"""Where a PostgreSQL server stands: role, run, timeline, position, histories; and the proof of its promotions.

Fork positions come from the server's timeline history file (replication command TIMELINE_HISTORY), which an account with
REPLICATION may read.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType
from typing import Any

from sqlalchemy.engine import URL

from regionkit.backends.sql.capabilities import POSTGRESQL
from regionkit.backends.sql.driver import as_driver
from regionkit.backends.sql.observation import FLUSHED, postgres_observation, postgres_questions
from regionkit.backends.sql.server import SqlContext
from regionkit.errors import ConfigurationError
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position
from regionkit.facts.request import Kind
from regionkit.topology import ParsedUrl, sql_parameters

__all__ = ["PostgresServer"]

MOST_LOOKS = 4
"""Questions for one observation: the table of histories may be made, or dropped, between two."""
LIMIT_MARGIN = 2.0
"""Server-side limits are this much wider than the deadline, seconds: they are the second line, not the first."""


FIRST_LIMIT = "statement_timeout"
"""The first of what we ask a connection to begin with; what stands before it is the URL's."""
READ_ONLY = "default_transaction_read_only=on"
"""What a connection for reads begins with."""
MEET = b"SELECT pg_backend_pid(), current_setting('transaction_read_only');"
"""Asked in the first message of a connection."""
KEEPALIVE = MappingProxyType(
    {"keepalives": "1", "keepalives_idle": "5", "keepalives_interval": "5", "keepalives_count": "3"}
)
"""Used where the URL sets none: a connection whose peer is gone ends within 20 s."""


class PostgresServer:
    """One PostgreSQL endpoint, through psycopg. `adapter`: the module that sends messages through the driver."""

    capabilities = POSTGRESQL
    adapter = "message_psycopg"

    def __init__(self, context: SqlContext) -> None:
        self._context = context
        self._wire: Any = import_module(f"regionkit.backends.sql.{self.adapter}")
        self._with, self._without = (question.encode() for question in postgres_questions(context.history_table))
        self._has_history = True

    def url_and_arguments(self, url: ParsedUrl, kind: Kind) -> tuple[URL, dict[str, Any]]:
        context = self._context
        longest, options = self._options(kind)
        query = sql_parameters(url)
        asked = query.pop("options", "")
        arguments: dict[str, Any] = {
            "options": " ".join([asked, *options]).strip(),
            "application_name": query.pop("application_name", f"regionkit {context.namespace}"),
            "gssencmode": query.pop("gssencmode", "disable"),  # "prefer" costs a round trip where nobody uses it
            "prepare_threshold": _threshold(query.pop("prepare_threshold", "5"), context.store.options.prepare),
        }
        for name, value in KEEPALIVE.items():
            query.setdefault(name, value)
        query.setdefault("tcp_user_timeout", str(max(longest, 10_000)))
        if url.tls(context.endpoint.tls) == "require":
            arguments["sslmode"] = "verify-full"
            arguments["sslrootcert"] = query.pop("sslrootcert", "system")
            arguments["ssl_min_protocol_version"] = "TLSv1.2"
            query.pop("sslmode", None)
        elif "sslmode" not in query:
            arguments["sslmode"] = "disable"
        made = URL.create(
            "postgresql+psycopg",
            username=url.username,
            password=url.password,
            host=url.host,
            port=url.port,
            database=url.database,
            query=query,
        )
        return made, arguments

    def _options(self, kind: Kind) -> tuple[int, list[str]]:
        """What a session begins with: the longest that anything takes, ms, and the settings."""
        context = self._context
        longest = int(1000 * (max(context.profile.read_deadline, context.profile.write_deadline) + LIMIT_MARGIN))
        limits = (FIRST_LIMIT, "idle_in_transaction_session_timeout", "lock_timeout")
        options = [f"-c {name}={longest}" for name in limits]
        return longest, [*options, f"-c {READ_ONLY}"] if kind is Kind.READ else options

    def observe(self, dbapi_connection: Any) -> Observation:
        clock, looks = self._context.clock, self._has_history
        met = as_driver(dbapi_connection).pooled is not None
        for _ in range(MOST_LOOKS):
            sent_at = clock.monotonic()
            command = self._with if looks else self._without
            answer = self._ask(dbapi_connection, command if met else MEET + command)
            met = True
            rtt = clock.monotonic() - sent_at
            there = answer is not None and answer[8] == "t"
            if answer is not None and (looks or not there):
                break
            looks = there  # it went, or came meanwhile: an answer without its rows would say that they are gone
        self._has_history = there
        assert answer is not None
        return postgres_observation(answer, sent_at, rtt)

    def flush(self, dbapi_connection: Any) -> None:
        try:
            self._ask(dbapi_connection, FLUSHED.encode())
        except Exception as error:
            if getattr(error, "sqlstate", None) is None:
                raise  # else it was answered: whoever may not do that waits for the server

    def _ask(self, dbapi_connection: Any, command: bytes) -> list[str | None] | None:
        wire = self._wire
        results = wire.ask(dbapi_connection, command)
        result = results[-1]
        if command.startswith(MEET) and len(results) > 1:
            self._meet(as_driver(dbapi_connection), *wire.rows(results[0])[0])
        if wire.failed(result):
            error: Any = wire.error_of(as_driver(dbapi_connection), result)
            if error.sqlstate == "42P01":
                return None
            raise error
        found: list[str | None] = wire.rows(result)[0]
        return found

    def _meet(self, driver: Any, process: str | None, read_only: str | None) -> None:
        """What a new connection is, told by the server: a pooler gives out numbers of its own, and may drop our settings.

        Raises:
            ConfigurationError: reads would be able to write, or the URL asks for what does not happen.
        """
        driver.pooled = process != str(driver.pgconn.backend_pid)
        if driver.pooled:
            driver.prepare_threshold = None  # the next statement may go to another server connection
        endpoint = self._context.endpoint
        if driver.pooled and not driver.info.options.startswith(f"-c {FIRST_LIMIT}="):
            raise ConfigurationError(
                f"the options= in the URL of {endpoint.id!r} do not reach the server.",
                why="a pooler in front of it, such as PgBouncer, drops them.",
                fix="take them out, and give them to the account: ALTER ROLE name SET ...",
            )
        if READ_ONLY in driver.info.options and read_only != "on":
            raise ConfigurationError(
                f"a connection for reads to {endpoint.id!r} of {self._context.store.name!r} is not read-only.",
                why="a pooler in front of the server, such as PgBouncer, has dropped the settings that regionkit sets on it.",
                fix="give the endpoint a read_url whose account has default_transaction_read_only: "
                "ALTER ROLE name SET default_transaction_read_only = on.",
            )

    def alive(self, dbapi_connection: Any) -> bool:
        driver = as_driver(dbapi_connection)
        if driver.closed:
            return False
        poll = select.poll()
        poll.register(driver.pgconn.socket, select.POLLIN)
        return not poll.poll(0)  # nothing was asked: it is an end, or the FATAL message that comes before one

    def drop(self, dbapi_connection: Any) -> None:
        as_driver(dbapi_connection).pgconn.finish()

    def widen(self, dbapi_connection: Any, seconds: float) -> None:
        if as_driver(dbapi_connection).pooled:
            return  # it would reach whoever gets that server connection next
        longest = int(1000 * (seconds + LIMIT_MARGIN))
        names = (FIRST_LIMIT, "idle_in_transaction_session_timeout", "lock_timeout")
        as_driver(dbapi_connection).settings |= dict.fromkeys(names, str(longest))
        self._wire.ask(dbapi_connection, ";".join(f"SET {name}={longest}" for name in names).encode())

    def prove_promotion(
        self, dbapi: Callable[[], Any], parent: HistoryRow, observation: Observation
    ) -> Position | None:
        """The switch point away from `parent`'s timeline, when this server's own history file names it."""
        system, _, old = parent.origin.partition(":")
        now_system, _, now = observation.origin.partition(":")
        if system != now_system or not old.isdigit() or not now.isdigit() or int(now) <= int(old):
            return None
        connection = dbapi()
        try:
            result = self._wire.ask(connection, f"TIMELINE_HISTORY {int(now)}".encode())[-1]
            if self._wire.failed(result):
                return None
            return switch_point(self._wire.rows(result)[0][1] or "", int(old))
        finally:
            connection.close()


def _threshold(text: str, prepares: bool) -> int | None:
    """After how many runs psycopg prepares a statement; None for never."""
    return int(text) if prepares and text.isdigit() else None


def switch_point(history: str, timeline: int) -> int | None:
    """Where a timeline was left, by a timeline history file: lines of timeline, position and reason."""
    for line in history.splitlines():
        parts = line.split()
        if len(parts) >= 2 and parts[0] == str(timeline) and "/" in parts[1]:
            high, low = parts[1].split("/")
            return (int(high, 16) << 32) + int(low, 16)
    return None
