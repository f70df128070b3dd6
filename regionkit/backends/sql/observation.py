"""What each kind of SQL server is asked about itself, and what its answer says. Pure of any driver.

PostgreSQL. Origin is "system identifier:timeline". On a replica the timeline it follows is visible to accounts with
pg_read_all_stats only; without it the origin is "" and a replica that follows an unrecorded promotion is recognised only
when the monitor sees the promoted primary (declared in the capabilities). The owner's position is the insert position: it
covers commits acknowledged before they were flushed, whoever made them, so measured staleness needs no slack for
synchronous_commit = off.
MariaDB. Origin is the server id: it keeps no timelines, so a promotion by others can not be proved and needs `adopt`; a
server that was rebuilt takes a new server_id. A run is known by the second in which the server started; one that starts
twice in a second is recognised by connection ids that begin anew.
SQLite. A file can not tell whether it is a copy, so the newest history row does: it names the endpoint that owns the data.
Without the tables the configured role stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regionkit.backends.sql.server import history_rows
from regionkit.facts.observation import Observation
from regionkit.facts.position import Gtids, GtidsReached, later
from regionkit.topology import Role

__all__ = [
    "ServerRuns",
    "gtids",
    "maria_observation",
    "maria_questions",
    "postgres_observation",
    "postgres_questions",
    "sqlite_observation",
    "sqlite_question",
    "without_header",
]

PAGE = 8192
SHORT_HEADER = 24
LONG_HEADER = 40
SEGMENT = 16 * 1024 * 1024

OUT_OF_ORDER = 20
"""Ids of connections made at once may arrive out of order by this much; a smaller id than that is a new run's."""

_POSTGRES = """SELECT pg_is_in_recovery(), extract(epoch from pg_postmaster_start_time())::text,
 CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() - '0/0'::pg_lsn ELSE pg_current_wal_insert_lsn() - '0/0'::pg_lsn END,
 CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_walfile_name(pg_current_wal_lsn()) END,
 (SELECT received_tli FROM pg_stat_wal_receiver),
 (SELECT system_identifier FROM pg_control_system()),
 current_setting('synchronous_standby_names') <> '',
 (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'),
 to_regclass('{history}') IS NOT NULL, {rows}"""
_POSTGRES_ROWS = """(SELECT json_agg(json_build_array(history, parent, fork, epoch, origin))
 FROM (SELECT * FROM {history} ORDER BY epoch DESC LIMIT 64) AS h)"""
_MARIA = """SELECT @@global.read_only, @@global.server_id, UNIX_TIMESTAMP() - s.uptime, CONNECTION_ID(),
 @@global.gtid_slave_pos, @@global.gtid_binlog_pos, @@global.gtid_binlog_state, s.slaves, s.semi = 'ON', s.waits, {rows}
 FROM (SELECT MAX(IF(VARIABLE_NAME = 'UPTIME', VARIABLE_VALUE, NULL)) + 0 AS uptime,
 MAX(IF(VARIABLE_NAME = 'SLAVES_RUNNING', VARIABLE_VALUE, NULL)) + 0 AS slaves,
 MAX(IF(VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_STATUS', VARIABLE_VALUE, NULL)) AS semi,
 MAX(IF(VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_WAIT_SESSIONS', VARIABLE_VALUE, NULL)) + 0 AS waits
 FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME IN
 ('UPTIME', 'SLAVES_RUNNING', 'RPL_SEMI_SYNC_MASTER_STATUS', 'RPL_SEMI_SYNC_MASTER_WAIT_SESSIONS')) AS s"""
_MARIA_ROWS = """(SELECT JSON_ARRAYAGG(JSON_ARRAY(history, parent, fork, epoch, origin))
 FROM (SELECT * FROM {history} ORDER BY epoch DESC LIMIT 64) AS h)"""


def without_header(position: int) -> int:
    """An insert position as an idle replica can reach it: not behind the header of a page that holds nothing yet."""
    if position % SEGMENT == LONG_HEADER:
        return position - LONG_HEADER
    if position % PAGE == SHORT_HEADER:
        return position - SHORT_HEADER
    return position


def gtids(text: str | None) -> Gtids:
    """`0-1-17,7-2-1` as sorted triples."""
    if not text:
        return ()
    parts = [tuple(int(n) for n in one.split("-")) for one in text.split(",")]
    return tuple(sorted((d, s, n) for d, s, n in parts))


def postgres_questions(history: str) -> tuple[str, str]:
    """What PostgreSQL is asked: with the rows of the history table, and without."""
    rows = _POSTGRES_ROWS.format(history=history)
    return _POSTGRES.format(history=history, rows=rows), _POSTGRES.format(history=history, rows="NULL")


def postgres_observation(answer: Sequence[str | None], sent_at: float, rtt: float) -> Observation:
    """Its answer, as texts; "t" or "true" is yes."""
    recovering, started, position, wal_file, follows, system, synchronous, waiting, _, history = answer
    replica = recovering in ("t", "true")
    timeline = int(wal_file[:8], 16) if wal_file else int(follows) if follows else 0
    reached = int(position or 0)
    return Observation(
        role=Role.REPLICA if replica else Role.PRIMARY,
        incarnation=started or "",
        lineage=history_rows(history),
        origin=f"{system}:{timeline}" if timeline else "",
        reached=reached if replica else without_header(reached),
        sent_at=sent_at,
        rtt=rtt,
        synchronous=synchronous in ("t", "true"),
        waiting=int(waiting or 0) > 0,
    )


class ServerRuns:
    """Which run of a MariaDB server a connection speaks to."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int]] = {}  # second of start: (newest connection id, how often it began anew)

    def told(self, started: int, connection: int) -> str:
        """The run, by the second of its start and the id of a new connection."""
        newest, anew = self._known.get(started, (0, 0))
        if connection + OUT_OF_ORDER < newest:
            newest, anew = connection, anew + 1
        self._known = {started: (max(newest, connection), anew)}
        return f"{started}.{anew}"


def maria_questions(history: str) -> tuple[str, str]:
    """What MariaDB is asked: with the rows of the history table, and without."""
    return _MARIA.format(rows=_MARIA_ROWS.format(history=history)), _MARIA.format(rows="NULL")


def maria_observation(answer: Sequence[Any], run: str, sent_at: float, rtt: float) -> Observation:
    """Its answer; `run` is told by its third and fourth column, once for a connection."""
    read_only, server, _, _, applied, written, state, slaves, semi, waits, history = answer
    replica = bool(read_only) or bool(slaves)
    position = gtids(applied) if replica else later(gtids(applied), gtids(written))
    return Observation(
        role=Role.REPLICA if replica else Role.PRIMARY,
        incarnation=run,
        lineage=history_rows(history),
        origin="" if replica else str(server),
        reached=GtidsReached(position if isinstance(position, tuple) else (), gtids(state)),
        sent_at=sent_at,
        rtt=rtt,
        synchronous=bool(semi),
        waiting=bool(waits),
    )


def sqlite_question(namespace: str, history: str) -> str:
    """What a SQLite file is asked: its position, and its history."""
    return (
        f"SELECT (SELECT value FROM {namespace}_rk_position WHERE id = 1), (SELECT json_group_array("  # noqa: S608
        f"json_array(history, parent, fork, epoch, origin)) FROM (SELECT * FROM {history} ORDER BY epoch DESC LIMIT 64))"
    )


def sqlite_observation(answer: Sequence[Any], me: str, inode: str, sent_at: float, rtt: float) -> Observation:
    """Its answer; `me` is the endpoint's id."""
    position, history = answer
    lineage = history_rows(history)
    role = None
    if lineage is not None:
        role = Role.PRIMARY if lineage.current.origin == me else Role.REPLICA
    return Observation(
        role=role,
        incarnation=inode,
        lineage=lineage,
        origin=me if role is not Role.REPLICA else "",
        reached=position,
        sent_at=sent_at,
        rtt=rtt,
    )
