# Generated from client_async.py by scripts/twins.py. Do not edit.
"""The block's session and the view of the client that puts it into every command.

A `Database` carries no session, and a bound one is per context: a worker thread would run outside of it. So each block has a view
of its member's client, which shares the connections and lends our session to whatever asks for one: collections, cursors,
bulk writes, change streams, in any thread or task. What a command is, is looked at where the session is put in, the last
place before it is sent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, Protocol

from bson import Timestamp
from pymongo import _csot
from pymongo.errors import ConfigurationError as DriverConfigurationError
from pymongo.errors import NetworkTimeout, PyMongoError
from pymongo.synchronous.client_session import ClientSession

from regionkit.backends.mongo.classify import timed_out
from regionkit.backends.mongo.commands import ENDING, LEVELLED, writes
from regionkit.backends.mongo.driver_parts import driver_part
from regionkit.backends.mongo.member import Member, MemberClient, limited
from regionkit.contract.interrupted import interruption
from regionkit.errors import DeadlineExceeded, UsageError

__all__ = ["Block", "BlockClient", "BlockSession", "view_of"]

_SHARED, _OWN = "pymongo.client_session_shared", "pymongo.synchronous.client_session"
_EmptyServerSession = driver_part("_EmptyServerSession", _SHARED, _OWN)
SessionOptions = driver_part("SessionOptions", _SHARED, _OWN)

_SENT: ContextVar[MutableMapping[str, Any] | None] = ContextVar("regionkit_mongo_write", default=None)
"""The write that this thread or task has sent and that is not answered: its final form is known only at the answer."""


_CHANGING: ContextVar[Mapping[str, Any] | None] = ContextVar("regionkit_mongo_changing", default=None)
"""The write of the operation under way, answered or not."""
_OWN_LIMIT: ContextVar[bool] = ContextVar("regionkit_mongo_own_limit", default=False)
"""Whether the command that this thread or task has sent has a maxTimeMS of the application's, below ours."""


def _limit(name: str, command: Mapping[str, Any]) -> None:
    """Let a maxTimeMS of the application's stand where it is below ours, which pymongo would put in its place.

    Of a getMore it says how long to wait for more, and is left to pymongo.
    """
    own, left = command.get("maxTimeMS"), _csot.remaining()
    if name == "getMore" or left is None or not isinstance(own, int | float) or own <= 0:
        return
    margin = left - own / 1000.0
    if margin > _csot.get_rtt():
        _csot.set_rtt(margin)
        _OWN_LIMIT.set(True)


class Block(Protocol):
    """What a block's commands ask it: its handle.

    Attributes:
        is_read: it sends only what reads.
        level: read concern of its reads.
        after: what its reads have to show at least; None for nothing.
        margin: seconds by which the server gives up before the client does.
        used: a command was sent.
    """

    is_read: bool
    level: str
    after: Timestamp | None
    margin: float
    used: bool

    def ready(self) -> float:
        """Before each command: the checkout is there, its proof holds; seconds left."""
        ...

    def left(self) -> float:
        """Seconds left; none after the block."""
        ...

    def before(self, name: str, command: Mapping[str, Any], run: str) -> None:
        """The last look at a command before it is sent."""
        ...

    def check_level(self, level: str) -> None:
        """Refuse a read concern of the user's below the block's."""
        ...

    def answered(self, command: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
        """A write was answered."""
        ...

    def failed(self, error: PyMongoError, *, own_limit: bool, command: Mapping[str, Any] | None) -> None:
        """A command failed. `own_limit`: a time limit of the application's was over. `command`: the write that was sent."""
        ...

    def stopped(self, *, written: bool) -> None:
        """A cancellation, or an exception of the application's, ended the wait for an answer."""
        ...

    def no_connection(self) -> DeadlineExceeded:
        """Every connection was in use until the deadline."""
        ...


class BlockSession(ClientSession):
    """The causal session of one block."""

    def __init__(self, client: Any, handle: Block) -> None:
        super().__init__(client, _EmptyServerSession(), SessionOptions(causal_consistency=True), False)
        self._handle = handle

    def _apply_to(self, command: MutableMapping[str, Any], is_retryable: bool, read_preference: Any, conn: Any) -> None:
        name = next(iter(command))
        handle = self._handle
        handle.before(name, command, conn.run)
        if name in LEVELLED and not self.in_transaction:
            command.setdefault("readConcern", {"level": handle.level})
        changing = command if not handle.is_read and writes(name, command) else None
        _SENT.set(changing)
        _CHANGING.set(changing)
        _limit(name, command)
        super()._apply_to(command, is_retryable, read_preference, conn)
        handle.used = True

    def _end_implicit_session(self) -> None:
        """Of pymongo 4.13, at the end of a cursor whose session nobody passed: it is the block's, and lasts as long."""

    def _update_read_concern(self, cmd: MutableMapping[str, Any], conn: Any) -> None:
        concern = cmd.get("readConcern") or {}
        level = concern.get("level", "")
        self._handle.check_level(level)
        after = self.operation_time or self._handle.after
        if after is not None and level not in ("linearizable", "available"):
            concern["afterClusterTime"] = after
        if concern:
            cmd["readConcern"] = concern

    def _process_response(self, reply: Any) -> None:
        super()._process_response(reply)
        command = _SENT.get()
        if command is not None:
            _SENT.set(None)
            if not self.in_transaction:
                self._handle.answered(command, reply)


class _Lent:
    """The session, for as long as one operation takes; it is not ended with it."""

    __slots__ = ("_session",)

    def __init__(self, session: BlockSession) -> None:
        self._session = session

    def __enter__(self) -> BlockSession:
        return self._session

    def __exit__(self, *error: object) -> None:
        return None


class BlockClient(MemberClient):
    """A view of a member's client for one block. It has the connections of that client, and one session."""

    _handle: Block
    _session: BlockSession
    _lent: _Lent
    _member: Member

    def _ensure_session(self, session: Any = None) -> Any:
        if session is not None and session is not self._session:
            raise UsageError(
                "a call in a block passed its own session.",
                why="the block's session is what makes its reads and writes causal; a command outside of it is not seen.",
                fix="leave session= out; for a transaction open s.write(..., transaction=True).",
            )
        return self._session

    def _tmp_session(self, session: Any, close: bool = True) -> Any:  # `close` is of pymongo 4.13
        if session is not None and session is not self._session:
            self._ensure_session(session)
        return self._lent

    def stand_at(self, member: Member) -> None:
        """Look at this member from now on: the block has got its checkout there."""
        own = {name: self.__dict__[name] for name in ("_handle", "_session", "_lent", "_write_concern")}
        self.__dict__.update(member.client.__dict__)
        self.__dict__.update(own)
        self._member = member

    def _retry_internal(  # type: ignore[override]  # always called with these
        self,
        func: Any,
        session: Any,
        bulk: Any,
        operation: str,
        is_read: bool = False,
        address: Any = None,
        read_pref: Any = None,
        **more: Any,
    ) -> Any:
        """Every operation comes through here, and is run once; only the end of a transaction is safe to ask for twice."""
        if session is not None and session is not self._session:  # pymongo 4.13 asks nobody about a cursor's
            self._ensure_session(session)
        handle = self._handle
        left = handle.ready()
        ends, own_ends = time.monotonic() + left, _csot.get_deadline()
        _CHANGING.set(None)
        _OWN_LIMIT.set(False)
        _SENT.set(None)
        slots = self._member.slots
        if not slots.try_acquire() and not slots.acquire(left):
            raise handle.no_connection()
        try:
            with _csot._TimeoutContext(left):
                _csot.set_rtt(handle.margin)
                if operation in ENDING:
                    return super()._retry_internal(func, session, bulk, operation, **more)
                server = self._select_server(None, session, operation)
                if is_read:
                    with self._conn_from_server(read_pref, server, session) as (conn, preference):
                        return func(session, server, conn, preference)
                with self._checkout(server, session) as conn:
                    return func(session, conn, False)
        except BaseException as error:
            own = interruption(error)
            if own is not None or not isinstance(error, Exception):
                handle.stopped(written=_SENT.get() is not None)
                if own is not None and own is not error:
                    raise own  # noqa: B904  # the driver's error came of it
            elif isinstance(error, DriverConfigurationError) and "unacknowledged" in str(error):
                raise _unacknowledged() from error
            elif isinstance(error, PyMongoError):
                limited = _OWN_LIMIT.get() and not isinstance(error, NetworkTimeout)
                over = time.monotonic() >= own_ends or not isinstance(error, NetworkTimeout)
                limited = limited or (own_ends < ends and over)
                handle.failed(error, own_limit=limited and timed_out(error), command=_CHANGING.get())
            raise
        finally:
            slots.release()

    def _conn_for_writes(self, session: Any, operation: str) -> Any:
        raise _unacknowledged()

    def _close_cursor_now(self, cursor_id: int, address: Any, session: Any = None, conn_mgr: Any = None) -> None:
        left = self._handle.left()
        if left <= 0.0:
            self._close_cursor_soon(cursor_id, address, conn_mgr)
            return
        with limited(left):
            super()._close_cursor_now(cursor_id, address, session, conn_mgr)

    def start_session(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: the block has its session."""
        raise UsageError(
            "start_session() in a block.",
            why="the block's own session tracks what was written and seen.",
            fix="for a transaction open s.write(..., transaction=True).",
        )

    def close(self) -> None:
        """Refused: the connections are the kit's."""
        raise UsageError(
            "close() of a block's client.", why="its connections are the kit's.", fix="leave closing to kit.close()."
        )


def _unacknowledged() -> UsageError:
    return UsageError(
        "an unacknowledged write in a block.",
        why="with w=0 its outcome is unknown: it has no position, and no reader can wait for it.",
        fix="leave the write concern to the block: a majority.",
    )


def view_of(member: Member, handle: Block) -> BlockClient:
    """The client of `member` as one block sees it."""
    view = BlockClient.__new__(BlockClient)
    view.__dict__.update(member.client.__dict__)
    view._handle, view._member = handle, member
    view._session = BlockSession(view, handle)
    view._lent = _Lent(view._session)
    return view
