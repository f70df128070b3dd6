"""One region of a store in memory as routing sees it: checkouts, probes, and what regionkit keeps beside the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from regionkit.backends.memory.capabilities import CAPABILITIES
from regionkit.backends.memory.checkout_async import AsyncMemoryCheckout
from regionkit.backends.memory.classify import classify
from regionkit.backends.memory.handle_async import AsyncMemoryHandle
from regionkit.backends.memory.observation import observation
from regionkit.backends.memory.records_async import AsyncMemoryRecords
from regionkit.backends.memory.world import WORLDS
from regionkit.contract.checkout_async import AsyncTakeCheckout
from regionkit.contract.endpoint_async import AsyncMeet
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.kept_tables import KEPT
from regionkit.contract.outcomes import Failure
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table
from regionkit.errors import ConfigurationError, DeadlineExceeded, RegionUnavailable
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position, as_position
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.topology import Endpoint, MemoryStore, Role
from regionkit.topology.server_urls import server_url

__all__ = ["AsyncMemoryEndpoint"]

FROZEN_POLL = 0.01
"""Seconds between two looks at a frozen region on the clock of the machine."""


class AsyncMemoryEndpoint:
    """One endpoint of a MemoryStore. Safe to share between threads or tasks."""

    capabilities = CAPABILITIES
    meet: AsyncMeet | None = None

    def __init__(self, context: EndpointContext[MemoryStore]) -> None:
        shard = context.shard or next(
            s for s in context.store.shards(()) if any(e.id == context.endpoint.id for e in s.endpoints)
        )
        owner = next(e for e in shard.endpoints if e.role is Role.PRIMARY)
        self.world = WORLDS.open(tuple(_name(e) for e in shard.endpoints), _name(owner))
        self.node = self.world.nodes[_name(context.endpoint)]
        if self.world.clock not in (None, context.clock):
            raise ConfigurationError(
                f"store {context.store.name!r}: its regions and the kit have different clocks.",
                why="lag passes on one clock and waiting on the other.",
                fix="pass the same clock= to MemoryRegions and to the kit.",
            )
        self.store = context.store.name
        self.region = context.endpoint.region
        self.clock = context.clock
        self.longest_wait = context.profile.longest_wait
        self.advance: Callable[[float], None] | None = getattr(context.clock, "advance", None)
        self.records = AsyncMemoryRecords(self, context.namespace)
        self._namespace = context.namespace

    async def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> AsyncMemoryCheckout:
        """A connection.

        Raises:
            RegionUnavailable: the region is down.
            DeadlineExceeded: it is frozen for longer than `timeout` seconds.
        """
        await self.require_up(timeout)
        return AsyncMemoryCheckout(self, deadline)

    def handle(
        self, kind: Kind, source: AsyncTakeCheckout, mode: BlockMode, asked: Callable[[], Request]
    ) -> AsyncMemoryHandle:
        """What the user types with: a mapping."""
        return AsyncMemoryHandle(self, kind, source, mode)

    def wall(self) -> float:
        """Seconds since 1970 by the clock of what keeps the data: kits of one world tell the same."""
        return (self.world.clock or SYSTEM_CLOCK).wall()

    async def probe(self, timeout: float, connecting: float) -> Observation:
        """Where the region stands. It moves no clock: it is asked in the background."""
        await self.require_up(timeout, waits=False)
        return self.look()

    def look(self) -> Observation:
        """Where the region stands now."""
        return observation(self.world, self.node, self._namespace, self.clock.monotonic())

    async def require_up(self, timeout: float, *, waits: bool = True) -> None:
        """Raise where the region is down, or frozen for longer than `timeout` seconds."""
        if self.node.is_down:
            raise RegionUnavailable(
                f"{self.region} of {self.store!r} is down.",
                fix="see kit.status(); reads use other endpoints if the topology allows it.",
                store=self.store,
                region=self.region,
            )
        if self.node.is_frozen:
            await self.stalled(timeout, waits=waits)

    async def stalled(self, timeout: float, *, waits: bool) -> None:
        """Wait for a frozen region, at most `timeout` seconds; a clock that can be advanced is, if it `waits`.

        Raises:
            DeadlineExceeded: it is frozen still.
        """
        if self.advance is None:
            for _ in range(int(timeout / FROZEN_POLL) + 1):
                await asleep(FROZEN_POLL)
                if not self.node.is_frozen:
                    return
        elif waits:
            self.pass_time(timeout)
        raise self.late()

    def pass_time(self, seconds: float) -> None:
        """Move the clock on, where it can be moved."""
        if self.advance is not None and seconds > 0.0:
            self.advance(seconds)

    def late(self) -> DeadlineExceeded:
        """What is told of a frozen region."""
        return DeadlineExceeded(
            f"{self.region} of {self.store!r} did not answer in time.",
            why="it is frozen.",
            fix="pass a larger timeout=, or check kit.status() for slow or dead regions.",
            store=self.store,
            region=self.region,
        )

    async def keep_warm(self, timeout: float) -> None:
        """Nothing: there are no connections."""

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
        return classify(error)

    def lacking(self, error: Exception) -> None:
        """Nothing: no unit has tables here."""

    async def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """First step of a keyed attempt: None when the key is ours now, else what stands there."""
        return self.records.claim(handle, claim)

    async def store_result(self, handle: Any, claim: Claim, result: bytes) -> None:
        """Keep the result of a keyed attempt, in its transaction."""
        self.records.mark(handle, claim, result)

    async def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless something stands there; what stands there then."""
        return await self.records.settle(deadline, claim)

    async def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Forget at most `most` markers older than `older_than` seconds; how many were."""
        return await self.records.sweep(deadline, older_than, most)

    async def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Write the first history row when there is none."""
        await self.make_tables(deadline, KEPT)
        await self.write_history(deadline, root(self.node.name))

    async def make_tables(self, deadline: Deadline, tables: Sequence[Table]) -> None:
        """Note the version of each; there is nothing else to make."""
        await self.records.make_tables(deadline, tables)

    async def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child already."""
        return await self.records.write_history(deadline, row)

    async def mark(self, timeout: float, observation: Observation) -> None:
        """Nothing: positions are kept with the data."""

    async def survived(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """What the server has."""
        return None if observation.reached is None else as_position(observation.reached)

    async def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """No promotion goes without its row: `MemoryRegions.promote` writes it."""
        return None

    def evict(self) -> None:
        """There is no pool."""

    def abandon(self) -> None:
        """After a fork the child has a copy of the store, whose locks are new ones already (world.py)."""

    async def close(self, *, drain: bool = False) -> None:
        """There is nothing to close. May be called twice."""


def _name(endpoint: Endpoint) -> str:
    """What a URL names: all of it behind memory://."""
    return server_url("memory", endpoint.url).text.partition("://")[2]
