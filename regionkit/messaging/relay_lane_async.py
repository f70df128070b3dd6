"""One destination of a relay: poll, publish, settle; in the background, or a round at a time. Rules: see `relay_async`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from regionkit.core.concurrency_async import AsyncFlag, asleep, astray
from regionkit.core.deadline import Deadline
from regionkit.core.events import Event, crash_point
from regionkit.core.storable import words_of
from regionkit.errors import RegionKitError
from regionkit.facts.consistency import STRONG
from regionkit.messaging.counters import Relayed
from regionkit.messaging.envelope import Envelope, Malformed, decode, encode
from regionkit.messaging.events import RelayFailed, RelayStuck, RelayTookOver
from regionkit.messaging.outbox_async import AsyncOutbox
from regionkit.messaging.outbox_rules import BATCH, FULL_SCAN, Floor, Leaving, Row, Sending, leaving, waves
from regionkit.messaging.relay_lease_async import AsyncRelayLease
from regionkit.messaging.sources.checks import named
from regionkit.messaging.sources.source_async import AsyncTarget, Sent

__all__ = ["LONGEST_PAUSE", "AsyncLane", "LaneOptions", "PublishAfter"]

PublishAfter = Literal["commit", "replicated"]
REPLICATED_POLL = 0.05
"""Seconds until copies are asked again whether they have what is to be published."""
REPLICATED_WITHIN = 2.0
"""Seconds of one round in which they are: then its lease is looked at again."""
SHORTEST_PAUSE = 0.02
"""Seconds between two polls of which the first found nothing: 50 wakes a second at most."""
LONGEST_PAUSE = 2.0
"""Seconds after which an idle relay looks, whether it was woken or not: the latency that holds without any wake."""
MOVED_WITHIN = 1.0
"""Seconds that a relay waits for the locks of keys whose delayed messages are due; nothing is published meanwhile."""
MOVED_AGAIN = 5.0
"""Seconds until it tries again."""


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """What a relay says to its lanes."""

    gated: bool
    publish_after: PublishAfter
    send_timeout: float
    lease: float
    emit: Callable[[Event], None]


class AsyncLane:
    """One destination. One job at a time works on it."""

    def __init__(self, outbox: AsyncOutbox, destination: str, target: AsyncTarget, options: LaneOptions) -> None:
        self._options = options
        self._outbox = outbox
        self.destination = destination
        self._stored = destination.encode()
        self.target = target
        self._lease = AsyncRelayLease(outbox, destination, options.lease)
        self._stopping = False
        self._floor = Floor()
        self._wake = AsyncFlag()
        self._pause = SHORTEST_PAUSE
        self._move_at = self._sweep_at = 0.0
        self._waiting: tuple[Any, Any] | None = None
        self.lacking: list[str] = []
        self._settled: list[int] = []
        self._stuck: list[tuple[Row, str]] = []
        self._unlisten: Callable[[], None] = lambda: None
        self.done = Relayed()

    # the job

    def listens(self) -> None:
        """Be woken by what this process publishes."""
        self._unlisten()
        self._stopping = False
        self._unlisten = self._outbox.listen(self.wake)

    def wake(self) -> None:
        """There may be something."""
        self._wake.set()

    def stop(self) -> None:
        """End with the round that is under way."""
        self._stopping = True
        self._wake.set()

    async def job(self) -> float | None:
        """One round of the background job."""
        if self._stopping:
            return None
        if await self.round(self.done):
            self._pause = SHORTEST_PAUSE
            return 0.0
        if self._lease.left() <= 0:
            return self._options.lease / 3
        await asleep(SHORTEST_PAUSE)
        woken = await self._wake.wait(self._pause - SHORTEST_PAUSE) if self._pause > SHORTEST_PAUSE else False
        self._pause = SHORTEST_PAUSE if woken or self._wake.is_set() else min(2 * self._pause, LONGEST_PAUSE)
        self._wake.clear()
        return 0.0

    def failed(self, error: BaseException) -> None:
        """A round of the job failed."""
        self._options.emit(RelayFailed(self._outbox.name, self.destination, words_of(error)))

    async def leave(self) -> None:
        """Settle what is confirmed, and give the lease up."""
        self._unlisten()
        await self.settle()
        try:
            await self._lease.give_up(self._outbox.deadline())
        except Exception as error:  # it ends by itself
            self.failed(error)

    async def settle(self) -> None:
        """What was confirmed goes, if it still can."""
        try:
            if self._settled or self._stuck:
                await self._settle_and_poll(poll=False)
        except Exception as error:  # what it was about to raise matters more, and other destinations wait
            self.failed(error)

    # one round

    async def round(self, done: Relayed) -> bool:
        """Poll, publish, settle; whether there may be more at once."""
        epoch = self._lease.epoch
        if not await self._lease.hold(2 * self._options.send_timeout):
            self._settled, self._stuck = [], []
            return False
        if self._lease.epoch != epoch:
            self._floor, self._settled, self._stuck, self._waiting = Floor(), [], [], None
            self._options.emit(RelayTookOver(self._outbox.name, self.destination, self._lease.epoch))
        if self._waiting is None:
            floor = self._floor.begin(self._outbox.clock.monotonic())
            polled, stamp = await self._settle_and_poll(floor)
            if polled.epoch != self._lease.epoch:
                self._lease.lost()
                return True
            moved = await self._move_due() if polled.due else 0
            done.moved += moved
            self._floor.polled(polled.rows, polled.xmin, polled.xmax)
            if not polled.rows:
                await self._sweep()
                return moved > 0
            if self._options.publish_after == "replicated":
                self._waiting = (polled, stamp)
        if self._waiting is not None:
            polled, stamp = self._waiting
            if not await self._replicated(stamp):
                return False
            self._waiting = None
        sending = Sending()
        try:
            await self._send(polled.rows, polled.now, sending, done)
        finally:
            self._note(sending, done)
        return bool(self._settled or self._stuck)

    async def _replicated(self, stamp: Any) -> bool:
        """Wait a while until all copies have what was polled."""
        outbox, until = self._outbox, self._outbox.clock.monotonic() + REPLICATED_WITHIN
        while stamp is not None and not self._stopping:
            self.lacking = await outbox.backing.lacking(stamp, deadline=outbox.deadline())
            if not self.lacking:
                return True
            if outbox.clock.monotonic() >= until:
                break
            await asleep(REPLICATED_POLL)
        return False

    async def _sweep(self) -> None:
        """Payloads that no destination waits for any more go, now and then."""
        now = self._outbox.clock.monotonic()
        if now >= self._sweep_at and len(self._outbox.destinations) > 1:
            self._sweep_at = now + FULL_SCAN
            while await self._outbox.change(self._outbox.sql.sweep) == BATCH:
                pass

    async def _move_due(self) -> int:
        """Delayed messages take their numbers: where a key of theirs is locked by a transaction in doubt, they wait, alone."""
        outbox, now = self._outbox, self._outbox.clock.monotonic()
        if now < self._move_at:
            return 0
        try:
            moved = await outbox.change(outbox.sql.move_due, self._stored, self._lease.epoch, seconds=MOVED_WITHIN)
        except RegionKitError as error:
            self._move_at = now + MOVED_AGAIN
            self.failed(error)
            return 0
        return int(moved)

    async def _settle_and_poll(self, floor: int = 0, *, poll: bool = True) -> tuple[Any, Any]:
        """What was confirmed goes, in the transaction that looks for more; without any it is a read. What it found, and a stamp
        that covers all of that.
        """
        sql, outbox, backing = self._outbox.sql, self._outbox, self._outbox.backing
        most = BATCH if poll else 0
        if not (self._settled or self._stuck):
            async with backing.read(consistency=STRONG, deadline=outbox.deadline(), core=True) as unit:
                polled = await outbox.within(unit.native, sql.poll, self._stored, floor, most)
                asks = polled.rows and self._options.publish_after == "replicated"
                return polled, await unit.take_stamp() if asks else None
        stuck = [(row, why, self._envelope(row)) for row, why in self._stuck]
        given = (self._stored, self._lease.epoch, self._settled, stuck, floor, most)
        async with backing.write(deadline=outbox.deadline(), core=True) as unit:
            polled = await outbox.within(unit.native, sql.settle_and_poll, *given)
        crash_point("relay.settled")
        self._settled, self._stuck = [], []
        return polled, unit.stamp

    async def _send(self, rows: Sequence[Row], now: float, sending: Sending, done: Relayed) -> None:
        going = []
        for row in rows:
            if row.number is None and leaving(row, now)[0] is Leaving.DROPPED:
                self._settled.append(row.seq)
                done.dropped += 1
            else:
                going.append(row)
        for wave in waves(going, gated=self._options.gated):
            may_go = sending.may_go(wave)
            if not may_go:
                continue
            if self._lease.left() <= self._options.send_timeout and not await self._lease.hold(
                self._options.send_timeout
            ):
                return
            await self._send_wave(may_go, now, sending, done)

    async def _send_wave(self, rows: Sequence[Row], now: float, sending: Sending, done: Relayed) -> None:
        bodies: list[tuple[str | None, bytes]] = []
        good: list[Row] = []
        tombs: list[bool] = []
        for row in rows:
            try:
                envelope = self._leaves(row, now)
            except Malformed as error:
                sending.became(row, confirmed=False, refused=words_of(error))
                continue
            bodies.append((envelope.key, encode(envelope)))
            good.append(row)
            tombs.append(bool(envelope.tomb))
        sent: Sequence[Sent] = ()
        try:
            if good:
                sent = await self._published(bodies)
            crash_point("relay.published")
        finally:
            for row, became, tomb in zip(good, sent, tombs):
                sending.became(row, confirmed=became.confirmed, refused=became.refused)
                done.tombstones += tomb and became.confirmed
            for row in good[len(sent) :]:
                sending.became(row, confirmed=False)

    async def _published(self, bodies: Sequence[tuple[str | None, bytes]]) -> Sequence[Sent]:
        try:
            sent = await self.target.publish(bodies, Deadline(self._outbox.clock, self._options.send_timeout))
            if len(sent) != len(bodies) or not all(isinstance(one, Sent) for one in sent):
                raise TypeError(f"it says of {len(bodies)} messages {len(sent)} answers, each of which must be a Sent")
        except BaseException as error:
            if not (isinstance(error, Exception) or astray(error)):
                raise
            means = named(self.target.name, "publish", error, "unknown")
            if means is error:
                raise
            raise means from error
        return sent

    def _leaves(self, row: Row, now: float) -> Envelope:
        """A row as it is published."""
        e, why = decode(row.body), leaving(row, now)[1]
        return Envelope(
            e.id,
            e.type,
            b"" if why else e.payload,
            e.key,
            "bytes" if why else e.codec,
            e.headers,
            row.published_at,
            row.expires_at,
            "" if row.number is None else self._lease.lineage,
            row.number,
            row.prev,
            e.region,
            why,
        )

    def _envelope(self, row: Row) -> bytes:
        """A row as a case has it."""
        try:
            return encode(self._leaves(row, row.published_at))
        except Malformed:
            return row.body

    def _note(self, sending: Sending, done: Relayed) -> None:
        """What became of a batch: settled with the next poll."""
        self._settled += [row.seq for row in sending.confirmed]
        self._stuck += sending.refused
        done.published += len(sending.confirmed)
        done.refused += len(sending.refused)
        done.unknown += len(sending.unknown)
        for row, why in sending.refused:
            self._options.emit(RelayStuck(self._outbox.name, self.destination, row.id, why[:200]))
