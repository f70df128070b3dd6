"""A task is cancelled at every await in turn: nothing foreign is read, nothing leaks, nothing is committed twice."""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import Generator
from typing import Any

import pytest
from fix_rigs import Order, Rig
from sqlalchemy import text
from waiting_async import PATIENCE

from regionkit import EVENTUAL, STRONG, AsyncRegionKit
from regionkit.facts.request import Kind


class Finished(Exception):
    """The coroutine ended before the await at which it was to be cancelled."""


@types.coroutine
def cancelled_at(coroutine: Any, step: int, *, for_good: bool = False) -> Generator[Any, Any, Any]:
    """Drive a coroutine; at its `step`-th suspension, or from there on, it gets a CancelledError instead of an answer."""
    stepping = coroutine.__await__()
    value: Any = None
    error: BaseException | None = None
    count = 0
    while True:
        try:
            waits_for = stepping.throw(error) if error is not None else stepping.send(value)
        except StopIteration as done:
            if count < step:
                raise Finished from None
            return done.value
        error, count = None, count + 1
        if count == step or (for_good and count > step):
            if waits_for is not None:
                waits_for._asyncio_future_blocking = False
                waits_for.cancel()
            error = asyncio.CancelledError()
            continue
        try:
            value = yield waits_for
        except BaseException as raised:
            error = raised


async def work(kit: AsyncRegionKit, number: int) -> int:
    """A write, a session read and an eventual read of values of one's own."""
    async with kit.session() as s:
        async with s.write("orders") as db:
            db.add(Order(id=number, item=f"tea {number}"))
        async with s.read("orders") as db:
            found = await db.get(Order, number)
            assert found is not None
            assert found.item == f"tea {number}"
        async with s.read("orders", consistency=EVENTUAL, core=True) as connection:
            return int((await connection.execute(text(f"SELECT {number}"))).scalar())


def taken(slots: Any) -> int:
    """How many permits can be had at once, of four; they are given back."""
    found = sum(slots.try_acquire() for _ in range(4))
    for _ in range(found):
        slots.release()
    return found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for_good"])
async def test_cancelled_at_every_await(rig: Rig, for_good: bool) -> None:
    """After each cancellation the next reads give their own values; at the end every permit and connection is back.

    "For good" is how anyio cancels: what is cleaned up on the way out may not wait either.
    """
    options = {"pool_size": 3, "max_overflow": 0}
    async with AsyncRegionKit(rig.topology(options=options), local="us-east-1") as kit:
        await kit.create_tables()
        step, number = 0, 0
        while True:
            step, number = step + 1, number + 1
            for backend in kit._store("orders").backends:
                backend.evict()  # type: ignore[union-attr]  # so that connecting is cancelled too
            try:
                with pytest.raises(asyncio.CancelledError):
                    await cancelled_at(work(kit, number), step, for_good=for_good)
            except Finished:
                break
            number += 1
            assert await asyncio.wait_for(work(kit, number), 10) == number
        print(f"\n{rig.server}: cancelled at {step - 1} awaits")
        assert step > 5
        for backend in kit._store("orders").backends:
            for kind in Kind:
                slots: Any = backend.slots[kind]  # type: ignore[union-attr]
                end = time.monotonic() + PATIENCE
                # the monitor connects with one now and then, to have a connection ready: that one comes back
                while (free := taken(slots)) != 3:
                    assert free < 3 and time.monotonic() < end, f"{free} of 3 permits are there"
                    await asyncio.sleep(0.01)
        assert kit._store("orders").state.loads == [0] * len(rig.urls)
        async with kit.session() as s:
            async with s.read("orders", consistency=STRONG) as db:
                rows = (await db.execute(text("SELECT id, item FROM orders"))).all()
        assert all(item == f"tea {n}" for n, item in rows)
