"""A relay: each message at least once, of a key in order; what fails holds nobody else up."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from regionkit.core.concurrency_async import asleep
from regionkit.errors import ConfigurationError, RegionUnavailable
from regionkit.messaging.events import RelayStuck, RelayTookOver
from regionkit.messaging.outbox_async import AsyncOutbox
from regionkit.messaging.relay_async import AsyncRelay

from .landing_async import AsyncLanding, payloads

IS_ASYNC = True


class Rig:
    """An outbox, where its messages land, and a relay."""

    def __init__(self, accounts: Any, **options: Any) -> None:
        self.engine = accounts.make(is_async=IS_ASYNC)
        self.outbox = AsyncOutbox(self.engine)
        self.landing = AsyncLanding()
        self.relay = AsyncRelay(self.outbox, to=self.landing, **options)

    async def __aenter__(self) -> Rig:
        await self.outbox.create_tables()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.relay.stop()
        await self.outbox.close()
        await self.engine.dispose()

    async def publish(self, *events: tuple[str, Any, str | None], **options: Any) -> None:
        """In one transaction: (type, payload, key)."""
        async with AsyncSession(self.engine) as db:
            for type, payload, key in events:
                await self.outbox.publish(db, type, payload, key=key, **options)
            await db.commit()

    async def rows(self) -> int:
        """Rows of the outbox."""
        async with self.engine.connect() as db:
            return int((await db.execute(text("SELECT count(*) FROM regionkit_rk_outbox"))).scalar_one())


async def test_one_of_a_key_is_on_its_way(accounts: Any) -> None:
    """To consumers without gates; with `gated` a batch goes at once."""
    async with Rig(accounts) as rig:
        await rig.publish(*[("made", n, "ab"[n % 2]) for n in range(6)], ("told", 6, None))
        assert (await rig.relay.run_once()).published == 7
        assert rig.landing.batches == [3, 2, 2]
        gated = AsyncRelay(rig.outbox, to=rig.landing, gated=True)
        await rig.relay.stop()
        await rig.publish(*[("made", n, "a") for n in range(6)])
        assert (await gated.run_once()).published == 6
        assert rig.landing.batches == [3, 2, 2, 6]
        assert await rig.rows() == 0
        await gated.stop()


async def test_what_has_no_answer_is_sent_before_what_follows_it(accounts: Any) -> None:
    """An unknown confirm is none: it is sent again, then the later ones of its key; other keys go on meanwhile."""
    async with Rig(accounts) as rig:
        rig.landing.silent, rig.landing.lands = {"odd"}, True
        await rig.publish(("odd", 1, "a"), ("made", 2, "a"), ("made", 3, "b"))
        assert (await rig.relay.run_once()).unknown > 0
        assert set(payloads(rig.landing.came)) == {1, 3}
        rig.landing.silent = set()
        await rig.relay.run_once()
        assert [p for p in payloads(rig.landing.came) if p != 3][-2:] == [1, 2]


async def test_a_target_that_is_down_loses_nothing(accounts: Any) -> None:
    """The error is raised; when the target answers, all of it comes."""
    async with Rig(accounts) as rig:
        await rig.publish(*[("made", n, "a") for n in range(3)])
        rig.landing.down = True
        with pytest.raises(RegionUnavailable):
            await rig.relay.run_once()
        rig.landing.down = False
        assert (await rig.relay.run_once()).published == 3
        assert payloads(rig.landing.came) == [0, 1, 2]


async def test_a_stuck_key_holds_nobody_else_up(accounts: Any) -> None:
    """Rule 20: 600 rows behind one that is refused for good, in front of the others of the poll."""
    async with Rig(accounts, gated=True) as rig:
        told: list[Any] = []
        rig.relay.subscribe(told.append)
        rig.landing.refuses = {"odd"}
        await rig.publish(
            ("odd", 0, "a"), *[("made", n, "a") for n in range(1, 601)], ("made", 601, "b"), ("odd", 7, None)
        )
        done = await rig.relay.run_once()
        stuck = {event.id for event in told if isinstance(event, RelayStuck)}
        assert 601 in payloads(rig.landing.came) and done.refused == 2
        [case] = [case for case in await rig.outbox.cases() if case.key == "a"]
        assert case.id in stuck and len(stuck) == 2
        assert (case.reason, case.type, case.attempts, case.error) == ("refused", "odd", 1, "odd is refused")


async def test_a_stuck_key_goes_on_in_order(accounts: Any) -> None:
    """Retried as itself, or buried: then its number is published without it, and what waited follows."""
    async with Rig(accounts) as rig:
        rig.landing.refuses = {"odd"}
        await rig.publish(("odd", 1, "a"), ("made", 2, "a"), ("odd", 3, "a"), ("made", 4, "a"))
        await rig.relay.run_once()
        assert payloads(rig.landing.came) == []
        [case] = await rig.outbox.cases()
        assert await rig.outbox.release(case.id, reason="once more")
        await rig.relay.run_once()
        [case] = await rig.outbox.cases()
        assert case.attempts == 2
        assert await rig.outbox.bury(case.id, reason="too odd")
        assert not await rig.outbox.bury(case.id, reason="too odd")
        await rig.relay.run_once()
        assert payloads(rig.landing.came) == ["buried", 2]
        rig.landing.refuses = set()
        [case] = await rig.outbox.cases()
        await rig.outbox.release(case.id)
        await rig.relay.run_once()
        assert payloads(rig.landing.came) == ["buried", 2, 3, 4]
        assert [envelope.number.n for envelope in rig.landing.came if envelope.number] == [1, 2, 3, 4]


async def test_what_has_expired_leaves_a_tombstone(accounts: Any) -> None:
    """Where it had a number, so that the key goes on; else it is gone."""
    async with Rig(accounts) as rig:
        await rig.publish(("made", 1, "a"), ("made", 2, None), expires_in=0.001)
        await asleep(0.01)
        await rig.publish(("made", 3, "a"), expires_in=60.0)
        done = await rig.relay.run_once()
        assert (done.published, done.tombstones, done.dropped) == (2, 1, 1)
        assert payloads(rig.landing.came) == ["expired", 3]
        assert rig.landing.came[0].payload == b""


async def test_one_relay_at_a_time(accounts: Any) -> None:
    """Another one waits for the lease of one that runs, and has it at once where it was given up."""
    async with Rig(accounts) as rig:
        other = AsyncRelay(rig.outbox, to=rig.landing)
        told: list[Any] = []
        other.subscribe(told.append)
        await rig.publish(("made", 1, "a"))
        [lane] = rig.relay._lanes
        await lane.round(lane.done)
        await rig.publish(("made", 2, "a"))
        assert (await other.run_once()).published == 0
        await rig.relay.stop()
        assert (await other.run_once()).published == 1
        assert [event.epoch for event in told if isinstance(event, RelayTookOver)] == [2]


async def test_running_once_leaves_the_destination_to_others(accounts: Any) -> None:
    """Also when a target does not answer: a job that ended holds nothing up until its lease ends."""
    async with Rig(accounts, send_timeout=0.1) as rig:
        await rig.publish(("made", 1, "a"))
        assert (await rig.relay.run_once()).published == 1
        rig.landing.silent = {"made"}
        await rig.publish(("made", 2, "a"))
        await rig.relay.run_once()
        rig.landing.silent = set()
        assert (await AsyncRelay(rig.outbox, to=rig.landing).run_once()).published == 1


async def test_a_zombie_deletes_nothing(accounts: Any) -> None:
    """Rule 24: it stands still between poll and settling; another one takes over, and what it settles then stays."""
    async with Rig(accounts, send_timeout=0.1, lease=1.5) as rig:
        rig.landing.silent = {"made"}
        await rig.publish(("made", 1, "a"))
        await _published(rig.relay)
        [lane] = rig.relay._lanes
        await asleep(1.6)
        other = AsyncRelay(rig.outbox, to=AsyncLanding(), send_timeout=0.1, lease=60.0)
        assert await _published(other) == 1
        await rig.publish(("made", 2, "a"))
        lane._settled = list(range(100))
        await lane._settle_and_poll(0)
        assert await rig.rows() == 1
        assert await lane.round(lane.done) is False, "it has lost the lease"
        await other.stop()


async def _published(relay: AsyncRelay) -> int:
    """Messages that it published, in one go, as one that runs: it keeps its leases."""
    for lane in relay._lanes:
        while await lane.round(lane.done):
            pass
    return relay.counts.published


async def test_in_the_background(accounts: Any) -> None:
    """It is woken by what is published in its process, and `stop` lets go of the destination."""
    async with Rig(accounts) as rig:
        await rig.relay.start()
        await rig.relay.start()
        for number in range(5):
            await rig.publish(("made", number, "a"))
            for _ in range(1000):
                if len(rig.landing.came) > number:
                    break
                await asleep(0.01)
        await rig.relay.stop()
        assert payloads(rig.landing.came) == list(range(5))
        assert rig.relay.counts.published == 5
        async with rig.engine.connect() as db:
            found = await db.execute(text("SELECT count(*) FROM regionkit_rk_record WHERE kind = 'relay'"))
            assert found.scalar_one() == 0


async def test_a_target_that_is_back_is_seen(accounts: Any) -> None:
    """The background job goes on after errors."""
    async with Rig(accounts) as rig:
        rig.landing.down = True
        await rig.relay.start()
        await rig.publish(("made", 1, "a"))
        await asleep(0.3)
        rig.landing.down = False
        for _ in range(1000):
            if rig.landing.came:
                break
            await asleep(0.01)
        assert payloads(rig.landing.came) == [1]


async def test_what_does_not_fit_is_refused(accounts: Any) -> None:
    """Destinations that there are not, times that would let a zombie publish."""
    outbox = AsyncOutbox(accounts.make(is_async=IS_ASYNC))
    with pytest.raises(ConfigurationError, match="no destination 'x'"):
        AsyncRelay(outbox, to={"x": AsyncLanding()})
    with pytest.raises(ConfigurationError, match="no targets"):
        AsyncRelay(outbox, to={})
    with pytest.raises(ConfigurationError, match="too short"):
        AsyncRelay(outbox, to=AsyncLanding(), send_timeout=5.0, lease=10.0)
    odd: Any = "replicate"
    with pytest.raises(ConfigurationError, match="'replicate' of a relay is not known"):
        AsyncRelay(outbox, to=AsyncLanding(), publish_after=odd)  # it would publish what a failover undoes
    with pytest.raises(ConfigurationError, match="gated='replicate'"):
        AsyncRelay(outbox, to=AsyncLanding(), gated=odd)
    with pytest.raises(ConfigurationError, match="'replicate' s"):
        AsyncRelay(outbox, to=AsyncLanding(), lease=odd)
    await outbox.close()


async def test_what_holds_and_what_wants_looking_at(accounts: Any) -> None:
    """Explained without asking; measured in the tables."""
    async with Rig(accounts) as rig:
        rig.landing.refuses = {"odd"}
        await rig.publish(("odd", 1, "a"), ("made", 2, "a"), ("made", 3, "b"))
        await rig.publish(("late", 4, None), delay=60.0)
        await rig.relay.run_once()
        report = await rig.outbox.doctor()
        [backlog] = report.backlogs
        assert (backlog.rows, backlog.stuck, backlog.later) == (2, 1, 1) and 0 < backlog.oldest < 60
        [finding] = report.findings
        assert "1 messages were refused for good" in finding and finding in str(report)
        told = str(rig.relay.explain())
        assert (
            "default -> memory" in told and "phantom events up to RPO" in told and "one message is on its way" in told
        )
