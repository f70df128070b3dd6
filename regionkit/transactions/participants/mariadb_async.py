"""MariaDB as a participant: XA, with the marker in the message that prepares; the anchor, and readers, are plain transactions.

1. A branch's session takes a lock of the branch's name before XA START, and has it for as long as the branch. A branch that is
   listed and that XA COMMIT does not know (1397) is still a session's: it is waited for, and then exactly the session with the
   lock is killed. That is done for decided branches only. 1397 is never taken for done.
2. A branch begins with a savepoint, which the message that ends it releases: whatever ended the transaction inside, a text, a
   driver's call, a procedure, a deadlock, took it away, and no marker is written.
3. XA ROLLBACK is sent behind an XA END that went well, so only to a branch of this session; or to one whose abort is decided.
4. With replicas, XA breaks them in a crash: such a server is the anchor, or alone.

MySQL is refused: it detaches branches at PREPARE (xa_detach_on_prepare), asks for a right to list them, has no compound
statements outside of procedures. What would differ is `opening`, `mariadb_facts`, and `_free`.

Source: MariaDB Knowledge Base, "XA Transactions", "GET_LOCK", "KILL".
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from regionkit.contract.message import Statement
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.transactions.findings import Finding
from regionkit.transactions.participants.branch_sql_async import AsyncSqlBranchShell, is_answer
from regionkit.transactions.participants.mariadb_facts import (
    ALONE,
    LISTING,
    QUESTIONS,
    SOUND,
    Look,
    findings,
    lock_of,
    look_of,
    position_of,
    xid_listed,
)
from regionkit.transactions.participants.participant_async import (
    Answered,
    AsyncBranch,
    BranchOptions,
    Listed,
    ParticipantFacts,
)
from regionkit.transactions.participants.participant_sql_async import AsyncSqlParticipant
from regionkit.transactions.participants.rows_sql import COMMITTED, ONE_PHASE, code_of
from regionkit.transactions.protocol import Finish
from regionkit.transactions.xid import Xid

__all__ = ["AsyncMariaParticipant"]

MISSING, NO_THREAD, NOT_OWNER = 1397, 1094, 1095
"""XAER_NOTA; KILL of nobody; KILL of another account's session without the right."""
NO_SAVEPOINT = 1305
UNSURE = (1180, 1317, 1969)
"""An error while committing, KILL QUERY and max_statement_time: after these it is unknown what the last statement did."""
PAUSES = (0.02, 0.04, 0.08, 0.16, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)
"""Seconds between looks at a branch that a session holds: 1.3 in all, then it is left to whoever asks again."""
KILLED_AT = 4
"""Look after which the session is killed: one that is about to end the branch by itself has done so by then."""
LOCKED = (
    "IF GET_LOCK('{lock}', 0) <> 1 THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1440, "
    "MESSAGE_TEXT = 'another session has this branch'; END IF; "
)
"""Fails with XAER_DUPID's code, before XA START, where a session has the branch."""


class AsyncMariaBranch(AsyncSqlBranchShell):
    """One branch on MariaDB. `xa`: else it is a plain transaction, which cannot prepare."""

    def __init__(self, participant: Any, link: Any, options: BranchOptions, *, xa: bool) -> None:
        super().__init__(participant, link, options)
        self._xa = xa

    def opening(self, lock_timeout: float) -> list[Statement]:
        """What begins it."""
        seconds = max(1, math.ceil(lock_timeout))
        waits = f"SET @@session.innodb_lock_wait_timeout = {seconds}, @@session.lock_wait_timeout = {seconds}"
        if self.reading:
            return [Statement(waits), Statement("START TRANSACTION READ ONLY")]
        checks = self._participant.checks(xa=self._xa)
        if self._xa:
            checks += LOCKED.format(lock=lock_of(self.xid))
        begins = [f"BEGIN NOT ATOMIC {checks}END"] if checks else []
        begins.append(f"XA START {self.xid.xa}" if self._xa else "BEGIN")
        return [Statement(said) for said in (waits, *begins, f"SAVEPOINT {self._guard}")]

    @property
    def _guard(self) -> str:
        return f"rk_{self.xid.gtrid}"

    def _marked(self, state: int) -> list[Statement]:
        """Everything before the end: in the branch's own database, with the checks that refuse a closed gtrid."""
        own = (
            f"USE {self._participant.quoted}",
            "SET @@session.check_constraint_checks = 1",
            f"RELEASE SAVEPOINT {self._guard}",
            self._participant.marker(self.xid, state),
        )
        return [Statement(said) for said in (*self._deferred, *own)]

    def _end(self, what: str) -> list[Statement]:
        ends = f"XA END {self.xid.xa}"
        return [Statement(ends), Statement(what), *([] if "PREPARE" in what else [_free(self.xid)])]

    def _preparing(self) -> list[Statement]:
        return [*self._marked(COMMITTED), *self._end(f"XA PREPARE {self.xid.xa}")]

    def _committing(self, deciding: Sequence[str]) -> list[Statement]:
        marked = self._marked(COMMITTED if deciding else ONE_PHASE)
        end = self._end(f"XA COMMIT {self.xid.xa} ONE PHASE") if self._xa else [Statement("COMMIT")]
        return [*marked, *(Statement(said) for said in deciding), *end]

    def _rolling_back(self) -> list[Statement]:
        return self._end(f"XA ROLLBACK {self.xid.xa}") if self._xa else [Statement("ROLLBACK")]

    def _ended_inside(self, error: BaseException) -> bool:
        return code_of(error) == NO_SAVEPOINT and self._guard in str(error)

    def answered(self, error: BaseException) -> bool:
        return is_answer(error, self._link) and code_of(error) not in UNSURE

    async def prepare(self, deadline: Deadline) -> Answered:
        """Its vote."""
        if self._xa:
            return await super().prepare(deadline)
        return await self._refuse("it is a plain transaction, as MariaDB with replicas takes no other", retryable=False)


def _free(xid: Xid) -> Statement:
    """Behind a COMMIT: an error of it must not be taken for one of the COMMIT's. (One that no handler catches is in UNSURE.)"""
    return Statement(
        f"BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; DO RELEASE_LOCK('{lock_of(xid)}'); END"
    )


class AsyncMariaParticipant(AsyncSqlParticipant):
    """One database of MariaDB. See `AsyncSqlParticipant`.

    Args:
        unsafe_replicated_xa: prepare branches although replicas follow. A crash may leave branches prepared on a replica, or
            end its replication; the server itself stays right.
    """

    kind = "mariadb"
    quoted = ""
    _prepares = False

    def __init__(
        self,
        name: str,
        given: Any,
        *,
        namespace: str,
        store: str | None = None,
        unsafe_no_flush: bool = False,
        unsafe_replicated_xa: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(name, given, namespace=namespace, store=store, unsafe_no_flush=unsafe_no_flush, clock=clock)
        self._replicated_xa = unsafe_replicated_xa

    def marker(self, xid: Xid, state: int) -> str:
        """The statement that leaves a branch's marker."""
        return self._rows.marker(xid, state)

    async def _look(self, deadline: Deadline) -> Look:
        questions = [text(question.format(table=self._rows.name)) for question in QUESTIONS]
        answers = await self._change(lambda c: [c.execute(one).all() for one in questions], deadline)
        look = look_of(answers, self._backing.copies)
        if not look.marked:
            return look
        number = float(int.from_bytes(os.urandom(6), "big"))
        noted = await self._change(lambda c: self._rows.noted(c, "instance", number), deadline)
        followed = await self._change(
            lambda c: self._rows.noted(c, "followed", 1.0 if look.replicated else None), deadline
        )
        told = {**look.told, "noted": f"{int(noted or 0):x}", **({} if followed is None else {"followed": "1"})}
        return Look(told, look.copies)

    def checks(self, *, xa: bool) -> str:
        """What is looked at anew on each connection that opens a branch."""
        alone = ALONE if xa and not self._replicated_xa else ""
        return ("" if self._unsafe else SOUND) + alone

    def _findings(self, look: Look) -> list[Finding]:
        return findings(self.name, look, unsafe=self._unsafe, replicated_xa=self._replicated_xa)

    async def open(self, deadline: Deadline) -> ParticipantFacts:
        """Look at it.

        Raises:
            ConfigurationError: it is MySQL or Galera, does not flush, has tables that cannot be rolled back, or its marker
                table is not there.
        """
        look = await self._look(deadline)
        self._refuse(self._findings(look))
        if not look.marked:
            raise ConfigurationError(
                f"participant {self.name!r} has no table of markers.", fix="call tm.create_tables() once."
            )
        self.quoted = f"`{look.database.replace('`', '``')}`"
        self._prepares = self._replicated_xa or not look.replicated
        history = await self._history(look.run, deadline)
        return ParticipantFacts(self.kind, self._prepares, "XA" if self._prepares else "ANCHOR", look.instance, history)

    async def begin(self, options: BranchOptions, deadline: Deadline) -> AsyncBranch:
        """Open a branch; nothing is sent before its first statement."""
        if not self.quoted:
            await self.open(deadline)
        link = await self._link(deadline)
        branch = AsyncMariaBranch(self, link, options, xa=self._prepares and not (options.reading or options.anchor))
        link.opening = branch.opening(options.lock_timeout)
        link.hold(f"it is branch {self.name!r} of a global transaction, which alone ends it.")
        return branch

    async def listed(self, deadline: Deadline) -> list[Listed]:
        """Prepared branches of this namespace with this participant's name: MariaDB lists those of all its databases."""
        return [Listed(xid) for xid in await self._prepared(deadline) if xid.branch == self.name]

    async def strays(self, deadline: Deadline) -> list[Xid]:
        """Those with other names, of whichever database."""
        return [xid for xid in await self._prepared(deadline) if xid.branch != self.name]

    async def _prepared(self, deadline: Deadline) -> list[Xid]:
        rows = await self._change(lambda c: c.execute(text(LISTING)).all(), deadline)
        return [xid for row in rows if (xid := xid_listed(row)) is not None and xid.namespace == self._namespace]

    async def finish(self, listed: Listed, commit: bool, deadline: Deadline) -> Finish:
        """End a prepared branch. Rule 1."""
        try:
            link = await self._link(deadline)
        except Exception:
            return Finish.UNREACHED
        try:
            return await self._finish_held(link, listed.xid, commit, deadline)
        except Exception:
            return Finish.UNREACHED
        finally:
            await link.release()

    async def _finish_held(self, link: Any, xid: Xid, commit: bool, deadline: Deadline) -> Finish:
        for look, pause in enumerate(PAUSES):
            done = await self.finish_on(link, xid, commit)
            if done is not Finish.UNKNOWN:
                return done
            [answer] = await link.message([Statement(LISTING)])
            if xid not in [xid_listed(row) for row in answer.rows]:
                return Finish.UNKNOWN
            if look == KILLED_AT and not await self._ended_owner(link, xid):
                return Finish.BLOCKED
            if deadline.remaining() <= pause:
                break
            await asleep(pause)
        return Finish.BUSY

    async def _ended_owner(self, link: Any, xid: Xid) -> bool:
        """Kill the session that has the branch's lock, and no other; whether that may be done."""
        try:
            await link.message([Statement(f"KILL CONNECTION IS_USED_LOCK('{lock_of(xid)}')")])
        except Exception as error:
            if code_of(error) == NOT_OWNER:
                return False
            if code_of(error) != NO_THREAD:  # it has just gone, or is a session without the lock
                raise
        return True

    async def finish_on(self, link: Any, xid: Xid, commit: bool) -> Finish:
        """End a prepared branch on this connection: its own, or any where no session has it."""
        what = "COMMIT" if commit else "ROLLBACK"
        try:
            await link.message([Statement(f"XA {what} {xid.xa}"), _free(xid)])
        except Exception as error:
            unknown = is_answer(error, link) and code_of(error) == MISSING
            return Finish.UNKNOWN if unknown else Finish.UNREACHED
        return Finish.DONE

    async def position_on(self, link: Any) -> Any:
        """What the binary log has; None where there is none. The answer to XA COMMIT does not say it."""
        [answer] = await link.message([Statement("SELECT @@gtid_binlog_pos")])
        return position_of(str(answer.rows[0][0] or ""))

    async def doctor(self, deadline: Deadline) -> list[Finding]:
        """What is wrong, or risky, about it."""
        look = await self._look(deadline)
        found = self._findings(look)
        if self._replicated_xa or not look.replicated:
            try:
                proved = await self._kills(deadline)
            except Exception:
                proved = False
            if not proved:
                what = "KILL of a session of its own was not proved: a frozen one holds a decided branch until it is closed"
                found.append(Finding("warning", self.name, what, "recover with the account that opens branches."))
            if not found:
                found.append(Finding("ok", self.name, "XA: it prepares, and ends sessions that hold decided branches"))
        return found

    async def _kills(self, deadline: Deadline) -> bool:
        name, victim = f"rk:probe:{os.urandom(8).hex()}", await self._link(deadline)
        try:
            killer = await self._link(deadline)
            try:
                await victim.message([Statement(f"DO GET_LOCK('{name}', 0)")])
                await killer.message([Statement(f"KILL CONNECTION IS_USED_LOCK('{name}')")])
            finally:
                await killer.release()
            try:
                await victim.message([Statement("DO 0")])
            except Exception:
                return bool(victim.lost)
            return False
        finally:
            await victim.discard()
