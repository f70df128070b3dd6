"""One region of a store in memory as routing sees it: checkouts, probes, and what regionkit keeps beside the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from regionkit.backends.memory.handle_async import AsyncMemoryCheckout, AsyncMemoryHandle
from regionkit.backends.memory.world import ABSENT, WORLDS, Meta, NotPrimary
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.checkout_async import AsyncTakeCheckout
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.outcomes import Failure
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, DeadlineExceeded, RegionUnavailable, TransactionRolledBack
from regionkit.facts.history import HistoryRow, Lineage, lineage_of
from regionkit.facts.observation import Observation
from regionkit.facts.placement import Placement
from regionkit.facts.position import Position
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.topology import Endpoint, MemoryStore, Role
from regionkit.topology.server_urls import server_url

__all__ = ["AsyncMemoryEndpoint"]

FROZEN_POLL = 0.01
"""Seconds between two looks at a frozen region on the clock of the machine."""


class _Kept(NamedTuple):
    marker: Marker
    written_at: float


class AsyncMemoryEndpoint:
    """One endpoint of a MemoryStore. Safe to share between threads or tasks."""

    capabilities = Capabilities(
        server="memory",
        positions=True,
        read_only="client",
        transactions=True,
        markers=True,
        detects_promotion=False,
        modes=frozenset({"snapshot", "transaction"}),
        eager=True,
        notes=(
            "in this process only, and gone with it: for tests of applications",
            "a write block that rests on what another commit changed meanwhile is rolled back at its end",
        ),
    )

    def __init__(self, place: EndpointContext[MemoryStore]) -> None:
        shard = next(s for s in place.store.shards(()) if any(e.id == place.endpoint.id for e in s.endpoints))
        owner = next(e for e in shard.endpoints if e.role is Role.PRIMARY)
        self.world = WORLDS.open(tuple(_name(e) for e in shard.endpoints), _name(owner))
        self.node = self.world.nodes[_name(place.endpoint)]
        if self.world.clock not in (None, place.clock):
            raise ConfigurationError(
                f"store {place.store.name!r}: its regions and the kit have different clocks.",
                why="lag passes on the one and waiting on the other.",
                fix="pass the same clock= to MemoryRegions and to the kit.",
            )
        self.store = place.store.name
        self.region = place.endpoint.region
        self.clock = place.clock
        self.longest_wait = place.profile.longest_wait
        self.advance: Callable[[float], None] | None = getattr(place.clock, "advance", None)
        self._namespace = place.namespace

    async def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> AsyncMemoryCheckout:
        """A connection.

        Raises:
            RegionUnavailable: the region is down.
            DeadlineExceeded: it is frozen for longer than `timeout` seconds.
        """
        await self._require_up(timeout, waits=True)
        return AsyncMemoryCheckout(self, deadline)

    def handle(
        self, kind: Kind, source: AsyncTakeCheckout, mode: BlockMode, asked: Callable[[], Request]
    ) -> AsyncMemoryHandle:
        """What the user types with: a mapping."""
        return AsyncMemoryHandle(self, kind, source, mode)

    async def probe(self, timeout: float, connecting: float) -> Observation:
        """Where the region stands. It moves no clock: it is asked in the background."""
        await self._require_up(timeout, waits=False)
        return self.look()

    def look(self) -> Observation:
        """Where the region stands now."""
        node, now = self.node, self.clock.monotonic()
        with self.world.lock:
            self.world.settle()
            return Observation(
                role=Role.PRIMARY if node.leads else Role.REPLICA,
                incarnation=node.incarnation,
                lineage=node.lineage(self._namespace),
                origin=node.name if node.leads else "",
                reached=node.position,
                sent_at=now,
                rtt=node.rtt,
            )

    async def _require_up(self, timeout: float, *, waits: bool) -> None:
        if self.node.is_down:
            raise RegionUnavailable(
                f"{self.region} of {self.store!r} is down.",
                fix="see kit.status(); reads go on elsewhere where the topology allows it.",
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
            fix="pass a larger timeout=, or look at kit.status() for slow or dead regions.",
            store=self.store,
            region=self.region,
        )

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says. Errors of the application's own connections say nothing."""
        match error:
            case DeadlineExceeded():
                return Failure.DEADLINE
            case TransactionRolledBack():
                return Failure.ROLLED_BACK
            case RegionUnavailable():
                return Failure.CONNECTION
            case NotPrimary():
                return Failure.ROLE
        return Failure.APPLICATION

    async def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """First step of a keyed attempt: None when the key is ours now, else what stands there."""
        self._lineage()
        found: _Kept | None = handle.kept(self._marker_key(claim.key))
        if found is not None and found.marker.applied:
            return found.marker
        self._mark(handle, claim, None)
        return None

    async def store_result(self, handle: Any, claim: Claim, result: bytes) -> None:
        """Keep the result of a keyed attempt, in its transaction."""
        self._mark(handle, claim, result)

    def _mark(self, handle: Any, claim: Claim, result: bytes | None) -> None:
        marker = Marker(applied=True, fingerprint=claim.fingerprint, result=result)
        handle.keep(self._marker_key(claim.key), _Kept(marker, self.clock.wall()))

    async def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless something stands there; what stands there then.

        An attempt that is open found the key free, so it can not commit once the tombstone is there.
        """
        tombstone = _Kept(Marker(applied=False, fingerprint=claim.fingerprint, result=None), self.clock.wall())
        found: _Kept = await self._put(
            deadline, self._marker_key(claim.key), lambda stands: tombstone if stands is None else None
        )
        return found.marker

    async def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Forget at most `most` markers older than `older_than` seconds; how many were."""
        before, head = self.clock.wall() - older_than, ("marker", self._namespace)
        with self.world.lock:
            rows = list(self.node.meta.items())
        old = [key for key, row in rows if key[:2] == head and row.written_at < before][:most]
        for key in old:
            await self._put(deadline, key, lambda stands: ABSENT)
        return len(old)

    async def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Write the first history row when there is none."""
        await self.write_history(deadline, root(self.node.name))

    async def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child already."""

        def extended(stands: Lineage | None) -> Lineage | None:
            rows = () if stands is None else stands.rows
            return None if any(known.parent == row.parent for known in rows) else lineage_of([*rows, row])

        stands: Lineage = await self._put(deadline, ("history", self._namespace), extended)
        return stands.current == row

    async def find_placement(self, deadline: Deadline, store: str, key: str) -> Placement | None:
        """The row of a directory that this region has; None when it has none."""
        await self._require_up(deadline.require("asking"), waits=True)
        with self.world.lock:
            self.world.settle()
            self._lineage()
            found: Placement | None = self.node.meta.get(("placement", self._namespace, store, key))
            return found

    async def set_placement(self, deadline: Deadline, row: Placement, *, expected: int) -> Placement:
        """Put `row` where the row's version is `expected`; the row that stands then."""
        self._lineage()

        def changed(stands: Placement | None) -> Placement | None:
            return row if expected == (0 if stands is None else stands.version) else None

        stands: Placement | None = await self._put(
            deadline, ("placement", self._namespace, row.store, row.key), changed
        )
        return stands or row

    async def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """No promotion goes without its row: `MemoryRegions.promote` writes it."""
        return None

    async def _put(self, deadline: Deadline, key: Meta, decide: Callable[[Any], Any]) -> Any:
        await self._require_up(deadline.require("a write"), waits=True)
        try:
            return self.world.put(self.node, key, decide)
        except NotPrimary as error:
            raise RegionUnavailable(
                f"{self.region} of {self.store!r} is no longer the primary.",
                fix="run it again: the new primary is looked for.",
                store=self.store,
                region=self.region,
            ) from error

    def _lineage(self) -> Lineage:
        found = self.node.lineage(self._namespace)
        if found is None:
            raise ConfigurationError(
                f"store {self.store!r} keeps neither markers nor placements yet.",
                why="what regionkit keeps beside the data is not there.",
                fix="call kit.create_tables() once.",
            )
        return found

    def _marker_key(self, key: str) -> Meta:
        return ("marker", self._namespace, key)

    def evict(self) -> None:
        """There is no pool."""

    def abandon(self) -> None:
        """After a fork the child has a copy of the store, whose locks are new ones already (world.py)."""

    async def close(self) -> None:
        """There is nothing to close. May be called twice."""


def _name(endpoint: Endpoint) -> str:
    """What a URL names: all of it behind memory://."""
    return server_url("memory", endpoint.url).text.partition("://")[2]
