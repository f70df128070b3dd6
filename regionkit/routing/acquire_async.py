"""How a block comes by its connection: one endpoint after the other, each proved on the connection itself.

1. If a connection can not be had, nothing was sent: the block decides again without that endpoint.
2. The connection's run of the server is the one that the decision knew, or the server is asked on this very connection
   and the decision taken again.
3. Before a session read uses another copy, what it read elsewhere becomes part of what it asks for.
4. A decision to wait is carried out by asking the copy on the connection that will read.
5. A bounded read looks again before a statement that begins after its proof ran out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from regionkit.contract.checkout_async import AsyncCheckout
from regionkit.contract.handle_async import AsyncHandle
from regionkit.contract.outcomes import Failure
from regionkit.core.concurrency_async import asleep
from regionkit.core.deadline import Deadline
from regionkit.errors import (
    DeadlineExceeded,
    OutcomeUnknown,
    RegionKitError,
    RegionUnavailable,
    StaleRead,
    UsageError,
)
from regionkit.facts.consistency import Level
from regionkit.facts.observation import Observation
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.routing.decision import Decision
from regionkit.routing.refusal import error_of
from regionkit.routing.snapshot import Snapshot
from regionkit.routing.store_async import AsyncRoutedStore
from regionkit.routing.store_state import RequestClass
from regionkit.routing.verdict import Outcome, Refusal

__all__ = ["AsyncAcquisition", "Attempt"]

FIRST_POLL = 0.001
LONGEST_POLL = 0.02
"""How often a waiting read asks the copy, seconds: a millisecond at first, as replication is usually that quick."""


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One endpoint tried. `kind`: "initial", "retry" or "wait"; `outcome`: "ok" or what went wrong."""

    region: str
    kind: str
    outcome: str
    seconds: float


def _rests_on_old(decision: Decision, snapshot: Snapshot, index: int) -> bool:
    """Whether what a decision knew of an endpoint, or of who owns the store, is no longer what is known."""
    before = decision.snapshot
    if before is snapshot:
        return False
    was, now = before.endpoints[index], snapshot.endpoints[index]
    same_run = (
        was.observation is not None
        and now.observation is not None
        and was.observation.incarnation == now.observation.incarnation
    )
    same_owner = (before.owner, before.unrecorded) == (snapshot.owner, snapshot.unrecorded)
    return not (same_run and same_owner and was.barred == now.barred and was.allowed is now.allowed)


_WORTH_ASKING_ANEW = (Refusal.INVALID, Refusal.LOST, Refusal.FENCED)
"""Refusals that rest on who the owner is: another one may have taken over a moment ago."""


def _worth_asking_anew(decision: Decision) -> bool:
    """Whether fresh answers may change a refusal: of who owns the store, or of where its members stand."""
    snapshot = decision.snapshot
    ownerless = snapshot.owner < 0 and not snapshot.leaderless
    return decision.refusal in _WORTH_ASKING_ANEW or ownerless or any(not e.region for e in snapshot.endpoints)


class AsyncAcquisition:
    """The part of a block that gets its connection. See `AsyncBlock`."""

    __slots__ = (
        "_attempts",
        "_began",
        "_bookmark",
        "_checkout",
        "_counted",
        "_excluded",
        "_handle",
        "_locate",
        "_mode",
        "_request",
        "_session",
        "_share",
        "_shared",
        "_timeout",
        "deadline",
        "decision",
        "key",
        "store",
    )

    def __init__(
        self,
        session: Any,
        store: AsyncRoutedStore,
        shared: RequestClass,
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
        self._shared = shared
        self._timeout = timeout
        self._mode = mode
        self._locate = locate
        self._share = share
        self.key = key
        self._excluded = excluded
        self._bookmark = session._bookmark
        self._attempts: list[Attempt] = []
        self._checkout: AsyncCheckout | None = None
        self._handle: AsyncHandle | None = None
        self._request: Request | None = None
        self._counted = -1
        self._began = 0.0
        self.deadline: Deadline | None = None
        self.decision: Decision | None = None

    @property
    def kind(self) -> Kind:
        """Read or write."""
        return self._shared.request.kind

    def _asking(self) -> Request:
        """This call's own request: the class, what the session saw, and what failed already."""
        session, store = self._session, self.store
        assert self.deadline is not None
        now = self.deadline.at - self.deadline.timeout
        return msgspec.structs.replace(
            self._shared.request,
            entries=session._entries(store),
            signed=session._signed,
            pin=session._pin(store),
            excluded=self._excluded,
            wait_until=min(now + store.profile.longest_wait, self.deadline.at),
        )

    def _asked(self, request: Request) -> Request:
        """`request` with what only this call knows: that of a remembered decision lacks it."""
        if self._request is None:
            request = self._request = self._asking()
        return request

    async def _acquire(self) -> AsyncCheckout:
        """A connection that may serve this block; called once, by the handle's first statement or at the opening."""
        decision = self.decision
        assert decision is not None and self.deadline is not None
        request = self._request or decision.request
        looks_back = request.kind is Kind.READ and request.consistency.level is Level.SESSION
        if looks_back and self._session._bookmark is not self._bookmark:
            request = self._request = self._asking()  # the session wrote since the block was opened
            decision = self.store.state.decide(request)
        refreshed = False
        while True:
            if decision.outcome is Outcome.REFUSE:
                if refreshed or not _worth_asking_anew(decision):
                    self.decision = decision
                    raise error_of(decision)
                refreshed = True
                await self.store.refresh(self.deadline.remaining())
                request = msgspec.structs.replace(self._asked(request), fresh=frozenset())
                decision = self.store.state.decide(request)
                continue
            index = decision.index
            started = self.store.clock.monotonic()
            try:
                checkout = await self._check_out(index, request)
            except (RegionUnavailable, DeadlineExceeded) as error:
                decision, request = self._without(index, request, error, started)
                continue
            self._checkout = checkout
            try:
                decision, request = await self._settled(decision, request, checkout, index)
            except BaseException as error:
                await self._release()
                if not isinstance(error, Exception):
                    raise
                translated = self._translated(error)
                if not isinstance(translated, RegionUnavailable | DeadlineExceeded):
                    raise
                decision, request = self._without(index, request, translated, started)
                continue
            if decision.outcome is Outcome.USE and decision.index == index:
                self.decision = decision
                self._note(index, "initial" if not self._attempts else "retry", "ok", started)
                self.store.state.began(index)
                self._counted = index
                self._keep_bounded(checkout, decision, index)
                return checkout
            await self._release()

    async def _check_out(self, index: int, request: Request) -> AsyncCheckout:
        """A connection to one endpoint; where others could serve too, it gets half of the time that is left."""
        assert self.deadline is not None
        left = self.deadline.require("connecting", store=self.store.name)
        roams = request.kind is Kind.READ and request.consistency.level is not Level.STRONG
        others = roams and len(self.store.backends) - len(request.excluded) > 1
        return await self.store.backend(index).check_out(request.kind, self.deadline, left / 2.0 if others else left)

    def _without(self, index: int, request: Request, error: RegionKitError, started: float) -> tuple[Decision, Request]:
        """An endpoint could not be had, and nothing was sent: the decision without it.

        Raises:
            RegionKitError: the error itself, when no endpoint is left.
        """
        region = self.store.state.snapshot.endpoints[index].region
        self._note(index, "initial" if not self._attempts else "retry", type(error).__name__, started)
        assert self.deadline is not None
        patient = self.deadline.timeout >= self.store.profile.probe_timeout  # less says nothing about the server
        if not isinstance(error, DeadlineExceeded) or (error.blames_endpoint and patient):
            self.store.state.began(index)  # a call of its window, though no block came of it
            self.store.state.ended(index)
            reason = getattr(error, "cause", "") or f"{type(error).__name__} at {region}"
            self.store.state.failed(index, request.kind, reason)
            self.store.lost(index)
        request = self._asked(request)
        request = msgspec.structs.replace(request, excluded=request.excluded | {index})
        decision = self.store.state.decide(request)
        if decision.outcome is Outcome.REFUSE or self.deadline.remaining() <= 0.0:
            self.decision = decision
            raise error
        return decision, request

    async def _settled(
        self, decision: Decision, request: Request, checkout: AsyncCheckout, index: int
    ) -> tuple[Decision, Request]:
        """The decision once what it rests on holds for this very connection."""
        state = self.store.state
        observation = state.snapshot.endpoints[index].observation
        if observation is None or observation.incarnation != checkout.observation.incarnation:
            fresh = (
                checkout.observation
                if observation is None or checkout.observation.sent_at > observation.sent_at
                else await checkout.observe()
            )
            self.store.take_in(index, fresh)
        if _rests_on_old(decision, state.snapshot, index):
            request = self._asked(request)
            decision = state.decide(request)
        if request.kind is Kind.READ and request.consistency.level is Level.SESSION:
            assert self.deadline is not None
            half = self.deadline.remaining() / 2.0  # a copy that says nothing must leave time for the read itself
            keep = (index, checkout.observation.incarnation)
            taken = await self._session._take_positions(self.store, keep=keep, within=half)
            if taken:
                request = msgspec.structs.replace(self._asked(request), entries=self._session._entries(self.store))
                decision = state.decide(request)
        if decision.outcome is Outcome.WAIT and decision.index == index:
            return await self._waited(decision, request, checkout, index)
        return decision, request

    async def _waited(
        self, decision: Decision, request: Request, checkout: AsyncCheckout, index: int
    ) -> tuple[Decision, Request]:
        """Ask the copy on this connection until it is proved, or waiting is not worth more."""
        started = self.store.clock.monotonic()
        until, poll = decision.until, FIRST_POLL
        request = msgspec.structs.replace(request, wait_until=until, fresh=request.fresh | {index})
        while True:
            self.store.take_in(index, await checkout.observe())
            decision = self.store.state.decide(request)
            if decision.outcome is not Outcome.WAIT or decision.index != index:
                break
            left = until - self.store.clock.monotonic()
            if left <= 0.0:
                request = msgspec.structs.replace(request, waited=request.waited | {index})
                decision = self.store.state.decide(request)
                break
            await asleep(min(poll, left))
            poll = min(2.0 * poll, LONGEST_POLL)
        self._note(index, "wait", decision.outcome.value, started)
        return decision, request

    def _keep_bounded(self, checkout: AsyncCheckout, decision: Decision, index: int) -> None:
        """BOUNDED holds at the start of each statement, not of the block."""
        bound = decision.request.consistency.max_staleness
        if decision.request.consistency.level is not Level.BOUNDED or self._mode.snapshot or "served" in decision.proof:
            return
        if index == self.store.state.snapshot.owner:
            return

        def recheck(observation: Observation) -> float:
            self.store.take_in(index, observation)
            fresh_at = self.store.state.snapshot.endpoints[index].fresh_at
            if fresh_at is None or self.store.clock.monotonic() - fresh_at > bound:
                raise StaleRead(
                    f"{self.store.name!r} fell behind its bound of {bound:g} s during a read block.",
                    why="the copy no longer follows, or the owner is silent; a block does not change its endpoint.",
                    fix="read in a new block; shorter blocks are proved more often.",
                    store=self.store.name,
                    decision=decision,
                )
            return fresh_at + bound

        checkout.guard(decision.valid_until, recheck)

    def _translated(self, error: BaseException) -> BaseException:
        """An error that means "connection gone" as ours; any other as it is."""
        if self.decision is None or self.decision.index < 0 or not isinstance(error, Exception):
            return error
        if isinstance(error, RegionKitError):
            return error
        if getattr(self._handle, "unknown", False):
            what = "COMMIT" if self.store.capabilities is None or self.store.capabilities.transactions else "write"
            return self._unknown(error, f"its {what} was sent and not answered, and the block went on.")
        failure = self.store.backend(self.decision.index).classify(error)
        if failure in (Failure.CONNECTION, Failure.DEADLINE) and self._stands_alone():
            return self._unknown(error, "a write was sent and not answered, and there is no transaction to roll back.")
        store, index = self.store, self.decision.index
        backend = store.backend(index)
        region = store.state.snapshot.endpoints[index].region
        where: dict[str, Any] = {"store": store.name, "region": region}
        match failure:
            case Failure.DEADLINE:
                fix = "pass a larger timeout=, or look at kit.status() for slow or dead regions."
                return DeadlineExceeded(
                    f"a call on {store.name!r} in {region} took too long.", why=_text(error), fix=fix, **where
                )
            case Failure.CONNECTION:
                fix = "run the block again: it goes to an endpoint that answers."
                return RegionUnavailable(f"the connection to {region} was lost.", why=_text(error), fix=fix, **where)
            case Failure.READ_ONLY | Failure.ROLE if self.kind is Kind.READ:
                fix = "write in s.write(...)."
                return UsageError(f"a write was tried in a read block of {store.name!r}.", why=_text(error), fix=fix)
            case Failure.READ_ONLY | Failure.ROLE:
                backend.evict()
                fix = "run the block again: the new primary is looked for."
                return RegionUnavailable(f"{region} is no longer the primary.", why=_text(error), fix=fix, **where)
        return error

    def _stands_alone(self) -> bool:
        """Whether statements of this write were sent that no rollback takes back."""
        if self.kind is not Kind.WRITE or self._mode.transaction or not getattr(self._handle, "used", False):
            return False
        return self.store.capabilities is not None and not self.store.capabilities.transactions

    def _unknown(self, error: BaseException, what: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"a block on {self.store.name!r} has an unknown outcome: {what}",
            why=_text(error),
            fix="look at the data; let OutcomeUnknown leave the block, and keep DDL in blocks of its own.",
            store=self.store.name,
            key=self.key or None,
            partition=self.store.partition,
        )

    async def _release(self) -> None:
        checkout, self._checkout = self._checkout, None
        if checkout is not None:
            await checkout.release()

    def _note(self, index: int, kind: str, outcome: str, started: float) -> None:
        region = self.store.state.snapshot.endpoints[index].region
        self._attempts.append(Attempt(region, kind, outcome, self.store.clock.monotonic() - started))


def _text(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    text = str(cause).strip()
    return text.splitlines()[0] if text else type(error).__name__
