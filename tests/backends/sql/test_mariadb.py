"""MariaDB: a deadlock that a block swallows, and rows that trickle in past the deadline."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import NAMESPACE, Order, Rig
from sqlalchemy import text

from regionkit import (
    AsyncRegionKit,
    DeadlineExceeded,
    Endpoint,
    Region,
    RegionKit,
    Role,
    SqlStore,
    Topology,
    TransactionRolledBack,
)
from regionkit.testing import FaultProxy

WEIGHT = 200
"""Rows that the other transaction wrote: MariaDB lets the one live that wrote more."""
TRICKLE = text("SELECT seq, repeat('x', 1000) FROM seq_1_to_1000")


class Rival:
    """A transaction that holds row 2, and then wants row 1."""

    def __init__(self, url: str) -> None:
        self.engine = sqlalchemy.create_engine(url)
        self.holds = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        """Hold one, want the other."""
        with self.engine.begin() as connection:
            rows = [{"id": 1000 + number} for number in range(WEIGHT)]
            connection.execute(text("INSERT INTO orders (id, item) VALUES (:id, 'w')"), rows)
            connection.execute(text("UPDATE orders SET item = 'theirs' WHERE id = 2"))
            self.holds.set()
            connection.execute(text("UPDATE orders SET item = 'theirs' WHERE id = 1"))
        self.engine.dispose()


@pytest.mark.parametrize(("server", "key"), [("mariadb", None), ("mariadb", "order-7"), ("mysql", None)])
def test_a_swallowed_deadlock_is_no_commit(server: str, key: str | None, request: pytest.FixtureRequest) -> None:
    """The server rolled back all that went before it: the rest alone is not committed as if it were the whole."""
    rig: Rig = request.getfixturevalue(f"{server}_rig")
    with RegionKit(rig.topology(), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        with s.write("orders") as db:
            db.add_all([Order(id=1, item="tea"), Order(id=2, item="tea")])
        rival = Rival(rig.urls[0])

        def collide(db: Any) -> None:
            db.execute(text("INSERT INTO orders (id, item) VALUES (7, 'before')"))
            db.execute(text("UPDATE orders SET item = 'ours' WHERE id = 1"))
            rival.thread.start()
            assert rival.holds.wait(20)
            time.sleep(0.5)  # it waits for row 1 by then
            with pytest.raises(sqlalchemy.exc.OperationalError, match="Deadlock"):
                db.execute(text("UPDATE orders SET item = 'ours' WHERE id = 2"))
            db.execute(text("INSERT INTO orders (id, item) VALUES (8, 'after')"))

        with pytest.raises(TransactionRolledBack) as caught:
            s.execute_write("orders", collide, idempotency_key=key, timeout=30.0)
        rival.thread.join()
        assert caught.value.committed == "no"
        assert rig.count("id IN (7, 8)") == 0
        s.execute_write("orders", lambda db: db.add(Order(id=9, item="tea")))  # the connection is none the worse
        assert rig.count("id = 9") == 1


def thin_line(url: str) -> Topology:
    """A store with one endpoint."""
    store = SqlStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, url)])
    return Topology(namespace=NAMESPACE, regions=[Region("us-east-1")], stores=[store])


def test_rows_that_trickle_end_at_the_deadline(mariadb_rig: Rig) -> None:
    """Each packet comes soon enough; all of them would take ten seconds."""
    with FaultProxy(mariadb_rig.urls[0]) as proxy, RegionKit(thin_line(proxy.url), local="us-east-1") as kit:
        with kit.session() as s:
            with s.read("orders") as db:
                db.execute(text("SELECT 1"))
            proxy.bandwidth(100_000)
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded), s.read("orders", timeout=1.0) as db:
                db.execute(TRICKLE).all()
            assert time.monotonic() - began < 4.0


async def test_they_do_in_the_async_form(mariadb_rig: Rig) -> None:
    """As above."""
    with FaultProxy(mariadb_rig.urls[0]) as proxy:
        async with AsyncRegionKit(thin_line(proxy.url), local="us-east-1") as kit, kit.session() as s:
            async with s.read("orders") as db:
                await db.execute(text("SELECT 1"))
            proxy.bandwidth(100_000)
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                async with s.read("orders", timeout=1.0) as db:
                    (await db.execute(TRICKLE)).all()
            assert time.monotonic() - began < 4.0
