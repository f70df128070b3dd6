"""Every source over a real server: what makes members of it, and one that publishes to it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import redis

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.messaging.sources import AsyncMemoryQueue, AsyncRedisStream, AsyncSqlQueue

from .source_engines import engine_of, url_of

__all__ = ["LEASE", "AsyncRig", "drained", "made_rig", "soon"]

IS_ASYNC = True
KINDS = ("memory", "redis", "postgresql", "mariadb", "mysql", "sqlite")
LEASE = 0.5
"""Seconds: long enough that a busy machine loses none by chance in the tests that mean to keep it."""
_numbers = itertools.count()


def soon(seconds: float = 30.0) -> Deadline:
    """A deadline that no test here is about."""
    return Deadline(SYSTEM_CLOCK, seconds)


class AsyncRig:
    """One queue, and what makes members of it."""

    def __init__(self, kind: str, make: Any) -> None:
        self.kind = kind
        self.has_groups = kind in ("memory", "redis")
        self._make = make
        self._made: list[Any] = []

    async def ready(self) -> AsyncRig:
        """With its tables."""
        made = self._make(None, LEASE)
        if hasattr(made, "create_tables"):
            await made.create_tables()
        self._made.append(made)
        return self

    async def member(self, group: str = "billing", lease: float = LEASE) -> Any:
        """An open source; closed with the rig."""
        made = self._make(group, lease)
        await made.open(soon())
        self._made.append(made)
        return made

    async def publish(self, *bodies: bytes) -> None:
        """Publish, all confirmed."""
        target = self._make(None, 30.0)
        self._made.append(target)
        sent = await target.publish([(None, body) for body in bodies], soon())
        assert all(one.confirmed for one in sent), sent

    def target(self) -> Any:
        """To publish to."""
        made = self._make(None, 30.0)
        self._made.append(made)
        return made

    async def close(self) -> None:
        """Close all members."""
        for made in self._made:
            await made.close()
            await made.close()


def made_rig(kind: str, request: pytest.FixtureRequest, tmp_path: Any) -> AsyncRig:
    """The rig of a kind."""
    if kind == "redis":
        return _on_redis(request)
    if kind != "memory":
        return _on_sql(kind, url_of(kind, request, tmp_path))
    pile = AsyncMemoryQueue("orders")

    def in_memory(group: str | None, lease: float) -> Any:
        made = AsyncMemoryQueue("orders", group=group, lease=lease)
        made._pile, made._tokens = pile._pile, pile._tokens
        return made

    return AsyncRig(kind, in_memory)


def _on_redis(request: pytest.FixtureRequest) -> AsyncRig:
    servers = request.getfixturevalue("redis_server")
    with redis.Redis.from_url(servers.primary.url) as client:
        client.delete("orders")

    def make(group: str | None, lease: float) -> Any:
        return AsyncRedisStream(servers.primary.url, "orders", group=group, lease=lease)

    return AsyncRig("redis", make)


def _on_sql(kind: str, url: str) -> AsyncRig:
    engine = engine_of(url, IS_ASYNC)

    def make(group: str | None, lease: float) -> Any:
        return AsyncSqlQueue(engine, "orders", group=group, lease=lease)

    return AsyncRig(kind, make)


async def drained(source: Any, count: int, seconds: float = 20.0) -> list[Any]:
    """So many deliveries, however many fetches they take; fewer only after a long time."""
    deadline, found = soon(seconds), []
    while len(found) < count and deadline.remaining() > 0:
        found += await source.fetch(count - len(found), min(0.5, max(0.0, deadline.remaining())))
    return found
