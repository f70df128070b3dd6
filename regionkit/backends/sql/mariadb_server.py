"""Where a MariaDB server stands: role, run, GTID positions, histories.

Origin is the server id: MariaDB keeps no timelines, so a promotion by others can not be proved and needs `adopt`; a
server that was rebuilt takes a new server_id. A run is known by the second in which the server started; one that starts
twice in a second is recognised by connection ids that begin anew.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import URL

from regionkit.backends.sql.driver import as_driver
from regionkit.backends.sql.mariadb import gtids, idle
from regionkit.backends.sql.server import SqlPlace, history_rows
from regionkit.backends.values import Capabilities
from regionkit.routing.decision import Kind
from regionkit.routing.history import HistoryRow
from regionkit.routing.position import GtidsReached, Position, later
from regionkit.routing.snapshot import Observation
from regionkit.topology import ParsedUrl, Role

__all__ = ["MariaServer"]

LIMIT_MARGIN = 2.0
"""Server-side limits are this much wider than the deadline, seconds: they are the second line, not the first."""

OUT_OF_ORDER = 20
"""Ids of connections made at once may arrive out of order by this much; a smaller id than that is a new run's."""

ASK = """SELECT @@global.read_only, @@global.server_id, UNIX_TIMESTAMP() - s.uptime, CONNECTION_ID(),
 @@global.gtid_slave_pos, @@global.gtid_binlog_pos, @@global.gtid_binlog_state, s.slaves, s.semi = 'ON', s.waits, {rows}
 FROM (SELECT MAX(IF(VARIABLE_NAME = 'UPTIME', VARIABLE_VALUE, NULL)) + 0 AS uptime,
 MAX(IF(VARIABLE_NAME = 'SLAVES_RUNNING', VARIABLE_VALUE, NULL)) + 0 AS slaves,
 MAX(IF(VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_STATUS', VARIABLE_VALUE, NULL)) AS semi,
 MAX(IF(VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_WAIT_SESSIONS', VARIABLE_VALUE, NULL)) + 0 AS waits
 FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME IN
 ('UPTIME', 'SLAVES_RUNNING', 'RPL_SEMI_SYNC_MASTER_STATUS', 'RPL_SEMI_SYNC_MASTER_WAIT_SESSIONS')) AS s"""
ROWS = """(SELECT JSON_ARRAYAGG(JSON_ARRAY(history, parent, fork, epoch, origin))
 FROM (SELECT * FROM {history} ORDER BY epoch DESC LIMIT 64) AS h)"""


class MariaServer:
    """One MariaDB endpoint."""

    capabilities = Capabilities(
        server="mariadb",
        positions=True,
        read_only="server",
        transactions=True,
        markers=True,
        detects_promotion=False,
        modes=frozenset({"core", "snapshot"}),
        notes=(
            "STRONG and writes use the primary as configured or by descent; without a lease no more is proved",
            "a promotion by others is not proved by the server: an operator says kit.adopt",
            "replicas need log_slave_updates, so that the binary log knows what was applied",
        ),
    )

    def __init__(self, place: SqlPlace) -> None:
        self._place = place
        self._without = ASK.format(rows="NULL")
        self._with = ASK.format(rows=ROWS.format(history=place.history_table))
        self._has_history = True
        self._runs: dict[int, tuple[int, int]] = {}  # second of start: (newest connection id, how often it began anew)

    def url_and_arguments(self, url: ParsedUrl, kind: Kind) -> tuple[URL, dict[str, Any]]:
        place = self._place
        seconds = max(place.profile.read_deadline, place.profile.write_deadline) + LIMIT_MARGIN
        settings = [*_limits(seconds), "@@session.session_track_system_variables='last_gtid'"]
        if kind is Kind.READ:
            settings.append("@@session.tx_read_only=1")
        arguments: dict[str, Any] = {
            "init_command": "SET " + ", ".join(settings),
            "program_name": f"regionkit {place.namespace}",
        }
        query = dict(url.query)
        if url.tls(place.endpoint.tls) == "require":
            context = ssl.create_default_context(cafile=query.pop("ssl_ca", None))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if "ssl_cert" in query:
                context.load_cert_chain(query.pop("ssl_cert"), query.pop("ssl_key", None))
            arguments["ssl"] = context
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

    def observe(self, dbapi_connection: Any) -> Observation:
        clock = self._place.clock
        sent_at = clock.monotonic()
        answer = self._ask(dbapi_connection, self._with if self._has_history else self._without)
        if answer is None:
            self._has_history = False
            sent_at = clock.monotonic()
            answer = self._ask(dbapi_connection, self._without)
            assert answer is not None
        rtt = clock.monotonic() - sent_at
        if not self._has_history:
            self._has_history = self._table_exists(dbapi_connection)
        read_only, server, started, connection, applied, written, state, slaves, semi, waits, history = answer
        replica = bool(read_only) or bool(slaves)
        position = gtids(applied) if replica else later(gtids(applied), gtids(written))
        driver = as_driver(dbapi_connection)
        driver.begun |= not driver.get_autocommit()  # the look at the history table is a transaction's first statement
        return Observation(
            role=Role.REPLICA if replica else Role.PRIMARY,
            incarnation=self._run(driver, int(started), int(connection)),
            lineage=history_rows(history),
            origin="" if replica else str(server),
            reached=GtidsReached(position if isinstance(position, tuple) else (), gtids(state)),
            sent_at=sent_at,
            rtt=rtt,
            synchronous=bool(semi),
            waiting=bool(waits),
        )

    def _run(self, driver: Any, started: int, connection: int) -> str:
        """Which run of the server this connection speaks to. Told once per connection."""
        known: str | None = getattr(driver, "run", None)
        if known is None:
            newest, anew = self._runs.get(started, (0, 0))
            if connection + OUT_OF_ORDER < newest:
                newest, anew = connection, anew + 1
            self._runs = {started: (max(newest, connection), anew)}
            known = driver.run = f"{started}.{anew}"
        return known

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
                (self._place.history_table,),
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
        cursor = dbapi_connection.cursor()
        cursor.execute("SET " + ", ".join(_limits(seconds + LIMIT_MARGIN)))
        cursor.close()

    def prove_promotion(self, dbapi: Callable[[], Any], parent: HistoryRow, seen: Observation) -> Position | None:
        """MariaDB keeps no record of promotions."""
        return None


def _limits(seconds: float) -> list[str]:
    whole = int(seconds) + 1
    return [
        f"@@session.max_statement_time={seconds:.3f}",
        f"@@session.idle_transaction_timeout={whole}",
        f"@@session.lock_wait_timeout={whole}",
        f"@@session.innodb_lock_wait_timeout={whole}",
    ]
