"""What each kind of SQL server is asked about itself, and what its answer says. Pure of any driver.

PostgreSQL. Origin is "system identifier:timeline". On a replica the timeline it follows is visible to accounts with
pg_read_all_stats only; without it the origin is "" and a replica that follows an unrecorded promotion is recognised only
when the monitor sees the promoted primary (declared in the capabilities). The owner's position is the insert position: it
covers commits acknowledged before they were flushed, whoever made them, so measured staleness needs no slack for
synchronous_commit = off. What a transaction logs that reads and rolls back (it may tidy pages up) reaches disk and copies with
the next commit, or a quarter of a minute later: an owner that is idle is made to write it down (`Unflushed`).
MariaDB. Origin is the server id: it keeps no timelines, so a promotion by others cannot be proved and needs `adopt`; a
server that was rebuilt takes a new server_id. A run is known by the second in which the server started; one that starts
twice in a second is recognised by connection ids that begin anew.
MySQL. Origin is the server's uuid, which is also what its transactions are counted under (gtid_sets.py). A replica is known
by read_only alone: how replication runs is not for every account to see. A run is known as on MariaDB.
SQLite. A file cannot tell whether it is a copy, so the newest history row does: it names the endpoint that owns the data.
Without the tables the configured role stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regionkit.backends.sql.gtid_sets import highest, reached_of, sets_of, shown_of
from regionkit.backends.sql.server import history_rows
from regionkit.facts.observation import Observation
from regionkit.facts.position import Gtids, GtidsReached, later
from regionkit.topology import Role

__all__ = [
    "FLUSHED",
    "ServerRuns",
    "Unflushed",
    "gtids",
    "maria_observation",
    "maria_questions",
    "maria_shown",
    "mysql_brief_questions",
    "mysql_observation",
    "mysql_questions",
    "named",
    "postgres_observation",
    "postgres_questions",
    "sqlite_observation",
    "sqlite_question",
    "standby_shown",
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
 to_regclass('{history}') IS NOT NULL, {rows}, {shown},
 CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() - '0/0'::pg_lsn END"""
_POSTGRES_ROWS = """(SELECT json_agg(json_build_array(history, parent, fork, epoch, origin))
 FROM (SELECT * FROM {history} ORDER BY epoch DESC LIMIT 64) AS h)"""
# What a standby may have shown (`shown`) before it was asked, by the first that gives an answer. It shows a commit before it
# counts it as replayed, so one record, the one in replay's hands, may be shown and not counted.
# 1. The receiver streams: it delivered that record, so it was received. A receiver that starts again counts from the start of
#    a segment; all before that was counted as replayed by then. So: is it streaming; then the received position; then the
#    replayed one; in this order, and only where the first is not below the second.
# 2. Replay is paused: it waits between two records, so the replayed position, read after that was seen, is exact.
# 3. There is no archive that a record could come from: as 1, since a receiver that is gone has told all that it wrote.
# Else (archive recovery, just restarted) nobody can tell. In this order by CASE and by nesting: the planner keeps both.
# Columns of the receiver are NULL for accounts without pg_read_all_stats, its row is not.
_RECEIVED = """(SELECT received FROM (SELECT pg_last_wal_receive_lsn() AS received OFFSET 0) AS r
 WHERE received >= pg_last_wal_replay_lsn())"""
_SHOWN = f"""CASE WHEN pg_is_in_recovery() THEN COALESCE(
 CASE WHEN EXISTS (SELECT FROM pg_stat_wal_receiver WHERE coalesce(status, 'streaming') = 'streaming')
 THEN {_RECEIVED} END,
 CASE WHEN pg_get_wal_replay_pause_state() = 'paused' THEN pg_last_wal_replay_lsn() END,
 CASE WHEN current_setting('restore_command') = '' THEN {_RECEIVED} END) - '0/0'::pg_lsn END"""
_MARIA = """SELECT @@global.read_only, @@global.server_id, UNIX_TIMESTAMP() - s.uptime, CONNECTION_ID(),
 @@global.gtid_slave_pos, @@global.gtid_binlog_pos, @@global.gtid_binlog_state, s.slaves, s.semi = 'ON', s.waits, {rows},
 @@global.log_bin, @@global.log_slave_updates, VERSION(), @@max_allowed_packet
 FROM (SELECT MAX(IF(VARIABLE_NAME = 'UPTIME', VARIABLE_VALUE, NULL)) + 0 AS uptime,
 MAX(IF(VARIABLE_NAME = 'SLAVES_RUNNING', VARIABLE_VALUE, NULL)) + 0 AS slaves,
 MAX(IF(VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_STATUS', VARIABLE_VALUE, NULL)) AS semi,
 MAX(IF(VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_WAIT_SESSIONS', VARIABLE_VALUE, NULL)) + 0 AS waits
 FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME IN
 ('UPTIME', 'SLAVES_RUNNING', 'RPL_SEMI_SYNC_MASTER_STATUS', 'RPL_SEMI_SYNC_MASTER_WAIT_SESSIONS')) AS s"""
_MARIA_ROWS = """(SELECT JSON_ARRAYAGG(JSON_ARRAY(history, parent, fork, epoch, origin))
 FROM (SELECT * FROM {history} ORDER BY epoch DESC LIMIT 64) AS h)"""

_MYSQL_BRIEF = """SELECT @@global.gtid_owned, @@global.gtid_executed, {uptime}, CONNECTION_ID(),
 @@global.read_only OR @@global.super_read_only, @@global.server_uuid, @@global.gtid_mode, {semi}, {waits}, {rows},
 VERSION(), @@max_allowed_packet"""
_MYSQL = f"""{_MYSQL_BRIEF} FROM (SELECT MAX(IF(VARIABLE_NAME = 'Uptime', VARIABLE_VALUE, NULL)) + 0 AS uptime,
 MAX(IF(VARIABLE_NAME LIKE '%status', VARIABLE_VALUE, NULL)) AS semi,
 MAX(IF(VARIABLE_NAME LIKE '%sessions', VARIABLE_VALUE, NULL)) + 0 AS waits
 FROM performance_schema.global_status WHERE VARIABLE_NAME IN
 ('Uptime', 'Rpl_semi_sync_master_status', 'Rpl_semi_sync_source_status',
 'Rpl_semi_sync_master_wait_sessions', 'Rpl_semi_sync_source_wait_sessions')) AS s"""  # noqa: S608
_UNASKED = {"uptime": "0", "semi": "NULL", "waits": "NULL"}
_STATUS = {"uptime": "UNIX_TIMESTAMP() - s.uptime", "semi": "s.semi = 'ON'", "waits": "s.waits"}
# `gtid_owned` is read before `gtid_executed`: a transaction that leaves the one between the two reads is in the other.


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
    with_rows, without = (_POSTGRES.format(history=history, rows=told, shown=_SHOWN) for told in (rows, "NULL"))
    return with_rows, without


def postgres_observation(answer: Sequence[str | None], sent_at: float, rtt: float) -> Observation:
    """Its answer, as texts; "t" or "true" is yes."""
    recovering, started, position, wal_file, follows, system, synchronous, waiting, _, history, shown, flushed = answer
    replica = recovering in ("t", "true")
    timeline = int(wal_file[:8], 16) if wal_file else int(follows) if follows else 0
    reached = int(position or 0) if replica else without_header(int(position or 0))
    return Observation(
        role=Role.REPLICA if replica else Role.PRIMARY,
        incarnation=started or "",
        lineage=history_rows(history),
        origin=f"{system}:{timeline}" if timeline else "",
        reached=reached,
        sent_at=sent_at,
        rtt=rtt,
        synchronous=synchronous in ("t", "true"),
        waiting=int(waiting or 0) > 0,
        shown=standby_shown(shown) if replica else reached,  # the owner counts a commit before it shows it
        unflushed=bool(flushed) and reached > int(flushed or 0),
    )


def standby_shown(told: str | None) -> int | None:
    """What a standby may have shown, as it told it; None where nobody can tell."""
    return int(told) if told else None


FLUSHED = "SELECT txid_current()"
"""Makes PostgreSQL write down all that it has logged, within some 0.2 s: it takes a transaction number, whose end is logged. A
transaction that is read-only may do that, too."""


class Unflushed:
    """Whether PostgreSQL has to be told to write its log down. One endpoint's.

    | the last look  | this look                | told |
    |----------------|--------------------------|------|
    | all on disk    | any                      | no: a commit may be under way |
    | not all on disk| further on, or all       | no: commits come, and take all with them |
    | not all on disk| not all, at the same place| yes |
    """

    def __init__(self) -> None:
        self._at: object = None

    def looked(self, observation: Observation) -> bool:
        """After a look: whether it is to be told."""
        before, self._at = self._at, observation.reached if observation.unflushed else None
        return self._at is not None and before == self._at


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


def named(kind: str, version: str) -> str:
    """A server in words: "MySQL 8.0.36"; what distributions add to the number is left out."""
    return f"{kind} {version.partition('-')[0]}"


def maria_questions(history: str) -> tuple[str, str]:
    """What MariaDB is asked: with the rows of the history table, and without."""
    return _MARIA.format(rows=_MARIA_ROWS.format(history=history)), _MARIA.format(rows="NULL")


def maria_observation(answer: Sequence[Any], run: str, sent_at: float, rtt: float) -> Observation:
    """Its answer; its third and fourth column identify the `run`, once for a connection."""
    read_only, server, _, _, applied, written, state, slaves, semi, waits, history, *rest = answer
    logs, logs_applied, version, _ = rest
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
        shown=maria_shown(gtids(applied), gtids(written)) if logs and (logs_applied or not replica) else None,
        server=named("MariaDB", version),
    )


def maria_shown(applied: Gtids, written: Gtids) -> Gtids:
    """What a server that logs all it does may have shown: the newest of each domain, applied and logged together.

    1. A commit is written to the binary log, and counted there, before the engine shows it; `gtid_slave_pos` counts it after.
    2. A replica that had taken over the position of a backup may have an empty log: its `gtid_slave_pos` covers what is in it.
    3. Earlier ones of other servers in a domain are not named: a copy made from a backup could never prove them.
    """
    newest: dict[int, tuple[int, int, int]] = {}
    for gtid in (*applied, *written):
        if gtid[2] > newest.get(gtid[0], (0, 0, -1))[2]:
            newest[gtid[0]] = gtid
    return tuple(sorted(newest.values()))


def mysql_questions(history: str) -> tuple[str, str]:
    """What MySQL is asked: with the rows of the history table, and without."""
    return _MYSQL.format(rows=_MARIA_ROWS.format(history=history), **_STATUS), _MYSQL.format(rows="NULL", **_STATUS)


def mysql_brief_questions(history: str) -> tuple[str, str]:
    """The same without the status, which the server gathers from all its threads: of a known run, no semi-synchronous one."""
    rows = _MARIA_ROWS.format(history=history)
    return _MYSQL_BRIEF.format(rows=rows, **_UNASKED), _MYSQL_BRIEF.format(rows="NULL", **_UNASKED)


def mysql_observation(answer: Sequence[Any], run: str, sent_at: float, rtt: float) -> Observation:
    """Its answer; its third and fourth column identify the `run`, once for a connection."""
    owned, executed, _, _, read_only, uuid, mode, semi, waits, history, version, _ = answer
    replica, lineage = bool(read_only), history_rows(history)
    counts = str(mode).upper() == "ON"
    sets, committing = sets_of(executed), highest(sets_of(owned))
    origin = "" if replica else str(uuid).lower()
    return Observation(
        role=Role.REPLICA if replica else Role.PRIMARY,
        incarnation=run,
        lineage=lineage,
        origin=origin,
        reached=reached_of(sets, committing, lineage, origin) if counts else None,
        sent_at=sent_at,
        rtt=rtt,
        synchronous=bool(semi),
        waiting=bool(waits),
        shown=shown_of(committing, sets, lineage) if counts else None,
        server=named("MySQL", version),
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
        shown=position,  # it stands in the database, and is shown with what it counts
    )
