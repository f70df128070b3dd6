"""An outbox in SQL, as a relay sees it: what may be published, what is settled, what became due, what is stuck.

Each change names the epoch of the destination's lease: that of a relay which was overtaken changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Double,
    LargeBinary,
    MetaData,
    and_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    true,
    update,
)

from regionkit.core.ids import uuid7
from regionkit.core.storable import storable
from regionkit.core.tables import table_name
from regionkit.messaging.columns_sql import NOW
from regionkit.messaging.envelope import Malformed, Number, decode, stored_id
from regionkit.messaging.inbox_tables_sql import hospital, hospital_event
from regionkit.messaging.outbox_facts import Backlog, OutboxReport
from regionkit.messaging.outbox_rules import BATCH, Event, Overtaken, Polled, Row
from regionkit.messaging.outbox_sql import Execute, OutboxSql, parts, unless_there

__all__ = ["RelaySql"]

MOST_CASES = 1000
"""Cases of a destination that are shown at once."""
_XMIN, _XMAX = (f"CAST(CAST(pg_snapshot_{end}(pg_current_snapshot()) AS text) AS bigint)" for end in ("xmin", "xmax"))

_SETTLED = """
DELETE FROM {rows} WHERE seq = ANY(CAST(:seqs AS bigint[])) AND set_config('synchronous_commit', 'off', true) = 'off'
  AND EXISTS (SELECT 1 FROM {lease} WHERE outbox = :outbox AND destination = :destination AND epoch = :epoch)
"""
"""One text for any number of rows, that is prepared. Lost with a crash, they are published again: nobody waits for the disk."""

_OPEN = """
SELECT COALESCE(extract(epoch FROM max(clock_timestamp() - xact_start) FILTER (WHERE backend_xmin IS NOT NULL)), 0),
  (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class RelaySql(OutboxSql):
    """The statements of an outbox and its relay."""

    def __init__(self, namespace: str, name: str) -> None:
        super().__init__(namespace, name)
        meta = MetaData()
        self.case = hospital(meta, table_name(namespace, "hospital"))
        self._settled = text(_SETTLED.format(rows=self.rows.name, lease=self.lease.name))
        self.case_event = hospital_event(meta, table_name(namespace, "hospital_event"))
        self._polls: dict[str, Any] = {}

    def take_over(self, dialect: str, execute: Execute, destination: bytes) -> int:
        """The epoch of a destination, one more than before."""
        c, mine = self.lease.c, {"outbox": self.name, "destination": destination}
        execute(unless_there(dialect, self.lease, mine | {"epoch": 0}), None)
        here = (c.outbox == self.name) & (c.destination == destination)
        execute(update(self.lease).where(here).values(epoch=c.epoch + 1), None)
        return int(execute(select(c.epoch).where(here), None).scalar_one())

    def poll(self, dialect: str, execute: Execute, destination: bytes, floor: int, most: int) -> Polled:
        """Rows that may be published, in order; those whose key waits for one that is stuck are left out."""
        is_pg = dialect == "postgresql"
        given = {"b_destination": destination, "b_floor": floor, "b_most": most}
        told = execute(self._polling(dialect), given).all()
        if not told:
            return Polled([], 0.0, 0)
        at = 5 if is_pg else 3
        found_now, epoch, is_due, *snapshot = told[0][:at]
        rows = sorted((row[at:] for row in told if row[at] is not None), key=lambda row: row[0])
        bodies = self._shared(execute, [row[1] for row in rows if row[3] is None])
        return Polled(
            [_row(row, bodies) for row in rows], float(found_now), int(epoch), bool(is_due), *map(int, snapshot)
        )

    def _polling(self, dialect: str) -> Any:
        """The statement of a poll: made once, as making it takes SQLAlchemy longer than running it."""
        made = self._polls.get(dialect)
        if made is not None:
            return made
        r, lease = self.rows.c, self.lease.c
        other = self.rows.alias()
        to: Any = bindparam("b_destination")
        waiting = select(other.c.key).where(
            other.c.outbox == self.name, other.c.destination == to, other.c.stuck == 1, other.c.key.is_not(None)
        )
        mine = and_(r.outbox == self.name, r.destination == to, r.stuck == 0, r.seq > bindparam("b_floor"))
        found = (
            select(self.rows)
            .where(mine, r.key.is_(None) | r.key.not_in(waiting))
            .order_by(r.seq)
            .limit(bindparam("b_most"))
            .subquery()
        )
        w, now = self.later.c, literal_column(NOW[dialect], Double)
        due = exists().where(w.outbox == self.name, w.destination == to, w.due_at <= now)
        state: list[Any] = [now, lease.epoch, due]
        state += [literal_column(end) for end in (_XMIN, _XMAX) if dialect == "postgresql"]
        f = found.c
        wanted = (
            select(*state, f.seq, f.id, f.key, f.body, f.epoch, f.history, f.n, f.prev_epoch, f.prev_history, f.prev_n)
            .add_columns(f.published_at, f.expires_at, f.tomb)
            .select_from(self.lease.outerjoin(found, true()))
            .where(lease.outbox == self.name, lease.destination == to)
        )
        self._polls[dialect] = wanted
        return wanted

    def _shared(self, execute: Execute, ids: Sequence[str]) -> dict[str, bytes]:
        c, found = self.payload.c, {}
        for part in parts(ids):
            for id, body in execute(select(c.id, c.body).where(c.outbox == self.name, c.id.in_(part)), None):
                found[id] = bytes(body)
        return found

    def settle_and_poll(
        self,
        dialect: str,
        execute: Execute,
        destination: bytes,
        epoch: int,
        settled: Sequence[int],
        stuck: Sequence[tuple[Row, str, bytes]],
        floor: int,
        most: int,
    ) -> Polled:
        """Delete what was confirmed, mark what was refused for good, look for more."""
        fence = self._fence(destination, epoch)
        if dialect == "postgresql":
            given = {"seqs": list(settled), "outbox": self.name, "destination": destination, "epoch": epoch}
            execute(self._settled, given)
        else:
            for part in parts(settled, BATCH):
                execute(delete(self.rows).where(self.rows.c.seq.in_(part), fence), None)
        for row, why, body in stuck:
            marked = update(self.rows).where(self.rows.c.seq == row.seq, fence).values(stuck=1)
            if execute(marked, None).rowcount:
                self._admit(dialect, execute, destination, row, why, body)
        return self.poll(dialect, execute, destination, floor, most)

    def _admit(self, dialect: str, execute: Execute, destination: bytes, row: Row, why: str, body: bytes) -> None:
        """A case for what a target refused; the next refusal of the same message is another attempt of it."""
        c, scope = self.case.c, self.scope(destination)
        now: Any = literal_column(NOW[dialect])
        here = and_(c.scope == scope, c.message_id == stored_id(row.id))
        found = execute(select(c.case_id).where(here), None).scalar()
        if found is not None:
            again = {"status": "admitted", "attempts": c.attempts + 1, "error": why, "changed_at": now}
            execute(update(self.case).where(here).values(again), None)
        else:
            try:
                type = decode(body).type
            except Malformed:
                type = ""
            found = str(uuid7())
            values = {
                "case_id": found,
                "scope": scope,
                "message_id": stored_id(row.id),
                "status": "admitted",
                "reason": "refused",
                "type": storable(type),
                "lineage": b"",
                "key": row.key,
                "parks": int(row.key is not None),
                "attempts": 1,
                "error_type": "Refused",
                "error": why,
                "stack": "",
                "stack_group": "",
                "region": "",
                "source": destination.decode("utf-8", "replace")[:200],
                "position": str(row.seq),
                "body": body,
                "admitted_at": now,
                "changed_at": now,
            }
            execute(insert(self.case).values(values), None)
        self._tell(execute, found, now, "relay", "admitted", why)

    def _tell(self, execute: Execute, case_id: str, now: Any, who: str, what: str, reason: str) -> None:
        values = {"case_id": case_id, "at": now, "who": who, "what": what, "reason": reason}
        execute(insert(self.case_event).values(values), None)

    def scope(self, destination: bytes) -> bytes:
        """Of the cases of a destination."""
        return stored_id(f"outbox/{self.name.decode()}/{destination.decode('utf-8', 'surrogatepass')}")

    def release(
        self, dialect: str, execute: Execute, destination: bytes, id: str, status: str, who: str, reason: str
    ) -> bool:
        """A stuck message goes on: "retrying" as itself, "buried" as a tombstone. False: it is not stuck.

        The epoch is raised: the relay that has the destination looks at everything anew, so that what waited goes first.
        """
        r, c = self.rows.c, self.case.c
        now: Any = literal_column(NOW[dialect])
        here = and_(r.outbox == self.name, r.destination == destination, r.id == id, r.stuck == 1)
        values = {"stuck": 0} | ({"tomb": "buried"} if status == "buried" else {})
        if not execute(update(self.rows).where(here).values(values), None).rowcount:
            return False
        self.take_over(dialect, execute, destination)
        of = and_(c.scope == self.scope(destination), c.message_id == stored_id(id))
        execute(update(self.case).where(of).values(status=status, changed_at=now), None)
        for (found,) in execute(select(c.case_id).where(of), None).all():
            self._tell(execute, found, now, who, status, reason)
        return True

    def cases(self, dialect: str, execute: Execute, destinations: Sequence[bytes]) -> list[tuple[Any, ...]]:
        """What is stuck: destination, id, body of the case, error, attempts, since when."""
        c, r = self.case.c, self.rows.c
        found: list[tuple[Any, ...]] = []
        for to in destinations:
            wanted = select(r.id, c.body, c.error, c.attempts, c.admitted_at).order_by(r.seq).limit(MOST_CASES)
            here = and_(r.outbox == self.name, r.destination == to, r.stuck == 1, c.scope == self.scope(to))
            same = c.message_id == cast(r.id, LargeBinary) if dialect != "mysql" else c.message_id == r.id
            if dialect == "postgresql":
                same = c.message_id == func.convert_to(r.id, "UTF8")
            found += [(to, *row) for row in execute(wanted.where(here, same), None)]
        return found

    def measure(self, dialect: str, execute: Execute, destinations: Sequence[bytes]) -> OutboxReport:
        """What stands in it."""
        r, w, now = self.rows.c, self.later.c, literal_column(NOW[dialect], Double)
        backlogs = []
        for to in destinations:
            here = and_(r.outbox == self.name, r.destination == to)
            counted = select(func.count(), func.min(r.published_at), func.sum(r.stuck), now).where(here)
            rows, oldest, stuck, at = execute(counted, None).one()
            later = execute(
                select(func.count()).select_from(self.later).where(w.outbox == self.name, w.destination == to), None
            ).scalar()
            age = 0.0 if oldest is None else max(0.0, float(at) - float(oldest))
            backlogs.append(Backlog(to.decode("utf-8", "replace"), int(rows), age, int(stuck or 0), int(later)))
        snapshot, prepared = execute(text(_OPEN), None).one() if dialect == "postgresql" else (0, 0)
        return OutboxReport(self.name.decode(), tuple(backlogs), float(snapshot), int(prepared))

    def move_due(self, dialect: str, execute: Execute, destination: bytes, epoch: int) -> int:
        """Delayed messages that are due become rows, and take their numbers now; how many."""
        w, now = self.later.c, literal_column(NOW[dialect], Double)
        wanted = (
            select(w.seq, w.id, w.key, w.body, w.published_at, w.expires_at, w.expires_at <= now)
            .where(w.outbox == self.name, w.destination == destination, w.due_at <= now)
            .order_by(w.due_at, w.seq)
            .limit(BATCH)
        )
        found = execute(wanted, None).all()
        gone = sum(
            execute(delete(self.later).where(w.seq.in_(part), self._fence(destination, epoch)), None).rowcount
            for part in parts([row[0] for row in found], BATCH)
        )
        if gone != len(found):
            raise Overtaken
        events = [
            Event(
                id,
                destination,
                None if key is None else bytes(key),
                None if body is None else bytes(body),
                published_at=published_at,
                expires_at=expires_at,
            )
            for _, id, key, body, published_at, expires_at, over in found
            if not over
        ]
        self.write(dialect, execute, events, {})
        return len(found)

    def sweep(self, dialect: str, execute: Execute) -> int:
        """Payloads of several destinations that none waits for any more, a few; how many."""
        p, r, w = self.payload.c, self.rows.c, self.later.c
        needed = [exists().where(t.outbox == self.name, t.id == p.id) for t in (r, w)]
        over = select(p.id).where(p.outbox == self.name, ~or_(*needed)).limit(BATCH)
        ids = [id for (id,) in execute(over, None)]
        for part in parts(ids):
            execute(delete(self.payload).where(p.outbox == self.name, p.id.in_(part)), None)
        return len(ids)

    def _fence(self, destination: bytes, epoch: int) -> Any:
        c = self.lease.c
        return exists().where(c.outbox == self.name, c.destination == destination, c.epoch == epoch)


def _row(row: Sequence[Any], bodies: Mapping[str, bytes]) -> Row:
    seq, id, key, body, epoch, history, n, prev_epoch, prev_history, prev_n, published_at, expires_at, tomb = row
    return Row(
        seq,
        id,
        None if key is None else bytes(key),
        bodies.get(id, b"") if body is None else bytes(body),
        Number(epoch, bytes(history).decode(), n) if n else None,
        Number(prev_epoch, bytes(prev_history).decode(), prev_n),
        published_at,
        expires_at,
        tomb,
    )
