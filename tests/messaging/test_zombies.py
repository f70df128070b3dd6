"""Processes that die, freeze and come back: what a claim on a real server is worth then. One run a key, told by a ledger."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fix_claims import ClaimStore
from fix_plain import owner_of

from regionkit import AsyncRegionKit
from regionkit.errors import InProgress, LeaseLost
from regionkit.messaging import AsyncSqlRecords, Resolved, idempotent
from regionkit.messaging.claim import Done, Wish, Won

from .children import PATIENCE, Ledger, child


@pytest.fixture(params=["postgresql", "redis"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> ClaimStore:
    """Stores that several processes share. SQLite does not bear a fork while it is open."""
    return ClaimStore(request.param, owner_of(request.param, request, tmp_path))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Of one test."""
    return Ledger(tmp_path)


def test_a_frozen_process_changes_nothing_when_it_comes_back(served: ClaimStore, ledger: Ledger) -> None:
    """Stopped beyond its lease; another finishes; continued: LeaseLost, and the record says what the other one gave."""

    def zombie() -> None:
        with served.opened() as records:

            @idempotent(records, key=lambda id: id, name="z", lease=1.0, short_lease=True)
            def call(id: int) -> str:
                ledger.add("zombie")
                ledger.set("begun")
                ledger.wait("go")
                return "zombie"

            with pytest.raises(LeaseLost):
                call(1)
            assert call(1) == "other"

    with served.opened() as records, child(zombie, ledger) as pid:

        @idempotent(records, key=lambda id: id, name="z", wait_timeout=PATIENCE)
        def call(id: int) -> str:
            ledger.add("other")
            return "other"

        ledger.wait("begun")
        os.kill(pid, signal.SIGSTOP)
        try:
            assert call(1) == "other"
        finally:
            ledger.set("go")
            os.kill(pid, signal.SIGCONT)
    assert ledger.lines() == ["zombie", "other"]


def test_a_zombie_that_fails_takes_nothing_away(served: ClaimStore, ledger: Ledger) -> None:
    """The other half of appendix 2: its late failure releases nothing, and no third one runs beside the second."""

    def zombie() -> None:
        with served.opened() as records:

            @idempotent(records, key=lambda id: id, name="z", lease=1.0, short_lease=True)
            def call(id: int) -> str:
                ledger.set("begun")
                ledger.wait("go")
                raise ValueError("late")

            with pytest.raises(ValueError, match="late"):
                call(1)
            ledger.set("failed")

    with served.opened() as records, child(zombie, ledger) as pid:
        third: list[str] = []

        def run(id: int) -> str:
            ledger.add("other")
            os.kill(pid, signal.SIGCONT)
            ledger.set("go")
            ledger.wait("failed")
            thread = threading.Thread(target=ask, args=(id,))
            thread.start()
            thread.join(PATIENCE)
            return "other"

        def ask(id: int) -> None:
            try:
                third.append(raises(id))
            except InProgress:
                third.append("in progress")

        waits = idempotent(records, key=lambda id: id, name="z", wait_timeout=PATIENCE)(run)
        raises = idempotent(records, key=lambda id: id, name="z", in_progress="raise")(run)
        ledger.wait("begun")
        os.kill(pid, signal.SIGSTOP)
        try:
            assert waits(1) == "other"
        finally:
            ledger.set("go")
            os.kill(pid, signal.SIGCONT)
    assert third == ["in progress"] and ledger.lines() == ["other"]


@pytest.mark.parametrize("resolved", [False, True])
def test_a_death_between_claim_and_done_is_waited_out(served: ClaimStore, ledger: Ledger, resolved: bool) -> None:
    """os._exit in the function: the next one waits for the lease, then runs; or asks, and is told what it gave."""

    def dies() -> None:
        with served.opened() as records:

            @idempotent(records, key=lambda id: id, name="d", lease=1.0, short_lease=True)
            def call(id: int) -> str:
                ledger.add("first")
                ledger.set("begun")
                os._exit(9)

            call(1)

    with served.opened() as records:
        asked: list[int] = []

        def resolve(id: int) -> Any:
            asked.append(id)
            return Resolved("told")

        @idempotent(records, key=lambda id: id, name="d", wait_timeout=PATIENCE, resolve=resolve if resolved else None)
        def call(id: int) -> str:
            ledger.add("second")
            return "second"

        with child(dies, ledger):
            ledger.wait("begun")
            began = time.monotonic()
            assert call(1) == ("told" if resolved else "second") == call(1)
            assert time.monotonic() - began > 0.2, "it did not wait for the lease"
    assert ledger.lines() == (["first"] if resolved else ["first", "second"])
    assert asked == [1] * resolved


def test_two_threads_and_two_processes_run_it_once(served: ClaimStore, ledger: Ledger) -> None:
    """Twelve keys, four callers each at the same moment: each ran once, and all got the same."""

    def calls(who: str) -> list[str]:
        with served.opened() as records:

            @idempotent(records, key=lambda id: id, name="m", wait_timeout=PATIENCE)
            def call(id: int) -> str:
                ledger.add(str(id))
                time.sleep(0.01)
                return f"{who} {id}"

            ledger.wait("start")
            found: dict[int, list[str]] = {1: [], 2: []}
            threads = [
                threading.Thread(target=lambda to=to: to.extend(call(id) for id in range(12))) for to in found.values()
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            assert found[1] == found[2] and len(found[1]) == 12
            (ledger.folder / f"answers {who}").write_text("\n".join(found[1]))
            return found[1]

    with child(lambda: calls("a") and None, ledger), child(lambda: calls("b") and None, ledger):
        ledger.set("start")
    assert sorted(ledger.lines(), key=int) == [str(id) for id in range(12)]
    assert (ledger.folder / "answers a").read_text() == (ledger.folder / "answers b").read_text()


def test_a_child_of_a_fork_uses_nothing_of_its_parents(served: ClaimStore, ledger: Ledger) -> None:
    """Used before the fork, with a heartbeat running: both go on, with connections and heartbeats of their own."""
    with served.opened() as records:
        given: Any = records._given
        if hasattr(given, "pool"):
            with given.connect(), given.connect(), given.connect():
                pass

        def work(id: int) -> int:
            time.sleep(3.4 if id > 1 else 0.0)
            return id

        keeps = idempotent(records, key=lambda id: id, name="f", lease=2.0, short_lease=True, wait_timeout=PATIENCE)(
            work
        )
        assert keeps(1) == 1

        def in_child() -> None:
            assert keeps(1) == 1 and keeps(2) == 2
            ledger.set("done")

        with child(in_child, ledger):
            assert keeps(3) == 3 and [keeps(1) for _ in range(50)] == [1] * 50
            ledger.wait("done")
            assert keeps(2) == 2


@pytest.mark.parametrize("name", ["sqlite", "mariadb", "redis"])
def test_a_blocked_loop_keeps_its_leases(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture, tmp_path: Path, name: str
) -> None:
    """The loop stands still for longer than a lease: another thread's claim finds it busy to the end, and nothing was lost.

    Connections of the application's own pool are idle meanwhile, and belong to the blocked loop.
    """
    served = ClaimStore(name, owner_of(name, request, tmp_path))
    lease = 3.0

    async def blocked() -> str:
        async with served.opened_async() as records:
            given: Any = records._given
            if hasattr(given, "sync_engine"):
                async with given.connect(), given.connect(), given.connect():
                    pass

            @idempotent(records, key=lambda id: id, name="b", lease=lease, short_lease=True)
            async def call(id: int) -> str:
                time.sleep(1.7 * lease)
                return "blocked"

            return await call(1)

    with served.opened() as records:
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(asyncio.run(blocked())))
        thread.start()

        @idempotent(records, key=lambda id: id, name="b", in_progress="raise")
        def call(id: int) -> str:
            return "thief"

        time.sleep(0.8)
        answers = set()
        while thread.is_alive():
            try:
                answers.add(call(1))
            except InProgress:
                time.sleep(0.1)
        thread.join()
        assert found == ["blocked"] and answers <= {"blocked"} and call(1) == "blocked"
    assert "renewed" not in caplog.text, "each renewal went well, on a connection of the thread's own"


@pytest.mark.parametrize("protected", [True, False])
def test_what_a_fence_is_worth(redis_store_rig: Any, protected: bool) -> None:
    """Without the look at owner and fence the zombie's result would stand: the tests above would see it."""
    from unittest import mock

    import regionkit.backends.redis.script as script_module
    from regionkit.backends.redis.lua import Lua, lua

    guard = "if found[2] ~= ARGV[3] or found[3] ~= ARGV[2] then return 0 end"

    def read(package: str, name: str) -> Lua:
        text = lua(package, name).text.decode()
        if name == "claim_step":
            assert guard in text
            text = text.replace(guard, "")
        return Lua(text.encode(), b"0" * 40)

    with mock.patch.object(script_module, "lua", lua if protected else read):
        with ClaimStore("redis", redis_store_rig).opened() as records:
            claims = records.claims
            a = Wish(b"s", b"i", os.urandom(16), lease=0.1)
            b = Wish(b"s", b"i", os.urandom(16))
            assert claims.claim(a, within=5.0) == Won(1)
            time.sleep(0.15)
            assert claims.claim(b, within=5.0) == Won(2, "claimed")
            assert claims.step("complete", a, 1, result=b"zombie", within=5.0) is not protected
            claims.step("complete", b, 2, result=b"b", within=5.0)
            found = claims.claim(Wish(b"s", b"i", os.urandom(16)), within=5.0)
            assert isinstance(found, Done)


async def test_in_a_kit_leases_are_kept_alive_too(sqlite_store_rig: Any) -> None:
    """The kit's store, in its loop: longer than a lease, and nobody takes over."""
    topology = sqlite_store_rig.topology()
    async with AsyncRegionKit(topology, local="us-east-1") as kit:
        records = AsyncSqlRecords(kit, store="orders")
        await kit.create_tables()
        await records.create_tables()

        async def slow(id: int) -> str:
            await asyncio.sleep(4.2)
            return "kept"

        async def thief(id: int) -> str:
            return "thief"

        keeps = idempotent(records, key=lambda id: id, name="k", lease=2.5, short_lease=True)(slow)
        steals = idempotent(records, key=lambda id: id, name="k", in_progress="raise")(thief)
        task = asyncio.create_task(keeps(1))
        await asyncio.sleep(0.3)
        answers = set()
        while not task.done():
            try:
                answers.add(await steals(1))
            except InProgress:
                await asyncio.sleep(0.1)
        assert await task == "kept" and answers <= {"kept"}
        await records.close()
