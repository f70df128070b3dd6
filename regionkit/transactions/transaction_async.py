"""One global transaction, as its user holds it: a block whose work in several databases commits everywhere or nowhere.

1. A branch opens at its first use and stays open until the decision; one that is declared reading too. One that its server did
   not open is lacking: nothing commits, unless it opens later, or a savepoint has undone the work that asked for it.
2. What the block raises rolls everything back and is raised on, as it is; where it is a server's that may pass (`passing`), a
   note says so. What the end of the block raises says what became of it: TransactionAborted, TransactionInDoubt,
   HeuristicOutcome. A block that ends without an error has committed.
3. Who waits may be cancelled at every await: before the decision that is an abort, after it the second phase goes on. The
   exception has the transaction in `.transaction` and says in a note how far it had come.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from inspect import isawaitable
from types import TracebackType
from typing import Any, Literal

from regionkit.contract.processes import require_process
from regionkit.core.concurrency_async import acaller, asleep
from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.core.given import require_call
from regionkit.errors import ConfigurationError, RegionKitError, UsageError
from regionkit.transactions.coordinator_async import AsyncCoordinator
from regionkit.transactions.endings import ABANDONED, error_of
from regionkit.transactions.events import CallbackFailed
from regionkit.transactions.ground_async import AsyncGround
from regionkit.transactions.members_async import AsyncMember
from regionkit.transactions.opening_async import AsyncOpening
from regionkit.transactions.places_async import AsyncPlaces
from regionkit.transactions.protocol import Abort, Commit, Decision, Event, Mode, Outcome, State
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.savepoint_async import AsyncSavepoint
from regionkit.transactions.xid import gtrid_of

__all__ = ["CLOSED", "AsyncTransaction"]

IS_ASYNC = True
FLUSHES = 10
"""Rounds in which sessions may make each other dirty again (hooks that write), before that is taken for a circle."""
ROLLBACK_WAIT = 1.0
"""Seconds that a cancelled block waits for its rollback; it goes on without it."""
SLACK = 2.0
"""Seconds beyond all deadlines after which a coordinator's answer is no longer waited for: a driver that ignores them."""
POLL = 0.1
"""Seconds between two looks of `wait_settled`."""
BAR_WAIT = 1.0
"""Seconds that one of them waits for a branch's key: a PREPARE that is under way has it."""
CLOSED = "its transaction manager was closed"


class AsyncTransaction:
    """Made by `AsyncTransactionManager.begin`; of one task (thread). A block, once.

    Attributes:
        gtrid: its name, 32 hex digits.
        passing: the block raised an error of a server's, after which the same transaction may go well.
    """

    def __init__(
        self,
        ground: AsyncGround,
        *,
        timeout: float,
        settle: float,
        ack: Literal["settled", "decided"],
        places: AsyncPlaces | None = None,
    ) -> None:
        self.gtrid = ""
        self.passing = False
        self._ground = ground
        self._timeout = timeout
        self._settle = settle
        self._ack = ack
        self._opening = AsyncOpening(ground, timeout, places)
        self._process = os.getpid()
        self._caller: object = None
        self._state: Literal["new", "open", "over"] = "new"
        self._members = self._opening.members
        self._doomed = ""
        self._on_committed: list[Callable[[], Any]] = []
        self._on_completed: list[Callable[[Outcome], Any]] = []
        self._coordinator: AsyncCoordinator | None = None
        self._found: Outcome | None = None
        self._settled = False

    # -- work

    async def session(self, name: str, *, key: str | None = None, read_only: bool = False) -> Any:
        """The SQLAlchemy Session of a branch, always the same. Its `commit()` flushes and ends nothing.

        Args:
            name: of the participant; of the store, in a transaction of a kit's session.
            key: whose data it is about, where the store is partitioned; default the session's.
            read_only: the branch is opened READ ONLY on the server and takes no part in the commit.

        Raises:
            UsageError: no such participant; the branch was opened otherwise; the transaction is over.
            RegionUnavailable, DeadlineExceeded: it could not be opened.
        """
        return (await self._member(name, key, read_only)).branch.session()

    async def connection(self, name: str, *, key: str | None = None, read_only: bool = False) -> Any:
        """The SQLAlchemy Connection of a branch, always the same; its root commit, rollback and close raise.

        Raises:
            UsageError, RegionUnavailable, DeadlineExceeded: as `session`.
        """
        return await (await self._member(name, key, read_only)).branch.connection()

    async def defer(self, name: str, statement: str, *, key: str | None = None) -> None:
        """Send a statement with the branch's PREPARE (or COMMIT), in one message: work that needs no answer costs no trip.

        Raises:
            UsageError, RegionUnavailable, DeadlineExceeded: as `session`; UsageError: it cannot be one statement.
        """
        (await self._member(name, key, read_only=False)).defer(statement)

    def savepoint(self) -> AsyncSavepoint:
        """A block inside: what it raises undoes what it did in every branch, and is raised on; the transaction goes on."""
        self._require("used")
        return AsyncSavepoint(self._opening, self._on_committed, self.doom)

    def doom(self, why: str = "it was doomed") -> None:
        """Whatever follows, it is rolled back; the end of the block raises TransactionAborted (not retryable)."""
        self._require("doomed")
        self._doomed = self._doomed or why

    def on_committed(self, call: Callable[[], Any]) -> None:
        """Call it once COMMIT is decided, in the coordinator's task (thread). What it raises is an event, and changes nothing."""
        self._require("used")
        require_call("call", call)
        self._on_committed.append(call)

    def on_completed(self, call: Callable[[Outcome], Any]) -> None:
        """Call it with the outcome, whatever it is, when nothing more is done here."""
        self._require("used")
        require_call("call", call)
        self._on_completed.append(call)

    @property
    def outcome(self) -> Outcome:
        """What became of it, as far as is known here."""
        if self._found is not None:
            return self._found
        return Outcome.ACTIVE if self._coordinator is None else self._coordinator.outcome

    @property
    def pending(self) -> tuple[str, ...]:
        """Branches that recovery has yet to end."""
        return () if self._coordinator is None or self._settled else self._coordinator.pending

    async def wait_settled(self, seconds: float) -> bool:
        """Wait until every branch has ended, by whomever; False: not in time. Tells `outcome` anew where it was in doubt.

        Raises:
            ConfigurationError: `seconds` are no time, at most an hour.
            RegionUnavailable, DeadlineExceeded, OutcomeUnknown: the log or a participant was not reached.
        """
        require_process(self._process)
        deadline = Deadline(self._ground.clock, seconds)
        if self._coordinator is None or not await self._coordinator.ended.wait(deadline.remaining()):
            return False
        while not self._settled and self.pending:
            self._settled = await self._look(deadline)
            if not self._settled and deadline.remaining() <= POLL:
                return False
            if not self._settled:
                await asleep(POLL)
        for member in self._members.values():
            if member.place is not None:
                await member.place.settled(deadline)
        return True

    async def _look(self, deadline: Deadline) -> bool:
        assert self._coordinator is not None
        if self._coordinator.t.mode is Mode.ONE_PHASE:
            [name] = self._coordinator.t.states  # the log knows nothing of it: its marker's key says what became of it
            evidence = await self._members[name].participant.bar(self._members[name].xid, deadline)
            self._found = {Evidence.COMMITTED: Outcome.COMMITTED, Evidence.BARRED: Outcome.ABORTED}.get(evidence)
            return self._found is not None
        row = await self._ground.log.row(self.gtrid, deadline)
        if row is not None and self.outcome in (Outcome.IN_DOUBT, Outcome.ACTIVE):
            self._found = Outcome.COMMITTED if row.decision is Decision.COMMIT else Outcome.ABORTED
        if row is not None and row.hazards:
            self._found = Outcome.HEURISTIC
        if row is not None and row.decision is Decision.COMMIT:
            return row.done
        if self.outcome is Outcome.IN_DOUBT:
            return False
        for name in self.pending:
            member = self._members[name]
            if any(one.xid == member.xid for one in await member.participant.listed(deadline)):
                return False
            evidence = await self._barred(member, deadline)
            if evidence is Evidence.COMMITTED:
                self._found = Outcome.HEURISTIC
            elif evidence is not Evidence.BARRED:
                return False
        return True

    async def _barred(self, member: AsyncMember, deadline: Deadline) -> Evidence:
        """That a branch is not listed says nothing: an unanswered PREPARE may still come. Behind a tombstone it cannot."""
        part = Deadline(self._ground.clock, min(BAR_WAIT, deadline.require("waiting for a branch")))
        try:
            return await member.participant.bar(member.xid, part)
        except RegionKitError:
            return Evidence.UNAVAILABLE

    # -- the block

    async def __aenter__(self) -> AsyncTransaction:
        require_process(self._process)
        ground, self._caller = self._ground, acaller()
        if self._state != "new":
            raise UsageError("a transaction was begun twice.", fix="call begin() for each block.")
        self._require_open_manager()
        if self._caller in ground.begun:
            raise UsageError(
                "a transaction was begun inside of another one of the same manager.",
                why="two would wait for each other's locks, and neither would hold what the other did.",
                fix="pass the transaction on to what needs it, or use tx.savepoint().",
            )
        crash_point("tpc.begin.before")
        self._deadline = Deadline(ground.clock, self._timeout)
        await ground.log_facts(self._deadline)
        await ground.admit(self._deadline)
        if self._ack == "decided" and not await ground.recoverer_at_work(self._deadline):
            raise ConfigurationError(
                'ack="decided" and no recoverer runs.',
                why="it returns before the branches have ended: somebody has to end those that this process cannot.",
                fix='call tm.start_recovery(), run "regionkit tpc recover --watch", or use ack="settled".',
            )
        self._require_open_manager()
        self.gtrid = gtrid_of(int(ground.clock.wall() * 1000.0), os.urandom(10))
        self._state = "open"
        ground.begun[self._caller] = self
        crash_point("tpc.begin.after")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        require_process(self._process)
        try:
            await self._ended(error)
        finally:
            self._ground.begun.pop(self._caller, None)
            self._leave()

    async def _ended(self, error: BaseException | None) -> None:
        if error is not None:
            await self._rolled_back(error)
            return
        try:
            crash_point("tpc.flush.before")
            why = self._doomed or await self._flush()
            crash_point("tpc.flush.after")
        except BaseException as late:
            await self._rolled_back(late)
            raise
        await self._end(Commit() if not why else Abort(why), self._ack == "settled", self._settle)
        await self._judge(not self._doomed and not self._ground.ended)

    async def _flush(self) -> str:
        """Send what sessions hold, until none holds anything; why it cannot commit, "" if it can."""
        for lack in self._opening.lacking.values():
            return lack
        writing = [one.branch for one in self._members.values() if not one.reading]
        for _ in range(FLUSHES):
            doomed = [f"{name}: {one.branch.doomed}" for name, one in self._members.items() if one.branch.doomed]
            if doomed:
                return doomed[0]
            if not any([await branch.flush() for branch in writing]):
                for member in self._members.values():
                    for statement in member.deferred:
                        member.branch.defer(statement)
                return ""
        return f"sessions were not clean after {FLUSHES} flushes: one's hooks write into another"

    async def _rolled_back(self, error: BaseException) -> None:
        """All branches; the error goes on. One that is no Exception (cancelled, interrupted) waits less."""
        self.passing = any(member.branch.passes(error) for member in self._members.values())
        waits = self._settle if isinstance(error, Exception) else min(ROLLBACK_WAIT, self._settle)
        await self._end(Abort(f"{type(error).__name__} in the block"), settled=True, waits=waits)
        _noted(error, self)

    async def _end(self, event: Event, settled: bool, waits: float) -> None:
        """Let the coordinator run, and wait for it: for the decision, or for the branches too."""
        self._state = "over"
        coordinator = self._coordinator = AsyncCoordinator(
            self._ground,
            self.gtrid,
            self._members,
            self._deadline,
            self._settle,
            later=not settled,
            on_decided=self._tell_committed,
            on_ended=self._tell_completed,
        )
        self._ground.coordinators[self.gtrid] = coordinator
        self._ground.begun.pop(self._caller, None)
        if self._ground.ended and isinstance(event, Commit):
            event = Abort(CLOSED)
        try:
            try:
                self._ground.workers.launch(f"regionkit transaction {self.gtrid}", partial(coordinator.run, event))
            except Exception as error:  # a loop that is closed
                await coordinator.broken(error)
            if isinstance(event, Commit):
                waits += max(0.0, self._deadline.remaining()) + SLACK
            flag = coordinator.ended if settled else coordinator.decided
            await flag.wait(waits)
        except BaseException as error:
            coordinator.give_up(f"{type(error).__name__} while it was to commit")
            _noted(error, self)
            raise

    async def _judge(self, retryable: bool) -> None:
        coordinator, closed = self._coordinator, ""
        assert coordinator is not None
        if coordinator.outcome is Outcome.ABORTED and (
            coordinator.t.mode is Mode.ANCHORED or coordinator.t.why == ABANDONED
        ):
            closed = await self._ground.why_closed(self.gtrid)
        error = error_of(
            self.gtrid,
            coordinator.outcome,
            why=closed or coordinator.t.why,
            retryable=retryable and coordinator.retryable and not closed,
            pending=self.pending,
            hazards=coordinator.hazards,
        )
        if error is not None:
            raise error from coordinator.failure

    async def _tell_committed(self, outcome: Outcome) -> None:
        if self._coordinator is not None and self._coordinator.t.decision is Decision.COMMIT:
            for call in self._on_committed:
                await self._called(call)

    async def _tell_completed(self, outcome: Outcome) -> None:
        for call in self._on_completed:
            await self._called(partial(call, outcome))

    async def _called(self, call: Callable[[], Any]) -> None:
        try:
            found = call()
            if IS_ASYNC and isawaitable(found):
                _ = await found
        except Exception as error:
            self._ground.events.emit(
                CallbackFailed(self._ground.namespace, self.gtrid, f"{type(error).__name__}: {error}")
            )

    # -- branches

    async def _member(self, name: str, key: str | None, read_only: bool) -> AsyncMember:
        self._require("used")
        if self._ground.ended:
            raise UsageError(
                "a branch was opened after the transaction manager was closed.", fix="close it after the block."
            )
        return await self._opening.wanted(self.gtrid, name, key, self._deadline, reading=read_only)

    def _leave(self) -> None:
        """Say to the session of a kit what was committed in its stores, in the task (thread) that it is used in."""
        coordinator, outcome = self._coordinator, self.outcome
        states = {} if coordinator is None else coordinator.t.states
        for name, member in self._members.items():
            if member.place is not None:
                done = outcome is Outcome.COMMITTED and states.get(name) is State.DONE
                member.place.left(False if outcome is Outcome.ABORTED else True if done else None)

    def _require_open_manager(self) -> None:
        if self._ground.closed:
            raise UsageError("the transaction manager is closed.", fix="begin before close().")

    def _require(self, done: str) -> None:
        require_process(self._process)
        if self._state != "open":
            state = "has not begun" if self._state == "new" else "is over"
            raise UsageError(f"a transaction that {state} was {done}.", fix="use it inside of its block.")


def _noted(error: BaseException, transaction: AsyncTransaction) -> None:
    """Whoever catches a cancellation asks what had been done."""
    outcome = transaction.outcome
    known = (
        "it is not decided yet: it is rolled back unless COMMIT had been sent"
        if outcome is Outcome.ACTIVE
        else outcome.value
    )
    if transaction.passing or not isinstance(error, Exception):
        error.add_note(f"transaction {transaction.gtrid}: {known}.")
        error.transaction = transaction  # type: ignore[attr-defined]
