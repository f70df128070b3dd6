"""How a block gets its connection: carries out the steps of the walk (walk.py), one endpoint after the other.

1. If an endpoint gives no connection, nothing was sent: the walk goes on without it.
2. Where other endpoints could serve too, each question gets half of the time that is left, and connecting no more than the
   distance asks for. A wait ends when it is not worth more, plus its last round trip, whatever the copy does.
3. A bounded read looks again, on its own connection, before a statement that begins after its proof ran out. A session read that
   asked for something is of the data of which that was proved, where a server may exchange them under its connections.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from regionkit.contract.checkout_async import AsyncCheckout
from regionkit.contract.guard import Guard
from regionkit.contract.handle_async import AsyncHandle
from regionkit.contract.interrupted import interruption, is_of_others
from regionkit.contract.outcomes import Failure
from regionkit.contract.progress import NOTHING, Progress
from regionkit.core.concurrency_async import aelapse
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.core.events import Watch
from regionkit.errors import DeadlineExceeded, OutcomeUnknown, RegionKitError, RegionUnavailable
from regionkit.facts.consistency import Level
from regionkit.facts.observation import Observation
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.routing import walk as steps
from regionkit.routing.block_errors import block_error, exchanged, fell_behind, in_time, replaced, unknown_outcome
from regionkit.routing.decision import Decision
from regionkit.routing.distance import PROBE_ROUND_TRIPS
from regionkit.routing.refusal import error_of
from regionkit.routing.route import Attempt
from regionkit.routing.session_state_async import AsyncSessionState
from regionkit.routing.snapshot import Snapshot
from regionkit.routing.store_async import AsyncRoutedStore
from regionkit.routing.store_state import RequestClass
from regionkit.routing.verdict import Standing

__all__ = ["AsyncAcquisition"]


class AsyncAcquisition:
    """The part of a block that gets its connection; to a walk, what is known. See `AsyncBlock`."""

    __slots__ = (
        "_acquired_at",
        "_attempts",
        "_began",
        "_bookmark",
        "_checkout",
        "_class",
        "_counted",
        "_excluded",
        "_handle",
        "_locate",
        "_mode",
        "_owner",
        "_process",
        "_request",
        "_session",
        "_share",
        "_started",
        "_timeout",
        "_watched",
        "deadline",
        "decision",
        "key",
        "kind",
        "store",
    )

    def __init__(
        self,
        session: AsyncSessionState,
        store: AsyncRoutedStore,
        request_class: RequestClass,
        timeout: float | None,
        mode: BlockMode,
        *,
        excluded: frozenset[int] = frozenset(),
        key: str = "",
        locate: Callable[[Deadline], Awaitable[AsyncRoutedStore]] | None = None,
        share: Callable[[AsyncRoutedStore], RequestClass] | None = None,
    ) -> None:
        self._session = session
        self.store = store
        self._class = request_class
        self.kind = request_class.request.kind
        self._timeout = timeout
        self._mode = mode
        self._process = os.getpid()
        self._owner: object = None
        self._locate = locate
        self._share = share
        self.key = key
        self._excluded = excluded
        self._bookmark = session.bookmark
        self._attempts: list[Attempt] = []
        self._checkout: AsyncCheckout | None = None
        self._handle: AsyncHandle | None = None
        self._request: Request | None = None
        self._watched: tuple[Watch, Any] | None = None
        self._counted = -1
        self._began = self._started = self._acquired_at = 0.0
        self.deadline: Deadline | None = None
        self.decision: Decision | None = None

    @property
    def progress(self) -> Progress:
        """What the block has done so far."""
        return NOTHING if self._handle is None else self._handle.progress

    @property
    def snapshot(self) -> Snapshot:
        """What is known of the store."""
        return self.store.state.snapshot

    def now(self) -> float:
        """Monotonic seconds."""
        return self.store.clock.monotonic()

    def decide(self, request: Request) -> Decision:
        """Decide on what is known now."""
        return self.store.state.decide(request)

    def met(self, index: int) -> bool:
        """Whether every endpoint but this one was asked since this process runs, and has answered or failed."""
        return self.store.state.met(index)

    def own(self, request: Request) -> Request:
        """`request` with what only this call knows: that of a remembered decision lacks it. What the walk learned stays in it."""
        mine = self._request
        if mine is None:
            mine = self._request = self._own_request()
        excluded = request.excluded | mine.excluded
        return msgspec.structs.replace(mine, excluded=excluded, fresh=request.fresh, waited=request.waited)

    def with_entries(self, request: Request) -> Request:
        """`request` with all that the session asks of this store now."""
        return msgspec.structs.replace(request, entries=self._session.entries(self.store))

    def _own_request(self) -> Request:
        """This call's own request: the class, what the session saw, and what failed already."""
        session, store = self._session, self.store
        assert self.deadline is not None
        return msgspec.structs.replace(
            self._class.request,
            entries=session.entries(store),
            signed=session.signed,
            pin=session.pin(store),
            excluded=self._excluded,
            wait_until=min(self.deadline.at - self.deadline.timeout + store.profile.longest_wait, self.deadline.at),
        )

    async def _acquire(self) -> AsyncCheckout:
        """A connection that may serve this block; called once, by the handle's first statement or at the opening."""
        decision = self.decision
        assert decision is not None
        request = self._request or decision.request
        looks_back = request.kind is Kind.READ and request.consistency.level is Level.SESSION
        if looks_back and self._session.bookmark is not self._bookmark:
            request = self._request = self._own_request()  # the session wrote since the block was opened
            decision = self.decide(request)
        if request.consistency.level is Level.BOUNDED:
            self.store.state.needs += 1
        walk, step = await self._first_steps(request, decision)
        waiting_since = self._acquired_at = self.store.clock.monotonic()
        while not isinstance(step, steps.Use):
            event = await self._carry_out(walk, step)
            before = walk
            walk, step = steps.next_step(before, event, self)
            if walk.waiting and not before.waiting:
                waiting_since = self.now()
            elif before.waiting and isinstance(event, steps.Asked) and not walk.waiting:
                self._note(before.held, "wait", walk.decision.outcome.value, waiting_since)
            self._acquired_at = self.now()
        checkout = self._checkout
        assert checkout is not None
        self.decision = walk.decision
        self.store.state.began(walk.held, walk.decision)
        self._counted = walk.held
        if self.kind is Kind.READ:
            self._keep_proved(checkout, walk, walk.held)
        return checkout

    async def _first_steps(self, request: Request, decision: Decision) -> tuple[steps.Walk, steps.Step]:
        """Where a walk stands after its first step: at its end, in the common case."""
        walk = steps.begun(request, decision, self)
        if walk is None:
            return steps.next_step(steps.Walk(request, decision), steps.Begun(), self)
        event = await self._connected(walk, walk.held)
        if not isinstance(event, steps.Connected) or not steps.settled(walk, event.observation, self):
            return steps.next_step(walk, event, self)
        if request.kind is not Kind.READ or not self._session.owes(self.store, walk.held, event.observation):
            return walk, steps.Use()
        return steps.next_step(walk, event, self)

    async def _carry_out(self, walk: steps.Walk, step: steps.Step) -> steps.Event:
        """Do what a step says; what happened.

        Raises:
            RoutingError: no endpoint may serve.
            RegionUnavailable, DeadlineExceeded: none is left.
        """
        assert self.deadline is not None
        match step:
            case steps.Connect(index):
                return await self._connected(walk, index)
            case steps.Refresh():
                await self._release()
                await self.store.refresh(self.deadline.remaining())
                return steps.Asked()
            case steps.Look() | steps.Pause():
                self.store.state.needs += 1
                await self._release()
                return await self._looked(walk, step)
            case steps.Refuse():
                await self._release()
                self.decision = walk.decision
                raise error_of(walk.decision, self.store.advice)
            case steps.GiveUp(error):
                await self._release()
                self.decision = walk.decision
                raise error
        try:
            return await self._questioned(walk, step)
        except BaseException as error:
            await self._release()
            translated = self._translated(error, walk.held)
            if isinstance(translated, RegionUnavailable | DeadlineExceeded):
                return self._lost(walk, translated)
            raise translated if translated is interruption(error) else error  # noqa: B904  # the driver's error came of it

    async def _connected(self, walk: steps.Walk, index: int) -> steps.Event:
        if self._checkout is not None:
            await self._release()
        deadline, store = self.deadline, self.store
        assert deadline is not None
        now = self._started = store.clock.monotonic()
        within = deadline.at - now
        if within <= 0.0:
            deadline.require("connecting", store=store.name)
        try:
            if steps.roams(walk):  # where others could serve too, no longer than its distance asks for
                within = min(within / 2.0, store.connecting(index))
            if store.closed and store.refused(index):
                raise replaced(store.name, self.snapshot.endpoints[index].region)
            checkout = await store.backend(index).check_out(self._class.request.kind, deadline, within)
        except (RegionUnavailable, DeadlineExceeded) as error:
            if (own := interruption(error)) is not None:
                raise own  # noqa: B904  # the driver's error came of it
            return self._lost(walk, error)
        self._checkout = checkout
        return steps.Connected(checkout.observation)

    async def _questioned(self, walk: steps.Walk, step: steps.Step) -> steps.Event:
        """A step on the connection in hand."""
        store, index, checkout = self.store, walk.held, self._checkout
        assert checkout is not None and self.deadline is not None
        match step:
            case steps.TakeIn(observation):
                store.take_in(index, observation)
            case steps.TakePositions():
                half = self.deadline.remaining() / 2.0  # a copy that says nothing must leave time for the read itself
                keep = (index, checkout.observation.incarnation)
                return steps.Taken(await self._session.take_positions(store, keep=keep, within=half))
            case _:
                store.take_in(index, await checkout.observe(self._patience(walk)))
        return steps.Asked()

    async def _looked(self, walk: steps.Walk, step: steps.Look | steps.Pause) -> steps.Event:
        """Where the endpoint that is waited for stands, asked once for all who wait.

        A copy that is behind gets no more time than the wait is worth. What an owner says decides: it gets its time. So does an
        endpoint that was never reached: nobody knows yet how far it is.
        """
        store, index = self.store, walk.held
        if isinstance(step, steps.Pause):
            await aelapse(store.clock, step.seconds)
            step = step.look
        self._started = self.now()
        within = self._patience(walk)
        reached_before = self.snapshot.endpoints[index].rtt is not None
        if reached_before and walk.decision.verdicts[index].standing is Standing.BEHIND:
            worth = max(0.0, walk.until - self._started)
            within = min(within, worth + store.round_trips(index, PROBE_ROUND_TRIPS))
        if await store.probe(index, within, step.since) is not None:
            return steps.Asked()
        assert self.deadline is not None
        self._note(index, "wait", "silent", self._started)
        e = self.snapshot.endpoints[index]
        error = RegionUnavailable(
            f"{e.id!r} of {store.name!r} did not report its position in time.",
            why=e.trouble,
            fix="see kit.status(); reads use other endpoints if the topology allows it.",
            store=store.name,
            region=e.region,
        )
        return steps.Lost(error, self.deadline.remaining() <= 0.0)

    def _patience(self, walk: steps.Walk) -> float:
        """Seconds that one endpoint gets: half of what is left where others could serve too."""
        assert self.deadline is not None
        left = self.deadline.remaining()
        return left / 2.0 if steps.roams(walk) else left

    def _lost(self, walk: steps.Walk, error: RegionKitError) -> steps.Lost:
        """An endpoint gave no connection, and nothing was sent: it may count against it."""
        state, index = self.store.state, walk.held
        self._note(index, self._try(), type(error).__name__, self._started)
        assert self.deadline is not None
        silent = isinstance(error, DeadlineExceeded)
        if not isinstance(error, DeadlineExceeded) or error.blames_endpoint:
            state.began(index)  # a call of its window, though no block came of it
            state.ended(index)
            region = self.snapshot.endpoints[index].region
            reason = getattr(error, "cause", "") or f"{type(error).__name__} at {region}"
            state.failed(index, self.kind, reason, since=self._started, silent=silent)
            self.store.lost(index)
        return steps.Lost(error, self.deadline.remaining() <= 0.0)

    def _keep_proved(self, checkout: AsyncCheckout, walk: steps.Walk, index: int) -> None:
        """What was proved holds for the data that it was proved of; BOUNDED at the start of each statement, not of the block."""
        decision, store = walk.decision, self.store
        level, bound = decision.request.consistency.level, decision.request.consistency.max_staleness
        if "served" in decision.proof or level is Level.EVENTUAL:
            return
        if level is Level.SESSION:
            can = store.capabilities if walk.request.entries else None
            if can is not None and can.exchanges_data:
                incarnation = checkout.observation.incarnation
                checkout.keep(Guard(FOREVER, partial(self._check_data, incarnation, index, decision)))
            return
        if level is not Level.BOUNDED or self._mode.snapshot or index == self.snapshot.owner:
            return

        def recheck(observation: Observation) -> float:
            store.state.needs += 1
            store.take_in(index, observation)
            fresh_at = self.snapshot.endpoints[index].fresh_at
            if fresh_at is None or self.now() - fresh_at > bound:
                raise fell_behind(store.name, bound, decision)
            return fresh_at + bound

        checkout.keep(Guard(decision.proved_until, recheck))

    def _check_data(self, incarnation: str, index: int, decision: Decision, observation: Observation) -> float:
        """The server showed other data than those of which this block's proof speaks: nothing of them is given out."""
        self.store.take_in(index, observation)
        if observation.incarnation != incarnation:
            raise exchanged(self.store.name, decision)
        return FOREVER

    def _translated(self, error: BaseException, index: int) -> BaseException:
        """An error that means "connection gone" as ours; any other as it is."""
        if index < 0 or not isinstance(error, Exception) or isinstance(error, RegionKitError):
            return error
        if (own := interruption(error)) is not None:
            return own
        if self.progress.unknown:
            what = "commit" if self.store.capabilities is None or self.store.capabilities.transactions else "write"
            return self._unknown(error, f"its {what} was sent and not answered, and the block continued.")
        store, backend = self.store, self.store.backend(index)
        failure = in_time(backend.classify(error), FOREVER if self.deadline is None else self.deadline.remaining())
        lost = failure in (Failure.CONNECTION, Failure.DEADLINE)
        if lost and is_of_others(error, self._handle):
            return error
        if lost and self._stands_alone():
            return self._unknown(error, "a write was sent and not answered, and there is no transaction to roll back.")
        if failure in (Failure.READ_ONLY, Failure.ROLE) and self.kind is Kind.WRITE:
            backend.evict()
        region = self.snapshot.endpoints[index].region
        return block_error(error, failure, self.kind, store=store.name, region=region) or error

    def _stands_alone(self) -> bool:
        """Whether statements of this write were sent that no rollback takes back."""
        can, writes = self.store.capabilities, self.kind is Kind.WRITE and not self._mode.transaction
        return writes and self.progress.used and can is not None and not can.transactions

    def _unknown(self, error: BaseException, what: str) -> OutcomeUnknown:
        store = self.store
        fix = store.advice.unknown
        return unknown_outcome(error, what, fix, store=store.name, key=self.key, partition=store.partition)

    async def _release(self) -> None:
        checkout, self._checkout = self._checkout, None
        if checkout is not None:
            await checkout.release()

    def _try(self) -> str:
        return "retry" if self._attempts else "initial"

    def _note(self, index: int, kind: str, outcome: str, since: float) -> None:
        self._attempts.append(Attempt(self.snapshot.endpoints[index].region, kind, outcome, self.now() - since))
