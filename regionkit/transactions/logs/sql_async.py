"""A decision log in PostgreSQL, MariaDB, MySQL or SQLite.

1. A decision is one short transaction in one message: one round trip. Its unique key lets the second one wait for the first;
   what stands is then read, and is what counts.
2. What was sent and not answered is unknown, whatever the row says a moment later: it may still be queued on the server. A
   warning at COMMIT (PostgreSQL gave up waiting for its replicas) is no answer.
3. Its history is the data's, and names the server too: after a failover it is another, and the log presumes nothing.
4. `open` refuses a server that may lose what it acknowledged.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from regionkit.contract.backing_async import AsyncBacking, async_backing_of
from regionkit.contract.message import Answer, Statement
from regionkit.contract.unit_async import AsyncUnit
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency_async import AsyncLock
from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.core.given import check_flag
from regionkit.errors import (
    ConfigurationError,
    DeadlineExceeded,
    Fenced,
    OutcomeUnknown,
    RegionUnavailable,
    TransactionRolledBack,
)
from regionkit.facts.consistency import STRONG
from regionkit.transactions.findings import Finding
from regionkit.transactions.kept_tables import LOG_TABLES
from regionkit.transactions.logs import log_errors
from regionkit.transactions.logs.greeted_sql_async import greeted
from regionkit.transactions.logs.lasting_sql import Standing
from regionkit.transactions.logs.log_async import LogFacts, unread
from regionkit.transactions.logs.log_sql import DONE, OPEN, LogSql, missing, quoted, refused, row_of
from regionkit.transactions.logs.same_place_sql_async import is_same
from regionkit.transactions.participants.participant_async import AsyncParticipant
from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_rules import RETENTION, Row, oldest_kept
from regionkit.transactions.xid import check_gtrid

__all__ = ["AsyncSqlDecisionLog"]

T = TypeVar("T")
AT_ONCE = 500
"""Rows of one statement: its text stays far below what servers take, and SQLite below its parameters."""
MOST_ROUNDS = 8
"""Runs of one change that the server rolls back, or whose row is gone again: short transactions are over after one or two."""
LOWEST = "0" * 32


class AsyncSqlDecisionLog:
    """Safe to share between threads (tasks of one loop).

    Args:
        given: an engine of the application's, or a kit.
        store: which of a kit's stores.
        unsafe_async_replica: take a server that may lose what it acknowledged; `doctor` says by what.
        clock: the clock to use.

    Raises:
        ConfigurationError: `given` is no SQL server.
    """

    def __init__(
        self,
        given: Any,
        *,
        store: str | None = None,
        unsafe_async_replica: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.given = given
        self.store = store
        check_flag("unsafe_async_replica", unsafe_async_replica)
        self._unsafe = unsafe_async_replica
        self._clock = clock
        self._backing: AsyncBacking | None = None
        self._sql: LogSql | None = None
        self._turns = AsyncLock()
        probe = async_backing_of(given, store=store, clock=clock)
        self.name = probe.name
        if "core" not in probe.capabilities.modes:
            raise log_errors.no_log(probe.name)

    def _stands(self, namespace: str) -> tuple[AsyncBacking, LogSql]:
        if self._backing is None:
            self._backing = async_backing_of(self.given, namespace=namespace, store=self.store, clock=self._clock)
        if self._sql is None:
            self._sql = LogSql(self._backing.capabilities.server, self._backing.namespace)
        return self._backing, self._sql

    @property
    def _stood(self) -> AsyncBacking:
        assert self._backing is not None, "the manager opens its log first"
        return self._backing

    @property
    def _texts(self) -> LogSql:
        assert self._sql is not None, "the manager opens its log first"
        return self._sql

    async def create_tables(self, namespace: str, deadline: Deadline) -> None:
        """Make what it keeps, and its id, unless it is there."""
        backing, sql = self._stands(namespace)
        await backing.create_tables(LOG_TABLES, deadline)
        history, _ = await self._standing(deadline)
        made = {"log_id": os.urandom(4).hex(), "history": history, "floor": LOWEST}
        for id in (2, 1):  # who finds row 1, finds both
            try:
                async with self._write(deadline) as unit:
                    if not (await unit.native.execute(text(sql["has_meta"]), {"id": id})).scalar():
                        await unit.native.execute(text(sql["make_meta"]), {"id": id, **made})
            except IntegrityError:
                continue  # another process made it just now

    async def open(self, namespace: str, deadline: Deadline, *, risky: bool = False) -> LogFacts:
        """Look at it.

        Raises:
            ConfigurationError: it is not there, or may lose what it acknowledges.
            Fenced: its server was promoted, and nobody has adopted it.
        """
        self._stands(namespace)
        history, stands = await self._standing(deadline)
        risks = () if self._unsafe else stands.risks
        if risks and not risky:
            raise ConfigurationError(
                f"log {self.name!r} may lose decisions that it acknowledged: {risks[0].what}.",
                why="a lost decision leaves one branch committed and another one rolled back.",
                fix=f"{risks[0].fix} Only where that may happen: unsafe_async_replica=True.",
            )
        facts = await self._facts(history, deadline)
        return msgspec.structs.replace(facts, risk=risks[0].what) if risks else facts

    async def _standing(self, deadline: Deadline) -> tuple[str, Standing]:
        """Its history now, and where it stands."""
        try:
            async with self._write(deadline) as unit:
                self._sql, found = await greeted(unit, self._texts, self._stood.namespace, self._stood.copies)
        except Fenced as error:
            raise Fenced(
                f"log {self.name!r} has failed over.",
                why=f"{error.why} Decisions may be missing.",
                fix="check that none is missing, then `regionkit tpc log adopt`; in a kit kit.adopt(store, region) first.",
            ) from error
        owner = await self._stood.owner(deadline=deadline)
        here = hashlib.sha256(found.here.encode()).hexdigest()[:12]
        return f"{owner.history}.{here}", found

    async def _facts(self, history: str, deadline: Deadline) -> LogFacts:
        try:
            async with self._write(deadline) as unit:
                found = (await unit.native.execute(text(self._texts["facts"]))).first()
        except DBAPIError as error:
            if not missing(error):
                raise
            raise log_errors.never_made(self.name) from error
        if found is None:
            raise log_errors.never_made(self.name)
        self._texts.own = found[0]
        return LogFacts(found[0], history, found[1], found[2], float(found[3]))

    async def decide(
        self, gtrid: str, want: Decision, branches: Sequence[str], by: str, deadline: Deadline
    ) -> Decision:
        """Insert `want` unless the gtrid has a row (or is closed); the winner.

        Raises:
            OutcomeUnknown: no answer came. A row may stand, now or later.
            RegionUnavailable, DeadlineExceeded: nothing was sent.
            UsageError: no gtrid, or no names of branches.
        """
        sql = self._texts
        wanted = sql.decide(gtrid, want, branches, by)
        for _ in range(MOST_ROUNDS):
            try:
                crash_point("log.deciding")
                await self._message(wanted, deadline)
                crash_point("log.decided")
                return want
            except TransactionRolledBack:
                continue  # a deadlock, or a change of the floor: nothing was done
            except DBAPIError as error:
                if not refused(error):
                    raise
                floor, rows = await self._winner(gtrid, deadline)
            if rows:
                return rows[0].decision
            if gtrid <= floor:
                return Decision.ABORT
        raise log_errors.overtaken(self.name, MOST_ROUNDS)

    async def _winner(self, gtrid: str, deadline: Deadline) -> tuple[str, list[Row]]:
        """What the decision met: it was sent, so whatever keeps this from being read leaves the winner unknown."""
        try:
            return await self._read(self._texts.rows([gtrid]), deadline)
        except (RegionUnavailable, DeadlineExceeded) as error:
            raise log_errors.unread_winner(self.name, gtrid, error) from error

    async def row(self, gtrid: str, deadline: Deadline) -> Row | None:
        """What stands there, known as durable."""
        return (await self.rows([gtrid], deadline)).get(gtrid)

    async def rows(self, gtrids: Sequence[str], deadline: Deadline) -> dict[str, Row]:
        """The same for many."""
        found: dict[str, Row] = {}
        for at in range(0, len(gtrids), AT_ONCE):
            rows = await self._rows(self._texts.rows(gtrids[at : at + AT_ONCE]), deadline)
            found |= {row.gtrid: row for row in rows}
        return found

    async def open_rows(self, most: int, deadline: Deadline, *, after: str = "") -> list[Row]:
        """COMMIT rows that are not done, and all that bear a hazard."""
        return await self._rows(self._texts.read(OPEN, most, after), deadline)

    async def done_rows(self, most: int, deadline: Deadline, *, after: str = "") -> list[Row]:
        """COMMIT rows that are done."""
        return await self._rows(self._texts.read(DONE, most, after), deadline)

    async def acknowledge(self, acknowledged: Mapping[str, Mapping[str, str]], deadline: Deadline) -> None:
        """By gtrid and branch, the participant's history. Two statements for many rows; a lost one is repeated by recovery."""
        sql, gtrids = self._texts, sorted(acknowledged)
        for at in range(0, len(gtrids), AT_ONCE):
            found = Statement(sql["branches"] % {"gtrids": quoted(gtrids[at : at + AT_ONCE])})
            lazy = [Statement("SET LOCAL synchronous_commit = off")] if sql.server == "postgresql" else []
            async with self._write(deadline) as unit:
                rows = (await unit.message([*sql.begin[:1], *lazy, found]))[-1].rows
                if rows:
                    change, values = sql.acknowledge(rows, acknowledged)
                    await unit.native.execute(text(change), values)

    async def hazard(self, gtrid: str, branch: str, what: str, deadline: Deadline) -> None:
        """Keep it with the row; a row is made (ABORT) where there is none."""

        async def keep(unit: AsyncUnit) -> None:
            known = await self._hazards(unit, gtrid)
            hazards = msgspec.json.encode({**(known or {}), branch: what}).decode()
            change = self._texts["make_hazard" if known is None else "set_hazards"]
            await unit.native.execute(text(change), {"gtrid": gtrid, "hazards": hazards})

        await self._changed(keep, deadline)

    async def _hazards(self, unit: AsyncUnit, gtrid: str) -> dict[str, str] | None:
        row = (await unit.native.execute(text(self._texts["hazards"]), {"gtrid": check_gtrid(gtrid)})).first()
        return None if row is None else msgspec.json.decode(row[0], type=dict[str, str])

    async def forget(self, gtrid: str, deadline: Deadline) -> bool:
        """An operator has seen the hazards; whether there were any."""

        async def drop(unit: AsyncUnit) -> bool:
            found = (await unit.native.execute(text(self._texts["locked"]), {"gtrid": check_gtrid(gtrid)})).first()
            if values := self._texts.forgotten(found):
                await unit.native.execute(text(self._texts["forget"]), values)
            return values is not None

        return await self._changed(drop, deadline)

    async def adopt(self, deadline: Deadline) -> LogFacts:
        """Note the present history; of an engine's database also that this server is the one that counts.

        Raises:
            Fenced: a kit's store was promoted: adopt it there first.
        """
        await self._stood.create_tables(LOG_TABLES, deadline)
        history, _ = await self._standing(deadline)
        async with self._write(deadline) as unit:
            await unit.native.execute(text(self._texts["adopt"]), {"history": history})
        return await self._facts(history, deadline)

    async def note_participant(self, name: str, instance: str, deadline: Deadline, *, adopt: bool = False) -> str:
        """The instance noted under the name; `instance` where there was none, or with `adopt`."""

        async def note(unit: AsyncUnit) -> str:
            values = {"name": name, "instance": instance}
            noted = (await unit.native.execute(text(self._texts["instance"]), {"name": name})).scalar()
            if noted is not None and not adopt:
                return str(noted)
            change = self._texts["make_instance" if noted is None else "set_instance"]
            await unit.native.execute(text(change), values)
            return instance

        if self._texts.server == "sqlite" and not adopt:  # the branch of this very transaction may hold its write lock
            async with self._stood.read(consistency=STRONG, deadline=deadline, core=True) as unit:
                found = (await unit.native.execute(text(self._texts["instance"]), {"name": name})).scalar()
            if found is not None:
                return str(found)
        return await self._changed(note, deadline)

    async def beat(self, lasts: float, deadline: Deadline) -> None:
        """A recoverer is at work, and will be for `lasts` seconds."""
        async with self._write(deadline) as unit:
            await unit.native.execute(text(self._texts["beat"]), {"lasts": float(lasts)})

    async def beating(self, deadline: Deadline) -> bool:
        """Whether a recoverer is at work, by the server's clock."""
        async with self._write(deadline) as unit:
            return bool((await unit.native.execute(text(self._texts["beating"]))).scalar())

    async def sweep(self, floor: str, most: int, deadline: Deadline) -> int:
        """Raise the floor (never lower it), and delete closed rows at or below it. UsageError: not past the retention yet."""
        sql = self._texts

        async def swept(unit: AsyncUnit) -> int:
            stands, now = (await unit.native.execute(text(sql["raised"]))).one()
            if floor > stands and floor > oldest_kept(float(now), RETENTION):
                raise log_errors.early_floor(self.name)
            values = {"floor": max(stands, check_gtrid(floor))}
            await unit.native.execute(text(sql["raise"]), values)
            return int((await unit.native.execute(text(sql["sweep"]), {**values, "most": most})).rowcount)

        return await self._changed(swept, deadline)

    def anchor_statements(self, gtrid: str, branches: Sequence[str], by: str, server: str) -> list[str]:
        """SQL that decides COMMIT inside a transaction of the log's own database; fails where a row stands or it is closed."""
        return self._texts.anchor(gtrid, branches, by)

    async def stands_in(self, participant: AsyncParticipant, deadline: Deadline) -> bool:
        """Whether its tables stand in the participant's database: of the same engine or kit's store, or proved by the servers."""
        if self.store is not None:
            return bool(participant.given == (self.given, self.store))
        return await is_same(self.given, participant, self._write, self._texts, deadline)

    async def doctor(self, deadline: Deadline) -> list[Finding]:
        """What is wrong, or risky, about it."""
        history, stands = await self._standing(deadline)
        level: Any = "warning" if self._unsafe else "refused"
        found = [Finding(level, self.name, risk.what, risk.fix) for risk in stands.risks]
        if not (facts := await self._facts(history, deadline)).presumes:
            what = "its history changed: decisions may be missing, and nothing is presumed"
            fix = "check that none is missing, then `regionkit tpc log adopt`."
            found.append(Finding("warning", self.name, what, fix))
        return found or [Finding("ok", self.name, f"log {facts.id}: its decisions are flushed before they count")]

    async def close(self) -> None:
        """Close what it opened itself. May be called twice."""
        if self._backing is not None:
            await self._backing.close()

    def _write(self, deadline: Deadline) -> Any:
        return self._stood.write(deadline=deadline, core=True, stamped=False)

    async def _changed(self, change: Callable[[AsyncUnit], Awaitable[T]], deadline: Deadline) -> T:
        """What a change gives in a transaction of its own; run again where another one was quicker."""
        for _ in range(MOST_ROUNDS):
            try:
                async with self._write(deadline) as unit:
                    if self._texts.begin:
                        await unit.message(self._texts.begin)
                    return await change(unit)
            except (IntegrityError, TransactionRolledBack):
                continue
        raise log_errors.overtaken(self.name, MOST_ROUNDS)

    async def _message(self, statements: Sequence[Statement], deadline: Deadline) -> list[Answer]:
        """A whole transaction in one message.

        Raises:
            OutcomeUnknown: its COMMIT was not answered, or answered with a warning.
        """
        # SQLite lets who waits for its lock look again now and then: in a crowd somebody would starve
        turn: Any = self._turns if self._texts.server == "sqlite" else contextlib.nullcontext()
        # with a Session nobody can have changed the connection's settings: putting them back would be a second round trip
        async with turn, self._stood.write(deadline=deadline, stamped=False) as unit:
            answers: list[Answer] = await unit.message(statements)
        looked_at = answers if self._texts.server == "postgresql" else answers[-1:]
        warned = [notice for answer in looked_at for notice in answer.notices]
        if warned:
            raise log_errors.warned_commit(self.name, warned[0])
        return answers

    async def _rows(self, statements: Sequence[Statement], deadline: Deadline) -> list[Row]:
        try:
            return (await self._read(statements, deadline))[1]
        except OutcomeUnknown as error:
            raise unread(self.name, error) from error

    async def _read(self, statements: Sequence[Statement], deadline: Deadline) -> tuple[str, list[Row]]:
        """The floor, and the rows, as durable as a decision."""
        floor, rows = (await self._message(statements, deadline))[len(self._texts.begin) :][:2]
        if not floor.rows:
            raise log_errors.never_made(self.name)
        return str(floor.rows[0][0]), [row_of(row) for row in rows.rows]
