"""A unit that is cancelled, at every await of its life: what is told agrees with what stands in the store."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from fix_plain import async_plain_of
from fix_store_rigs import StoreRig

from regionkit import RegionKitError
from regionkit.contract.backing_async import async_backing_of
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline

MOST_STEPS = 80
"""Turns of the event loop that the longest unit takes, with room."""


def within(seconds: float = 20.0) -> Deadline:
    """A deadline from now."""
    return Deadline(SYSTEM_CLOCK, seconds)


@pytest.mark.parametrize("wait", [0.0, 0.001])
async def test_cancelled_units_are_no_or_unknown_and_never_wrong(store_rig: StoreRig, wait: float) -> None:
    """One turn of the loop later each time, with servers given time to answer or not."""
    actions = store_rig.AsyncActions
    outcomes: set[str] = set()
    async with async_plain_of(store_rig) as given:
        backing = async_backing_of(given, namespace="plain")
        await backing.create_tables([], within())
        for steps in range(MOST_STEPS):
            heard: list[str] = []

            async def write(key: str, heard: list[str]) -> None:
                async with backing.write(deadline=within()) as unit:
                    unit.on_outcome(heard.append)
                    await actions.put(unit.native, key, "x")

            task = asyncio.ensure_future(write(f"9{steps}", heard))
            for _ in range(steps):
                await asyncio.sleep(wait)
                if task.done():
                    break
            finished = task.done()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, RegionKitError):
                await task
            async with backing.read(deadline=within()) as unit:
                found = await actions.get(unit.native, f"9{steps}")
            assert len(heard) <= 1
            outcomes |= set(heard)
            if heard == ["yes"]:
                assert found == "x"
            elif heard == ["no"] and unit.atomic:
                assert found is None
            if finished:
                break
        await backing.close()
    assert wait == 0.0 or "yes" in outcomes, "the last one was left alone"
