"""The chapter on messages: an outbox, a queue in a table, a worker that is killed, a poison order. SQLite, no broker.

Nothing here happens by luck: the worker says when it is in the middle of an order, and is killed there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from regionkit.core.deadline import Deadline
from regionkit.demo.narration import Narrator
from regionkit.demo.shop import CHARGE, HALF_WAY, LEASE, LONGEST, ORDER, Shop
from regionkit.errors import RegionUnavailable
from regionkit.messaging import Relay
from regionkit.messaging.sources import Sent, SqlQueue

__all__ = ["tell_messages"]

CUSTOMERS = ("Ada", "Lin", "Max")
ORDERS = 12
FATAL, POISON = 5, 8
"""The order in the middle of which the worker is killed, and the one whose sum is no number."""
CENTS, MISTYPED = 750, "7,50"


class LosesOneAnswer:
    """The queue, behind a connection that breaks once: after all was stored, and before that was told."""

    def __init__(self, queue: SqlQueue) -> None:
        self._queue = queue
        self.name, self.facts = queue.name, queue.facts
        self.published = 0
        self._broken = False

    def publish(self, bodies: Sequence[tuple[str | None, bytes]], deadline: Deadline) -> list[Sent]:
        """As the queue does."""
        sent = self._queue.publish(bodies, deadline)
        self.published += len(bodies)
        if not self._broken:
            self._broken = True
            raise RegionUnavailable("the connection broke before the answer.", committed="unknown")
        return sent

    def close(self) -> None:
        """Nothing: the shop closes its queue."""


def tell_messages(say: Narrator) -> dict[str, Any]:
    """Tell the chapter; its figures."""
    with tempfile.TemporaryDirectory(prefix="regionkit-demo-") as name:
        folder = Path(name)
        with closing(Shop(folder)) as shop:
            shop.create_tables()
            with _worker(folder) as worker:  # it starts while the orders are placed
                figures = _placed(say, shop) | _published(say, shop) | _killed(say, shop, worker)
            return figures | _taken_over(say, shop) | _mended(say, shop)


@contextmanager
def _worker(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "regionkit.demo.shop", str(folder), str(FATAL)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def _placed(say: Narrator, shop: Shop) -> dict[str, Any]:
    began = time.monotonic()
    for order in range(1, ORDERS + 2):
        customer = CUSTOMERS[order % len(CUSTOMERS)]
        payload = {"order": order, "cents": MISTYPED if order == POISON else CENTS}
        with Session(shop.engine) as db:
            db.execute(ORDER.insert(), {"id": order, "customer": customer})
            shop.outbox.publish(db, "order.placed", payload, key=customer)
            db.rollback() if order > ORDERS else db.commit()
    say.step(
        f"Messages, and no broker: {ORDERS} orders of {len(CUSTOMERS)} customers are placed in SQLite, each with its "
        "event in one transaction. One more is rolled back, and so is its event.",
        'outbox.publish(db, "order.placed", {...}, key=customer)',
        time.monotonic() - began,
    )
    return {"orders": ORDERS}


def _published(say: Narrator, shop: Shop) -> dict[str, Any]:
    target = LosesOneAnswer(shop.queue)
    relay = Relay(shop.outbox, to=target, gated=True)
    try:
        relay.run_once()
    except RegionUnavailable:
        relay.run_once()
    relay.stop()
    say.step(
        f"A relay takes them to a queue, which is a table. One answer is lost, so it publishes again: "
        f"{target.published} messages for {ORDERS} orders.",
        "Relay(outbox, to=SqlQueue(engine, ...)).run_once()",
    )
    return {"messages": target.published}


def _killed(say: Narrator, shop: Shop, worker: subprocess.Popen[str]) -> dict[str, Any]:
    assert worker.stdout is not None
    patience = threading.Timer(LONGEST, worker.kill)
    patience.start()
    came = worker.stdout.readline().strip() == HALF_WAY
    patience.cancel()
    worker.kill()
    code = worker.wait()
    if not came:
        raise RuntimeError(f"the worker ended by itself, with {code}")
    orders = [row.order_id for row in _charges(shop)]
    half = orders.count(FATAL)
    say.step(
        f"Another process charges them. It is killed in the middle of order {FATAL}, after its INSERT: "
        f"{len(orders) - half} are charged, and of order {FATAL} {'something' if half else 'nothing'} is left.",
        "worker.kill()  # SIGKILL",
    )
    return {"charged_before_kill": len(orders) - half, "half_charged": half}


def _taken_over(say: Narrator, shop: Shop) -> dict[str, Any]:
    began = time.monotonic()
    done = shop.consumer.run(until_idle=1.2 * LEASE)
    seconds = time.monotonic() - began
    twice = sum(count > 1 for count in Counter(row.order_id for row in _charges(shop)).values())
    say.step(
        f"Another worker takes over: {done.applied} more are charged, {done.duplicates} copies change nothing, "
        f"{twice or 'none'} of the orders {'are' if twice > 1 else 'is'} charged twice.",
        'Consumer(queue, inbox=SqlInbox(engine), order="key").run()',
        seconds,
    )
    (case,) = shop.hospital.cases()
    behind = len(shop.hospital.show(case.id).held)
    say.step(
        f'Order {POISON} is found in the hospital: its sum is "{MISTYPED}", a {case.error_type.rpartition(".")[2]}. '
        f"{behind} later order of {case.key} waits behind it; the other customers' did not.",
        "hospital.cases(); hospital.show(id)",
    )
    return {"copies": done.duplicates, "parked": done.parked, "held": behind}


def _mended(say: Narrator, shop: Shop) -> dict[str, Any]:
    (case,) = shop.hospital.cases()
    shop.hospital.edit(case.id, {"order": POISON, "cents": CENTS}, reason="a comma")
    shop.hospital.retry(case.id)
    shop.consumer.run(until_idle=0.2)
    rows = _charges(shop)
    times = Counter(row.order_id for row in rows)
    by_customer = [[row.order_id for row in rows if row.customer == customer] for customer in CUSTOMERS]
    in_order = all(orders == sorted(orders) for orders in by_customer)
    once = sum(count == 1 for count in times.values())
    say.step(
        f"It is mended and released: {once} of {ORDERS} orders are charged once, "
        f"{'in' if in_order else 'out of'} the order of each customer's.",
        'hospital.edit(id, {"cents": 750}, reason="a comma"); hospital.retry(id)',
    )
    return {"charged_once": once, "charged_twice": len(times) - once, "charged_in_order": in_order}


def _charges(shop: Shop) -> Sequence[Any]:
    with shop.engine.connect() as db:
        return db.execute(select(CHARGE).order_by(CHARGE.c.id)).all()
