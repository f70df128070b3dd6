# Generated from blocks_async.py by scripts/twins.py. Do not edit.
"""Read and write blocks: one decision, one endpoint, one connection.

1. The decision is taken when the block opens, without I/O. Only a decision to wait is carried out at once.
2. The connection is taken at the first statement. If it can not be had, nothing was sent: the block decides again without
   that endpoint. Once a statement was sent, the block never moves.
3. The connection's run of the server is the one that the decision knew, or the server is asked on this very connection
   and the decision taken again.
4. At the end errors that mean "the connection is gone" are translated; the application's own pass as they are.
5. A read is remembered by endpoint and run; its position is taken when the session moves or gives out a bookmark.
"""

from __future__ import annotations

from typing import Any

import msgspec

from regionkit.backends.base import Handle, Lease
from regionkit.backends.values import Failure
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.core.events import ReadRouted, ReplicationUnknown, WriteRouted
from regionkit.errors import (
    DeadlineExceeded,
    Fenced,
    OutcomeUnknown,
    RegionKitError,
    RegionUnavailable,
    UsageError,
)
from regionkit.routing.bookmark import Entry
from regionkit.routing.consistency import Level
from regionkit.routing.decision import Decision, Kind, Outcome, Refusal, Request
from regionkit.routing.observed import RequestClass
from regionkit.routing.refusal import error_of
from regionkit.routing.store import RoutedStore
from regionkit.topology import Role

__all__ = ["Block", "Attempt", "Route"]

FIRST_POLL = 0.001
LONGEST_POLL = 0.02
"""How often a waiting read asks the copy, seconds: a millisecond at first, as replication is usually that quick."""


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One endpoint tried. `kind`: "initial", "retry" or "wait"; `outcome`: "ok" or what went wrong."""

    region: str
    kind: str
    outcome: str
    seconds: float


class Route(msgspec.Struct, frozen=True):
    """Where a block went. `staleness`: seconds the endpoint may have been behind when it was chosen; None: not known."""

    store: str
    region: str
    role: str
    epoch: int | None
    staleness: float | None
    attempts: list[Attempt]


class Block:
    """What `s.read(...)` and `s.write(...)` give. One use, one thread or task.

    Args:
        session: told of what was written and read.
        store: the store at run time.
        shared: the request class of this call.
        timeout: seconds from the opening to the end.
    """

    __slots__ = (
        "_attempts",
        "_began",
        "_core",
        "_counted",
        "_excluded",
        "_handle",
        "_lease",
        "_request",
        "_session",
        "_shared",
        "_snapshot",
        "_timeout",
        "deadline",
        "decision",
        "store",
    )

    def __init__(
        self,
        session: Any,
        store: RoutedStore,
        shared: RequestClass,
        timeout: float | None,
        *,
        core: bool,
        snapshot: bool,
        excluded: frozenset[int] = frozenset(),
    ) -> None:
        self._session = session
        self.store = store
        self._shared = shared
        self._timeout = timeout
        self._core = core
        self._snapshot = snapshot
        self._excluded = excluded
        self._attempts: list[Attempt] = []
        self._lease: Lease | None = None
        self._handle: Handle | None = None
        self._request: Request | None = None
        self._counted = -1
        self._began = 0.0
        self.deadline: Deadline | None = None
        self.decision: Decision | None = None

    @property
    def kind(self) -> Kind:
        """Read or write."""
        return self._shared.request.kind

    def __enter__(self) -> Any:
        store, shared = self.store, self._shared
        kind = shared.request.kind
        session = self._session
        session._opening(self)
        self.deadline = Deadline(store.clock, store.deadline_of(kind) if self._timeout is None else self._timeout)
        self._began = self.deadline.at - self.deadline.timeout
        looks_back = shared.request.consistency.level is Level.SESSION and kind is Kind.READ
        own = session._class_of(store, shared) if looks_back and session._has_seen(store.name) else shared
        decision = None if self._excluded else store.observed.route(own)
        if decision is None or (own is not shared and decision.outcome is not Outcome.USE):
            self._request = self._asking()  # waiting needs this call's own instant
            decision = store.observed.decide(self._request)
        self.decision = decision
        try:
            lease = None
            if decision.outcome is not Outcome.USE:
                lease = self._acquire()
            handle = self._handle = store.backend(self.decision.index).handle(
                kind, self._acquire, core=self._core, snapshot=self._snapshot
            )
            if lease is not None or self._core:
                handle.begin(lease or self._acquire())
        except BaseException as error:
            self._end(error)
            raise
        return handle.native

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None:
            try:
                assert self._handle is not None
                self._handle.finish()
                if self._shared.request.consistency.level is Level.STRONG:
                    self._still_owner()
            except BaseException as raised:
                self._fail(raised)
            self._end(None)
        else:
            self._fail(error)

    def _asking(self) -> Request:
        """This call's own request: the class, what the session saw, and what failed already."""
        session, store = self._session, self.store
        assert self.deadline is not None
        now = self.deadline.at - self.deadline.timeout
        return msgspec.structs.replace(
            self._shared.request,
            entries=session._entries(store.name),
            signed=session._signed,
            pin=session._pin(store.name),
            excluded=self._excluded,
            wait_until=min(now + store.profile.longest_wait, self.deadline.at),
        )

    def _asked(self, request: Request) -> Request:
        """`request` with what only this call knows: that of a remembered decision lacks it."""
        if self._request is None:
            request = self._request = self._asking()
        return request

    def _acquire(self) -> Lease:
        """A connection that may serve this block; called once, by the handle's first statement or at the opening."""
        decision = self.decision
        assert decision is not None and self.deadline is not None
        request = self._request or decision.request
        refreshed = False
        while True:
            if decision.outcome is Outcome.REFUSE:
                if refreshed or decision.refusal not in (Refusal.INVALID, Refusal.FENCED):
                    self.decision = decision
                    raise error_of(decision)
                refreshed = True
                self.store.refresh()
                request = msgspec.structs.replace(self._asked(request), fresh=frozenset())
                decision = self.store.observed.decide(request)
                continue
            index = decision.index
            started = self.store.clock.monotonic()
            try:
                lease = self._lease_of(index, request)
            except (RegionUnavailable, DeadlineExceeded) as error:
                decision, request = self._without(index, request, error, started)
                continue
            self._lease = lease
            try:
                decision, request = self._settled(decision, request, lease, index)
            except BaseException as error:
                self._release()
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
                self.store.observed.began(index)
                self._counted = index
                return lease
            self._release()

    def _lease_of(self, index: int, request: Request) -> Lease:
        """A connection to one endpoint; where others could serve too, it gets half of the time that is left."""
        assert self.deadline is not None
        left = self.deadline.require("connecting", store=self.store.name)
        roams = request.kind is Kind.READ and request.consistency.level is not Level.STRONG
        others = roams and len(self.store.backends) - len(request.excluded) > 1
        return self.store.backend(index).lease(request.kind, self.deadline, left / 2.0 if others else left)

    def _without(self, index: int, request: Request, error: RegionKitError, started: float) -> tuple[Decision, Request]:
        """An endpoint could not be had, and nothing was sent: the decision without it.

        Raises:
            RegionKitError: the error itself, when no endpoint is left.
        """
        region = self.store.observed.snapshot.endpoints[index].region
        self._note(index, "initial" if not self._attempts else "retry", type(error).__name__, started)
        if not isinstance(error, DeadlineExceeded) or error.blames_endpoint:
            self.store.observed.failed(index, request.kind, f"{type(error).__name__} at {region}")
            self.store.lost(index)
        assert self.deadline is not None
        request = self._asked(request)
        request = msgspec.structs.replace(request, excluded=request.excluded | {index})
        decision = self.store.observed.decide(request)
        if decision.outcome is Outcome.REFUSE or self.deadline.remaining() <= 0.0:
            self.decision = decision
            raise error
        return decision, request

    def _settled(self, decision: Decision, request: Request, lease: Lease, index: int) -> tuple[Decision, Request]:
        """The decision once what it rests on holds for this very connection."""
        observed = self.store.observed
        seen = observed.snapshot.endpoints[index].seen
        if seen is None or seen.incarnation != lease.seen.incarnation:
            fresh = lease.seen if seen is None or lease.seen.sent_at > seen.sent_at else lease.observe()
            self.store.seen(index, fresh)
            request = self._asked(request)
            decision = observed.decide(request)
        if request.kind is Kind.READ and request.consistency.level is Level.SESSION:
            taken = self._session._take_positions(self.store, keep=(index, lease.seen.incarnation))
            if taken:
                request = msgspec.structs.replace(self._asked(request), entries=self._session._entries(self.store.name))
                decision = observed.decide(request)
        if decision.outcome is Outcome.WAIT and decision.index == index:
            return self._waited(decision, request, lease, index)
        return decision, request

    def _waited(self, decision: Decision, request: Request, lease: Lease, index: int) -> tuple[Decision, Request]:
        """Ask the copy on this connection until it is proved, or waiting is not worth more."""
        started = self.store.clock.monotonic()
        until, poll = decision.until, FIRST_POLL
        request = msgspec.structs.replace(request, wait_until=until, fresh=request.fresh | {index})
        while True:
            self.store.seen(index, lease.observe())
            decision = self.store.observed.decide(request)
            if decision.outcome is not Outcome.WAIT or decision.index != index:
                break
            left = until - self.store.clock.monotonic()
            if left <= 0.0:
                request = msgspec.structs.replace(request, waited=request.waited | {index})
                decision = self.store.observed.decide(request)
                break
            sleep(min(poll, left))
            poll = min(2.0 * poll, LONGEST_POLL)
        self._note(index, "wait", decision.outcome.value, started)
        return decision, request

    def _still_owner(self) -> None:
        """STRONG: the read is done; now the owner must still be one, asked on the same connection."""
        lease = self._lease
        if lease is None:
            return
        assert self.decision is not None
        seen = lease.observe()
        self.store.seen(self.decision.index, seen)
        if seen.role is Role.REPLICA or self.store.observed.snapshot.owner != self.decision.index:
            raise Fenced(
                f"{self.store.name!r} changed its owner during a STRONG read.",
                why="the server that was read is no longer the primary; what it showed may be old.",
                fix="read again.",
                decision=self.decision,
            )

    def _fail(self, error: BaseException) -> None:
        """The block ends in an error: roll back, translate, tell."""
        handle = self._handle
        implicit = getattr(handle, "implicit", False)
        translated = self._translated(error)
        if isinstance(error, Exception) and handle is not None:
            try:
                handle.abort()
            except Exception as late:
                error.add_note(f"and the rollback failed: {late}")
        if self._lease is not None and isinstance(translated, RegionUnavailable | DeadlineExceeded):
            assert self.decision is not None
            self.store.observed.failed(self.decision.index, self.kind, type(translated).__name__)
            self.store.lost(self.decision.index)
        if implicit and not isinstance(translated, OutcomeUnknown) and self._of_server(error):
            translated = self._unknown(error, "it failed after a statement had committed by itself (DDL does).")
        elif implicit:
            error.add_note("a statement of this block had committed implicitly (DDL does): committed is unknown.")
        self._end(translated)
        if translated is not error:
            raise translated from error
        raise error

    def _translated(self, error: BaseException) -> BaseException:
        """An error that means "connection gone" as ours; any other as it is."""
        if self.decision is None or self.decision.index < 0 or not isinstance(error, Exception):
            return error
        if isinstance(error, RegionKitError):
            return error
        if getattr(self._handle, "unknown", False):
            return self._unknown(error, "its COMMIT was sent and not answered, and the block went on.")
        store, index = self.store, self.decision.index
        backend = store.backend(index)
        region = store.observed.snapshot.endpoints[index].region
        where: dict[str, Any] = {"store": store.name, "region": region}
        match backend.classify(error):
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

    def _of_server(self, error: BaseException) -> bool:
        """Whether an error is the server's or the connection's, not the application's."""
        return self.store.backend(self.index).classify(error) is not Failure.APPLICATION

    def _unknown(self, error: BaseException, what: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"a block on {self.store.name!r} has an unknown outcome: {what}",
            why=_text(error),
            fix="look at the data; let OutcomeUnknown leave the block, and keep DDL in blocks of its own.",
            store=self.store.name,
        )

    def _end(self, error: BaseException | None) -> None:
        """Close the handle, tell the session what was done, give the connection back, tell the hooks."""
        handle, decision, lease = self._handle, self.decision, self._lease
        session = self._session
        try:
            if handle is not None:
                if lease is not None:
                    self._remember(error)
                handle.close()
        finally:
            if lease is not None:
                self._release()
                assert decision is not None
                if self._counted >= 0:
                    self.store.observed.ended(self._counted)
                if error is None:
                    self.store.observed.succeeded(decision.index, self.kind)
                    self.store.budget.succeeded()
            session._closed(self)
        if not self.store.hooks.quiet and decision is not None and decision.index >= 0:
            event = WriteRouted if self.kind is Kind.WRITE else ReadRouted
            region = decision.snapshot.endpoints[decision.index].region
            seconds = self.store.clock.monotonic() - self._began
            outcome = "ok" if error is None else type(error).__name__
            self.store.hooks.emit(event(self.store.name, region, self.kind.value, outcome, seconds))

    def _remember(self, error: BaseException | None) -> None:
        """What the session has to know of this block before it goes on."""
        handle: Any = self._handle
        lease, decision = self._lease, self.decision
        assert lease is not None and decision is not None
        if self.kind is Kind.READ:
            if handle.used:
                self._session._read_at(self.store, decision.index, lease.seen.incarnation)
            return
        if handle.commits or (error is None and handle.used):
            position = handle.position()
            self.store.observed.reached(decision.index, lease.seen.incarnation, position)
            entry: Entry = self.store.entry(decision.index, position, lease.seen.incarnation, seen=False)
            self._session._wrote(self.store.name, entry)
        if isinstance(error, OutcomeUnknown):
            error.store = error.store or self.store.name
        if handle.warning:
            region = decision.snapshot.endpoints[decision.index].region
            self.store.hooks.emit(ReplicationUnknown(self.store.name, region, handle.warning))

    def _release(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    def _note(self, index: int, kind: str, outcome: str, started: float) -> None:
        region = self.store.observed.snapshot.endpoints[index].region
        self._attempts.append(Attempt(region, kind, outcome, self.store.clock.monotonic() - started))

    @property
    def handle(self) -> Handle | None:
        """What stands between the block and the object the user types with."""
        return self._handle

    @property
    def index(self) -> int:
        """The endpoint decided on; -1 when there is none."""
        return -1 if self.decision is None else self.decision.index

    def connected(self) -> None:
        """Take the connection now."""
        if self._lease is None:
            assert self._handle is not None
            self._handle.begin(self._acquire())

    def entry_now(self) -> Entry:
        """A bookmark entry that covers all that this block was shown; its connection is there."""
        assert self._lease is not None
        return self.store.entry_of(self.index, self._lease.observe())

    @property
    def implicit(self) -> bool:
        """Whether a statement committed by itself."""
        return bool(getattr(self._handle, "implicit", False))

    @property
    def used(self) -> bool:
        """Whether a statement was sent."""
        return bool(getattr(self._handle, "used", False))

    def route(self) -> Route | None:
        """Where the block went; None when it was refused."""
        decision = self.decision
        if decision is None or decision.endpoint is None:
            return None
        e = decision.endpoint
        lineage = decision.snapshot.lineage
        epoch = None if lineage is None else lineage.current.epoch
        return Route(self.store.name, e.region, e.role.value, epoch, decision.staleness, list(self._attempts))


def _text(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    text = str(cause).strip()
    return text.splitlines()[0] if text else type(error).__name__
