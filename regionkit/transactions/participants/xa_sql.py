# Generated from xa_sql_async.py by scripts/twins.py. Do not edit.
"""A participant on MariaDB or MySQL: XA, with the marker in the message that prepares; the anchor, and readers, are plain.

1. Which of the two it is, the server says: its words (mariadb_words.py, mysql_words.py) are bound once it was looked at.
2. A branch's session takes a lock of the branch's name before XA START, and has it for as long as the branch. A branch that is
   listed and that XA COMMIT does not know (1397) is still a session's: it is waited for, and then exactly the session with the
   lock is killed. That is done for decided branches only. 1397 is never taken for done.
3. A branch begins with a savepoint, which the message that ends it releases: whatever ended the transaction inside, a text, a
   driver's call, a procedure, a deadlock, took it away, and no marker is written.
4. XA ROLLBACK is sent behind an XA END that went well, so only to a branch of this session; or to one whose abort is decided.
5. With replicas, XA breaks them in a crash: such a server is the anchor, or alone.
6. Who may not list what is prepared, prepares nothing. Before the first PREPARE in a database a note is committed there; where it
   stands, a list that is denied is an error, and never an empty list.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from regionkit.contract.message import Statement
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.core.given import check_flag
from regionkit.errors import ConfigurationError
from regionkit.transactions.findings import Finding
from regionkit.transactions.participants.branch_sql import is_answer
from regionkit.transactions.participants.branch_xa_sql import XaBranch
from regionkit.transactions.participants.mariadb_words import MARIADB
from regionkit.transactions.participants.mysql_words import MYSQL
from regionkit.transactions.participants.participant import (
    Branch,
    BranchOptions,
    Listed,
    ParticipantFacts,
)
from regionkit.transactions.participants.participant_sql import SqlParticipant
from regionkit.transactions.participants.rows_sql import code_of
from regionkit.transactions.participants.xa_words import Look, XaWords, lock_of, look_of
from regionkit.transactions.protocol import Finish
from regionkit.transactions.xid import Xid

__all__ = ["XaParticipant"]

MISSING, NO_THREAD, NOT_OWNER = 1397, 1094, 1095
"""XAER_NOTA; KILL of nobody; KILL of another account's session without the right."""
DENIED = (1045, 1142, 1227, 1401)
"""What a probe is answered where the account lacks the right; 1401 (XAER_RMERR) is MySQL's for XA RECOVER."""
PAUSES = (0.02, 0.04, 0.08, 0.16, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)
"""Seconds between looks at a branch that a session holds: 1.3 in all, then it is left to whoever asks again."""
KILLED_AT = 4
"""Look after which the session is killed: one that is about to end the branch by itself has done so by then."""


class XaParticipant(SqlParticipant):
    """One database of MariaDB or MySQL, whichever answers. See `SqlParticipant`.

    Args:
        unsafe_replicated_xa: prepare branches although replicas follow. On MariaDB a crash may leave branches prepared on a
            replica, or end its replication; the server itself stays right. On MySQL: beside a binary log, from 8.0.30 on, which
            its manual calls safe; earlier versions lose branches there, and never prepare.
    """

    kind = MARIADB.kind
    kinds = (MARIADB.kind, MYSQL.kind)
    quoted = ""
    plain = ""
    """Why a branch is a plain transaction, in a clause."""
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
        check_flag("unsafe_replicated_xa", unsafe_replicated_xa)
        self._replicated_xa = unsafe_replicated_xa

    def marker(self, xid: Xid, state: int) -> str:
        """The statement that leaves a branch's marker."""
        return self._rows.marker(xid, state)

    def _look(self, deadline: Deadline) -> tuple[XaWords, Look]:
        """Whose words are spoken there, and what it says."""
        words, answers, may = self._change(self._asked, deadline)
        look = look_of(answers, self._backing.copies, may)
        if look.marked:
            look = self._change(lambda c: self._noted(c, words, look), deadline)
        return words, look

    def _asked(self, connection: Connection) -> tuple[XaWords, list[Any], list[str]]:
        words = _words_at(connection)
        answers = [connection.execute(text(one.format(table=self._rows.name))).all() for one in words.questions]
        may = [name for name, question in words.probes.items() if _allowed(connection, question) is not None]
        return words, answers, may

    def _noted(self, connection: Connection, words: XaWords, look: Look) -> Look:
        """With what is noted beside the markers: the database's own number, and what has been there once."""
        number = self._rows.noted(connection, "instance", float(int.from_bytes(os.urandom(6), "big")))
        told = {**look.told, "noted": f"{int(number or 0):x}"}
        if self._rows.noted(connection, "followed", 1.0 if look.replicated else None) is not None:
            told["followed"] = "1"
        look = Look(told, look.copies)
        prepares = words.prepares(look, self._replicated_xa)
        if self._rows.noted(connection, "prepares", 1.0 if prepares else None) is not None:
            told["prepared"] = "1"
        return look

    def checks(self, words: XaWords, *, xa: bool) -> Sequence[str]:
        """What is looked at anew on each connection that opens a branch."""
        return [*([] if self._unsafe else [words.sound]), *([words.alone] if xa and not self._replicated_xa else [])]

    def open(self, deadline: Deadline) -> ParticipantFacts:
        """Look at it.

        Raises:
            ConfigurationError: it is a cluster that has no XA, does not flush, has tables that cannot be rolled back, or its
                marker table is not there.
        """
        words, look = self._look(deadline)
        found = words.findings(self.name, look, self._unsafe, self._replicated_xa)
        self._refuse(found)
        if not look.marked:
            raise ConfigurationError(
                f"participant {self.name!r} has no table of markers.", fix="call tm.create_tables() once."
            )
        self.kind = words.kind
        self.quoted = f"`{look.database.replace('`', '``')}`"
        self._prepares = words.prepares(look, self._replicated_xa)
        self.plain = next((one.what for one in found if "ANCHOR" in one.what), "")
        history = self._history(look.run, deadline)
        return ParticipantFacts(self.kind, self._prepares, "XA" if self._prepares else "ANCHOR", look.instance, history)

    def begin(self, options: BranchOptions, deadline: Deadline) -> Branch:
        """Open a branch; nothing is sent before its first statement."""
        if not self.quoted:
            self.open(deadline)
        link = self._link(deadline)
        xa = self._prepares and not (options.reading or options.anchor)
        branch = XaBranch(self, link, options, _words(link), xa=xa)
        link.opening = branch.opening(options.lock_timeout)
        link.hold(f"it is branch {self.name!r} of a global transaction, which alone ends it.")
        return branch

    def listed(self, deadline: Deadline) -> list[Listed]:
        """Prepared branches of this namespace with this participant's name: the server lists those of all its databases."""
        return [Listed(xid) for xid in self._prepared(deadline) if xid.branch == self.name]

    def strays(self, deadline: Deadline) -> list[Xid]:
        """Those with other names, of whichever database."""
        return [xid for xid in self._prepared(deadline) if xid.branch != self.name]

    def _prepared(self, deadline: Deadline) -> list[Xid]:
        found = self._change(self._listed, deadline)
        return [xid for xid in found if xid.namespace == self._namespace]

    def _listed(self, connection: Connection) -> list[Xid]:
        """Prepared branches of regionkit's on the whole server. Rule 6: the note is read behind the answer that denies them."""
        listing, xid_listed = _words_at(connection).listing
        rows = _allowed(connection, listing)
        if rows is None and self._rows.noted(connection, "prepares", None) is not None:
            raise ConfigurationError(
                f"participant {self.name!r} may not list prepared branches.",
                why="branches were prepared there, and those that are left cannot be recovered.",
                fix="GRANT XA_RECOVER_ADMIN ON *.* TO its account.",
            )
        return [xid for row in rows or () if (xid := xid_listed(row)) is not None]

    def finish(self, listed: Listed, commit: bool, deadline: Deadline) -> Finish:
        """End a prepared branch. Rule 1."""
        try:
            link = self._link(deadline)
        except Exception:
            return Finish.UNREACHED
        try:
            return self._finish_held(link, listed.xid, commit, deadline)
        except Exception:
            return Finish.UNREACHED
        finally:
            link.release()

    def _finish_held(self, link: Any, xid: Xid, commit: bool, deadline: Deadline) -> Finish:
        for look, pause in enumerate(PAUSES):
            done = self.finish_on(link, xid, commit)
            if done is not Finish.UNKNOWN:
                return done
            listing, xid_listed = _words(link).listing
            [answer] = link.message([Statement(listing)])
            if xid not in [xid_listed(row) for row in answer.rows]:
                return Finish.UNKNOWN
            if look == KILLED_AT and not self._ended_owner(link, xid):
                return Finish.BLOCKED
            if deadline.remaining() <= pause:
                break
            sleep(pause)
        return Finish.BUSY

    def _ended_owner(self, link: Any, xid: Xid) -> bool:
        """Kill the session that has the branch's lock, and no other; whether that may be done."""
        try:
            link.message([Statement(f"KILL CONNECTION IS_USED_LOCK('{lock_of(xid)}')")])
        except Exception as error:
            if code_of(error) == NOT_OWNER:
                return False
            if code_of(error) != NO_THREAD:  # it has just gone, or is a session without the lock
                raise
        return True

    def finish_on(self, link: Any, xid: Xid, commit: bool) -> Finish:
        """End a prepared branch on this connection: its own, or any where no session has it."""
        what = "COMMIT" if commit else "ROLLBACK"
        try:
            link.message([Statement(f"XA {what} {xid.xa}"), Statement(_words(link).free(lock_of(xid)))])
        except Exception as error:
            unknown = is_answer(error, link) and code_of(error) == MISSING
            return Finish.UNKNOWN if unknown else Finish.UNREACHED
        return Finish.DONE

    def position_on(self, link: Any) -> Any:
        """Where its data stands; None where nothing is logged. The answer to XA COMMIT does not say it."""
        question, position_of = _words(link).position
        [answer] = link.message([Statement(question)])
        return position_of(answer.rows[0])

    def doctor(self, deadline: Deadline) -> list[Finding]:
        """What is wrong, or risky, about it."""
        words, look = self._look(deadline)
        found = words.findings(self.name, look, self._unsafe, self._replicated_xa)
        if words.prepares(look, self._replicated_xa):
            try:
                proved = self._kills(deadline)
            except Exception:
                proved = False
            if not proved:
                what = "KILL of a session of its own was not proved: a frozen one holds a decided branch until it is closed"
                found.append(Finding("warning", self.name, what, "recover with the account that opens branches."))
            if not found:
                found.append(Finding("ok", self.name, "XA: it prepares, and ends sessions that hold decided branches"))
        return found

    def _kills(self, deadline: Deadline) -> bool:
        name, victim = f"rk:probe:{os.urandom(8).hex()}", self._link(deadline)
        try:
            killer = self._link(deadline)
            try:
                victim.message([Statement(f"DO GET_LOCK('{name}', 0)")])
                killer.message([Statement(f"KILL CONNECTION IS_USED_LOCK('{name}')")])
            finally:
                killer.release()
            try:
                victim.message([Statement("DO 0")])
            except Exception:
                return bool(victim.lost)
            return False
        finally:
            victim.discard()


def _words(link: Any) -> XaWords:
    """Those of the server that greeted this connection."""
    return MARIADB if link.driver.is_mariadb else MYSQL


def _words_at(connection: Connection) -> XaWords:
    return MARIADB if connection.dialect.is_mariadb else MYSQL  # type: ignore[attr-defined]  # a MySQL's


def _allowed(connection: Connection, question: str) -> list[Any] | None:
    """Rows; None where the account lacks the right to ask."""
    try:
        return list(connection.execute(text(question)).all())
    except DBAPIError as error:
        if code_of(error) not in DENIED:
            raise
        return None
