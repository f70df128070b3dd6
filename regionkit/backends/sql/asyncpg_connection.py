"""A connection of asyncpg whose waits end at the deadline, and whose COMMIT brings its position.

1. A timer aborts the connection at the deadline: asyncpg's own time-outs ask the server to cancel, and a frozen one does not.
2. It begins its transactions by itself: BEGIN travels in front of the first statement, in the same message. `automatic` (reads)
   begins none.
3. Each way to send something says so first (`touched`), whoever takes it: SQLAlchemy, or the application on the driver's object.
4. A wait that ended in another way than by an answer closes it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import asyncpg

from regionkit.backends.sql.asyncpg_tap import Tap
from regionkit.backends.sql.driver import DriverState
from regionkit.backends.sql.postgres_texts import BEGINNINGS, TO_SAVEPOINT, restoring
from regionkit.backends.sql.postgres_wire import WireResult
from regionkit.contract.interrupted import interruption, keep_own
from regionkit.core.deadline import Deadline

__all__ = ["AsyncBounded"]

MOST_PLANS = 100
"""Prepared statements that a connection keeps."""
KEEPALIVE = (
    ("TCP_KEEPIDLE", "keepalives_idle"),
    ("TCP_KEEPINTVL", "keepalives_interval"),
    ("TCP_KEEPCNT", "keepalives_count"),
)


class AsyncBounded(DriverState, asyncpg.Connection):  # type: ignore[misc]  # asyncpg counts as untyped
    """One connection. Not shared between tasks.

    Attributes:
        automatic: each statement commits by itself.
        level: isolation of its transactions; "" for the server's default.
        readonly, deferrable: how its transactions begin.
        prepares: keep a plan of each statement.
        pooled: whether a pooler stands in front; None where that was not asked.
        settings: what the session began with and the server does not know as its beginning.
        options: what was asked for when it connected.
    """

    rides = True
    prepares = True
    _top_xact: Any  # asyncpg's

    def __init__(self, protocol: Any, transport: Any, *others: Any) -> None:
        super().__init__(protocol, transport, *others)
        self._deadline: Deadline | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._clock = asyncio.get_running_loop()
        self.tap = Tap(protocol, transport, self._tagged)
        self.automatic = self.readonly = self.deferrable = False
        self.level = self.options = ""
        self.pid: int = protocol.get_server_pid()  # asked later, a connection that is lost has none
        self.pooled: bool | None = None
        self.settings: dict[str, str] = {}
        self.plans: OrderedDict[str, Any] = OrderedDict()
        self._text = ""
        self.streaming = False

    @property
    def deadline(self) -> Deadline | None:
        """When its waits end; None for never. Setting it sets the timer."""
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: Deadline | None) -> None:
        self._deadline = deadline
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer = self._clock.call_later(max(0.0, deadline.remaining()), self._abort_late)

    def _abort_late(self) -> None:
        if not self.is_closed():
            self.expired = True
            self.terminate()

    def leave(self) -> None:
        """Close it without a wait."""
        self.deadline = None
        if not self.is_closed():
            self.tap.say_goodbye()
        self.terminate()

    def stop(self, error: BaseException) -> None:
        """A wait ended in this way: where it was not the server's answer, the next one would get that."""
        own = interruption(error) is not None
        if own or not isinstance(error, Exception):
            self.stopped = own
            if own:
                keep_own(error)
            self.terminate()

    def keep_alive(self, limits: dict[str, int]) -> None:
        """Set what ends a connection whose peer is gone."""
        made = self.tap.socket
        if made is None or made.family == socket.AF_UNIX:
            return
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, limits.get("keepalives", 1))
        for option, name in (*KEEPALIVE, ("TCP_USER_TIMEOUT", "tcp_user_timeout")):
            if name in limits and hasattr(socket, option):
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), limits[name])

    @property
    def restore(self) -> bytes:
        """Statements that put back what a block may have set, behind a semicolon."""
        return restoring(tuple(self.settings.items()), branch=self.branch)

    def is_restored(self, last: WireResult) -> bool:
        """Whether the last answer to `restore` says that nothing of the block is left."""
        return not last.error and (not self.branch or last.rows[0][-1] == "0")

    @property
    def busy(self) -> bool:
        """Whether the server holds a transaction open on it, or it is lost."""
        return bool(self.is_closed() or self.is_in_transaction())

    @property
    def stands(self) -> bool:
        """Whether it is not lost."""
        return not self.is_closed()

    @property
    def unread(self) -> bool:
        """Whether a stream that began its own transaction was not read to its end."""
        return self.streaming

    def forget_plans(self) -> bool:
        """Drop all prepared statements; whether there were any."""
        had = bool(self.plans)
        self.plans.clear()
        return had

    def touched(self) -> None:
        """The driver is about to send something, by whomever."""
        super().touched()
        self.dirty |= not self.announced and self.automatic and not self.branch

    def _tagged(self, tag: str) -> None:
        ended = tag == "COMMIT" or (tag == "ROLLBACK" and not TO_SAVEPOINT.search(self._text))
        if ended and (self.branch or not self.automatic):
            self.ended_by(tag)

    @property
    def beginning(self) -> str:
        """What begins a transaction."""
        level = f" ISOLATION LEVEL {self.level}" if self.level else ""
        return f"BEGIN{level}{' READ ONLY' if self.readonly else ''}{' DEFERRABLE' if self.deferrable else ''}"

    def beginnings(self) -> tuple[str, ...]:
        """What has to be sent before a statement, so that it stands in a transaction."""
        if self.is_closed() or self.is_in_transaction():
            return ()
        if self.opening:
            texts, self.opening = self.opening, ()
            return texts
        return () if self.automatic else (self.beginning,)

    def before(self, text: str) -> None:
        """A statement is about to be sent, in the extended protocol: BEGIN goes in front.

        Raises:
            DeadlineExceeded: no time is left. Nothing was sent.
        """
        self._about(text)
        for beginning in self.beginnings():
            self.tap.send_ahead(beginning)

    def _about(self, text: str) -> None:
        self.left("a statement")
        self.touched()
        self._text = text

    async def ask(self, text: str) -> list[WireResult]:
        """Results of all statements of one message, the last one an error where there was one. It is as it was before."""
        self.left("a statement")
        answers = self.tap.capture()
        try:
            await super().execute(text)
        except Exception as error:
            if not answers.results or not answers.results[-1].error:
                self.stop(error)
                raise
        except BaseException as error:
            self.stop(error)
            raise
        finally:
            self.tap.release()
        return answers.results

    async def run_several(self, text: str) -> list[WireResult]:
        """Results of a text of the user's that holds several statements.

        Raises:
            asyncpg.PostgresError: of the one that failed.
        """
        self._about(text)
        beginnings = self.beginnings()
        results = (await self.ask(";\n".join((*beginnings, text))))[len(beginnings) :]
        for result in results:
            self._tagged(result.tag)
        if results[-1].error:
            error: Exception = asyncpg.PostgresError.new(results[-1].error)
            raise error
        return results

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """asyncpg's."""
        if args:
            self.before(query)
            return str(await super().execute(query, *args, timeout=timeout))
        self._about(query)
        words = query.split(None, 1)
        begins = () if not words or words[0].upper().rstrip(";") in BEGINNINGS else self.beginnings()
        return str(await super().execute(";\n".join((*begins, query)), timeout=timeout))

    async def executemany(self, command: str, args: Any, *, timeout: float | None = None) -> Any:
        """asyncpg's."""
        self.before(command)
        return await super().executemany(command, args, timeout=timeout)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        """asyncpg's."""
        self.before(query)
        return await super().fetch(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """asyncpg's."""
        self.before(query)
        return await super().fetchval(query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """asyncpg's."""
        self.before(query)
        return await super().fetchrow(query, *args, **options)

    async def prepare(self, query: str, **options: Any) -> Any:
        """asyncpg's."""
        self.before(query)
        return await super().prepare(query, **options)

    async def begin(self) -> None:
        """Begin what `before` would begin, in a message of its own."""
        beginnings = self.beginnings()
        if beginnings:
            self.left("a statement")
            await super().execute(";\n".join(beginnings))

    @contextlib.contextmanager
    def as_begun(self) -> Iterator[None]:
        """asyncpg up to 0.31 opens cursors only in a transaction of its own object: it is shown one, never started."""
        before: Any = self._top_xact
        self._top_xact = before or self.transaction()
        try:
            yield
        finally:
            self._top_xact = before

    async def copy_from_table(self, table_name: str, **options: Any) -> Any:
        """asyncpg's."""
        self._about("COPY")
        await self.begin()
        return await super().copy_from_table(table_name, **options)

    async def copy_from_query(self, query: str, *args: Any, **options: Any) -> Any:
        """asyncpg's."""
        self._about("COPY")
        await self.begin()
        return await super().copy_from_query(query, *args, **options)

    async def copy_to_table(self, table_name: str, **options: Any) -> Any:
        """asyncpg's."""
        self._about("COPY")
        await self.begin()
        return await super().copy_to_table(table_name, **options)

    async def copy_records_to_table(self, table_name: str, **options: Any) -> Any:
        """asyncpg's."""
        self._about("COPY")
        await self.begin()
        return await super().copy_records_to_table(table_name, **options)

    async def set_type_codec(self, typename: str, **options: Any) -> None:
        """asyncpg's. It would outlive the block: the connection is closed at its end."""
        await super().set_type_codec(typename, **options)
        self.dirty = True

    async def plan(self, text: str) -> Any:
        """The prepared statement of a text, kept from an earlier run where there is one."""
        found = self.plans.get(text)
        if found is not None:
            self.plans.move_to_end(text)
            return found
        if not self.prepares:
            return await super().prepare(text, name="")
        found = self.plans[text] = await super().prepare(text)
        if len(self.plans) > MOST_PLANS:
            self.plans.popitem(last=False)
        return found
