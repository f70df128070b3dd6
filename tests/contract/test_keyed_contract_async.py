"""A write under an idempotency key takes effect once, on every backend that keeps markers.

Where no marker can be kept the key is refused: `test_store_contract_async.py` shows that. On Redis the function gets a
pipeline, so what is done here with a handle is put only: a queued command gives nothing back before the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from fix_store_rigs import BACKENDS, StoreRig
from waiting_async import arrived

from regionkit import EVENTUAL, AlreadyApplied, AsyncRegionKit, PayloadMismatch, TransactionRolledBack
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import agather, asleep
from regionkit.core.deadline import Deadline

HERE = "ap-northeast-2"
LARGEST = "x" * 4093
"""The longest text that is stored: with the three bytes before it, it is 4 KiB as MessagePack."""
AT_ONCE = 4
KEEPS_NO_MARKERS = ("cassandra",)
CONFLICTING = ("mongodb", "memory")
"""Where the second does not wait for the first: it is rolled back and run again, six times in all, then told so."""

IS_ASYNC = True
BESIDES = ("asyncpg",) if IS_ASYNC else ()
pytestmark = pytest.mark.parametrize(
    "store_rig", [b for b in (*BACKENDS, *BESIDES) if b not in KEEPS_NO_MARKERS], indirect=True
)


@pytest.fixture
async def kit(store_rig: StoreRig) -> AsyncIterator[AsyncRegionKit]:
    """A kit in ap-northeast-2, its tables made."""
    async with AsyncRegionKit(store_rig.topology(), local=HERE) as kit:
        await kit.create_tables()
        yield kit


class Putting:
    """A function that sets a value and gives a result; it counts its calls, as a conflict may make it run again."""

    def __init__(self, rig: StoreRig, key: str, result: Any = None) -> None:
        self.put = rig.AsyncActions.put
        self.key = key
        self.result = result
        self.calls = 0

    async def __call__(self, db: Any) -> Any:
        """Set the value to how many calls there were."""
        self.calls += 1
        await self.put(db, self.key, str(self.calls))
        return self.result


async def test_a_key_gives_the_stored_result_and_the_effect(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Another session with the key gets what the first got, and reads what it wrote though its copy is held back."""
    do, placed = store_rig.AsyncActions, {"order": 42, "lines": ["tea", None, 2.5], "paid": True}
    place = Putting(store_rig, "a", placed)
    async with kit.session() as s, s.write("orders") as db:
        await do.put(db, "a", "old")
    await arrived(kit, store_rig, "old")
    with store_rig.held():
        async with kit.session() as s:
            assert await s.execute_write("orders", place, idempotency_key="k1") == placed
        ran = place.calls
        async with kit.session() as s:
            assert await s.execute_write("orders", place, idempotency_key="k1") == placed
            async with s.read("orders") as db:
                assert await do.get(db, "a") == str(ran)
        async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            assert await do.get(db, "a") == "old"
    assert place.calls == ran
    async with kit.session() as s:
        assert await s.execute_write("orders", place, idempotency_key="k2") == placed
    assert place.calls > ran
    assert store_rig.value("a") == str(place.calls)


class Ahead:
    """A wall clock that is wrong by some hours."""

    monotonic = staticmethod(SYSTEM_CLOCK.monotonic)

    def __init__(self, hours: float) -> None:
        self.seconds = 3600.0 * hours

    def wall(self) -> float:
        """Seconds since 1970, as this machine believes."""
        return SYSTEM_CLOCK.wall() + self.seconds


@pytest.mark.parametrize("hours", [25, -25])
async def test_a_process_with_a_wrong_clock_forgets_nobodys_marker(
    kit: AsyncRegionKit, store_rig: StoreRig, hours: float
) -> None:
    """Nor does it keep its own for longer: the server's clock measures the age of a marker."""
    place = Putting(store_rig, "a", 1)
    clock = SYSTEM_CLOCK if store_rig.server == "memory" else Ahead(hours)  # with another one its regions are refused

    async def swept(by: AsyncRegionKit, older_than: float) -> None:
        shard = by._store("orders").shards[0]
        await shard.backend(shard.state.snapshot.owner).sweep(Deadline(SYSTEM_CLOCK, 10.0), older_than, 100)

    async with AsyncRegionKit(store_rig.topology(), local=HERE, clock=clock) as wrong:
        await wrong.create_tables()
        for mine, other in ((kit, wrong), (wrong, kit)):
            async with mine.session() as s:
                await s.execute_write("orders", place, idempotency_key=f"k{id(mine)}")
            ran = place.calls
            await swept(wrong, 86_400.0)
            await swept(kit, 86_400.0)
            async with other.session() as s:
                await s.execute_write("orders", place, idempotency_key=f"k{id(mine)}")
            assert place.calls == ran
        if store_rig.server != "redis":  # where the server itself forgets
            await asleep(0.05)
            await swept(kit, 0.01)
            async with kit.session() as s:
                await s.execute_write("orders", place, idempotency_key=f"k{id(wrong)}")
            assert place.calls > ran


async def test_a_result_that_is_not_stored_is_told(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """No plain data, or more than 4 KiB: AlreadyApplied, and the effect stands once. 4 KiB are still given back."""
    thing = object()
    async with kit.session() as s:
        for key, result in (("thing", thing), ("long", LARGEST + "x")):
            place = Putting(store_rig, key, result)
            assert await s.execute_write("orders", place, idempotency_key=key) is result
            ran = place.calls
            with pytest.raises(AlreadyApplied) as caught:
                await s.execute_write("orders", place, idempotency_key=key)
            assert (caught.value.committed, caught.value.idempotency_key) == ("yes", key)
            assert (place.calls, store_rig.value(key)) == (ran, str(ran))
        place = Putting(store_rig, "fits", LARGEST)
        assert await s.execute_write("orders", place, idempotency_key="fits") == LARGEST
        ran = place.calls
        assert await s.execute_write("orders", place, idempotency_key="fits") == LARGEST
        assert (place.calls, store_rig.value("fits")) == (ran, str(ran))


async def test_another_fingerprint_is_told(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Two requests under one key: PayloadMismatch, also where no result was stored; compared when both calls gave one."""
    async with kit.session() as s:
        for key, result in (("plain", "placed"), ("thing", object())):
            place = Putting(store_rig, key, result)
            await s.execute_write("orders", place, idempotency_key=key, fingerprint="tea")
            ran = place.calls
            with pytest.raises(PayloadMismatch) as caught:
                await s.execute_write("orders", place, idempotency_key=key, fingerprint="rice")
            assert caught.value.idempotency_key == key
            assert (place.calls, store_rig.value(key)) == (ran, str(ran))
        for fingerprint in ("tea", None):
            again = await s.execute_write("orders", place, idempotency_key="plain", fingerprint=fingerprint)
            assert again == "placed"
    assert place.calls == ran


async def test_one_key_in_several_sessions_at_once_takes_effect_once(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Whoever commits first, all get its result, and each reads its effect though the nearest copy is held back."""
    do = store_rig.AsyncActions

    async def place(number: int, db: Any) -> str:
        await do.put(db, f"ran{number}", "yes")
        await asleep(0.05)  # the others come meanwhile
        return f"ran{number}"

    async def one(number: int) -> tuple[str, Any]:
        async with kit.session() as s:
            while True:
                try:
                    found = await s.execute_write("orders", partial(place, number), idempotency_key="k1", timeout=20.0)
                except TransactionRolledBack:
                    assert store_rig.server in CONFLICTING
                    continue
                async with s.read("orders") as db:
                    return found, await do.get(db, found)

    async with kit.session() as s, s.write("orders") as db:
        await do.put(db, "a", "old")
    await arrived(kit, store_rig, "old")  # so the copy is there, and can be asked
    with store_rig.held():
        results = await agather([partial(one, number) for number in range(AT_ONCE)])
    done = [f"ran{number}" for number in range(AT_ONCE) if store_rig.value(f"ran{number}") is not None]
    assert len(done) == 1
    assert results == [(done[0], "yes")] * AT_ONCE


async def test_a_function_that_raises_leaves_its_key_free(kit: AsyncRegionKit, store_rig: StoreRig) -> None:
    """Neither effect nor marker: the key works afterwards, under another fingerprint too."""
    put = Putting(store_rig, "a", "placed")

    async def fails(db: Any) -> None:
        await put(db)
        raise ZeroDivisionError

    async with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            await s.execute_write("orders", fails, idempotency_key="k1", fingerprint="tea")
        assert await s.bookmark() == ""
        assert store_rig.value("a") is None
        assert await s.execute_write("orders", put, idempotency_key="k1", fingerprint="rice") == "placed"
        ran = put.calls
        assert await s.execute_write("orders", put, idempotency_key="k1", fingerprint="rice") == "placed"
    assert (put.calls, store_rig.value("a")) == (ran, str(ran))
