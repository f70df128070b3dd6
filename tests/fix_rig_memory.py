"""The store rig of the memory backend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from fix_rigs import NAMESPACE, REGIONS

from regionkit import MemoryStore, Topology
from regionkit.embedded import MemoryRegions


class MemoryActions:
    """With a mapping."""

    @staticmethod
    def put(db: Any, key: str, value: str) -> None:
        """Set a value."""
        db[key] = value

    @staticmethod
    def get(db: Any, key: str) -> Any:
        """The value."""
        return db.get(key)

    @staticmethod
    def add(db: Any, key: str) -> None:
        """Add one."""
        db[key] = str(int(db.get(key, "0")) + 1)


class AsyncMemoryActions:
    """With the same mapping in asyncio."""

    @staticmethod
    async def put(db: Any, key: str, value: str) -> None:
        """Set a value."""
        db[key] = value

    @staticmethod
    async def get(db: Any, key: str) -> Any:
        """The value."""
        return db.get(key)

    @staticmethod
    async def add(db: Any, key: str) -> None:
        """Add one."""
        MemoryActions.add(db, key)


class MemoryStoreRig:
    """Three regions in this process, on the clock of the machine."""

    server = "memory"
    Actions = MemoryActions
    AsyncActions = AsyncMemoryActions

    def __init__(self, regions: MemoryRegions) -> None:
        self.regions = regions

    def topology(self, **store_options: Any) -> Topology:
        """The topology; keyword arguments go to the store."""
        made = self.regions.topology
        store = MemoryStore("orders", endpoints=made.store("orders").endpoints, **store_options)
        return Topology(namespace=NAMESPACE, regions=made.regions, stores=[store])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The copy in ap-northeast-2 applies nothing."""
        self.regions.pause("ap-northeast-2")
        try:
            yield
        finally:
            self.regions.resume("ap-northeast-2")

    def value(self, key: str) -> Any:
        """The value at the owner."""
        return self.regions.contents("us-east-1").get(key)


@pytest.fixture
def memory_store_rig() -> Iterator[MemoryStoreRig]:
    """Memory."""
    with MemoryRegions(store="orders", primary=REGIONS[0], replicas=REGIONS[1:], namespace=NAMESPACE) as regions:
        yield MemoryStoreRig(regions)
