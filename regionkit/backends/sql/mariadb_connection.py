"""Connections of PyMySQL and aiomysql whose waits end at the deadline, and which read the position from answers.

With the session tracker on, the OK packet of a COMMIT carries the position: MariaDB's as the variable `last_gtid`, MySQL's
by a tracker of its own (OWN_GTID). No extra message, no multi-statement flag.
A position that arrives when we did not send COMMIT means that a statement committed implicitly (DDL does).
Source: MariaDB Knowledge Base, "OK_Packet" and "Session Tracking"; MySQL Internals, "Protocol::OK_Packet".
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pymysql
from pymysql.constants import CLIENT, COMMAND, CR, ER

from regionkit.backends.sql.driver import DeadlinePassed, DriverState, swallowed
from regionkit.backends.sql.gtid_sets import own_number
from regionkit.backends.sql.observation import gtids
from regionkit.contract.interrupted import interruption
from regionkit.core.deadline import Deadline
from regionkit.facts.position import Position, later

__all__ = ["SESSION_TRACK", "Bounded", "BoundedState", "Connects", "WaitExpired", "changes"]

RESOLUTION = 0.02
"""How exactly the wait for one packet ends at the deadline, seconds: setting a socket's limit costs a call."""
SESSION_TRACK = 1 << 23
"""The client's flag CLIENT_SESSION_TRACK, which the drivers do not know."""
SESSION_STATE_CHANGED = 0x4000
IN_TRANSACTION = 0x0001
TRACK_SYSTEM_VARIABLES, TRACK_STATE_CHANGE, TRACK_GTIDS = 0, 2, 3
LASTS = re.compile(rb"get_lock|:=|lock\s+table", re.IGNORECASE)
"""State that outlives its block and that no answer reports. The connection is closed then, as after a reported change."""
UNDOES_ALL = ((1213,), (1020,))
"""Errors that roll back the whole transaction, not the statement: ER_LOCK_DEADLOCK, ER_CHECKREAD."""
_BLANK = rb"(?:\s|--[^\n]*\n|#[^\n]*\n|/\*(?:[^*]|\*(?!/))*+\*/)*+"
ENDS_TEXT = re.compile(
    _BLANK + rb"(?:COMMIT|ROLLBACK|BEGIN|START\s+TRANSACTION)\b(?!\s+(?:WORK\s+)?TO\b)", re.IGNORECASE
)
"""Texts of the user's that end a transaction. A procedure that rolls back goes unnoticed; one that commits shows by its gtid."""
ENDS = ("COMMIT", "ROLLBACK")
"""What the drivers send for an end. It reads the rest of a stream that the block left; the drivers warn and do the same."""


class WaitExpired(DeadlinePassed, pymysql.err.OperationalError):  # type: ignore[misc]  # PyMySQL ships no types
    """The deadline passed while waiting for the server; the connection is closed."""


class Changes(NamedTuple):
    """What an answer tells: the position of what committed, and whether the session itself was changed (SET, USE, a table)."""

    position: Position | None
    session: bool


def changes(message: bytes | None, status: int) -> Changes:
    """Those in an OK packet's tail: a length-encoded text, then length-encoded state changes."""
    if not message or not status & SESSION_STATE_CHANGED:
        return Changes(None, session=False)
    position: Position | None = None
    session = False
    _, rest = _lenenc_text(message)
    told, _ = _lenenc_text(rest)
    while told:
        kind, told = told[0], told[1:]
        data, told = _lenenc_text(told)
        if kind == TRACK_STATE_CHANGE:
            session = data == b"1"
        elif kind == TRACK_SYSTEM_VARIABLES:
            name, tail = _lenenc_text(data)
            if name == b"last_gtid":
                position = gtids(_lenenc_text(tail)[0].decode()) or None
        elif kind == TRACK_GTIDS:
            position = own_number(
                _lenenc_text(data[1:])[0].decode()
            )  # the first byte says how they are written: as a text
    return Changes(position, session)


def _lenenc_text(data: bytes) -> tuple[bytes, bytes]:
    """A length-encoded text and what follows it."""
    if not data:
        return b"", b""
    first = data[0]
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    length = int.from_bytes(data[1 : 1 + width], "little") if width else first
    start = 1 + width
    return data[start : start + length], data[start + length :]


class BoundedState(DriverState):
    """What both forms of the connection do without waiting."""

    counts = 0
    server_status: int
    server_capabilities: int
    _result: Any
    largest: int = 0
    """Bytes of the largest message that the server takes (max_allowed_packet); 0 where it was not asked."""
    lost_all: bool = False
    """Whether the server rolled the open transaction back by itself: what follows would commit without what went before."""
    begun: bool = False
    """Whether a statement went out since the last COMMIT or ROLLBACK. The status does not tell: drivers take it from
    answers without rows only, so a transaction that has read and no more looks like none."""

    @property
    def is_mariadb(self) -> bool:
        """Whether it is MariaDB that greeted us: it says so in its version, or does not claim to be MySQL (CLIENT_MYSQL)."""
        greeted: str = self.server_version  # type: ignore[attr-defined]  # the driver's own
        return "mariadb" in greeted.lower() or not self.server_capabilities & CLIENT.LONG_PASSWORD

    @property
    def stands(self) -> bool:
        """Whether it is not closed: the drivers close one that was lost. PyMySQL has a socket, aiomysql a writer."""
        return getattr(self, "_sock", None) is not None or getattr(self, "_writer", None) is not None

    @property
    def busy(self) -> bool:
        """Whether the server may hold a transaction open on it."""
        return self.begun or bool(self.server_status & IN_TRANSACTION)

    @property
    def unread(self) -> bool:
        """Whether a part of an answer is still to be read: the next statement would have to read it first."""
        return self._result is not None and bool(self._result.unbuffered_active)

    @property
    def altered(self) -> bool:
        """Whether its cursors give something else than tuples."""
        return "Dict" in self.cursorclass.__name__  # type: ignore[attr-defined]  # the driver's own

    def start(self, holder: object, deadline: Deadline) -> None:
        """A block takes the connection: what an earlier one left is over."""
        super().start(holder, deadline)
        self.lost_all = self.begun = False

    @contextlib.contextmanager
    def own_statements(self) -> Iterator[None]:
        """What is sent inside is regionkit's own: it counts for nothing, and whoever sends it ends what it began."""
        begun = self.begun
        with super().own_statements():
            yield
        self.begun = begun

    def require_tls(self, wanted: object) -> None:
        """Right behind the server's greeting, before a name or a password is sent: no TLS, no more words.

        Drivers go on in clear text with a server, or with whoever answers in its place, that says it has no TLS.
        """
        if wanted and not self.server_capabilities & CLIENT.SSL:
            raise pymysql.err.OperationalError(CR.CR_SSL_CONNECTION_ERROR, "TLS is required, and the server has none")

    @property
    def torn(self) -> bool:
        """As the server says: `ended` is set before it has refused a COMMIT, and by a deadlock."""
        return bool(self.commits or self.implicit)

    def refused(self, error: Exception) -> None:
        """A statement failed."""
        if error.args[:1] in UNDOES_ALL:
            self.lost_all = self.ended = True
        if self.branch and not self.announced and not self.finishing:
            self.ended = (
                True  # on the driver's own cursor: the server would commit the rest, and SQLAlchemy did not see it
            )

    def require_held(self) -> None:
        """At the block's end: what ended a held transaction may have been a deadlock, which has an error of its own."""
        if self.lost_all:
            self.require_own_end()
        super().require_held()

    def require_own_end(self) -> None:
        """Before COMMIT: what would be committed must not be only what came after a deadlock."""
        if self.lost_all:
            who = "MariaDB" if self.is_mariadb else "MySQL"
            raise swallowed(f"{who} rolled all of it back at a deadlock, and COMMIT would keep what came after.")
        super().require_own_end()

    def committed(self) -> None:
        """COMMIT was answered: no transaction is open."""
        super().committed()
        self.begun = False

    def _spoken(self, command: int, sql: str | bytes) -> None:
        """A command is about to be sent, by whomever: SQLAlchemy, or the driver's own cursor in the user's hands."""
        if 0 < self.largest <= len(sql) + 1:  # and the command's own byte
            raise pymysql.err.OperationalError(
                ER.NET_PACKET_TOO_LARGE,
                f"a statement of {len(sql)} bytes is larger than the server's max_allowed_packet, {self.largest}; "
                "it was not sent",  # the server would break the connection in the midst of it
            )
        if command == COMMAND.COM_QUERY:
            self.touched()
            if self.commit_state != "sent" and (sql in ENDS if isinstance(sql, str) else ENDS_TEXT.match(sql)):
                self.ended = True  # the user's: our own COMMIT is under way as "sent", and counts by its gtid
            self.dirty |= not isinstance(sql, str) and LASTS.search(sql) is not None  # a text is the driver's own
            self.begun = not self.get_autocommit()  # type: ignore[attr-defined]  # the driver's own

    def _forget_rest(self) -> None:
        """Before it is closed: a result half read would be read on by its finalizer."""
        if self._result is not None:
            self._result.unbuffered_active = False

    def _track(self, message: Any, status: int | None) -> None:
        ours = self.finishing or self.commit_state == "sent"
        if self.held and not ours and status is not None and not status & IN_TRANSACTION:
            self.implicit = True  # told by the server even where it tells no gtid
        if not isinstance(message, bytes):
            return
        found, session = changes(message, status or 0)
        self.dirty |= session
        if found is not None:
            self.position = found if self.position is None else later(self.position, found)
            self.commits += 1
            if self.commit_state != "sent":
                self.implicit = True


class Bounded(BoundedState, pymysql.connections.Connection):  # type: ignore[misc]  # PyMySQL ships no types
    """A PyMySQL connection whose waits end at the deadline."""

    def _get_server_information(self) -> None:
        super()._get_server_information()
        self.require_tls(self.ssl)

    def _execute_command(self, command: Any, sql: Any) -> None:
        left = self.left("a statement")
        self._read_timeout = self._write_timeout = left
        self._spoken(command, sql)
        if sql in ENDS and self.unread:
            self._result._finish_unbuffered_query()
        super()._execute_command(command, sql)

    def _force_close(self) -> None:
        self._forget_rest()
        super()._force_close()

    def _read_packet(self, *args: Any) -> Any:
        if self.deadline is not None:
            left = self.deadline.remaining()  # PyMySQL's own limit is one of silence: rows may trickle in for ever
            if left <= 0.0:
                self.expired = True
                self._force_close()
                raise WaitExpired(CR.CR_SERVER_LOST, "the deadline passed while reading from the server")
            if self._read_timeout is None or self._read_timeout - left > RESOLUTION:
                self._read_timeout = left
        return super()._read_packet(*args)

    def _read_bytes(self, num_bytes: int) -> Any:
        try:
            return super()._read_bytes(num_bytes)
        except pymysql.err.OperationalError as error:
            self._raise_own(error)
            if isinstance(error.__context__, TimeoutError):
                self.expired = True
                raise WaitExpired(CR.CR_SERVER_LOST, "the deadline passed while waiting for the server") from None
            raise

    def _write_bytes(self, data: Any) -> None:
        try:
            super()._write_bytes(data)
        except pymysql.err.OperationalError as error:
            self._raise_own(error)
            raise

    def _raise_own(self, error: Exception) -> None:
        """Raise what the driver took for its socket's error where it is the application's."""
        own = interruption(error)
        if own is not None:
            self.stopped = True
            raise own

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        try:
            affected = super()._read_query_result(unbuffered)
        except pymysql.err.Error as error:
            self.refused(error)
            raise
        self._track(getattr(self._result, "message", None), self._result.server_status)
        return affected

    def _read_ok_packet(self) -> Any:
        ok = super()._read_ok_packet()
        self._track(ok.message, ok.server_status)
        return ok


class Connects(pymysql.connections.Connection):  # type: ignore[misc]  # PyMySQL ships no types
    """PyMySQL's connection, made within a deadline: a handshake has several reads, and each has the driver's limit for itself."""

    _by: Deadline | None = None
    _read_timeout: float | None
    _write_timeout: float | None

    def connect_by(self, deadline: Deadline) -> None:
        """Connect; afterwards the limits are the driver's own again."""
        limits = self._read_timeout, self._write_timeout
        self._by = deadline
        try:
            self.connect()
        except pymysql.err.OperationalError as error:
            if deadline.remaining() > 0.0:
                raise
            raise WaitExpired(CR.CR_SERVER_LOST, "the deadline passed while connecting") from error
        finally:
            del self._by
            self._read_timeout, self._write_timeout = limits

    def _read_packet(self, *args: Any) -> Any:
        if self._by is not None:
            left = self._by.remaining()
            if left <= 0.0:
                self._force_close()
                raise WaitExpired(CR.CR_SERVER_LOST, "the deadline passed while connecting")
            self._read_timeout = self._write_timeout = left
        return super()._read_packet(*args)
