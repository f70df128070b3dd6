"""Where a MariaDB server stands: role, run, GTID positions, histories."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import URL

from regionkit.backends.sql.capabilities import MARIADB
from regionkit.backends.sql.driver import as_driver
from regionkit.backends.sql.message_pymysql import idle
from regionkit.backends.sql.observation import ServerRuns, maria_observation, maria_questions
from regionkit.backends.sql.server import SqlContext
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position
from regionkit.facts.request import Kind
from regionkit.topology import ParsedUrl, sql_parameters

__all__ = ["MariaServer"]

MOST_LOOKS = 4
"""Questions for one observation: the table of histories may be made, or dropped, between two."""
LIMIT_MARGIN = 2.0
"""Server-side limits are this much wider than the deadline, seconds: they are the second line, not the first."""


_TOLD = ("@@session.session_track_system_variables='last_gtid'", "@@session.session_track_state_change=1")
"""What answers tell: the position of a COMMIT, and that the session was changed."""


class MariaServer:
    """One MariaDB endpoint."""

    capabilities = MARIADB

    def __init__(self, context: SqlContext) -> None:
        self._context = context
        self._with, self._without = maria_questions(context.history_table)
        self._has_history = True
        self._runs = ServerRuns()

    def url_and_arguments(self, url: ParsedUrl, kind: Kind) -> tuple[URL, dict[str, Any]]:
        context = self._context
        seconds = max(context.profile.read_deadline, context.profile.write_deadline) + LIMIT_MARGIN
        settings = [*_limits(seconds), *_TOLD]
        if kind is Kind.READ:
            settings.append("@@session.tx_read_only=1")
        query = sql_parameters(url)
        arguments: dict[str, Any] = {
            "init_command": "SET " + ", ".join(settings),
            "autocommit": kind is Kind.READ,
            "program_name": query.pop("program_name", f"regionkit {context.namespace}"),
        }
        query.pop("use_unicode", None)  # it is the default, and aiomysql's version of it has other values
        about_tls = {name: query.pop(name) for name in sorted(query) if name.startswith("ssl")}
        if url.tls(context.endpoint.tls) == "require":
            arguments["ssl"] = _tls(about_tls)
        elif (
            not context.is_async
        ):  # else PyMySQL reads all certificate authorities for each connection, 25 ms, and verifies none
            arguments["ssl_disabled"] = True
        if url.dialect == "mariadb" or url.dialect == "mysql":
            query.setdefault("charset", "utf8mb4")
        made = URL.create(
            "mysql+pymysql",
            username=url.username,
            password=url.password,
            host=url.host or "127.0.0.1",
            port=url.port,
            database=url.database,
            query=query,
        )
        return made, arguments

    def flush(self, dbapi_connection: Any) -> None:
        """Never asked: it counts what copies can have."""

    def observe(self, dbapi_connection: Any) -> Observation:
        driver = as_driver(dbapi_connection)
        begun = driver.begun or driver.get_autocommit()
        with driver.own_statements():
            answer, sent_at, rtt = self._observed(dbapi_connection)
            if not begun:
                dbapi_connection.rollback()  # the look at the history table began a transaction, and with it a snapshot
        known: str | None = getattr(driver, "run", None)
        if known is None:
            known = driver.run = self._runs.told(int(answer[2]), int(answer[3]))
            driver.largest = int(answer[-1])
        return maria_observation(answer, known, sent_at, rtt)

    def _observed(self, dbapi_connection: Any) -> tuple[Any, float, float]:
        """Answer, when it was asked for, and the round trip's seconds."""
        clock, looks = self._context.clock, self._has_history
        for _ in range(MOST_LOOKS):
            sent_at = clock.monotonic()
            answer = self._ask(dbapi_connection, self._with if looks else self._without)
            rtt = clock.monotonic() - sent_at
            there = answer is not None and (looks or self._table_exists(dbapi_connection))
            if answer is not None and (looks or not there):
                break
            looks = there  # it went, or came meanwhile: an answer without its rows would say that they are gone
        self._has_history = there
        assert answer is not None
        return answer, sent_at, rtt

    def _ask(self, dbapi_connection: Any, command: str) -> Any:
        import pymysql

        cursor = dbapi_connection.cursor()
        try:
            cursor.execute(command)
            return cursor.fetchone()
        except pymysql.err.ProgrammingError as error:
            if error.args[0] == 1146:  # no such table
                return None
            raise
        finally:
            cursor.close()

    def _table_exists(self, dbapi_connection: Any) -> bool:
        cursor = dbapi_connection.cursor()
        try:
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s",
                (self._context.history_table,),
            )
            return bool(cursor.fetchone()[0])
        finally:
            cursor.close()

    def alive(self, dbapi_connection: Any) -> bool:
        return idle(as_driver(dbapi_connection))

    def drop(self, dbapi_connection: Any) -> None:
        driver = as_driver(dbapi_connection)
        if hasattr(driver, "_force_close"):
            driver._force_close()
        else:
            driver.close()

    def widen(self, dbapi_connection: Any, seconds: float) -> None:
        with as_driver(dbapi_connection).own_statements():
            cursor = dbapi_connection.cursor()
            cursor.execute("SET " + ", ".join(_limits(seconds + LIMIT_MARGIN)))
            cursor.close()

    def prove_promotion(
        self, dbapi: Callable[[], Any], parent: HistoryRow, observation: Observation
    ) -> Position | None:
        """MariaDB keeps no record of promotions."""
        return None


def _tls(given: dict[str, str]) -> ssl.SSLContext:
    """Verified, with the host name checked; what a URL may add: whom to trust, and a certificate of the client's."""
    tls = ssl.create_default_context(cafile=given.get("ssl_ca"), capath=given.get("ssl_capath"))
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if "ssl_cert" in given:
        tls.load_cert_chain(given["ssl_cert"], given.get("ssl_key"), given.get("ssl_key_password"))
    return tls


def _limits(seconds: float) -> list[str]:
    whole = int(seconds) + 1
    return [
        f"@@session.max_statement_time={seconds:.3f}",
        f"@@session.idle_transaction_timeout={whole}",
        f"@@session.lock_wait_timeout={whole}",
        f"@@session.innodb_lock_wait_timeout={whole}",
    ]
