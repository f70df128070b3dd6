"""One transaction that was joined: what is registered, what runs before COMMIT, what became of it. Rules: see `enlist`."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from typing import Any

import sqlalchemy
from sqlalchemy import event, orm
from sqlalchemy.engine import RootTransaction

from regionkit.backends.sql.classify import classify, code_of, is_unknown_at_commit
from regionkit.backends.sql.enlist_server import Watch
from regionkit.backends.sql.enlist_transaction import NAME, level_of, watch
from regionkit.contract.outcomes import Failure
from regionkit.contract.unit import Committed
from regionkit.errors import RegionKitError, TransactionRolledBack, UsageError

__all__ = ["SqlEnlisted"]

LOG = logging.getLogger("regionkit.enlist")

MOST_FLUSHES = 100
"""Of a session before one COMMIT, and calls that calls register: SQLAlchemy's own bound. More is a loop."""
_STATES = frozenset({"22", "23", "25", "27", "2D", "38", "39", "40", "42", "44", "53", "54", "55", "P0"})
"""Classes of states that refuse a COMMIT for good; 40003 alone says that nobody knows."""
CANCELED = "57014"
"""query_canceled: PostgreSQL cancels a COMMIT before it is written, while deferred constraints are checked, or not at all."""
_NUMBERS = frozenset({1020, 1205, 1213, 1402, 1613, 1614})
"""MariaDB's errors that roll back: changed meanwhile, lock wait, deadlock, and the same of XA."""


class SqlEnlisted:
    """A joined transaction: `regionkit.contract.enlist.Enlisted`. It keeps no connection alive."""

    __slots__ = (
        "__weakref__",
        "_before",
        "_connection",
        "_hear",
        "_root",
        "_running",
        "_sessions",
        "_stage",
        "_watch",
        "dialect_name",
    )

    def __init__(self, connection: sqlalchemy.Connection, root: RootTransaction) -> None:
        self.dialect_name: str = connection.dialect.name
        self._before: list[tuple[int, Callable[[], object]]] = []
        self._hear: list[tuple[int, Callable[[Committed], object]]] = []
        self._running = False
        self._stage = "open"  # then "prepared", "sent", "over"
        self._root = weakref.ref(root)
        self._sessions: list[tuple[weakref.ref[orm.Session], bool]] = []
        self._watch = Watch()
        self._watch.start(connection)
        me = weakref.ref(self)
        self._connection = weakref.ref(connection, lambda _: _forgotten(me))
        connection.__dict__[NAME] = self
        self._watch.install(connection)

    @property
    def connection(self) -> sqlalchemy.Connection:
        """The sync Connection of the transaction."""
        connection = self._connection()
        if connection is None or self._stage == "over":
            raise UsageError(
                "the transaction that was joined is over.",
                fix="enlist() again in the next one.",
            )
        return connection

    def before_commit(self, call: Callable[[], object]) -> None:
        """Call `call` once, in the transaction, just before its COMMIT."""
        if self._stage in ("prepared", "sent"):
            raise UsageError(
                "the transaction that was joined is prepared, or being committed.",
                fix="register before commit() or prepare(), or inside a call that runs before them.",
            )
        self._before.append((self._level(), call))

    def on_outcome(self, hear: Callable[[Committed], object]) -> None:
        """Call `hear` once, with what became of the transaction."""
        self._hear.append((self._level(), hear))

    def execute(self, statement: Any, parameters: Any = None) -> sqlalchemy.Result[Any]:
        """Run a statement in the transaction, past the ORM."""
        connection = self._usable()
        return connection.execute(sqlalchemy.text(statement) if isinstance(statement, str) else statement, parameters)

    def joins(self, session: orm.Session) -> None:
        """A Session works in it: it is flushed before the calls, where its commit is the one that counts."""
        if any(known() is session for known, _ in self._sessions):
            return
        # inside of a commit's own listeners (a private field says so) it is too late for one more: COMMIT makes the calls
        listens = getattr(session.get_transaction(), "_current_fn", None) is None
        self._sessions.append((weakref.ref(session), listens))
        if listens:
            event.listen(session, "before_commit", self._session_commits)

    @property
    def over(self) -> bool:
        """Whether it was told what became of it."""
        return self._stage == "over"

    def of(self, transaction: Any) -> bool:
        """Whether this is the transaction that was joined."""
        return self._stage != "over" and self._root() is transaction

    def usable(self) -> None:
        """Raises: UsageError: it is over, or ended past SQLAlchemy."""
        self._usable()

    def _usable(self) -> sqlalchemy.Connection:
        connection = self.connection
        if not self._watch.look(connection):
            raise UsageError(
                "the transaction that was joined ended past SQLAlchemy.",
                why="COMMIT or ROLLBACK was sent as a statement or by the driver, a statement committed by itself (MariaDB's "
                "CREATE, ALTER and the like), or the server rolled it back; its writes may be committed or not.",
                fix="end transactions with commit() and rollback() of SQLAlchemy, and let errors of statements end them.",
                committed="unknown",
            )
        return connection

    def _level(self) -> int:
        at = innermost = self._usable().get_nested_transaction()
        while at is not None:
            watch(at)
            at = at._previous_nested
        return level_of(innermost)

    # savepoints

    def released(self, gone: set[int], outer: int) -> None:
        """What was registered in them belongs to the one around."""
        self._before = [(outer if level in gone else level, call) for level, call in self._before]
        self._hear = [(outer if level in gone else level, hear) for level, hear in self._hear]

    def dropped(self, gone: set[int], outcome: Committed) -> None:
        """They were rolled back."""
        self._before = [entry for entry in self._before if entry[0] not in gone]
        told = [hear for level, hear in self._hear if level in gone]
        self._hear = [entry for entry in self._hear if entry[0] not in gone]
        _tell(told, "unknown" if self._watch.ended else outcome)

    # before the end

    def _ends_with(self, session: orm.Session) -> bool:
        """Whether the commit of the session is the outermost one."""
        outer: Any = session.get_transaction()
        entry = outer._connections.get(self._connection()) if outer is not None else None
        return entry is not None and entry[1] is self._root() and entry[2]

    def _session_commits(self, session: orm.Session) -> None:
        """Listens to the session: only here it can still be flushed."""
        if session.in_nested_transaction() or not self._ends_with(session):
            return
        try:
            self._run(session)
        except BaseException as error:
            root = self._root()
            if root is not None and root.is_active:
                self._cut_short(error)
                try:
                    root._connection_rollback_impl()  # tells, too
                finally:
                    root._deactivate_from_connection()  # as SQLAlchemy leaves one whose COMMIT failed
            raise

    def _run(self, session: orm.Session | None) -> None:
        if self._running:
            raise _ended_by_call()
        self._running = True
        try:
            self._usable()
            _flush(session)
            called = False
            for _ in range(MOST_FLUSHES):
                if not self._before:
                    break
                called = True
                calls, self._before = self._before, []
                for _level, call in calls:
                    call()
                    if self.over:
                        self._put_back()
                        raise _ended_by_call()
                    self._usable()
                    _flush(session)
            else:
                raise UsageError(
                    f"calls before COMMIT registered others more than {MOST_FLUSHES} times.", fix="end the loop."
                )
            if called and session is None and any(self._ends_with(s) and _dirty(s) for s in self._alive()):
                raise UsageError(
                    "a call before COMMIT changed objects of a session that is not flushed any more.",
                    fix="commit with session.commit(), end its savepoints first, or write with enlisted.execute().",
                )
        finally:
            self._running = False

    def _put_back(self) -> None:
        """A call rolled back: SQLAlchemy expects to find the transaction where its failed COMMIT leaves it."""
        connection = self._connection()
        if connection is not None and connection.get_transaction() is None:
            connection._transaction = self._root()

    def _alive(self) -> list[orm.Session]:
        return [session for known, _ in self._sessions if (session := known()) is not None]

    def _get_ready(self, rollback: Callable[[], None]) -> None:
        """Before COMMIT or PREPARE is sent: the calls, and whether it can do anything."""
        connection = self.connection
        try:
            self._run(None)  # what the session's listener could not, or what was registered after it
            if self._watch.aborted(connection):
                raise TransactionRolledBack(
                    "the transaction was rolled back, its COMMIT would do nothing.",
                    why="a statement in it failed and the error was swallowed.",
                    fix="let errors of statements end the transaction, or put what may fail into begin_nested().",
                )
        except BaseException as error:
            self._cut_short(error)
            self._undo(rollback)
            raise

    def run_before(self) -> bool:
        """In a branch, before PREPARE: run the calls. Whether there were any; its session is flushed before and after."""
        called = bool(self._before)
        if called:
            self._run(None)
        return called

    def leave(self) -> None:
        """Nothing is registered any more, and what SQLAlchemy does with the connection says nothing: `end` does."""
        connection = self._connection()
        if connection is not None:
            connection.__dict__.pop(NAME, None)
            self._watch.remove(connection)
        self._stage = "over" if self.over else "sent"

    # the end

    def commit(self, send: Callable[[], None], rollback: Callable[[], None]) -> None:
        """The outermost COMMIT."""
        prepared = self._stage == "prepared"
        lost = self.connection.invalidated
        if not prepared and not lost:
            self._get_ready(rollback)
        self._stage, self._watch.paused = "sent", True
        try:
            send()
        except BaseException as error:
            outcome = "unknown" if prepared else "no" if lost else _answered(error)
            if outcome == "no":
                self._undo(rollback)
            self.end(outcome)
            raise
        self.end("yes")

    def prepare(self, send: Callable[[], None], rollback: Callable[[], None]) -> None:
        """PREPARE. The outcome is still open after it."""
        if not self.connection.invalidated:
            self._get_ready(rollback)
        self._stage, self._watch.paused = "sent", True
        try:
            send()
        except Exception as error:
            if _answered(error) == "no":
                self._stage = "open"
            raise
        self._stage = "prepared"

    def roll_back(self, send: Callable[[], None]) -> None:
        """The outermost ROLLBACK."""
        connection = self.connection
        doubt = self._stage != "open" and (self._stage == "sent" or connection.invalidated)
        if self._stage == "open":
            doubt = not self._watch.look(connection, ask=False)
        self._watch.paused = True
        try:
            send()
        except BaseException:
            self.end("unknown" if doubt or self._stage != "open" else "no")
            raise
        self.end("unknown" if doubt else "no")

    def _cut_short(self, error: BaseException) -> None:
        """A cancellation waits for no server: without its connection nothing commits."""
        connection = self._connection()
        if not isinstance(error, Exception) and connection is not None and not connection.closed:
            connection.invalidate(error)

    def _undo(self, rollback: Callable[[], None]) -> None:
        """Nothing was committed: see to it that nothing will be. SQLAlchemy sends no ROLLBACK after a COMMIT that failed."""
        self._watch.paused = True
        if self._stage == "over":
            return
        try:
            rollback()
        except Exception:
            connection = self._connection()
            if connection is not None:
                connection.invalidate()
        self.end("unknown" if self._watch.ended else "no")

    def forgotten(self) -> None:
        """Nobody can end it any more: the pool rolls back what is open."""
        self.end("no" if self._stage == "open" and not self._watch.ended else "unknown")

    def __del__(self) -> None:
        if getattr(self, "_stage", "over") != "over":
            self.forgotten()

    def end(self, outcome: Committed) -> None:
        """Tell what became of it, once."""
        if self._stage == "over":
            return
        self._stage = "over"
        connection = self._connection()
        if connection is not None:
            connection.__dict__.pop(NAME, None)
            self._watch.remove(connection)
        for known, listens in self._sessions:
            session = known()
            if listens and session is not None:
                event.remove(session, "before_commit", self._session_commits)
        told = [hear for _, hear in self._hear]
        self._before, self._hear, self._sessions = [], [], []
        _tell(told, outcome)


def _ended_by_call() -> UsageError:
    return UsageError(
        "a call before COMMIT ended the transaction that it runs in.",
        fix="leave commit and rollback to the code that began the transaction.",
    )


def _forgotten(me: weakref.ref[SqlEnlisted]) -> None:
    joined = me()
    if joined is not None:
        joined.forgotten()


def _tell(told: list[Callable[[Committed], object]], outcome: Committed) -> None:
    stop: BaseException | None = None
    for hear in told:
        try:
            hear(outcome)
        except Exception:
            LOG.exception("a listener for the outcome %r of a transaction failed", outcome)
        except BaseException as error:  # an exit: the others hear of it first
            stop = error
    if stop is not None:
        raise stop


def _dirty(session: orm.Session) -> bool:
    return bool(session.new or session.deleted or any(session.is_modified(changed) for changed in session.dirty))


def _flush(session: orm.Session | None) -> None:
    if session is None:
        return
    for _ in range(MOST_FLUSHES):
        if not (session.new or session.deleted or session.dirty):
            return
        session.flush()
    raise UsageError(
        f"the session is still dirty after {MOST_FLUSHES} flushes.",
        fix="look for a listener that changes objects in each.",
    )


def _answered(error: BaseException) -> Committed:
    """What an error of COMMIT says of it."""
    if isinstance(error, RegionKitError):
        return error.committed
    if isinstance(error, sqlalchemy.exc.InvalidRequestError):  # SQLAlchemy's own refusal: nothing was sent
        return "no"
    if not isinstance(error, sqlalchemy.exc.DBAPIError) or error.connection_invalidated or is_unknown_at_commit(error):
        return "unknown"
    code = code_of(error)
    if code == CANCELED:
        return "no"
    if classify(error) in (Failure.CONNECTION, Failure.DEADLINE, Failure.CANCELLED):
        return "unknown"
    if isinstance(code, str):
        return "no" if code[:2] in _STATES and code != "40003" else "unknown"
    if isinstance(code, int):
        return "no" if code in _NUMBERS else "unknown"
    name = getattr(error.orig, "sqlite_errorname", "")
    return "no" if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CONSTRAINT")) else "unknown"
