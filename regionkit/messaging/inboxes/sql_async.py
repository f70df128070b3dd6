"""An inbox in PostgreSQL, MariaDB or SQLite: claim, gate and effect commit in one transaction.

1. A numbered message of a key that is kept in order costs one UPDATE of its gate; it is dedup, order and parking in one.
2. Others cost one INSERT of a claim. Where it waits for another one's transaction, it waits as long as its run may take.
3. MariaDB: a claim that is there is an error 1062 of a plain INSERT, and the winner is read under a lock.
4. A key whose messages nobody numbered has a gate too: it is the lock that makes parking and arrival come one after another.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from copy import copy
from typing import Any

from sqlalchemy.exc import IntegrityError

from regionkit.contract.backing_async import async_backing_of
from regionkit.contract.kept_tables import make_with_kit
from regionkit.contract.unit_async import AsyncUnit
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.messaging.cipher import Cipher, sealed
from regionkit.messaging.delivery import Gate, Judged, Verdict, judge, judge_claim, moved
from regionkit.messaging.envelope import (
    NOTHING_BEFORE,
    Envelope,
    Number,
    encode,
    fingerprint,
    stored_id,
)
from regionkit.messaging.inboxes.applied_sql_async import has_applied
from regionkit.messaging.inboxes.batch_sql_async import AsyncSqlBatches
from regionkit.messaging.inboxes.cases_sql_async import AsyncSqlCases
from regionkit.messaging.inboxes.janitor_sql_async import AsyncSqlSweeping
from regionkit.messaging.inboxes.rows_sql import (
    InboxRows,
    Prepared,
    bucket_of,
    columns_of,
    gate_key,
    gate_of,
    require_taken,
    tables_expected,
)
from regionkit.messaging.kept_tables import IDEMPOTENCY, INBOX_TABLES
from regionkit.messaging.records_async import AsyncSqlRecords
from regionkit.messaging.retention import FOR_EVER, Retention
from regionkit.messaging.store_clock import StoreClock

__all__ = ["MOST_HELD", "AsyncSqlInbox"]

MOST_HELD = 10_000
"""Messages behind one parked key: beyond, they stay in the source, where they are bounded too."""


HOSPITAL_RETENTION = 90 * 86_400.0
"""Seconds for which cases that are over are kept: a quarter's questions can be answered."""

_APPLY = Judged(Verdict.APPLY)


class AsyncSqlInbox(AsyncSqlCases, AsyncSqlBatches, AsyncSqlSweeping):
    """An inbox beside the data of its effects. Safe to share between threads (tasks of one loop).

    Args:
        given: an engine of the application's, or a kit.
        store: which of a kit's stores.
        namespace: prefix of its tables; a kit's own counts for its stores.
        cipher: encrypts the bodies of held messages and cases; their keys, types and errors stand in plain.
        retention: seconds for which a claim is kept after its id was made; None: as long as `accept_for` of its consumer needs.
        forget_foreign_after: seconds for which a claim is kept whose id carries no time; default: for ever.
        hospital_retention: seconds for which cases that are over are kept, and what was done with them.
        clock: where time is read.
    """

    transactional = True
    gates = True
    effects: tuple[str, ...] = ("transaction", "external")
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        given: Any,
        *,
        store: str | None = None,
        namespace: str = "regionkit",
        cipher: Cipher | None = None,
        retention: float | None = None,
        forget_foreign_after: float = FOR_EVER,
        hospital_retention: float = HOSPITAL_RETENTION,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.given = given
        self.cipher = cipher
        self.hospital_retention = hospital_retention
        self.retention = Retention(retention, forget_foreign_after).checked()
        self.backing = async_backing_of(given, namespace=namespace, store=store, clock=clock)
        if "core" not in self.backing.capabilities.modes:
            raise ConfigurationError(
                f"{self.backing.name!r} cannot keep a SQL inbox.",
                fix="give an engine of PostgreSQL, MariaDB or SQLite.",
            )
        self.homes: Any = given.homes(store) if store is not None and hasattr(type(given), "homes") else None
        if self.homes is not None:
            self.effects = ("transaction",)  # the claims of others would stand in one part alone
        self.records = AsyncSqlRecords(given, store=store, namespace=namespace)
        self._clock = clock
        self._time = StoreClock(clock)
        make_with_kit(given, self)
        self._rows: InboxRows | None = None

    async def create_tables(self, timeout: float = 30.0) -> None:
        """Make what it keeps. Many processes may call it at the same time."""
        await self.backing.create_tables((*INBOX_TABLES, IDEMPOTENCY), Deadline(self._clock, timeout))

    def parts(self) -> dict[str, AsyncSqlInbox]:
        """Of a store whose keys have homes: an inbox for each part of it."""
        found: dict[str, AsyncSqlInbox] = {}
        for name, backing in self.homes.parts.items():
            part = found[name] = copy(self)
            part.backing, part.homes = backing, None
            part._rows, part._time = None, StoreClock(self._clock)
        return found

    async def open(self, deadline: Deadline) -> None:
        """See that its tables are there, and what time the database has."""
        async with self.unit(deadline, core=True) as unit:
            rows = self.rows_for(unit)
            with self.expected():
                await unit.native.execute(rows.is_held, {"b_scope": b"", "b_id": b""})
            self._time.set(float((await unit.native.execute(rows.now)).scalar_one()))

    def expected(self) -> AbstractContextManager[None]:
        """Inside, the tables are needed; `ConfigurationError` where one is not there."""
        return tables_expected(self.backing.name)

    def rows_for(self, unit: Any) -> InboxRows:
        """The statements of its dialect."""
        if self._rows is None:
            self._rows = InboxRows(self.backing.namespace, unit.native)
        return self._rows

    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""
        return self._time.now()

    @property
    def clock_due(self) -> bool:
        """Whether the database should be asked what time it has."""
        return self._time.due

    def unit(self, deadline: Deadline, *, core: bool = False) -> AbstractAsyncContextManager[AsyncUnit]:
        """A unit for an effect; with `core` for rows alone."""
        return self.backing.write(deadline=deadline, core=core, stamped=False)

    async def judge(self, unit: Any, scope: bytes, envelope: Envelope, *, ordered: bool) -> Judged:
        """What is to be done, by gate or claim; what it says stands in the unit's transaction."""
        if not ordered or envelope.key is None:
            return Judged(await self._claim(unit, scope, envelope))
        if envelope.number is not None:
            return await self._by_gate(unit, scope, envelope, envelope.number)
        return await self._by_lock(unit, scope, envelope)

    async def asked(self, native: Any, statement: Prepared, values: Any) -> Any:
        """What a prepared statement gives in the unit's transaction."""
        connection = native if hasattr(native, "exec_driver_sql") else await native.connection()
        return await connection.exec_driver_sql(
            statement.text, statement.values(values), execution_options=Prepared.OPTIONS
        )

    async def _by_gate(self, unit: Any, scope: bytes, envelope: Envelope, number: Number) -> Judged:
        native, rows, prev = unit.native, self.rows_for(unit), envelope.prev
        where = gate_key(scope, envelope)
        if prev.history == number.history:
            values = {"p_epoch": prev.epoch, "p_history": prev.history.encode(), "p_n": prev.n, "n_n": number.n}
            if (await self.asked(native, rows.advance, {**where, **values})).rowcount == 1:
                return _APPLY
        elif prev == NOTHING_BEFORE and await self.begin(unit, where, Gate(number)):
            return _APPLY
        gate = await self.locked_gate(native, rows, where)
        judged = judge(gate, number, prev)
        if judged.verdict is Verdict.APPLY:
            after = moved(gate, number)
            if gate is not None:
                await native.execute(rows.move_gate, {**where, **columns_of(after, "n_")})
            elif not await self.begin(unit, where, after):
                return Judged(Verdict.BUSY)  # another one began it just now: it is looked at again
            if judged.closes:
                await native.execute(rows.gap_due, {**where, "n_due": self.now()})
        elif judged.verdict is Verdict.HELD:
            return Judged(await self.hold(unit, scope, envelope))
        return judged

    async def _by_lock(self, unit: Any, scope: bytes, envelope: Envelope) -> Judged:
        native, rows = unit.native, self.rows_for(unit)
        where, row = gate_key(scope, envelope), self._claim_row(scope, envelope)
        verdict = await self._claimed(native, rows, rows.keyed_claim, {**row, **where})
        if verdict is Verdict.BUSY:  # there is no gate yet, or it is parked, or another one's claim was waited for
            gate = await self.locked_gate(native, rows, where)
            if gate is None:
                await self.begin(unit, where, Gate(NOTHING_BEFORE))
                gate = await self.locked_gate(native, rows, where)
            verdict = await self._claimed(native, rows, rows.claim, row)
            if verdict is Verdict.APPLY and gate is not None and gate.parked:
                verdict = await self.hold(unit, scope, envelope)
        return Judged(verdict)

    async def begin(self, unit: Any, where: dict[str, Any], gate: Gate) -> bool:
        """Whether the gate of a key was made."""
        values = {name.removeprefix("b_"): value for name, value in where.items()}
        return await self.insert(unit.native, self.rows_for(unit).begin_gate, {**values, **columns_of(gate)})

    async def locked_gate(self, native: Any, rows: InboxRows, where: dict[str, Any]) -> Gate | None:
        """The gate, locked until the transaction ends."""
        row = (await native.execute(rows.lock_gate, where)).first()
        return None if row is None else gate_of(row)

    async def _claim(self, unit: Any, scope: bytes, envelope: Envelope) -> Verdict:
        rows = self.rows_for(unit)
        return await self._claimed(unit.native, rows, rows.claim, self._claim_row(scope, envelope))

    def _claim_row(self, scope: bytes, envelope: Envelope) -> dict[str, Any]:
        return {
            "b_bucket": bucket_of(envelope.id),
            "b_scope": scope,
            "b_id": stored_id(envelope.id),
            "b_print": fingerprint(envelope),
            "b_seen_at": self.now(),
        }

    async def _claimed(self, native: Any, rows: InboxRows, claim: Prepared, row: dict[str, Any]) -> Verdict:
        """What a claim came to. BUSY: it has to be looked at again."""
        try:
            if (await self.asked(native, rows.of_day(claim, row["b_bucket"]), row)).rowcount == 1:
                return Verdict.APPLY
        except IntegrityError as error:
            require_taken(error)
        claimed = rows.of_day(rows.claimed, row["b_bucket"])
        stored = (
            await self.asked(native, claimed, {name: row[name] for name in ("b_bucket", "b_scope", "b_id")})
        ).scalar()
        return Verdict.BUSY if stored is None else judge_claim(bytes(stored), row["b_print"])

    async def hold(self, unit: Any, scope: bytes, envelope: Envelope) -> Verdict:
        """Put a message behind its parked key, the gate locked."""
        native, rows = unit.native, self.rows_for(unit)
        where, id = gate_key(scope, envelope), stored_id(envelope.id)
        if (await native.execute(rows.is_held, {"b_scope": scope, "b_id": id})).first() is not None:
            return Verdict.DUPLICATE
        if (await native.execute(rows.held_count, where)).scalar_one() >= MOST_HELD:
            return Verdict.BUSY
        number = envelope.number or NOTHING_BEFORE
        row = {
            **{name.removeprefix("b_"): value for name, value in where.items()},
            "id": id,
            "epoch": number.epoch,
            "n": number.n,
            "body": sealed(self.cipher, encode(envelope)),
            "held_at": self.now(),
        }
        await native.execute(rows.hold, row)
        return Verdict.HELD

    async def insert(self, native: Any, statement: Any, values: dict[str, Any]) -> bool:
        """Whether a row went in; False where its key is taken."""
        try:
            return bool((await native.execute(statement, values)).rowcount == 1)
        except IntegrityError as error:
            require_taken(error)
            return False

    async def start(self, scope: bytes, envelope: Envelope, deadline: Deadline, *, ordered: bool) -> int:
        """A run of a suspect begins, committed before it does. Which one it is, from 1; 0: it would not be applied now."""
        id = stored_id(envelope.id)
        async with self.unit(deadline, core=True) as unit:
            native, rows = unit.native, self.rows_for(unit)
            where = {"b_scope": scope, "b_id": id}
            if ordered and envelope.key is not None and envelope.number is not None:
                row = (await native.execute(rows.look_gate, gate_key(scope, envelope))).first()
                gate = None if row is None else gate_of(row)
                if judge(gate, envelope.number, envelope.prev).verdict is not Verdict.APPLY:
                    return 0
            if await self.insert(
                native, rows.begin_start, {"scope": scope, "id": id, "runs": 1, "seen_at": self.now()}
            ):
                return 1
            await native.execute(rows.start, where)
            return int((await native.execute(rows.runs, where)).scalar_one())

    async def unstart(self, scope: bytes, envelope: Envelope, started: int, deadline: Deadline) -> None:
        """That run did not come to an end that counts: it is taken back, if it was the last one."""
        async with self.unit(deadline, core=True) as unit:
            taken_back = {"b_scope": scope, "b_id": stored_id(envelope.id), "b_runs": started}
            await unit.native.execute(self.rows_for(unit).unstart, taken_back)

    async def has_applied(
        self, scope: bytes, envelope: Envelope, deadline: Deadline, *, ordered: bool, seen_in: str | None
    ) -> bool:
        """Whether a copy of the data shows that the message was taken. `seen_in`: only one of that region counts."""
        rows = self._rows
        if rows is None:  # it was away when the consumer began
            await self.open(deadline)
            return False
        bucket = bucket_of(envelope.id)
        return await has_applied(
            self.backing, rows, bucket, scope, envelope, deadline, ordered=ordered, seen_in=seen_in
        )

    async def close(self) -> None:
        """Close what it itself opened. May be called twice."""
        await self.records.close()
        await self.backing.close()
