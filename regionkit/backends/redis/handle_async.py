"""What a block does at its Redis endpoint: it takes a connection at the first command, and counts what was acknowledged.

To the driver's own objects (pipelines, locks) it is the pool. A block that sends nothing costs no connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regionkit.backends.redis.block_connection_async import AsyncRedisConnection, over
from regionkit.backends.redis.block_progress import RedisProgress
from regionkit.backends.redis.client_async import AsyncRoutedRedis
from regionkit.backends.redis.client_settings import ClientSettings
from regionkit.contract.checkout_async import AsyncCheckout, AsyncTakeCheckout
from regionkit.contract.hand_over import SOMEBODY
from regionkit.contract.message import Answer, Statement, no_messages
from regionkit.contract.progress import NOTHING, Progress
from regionkit.errors import UsageError
from regionkit.facts.request import Kind

__all__ = ["AsyncRedisHandle"]


class AsyncRedisHandle:
    """Between a block and its client; to the driver's own objects, the pool. Not shared between threads or tasks."""

    __slots__ = (
        "_checkout",
        "_closed",
        "_progress",
        "_settings",
        "_source",
        "connection",
        "guarded",
        "keyed",
        "kind",
        "native",
    )

    def __init__(self, kind: Kind, source: AsyncTakeCheckout, settings: ClientSettings) -> None:
        self.kind = kind
        self._source: Any = source
        self._settings = settings
        self._checkout: Any = None
        self._closed = False
        self._progress: RedisProgress | None = None
        self.connection: AsyncRedisConnection | None = None
        self.guarded = False
        self.keyed: Any = None
        self.native: Any = AsyncRoutedRedis(self, settings)

    async def begin(self, checkout: AsyncCheckout) -> None:
        """Take the connection now."""
        self._take(checkout)

    def _take(self, checkout: Any) -> None:
        self._checkout = checkout
        self._progress = checkout.progress
        self.guarded = checkout.guarded
        self.connection = checkout.connection

    async def ready(self) -> AsyncRedisConnection:
        """The block's connection, before a command: taken now, or proved anew."""
        if self._closed:
            raise over()
        if self.connection is None:
            self._take(await self._source())
        assert self.connection is not None
        if self.guarded:
            await self._checkout.recheck()
        return self.connection

    async def get_connection(self, *_: Any, **__: Any) -> AsyncRedisConnection:
        """What the driver's own objects ask a pool for."""
        return self.connection or await self.ready()

    async def release(self, connection: Any) -> None:
        """The block gives it back, at its end."""

    async def disconnect(self, *_: Any, **__: Any) -> None:
        """Closing is the block's."""

    def get_encoder(self) -> Any:
        """How the driver makes bytes of values."""
        return self._settings.encoder

    @property
    def connection_kwargs(self) -> dict[str, Any]:
        """What the driver's modules look up of a pool: without secrets."""
        return dict(self._settings.arguments)

    def __repr__(self) -> str:
        return f"<block on {self._settings.name}>"

    async def finish(self) -> None:
        """The block ended well: each write was acknowledged already, but for a keyed one, which runs now."""
        if self.keyed is not None:
            await self.keyed.run(await self.ready())
        if self._progress is not None and self._progress.queuing and self.kind is Kind.WRITE:
            raise UsageError(
                "a block ended inside MULTI.",
                why="what was queued after MULTI is dropped with the connection.",
                fix="end it with EXEC or DISCARD; pipelines do so by themselves.",
            )

    async def abort(self) -> None:
        """The block raised: what was acknowledged stays, as Redis rolls nothing back."""

    async def close(self) -> None:
        """Let go of everything but the checkout; also of what refers to this handle, so that no circle is left behind."""
        self._closed = True
        self.connection = self._source = self.native = None

    @property
    def speaker(self) -> object:
        """Whoever waits for an answer at this moment; nobody can be told by that who it is."""
        connection = self.connection
        return SOMEBODY if connection is not None and connection.lock.locked() else None

    @property
    def progress(self) -> Progress:
        """What the block has done so far: its connection counts."""
        progress, connection = self._progress, self.connection
        if progress is None:
            return NOTHING
        if connection is not None and connection.expired:
            progress.expired = True
        return progress

    async def message(self, statements: Sequence[Statement]) -> list[Answer]:
        """Refused: Redis is no SQL server."""
        raise no_messages("redis")

    def hold(self, why: str) -> None:
        """Nothing to do: each command stands by itself, and nobody ends anything."""

    def outcome(self, result: Any) -> Any:
        """What a function of execute_write returned; a keyed one that returned nothing, or its pipeline, has the replies."""
        if self.keyed is not None and (result is None or result is self.keyed.pipeline):
            return self.keyed.replies
        return result
