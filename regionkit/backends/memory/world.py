"""What stands behind `memory://NAME` URLs: the regions of a store in this process, their log, their faults.

1. One log per store, of the owner's commits: (position, instant, changes). A copy's state at an instant t is the log
   applied up to t - lag. It is computed when somebody looks, so it depends on the clock and on nothing else.
2. A region that is down, frozen or held applies nothing; while the owner is down or frozen nothing arrives anywhere.
3. A promotion keeps what the promoted region has: the log ends there. Whoever went past it starts again as a copy of the
   new owner: a former owner that can hear of it at once, one that cannot when it is back.
4. Values are never changed in place: they are copied where they come in and where they go out (handle_async.py). Regions
   share them.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from itertools import islice
from typing import Any, NamedTuple

from regionkit.core.clock import Clock
from regionkit.core.ids import uuid7
from regionkit.errors import ConfigurationError
from regionkit.facts.history import HistoryRow, Lineage, lineage_of

__all__ = ["ABSENT", "WORLDS", "Conflict", "Meta", "NodeRole", "NotPrimary", "World", "WorldNode", "Worlds"]

ROUNDING = 1e-9
"""Seconds by which sums of floats may miss each other: a clock moved on by the lag in ten steps has moved by the lag."""
ABSENT: Any = object()
"""In a change: the key is deleted."""

Meta = tuple[str, ...]
"""Key of what regionkit keeps beside the data: ("history", namespace), ("marker", namespace, key), ..."""


class Conflict(Exception):
    """Another commit changed what this transaction had read."""


class NotPrimary(Exception):
    """A write came to a region that is a copy."""


class NodeRole(Enum):
    """What a region is to the others."""

    OWNER = "owner"
    COPY = "copy"
    ASTRAY = "a copy that went past a fork: it starts again when the first change after it arrives"
    DEPOSED = "owner until a promotion that it did not hear of"
    APART = "made a second primary on purpose"


class _Entry(NamedTuple):
    position: int
    at: float
    data: Mapping[str, Any]
    meta: Mapping[Meta, Any]


class WorldNode:
    """One region of a store. Read and changed under the lock of its world."""

    def __init__(self, name: str, role: NodeRole) -> None:
        self.name = name
        self.role = role
        self.data: dict[str, Any] = {}
        self.meta: dict[Meta, Any] = {}
        self.changed: dict[str | Meta, int] = {}
        self.position = 0
        self.data_position = 0
        self.pins = 0
        self.is_down = False
        self.is_frozen = False
        self.is_held = False
        self.rtt = 0.0
        self.since = 0.0
        self.rewound = False
        self.run = 0
        self._born = uuid7().hex
        self._turn = 0
        self.incarnation = f"{self._born}.0.0"

    @property
    def leads(self) -> bool:
        """Whether it takes itself for a primary."""
        return self.role in _LEADING

    @property
    def is_silent(self) -> bool:
        """Whether it cannot be heard."""
        return self.is_down or self.is_frozen

    def lineage(self, namespace: str) -> Lineage | None:
        """Its history rows."""
        return self.meta.get(("history", namespace))

    def turn(self, role: NodeRole | None = None, *, broken: bool = False) -> None:
        """It is another one to whoever knew it; `broken`: and its connections are gone."""
        self.role = role or self.role
        self._turn += 1
        self.run += broken
        self.incarnation = f"{self._born}.{self.run}.{self._turn}"

    def apply(self, data: Mapping[str, Any], meta: Mapping[Meta, Any], position: int) -> None:
        """One commit. Whoever holds the data of before as a snapshot keeps it."""
        if data:
            if self.pins:
                self.data, self.pins = dict(self.data), 0
            _merge(self.data, data)
            self.data_position = position
        if meta:
            _merge(self.meta, meta)
        self.position = position

    def pin(self) -> dict[str, Any]:
        """The data of now, which nobody changes until `unpin`."""
        self.pins += 1
        return self.data

    def unpin(self, data: dict[str, Any]) -> None:
        """A snapshot is not needed any more."""
        if data is self.data:
            self.pins -= 1


_LEADING = frozenset({NodeRole.OWNER, NodeRole.DEPOSED, NodeRole.APART})


def _merge(into: dict[Any, Any], changes: Mapping[Any, Any]) -> None:
    for key, value in changes.items():
        if value is ABSENT:
            into.pop(key, None)
        else:
            into[key] = value


class World:
    """The regions of one store: one owner, its log, its copies. Thread-safe: each method holds `lock`, and none waits.

    `clock` None: made by a URL alone, without lag.
    """

    def __init__(self, names: Iterable[str], owner: str, clock: Clock | None = None, lag: float = 0.0) -> None:
        self.lock = threading.Lock()
        self.clock = clock
        self.lag = lag
        self.nodes = {n: WorldNode(n, NodeRole.OWNER if n == owner else NodeRole.COPY) for n in names}
        self.owner = self.nodes[owner]
        self.replies_to_lose: deque[bool] = deque()
        self._log: deque[_Entry] = deque()
        self._restarting = False

    def add(self, name: str) -> None:
        """Another region, as a copy of the owner."""
        with self.lock:
            self.nodes[name] = WorldNode(name, NodeRole.COPY)
            self._start_again(self.nodes[name])

    def deliver_due(self) -> None:
        """Let everything arrive that is due. Called with the lock held, before anything is looked at or changed."""
        if not (self._log or self._restarting) or self.owner.is_silent:
            return
        now = self._now()
        waiting = self.owner.position
        self._restarting = False
        for node in self.nodes.values():
            if node.role is NodeRole.COPY:
                if not (node.is_silent or node.is_held):
                    self._catch_up(node, now)
                waiting = min(waiting, node.position)
            elif node.role is NodeRole.DEPOSED or node.role is NodeRole.ASTRAY:
                if node.is_silent or node.is_held or not _due(node.since, self._lag_of(node), now):
                    self._restarting = True
                else:
                    self._start_again(node)
        while self._log and self._log[0].position <= waiting:
            self._log.popleft()

    def next_arrival(self, node: WorldNode) -> float | None:
        """When something reaches a copy that has not yet; None: nothing is under way, or it cannot arrive."""
        with self.lock:
            self.deliver_due()
            stuck = node.is_silent or node.is_held or self.owner.is_silent
            if stuck or node.role is not NodeRole.COPY or node.position >= self.owner.position:
                return None
            return self._log[node.position + 1 - self._log[0].position].at + self.lag

    def commit(
        self,
        node: WorldNode,
        data: Mapping[str, Any],
        meta: Mapping[Meta, Any],
        began: int,
        read: Iterable[str | Meta] = (),
        *,
        read_all: bool = False,
    ) -> int:
        """One transaction that began at position `began` and rests on what it `read`; its position. Lock held.

        Raises:
            NotPrimary: the region is a copy.
            Conflict: what it read was changed since. Nothing was committed.
        """
        if not node.leads:
            raise NotPrimary(f"{node.name} is a copy")
        changed = node.changed
        if read_all and node.data_position > began:
            raise Conflict
        if node.position != began and any(changed.get(key, 0) > began for key in read):
            raise Conflict
        position = node.position + 1
        node.apply(data, meta, position)
        changed.update(dict.fromkeys(data, position))
        changed.update(dict.fromkeys(meta, position))
        if node is self.owner:
            self._log.append(_Entry(position, self._now(), data, meta))
            self.deliver_due()
        else:
            node.rewound = True  # when it is a copy again
        return position

    def put(self, node: WorldNode, key: Meta, decide: Callable[[Any], Any]) -> Any:
        """Change one value of regionkit's own: `decide` gets what stands there (or None) and says what shall, or None.

        Returns what stands there then.

        Raises:
            NotPrimary: the region is a copy.
        """
        with self.lock:
            self.deliver_due()
            stands = node.meta.get(key)
            wanted = decide(stands)
            if wanted is None:
                return stands
            self.commit(node, {}, {key: wanted}, node.position)
            return None if wanted is ABSENT else wanted

    def promote(self, node: WorldNode) -> None:
        """Make a region the owner; what it does not have is lost. Lock held; the region answers and has history rows."""
        self.deliver_due()
        former, fork, was_copy = self.owner, node.position, node.role is NodeRole.COPY
        if node is former:
            return
        while self._log and not (was_copy and self._log[-1].position <= fork):
            self._log.pop()
        led = node.leads
        node.is_held = False
        node.turn(NodeRole.OWNER)
        self.owner = node
        for other in self.nodes.values():
            is_past = not was_copy or other.position > fork
            if other is former:
                self._strand(other, NodeRole.DEPOSED, rewound=is_past)
            elif is_past and other.role is NodeRole.COPY:
                self._strand(other, NodeRole.ASTRAY, rewound=True)
        if not led:
            self._found_history(node)
        self.deliver_due()

    def _strand(self, node: WorldNode, role: NodeRole, *, rewound: bool) -> None:
        node.role, node.rewound, node.since, self._restarting = role, rewound, self._now(), True

    def set_apart(self, node: WorldNode) -> None:
        """Make a copy a primary of its own beside the owner. Lock held."""
        self.deliver_due()
        if not node.leads:
            node.turn(NodeRole.APART)
            self._found_history(node)

    def rejoin(self, node: WorldNode) -> None:
        """A region is back: it hears what happened. Lock held."""
        if node.role is NodeRole.APART:
            self._strand(node, NodeRole.DEPOSED, rewound=True)
        self.deliver_due()

    def kill(self, node: WorldNode) -> None:
        """Take a region down, with its connections. Lock held."""
        self.deliver_due()
        node.is_down, node.is_frozen = True, False
        node.turn(broken=True)

    def _found_history(self, node: WorldNode) -> None:
        rows = [row for n in self.nodes.values() for key, row in n.meta.items() if key[0] == "history"]
        epoch = 1 + max(lineage.current.epoch for lineage in rows)
        meta: dict[Meta, Any] = {}
        for key, lineage in node.meta.items():
            if key[0] == "history":
                row = HistoryRow(uuid7().hex, lineage.current.history, node.position, epoch, node.name)
                meta[key] = lineage_of([*lineage.rows, row])
        self.commit(node, {}, meta, node.position)

    def _catch_up(self, node: WorldNode, now: float) -> None:
        if not self._log or node.position >= self._log[-1].position:
            return
        for entry in islice(self._log, node.position + 1 - self._log[0].position, None):
            if not _due(entry.at, self.lag, now):
                break
            node.apply(entry.data, entry.meta, entry.position)

    def _start_again(self, node: WorldNode) -> None:
        """A whole copy of the owner, as it is now. What was rewound is not read on: its connections break."""
        owner = self.owner
        node.data, node.meta, node.changed, node.pins = dict(owner.data), dict(owner.meta), {}, 0
        node.position, node.data_position = owner.position, owner.data_position
        node.turn(NodeRole.COPY, broken=node.rewound)
        node.rewound = False

    def _lag_of(self, node: WorldNode) -> float:
        return self.lag if node.role is NodeRole.ASTRAY else 0.0

    def _now(self) -> float:
        return 0.0 if self.clock is None else self.clock.monotonic()


def _due(at: float, lag: float, now: float) -> bool:
    return at + lag <= now + ROUNDING


class Worlds:
    """The worlds of this process by the names in their URLs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_name: dict[str, World] = {}
        self._all: weakref.WeakSet[World] = weakref.WeakSet()

    def open(self, names: tuple[str, ...], owner: str, clock: Clock | None = None, lag: float = 0.0) -> World:
        """The world of these names; made when there is none, with `owner` as its owner.

        Raises:
            ConfigurationError: they belong to different stores.
        """
        with self._lock:
            found = {id(world): world for name in names if (world := self._by_name.get(name)) is not None}
            if len(found) > 1:
                raise ConfigurationError(
                    f"memory://{' and memory://'.join(names)} are not one store.",
                    why="another topology of this process uses some of them for other stores.",
                    fix="use other names, or the same endpoints everywhere.",
                )
            world = next(iter(found.values()), None) or World(names, owner, clock, lag)
            self._all.add(world)
            for name in names:
                if name not in world.nodes:
                    world.add(name)
                self._by_name[name] = world
            return world

    def forget(self, world: World) -> None:
        """Whoever opens these names from now on begins with nothing; kits that are open keep what they have."""
        with self._lock:
            for name in [name for name, other in self._by_name.items() if other is world]:
                del self._by_name[name]

    def renew(self) -> None:
        """After a fork: new locks, as another thread of the parent may have held the old ones."""
        self._lock = threading.Lock()
        for world in self._all:
            world.lock = threading.Lock()


WORLDS = Worlds()
"""One for the process, because a URL means the same store to every kit in it."""
os.register_at_fork(after_in_child=WORLDS.renew)
