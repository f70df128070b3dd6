"""Where a MariaDB or MySQL server stands: role, run, GTID positions, histories.

A URL does not tell which of the two it leads to: the server's greeting does, on each connection. What they are asked, and
what they are set to, is in mariadb_words.py and mysql_words.py; how their answers are read in observation.py.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import URL

from regionkit.backends.sql.capabilities import MARIADB
from regionkit.backends.sql.driver import as_driver
from regionkit.backends.sql.mariadb_words import MARIADB_WORDS
from regionkit.backends.sql.message_pymysql import idle
from regionkit.backends.sql.mysql_words import MYSQL_WORDS
from regionkit.backends.sql.observation import ServerRuns
from regionkit.backends.sql.server import SqlContext
from regionkit.backends.sql.server_words import ServerWords
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position
from regionkit.facts.request import Kind
from regionkit.topology import ParsedUrl, sql_parameters

__all__ = ["MariaServer"]

MOST_LOOKS = 4
"""Questions for one observation: the table of histories may be made, or dropped, between two."""
PLAIN_FOR = 1.0
"""Seconds for which a MySQL is believed that it does not replicate semi-synchronously; asking costs it milliseconds."""
LIMIT_MARGIN = 2.0
"""Server-side limits are this much wider than the deadline, seconds: they are the second line, not the first."""


_TOLD = "@@session.session_track_state_change=1"
"""Answers tell, beside the position of a COMMIT, that the session was changed."""


def words_of(driver: Any) -> ServerWords:
    """Those of the server behind a connection of ours."""
    return MARIADB_WORDS if driver.is_mariadb else MYSQL_WORDS


class MariaServer:
    """One endpoint of MariaDB or MySQL. `capabilities`: MariaDB's, until a server has greeted us."""

    capabilities = MARIADB

    def __init__(self, context: SqlContext) -> None:
        self._context = context
        self._has_history = True
        table = context.history_table
        both = (MARIADB_WORDS, MYSQL_WORDS)
        self._asked = {words: words.questions(table) for words in both}
        self._brief = {words: words.brief(table) for words in both if words.brief is not None}
        self._plain_until = 0.0
        """Until when it counts as one that does not replicate semi-synchronously: since it said so last."""
        self._runs = ServerRuns()

    def url_and_arguments(self, url: ParsedUrl, kind: Kind) -> tuple[URL, dict[str, Any]]:
        context = self._context
        seconds = max(context.profile.read_deadline, context.profile.write_deadline) + LIMIT_MARGIN

        def first(driver: Any) -> str:
            words = words_of(driver)
            settings = [*words.limits(seconds), words.told, _TOLD, *([words.read_only] if kind is Kind.READ else [])]
            return "SET " + ", ".join(settings)

        query = sql_parameters(url)
        arguments: dict[str, Any] = {
            "init_command": first,
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
        words = words_of(driver)
        if self.capabilities is not words.capabilities:
            self.capabilities = words.capabilities
        with driver.own_statements():
            plain = hasattr(driver, "run") and self._context.clock.monotonic() < self._plain_until
            asked = self._brief.get(words) if plain else None
            answer, sent_at, rtt = self._observed(dbapi_connection, asked or self._asked[words])
            if not begun:
                dbapi_connection.rollback()  # the look at the history table began a transaction, and with it a snapshot
        known: str | None = getattr(driver, "run", None)
        if known is None:
            known = driver.run = self._runs.told(int(answer[2]), int(answer[3]))
            driver.largest = int(answer[-1])
        observation = words.observation(answer, known, sent_at, rtt)
        if asked is None:
            self._plain_until = 0.0 if observation.synchronous else sent_at + PLAIN_FOR
        if observation.reached is None:
            driver.counts = 1  # who tells no position tells no change
        return observation

    def _observed(self, dbapi_connection: Any, questions: tuple[str, str]) -> tuple[Any, float, float]:
        """Answer, when it was asked for, and the round trip's seconds."""
        clock, looks = self._context.clock, self._has_history
        asked, bare = questions
        for _ in range(MOST_LOOKS):
            sent_at = clock.monotonic()
            answer = self._ask(dbapi_connection, asked if looks else bare)
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
            cursor.execute("SET " + ", ".join(words_of(as_driver(dbapi_connection)).limits(seconds + LIMIT_MARGIN)))
            cursor.close()

    def prove_promotion(
        self, dbapi: Callable[[], Any], parent: HistoryRow, observation: Observation
    ) -> Position | None:
        """Neither keeps a record of promotions."""
        return None


def _tls(given: dict[str, str]) -> ssl.SSLContext:
    """Verified, with the host name checked; a URL may add trusted authorities and a client certificate."""
    tls = ssl.create_default_context(cafile=given.get("ssl_ca"), capath=given.get("ssl_capath"))
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if "ssl_cert" in given:
        tls.load_cert_chain(given["ssl_cert"], given.get("ssl_key"), given.get("ssl_key_password"))
    return tls
