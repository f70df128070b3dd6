# Generated from near_async.py by scripts/twins.py. Do not edit.
"""A kit beside one of three regions in memory, on a clock that only moves when it is told or waited on."""

from __future__ import annotations

from typing import Any

from regionkit import RegionKit
from regionkit.embedded import MemoryRegions
from regionkit.routing.store import RoutedStore
from regionkit.testing import VirtualClock

KEY = "a key of more than sixteen characters"
OWNER, NEAR, FAR = "us", "kr", "jp"
LAG = 0.8


class Near:
    """`us` owns the store and is half a second away, `kr` is here, `jp` 30 ms from here; copies are 0.8 s behind.

    Attributes:
        clock: of the regions and of the kit.
        regions: the three.
        kit: in kr; its tables have arrived everywhere, and it knows where each endpoint stands.
        store: its store.
    """

    def __init__(self, **profile: Any) -> None:
        self.clock = VirtualClock()
        self._profile = {"base": "balanced", **profile}

    def __enter__(self) -> Near:
        regions = MemoryRegions(
            store="orders", primary=OWNER, replicas=[NEAR, FAR], lag=LAG, rtt={OWNER: 0.5, FAR: 0.03}, clock=self.clock
        )
        self.regions = regions.__enter__()
        self.kit = self.beside(NEAR).__enter__()
        self.kit.create_tables()
        self.clock.advance(LAG)
        self.regions.tell(self.kit)
        self.store: RoutedStore = self.kit._store("orders").shards[0]
        self.kit._monitor.stop()  # what is known changes by what a test does
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.kit.close()
        self.regions.close()

    def beside(self, region: str) -> RegionKit:
        """A kit in a region."""
        return RegionKit(
            self.regions.topology, local=region, bookmark_keys=[KEY], clock=self.clock, profile=self._profile
        )

    def index(self, region: str) -> int:
        """Index of a region's endpoint."""
        return next(i for i, e in enumerate(self.store.state.snapshot.endpoints) if e.region == region)

    def put(self, key: str, value: Any = 1) -> str:
        """Write a value in a session of its own; the bookmark."""
        with self.kit.session() as s:
            with s.write("orders") as db:
                db[key] = value
            return s.bookmark()

    def arrived(self) -> None:
        """All that was committed is in every copy, and the kit knows."""
        self.clock.advance(LAG)
        self.regions.tell(self.kit)
