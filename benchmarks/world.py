"""What the jobs share: a model, two regions on real servers (a far primary, a near replica), kits and plain engines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, String, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.harness import pin, pin_children
from regionkit import AsyncRegionKit, Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.testing import servers

__all__ = ["HERE", "THERE", "Base", "Order", "World", "world"]

HERE, THERE = "ap-northeast-2", "us-east-1"
KEYS = ("a key for benchmarks, 32 bytes..",)
DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+aiomysql", "mysql": "mysql+aiomysql"}
SETTLED_WITHIN = 5.0


class Base(DeclarativeBase):
    """The models of the benchmarks."""


class Order(Base):
    """What is read by its primary key, and inserted."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(String(50))


@dataclass(frozen=True, slots=True)
class World:
    """The servers of one job. The client runs in HERE, beside the replica."""

    kind: str
    primary: str
    replica: str
    nodes: Any
    """The servers, to hold and to kill."""

    def topology(self, *, primary: str | None = None) -> Topology:
        """Two regions; `primary`: another address of the primary, a proxy's."""
        endpoints = [
            Endpoint(THERE, Role.PRIMARY, primary or self.primary),
            Endpoint(HERE, Role.REPLICA, self.replica),
        ]
        regions = [Region(THERE), Region(HERE)]
        return Topology(namespace="bench", regions=regions, stores=[SqlStore("orders", endpoints=endpoints)])

    @contextmanager
    def kit(self, *, primary: str | None = None) -> Iterator[RegionKit]:
        """A kit that knows where both servers stand."""
        with RegionKit(self.topology(primary=primary), local=HERE, bookmark_keys=KEYS) as kit:
            kit.create_tables()
            yield kit

    def async_kit(self) -> AsyncRegionKit:
        """The same for asyncio; the tables are there."""
        return AsyncRegionKit(self.topology(), local=HERE, bookmark_keys=KEYS)

    @contextmanager
    def engine(self, url: str, **options: Any) -> Iterator[Engine]:
        """A plain engine, with SQLAlchemy's own defaults."""
        engine = create_engine(url, **options)
        try:
            yield engine
        finally:
            engine.dispose()

    def async_engine(self, url: str, **options: Any) -> AsyncEngine:
        """A plain engine for asyncio."""
        return create_async_engine(DRIVERS[self.kind] + url[url.index(":") :], **options)

    def bookmark(self, kit: RegionKit) -> str:
        """A bookmark of a write that the replica is known to have: routing sends it to the replica, without a wait."""
        with kit.session() as s:
            with s.write("orders") as db:
                db.merge(Order(id=2, item=uuid4().hex))  # a change each time: else nothing is committed
            text = s.bookmark()
        deadline = time.monotonic() + SETTLED_WITHIN
        while kit.explain("orders", bookmark=text).decision.endpoint.region != HERE:  # type: ignore[union-attr]
            assert time.monotonic() < deadline, f"the replica does not catch up: {kit.status()}"
            time.sleep(0.02)
        return text


@contextmanager
def world(kind: str) -> Iterator[World]:
    """A primary and a replica of `kind`, with the table and one row, all on the core of this process."""
    core = pin()
    with getattr(servers, kind)(replicas=1) as found:
        made = World(kind, found.primary.app_url, found.replicas[0].app_url, found)
        with made.engine(made.primary) as engine:
            Base.metadata.create_all(engine)
            with Session(engine) as db, db.begin():
                db.add(Order(id=1, item="tea"))
        found.wait_for_replicas()
        pin_children(core)
        yield made
