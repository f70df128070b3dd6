"""A shop whose orders are charged by another process: `python -m regionkit.demo.shop FOLDER` is that process.

All of it stands in one SQLite file: orders and charges, the outbox, the queue, the inbox and the hospital.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine
from sqlalchemy.orm import Session

from regionkit.messaging import Consumer, Hospital, Message, Outbox, SqlInbox
from regionkit.messaging.sources import SqlQueue

__all__ = ["CHARGE", "HALF_WAY", "LONGEST", "ORDER", "Shop"]

METADATA = MetaData()
ORDER = Table("orders", METADATA, Column("id", Integer, primary_key=True), Column("customer", String(20)))
CHARGE = Table(
    "charges",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("order_id", Integer, nullable=False),
    Column("customer", String(20), nullable=False),
    Column("cents", Integer, nullable=False),
)
"""One row a charge, numbered in the order in which they were made; nothing keeps an order from being charged twice."""
LEASE = 0.5
"""Seconds after which another worker gets what a dead one had: short, so that nobody at the demo waits for it."""
HALF_WAY = "half-way"
"""What a worker says in the middle of the order at which it is to be killed."""
LONGEST = 30.0
"""Seconds that it waits there to be killed, and that it is waited for to come there."""


class Shop:
    """The pieces, over one file.

    Args:
        folder: of the file.
        fatal: the order in the middle of which a worker stands still; 0: none.
    """

    def __init__(self, folder: Path, fatal: int = 0) -> None:
        self.engine: Engine = create_engine(f"sqlite:///{folder}/shop.db")
        self.outbox = Outbox(self.engine)
        self.queue = SqlQueue(self.engine, "orders", group="billing", lease=LEASE)
        self.inbox = SqlInbox(self.engine)
        self.hospital = Hospital(self.engine, who="you")
        self.consumer = Consumer(self.queue, inbox=self.inbox, hospital=self.hospital, order="key", concurrency=1)
        self._fatal = fatal
        self.consumer.handler("order.placed", attempts=2)(self._charge)

    def create_tables(self) -> None:
        """All of them."""
        METADATA.create_all(self.engine)
        for piece in (self.outbox, self.queue, self.inbox):
            piece.create_tables()

    def _charge(self, message: Message, db: Session) -> None:
        order, cents = message.payload["order"], message.payload["cents"]
        values: dict[str, Any] = {"order_id": order, "customer": message.key, "cents": int(cents)}
        db.execute(CHARGE.insert(), values)
        if order == self._fatal:
            print(HALF_WAY, flush=True)
            time.sleep(LONGEST)

    def close(self) -> None:
        """All that it opened."""
        for piece in (self.queue, self.inbox, self.hospital, self.outbox):
            piece.close()
        self.engine.dispose()


if __name__ == "__main__":
    Shop(Path(sys.argv[1]), int(sys.argv[2])).consumer.run()
