"""MemoryRegions: the regions of one store in this process, with a chosen lag, and faults on command. For tests.

Guarantees: on a clock of the test's own (`regionkit.testing.VirtualClock`) what a copy shows depends on the clock and on
what was called, and on nothing else: at an instant t it shows what the owner had committed by t - lag. Nothing sleeps on
such a clock. Whoever waits moves it instead: a frozen region to the deadline of the call, a copy that a read waits for to
the next arrival or to the end of the wait.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from regionkit.backends.memory.client import copied
from regionkit.backends.memory.world import WORLDS, NodeRole, WorldNode
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.ids import uuid7
from regionkit.errors import ConfigurationError, RegionUnavailable
from regionkit.kit_async import AsyncRegionKit
from regionkit.topology import Endpoint, MemoryStore, Region, Role, Topology
from regionkit.topology.validation import did_you_mean, shown

__all__ = ["AsyncMemoryRegions"]

LONGEST = 3600.0
"""Seconds; a lag or a round trip beyond it is a mistake of units."""


class AsyncMemoryRegions:
    """Regions in this process, from construction to `close()`. Safe to share between threads or tasks.

    A context manager. Two instances share nothing, so tests may run side by side.

    Args:
        store: name of the store.
        primary: the region that owns the data at the start.
        replicas: the regions that copy it.
        lag: seconds from a commit to its arrival in the other regions.
        clock: where time is read; the kits on these regions take the same one.
        rtt: round trips, seconds, that kits are to measure to regions by name; else 0. No call takes any time for it: it
            decides which region is nearer, and how long waiting for a copy is worth against going to a farther one.
        namespace: as in the topology.
        jurisdictions: of regions, by name; those left out have none.

    Raises:
        ConfigurationError: a bad name, lag or rtt, or a region named twice.
    """

    def __init__(
        self,
        *,
        store: str,
        primary: str,
        replicas: Sequence[str] = (),
        lag: float = 0.0,
        clock: Clock = SYSTEM_CLOCK,
        rtt: Mapping[str, float] | None = None,
        namespace: str = "regionkit",
        jurisdictions: Mapping[str, str] | None = None,
    ) -> None:
        names = [primary, *replicas]
        if len(set(names)) != len(names):
            raise ConfigurationError(f"a region is named twice: {', '.join(names)}.", fix="name each once.")
        laws, rtts = dict(jurisdictions or {}), dict(rtt or {})
        for what, given in (("jurisdictions", laws), ("rtt", rtts)):
            for unknown in given.keys() - set(names):
                raise ConfigurationError(
                    f"{what}: there is no region {shown(unknown)}.", fix=did_you_mean(unknown, names)
                )
        self._store = store
        self._namespace = namespace
        self._laws: dict[str, str | None] = {name: laws.get(name) for name in names}
        unique = uuid7().hex
        self._urls = {name: f"{store}.{name}.{unique}" for name in names}
        self._roles(primary)  # refuses bad names before anything is made
        checked = {name: _checked("rtt", seconds) for name, seconds in rtts.items()}
        self._world = WORLDS.open(tuple(self._urls.values()), self._urls[primary], clock, _checked("lag", lag))
        for name, seconds in checked.items():
            self._node(name).rtt = seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Forget the data: a kit made on this topology afterwards begins with none. May be called twice."""
        WORLDS.forget(self._world)

    @property
    def topology(self) -> Topology:
        """The topology of today: one store; the owner of now is its primary."""
        return self._roles(self.owner)

    def _roles(self, owner: str) -> Topology:
        endpoints = [
            Endpoint(name, Role.PRIMARY if name == owner else Role.REPLICA, f"memory://{url}")
            for name, url in self._urls.items()
        ]
        regions = [Region(name, jurisdiction=law) for name, law in self._laws.items()]
        return Topology(
            namespace=self._namespace, regions=regions, stores=[MemoryStore(self._store, endpoints=endpoints)]
        )

    @property
    def owner(self) -> str:
        """The region that the others copy."""
        return next(name for name, url in self._urls.items() if url == self._world.owner.name)

    @property
    def lag(self) -> float:
        """Seconds from a commit to its arrival in the other regions. Set, it holds at once, also for what is under way."""
        return self._world.lag

    @lag.setter
    def lag(self, seconds: float) -> None:
        checked = _checked("lag", seconds)
        with self._world.lock:
            self._world.deliver_due()
            self._world.lag = checked

    @property
    def trouble(self) -> Exception | None:
        """What keeps commits from arriving, beside what was asked for: nothing can."""
        return None

    def contents(self, region: str) -> dict[str, Any]:
        """A copy of all that a region shows now, asked past the library, also of one that is down.

        Raises:
            ConfigurationError: there is no such region.
        """
        with self._settled(region) as node:
            return {key: copied(value) for key, value in node.data.items()}

    async def kill(self, region: str) -> None:
        """Take a region down: open blocks on it break, new ones fail, until `revive`. It neither sends nor receives.

        Raises:
            ConfigurationError: there is no such region.
        """
        node = self._node(region)
        with self._world.lock:
            self._world.kill(node)

    async def revive(self, region: str) -> None:
        """Bring a region back; end what `kill`, `freeze` and `fork` did to it.

        One that was owner before a promotion, or was forked, comes back as a copy of today's owner, as soon as that one is
        up: its writes that had not arrived there are lost. A bookmark of one raises StaleRead with `lost`.

        Raises:
            ConfigurationError: there is no such region.
        """
        with self._settled(region) as node:
            node.is_down = node.is_frozen = False
            self._world.rejoin(node)

    async def freeze(self, region: str) -> None:
        """Let a region answer nobody until `thaw`: a call on it ends at its deadline, a commit has an unknown outcome.

        On the clock of the machine a command of a block that has its connection already fails without waiting, in asyncio
        every command. What a frozen region was sent is not done later.

        Raises:
            ConfigurationError: there is no such region.
        """
        with self._settled(region) as node:
            node.is_frozen = not node.is_down

    async def thaw(self, region: str) -> None:
        """Let a frozen region go on; one that was replaced as owner meanwhile becomes a copy.

        Raises:
            ConfigurationError: there is no such region.
        """
        with self._settled(region) as node:
            node.is_frozen = False

    async def pause(self, region: str) -> None:
        """Let nothing arrive in a region until `resume`; it answers as before.

        Raises:
            ConfigurationError: there is no such region.
        """
        with self._settled(region) as node:
            node.is_held = True

    async def resume(self, region: str) -> None:
        """Let what is due arrive in a region again.

        Raises:
            ConfigurationError: there is no such region.
        """
        with self._settled(region) as node:
            node.is_held = False

    async def promote(self, region: str) -> None:
        """Make a region the owner, as an unplanned failover does: what did not arrive there by now is lost.

        Writes the history row by which every kit finds out. A former owner that is up becomes a copy at once; one that is
        down or frozen, when it is back. Promoting the owner changes nothing.

        Raises:
            ConfigurationError: there is no such region, or it has no history rows: call kit.create_tables() first.
            RegionUnavailable: the region is down or frozen.
        """
        with self._settled(region) as node:
            self._require_promotable(region, node)
            self._world.promote(node)

    async def fork(self, region: str) -> None:
        """Make a copy a second primary beside the owner, as two operators do who do not know of each other.

        Kits take it for the new owner, as its history goes on from the last known one. Two regions forked apart are both
        Fenced. `revive` ends it, and what was written there is lost.

        Raises:
            ConfigurationError, RegionUnavailable: as `promote`.
        """
        with self._settled(region) as node:
            self._require_promotable(region, node)
            self._world.set_apart(node)

    async def lose_reply(self, *, committed: bool = True) -> None:
        """The owner's next commit is not answered: OutcomeUnknown. `committed`: whether it takes effect."""
        with self._world.lock:
            self._world.replies_to_lose.append(committed)

    async def tell(self, kit: AsyncRegionKit) -> None:
        """Let a kit find out now what its monitor would find out within a moment: roles, positions, who is down.

        After it decisions of that kit depend on nothing that happens in the background.
        """
        kit._started()
        for _ in range(2):  # who owns the store, then how far the copies are
            for shard in kit._store(self._store).shards:
                owner = shard.state.snapshot.index(self.owner)
                for index in sorted(range(len(shard.backends)), key=lambda i, first=owner: i != first):  # type: ignore[misc]  # a default binds the loop's value
                    if not shard.refused(index):
                        await shard.probe(index)

    @contextlib.contextmanager
    def _settled(self, region: str) -> Iterator[WorldNode]:
        """A region while nothing else happens; what is due arrives before and after."""
        node = self._node(region)
        with self._world.lock:
            self._world.deliver_due()
            yield node
            self._world.deliver_due()

    def _node(self, region: str) -> WorldNode:
        url = self._urls.get(region)
        if url is None:
            raise ConfigurationError(f"there is no region {shown(region)}.", fix=did_you_mean(region, self._urls))
        return self._world.nodes[url]

    def _require_promotable(self, region: str, node: WorldNode) -> None:
        if node.is_silent:
            raise RegionUnavailable(
                f"{region} is {'down' if node.is_down else 'frozen'}.",
                fix=f'regions.revive("{region}") first.',
                store=self._store,
                region=region,
            )
        if node.role is not NodeRole.OWNER and node.lineage(self._namespace) is None:
            raise ConfigurationError(
                f"{region} has no history rows of store {self._store!r}.",
                why="a promotion writes a row into them; without it, nothing shows which writes survived.",
                fix="call kit.create_tables() while the primary is up, and wait until they arrived (regions.lag).",
            )


def _checked(what: str, seconds: float) -> float:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST:
        raise ConfigurationError(
            f"{what} = {shown(seconds)} is not usable.", fix=f"give seconds, at least 0 and at most {LONGEST:g}."
        )
    return float(seconds)
