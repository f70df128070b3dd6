"""Carries one transaction's protocol out: sends what `protocol.step` says, all branches at once, and hands it the answers.

1. It runs in a task (thread) of the manager's, so that whoever waits for it can be cancelled. It is to be given up only before
   the decision; after it the second phase goes on.
2. To the decision it has what is left of the transaction's deadline, for the tombstone and the second phase `settle` seconds.
   What is then not answered is left to recovery.
3. What raises was not answered. Of the log alone, RegionUnavailable and DeadlineExceeded say that COMMIT was never sent.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

from regionkit.core.clock import Clock
from regionkit.core.concurrency_async import AsyncFlag, AsyncWorkers, agather
from regionkit.core.deadline import Deadline
from regionkit.core.events import EventHooks, crash_point
from regionkit.core.overlap_async import aoverlap, apause
from regionkit.errors import DeadlineExceeded, RegionUnavailable
from regionkit.transactions.endings import ABANDONED
from regionkit.transactions.events import HazardMet, LeftInDoubt, happened
from regionkit.transactions.logs.log_async import AsyncDecisionLog
from regionkit.transactions.members_async import AsyncMember, finish_of, let_go, missing
from regionkit.transactions.participants.participant_async import Listed
from regionkit.transactions.points import crash_points
from regionkit.transactions.protocol import (
    Abort,
    Action,
    BranchFacts,
    Decide,
    Decided,
    Decision,
    Event,
    Finish,
    FinishBranch,
    Finished,
    GiveUp,
    Mode,
    OnePhase,
    Outcome,
    Phase,
    Prepare,
    State,
    Vote,
    Voted,
    begun,
    step,
)
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid

__all__ = ["AsyncCoordinator"]

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds before a branch, or the log, that did not answer is asked again; doubled each time."""
BARRING_SHARE = 0.5
"""Of `settle`, for the tombstone; what is left is the branches'."""


class _Ground(Protocol):  # the manager's, as far as it is asked here
    namespace: str
    log: AsyncDecisionLog
    clock: Clock
    events: EventHooks
    workers: AsyncWorkers
    by: str

    def acknowledge(self, gtrid: str, histories: dict[str, str]) -> None: ...
    def left(self, gtrid: str, branches: tuple[str, ...]) -> None: ...
    def unanswered(self, xid: Xid, tell: Callable[[Decision], None]) -> None: ...
    def over(self, gtrid: str) -> None: ...
    def unreached(self, name: str) -> None: ...
    def log_unreached(self) -> None: ...


class AsyncCoordinator:
    """Of one transaction. Its flags may be waited for by any thread (task of the loop).

    Attributes:
        t: the protocol's state.
        decided: the outcome stands, or nobody will find it out here.
        ended: nothing more is done here.
        hazards: by branch, how it ended otherwise than was decided.
        retryable: whether the transaction may do better when it is run again.
        failure: what ended the coordinator itself, which nothing should.
    """

    def __init__(
        self,
        ground: _Ground,
        gtrid: str,
        members: Mapping[str, AsyncMember],
        deadline: Deadline,
        settle: float,
        *,
        later: bool,
        on_decided: Callable[[Outcome], Awaitable[None]],
        on_ended: Callable[[Outcome], Awaitable[None]],
    ) -> None:
        self._ground = ground
        self._gtrid = gtrid
        self._members = members
        self._deadline = deadline
        self._settle = settle
        self._later = later
        self._on_decided = on_decided
        self._on_ended = on_ended
        self._settling: Deadline | None = None
        self._barring: Deadline | None = None
        self._pause = FIRST_PAUSE
        self._given_up = ""
        self._found: Outcome | None = None
        self._overlap = all(one.facts.overlaps for one in members.values())
        self._guard, self._told = threading.Lock(), False
        self.t = begun(
            {name: BranchFacts(one.reading, one.facts.prepares, one.anchor) for name, one in members.items()}
        )
        self.decided, self.ended = AsyncFlag(), AsyncFlag()
        self.hazards: dict[str, str] = {}
        self.retryable = True
        self.failure: BaseException | None = None

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        if self._found is not None:
            return self._found
        if self.failure is not None and self.t.outcome is Outcome.ACTIVE:
            return Outcome.IN_DOUBT
        return Outcome.HEURISTIC if self.hazards else self.t.outcome

    @property
    def pending(self) -> tuple[str, ...]:
        """Branches that are left to recovery."""
        if self._found is not None:
            return ()
        if self.failure is None:
            return self.t.pending
        ended = (State.DONE, State.ACTIVE) if self.t.decision is Decision.ABORT else (State.DONE,)
        return tuple(sorted(name for name, state in self.t.states.items() if state not in ended))

    def _found_out(self, winner: Decision) -> None:
        """By recovery, of a COMMIT in one phase that was not answered."""
        self._found = Outcome.COMMITTED if winner is Decision.COMMIT else Outcome.ABORTED

    def give_up(self, why: str) -> None:
        """Abort, if COMMIT has not been sent for."""
        self._given_up = self._given_up or why

    async def run(self, event: Event) -> None:
        """From the end of the block on. Rule 1."""
        try:
            actions = self._step(event)
            while self.t.decision is None and self.t.phase is not Phase.ENDED:
                actions = await self._round(actions or self._step(GiveUp()))
            self._look_for_torn()
            crash_point("tpc.decided")
        except BaseException as error:
            await self._broken(error)
            return
        self.decided.set()
        if self._later:
            with contextlib.suppress(RuntimeError):  # no thread can be started: run it in this one
                self._ground.workers.spawn(f"regionkit transaction {self._gtrid}", partial(self._settled, actions))
                return
        await self._settled(actions)

    async def _settled(self, actions: tuple[Action, ...]) -> None:
        """The second phase, and what is to be done after it."""
        try:
            actions = await self._round(actions)
            self._look_for_torn()
            if self.t.phase is Phase.ENDED:  # whatever time the callbacks take
                await let_go(self._members.values(), self.outcome)
            await self._tell_decided()
            while self.t.phase is not Phase.ENDED:
                actions = await self._round(actions or self._step(GiveUp()))
            await self._note_hazards()
        except BaseException as error:
            await self._broken(error)
            return
        await let_go(self._members.values(), self.outcome)
        done = {n: self._members[n].facts.history for n, state in self.t.states.items() if state is State.DONE}
        if self.t.decision is Decision.COMMIT and self.t.mode in (Mode.TWO_PHASE, Mode.ANCHORED) and done:
            self._ground.acknowledge(self._gtrid, done)
        self._leave()
        self._ground.events.emit(happened(self._ground.namespace, self._gtrid, self.t))
        self._ground.over(self._gtrid)
        crash_point("tpc.ended")
        self.ended.set()
        await self._on_ended(self.outcome)

    async def _tell_decided(self) -> None:
        """Once: when all branches have been asked to end, or one of them does not answer."""
        with self._guard:
            first, self._told = not self._told, True
        if first:
            await self._on_decided(self.outcome)

    async def broken(self, error: BaseException) -> None:
        """It could not run at all; nothing was sent: closing the connections rolls back."""
        self._step(Abort(f"its coordinator could not run: {error}"))
        await self._broken(error)

    async def _broken(self, error: BaseException) -> None:
        """As if it had died: recovery ends it. A loop that is closed does so to its tasks."""
        self.failure, why = error, f"its coordinator failed: {error!r}"
        self._ground.events.emit(LeftInDoubt(self._ground.namespace, self._gtrid, why, self.pending))
        self._leave()
        self._ground.over(self._gtrid)
        self.decided.set()
        self.ended.set()
        await let_go(self._members.values(), Outcome.IN_DOUBT)
        if not isinstance(error, Exception):
            raise error

    def _leave(self) -> None:
        """To recovery."""
        if self.pending:
            self._ground.left(self._gtrid, self.pending)
        if self.pending and self.t.mode is Mode.ONE_PHASE and self.t.decision is None:
            self._ground.unanswered(self._members[self.pending[0]].xid, self._found_out)

    def _step(self, event: Event) -> tuple[Action, ...]:
        self.t, actions = step(self.t, event)
        return actions

    async def _round(self, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        """Do all of it at once, and hand the answers on; what is to be done next."""
        if self._given_up and self.t.phase is Phase.DECIDING:  # nothing has been sent: the tombstone is ours to win
            actions, self._given_up = self._step(Abort(self._given_up)), ""
        calls = self._calls(actions)
        if len(calls) == 1:
            found: list[Any] = [await calls[0]()]
        else:
            found = await (aoverlap if self._overlap else agather)(calls)
        following: tuple[Action, ...] = ()
        for event in found:
            if isinstance(event, BaseException):
                raise event
            following += () if event is None else self._step(event)
        return following

    def _calls(self, actions: tuple[Action, ...]) -> list[Callable[[], Awaitable[Event | None]]]:
        calls: list[Callable[[], Awaitable[Event | None]]] = []
        told = [action for action in actions if isinstance(action, FinishBranch)]
        for action in actions:
            match action:
                case Prepare(branches=names):
                    crash_point("tpc.prepare.before")
                    calls += [partial(self._prepare, name, at, len(names)) for at, name in enumerate(names)]
                case OnePhase():
                    crash_point("tpc.prepare.after")
                    calls.append(partial(self._one_phase, action))
                case Decide(want=Decision.COMMIT):
                    crash_point("tpc.prepare.after")
                    calls.append(self._decide)
                case Decide():
                    calls.append(self._bar)
                case FinishBranch():
                    calls.append(partial(self._finish, action, told.index(action), len(told)))
        if told:
            calls += [one.branch.close for one in self._members.values() if one.reading]  # held till the decision
        return calls

    async def _prepare(self, name: str, at: int, of: int) -> Event:
        crash_points("tpc.prepare", at, of, "before")
        if why := await self._members[name].refused(self._deadline):
            return Voted(name, Vote.NO, why)
        try:
            answered = await self._members[name].branch.prepare(self._deadline)
        except Exception as error:
            self._unanswered(name)
            return Voted(name, Vote.UNANSWERED, f"PREPARE of {name} was not answered: {error}")
        crash_points("tpc.prepare", at, of, "after")
        vote = answered.vote or Vote.UNANSWERED
        if vote is not Vote.YES:
            self.retryable = self.retryable and answered.retryable
        if vote is Vote.UNANSWERED:
            self._unanswered(name)
        elif not answered.retryable:
            self._ground.unreached(name)  # or it is another than it was: a server that has replicas now
        return Voted(name, vote, f"{name} did not prepare: {answered.why}")

    def _unanswered(self, name: str) -> None:
        """What ends it now has to connect anew, which holds up its thread."""
        self._overlap = False
        self._ground.unreached(name)

    async def _one_phase(self, action: OnePhase) -> Event:
        member, point = self._members[action.branch], "tpc.anchor" if action.deciding else "tpc.one_phase"
        log, names = self._ground.log, sorted(self.t.states)
        deciding = (
            log.anchor_statements(self._gtrid, names, self._ground.by, member.facts.kind) if action.deciding else []
        )
        crash_point(f"{point}.before")
        if why := await member.refused(self._deadline):
            return Decided(Decision.ABORT, why)
        try:
            answered = await member.branch.commit_one_phase(deciding, self._deadline)
        except Exception as error:
            self._ground.unreached(action.branch)
            return Decided(None, f"COMMIT of {action.branch} was not answered: {error}")
        crash_point(f"{point}.after")
        if answered.winner is None:
            self._ground.unreached(action.branch)
        elif answered.winner is Decision.ABORT:
            self.retryable = self.retryable and answered.retryable
        return Decided(answered.winner, answered.why and f"{action.branch} did not commit: {answered.why}")

    async def _decide(self) -> Event:
        crash_point("tpc.decide.before")
        ground = self._ground
        try:
            winner = await ground.log.decide(
                self._gtrid, Decision.COMMIT, sorted(self.t.states), ground.by, self._deadline
            )
        except Exception as error:
            ground.log_unreached()
            if isinstance(error, RegionUnavailable | DeadlineExceeded):  # rule 3
                return Decided(Decision.ABORT, f"the log was not reached: {error}")
            return Decided(None, f"the log did not answer: {error}")
        crash_point("tpc.decide.after")
        barred = winner is Decision.ABORT
        return Decided(winner, ABANDONED if barred else "")

    async def _bar(self) -> Event:
        """Win the tombstone (in one phase: at the branch), or learn that COMMIT won."""
        settling = self._settle_deadline()
        if self._barring is None:
            self._barring = Deadline(self._ground.clock, self._settle * BARRING_SHARE)
        crash_point("tpc.bar.before")
        ground = self._ground
        try:
            if self.t.mode is Mode.ONE_PHASE:
                [name] = self.t.states
                member = self._members[name]
                evidence = await member.participant.bar(member.xid, self._barring)
                winner = {Evidence.COMMITTED: Decision.COMMIT, Evidence.BARRED: Decision.ABORT}.get(evidence)
            else:
                winner = await ground.log.decide(
                    self._gtrid, Decision.ABORT, sorted(self.t.states), ground.by, self._barring
                )
        except Exception as error:
            winner, why = None, f"{type(error).__name__}: {error}"
        else:
            why = ""
        crash_point("tpc.bar.after")
        if winner is None:
            if min(self._barring.remaining(), settling.remaining()) <= self._pause:
                return GiveUp(why or "it is not known what became of it")
            await apause(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return Decided(winner, why)

    async def _finish(self, action: FinishBranch, at: int, of: int) -> Event:
        member, commit, deadline = self._members[action.branch], action.commit, self._settle_deadline()
        point, state, between = "tpc.commit" if commit else "tpc.rollback", self.t.states[action.branch], FIRST_PAUSE
        crash_points(point, at, of, "before")
        finish = await finish_of(member.branch.finish, commit, deadline)
        crash_points(point, at, of, "after")
        while finish in (Finish.UNREACHED, Finish.BUSY) and state is not State.ACTIVE:
            if deadline.remaining() <= between:
                break
            self._ground.unreached(action.branch)
            if commit:
                await self._tell_decided()
            await apause(between)
            between = min(2 * between, LONGEST_PAUSE)
            finish = await finish_of(partial(member.participant.finish, Listed(member.xid)), commit, deadline)
        if finish is Finish.UNKNOWN and commit:
            finish, lost = await missing(member, deadline)
            if lost:
                self._hazard(action.branch, lost)
        return Finished(action.branch, finish)

    def _look_for_torn(self) -> None:
        """Branches that are rolled back, and whose work may stand all the same."""
        for name, member in self._members.items():
            if not member.reading and name not in self.hazards and (what := member.branch.torn):
                self._hazard(name, what)

    def _hazard(self, name: str, what: str) -> None:
        self.hazards[name] = what
        self._ground.events.emit(HazardMet(self._ground.namespace, self._gtrid, name, what))

    async def _note_hazards(self) -> None:
        """Once no branch of our own holds locks where the log stands."""
        for name, what in self.hazards.items():
            with contextlib.suppress(Exception):  # of a decided COMMIT recovery finds it again
                await self._ground.log.hazard(self._gtrid, name, what, self._settle_deadline())

    def _settle_deadline(self) -> Deadline:
        if self._settling is None:
            self._settling = Deadline(self._ground.clock, self._settle)
        return self._settling
