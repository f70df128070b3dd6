"""One Redis or Valkey endpoint as routing sees it: connections (pool), what the user types with, regionkit's own keys."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import redis

from regionkit.backends.redis.block_connection_async import AsyncRedisConnection
from regionkit.backends.redis.capabilities import CAPABILITIES
from regionkit.backends.redis.classify import classify, is_denied, missing_right
from regionkit.backends.redis.client_settings import ClientSettings
from regionkit.backends.redis.handle_async import AsyncRedisHandle
from regionkit.backends.redis.keyed_async import AsyncKeyed, find_marker, put_tombstone
from regionkit.backends.redis.observation import NO_ID, fork_of, marked_in, position_in, stored
from regionkit.backends.redis.pool_async import AsyncRedisPool
from regionkit.backends.redis.records_async import AsyncRedisRecords
from regionkit.backends.redis.script_async import AsyncScript
from regionkit.contract.checkout_async import AsyncTakeCheckout
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.endpoint_errors import first_line
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.outcomes import Failure
from regionkit.core.deadline import Deadline
from regionkit.core.tables import TABLES, Table, check_versions
from regionkit.errors import ConfigurationError, RegionKitError
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.topology import RedisStore, Role

__all__ = ["AsyncRedisEndpoint"]

WRITE_HISTORY = AsyncScript("write_history")
MAKE_TABLES = AsyncScript("make_tables")
MARK = AsyncScript("mark")
MARK_EVERY = 900
"""Shortest time between two marks, milliseconds, over all processes. After a restart, writes of the last second count as lost."""


class AsyncRedisEndpoint(AsyncRedisPool):
    """One endpoint of a Redis store. Safe to share between threads or tasks."""

    capabilities = CAPABILITIES

    def __init__(self, context: EndpointContext[RedisStore]) -> None:
        super().__init__(context)
        self._client_settings = ClientSettings(repr(context.endpoint.id), self.settings.arguments)
        self.records = AsyncRedisRecords(self)
        self._demoted: set[str] = set()
        self._marked: tuple[str, int] | None = None

    def handle(
        self, kind: Kind, source: AsyncTakeCheckout, mode: BlockMode, asked: Callable[[], Request]
    ) -> AsyncRedisHandle:
        """What the user types with: a client of redis-py."""
        return AsyncRedisHandle(kind, source, self._client_settings)

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
        return classify(error)

    def lacking(self, error: Exception) -> None:
        """Nothing: no unit has tables here."""

    async def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the server where it stands, on the monitor's own connection; making one may take `connecting` seconds."""
        observation = await super().probe(timeout, connecting)
        if observation.role is Role.REPLICA:
            self._demoted.add(_run(observation))
        return observation

    async def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """Look the key up, and let the function type with a pipeline; the marker is written with its commands."""
        connection = await handle.ready()
        key = self._marker_key(claim)
        try:
            found, attempt = await find_marker(connection, key, self._client_settings)
        except redis.exceptions.ResponseError as error:
            if is_denied(error):
                raise self._lacking(*missing_right(error, self.key("*")), first_line(error)) from error
            raise
        if found is not None and found.applied:
            return found
        handle.keyed = AsyncKeyed(handle, self._client_settings, key, claim, attempt, self._lacking)
        handle.native = handle.keyed.pipeline
        return None

    def _lacking(self, right: str, rule: str, why: str) -> ConfigurationError:
        """The error of a keyed write whose account lacks a right: the server is healthy, nothing else fails there."""
        error = self.lacks(right, rule, why)
        return ConfigurationError(error.what, why=error.why, fix=error.fix)

    async def store_result(self, handle: Any, claim: Claim, result: bytes) -> None:
        """Keep the result of a keyed attempt: it travels with the marker."""
        handle.keyed.keep(result)

    async def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless a write stands there; what stands there then."""

        async def settled(connection: AsyncRedisConnection) -> Marker:
            return await put_tombstone(connection, self._marker_key(claim), self._client_settings, claim)

        return await self.ask(Kind.WRITE, deadline, settled)

    async def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Markers have a time to live: the server forgets them by itself."""
        return 0

    def _marker_key(self, claim: Claim) -> str:
        return self.key("marker", self.context.store.name, claim.key)

    async def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Write the first history row when there is none; nothing else has to be made."""

        async def observed(connection: AsyncRedisConnection) -> Observation:
            return await connection.observe()

        observation = await self.ask(Kind.WRITE, deadline, observed)
        if observation.lineage is None:
            await self.write_history(deadline, root(observation.origin))

    async def make_tables(self, deadline: Deadline, tables: Sequence[Table]) -> None:
        """Note the versions of tables: on Redis they are keys, which need no making. Many processes may call it at once.

        Raises:
            ConfigurationError: one stands there in another version; then none was noted.
        """
        words = [word for table in tables for word in (table.name, table.version)]

        async def made(connection: AsyncRedisConnection) -> list[bytes]:
            stood: list[bytes] = await MAKE_TABLES.run(connection, [self.key(TABLES)], words)
            return stood

        stood = await self.ask(Kind.WRITE, deadline, made)
        found = {name.decode(): int(version) for name, version in zip(stood[::2], stood[1::2], strict=True)}
        check_versions(self.context.namespace, tables, found)

    async def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child, or the server stands elsewhere than the row says."""

        async def written(connection: AsyncRedisConnection) -> bool:
            words = (row.parent or "", stored(row, _run(connection.observation)), row.origin)
            return bool(await WRITE_HISTORY.run(connection, [self.key("history")], words))

        return await self.ask(Kind.WRITE, deadline, written)

    async def mark(self, timeout: float, observation: Observation) -> None:
        """Write the offset into the data: they may come back from an append-only file, and the replication id does not."""
        origin, at = observation.origin, observation.reached
        if not isinstance(at, int) or not observation.recorded or self._marked == (origin, at):
            return

        async def marked(connection: AsyncRedisConnection) -> int:
            found: int = await MARK.run(connection, [self.key("mark")], [origin, MARK_EVERY])
            return found

        with contextlib.suppress(RegionKitError):  # out of memory, no right, a replica by now
            await self.ask(Kind.WRITE, Deadline(self.clock, timeout), marked)
        self._marked = (origin, at)

    async def survived(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """Where the server proves it, or counts on from what its parent counted; after a restart, what its data say of it."""

        async def asked(connection: AsyncRedisConnection) -> int | None:
            info, rows = await connection.ask()
            found = next((row for row in rows if row.history == parent.history), None)
            fork = None if found is None else fork_of(info, connection.run, found)
            if fork is not None or info.get("master_replid2", NO_ID) != NO_ID:
                return position_in(info) if fork is None else fork
            return marked_in(await connection.ask_one("GET", self.key("mark")), parent.origin)

        return await self.ask(Kind.WRITE, Deadline(self.clock, timeout), asked)

    async def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """Where the server itself says that it left `parent`; None when it cannot prove it."""
        async with self._monitoring:
            try:
                connection, _ = await self.watched(timeout, timeout)
                info, rows = await connection.ask()
                connection.stop()
            except BaseException:
                self._drop_monitor()
                raise
        found = next((row for row in rows if row.history == parent.history), None)
        if found is None or info.get("master_replid") != observation.origin:
            return None
        run = (
            "" if connection.run in self._demoted else connection.run
        )  # a run that was a replica since may have lost what it had
        return fork_of(info, run, found)


def _run(observation: Observation) -> str:
    return observation.incarnation.partition("/")[0]
