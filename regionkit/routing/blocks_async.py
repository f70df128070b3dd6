"""Read and write blocks: one decision, one endpoint, one connection.

1. The decision is taken when the block opens, without I/O. Only a decision to wait is carried out at once.
2. The connection is taken at the first statement. If it cannot be had, nothing was sent: the block decides again without
   that endpoint. Once a statement was sent, the block never moves.
3. The connection's run of the server is the one that the decision knew, or the server is asked on this very connection
   and the decision taken again.
4. At the end errors that mean "the connection is gone" are translated; the application's own pass as they are.
5. A block may be handed from one thread or task to another, as generators that frameworks run in a pool of threads are: one
   at a time (contract/hand_over.py). A block that a forked child finds itself in is the parent's: the child sends nothing on
   it and ends nothing.
6. An exception that is not regionkit's and strikes while a write ends (SIGINT, a cancellation) gets `committed`, as ours have it.
7. A read is remembered by endpoint and run; its position is taken when the session moves or gives out a bookmark.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from regionkit.contract.hand_over import HAND_OVER_POLL, left_elsewhere, left_in_use
from regionkit.contract.handle_async import AsyncHandle
from regionkit.contract.interrupted import is_of_others
from regionkit.contract.outcomes import Failure
from regionkit.contract.processes import inherited
from regionkit.core.concurrency_async import acaller, aelsewhere, aowner, asleep
from regionkit.core.deadline import Deadline
from regionkit.core.events import Watch
from regionkit.errors import (
    BackendError,
    DeadlineExceeded,
    Fenced,
    OutcomeUnknown,
    RegionKitError,
    RegionUnavailable,
    UsageError,
)
from regionkit.facts.bookmark import OWNER_ONLY, Entry
from regionkit.facts.consistency import Level
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind, Request
from regionkit.routing.acquire_async import AsyncAcquisition
from regionkit.routing.events import ReadRouted, ReplicationUnknown, WriteRouted
from regionkit.routing.route import Attempt, Route
from regionkit.routing.verdict import Outcome
from regionkit.topology import Role

__all__ = ["AsyncBlock"]


_OF_PARENTS: list[object] = []
"""What a child process found in blocks of its parent. Nothing of it is closed here: closing says goodbye to the server."""

H = TypeVar("H")
"""What the user types with: for a SQL store a Session or a Connection; for a store given by name, not known."""


class AsyncBlock(AsyncAcquisition, Generic[H]):
    """What `s.read(...)` and `s.write(...)` give. One use, one thread or task.

    Args:
        session: told of what was written and read.
        store: the store at run time.
        request_class: of this call.
        timeout: seconds from the opening to the end.
    """

    __slots__ = ()

    async def __aenter__(self) -> H:
        store, request_class = self.store, self._class
        kind = request_class.request.kind
        if self.deadline is not None:
            raise UsageError(
                "a block was opened twice.",
                why="a block ends once: work of the inner `with` could be lost at the end of the outer one.",
                fix="call s.read(...) or s.write(...) again for each `with`.",
            )
        self.deadline = Deadline(store.clock, store.deadline_of(kind) if self._timeout is None else self._timeout)
        if self._locate is not None and self._share is not None:
            store = self.store = await self._locate(self.deadline)
            request_class = self._class = self._share(store)
        session = self._session
        session.opening(self)
        self._owner = aowner()
        watch = store.hooks.watch
        self._watched = None if watch is None else (watch, watch.begun(store.name, kind.value))
        self._began = self.deadline.at - self.deadline.timeout
        looks_back = request_class.request.consistency.level is Level.SESSION and kind is Kind.READ
        own = session.class_of(store, request_class) if looks_back and session.knows(store) else request_class
        decision = None if self._excluded else store.state.route(own)
        if decision is None or decision.outcome is not Outcome.USE:
            self._request = self._own_request()  # waiting needs this call's own instant
            decision = store.state.decide(self._request)
        self.decision = decision
        try:
            checkout = None
            if decision.outcome is not Outcome.USE:
                checkout = await self._acquire()
            backend = store.backend(self.decision.index)
            handle = self._handle = backend.handle(kind, self._acquire, self._mode, self._served)
            if checkout is not None or self._mode.core or backend.capabilities.eager:
                await handle.begin(checkout or await self._acquire())
        except BaseException as error:
            await self._end(error)
            raise
        native: H = handle.native
        return native

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._process != os.getpid():
            _OF_PARENTS.append((self._handle, self._checkout))
            self._session.closed(self)
            if error is None:
                raise inherited()
            return
        if self._owner != aowner():
            raise await self._abandoned() from error
        if (speaker := getattr(self._handle, "speaker", None)) is not None and speaker != acaller():
            error = await self._left_too_early(error)
        if error is None:
            before = self.progress.commits if self.kind is Kind.WRITE else 0
            try:
                assert self._handle is not None
                await self._handle.finish()
                if self._class.request.consistency.level is Level.STRONG:
                    await self._still_owner()
            except BaseException as raised:
                self._say_committed(raised, before)
                await self._fail(raised)
            try:
                await self._end(None)
            except BaseException as raised:
                self._say_committed(raised, before)
                raise
        else:
            await self._fail(error)

    async def _left_too_early(self, error: BaseException | None) -> BaseException:
        """Another thread or task is in the midst of a statement of this block. Its end is waited for, and all is rolled back."""
        assert self.deadline is not None
        waits = error is None or isinstance(error, Exception)
        while waits and getattr(self._handle, "speaker", None) is not None and self.deadline.remaining() > 0.0:
            await asleep(HAND_OVER_POLL)
        progress = self.progress
        done = self.kind is Kind.WRITE and (progress.commits or progress.implicit or progress.unknown)
        return error or left_in_use(committed="unknown" if done else "no")

    async def _abandoned(self) -> UsageError:
        """The block is left in another event loop than its own. There it is rolled back, where that loop still runs."""
        home: Any = self._owner
        refused = left_elsewhere()
        if getattr(home, "is_running", bool)():
            with suppress(Exception):  # it is told what became of it: nothing was committed
                await aelsewhere(home, partial(self._fail, refused))
        else:
            self._session.closed(self)
        return refused

    def _say_committed(self, error: BaseException, before: int) -> None:
        """Whether the block took effect that `error` struck at its end; `before`: commits until then."""
        if self.kind is Kind.READ or isinstance(error, RegionKitError):
            return
        progress, can = self.progress, self.store.capabilities
        alone = can is not None and not can.transactions and not self._mode.transaction  # each write stands by itself
        known = "no" if not progress.commits else "yes" if alone or progress.commits > before else "unknown"
        committed = "unknown" if progress.unknown else known
        setattr(error, "committed", committed)  # noqa: B010  # not an attribute of its class
        if committed != "no" or not isinstance(error, Exception):  # else the driver's own error says all
            error.add_note(f"it struck at the end of a write block on {self.store.name!r}; committed: {committed}.")

    async def _still_owner(self) -> None:
        """STRONG: the read is done; now the owner must still be one, asked on the same connection."""
        checkout = self._checkout
        if checkout is None or self.store.state.snapshot.leaderless:  # no owner to be: the read itself was serial
            return
        assert self.decision is not None
        observation = await checkout.observe()
        self.store.take_in(self.decision.index, observation)
        if observation.role is Role.REPLICA or self.store.state.snapshot.owner != self.decision.index:
            raise Fenced(
                f"{self.store.name!r} changed its owner during a STRONG read.",
                why="the server that was read is no longer the primary; its data may be old.",
                fix="read again.",
                decision=self.decision,
            )

    async def _fail(self, error: BaseException) -> None:
        """The block ends in an error: roll back, translate, tell."""
        handle = self._handle
        partially_committed = self.partially_committed
        try:
            translated = self._translated(error, self.index)
        except Exception as broken:  # an attribute of the error raises; the block is rolled back all the same
            error.add_note(f"regionkit could not judge this error: {type(broken).__name__} when it was looked at.")
            translated = error
        if self.progress.unknown and not isinstance(translated, RegionKitError):
            translated.add_note(
                "the last statement of this block was not answered: it is not known whether it took effect."
            )
        if isinstance(error, Exception) and handle is not None:
            try:
                await handle.abort()
            except Exception as late:
                error.add_note(f"and the rollback failed: {late}")
            except BaseException as stop:
                await self._end(stop)
                raise
        if self._blames(translated):
            assert self.decision is not None
            silent = isinstance(translated, DeadlineExceeded)
            reason, had = type(translated).__name__, self.progress.had
            self.store.state.failed(
                self.decision.index, self.kind, reason, since=self._acquired_at, silent=silent, had=had
            )
            self.store.lost(self.decision.index)
        if partially_committed and not isinstance(translated, OutcomeUnknown) and self._of_server(error):
            translated = self._unknown(
                error, f"it failed after a part of it had been committed ({self.store.advice.parts})."
            )
        elif partially_committed and not hasattr(error, "committed"):
            error.add_note(f"a part of this block had been committed before ({self.store.advice.parts}).")
        await self._end(translated)
        if translated is not error:
            raise translated from error
        raise error

    def _blames(self, error: BaseException) -> bool:
        """Whether an error is of the endpoint: it was lost, or silent until the deadline."""
        if self._checkout is None or self.deadline is None:
            return False
        if isinstance(error, DeadlineExceeded):
            return self.progress.expired
        return isinstance(error, RegionUnavailable) and not self._of_another(error)

    def _of_server(self, error: BaseException) -> bool:
        """Whether an error is the server's or the connection's, not the application's."""
        failure = self.store.backend(self.index).classify(error)
        lost = failure in (Failure.CONNECTION, Failure.DEADLINE)
        if self._of_another(error) or (lost and is_of_others(error, self._handle)):
            return False
        return failure not in (Failure.APPLICATION, Failure.CANCELLED)

    def was_rolled_back(self, error: Exception) -> bool:
        """Whether a driver's error proves that the server rolled all of the block back."""
        known = isinstance(error, RegionKitError) or self.index < 0 or self.partially_committed
        return not known and self.store.backend(self.index).classify(error) is Failure.ROLLED_BACK

    def _of_another(self, error: BaseException) -> bool:
        """Whether an error is of another store's block, opened inside this one."""
        return isinstance(error, BackendError) and error.store not in ("", self.store.name)

    async def _end(self, error: BaseException | None) -> None:
        """Close the handle, tell the session what was done, give the connection back, tell the hooks."""
        try:
            await self._closed(error)
        finally:
            watched, self._watched = self._watched, None
            if watched is not None:
                watch, begun = watched
                if begun is not None or error is not None or self._attempts or not self._passed(watch):
                    watch.ended(begun, self._routed(error), error)

    def _passed(self, watch: Watch) -> bool:
        """Tell of a block that went as most do, and make no event of it."""
        e = None if self.decision is None else self.decision.endpoint
        seconds = self.store.clock.monotonic() - self._began
        return e is not None and watch.passed(self.store.name, e.id, self.kind.value, seconds)

    async def _closed(self, error: BaseException | None) -> None:
        handle, decision, checkout = self._handle, self.decision, self._checkout
        session = self._session
        try:
            if handle is not None:
                if checkout is not None:
                    self._remember(error)
                await handle.close()
        finally:
            session.closed(self)
            del self._session  # it holds its last block: a circle would wait for the garbage collector
            if checkout is not None:
                assert decision is not None
                try:
                    await self._release()
                finally:
                    if self._counted >= 0:
                        self.store.state.ended(self._counted)
                if error is None:
                    self.store.state.succeeded(decision.index, self.kind)
                    self.store.budget.succeeded()
        if not self.store.hooks.quiet and decision is not None and decision.index >= 0:
            self.store.hooks.emit(self._routed(error))

    def _routed(self, error: BaseException | None) -> ReadRouted | WriteRouted:
        """The event of the block's end."""
        decision, attempts = self.decision, self.attempts
        is_write, e = self.kind is Kind.WRITE, None if decision is None else decision.endpoint
        waits = [a.seconds for a in attempts if a.kind == "wait"] if attempts else []
        return (WriteRouted if is_write else ReadRouted)(
            store=self.store.name,
            region="" if e is None else e.region,
            endpoint="" if e is None else e.id,
            kind="write" if is_write else "read",
            outcome="ok" if error is None else type(error).__name__,
            seconds=self.store.clock.monotonic() - self._began,
            consistency="" if is_write else str(self._class.request.consistency),
            waited=sum(waits),
            attempts=len(attempts) - len(waits),
        )

    def _remember(self, error: BaseException | None) -> None:
        """What the session has to know of this block before it goes on."""
        progress = self.progress
        checkout, decision = self._checkout, self.decision
        assert checkout is not None and decision is not None
        if self.kind is Kind.READ:
            if progress.used:
                self._session.read_at(self.store, decision.index, checkout.observation.incarnation)
            return
        position, leaderless = progress.position, self.store.state.snapshot.leaderless
        if position is None and error is None and progress.used:
            # nothing was changed, or the server did not say where: a later position of the owner covers it
            self._session.read_at(self.store, decision.index, checkout.observation.incarnation)
            self._session.writes += 1
        elif progress.commits or (progress.unknown and leaderless):
            self.store.state.reached(decision.index, checkout.observation.incarnation, position)
            entry: Entry = self.store.entry(decision.index, position, checkout.observation.incarnation, from_read=False)
            self._session.wrote(self.store, entry)
        if (isinstance(error, OutcomeUnknown) or progress.unknown) and not leaderless:
            self._session.wrote(self.store, OWNER_ONLY)  # it may be there: only the owner knows
        if isinstance(error, OutcomeUnknown):
            error.store = error.store or self.store.name
            error.key = error.key or self.key or None
            error.partition = self.store.partition
        if progress.warning:
            e = decision.snapshot.endpoints[decision.index]
            self.store.hooks.emit(ReplicationUnknown(self.store.name, e.region, e.id, progress.warning))

    def _served(self) -> Request:
        """What the decision that serves this block was asked; of a write, with what the session saw before it."""
        assert self.decision is not None
        request = self.decision.request
        if self.kind is Kind.WRITE and self._session.knows(self.store):
            return msgspec.structs.replace(request, entries=self._session.entries(self.store))
        return request

    @property
    def handle(self) -> AsyncHandle | None:
        """What stands between the block and the object the user types with."""
        return self._handle

    @property
    def index(self) -> int:
        """The endpoint decided on; -1 when there is none."""
        return -1 if self.decision is None else self.decision.index

    async def connected(self) -> None:
        """Take the connection now."""
        if self._checkout is None:
            assert self._handle is not None
            await self._handle.begin(await self._acquire())

    async def observed_now(self) -> Observation:
        """What the server says on the block's connection, which is there."""
        assert self._checkout is not None
        return await self._checkout.observe()

    async def entry_now(self) -> Entry:
        """A bookmark entry that covers all that this block was shown; its connection is there."""
        return self.store.entry_of(self.index, await self.observed_now())

    @property
    def partially_committed(self) -> bool:
        """Whether a part of a write was committed before its end: by db.commit(), or by a statement (DDL on MariaDB)."""
        return self.kind is Kind.WRITE and bool(self.progress.implicit or self.progress.commits)

    @property
    def attempts(self) -> list[Attempt]:
        """Endpoints tried; the last one with success where a connection was had."""
        if self._counted < 0:
            return list(self._attempts)
        assert self.decision is not None
        region = self.decision.snapshot.endpoints[self._counted].region
        return [*self._attempts, Attempt(region, self._try(), "ok", self._acquired_at - self._started)]

    def route(self) -> Route | None:
        """Where the block went; None when it was refused."""
        decision = self.decision
        if decision is None or decision.endpoint is None:
            return None
        e = decision.endpoint
        lineage = decision.snapshot.lineage
        epoch = None if lineage is None else lineage.current.epoch
        if e.observation is not None and e.observation.term:
            epoch = e.observation.term
        return Route(self.store.name, e.region, e.role.value, epoch, decision.staleness, self.attempts)
