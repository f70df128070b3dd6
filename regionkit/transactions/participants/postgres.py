# Generated from postgres_async.py by scripts/twins.py. Do not edit.
"""PostgreSQL as a participant: PREPARE TRANSACTION, with the marker in the same message.

1. A branch begins with SET LOCAL regionkit.gtrid, and its marker takes the name from there: whatever else ends or begins a
   transaction inside, a text, a driver's call, a procedure, leaves none, and the marker's check refuses it before PREPARE.
2. The message that prepares goes back to the account of the connection, whatever role the user took, and asks for a
   flush (and for the synchronous standby) whatever the user asked for. A WARNING in it is NO. What the user set is put back
   behind PREPARE, in the same message: deferred triggers see it.
3. A prepared transaction belongs to one account and one database. COMMIT PREPARED stands alone in its message.

Source: PostgreSQL manual, "PREPARE TRANSACTION", "COMMIT PREPARED", "pg_prepared_xacts".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regionkit.contract.message import Answer, Statement
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.transactions.findings import Finding
from regionkit.transactions.participants.branch_sql import SqlBranchShell, Stage, is_answer
from regionkit.transactions.participants.participant import (
    Answered,
    Branch,
    BranchOptions,
    Listed,
    ParticipantFacts,
)
from regionkit.transactions.participants.participant_sql import SqlParticipant
from regionkit.transactions.participants.postgres_facts import LOOK, PREPARED, Look, findings
from regionkit.transactions.participants.rows_sql import COMMITTED, ONE_PHASE, MarkerRows, code_of
from regionkit.transactions.protocol import Decision, Finish
from regionkit.transactions.xid import Xid, xid_of_gid

__all__ = ["PostgresParticipant"]

IDLE_MARGIN = 5.0
"""Seconds that the server lets an idle branch live after its deadline: the second line, not the first."""
OWN_GTRID = "current_setting('regionkit.gtrid')"
AT_END = (
    Statement("SET SESSION AUTHORIZATION DEFAULT"),
    Statement(
        "SELECT pg_advisory_unlock_all(), set_config('synchronous_commit', CASE current_setting('synchronous_commit') "
        "WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true)"
    ),
)
"""The account that owns what is prepared; locks that cannot be prepared; with "off" a COMMIT is not flushed, with "local" no
standby has it. All else that the user set is still there when deferred triggers run, and is put back behind the end."""
MISSING, BUSY, FORBIDDEN, ELSEWHERE = "42704", "55000", "42501", "0A000"
"""Codes of COMMIT PREPARED: no such branch; another session holds it, or it is not one's own; of another database."""


class PostgresBranch(SqlBranchShell):
    """One branch on PostgreSQL."""

    _rolled_back = False

    def _marked(self, state: int) -> list[Statement]:
        """Everything before the end; the user's deferred statements run as the connection's own account."""
        marker = Statement(self._participant.marker(self.xid, state))
        role = [] if self._link.opening else [Statement("RESET ROLE")]  # nothing was done yet that could have set one
        return [*role, *(Statement(text) for text in self._deferred), marker]

    def _preparing(self) -> list[Statement]:
        end = Statement(f"PREPARE TRANSACTION '{self.xid.gid}'")
        return [*self._marked(COMMITTED), *AT_END, end]

    def _committing(self, deciding: Sequence[str]) -> list[Statement]:
        marked = self._marked(COMMITTED if deciding else ONE_PHASE)
        return [*marked, *(Statement(text) for text in deciding), *AT_END, Statement("COMMIT")]

    def _rolling_back(self) -> list[Statement]:
        return [Statement("ROLLBACK")]

    def _ended_inside(self, error: BaseException) -> bool:
        return code_of(error) == "23514" and f"{self._participant.table}_gtrid" in str(error)

    def sent(self, statements: list[Statement], then: Stage) -> list[Answer]:
        """As any; notes whether the end itself was refused, or the whole message."""
        link = self._link
        opens, began = len(link.opening), link.driver.busy or bool(link.opening)
        try:
            return super().sent(statements, then)
        except Exception:
            # PREPARE or COMMIT itself was refused, behind the marker, which only the branch's own transaction takes: that has
            # rolled it back. Or the server cannot read a text: nothing of the message was done, BEGIN neither
            done = link.driver.done
            clean = done == opens + len(statements) - 1 or (opens > 0 and done == 0)
            self._rolled_back = began and clean and not link.driver.busy
            raise

    def _nothing_open(self, answers: Sequence[Answer]) -> bool:
        return not self._rolled_back and bool(_warning(answers))

    def _prepared(self, answers: Sequence[Answer]) -> str:
        if answers[-1].tag != "PREPARE TRANSACTION":
            return f"PREPARE TRANSACTION was answered by {answers[-1].tag}"
        return _warning(answers)

    def _committed(self, answers: Sequence[Answer]) -> Answered:
        if answers[-1].tag != "COMMIT":
            return Answered(winner=Decision.ABORT, why=f"COMMIT was answered by {answers[-1].tag}")
        warned = _warning(answers)  # committed here; unknown whether a standby has it
        return Answered(winner=None if warned else Decision.COMMIT, why=warned)


def _warning(answers: Sequence[Answer]) -> str:
    return next((notice for answer in answers for notice in answer.notices if notice.startswith("WARNING")), "")


class PostgresParticipant(SqlParticipant):
    """One database of PostgreSQL. See `SqlParticipant`."""

    kind = "postgresql"
    _stands = False

    def marker(self, xid: Xid, state: int) -> str:
        """The statement that leaves a branch's marker."""
        return self._rows.marker(xid, state, OWN_GTRID)

    @property
    def table(self) -> str:
        """Of markers."""
        return self._rows.name

    def _look(self, deadline: Deadline) -> Look:
        [answer] = self._ask(LOOK.format(table=self._rows.name), deadline)
        return Look(*answer)

    def open(self, deadline: Deadline) -> ParticipantFacts:
        """Look at it.

        Raises:
            ConfigurationError: it takes no prepared transactions, does not flush, or its marker table is not there.
        """
        look = self._look(deadline)
        self._refuse(findings(self.name, look, unsafe=self._unsafe))
        if not look.schema:
            raise ConfigurationError(
                f"participant {self.name!r} has no table of markers.", fix="call tm.create_tables() once."
            )
        self._rows = MarkerRows(self.kind, self._backing.namespace, look.schema)
        self._stands = True
        instance = f"{look.system}/{look.database}"
        history = self._history(look.timeline, deadline)
        return ParticipantFacts(self.kind, True, "XA", instance, history, overlaps=True)

    def begin(self, options: BranchOptions, deadline: Deadline) -> Branch:
        """Open a branch; nothing is sent before its first statement."""
        if not self._stands:
            self.open(deadline)
        link = self._link(deadline)
        idle = int(1000 * (max(0.0, deadline.remaining()) + IDLE_MARGIN))
        link.opening = [
            Statement(f"{link.begins} READ ONLY" if options.reading else link.begins),
            Statement(f"SET LOCAL regionkit.gtrid = '{options.xid.gtrid}'"),
            Statement(f"SET LOCAL lock_timeout = {max(1, int(1000 * options.lock_timeout))}"),
            Statement(f"SET LOCAL idle_in_transaction_session_timeout = {idle}"),
        ]
        link.hold(f"it is branch {self.name!r} of a global transaction, which alone ends it.")
        return PostgresBranch(self, link, options)

    def listed(self, deadline: Deadline) -> list[Listed]:
        """All prepared branches of this namespace in this database, of any log."""
        found = [(xid_of_gid(gid), owner, at) for gid, owner, at in self._ask(PREPARED, deadline)]
        return [
            Listed(xid, owner, float(at))
            for xid, owner, at in found
            if xid is not None and xid.namespace == self._namespace
        ]

    def finish(self, listed: Listed, commit: bool, deadline: Deadline) -> Finish:
        """End a prepared branch, as its owner where that is another account."""
        try:
            link = self._link(deadline)
        except Exception:
            return Finish.UNREACHED
        try:
            done = self.finish_on(link, listed.xid, commit)
            if done is Finish.BLOCKED:
                done = self._finish_as_owner(link, listed.xid, commit)
            return done
        finally:
            link.release()

    def _finish_as_owner(self, link: Any, xid: Xid, commit: bool) -> Finish:
        asked = "SELECT quote_ident(owner) FROM pg_prepared_xacts WHERE gid = '{}' AND database = current_database()"
        try:
            [answer] = link.message([Statement(asked.format(xid.gid))])
            if not answer.rows:
                return Finish.UNKNOWN
            link.message([Statement(f"SET ROLE {answer.rows[0][0]}")])
            done = self.finish_on(link, xid, commit)
            link.message([Statement("RESET ROLE")])
        except Exception as error:
            answered = is_answer(error, link)
            link.discard()
            return Finish.BLOCKED if answered else Finish.UNREACHED
        return done

    def finish_on(self, link: Any, xid: Xid, commit: bool) -> Finish:
        """End a prepared branch on this connection."""
        what = "COMMIT PREPARED" if commit else "ROLLBACK PREPARED"
        try:
            [answer] = link.message([Statement(f"{what} '{xid.gid}'")])
        except Exception as error:
            if not is_answer(error, link):
                return Finish.UNREACHED
            verdicts = {
                MISSING: Finish.UNKNOWN,
                BUSY: Finish.BUSY,
                FORBIDDEN: Finish.BLOCKED,
                ELSEWHERE: Finish.BLOCKED,
            }
            return verdicts.get(code_of(error), Finish.UNREACHED)
        if answer.tag != what or _warning([answer]):
            return Finish.UNREACHED  # done here; unknown whether a standby has it: it is asked again
        return Finish.DONE

    def position_on(self, link: Any) -> int:
        """Where the log stands on the disk."""
        [answer] = link.message([Statement("SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint")])
        return int(answer.rows[0][0])

    def doctor(self, deadline: Deadline) -> list[Finding]:
        """What is wrong, or risky, about it."""
        look = self._look(deadline)
        found = findings(self.name, look, unsafe=self._unsafe)
        link = self._link(deadline)
        if getattr(link.driver, "pooled", False):
            what = "its connections go through a pooler"
            found.append(Finding("warning", self.name, what, "give branches a URL of the server itself."))
        link.release()
        return found or [Finding("ok", self.name, f"XA: {look.most} prepared transactions at once")]
