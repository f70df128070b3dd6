"""The connection of `mariadb_connection` for aiomysql. Imported only where an application runs on asyncio."""

from __future__ import annotations

import asyncio
from typing import Any

import aiomysql.connection as driver
import pymysql
from pymysql.constants import CR

from regionkit.backends.sql.mariadb_connection import ENDS, BoundedState, WaitExpired
from regionkit.core.deadline import Deadline

__all__ = ["AsyncBounded"]

QUIT = b"\x01\x00\x00\x00\x01"
"""The packet that tells the server goodbye: COM_QUIT, of length 1."""


class AsyncBounded(BoundedState, driver.Connection):  # type: ignore[misc]  # aiomysql ships no types
    """An aiomysql connection that a timer aborts at the deadline: aiomysql itself waits for ever."""

    _timer: asyncio.TimerHandle | None = None
    _deadline: Deadline | None = None

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
