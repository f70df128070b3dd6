"""What the user types with on Redis: a client of redis-py bound to the one connection of its block.

It is a clone: made without the driver's constructor, which would make a pool. To the driver's own pipelines and locks the
handle is the pool, so that all of them run on the block's connection. A block that sends nothing costs no connection.
"""

from __future__ import annotations

from typing import Any

from regionkit.backends.redis.block_connection_async import AsyncRedisConnection, Work, over
from regionkit.backends.redis.stream_async import AsyncPipeline, AsyncRedis
from regionkit.contract.checkout_async import AsyncCheckout, AsyncTakeCheckout
from regionkit.contract.progress import NOTHING, Progress
from regionkit.errors import UsageError
from regionkit.facts.request import Kind

__all__ = ["AsyncRedisHandle", "AsyncRoutedPipeline", "AsyncRoutedRedis", "Shared"]


class Shared:
    """What all clones of an endpoint have in common.

    Attributes:
        name: of the endpoint, for reprs.
        arguments: of the connections, without secrets.
        callbacks: the driver's, which shape replies.
        scripted: those for replies that come out of a script.
        encoder: makes bytes of values.
        encoding: of texts, where replies are decoded.
    """

    __slots__ = ("arguments", "callbacks", "encoder", "encoding", "name", "scripted")

    def __init__(
        self,
        *,
        name: str,
        arguments: dict[str, Any],
        callbacks: Any,
        scripted: Any,
        encoder: Any,
        encoding: str | None,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.callbacks = callbacks
        self.scripted = scripted
        self.encoder = encoder
        self.encoding = encoding


class AsyncRoutedRedis(AsyncRedis):
    """A client that speaks on its block's connection, within the block's deadline, and only there."""

    connection = None
    auto_close_connection_pool = False
    single_connection_client = False
    _single_connection_client = False
    _event_dispatcher: Any = None
    connection_pool: Any
    response_callbacks: Any

    def __init__(self, routed: AsyncRedisHandle, shared: Shared) -> None:
        # not the driver's: that makes a pool, and takes as long as two commands
        self.connection_pool = routed
        self.response_callbacks = shared.callbacks
        self._routed = routed

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and give back its reply."""
        wire = self._routed.wire
        if wire is None or self._routed.guarded:
            wire = await self._routed.ready()
        async with wire.lock:
            await wire.send_command(*args)
            return await self._parsed(wire, args[0], **options)

    _parsed: Any = AsyncRedis.parse_response  # the driver is typed in parts

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> AsyncRoutedPipeline:
        """A pipeline on the block's connection."""
        pool: Any = self._routed
        return AsyncRoutedPipeline(pool, self.response_callbacks, transaction, shard_hint)

    def set_response_callback(self, command: str, callback: Any) -> None:
        """A callback for this block only."""
        own = type(self.response_callbacks)(self.response_callbacks)
        own[command] = callback
        self.response_callbacks = own

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

    connection_pool: Any
    _alone = False

    async def execute(self, raise_on_error: bool = True) -> Any:
        """Send what was queued, and give back the replies."""
        if not self.command_stack and not self.watching:
            return []
        wire = await self.connection_pool.ready()
        async with wire.lock:
            self._alone = True
            try:
                return await super().execute(raise_on_error)
            finally:
                self._alone = False

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command at once, as WATCH needs it."""
        driver: Any = super()
        wire = await self.connection_pool.ready()
        if self._alone:
            return await driver.immediate_execute_command(*args, **options)
        async with wire.lock:
            return await driver.immediate_execute_command(*args, **options)

    async def _disconnect_reset_raise_on_watching(self, conn: Any, *_: Any, **__: Any) -> None:
        conn.tear()  # the driver would say "watched variable changed" of a lost connection

    async def _disconnect_raise_on_watching(self, conn: Any, *_: Any, **__: Any) -> None:
        conn.tear()

    def __del__(self, *_: Any) -> None:
        """Not the driver's: it would send UNWATCH on the block's connection, in the middle of another command's answer."""


class AsyncRedisHandle:
    """Between a block and its client; to the driver's own objects, the pool. Not shared between threads or tasks."""

    __slots__ = ("_checkout", "_closed", "_shared", "_source", "_work", "guarded", "keyed", "kind", "native", "wire")

    def __init__(self, kind: Kind, source: AsyncTakeCheckout, shared: Shared) -> None:
        self.kind = kind
        self._source = source
        self._shared = shared
        self._checkout: Any = None
        self._closed = False
        self._work: Work | None = None
        self.wire: AsyncRedisConnection | None = None
        self.guarded = False
        self.keyed: Any = None
        self.native: Any = AsyncRoutedRedis(self, shared)

    async def begin(self, checkout: AsyncCheckout) -> None:
        """Take the connection now."""
        self._take(checkout)

    def _take(self, checkout: Any) -> None:
        self._checkout = checkout
        self._work = checkout.work
        self.guarded = checkout.guarded
        self.wire = checkout.wire

    async def ready(self) -> AsyncRedisConnection:
        """The block's connection, before a command: taken now, or proved anew."""
        if self._closed:
            raise over()
        if self.wire is None:
            self._take(await self._source())
        assert self.wire is not None
        if self.guarded:
            await self._checkout.recheck()
        return self.wire

    async def get_connection(self, *_: Any, **__: Any) -> AsyncRedisConnection:
        """What the driver's own objects ask a pool for."""
        return self.wire or await self.ready()

    async def release(self, connection: Any) -> None:
        """The block gives it back, at its end."""

    async def disconnect(self, *_: Any, **__: Any) -> None:
        """Closing is the block's."""

    def get_encoder(self) -> Any:
        """How the driver makes bytes of values."""
        return self._shared.encoder

    @property
    def connection_kwargs(self) -> dict[str, Any]:
        """What the driver's modules look up of a pool: without secrets."""
        return dict(self._shared.arguments)

    def __repr__(self) -> str:
        return f"<block on {self._shared.name}>"

    async def finish(self) -> None:
        """The block ended well: each write was acknowledged already, but for a keyed one, which runs now."""
        if self.keyed is not None:
            await self.keyed.run(await self.ready())
        if self._work is not None and self._work.queuing and self.kind is Kind.WRITE:
            raise UsageError(
                "a block ended inside MULTI.",
                why="what was queued after MULTI is dropped with the connection.",
                fix="end it with EXEC or DISCARD; pipelines do so by themselves.",
            )

    async def abort(self) -> None:
        """The block raised: what was acknowledged stays, as Redis rolls nothing back."""

    async def close(self) -> None:
        """Let go of everything but the checkout."""
        self._closed = True
        self.wire = None

    @property
    def progress(self) -> Progress:
        """What the block has done so far: its connection counts."""
        work, wire = self._work, self.wire
        if work is None:
            return NOTHING
        if wire is not None and wire.expired:
            work.expired = True
        return work

    def outcome(self, result: Any) -> Any:
        """What a function of execute_write returned; a keyed one that returned nothing, or its pipeline, has the replies."""
        if self.keyed is not None and (result is None or result is self.keyed.pipeline):
            return self.keyed.replies
        return result


def _refused(what: str) -> UsageError:
    return UsageError(
        f"{what} on the client of a block.",
        why="a block has one connection and one deadline, and serves others after it.",
        fix="use a redis client of your own for it.",
    )
