"""Where claims are kept, a store each, for tests of messaging: `claims_store` is a name, opened by `claims_at`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_plain import async_plain_of, owner_of, plain_of

from regionkit.messaging import records, records_async

CLAIM_STORES = ("memory", "sqlite", "postgresql", "mariadb", "mysql", "redis", "mongo", "cassandra")
_CLASSES = {
    **dict.fromkeys(("sqlite", "postgresql", "mariadb", "mysql"), "SqlRecords"),
    **{"redis": "RedisRecords", "mongo": "MongoRecords", "cassandra": "CassandraRecords"},
}


class ClaimStore:
    """One of the stores: a server where it needs one. `slow`: its clock counts whole seconds."""

    def __init__(self, name: str, rig: Any) -> None:
        self.name = name
        self.slow = name == "cassandra"
        self._rig = rig

    def made(self, kit: Any) -> records.CallRecords:
        """Those of a kit's store, for threads."""
        made: records.CallRecords = getattr(records, _CLASSES[self.name])(kit, store="orders")
        return made

    def made_async(self, kit: Any) -> records_async.AsyncCallRecords:
        """The same, for asyncio."""
        made: records_async.AsyncCallRecords = getattr(records_async, f"Async{_CLASSES[self.name]}")(
            kit, store="orders"
        )
        return made

    @contextlib.contextmanager
    def opened(self, namespace: str = "claims", *, make: bool = True) -> Iterator[records.CallRecords]:
        """Its records, for threads."""
        if self.name == "memory":
            yield records.MemoryRecords()
            return
        with plain_of(self._rig) as given:
            made: records.CallRecords = getattr(records, _CLASSES[self.name])(given, namespace=namespace)
            if make:
                made.create_tables()
            try:
                yield made
            finally:
                made.close()

    @contextlib.asynccontextmanager
    async def opened_async(
        self, namespace: str = "claims", *, make: bool = True
    ) -> AsyncIterator[records_async.AsyncCallRecords]:
        """The same, for asyncio."""
        if self.name == "memory":
            yield records_async.AsyncMemoryRecords()
            return
        async with async_plain_of(self._rig) as given:
            kind = getattr(records_async, f"Async{_CLASSES[self.name]}")
            made: records_async.AsyncCallRecords = kind(given, namespace=namespace)
            if make:
                await made.create_tables()
            try:
                yield made
            finally:
                await made.close()


@pytest.fixture(params=CLAIM_STORES)
def claim_store(request: pytest.FixtureRequest, data_path: Path) -> ClaimStore:
    """Each in turn."""
    name = request.param
    return ClaimStore(name, None if name == "memory" else owner_of(name, request, data_path))
