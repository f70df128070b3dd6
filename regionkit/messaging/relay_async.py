"""A relay: takes messages out of an outbox and publishes them; each destination by one relay at a time.

1. Rows are found by their presence, never by a cursor: one that is committed late is not skipped.
2. A row is deleted when its target has confirmed it. A relay that dies in between publishes again: the same id, the same number.
3. Rows are read at the owner of the database only.
4. Whatever wakes a relay is a hint. Without any it polls: 20 ms after work, up to 2 s when there was none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from regionkit.core.concurrency_async import AsyncFlag, asleep
from regionkit.core.deadline import Deadline
from regionkit.core.events import Event, EventHooks, Hook, crash_point
from regionkit.core.supervisor_async import AsyncSupervisor
from regionkit.errors import ConfigurationError, RegionKitError
from regionkit.messaging.envelope import Envelope, Malformed, decode, encode
from regionkit.messaging.outbox_async import AsyncOutbox
from regionkit.messaging.outbox_rules import BATCH, Floor, Leaving, Row, Sending, leaving, waves
from regionkit.messaging.relay_events import Relayed, RelayFailed, RelayStuck, RelayTookOver
from regionkit.messaging.relay_lease_async import AsyncRelayLease
from regionkit.messaging.sources.source_async import AsyncTarget, Sent

__all__ = ["AsyncRelay"]

SHORTEST_PAUSE = 0.02
"""Seconds between two polls of which the first found nothing: 50 wakes a second at most."""
LONGEST_PAUSE = 2.0
"""Seconds after which an idle relay looks, whether it was woken or not: the latency that holds without any wake."""
MOVED_WITHIN = 1.0
"""Seconds that a relay waits for the locks of keys whose delayed messages are due; nothing is published meanwhile."""
MOVED_AGAIN = 5.0
"""Seconds until it tries again."""
SEND_TIMEOUT = 5.0
"""Seconds for one batch at a target."""
LEASE = 20.0
"""Seconds after which another relay may take over: four sendings."""


class AsyncRelay:
    """Publishes what stands in an outbox. One job; as many processes as there are may run one each.

    Args:
        outbox: whose messages.
        to: a target for all its destinations; or by destination, for some of them: other relays take the others.
        gated: all consumers judge numbers (`order="key"` with a gate): a batch goes out at once. Without it, of each key one
            message is on its way at a time.
        send_timeout: seconds for one batch at a target.
        lease: seconds after which another relay takes over from one that died; more than three times `send_timeout`.

    Raises:
        ConfigurationError: a destination that the outbox does not have, or times that do not fit.
    """

    def __init__(
        self,
        outbox: AsyncOutbox,
        *,
        to: AsyncTarget | Mapping[str, AsyncTarget],
        gated: bool = False,
        send_timeout: float = SEND_TIMEOUT,
        lease: float = LEASE,
    ) -> None:
        targets = dict(to) if isinstance(to, Mapping) else dict.fromkeys(outbox.destinations, to)
        unknown = sorted(set(targets) - set(outbox.destinations))
        if unknown or not targets:
            raise ConfigurationError(
                f"outbox {outbox.name!r} has no destination {unknown[0]!r}." if unknown else "a relay has no targets.",
                fix=f"it has {', '.join(map(repr, outbox.destinations))}.",
            )
        if not 0 < 3 * send_timeout < lease:
            raise ConfigurationError(
                f"a lease of {lease:g} s is too short for a send time-out of {send_timeout:g} s.",
                why="what is sent is sent only while the lease outlasts the sending.",
                fix="make lease= more than three times send_timeout=.",
            )
        self.outbox = outbox
        self.gated = gated
        self.send_timeout = send_timeout
        self._hooks = EventHooks()
        self._supervisor = AsyncSupervisor(outbox.clock)
        self._stopping = AsyncFlag()
        self._lanes = [_Lane(self, name, target, lease) for name, target in targets.items()]

    def subscribe(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with each event of this relay; the result takes it away again."""
        return self._hooks.add(hook)

    def emit(self, event: Event) -> None:
        """Tell the log and every hook."""
        self._hooks.emit(event)

    async def run_once(self) -> Relayed:
        """Publish all that is due now and not another relay's; what was done.

        Raises:
            RegionKitError: the database or a target does not answer; what was confirmed before is settled.
        """
        done = Relayed()
        for lane in self._lanes:
            try:
                while await lane.round(done):
                    pass
            except BaseException:
                await lane.settle()
                raise
        return done

    async def start(self) -> None:
        """Publish in the background, until `stop`."""
        self._stopping.clear()
        for lane in self._lanes:
            lane.listens()
            self._supervisor.start(
                f"relay {self.outbox.name}/{lane.destination}", lane.job, lane.failed, longest_back_off=LONGEST_PAUSE
            )

    async def run(self) -> None:
        """Publish until `stop` is called."""
        await self.start()
        while not await self._stopping.wait(60.0):
            pass

    async def stop(self) -> None:
        """Let what is being sent end, within its time-out, and leave the destinations to other relays."""
        self._stopping.set()
        for lane in self._lanes:
            lane.wake()
        await self._supervisor.stop(self.send_timeout + 1.0)
        for lane in self._lanes:
            await lane.leave()

    @property
    def counts(self) -> Relayed:
        """What its background jobs have done."""
        found = Relayed()
        for lane in self._lanes:
            found.add(lane.done)
        return found

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()


class _Lane:
    """One destination. One job at a time works on it."""

    def __init__(self, relay: AsyncRelay, destination: str, target: AsyncTarget, lease: float) -> None:
        self._relay = relay
        self._outbox = relay.outbox
        self.destination = destination
        self._stored = destination.encode()
        self._target = target
        self._lease = AsyncRelayLease(relay.outbox, destination, lease)
        self._lasts = lease
        self._floor = Floor()
        self._wake = AsyncFlag()
        self._pause = SHORTEST_PAUSE
        self._move_at = 0.0
        self._settled: list[int] = []
        self._stuck: list[tuple[Row, str]] = []
        self._unlisten: Callable[[], None] = lambda: None
        self.done = Relayed()

    # the job

    def listens(self) -> None:
        """Be woken by what this process publishes."""
        self._unlisten()
        self._unlisten = self._outbox.listen(self.wake)

    def wake(self) -> None:
        """There may be something."""
        self._wake.set()

    async def job(self) -> float | None:
        """One round of the background job."""
        if self._relay.stopping:
            return None
        if await self.round(self.done):
            self._pause = SHORTEST_PAUSE
            return 0.0
        if self._lease.left() <= 0:
            return self._lasts / 3
        await asleep(SHORTEST_PAUSE)
        woken = await self._wake.wait(self._pause - SHORTEST_PAUSE) if self._pause > SHORTEST_PAUSE else False
        self._pause = SHORTEST_PAUSE if woken or self._wake.is_set() else min(2 * self._pause, LONGEST_PAUSE)
        self._wake.clear()
        return 0.0

    def failed(self, error: BaseException) -> None:
        """A round of the job failed."""
        self._relay.emit(RelayFailed(self._outbox.name, self.destination, str(error)))

    async def leave(self) -> None:
        """Settle what is confirmed, and give the lease up."""
        self._unlisten()
        await self.settle()
        try:
            await self._lease.give_up(self._outbox.deadline())
        except RegionKitError as error:
            self.failed(error)

    async def settle(self) -> None:
        """What was confirmed goes, if it still can."""
        try:
            if self._settled or self._stuck:
                await self._settle_and_poll(poll=False)
        except RegionKitError as error:
            self.failed(error)

    # one round

    async def round(self, done: Relayed) -> bool:
        """Poll, publish, settle; whether there may be more at once."""
        epoch = self._lease.epoch
        if not await self._lease.hold(2 * self._relay.send_timeout):
            self._settled, self._stuck = [], []
            return False
        if self._lease.epoch != epoch:
            self._floor, self._settled, self._stuck = Floor(), [], []
            self._relay.emit(RelayTookOver(self._outbox.name, self.destination, self._lease.epoch))
        floor = self._floor.begin(self._outbox.clock.monotonic())
        polled = await self._settle_and_poll(floor)
        if polled.epoch != self._lease.epoch:
            self._lease.lost()
            return True
        moved = await self._move_due() if polled.due else 0
        done.moved += moved
        self._floor.polled(polled.rows, polled.xmin, polled.xmax)
        if not polled.rows:
            return moved > 0
        sending = Sending()
        try:
            await self._send(polled.rows, polled.now, sending, done)
        finally:
            self._note(sending, done)
        return bool(self._settled or self._stuck or moved)

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

    async def _settle_and_poll(self, floor: int = 0, *, poll: bool = True) -> Any:
        """What was confirmed goes, in the transaction that looks for more; without any it is a read."""
        sql, outbox = self._outbox.sql, self._outbox
        most = BATCH if poll else 0
        if not (self._settled or self._stuck):
            return await outbox.look(sql.poll, self._stored, floor, most)
        stuck = [(row, why, self._envelope(row)) for row, why in self._stuck]
        polled = await outbox.change(
            sql.settle_and_poll, self._stored, self._lease.epoch, self._settled, stuck, floor, most
        )
        crash_point("relay.settled")
        self._settled, self._stuck = [], []
        return polled

    async def _send(self, rows: Sequence[Row], now: float, sending: Sending, done: Relayed) -> None:
        going = []
        for row in rows:
            if leaving(row, now)[0] is Leaving.DROPPED:
                self._settled.append(row.seq)
                done.dropped += 1
            else:
                going.append(row)
        for wave in waves(going, gated=self._relay.gated):
            may_go = sending.may_go(wave)
            if not may_go:
                continue
            if self._lease.left() <= self._relay.send_timeout and not await self._lease.hold(self._relay.send_timeout):
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
                sending.became(row, confirmed=False, refused=str(error))
                continue
            bodies.append((envelope.key, encode(envelope)))
            good.append(row)
            tombs.append(bool(envelope.tomb))
        sent: Sequence[Sent] = ()
        try:
            if good:
                sent = await self._target.publish(bodies, Deadline(self._outbox.clock, self._relay.send_timeout))
            crash_point("relay.published")
        finally:
            for row, became, tomb in zip(good, sent, tombs):
                sending.became(row, confirmed=became.confirmed, refused=became.refused)
                done.tombstones += tomb and became.confirmed
            for row in good[len(sent) :]:
                sending.became(row, confirmed=False)

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
            self._relay.emit(RelayStuck(self._outbox.name, self.destination, row.id, why[:200]))
