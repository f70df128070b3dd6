"""Connections of PyMySQL and aiomysql to MariaDB whose waits end at the deadline, and which read the position from answers.

With the session tracker on, the OK packet of a COMMIT carries `last_gtid`: no extra message, no multi-statement flag.
A position that arrives when we did not send COMMIT means that a statement committed implicitly (DDL does).
Source: MariaDB Knowledge Base, "OK_Packet" and "Session Tracking"; MySQL Internals, "Protocol::OK_Packet".
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pymysql
from pymysql.constants import CLIENT, COMMAND, CR

from regionkit.backends.sql.driver import DeadlinePassed, DriverState, swallowed
from regionkit.backends.sql.observation import gtids
from regionkit.core.deadline import Deadline
from regionkit.facts.position import later

__all__ = ["SESSION_TRACK", "Bounded", "WaitExpired", "async_bounded", "changes"]

RESOLUTION = 0.02
"""How exactly the wait for one packet ends at the deadline, seconds: setting a socket's limit costs a call."""
SESSION_TRACK = 1 << 23
"""The client's flag CLIENT_SESSION_TRACK, which the drivers do not know."""
SESSION_STATE_CHANGED = 0x4000
IN_TRANSACTION = 0x0001
TRACK_SYSTEM_VARIABLES, TRACK_STATE_CHANGE = 0, 2
LASTS = re.compile(rb"get_lock|:=|lock\s+table", re.IGNORECASE)
"""What outlives its block and is told by no answer; the connection is closed then, as after a change that is told."""
UNDOES_ALL = ((1213,), (1020,))
"""Errors that roll back the whole transaction, not the statement: ER_LOCK_DEADLOCK, ER_CHECKREAD."""
ENDS_TEXT = re.compile(rb"\s*(?:COMMIT|ROLLBACK)\b(?!\s+(?:WORK\s+)?TO\b)", re.IGNORECASE)
ENDS = ("COMMIT", "ROLLBACK")
"""What the drivers send for an end. It reads the rest of a stream that the block left; the drivers warn and do the same."""
QUIT = b"\x01\x00\x00\x00\x01"
"""The packet that tells the server goodbye: COM_QUIT, of length 1."""


class WaitExpired(DeadlinePassed, pymysql.err.OperationalError):  # type: ignore[misc]  # PyMySQL ships no types
    """The deadline passed while waiting for MariaDB; the connection is closed."""


class Changes(NamedTuple):
    """What an answer tells of the session: `last_gtid`, and whether the session itself was changed (SET, USE, a table)."""

    gtid: str | None
    session: bool


def changes(message: bytes | None, status: int) -> Changes:
    """Those in an OK packet's tail: a length-encoded text, then length-encoded state changes."""
    if not message or not status & SESSION_STATE_CHANGED:
        return Changes(None, session=False)
    gtid, session = None, False
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
                gtid = _lenenc_text(tail)[0].decode()
    return Changes(gtid, session)


def _lenenc_text(data: bytes) -> tuple[bytes, bytes]:
    """A length-encoded text and what follows it."""
    if not data:
        return b"", b""
    first = data[0]
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    length = int.from_bytes(data[1 : 1 + width], "little") if width else first
    start = 1 + width
    return data[start : start + length], data[start + length :]


class _Shared(DriverState):
    """What both forms of the connection do without waiting."""

    counts = 0
    server_status: int
    server_capabilities: int
    _result: Any
    lost_all: bool = False
    """Whether the server rolled the open transaction back by itself: what follows would commit without what went before."""
    begun: bool = False
    """Whether a statement went out since the last COMMIT or ROLLBACK. The status does not tell: drivers take it from
    answers without rows only, so a transaction that has read and no more looks like none."""

    @property
    def busy(self) -> bool:
        """Whether the server may hold a transaction open on it."""
        return self.begun or bool(self.server_status & IN_TRANSACTION)

    @property
    def unread(self) -> bool:
        """Whether a part of an answer is still to be read: the next statement would have to read it first."""
        return self._result is not None and bool(self._result.unbuffered_active)

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

    def refused(self, error: Exception) -> None:
        """A statement failed."""
        if error.args[:1] in UNDOES_ALL:
            self.lost_all = self.ended = True

    def require_held(self) -> None:
        """At the block's end: what ended a held transaction may have been a deadlock, which has an error of its own."""
        if self.lost_all:
            self.require_own_end()
        super().require_held()

    def require_own_end(self) -> None:
        """Before COMMIT: what would be committed must not be only what came after a deadlock."""
        if self.lost_all:
            raise swallowed("MariaDB rolled all of it back at a deadlock, and COMMIT would keep what came after.")
        super().require_own_end()

    def send_commit(
        self,
        send: Callable[[], object],
        answered: Callable[[Exception], bool],
        last: Callable[[], None] | None = None,
    ) -> None:
        """Commit; no transaction is open then."""
        super().send_commit(send, answered, last)
        self.begun = False

    def _spoken(self, command: int, sql: str | bytes) -> None:
        """A command is about to be sent, by whomever: SQLAlchemy, or the driver's own cursor in the user's hands."""
        if command == COMMAND.COM_QUERY:
            self.touched()
            if self.commit_state != "sent" and not isinstance(sql, str) and ENDS_TEXT.match(sql):
                self.ended = True  # a text of the user's: our own ends are the driver's calls
            self.dirty |= not isinstance(sql, str) and LASTS.search(sql) is not None  # a text is the driver's own
            self.begun = not self.get_autocommit()  # type: ignore[attr-defined]  # the driver's own

    def _forget_rest(self) -> None:
        """Before it is closed: a result half read would be read on by its finalizer."""
        if self._result is not None:
            self._result.unbuffered_active = False

    def _track(self, message: Any, status: int | None) -> None:
        if not isinstance(message, bytes):
            return
        gtid, session = changes(message, status or 0)
        self.dirty |= session
        if gtid:
            found = gtids(gtid)
            self.position = found if self.position is None else later(self.position, found)
            self.commits += 1
            if self.commit_state != "sent":
                self.implicit = True


class Bounded(_Shared, pymysql.connections.Connection):  # type: ignore[misc]  # PyMySQL ships no types
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
            if isinstance(error.__context__, TimeoutError):
                self.expired = True
                raise WaitExpired(CR.CR_SERVER_LOST, "the deadline passed while waiting for the server") from None
            raise

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


@functools.cache
def async_bounded() -> Any:
    """The aiomysql form; aiomysql is imported only where it is used."""
    import aiomysql.connection as driver

    class AsyncBounded(_Shared, driver.Connection):  # type: ignore[misc]  # aiomysql ships no types
        """An aiomysql connection that a timer aborts at the deadline: aiomysql itself waits for ever."""

        _timer: asyncio.TimerHandle | None = None
        _deadline: Deadline | None = None

        @property
        def deadline(self) -> Deadline | None:
            return self._deadline

        @deadline.setter
        def deadline(self, deadline: Deadline | None) -> None:
            self._deadline = deadline
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if deadline is not None:
                self._timer = self._loop.call_later(max(0.0, deadline.remaining()), self._abort)

        def escape(self, obj: Any) -> Any:
            """As PyMySQL does it: aiomysql takes a function for bytes that PyMySQL 1.2 no longer has."""
            return f"X'{obj.hex()}'" if isinstance(obj, bytes | bytearray) else super().escape(obj)

        def _abort(self) -> None:
            self.expired = True
            if self._writer is not None:
                self._writer.transport.abort()

        def close(self) -> None:
            """Say goodbye and close, without a wait: `ensure_closed` waits for a server that may be gone, and raises."""
            self.deadline = None
            self._forget_rest()
            if self._writer is not None and not self._writer.is_closing():
                self._writer.write(QUIT)
            super().close()

        async def _get_server_information(self) -> None:
            await super()._get_server_information()
            self.require_tls(self._ssl_context)

        async def _execute_command(self, command: Any, sql: Any) -> None:
            self.left("a statement")
            self._spoken(command, sql)
            if sql in ENDS and self.unread:
                await self._result._finish_unbuffered_query()
            await super()._execute_command(command, sql)

        async def _read_bytes(self, num_bytes: int) -> Any:
            try:
                return await super()._read_bytes(num_bytes)
            except pymysql.err.OperationalError:
                if self.expired:
                    raise WaitExpired(CR.CR_SERVER_LOST, "the deadline passed while waiting for the server") from None
                raise

        async def _read_query_result(self, unbuffered: bool = False) -> None:
            try:
                await super()._read_query_result(unbuffered)
            except pymysql.err.Error as error:
                self.refused(error)
                raise
            self._track(getattr(self._result, "message", None), self._result.server_status)

        async def _read_ok_packet(self) -> Any:
            packet = await self._read_packet()
            if not packet.is_ok_packet():
                raise pymysql.err.OperationalError(2014, "Command Out of Sync")
            ok = driver.OKPacketWrapper(packet)
            self.server_status = ok.server_status
            self._track(ok.message, ok.server_status)
            return True

    return AsyncBounded
