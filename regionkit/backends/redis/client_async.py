"""What the user types with on Redis: a client of redis-py bound to the one connection of its block.

It is a clone: made without the driver's constructor, which would make a pool. To the driver's own pipelines and locks the
handle is the pool, so that all of them run on the block's connection.
"""

from __future__ import annotations

from typing import Any, Protocol

from redis.client import EMPTY_RESPONSE, NEVER_DECODE

from regionkit.backends.redis.annotated import annotated
from regionkit.backends.redis.block_connection_async import AsyncRedisConnection
from regionkit.backends.redis.client_settings import ClientSettings
from regionkit.backends.redis.stream_async import AsyncPipeline, AsyncRedis
from regionkit.errors import UsageError

__all__ = ["AsyncConnectionSource", "AsyncRoutedPipeline", "AsyncRoutedRedis"]


class AsyncConnectionSource(Protocol):
    """Where a client of a block gets its connection: the handle."""

    connection: AsyncRedisConnection | None
    guarded: bool

    async def ready(self) -> AsyncRedisConnection:
        """The block's connection, before a command: taken now, or proved anew."""
        ...


class AsyncRoutedRedis(AsyncRedis):
    """A client that speaks on its block's connection, within the block's deadline, and only there."""

    connection = None
    auto_close_connection_pool = False
    single_connection_client = False
    _single_connection_client = False
    _event_dispatcher: Any = None
    connection_pool: Any
    response_callbacks: Any
    _shapes: Any
    """The driver's callbacks, where the user has set none: then its way of calling them is gone without."""

    def __init__(self, routed: AsyncConnectionSource, settings: ClientSettings) -> None:
        # not the driver's: that makes a pool, and takes as long as two commands
        self.connection_pool = routed
        self.response_callbacks = self._shapes = settings.callbacks
        self._routed = routed

    @property
    def queuing(self) -> bool:
        """Whether the server queues what is sent now, after MULTI."""
        connection = self._routed.connection
        return connection is not None and connection.progress is not None and connection.progress.queuing

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and give back its reply."""
        connection = self._routed.connection
        if connection is None or self._routed.guarded:
            connection = await self._routed.ready()
        async with connection.lock:
            if self._shapes is None or NEVER_DECODE in options or EMPTY_RESPONSE in options:
                await connection.send_command(*args)
                return await self._parsed(connection, args[0], **options)
            reply = await connection.call(args)
        shape = dict.get(self._shapes, args[0].upper())
        if shape is None:
            return reply
        options.pop("keys", None)  # for caches of the driver's
        return shape(reply, **options)

    _parsed: Any = AsyncRedis.parse_response  # the driver is typed in parts

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> AsyncRoutedPipeline:
        """A pipeline on the block's connection."""
        pool: Any = self._routed
        return AsyncRoutedPipeline(pool, self.response_callbacks, transaction, shard_hint)

    def set_response_callback(self, command: str, callback: Any) -> None:
        """A callback for this block only."""
        own = type(self.response_callbacks)(self.response_callbacks)
        own[command] = callback
        self.response_callbacks, self._shapes = own, None  # one of the user's may be a coroutine function

    def pubsub(self, **options: Any) -> Any:
        """Refused: a subscription outlives every deadline."""
        raise _refused("pubsub()")

    def monitor(self) -> Any:
        """Refused: it never ends."""
        raise _refused("monitor()")

    def keyspace_notifications(self, *args: Any, **options: Any) -> Any:
        """Refused: a subscription outlives every deadline."""
        raise _refused("keyspace_notifications()")

    def client(self) -> Any:
        """Refused: it would be a client without a block."""
        raise _refused("client()")

    def set_retry(self, retry: Any) -> None:
        """Refused: one layer retries, and that is regionkit."""
        raise _refused("set_retry()")

    async def initialize(self) -> Any:
        """The block connects."""
        return self

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Closing is the block's."""

    async def close(self, close_connection_pool: bool | None = None) -> None:
        """Closing is the block's."""

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *error: Any) -> None:
        """Closing is the block's."""

    def __del__(self, *_: Any) -> None:
        """Nothing of the driver's is held."""


class AsyncRoutedPipeline(AsyncPipeline):
    """A pipeline of the driver on the block's connection."""

    annotate_exception = annotated(AsyncPipeline)

    connection_pool: Any
    _alone = False

    async def execute(self, raise_on_error: bool = True) -> Any:
        """Send what was queued, and give back the replies."""
        if not self.command_stack and not self.watching:
            return []
        connection = await self.connection_pool.ready()
        async with connection.lock:
            self._alone = True
            try:
                return await super().execute(raise_on_error)
            finally:
                self._alone = False

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command at once, as WATCH needs it."""
        driver: Any = super()
        connection = await self.connection_pool.ready()
        if self._alone:
            return await driver.immediate_execute_command(*args, **options)
        async with connection.lock:
            return await driver.immediate_execute_command(*args, **options)

    async def _disconnect_reset_raise_on_watching(self, conn: Any, *_: Any, **__: Any) -> None:
        conn.tear()  # the driver would say "watched variable changed" of a lost connection

    async def _disconnect_raise_on_watching(self, conn: Any, *_: Any, **__: Any) -> None:
        conn.tear()

    def __del__(self, *_: Any) -> None:
        """Not the driver's: it would send UNWATCH on the block's connection, in the middle of another command's answer."""


def _refused(what: str) -> UsageError:
    return UsageError(
        f"{what} on the client of a block.",
        why="a block has one connection and one deadline, and serves others after it.",
        fix="use your own redis client for it.",
    )
