"""A source or a target of the application's own that raises what it may not: asked again, told, and named where it goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sending import envelope
from sqlalchemy.ext.asyncio import AsyncSession

from regionkit import AsyncRegionKit
from regionkit.core.concurrency_async import asleep
from regionkit.errors import RegionUnavailable, SourceBroken
from regionkit.events import ConsumerBroken, ConsumerPaused, RelayFailed
from regionkit.messaging.consumer_async import AsyncConsumer
from regionkit.messaging.inboxes.sql_async import AsyncSqlInbox
from regionkit.messaging.outbox_async import AsyncOutbox
from regionkit.messaging.relay_async import AsyncRelay
from regionkit.messaging.running_async import AsyncRunning

from .landing_async import AsyncLanding, payloads
from .source_engines import engine_of
from .source_rigs_async import AsyncRig, made_rig
from .test_in_kit_async import IDLE, KR, US, Homes, messages

IS_ASYNC = True


class Unruly:
    """A source over a real one, with a bug in some of its steps."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.name, self.group, self.facts = source.name, source.group, source.facts
        self.bugs: dict[str, tuple[int, Callable[[], Any]]] = {}  # how often still, and what it does

    def breaks(self, step: str, times: int, does: Callable[[], Any]) -> None:
        self.bugs[step] = (times, does)

    async def _step(self, step: str, *given: Any) -> Any:
        times, does = self.bugs.get(step, (0, list))
        if times > 0:
            self.bugs[step] = (times - 1, does)
            return does()
        return await getattr(self._source, step)(*given)

    async def open(self, deadline: Any) -> None:
        await self._step("open", deadline)

    async def fetch(self, most: int, wait: float) -> Any:
        return await self._step("fetch", most, wait)

    async def ack(self, deliveries: Any) -> Any:
        return await self._step("ack", deliveries)

    async def give_back(self, deliveries: Any, delay: float) -> None:
        await self._step("give_back", deliveries, delay)

    async def extend(self, deliveries: Any) -> None:
        await self._step("extend", deliveries)

    async def close(self) -> None:
        await self._source.close()


def bug() -> Any:
    raise KeyError("a bug")


class Late:
    """A source over a real one, whose look is old when it answers."""

    def __init__(self, source: Any, behind: Callable[[], Any]) -> None:
        self._source, self._behind = source, behind
        self.looks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def fetch(self, most: int, wait: float) -> Any:
        found = await self._source.fetch(most, wait)
        self.looks += 1
        if self.looks == 1:
            await self._behind()
            await asleep(0.4)
        return found


def away() -> Any:
    raise ConnectionResetError("by peer")


class Unruled:
    """A consumer of such a source; what is applied, by its n."""

    def __init__(self, rig: AsyncRig, source: Unruly, inbox: Any) -> None:
        self._rig, self.source = rig, source
        self.told: list[Any] = []
        self.applied: list[int] = []
        self.slow = 0.0
        self.consumer: Any = AsyncConsumer(source, inbox=inbox, name="billing", order=None)  # type: ignore[arg-type]
        self.consumer.on_event(self.told.append)

        async def take(message: Any, db: Any) -> None:
            await asleep(self.slow)
            self.applied.append(message.payload["n"])

        self.consumer.handler("moved")(take)

    async def publish(self, *numbers: int) -> None:
        await self._rig.publish(*[envelope({"n": n})[1] for n in numbers])

    def heard(self, kind: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]


@pytest.fixture(params=("redis", "postgresql", "sqlite") if IS_ASYNC else ("redis", "sqlite"))
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Unruled]:
    """Over real sources."""
    sources = await made_rig(request.param, request, tmp_path).ready()
    engine = engine_of(f"sqlite:///{tmp_path / 'inbox.db'}", IS_ASYNC)
    inbox = AsyncSqlInbox(engine)
    await inbox.create_tables()
    yield Unruled(sources, Unruly(await sources.member()), inbox)
    await inbox.close()
    await engine.dispose()
    await sources.close()


@pytest.mark.parametrize("step", ["fetch", "ack", "extend"])
async def test_what_ends_by_itself_is_asked_again(rig: Unruled, step: str) -> None:
    """With an event that names the class and the place; each message takes effect once."""
    rig.source.breaks(step, 3, bug)
    rig.slow = 0.6 if step == "extend" else 0.0
    await rig.publish(*range(4))
    summary = await rig.consumer.run(until_idle=1.5)
    assert sorted(rig.applied) == [0, 1, 2, 3] and summary.applied == 4
    [*broken] = rig.heard(ConsumerBroken)
    assert broken and summary.broken == len(broken)
    assert broken[0].error == "KeyError" and "test_broken_source" in broken[0].where
    again = await rig.consumer.run(until_idle=IDLE)
    assert again.applied == 0 and again.broken == 0


@pytest.mark.parametrize("step", ["fetch", "ack"])
async def test_a_bug_that_stays_ends_the_run_and_is_named(
    rig: Unruled, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed, with its cause; what was not applied is not acknowledged, and comes when the bug is gone."""
    monkeypatch.setattr(f"{AsyncRunning.__module__}.BROKEN_FOR", 1.0)
    rig.source.breaks(step, 1000, bug)
    await rig.publish(*range(3))
    with pytest.raises(SourceBroken, match=rf"{step}\(\) of 'orders' raised KeyError") as caught:
        await rig.consumer.run()
    error = caught.value
    assert (error.source, error.committed) == ("orders", "no") and isinstance(error.__cause__, KeyError)
    assert len(rig.heard(ConsumerBroken)) >= 5
    rig.source.bugs.clear()
    await rig.consumer.run(until_idle=1.0)
    assert sorted(rig.applied) == [0, 1, 2]


@pytest.mark.parametrize("rubbish", [lambda: None, lambda: ["text"], lambda: [("receipt", b"")]])
async def test_what_is_no_delivery_is_the_sources_fault(rig: Unruled, rubbish: Any) -> None:
    """None, or a list of something: no lane gets it."""
    rig.source.breaks("fetch", 2, rubbish)
    await rig.publish(7)
    await rig.consumer.run(until_idle=1.0)
    assert rig.applied == [7] and [event.error for event in rig.heard(ConsumerBroken)] == ["TypeError"] * 2


async def test_a_bug_in_its_opening_is_told_at_once(rig: Unruled) -> None:
    """Nothing has begun: whoever runs it hears it."""
    rig.source.breaks("open", 1, bug)
    with pytest.raises(SourceBroken, match="open"):
        await rig.consumer.run()
    await rig.publish(1)
    assert (await rig.consumer.run(until_idle=IDLE)).applied == 1


async def test_a_network_that_is_away_is_no_bug(rig: Unruled, monkeypatch: pytest.MonkeyPatch) -> None:
    """ConnectionError and TimeoutError of any class: paused for as long as it takes."""
    monkeypatch.setattr(f"{AsyncRunning.__module__}.BROKEN_FOR", 0.1)
    rig.source.breaks("fetch", 5, away)
    await rig.publish(1)
    summary = await rig.consumer.run(until_idle=IDLE)
    assert (rig.applied, summary.broken) == ([1], 0)
    [paused] = rig.heard(ConsumerPaused)
    assert "ConnectionResetError" in paused.why and "by peer" in paused.why


async def test_the_last_acknowledgement_hides_no_other_error(rig: Unruled, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends at a bug of `fetch` says so, although `give_back` and `ack` fail too then."""
    monkeypatch.setattr(f"{AsyncRunning.__module__}.BROKEN_FOR", 0.3)
    await rig.publish(1)
    for step in ("fetch", "ack", "give_back"):
        rig.source.breaks(step, 1000, bug)
    with pytest.raises(SourceBroken, match="fetch"):
        await rig.consumer.run()


async def test_a_target_of_forwarded_messages_kills_no_lane(tmp_path: Path) -> None:
    """The message comes again, the lane goes on with what is of this region."""

    class Bad:
        name, facts = "kr", AsyncLanding.facts
        bad = True

        async def publish(self, bodies: Any, deadline: Any) -> Any:
            return bug() if self.bad else await homes.queues[KR].publish(bodies, deadline)

    homes, target = Homes(tmp_path), Bad()
    kit = AsyncRegionKit(homes.topology(), local=US)
    us: Any = homes.consumer(kit, US, elsewhere="forward", forward_to={KR: target})
    told: list[Any] = []
    us.on_event(told.append)
    await kit.create_tables()
    await homes.publish(US, *messages(f"{KR}:1", f"{US}:1"))
    first = await us.run(until_idle=IDLE)
    assert first.applied == 2 and first.broken and not first.forwarded
    assert {event.error for event in told if isinstance(event, ConsumerBroken)} == {"KeyError"}
    target.bad = False
    await asleep(0.6)
    assert (await us.run(until_idle=IDLE)).forwarded == 2
    await kit.close()


async def _publish(engine: Any, outbox: Any, *numbers: int) -> None:
    """To all destinations."""
    async with AsyncSession(engine) as db:
        for n in numbers:
            await outbox.publish(db, "made", n, to=outbox.destinations)
        await db.commit()


@pytest.mark.parametrize("does", [bug, lambda: None, list, lambda: [True, True]])
async def test_a_target_that_raises_or_answers_what_it_may_not(does: Any, tmp_path: Path) -> None:
    """Typed, and only of its own destination: the others are served first, in one call and in the background."""
    engine = engine_of(f"sqlite:///{tmp_path / 'outbox.db'}", IS_ASYNC)
    outbox: Any = AsyncOutbox(engine, destinations=["bad", "good"])
    await outbox.create_tables()

    class Bad(AsyncLanding):
        async def publish(self, bodies: Any, deadline: Any) -> Any:
            return does()

    good, told = AsyncLanding(), list[Any]()
    relay = AsyncRelay(outbox, to={"bad": Bad(), "good": good})
    relay.subscribe(told.append)
    try:
        await _publish(engine, outbox, 1, 2)
        with pytest.raises(SourceBroken, match="publish") as caught:
            await relay.run_once()
        assert caught.value.committed == "unknown" and caught.value.source == "landing"
        assert sorted(payloads(good.came)) == [1, 2]  # type: ignore[type-var]
        told.clear()
        await relay.start()
        await _publish(engine, outbox, 3)
        while len(good.came) < 3 or not any(isinstance(event, RelayFailed) for event in told):
            await asleep(0.02)
        assert any(isinstance(event, RelayFailed) and "SourceBroken" in event.error for event in told)
    finally:
        await relay.stop()
        await outbox.close()
        await engine.dispose()


async def test_a_dead_destination_delays_no_other(tmp_path: Path) -> None:
    """Rule 26, in `run_once` too."""
    engine = engine_of(f"sqlite:///{tmp_path / 'outbox.db'}", IS_ASYNC)
    outbox: Any = AsyncOutbox(engine, destinations=["dead", "good"])
    await outbox.create_tables()
    dead, good = AsyncLanding(), AsyncLanding()
    dead.down = True
    relay = AsyncRelay(outbox, to={"dead": dead, "good": good})
    await _publish(engine, outbox, 1)
    with pytest.raises(RegionUnavailable, match="landing is down"):
        await relay.run_once()
    assert payloads(good.came) == [1]
    await outbox.close()
    await engine.dispose()


async def test_a_look_that_took_long_does_not_end_a_run(rig: Unruled) -> None:
    """What came behind it, within the time that it is to wait, is applied."""
    late = Late(rig.source, lambda: rig.publish(1))
    rig.consumer._source = late
    summary = await rig.consumer.run(until_idle=0.3)
    assert (summary.applied, rig.applied) == (1, [1])
    assert late.looks > 1
