"""Every inbox over its real server, for tests of messaging: `inbox_store` is a name, opened by `opened` or `opened_async`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fix_plain import async_plain_of, owner_of, plain_of

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline

INBOX_STORES = ("memory", "sqlite", "postgresql", "mariadb", "mysql", "mongo")
"""Those that keep gates."""
CLAIM_STORES = ("redis", "cassandra")
"""Those that keep claims alone; their cases stand in SQLite."""
NAMESPACE = "inboxes"
_CLASSES = {
    **dict.fromkeys(("sqlite", "postgresql", "mariadb", "mysql"), ("sql", "SqlInbox")),
    **{"memory": ("memory", "MemoryInbox"), "mongo": ("mongo", "MongoInbox")},
    **{"redis": ("redis", "RedisInbox"), "cassandra": ("cassandra", "CassandraInbox")},
}


class InboxStore:
    """One of the stores: a server where it needs one."""

    def __init__(self, name: str, rig: Any, hospital: Any = None) -> None:
        self.name = name
        self.rig = rig
        self._hospital = hospital

    @contextlib.contextmanager
    def given(self) -> Iterator[Any]:
        """What an application hands in, for threads."""
        with contextlib.nullcontext() if self.name == "memory" else plain_of(self.rig) as given:
            yield given

    @property
    def cases_rig(self) -> Any:
        """Of the store that keeps its cases."""
        return self._hospital or self.rig

    @contextlib.contextmanager
    def opened(self) -> Iterator[Any]:
        """Its inbox, for threads."""
        with self.given() as given, plain_of(self._hospital) if self._hospital else contextlib.nullcontext() as cases:
            made = self.made(given, cases)
            try:
                made.create_tables()
                made.open(Deadline(SYSTEM_CLOCK, 60.0))
                yield made
            finally:
                made.close()

    @contextlib.asynccontextmanager
    async def opened_async(self) -> AsyncIterator[Any]:
        """The same, for asyncio."""
        nothing: Any = contextlib.nullcontext()
        async with (
            nothing if self.name == "memory" else async_plain_of(self.rig) as given,
            async_plain_of(self._hospital) if self._hospital else nothing as cases,
        ):
            made = self.made(given, cases, is_async=True)
            try:
                await made.create_tables()
                await made.open(Deadline(SYSTEM_CLOCK, 60.0))
                yield made
            finally:
                await made.close()

    def made(self, given: Any, cases: Any = None, *, is_async: bool = False) -> Any:
        """An inbox over what is handed in."""
        module, name = _CLASSES[self.name]
        end, start = ("_async", "Async") if is_async else ("", "")
        kind = getattr(import_module(f"regionkit.messaging.inboxes.{module}{end}"), f"{start}{name}")
        if self.name == "memory":
            return kind()
        return kind(given, namespace=NAMESPACE, **({"hospital": cases} if self._hospital else {}))


@pytest.fixture(params=INBOX_STORES)
def inbox_store(request: pytest.FixtureRequest, data_path: Path) -> InboxStore:
    """Each in turn."""
    name = request.param
    rig = None if name == "memory" else owner_of(name, request, data_path)
    return InboxStore(name, rig, owner_of("sqlite", request, data_path) if name in CLAIM_STORES else None)
