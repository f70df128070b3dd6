"""An outbox in SQL: its statements, on a Connection inside of a transaction that somebody else began and ends.

The history of a number is looked up on the very server, and in the very transaction, that takes it: the row of the run counts
only where it names the server's incarnation. On PostgreSQL one statement takes the numbers and writes the rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import MetaData, Table, insert, literal_column, or_, select, text
from sqlalchemy import update as updating
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from regionkit.core.tables import table_name
from regionkit.errors import ConfigurationError
from regionkit.messaging import outbox_tables_sql as tables
from regionkit.messaging.columns_sql import NOW, is_missing
from regionkit.messaging.outbox_rules import Event, Place, Run, Taken, begun, in_order, numbered, takes

__all__ = ["AT_ONCE", "Execute", "OutboxSql", "parts", "unless_there"]

AT_ONCE = 200
"""Keys, or rows, of one statement where there are several: SQLite's least limit is 999 parameters."""
_RUN_TRIES = 3
"""Looks at the row of the run: it is not there, it is another server's, it is right."""

Execute = Callable[..., Any]
"""`execute(statement, parameters)` in a transaction: a sync Connection's, or an enlisted one's."""

_HERE = {
    "postgresql": "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)",
    "sqlite": "COALESCE((SELECT history FROM {history} ORDER BY epoch DESC LIMIT 1), '')",
}
"""What the server that runs the statement is called: PostgreSQL's timeline; of a file of SQLite its history."""

_ONE_STATEMENT = """
WITH run AS (SELECT epoch, history FROM {run} WHERE outbox = :outbox AND incarnation = {here}),
event AS (
  SELECT * FROM unnest(CAST(:destinations AS bytea[]), CAST(:keys AS bytea[]), CAST(:ids AS text[]), CAST(:bodies AS bytea[]),
    CAST(:lasts AS float8[]), CAST(:published AS float8[]), CAST(:expires AS float8[]), CAST(:ranks AS bigint[]))
    WITH ORDINALITY AS e(destination, key, id, body, lasts, published, expires, rank, place)),
taken AS (
  INSERT INTO {key} AS k (outbox, destination, key, epoch, history, n, prev_epoch, prev_history)
  SELECT CAST(:outbox AS bytea), c.destination, c.key, run.epoch, run.history, c.size, 0, ''
    FROM (SELECT destination, key, count(*) AS size FROM event WHERE key IS NOT NULL GROUP BY destination, key) c, run
    ORDER BY c.destination, c.key
  ON CONFLICT (outbox, destination, key) DO UPDATE SET epoch = excluded.epoch, history = excluded.history,
    n = k.n + excluded.n, prev_epoch = k.epoch, prev_history = k.history
  RETURNING destination, key, epoch, history, n, prev_epoch, prev_history)
INSERT INTO {rows} (outbox, destination, key, id, body, published_at, expires_at, epoch, history, n,
  prev_epoch, prev_history, prev_n, stuck, tomb)
SELECT CAST(:outbox AS bytea), e.destination, e.key, e.id, e.body,
  COALESCE(e.published, {now}), COALESCE(e.expires, {now} + e.lasts),
  COALESCE(t.epoch, 0), COALESCE(t.history, ''), COALESCE(t.n - e.rank, 0),
  COALESCE(CASE WHEN e.first THEN t.prev_epoch ELSE t.epoch END, 0),
  COALESCE(CASE WHEN e.first THEN t.prev_history ELSE t.history END, ''),
  COALESCE(t.n - e.rank - 1, 0), 0, ''
FROM (SELECT *, rank = max(rank) OVER (PARTITION BY destination, key) AS first FROM event) e
  CROSS JOIN run LEFT JOIN taken t ON t.destination = e.destination AND t.key = e.key
ORDER BY e.place
"""
"""`rank`: how many of the same key come after it. No row where the run is another server's."""


class OutboxSql:
    """The statements of one outbox. Safe to share: it changes only as it learns what the server is called."""

    def __init__(self, namespace: str, name: str) -> None:
        meta = MetaData()
        self.name = name.encode()
        self.rows = tables.outbox(meta, table_name(namespace, "outbox"))
        self.later = tables.outbox_later(meta, table_name(namespace, "outbox_later"))
        self.payload = tables.outbox_payload(meta, table_name(namespace, "outbox_payload"))
        self.key = tables.outbox_key(meta, table_name(namespace, "outbox_key"))
        self.run = tables.outbox_run(meta, table_name(namespace, "outbox_run"))
        self.lease = tables.outbox_lease(meta, table_name(namespace, "outbox_lease"))
        self.kept = (self.rows, self.later, self.payload, self.key, self.run, self.lease)
        self._history = table_name(namespace, "history")
        self._uid = ""
        self._one = text(
            _ONE_STATEMENT.format(
                run=self.run.name,
                key=self.key.name,
                rows=self.rows.name,
                here=_HERE["postgresql"],
                now=NOW["postgresql"],
            )
        )

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Inside, the tables are needed.

        Raises:
            ConfigurationError: they are not there.
        """
        try:
            yield
        except DBAPIError as error:
            if not is_missing(error) or not any(table.name in str(error.orig) for table in self.kept):
                raise
            raise ConfigurationError(
                f"outbox {self.name.decode()!r} has no tables.",
                why="rows and numbers of events are kept in the data's database; nothing was written.",
                fix="call create_tables() of the outbox once, and whenever you deploy.",
            ) from error

    # the run

    def _here(self, dialect: str, execute: Execute) -> str:
        """An expression: what the server is called."""
        if dialect in _HERE:
            return _HERE[dialect].format(history=self._history)
        if not self._uid:  # MariaDB has server_uid from some version on, MySQL server_uuid
            found = execute(text("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uid', 'server_uuid')"), None)
            self._uid = "CONCAT_WS('/', @@server_id" + "".join(f", @@{name}" for name, _ in found) + ")"
        return self._uid

    def ensure_run(self, dialect: str, execute: Execute) -> Run:
        """The run of this server; where the row names another server, or is not there, a new run begins."""
        c = self.run.c
        here: Any = literal_column(self._here(dialect, execute))
        now: Any = literal_column(NOW[dialect])
        for attempt in range(_RUN_TRIES):
            wanted = select(c.epoch, c.history, c.incarnation, here, now).where(c.outbox == self.name)
            found = execute(wanted.with_for_update() if attempt else wanted, None).first()
            if found is None:
                incarnation, at = execute(select(here, now), None).one()
                made = _run_values(begun(0, incarnation, now=float(at)), incarnation)
                made |= {"outbox": self.name, "lineage": str(uuid.uuid4())}
                execute(unless_there(dialect, self.run, made), None)
                continue
            epoch, history, named, incarnation, at = found
            if named == incarnation:
                return Run(int(epoch), bytes(history).decode())
            if attempt:  # the row is locked
                run = begun(int(epoch), incarnation, now=float(at))
                changed = updating(self.run).where(c.outbox == self.name).values(_run_values(run, incarnation))
                execute(changed, None)
                return run
        raise ConfigurationError(
            f"the run of outbox {self.name.decode()!r} was deleted while it was read.",
            fix="find out who else writes to its tables.",
        )

    def lineage(self, dialect: str, execute: Execute) -> str:
        """Of the outbox, once it has a run."""
        found: str = execute(select(self.run.c.lineage).where(self.run.c.outbox == self.name), None).scalar_one()
        return found

    # writing

    def write(self, dialect: str, execute: Execute, events: Sequence[Event], shared: Mapping[str, bytes]) -> None:
        """Take numbers and write rows. `shared`: by id, the envelopes of events that have several rows."""
        if shared:
            execute(
                insert(self.payload),
                [{"outbox": self.name, "id": id, "body": body} for id, body in sorted(shared.items())],
            )
        later = [event for event in events if event.delay > 0]
        if later:
            self._write_later(dialect, execute, later)
        due = in_order(event for event in events if event.delay <= 0)
        if not due:
            return
        if dialect != "postgresql":
            self._write_steps(dialect, execute, due)
            return
        parameters = self._arrays(due)
        if execute(self._one, parameters).rowcount != len(due):
            self.ensure_run(dialect, execute)
            written = execute(self._one, parameters).rowcount
            assert written == len(due), (written, len(due))

    def _arrays(self, due: Sequence[Event]) -> dict[str, Any]:
        left, ranks = takes(due), []
        for e in due:
            if e.key is None:
                ranks.append(0)
                continue
            left[e.destination, e.key] -= 1
            ranks.append(left[e.destination, e.key])
        return {
            "outbox": self.name,
            "destinations": [e.destination for e in due],
            "keys": [e.key for e in due],
            "ids": [e.id for e in due],
            "bodies": [e.body for e in due],
            "lasts": [e.expires_in for e in due],
            "published": [e.published_at for e in due],
            "expires": [e.expires_at for e in due],
            "ranks": ranks,
        }

    def _write_steps(self, dialect: str, execute: Execute, due: Sequence[Event]) -> None:
        now = float(execute(select(literal_column(NOW[dialect])), None).scalar())
        taken = self._take(dialect, execute, takes(due))
        written = [
            {
                **self._row(e, now),
                "epoch": 0 if number is None else number.epoch,
                "history": b"" if number is None else number.history.encode(),
                "n": 0 if number is None else number.n,
                "prev_epoch": prev.epoch,
                "prev_history": prev.history.encode(),
                "prev_n": prev.n,
                "stuck": 0,
                "tomb": "",
            }
            for e, number, prev in numbered(due, taken)
        ]
        execute(insert(self.rows), written)

    def _take(self, dialect: str, execute: Execute, sizes: Mapping[Place, int]) -> dict[Place, Taken]:
        """Numbers for keys, locked in the order in which they come."""
        if not sizes:
            return {}
        run, c, taken = self.ensure_run(dialect, execute), self.key.c, {}
        history = run.history.encode()
        for places in parts(list(sizes)):
            rows = [
                {"outbox": self.name, "destination": destination, "key": key, "n": sizes[destination, key]}
                | {"epoch": run.epoch, "history": history, "prev_epoch": 0, "prev_history": b""}
                for destination, key in places
            ]
            execute(_counted(dialect, self.key, rows), None)
            wanted = select(c.destination, c.key, c.epoch, c.history, c.n, c.prev_epoch, c.prev_history)
            for row in execute(wanted.where(c.outbox == self.name, or_(*_among(c, places))), None):
                destination, key, epoch, told, n, prev_epoch, prev_history = row
                place = (bytes(destination), bytes(key))
                before = bytes(prev_history).decode()
                taken[place] = Taken(int(epoch), bytes(told).decode(), int(n), int(prev_epoch), before)
        return taken

    def _write_later(self, dialect: str, execute: Execute, events: Sequence[Event]) -> None:
        now = float(execute(select(literal_column(NOW[dialect])), None).scalar())
        execute(insert(self.later), [{**self._row(e, now), "due_at": now + e.delay} for e in events])

    def _row(self, e: Event, now: float) -> dict[str, Any]:
        """What a row of a message has, due or not."""
        return {
            "outbox": self.name,
            "destination": e.destination,
            "key": e.key,
            "id": e.id,
            "body": e.body,
            "published_at": now if e.published_at is None else e.published_at,
            "expires_at": e.expires_at if e.expires_in is None else now + e.expires_in,
        }


def _run_values(run: Run, incarnation: str) -> dict[str, Any]:
    return {"epoch": run.epoch, "history": run.history.encode(), "incarnation": incarnation}


def parts(found: Sequence[Any], size: int = AT_ONCE) -> Iterator[Sequence[Any]]:
    """Pieces for one statement each."""
    for at in range(0, len(found), size):
        yield found[at : at + size]


def _among(c: Any, places: Sequence[Place]) -> Iterator[Any]:
    for destination in dict.fromkeys(destination for destination, _ in places):
        yield (c.destination == destination) & c.key.in_([key for to, key in places if to == destination])


def unless_there(dialect: str, table: Table, values: Mapping[str, Any]) -> Any:
    """Insert a row where none stands. MySQL: its first column must be `outbox`."""
    match dialect:
        case "postgresql":
            return postgresql.insert(table).values(values).on_conflict_do_nothing()
        case "sqlite":
            return sqlite.insert(table).values(values).on_conflict_do_nothing()
    return mysql.insert(table).values(values).on_duplicate_key_update(outbox=table.c.outbox)


def _counted(dialect: str, table: Table, rows: list[dict[str, Any]]) -> Any:
    """Insert keys, or move them on."""
    k = table.c
    if dialect == "sqlite":
        adding: Any = sqlite.insert(table).values(rows)
        new = adding.excluded
        then = {"prev_epoch": k.epoch, "prev_history": k.history, "n": k.n + new.n}
        then |= {"epoch": new.epoch, "history": new.history}
        return adding.on_conflict_do_update(index_elements=["outbox", "destination", "key"], set_=then)
    counting = mysql.insert(table).values(rows)
    new = counting.inserted
    assigned: list[tuple[str, Any]] = [("prev_epoch", k.epoch), ("prev_history", k.history), ("n", k.n + new.n)]
    assigned += [("epoch", new.epoch), ("history", new.history)]
    return counting.on_duplicate_key_update(assigned)  # in this order: each assignment sees those before it
