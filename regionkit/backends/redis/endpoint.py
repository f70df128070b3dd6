# Generated from endpoint_async.py by scripts/twins.py. Do not edit.
"""One Redis or Valkey endpoint as routing sees it: connections (pool), what the user types with, regionkit's own keys."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import redis

from regionkit.backends.redis.block_connection import RedisConnection
from regionkit.backends.redis.capabilities import CAPABILITIES
from regionkit.backends.redis.classify import classify, is_denied, missing_right
from regionkit.backends.redis.client_settings import ClientSettings
from regionkit.backends.redis.handle import RedisHandle
from regionkit.backends.redis.keyed import Keyed, find_marker, put_tombstone
from regionkit.backends.redis.observation import NO_ID, fork_of, marked_in, position_in, stored
from regionkit.backends.redis.pool import RedisPool
from regionkit.backends.redis.records import RedisRecords
from regionkit.backends.redis.script import Script
from regionkit.contract.checkout import TakeCheckout
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

__all__ = ["RedisEndpoint"]

WRITE_HISTORY = Script("write_history")
MAKE_TABLES = Script("make_tables")
MARK = Script("mark")
MARK_EVERY = 900
"""Shortest time between two marks, milliseconds, over all processes. After a restart, writes of the last second count as lost."""


class RedisEndpoint(RedisPool):
    """One endpoint of a Redis store. Safe to share between threads or tasks."""

    capabilities = CAPABILITIES

    def __init__(self, context: EndpointContext[RedisStore]) -> None:
        super().__init__(context)
        self._client_settings = ClientSettings(repr(context.endpoint.id), self.settings.arguments)
        self.records = RedisRecords(self)
        self._demoted: set[str] = set()
        self._marked: tuple[str, int] | None = None

    def handle(self, kind: Kind, source: TakeCheckout, mode: BlockMode, asked: Callable[[], Request]) -> RedisHandle:
        """What the user types with: a client of redis-py."""
        return RedisHandle(kind, source, self._client_settings)

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
        return classify(error)

    def lacking(self, error: Exception) -> None:
        """Nothing: no unit has tables here."""

    def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the server where it stands, on the monitor's own connection; making one may take `connecting` seconds."""
        observation = super().probe(timeout, connecting)
        if observation.role is Role.REPLICA:
            self._demoted.add(_run(observation))
        return observation

    def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """Look the key up, and let the function type with a pipeline; the marker is written with its commands."""
        connection = handle.ready()
        key = self._marker_key(claim)
        try:
            found, attempt = find_marker(connection, key, self._client_settings)
        except redis.exceptions.ResponseError as error:
            if is_denied(error):
                raise self._lacking(*missing_right(error, self.key("*")), first_line(error)) from error
            raise
        if found is not None and found.applied:
            return found
        handle.keyed = Keyed(handle, self._client_settings, key, claim, attempt, self._lacking)
        handle.native = handle.keyed.pipeline
        return None

    def _lacking(self, right: str, rule: str, why: str) -> ConfigurationError:
        """The error of a keyed write whose account lacks a right: the server is healthy, nothing else fails there."""
        error = self.lacks(right, rule, why)
        return ConfigurationError(error.what, why=error.why, fix=error.fix)

    def store_result(self, handle: Any, claim: Claim, result: bytes) -> None:
        """Keep the result of a keyed attempt: it travels with the marker."""
        handle.keyed.keep(result)

    def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless a write stands there; what stands there then."""

        def settled(connection: RedisConnection) -> Marker:
            return put_tombstone(connection, self._marker_key(claim), self._client_settings, claim)

        return self.ask(Kind.WRITE, deadline, settled)

    def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Markers have a time to live: the server forgets them by itself."""
        return 0

    def _marker_key(self, claim: Claim) -> str:
        return self.key("marker", self.context.store.name, claim.key)

    def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Write the first history row when there is none; nothing else has to be made."""

        def observed(connection: RedisConnection) -> Observation:
            return connection.observe()

        observation = self.ask(Kind.WRITE, deadline, observed)
        if observation.lineage is None:
            self.write_history(deadline, root(observation.origin))

    def make_tables(self, deadline: Deadline, tables: Sequence[Table]) -> None:
        """Note the versions of tables: on Redis they are keys, which need no making. Many processes may call it at once.

        Raises:
            ConfigurationError: one stands there in another version; then none was noted.
        """
        words = [word for table in tables for word in (table.name, table.version)]

        def made(connection: RedisConnection) -> list[bytes]:
            stood: list[bytes] = MAKE_TABLES.run(connection, [self.key(TABLES)], words)
            return stood

        stood = self.ask(Kind.WRITE, deadline, made)
        found = {name.decode(): int(version) for name, version in zip(stood[::2], stood[1::2], strict=True)}
        check_versions(self.context.namespace, tables, found)

    def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child, or the server stands elsewhere than the row says."""

        def written(connection: RedisConnection) -> bool:
            words = (row.parent or "", stored(row, _run(connection.observation)), row.origin)
            return bool(WRITE_HISTORY.run(connection, [self.key("history")], words))

        return self.ask(Kind.WRITE, deadline, written)

    def mark(self, timeout: float, observation: Observation) -> None:
        """Write the offset into the data: they may come back from an append-only file, and the replication id does not."""
        origin, at = observation.origin, observation.reached
        if not isinstance(at, int) or not observation.recorded or self._marked == (origin, at):
            return

        def marked(connection: RedisConnection) -> int:
            found: int = MARK.run(connection, [self.key("mark")], [origin, MARK_EVERY])
            return found

        with contextlib.suppress(RegionKitError):  # out of memory, no right, a replica by now
            self.ask(Kind.WRITE, Deadline(self.clock, timeout), marked)
        self._marked = (origin, at)

    def survived(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """Where the server proves it, or counts on from what its parent counted; after a restart, what its data say of it."""

        def asked(connection: RedisConnection) -> int | None:
            info, rows = connection.ask()
            found = next((row for row in rows if row.history == parent.history), None)
            fork = None if found is None else fork_of(info, connection.run, found)
            if fork is not None or info.get("master_replid2", NO_ID) != NO_ID:
                return position_in(info) if fork is None else fork
            return marked_in(connection.ask_one("GET", self.key("mark")), parent.origin)

        return self.ask(Kind.WRITE, Deadline(self.clock, timeout), asked)

    def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """Where the server itself says that it left `parent`; None when it cannot prove it."""
        with self._monitoring:
            try:
                connection, _ = self.watched(timeout, timeout)
                info, rows = connection.ask()
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
