"""Two-phase commit as its coordinator runs it: presumed abort, one decision by compare-and-set. Pure.

Rules:
1. All branches that are not declared reading take part. Without one nothing is decided; with one it commits in one phase,
   under its marker; with two or more the others are prepared first.
2. An anchor is a branch in whose own COMMIT the decision stands. It is the branch of the log's database, where that takes part;
   what cannot prepare can only be the anchor. An anchor is never prepared.
3. A vote other than YES aborts. A PREPARE without an answer may still happen: the abort is written down (the tombstone), the
   connection is closed, and the branch stays pending until recovery has ended it.
4. COMMIT and the tombstone race for one unique key of the log. Whoever reads, acts on the winner, and on nothing else: that
   there is no row yet is never an answer.
5. Once COMMIT may have been sent, only an answer of the log ends the doubt: the coordinator too aborts by winning the tombstone.
   While the log does not answer nothing is done to any branch: the outcome is IN_DOUBT.
6. After the decision nothing is reversed. A branch that does not acknowledge COMMIT is pending, never rolled back.
7. "No such branch" (UNKNOWN) is never an acknowledgement of COMMIT: the branch's marker is, and it is asked for. For a
   rollback it is one, if the branch's PREPARE had been answered or its connection is proved gone.
8. A one-phase COMMIT without an answer is settled by its marker's key: a tombstone is inserted there, which waits for it.
9. Given up before the decision (error, cancelled, doomed, deadline) is an abort; after it the second phase goes on.
10. Each step is idempotent: an event that comes twice, late or out of order changes nothing.
11. COMMIT is the coordinator's alone to decide: that all branches are prepared says nothing of one that has voted NO, and while
    COMMIT was never sent for, the coordinator aborts without a tombstone. Anybody else only repeats a COMMIT that is proved.

`begun(...)` gives a `Transaction`; `step(transaction, event)` gives the next one and what is to be done. All of it is safe to
repeat. Source: Gray and Lamport, "Consensus on Transaction Commit", section 3; X/Open CAE "Distributed TP: The XA Specification".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique

import msgspec

__all__ = [
    "Abort",
    "Action",
    "BranchFacts",
    "Commit",
    "Decide",
    "Decided",
    "Decision",
    "End",
    "Event",
    "Finish",
    "FinishBranch",
    "Finished",
    "GiveUp",
    "Mode",
    "OnePhase",
    "Outcome",
    "Phase",
    "Prepare",
    "State",
    "Transaction",
    "Vote",
    "Voted",
    "begun",
    "misfit",
    "step",
]


@unique
class Decision(Enum):
    """What a log's row says."""

    COMMIT = 1
    ABORT = 2


@unique
class Vote(Enum):
    """What a branch answered to PREPARE."""

    YES = "it is prepared and survives a crash"
    NO = "it is rolled back"
    UNANSWERED = "nobody knows: it may be prepared, now or later"


@unique
class Finish(Enum):
    """What a branch answered in the second phase."""

    DONE = "it is as decided"
    UNKNOWN = "there is no such branch; the marker says what became of it"
    BUSY = "another connection holds it"
    BLOCKED = "this account may not end it"
    UNREACHED = "no answer came"


@unique
class Mode(Enum):
    """How a transaction commits."""

    NOTHING = "no branch writes"
    ONE_PHASE = "one branch writes: its own COMMIT, under its marker"
    ANCHORED = "the decision stands in the anchor's own COMMIT"
    TWO_PHASE = "all are prepared, then the log decides"


@unique
class Phase(Enum):
    """How far a transaction has come."""

    ACTIVE = "at work"
    PREPARING = "votes are out"
    DECIDING = "COMMIT may be decided"
    BARRING = "the tombstone may be decided"
    FINISHING = "decided; branches are being ended"
    ENDED = "nothing more is done here"


@unique
class State(Enum):
    """Of one branch."""

    ACTIVE = "at work"
    ASKED = "PREPARE was sent"
    PREPARED = "it voted YES"
    LOST = "PREPARE was not answered"
    DONE = "it is as decided"
    PENDING = "it is left to recovery"


@unique
class Outcome(Enum):
    """The outcome of a transaction."""

    ACTIVE = "it has not ended"
    COMMITTED = "decided: all branches commit; those that are pending, later"
    ABORTED = "decided or presumed: no branch commits"
    IN_DOUBT = "the log did not answer: recovery ends it"
    HEURISTIC = "a branch ended otherwise than was decided"


class BranchFacts(msgspec.Struct, frozen=True, gc=False):
    """What a branch is from its begin on.

    Attributes:
        reading: declared read only.
        prepares: its participant can prepare.
        anchor: the log's tables stand in its database.
    """

    reading: bool = False
    prepares: bool = True
    anchor: bool = False


class Transaction(msgspec.Struct, frozen=True):
    """One global transaction, as its coordinator knows it."""

    branches: Mapping[str, BranchFacts]
    states: Mapping[str, State]
    phase: Phase = Phase.ACTIVE
    mode: Mode = Mode.NOTHING
    decision: Decision | None = None
    doubted: bool = False
    """Whether COMMIT may have been sent to the log (or to the anchor, or in one phase) without an answer."""
    why: str = ""

    @property
    def anchor(self) -> str | None:
        """The branch whose own COMMIT is the last thing to happen before the outcome stands."""
        writers = [name for name, facts in self.branches.items() if not facts.reading]
        for name in writers:
            if not self.branches[name].prepares:
                return name
        return next((name for name in writers if self.branches[name].anchor), None)

    @property
    def pending(self) -> tuple[str, ...]:
        """Branches that recovery has to end, in order of name."""
        return tuple(sorted(name for name, state in self.states.items() if state is State.PENDING))

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        if self.decision is Decision.COMMIT:
            return Outcome.COMMITTED
        if self.decision is Decision.ABORT:
            return Outcome.ABORTED
        return Outcome.IN_DOUBT if self.phase is Phase.ENDED else Outcome.ACTIVE


class Commit(msgspec.Struct, frozen=True, gc=False):
    """The block ended well."""


class Abort(msgspec.Struct, frozen=True, gc=False):
    """The block raised, was cancelled, or the transaction is doomed."""

    why: str


class Voted(msgspec.Struct, frozen=True, gc=False):
    """A branch answered PREPARE, or did not."""

    branch: str
    vote: Vote
    why: str = ""


class Decided(msgspec.Struct, frozen=True, gc=False):
    """The log (the anchor, the one branch) answered; None: it did not."""

    winner: Decision | None
    why: str = ""


class Finished(msgspec.Struct, frozen=True, gc=False):
    """A branch answered in the second phase."""

    branch: str
    finish: Finish


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """The time is over: before the decision, or for the acknowledgements."""

    why: str = "its time is over"


Event = Commit | Abort | Voted | Decided | Finished | GiveUp


class Prepare(msgspec.Struct, frozen=True, gc=False):
    """Ask these branches to prepare, at once; tell each vote."""

    branches: tuple[str, ...]


class OnePhase(msgspec.Struct, frozen=True, gc=False):
    """Commit this branch itself; `deciding`: with the log's COMMIT row in the same transaction. Tell `Decided`."""

    branch: str
    deciding: bool


class Decide(msgspec.Struct, frozen=True, gc=False):
    """Insert this into the log (in mode ONE_PHASE: the tombstone at the branch) unless something is there; tell the winner."""

    want: Decision


class FinishBranch(msgspec.Struct, frozen=True, gc=False):
    """Tell a branch; tell its answer."""

    branch: str
    commit: bool


class End(msgspec.Struct, frozen=True, gc=False):
    """Nothing more is to be done here. Reading branches are let go."""


Action = Prepare | OnePhase | Decide | FinishBranch | End


def begun(branches: Mapping[str, BranchFacts]) -> Transaction:
    """A transaction at work over these branches."""
    return Transaction(dict(branches), {name: State.ACTIVE for name, facts in branches.items() if not facts.reading})


def misfit(writers: Mapping[str, tuple[bool, bool]]) -> str:
    """Why these cannot commit together, "" if they can. By name of the writing branch, whether it prepares and is an anchor."""
    fixed = sorted(name for name, (prepares, _) in writers.items() if not prepares)
    if len(writers) < 2 or not fixed:
        return ""
    if len(fixed) > 1:
        return f"{' and '.join(fixed)} cannot prepare, and only one of all may be the last to commit"
    if not writers[fixed[0]][1]:
        return (
            f"{fixed[0]} cannot prepare, so its own COMMIT has to hold the decision, and the log is in another database"
        )
    return ""


def step(transaction: Transaction, event: Event) -> tuple[Transaction, tuple[Action, ...]]:
    """What follows from an event."""
    match event:
        case Commit():
            return _commit(transaction)
        case Abort(why=why):
            return _given_up(transaction, why)
        case Voted():
            return _voted(transaction, event)
        case Decided():
            return _decided(transaction, event)
        case Finished():
            return _finished(transaction, event)
        case GiveUp(why=why):
            return _given_up(transaction, why)


def _commit(t: Transaction) -> tuple[Transaction, tuple[Action, ...]]:
    if t.phase is not Phase.ACTIVE:
        return t, ()
    writers = sorted(t.states)
    if not writers:
        return _with(t, phase=Phase.ENDED, mode=Mode.NOTHING, decision=Decision.COMMIT), (End(),)
    if len(writers) == 1:
        t = _with(t, phase=Phase.DECIDING, mode=Mode.ONE_PHASE)
        return t, (OnePhase(writers[0], deciding=False),)
    anchor = t.anchor
    asked = tuple(name for name in writers if name != anchor)
    mode = Mode.TWO_PHASE if anchor is None else Mode.ANCHORED
    states = {name: State.ASKED if name in asked else state for name, state in t.states.items()}
    return _with(t, phase=Phase.PREPARING, mode=mode, states=states), (Prepare(asked),)


def _voted(t: Transaction, event: Voted) -> tuple[Transaction, tuple[Action, ...]]:
    if t.states.get(event.branch) is not State.ASKED:
        return t, ()
    state = {Vote.YES: State.PREPARED, Vote.NO: State.DONE, Vote.UNANSWERED: State.LOST}[event.vote]
    t = _set(t, event.branch, state)
    if event.vote is not Vote.YES:
        t = _with(t, why=t.why or event.why or f"{event.branch} voted {event.vote.name}")
    if State.ASKED in t.states.values():
        return t, ()
    if State.LOST in t.states.values():
        return _with(t, phase=Phase.BARRING), (Decide(Decision.ABORT),)
    if t.why:
        return _finishing(t, Decision.ABORT)
    t = _with(t, phase=Phase.DECIDING)
    anchor = t.anchor
    return t, (Decide(Decision.COMMIT) if anchor is None else OnePhase(anchor, deciding=True),)


def _decided(t: Transaction, event: Decided) -> tuple[Transaction, tuple[Action, ...]]:
    if t.phase not in (Phase.DECIDING, Phase.BARRING):
        return t, ()
    if event.winner is None:
        doubted = t.doubted or t.phase is Phase.DECIDING
        return _with(t, phase=Phase.BARRING, doubted=doubted, why=t.why or event.why), (Decide(Decision.ABORT),)
    t = _with(t, why=t.why or event.why)
    own = t.anchor if t.mode is Mode.ANCHORED else next(iter(t.states)) if t.mode is Mode.ONE_PHASE else None
    read = t.mode is Mode.ONE_PHASE and event.winner is Decision.COMMIT
    if own is not None and (t.phase is Phase.DECIDING or read):
        t = _set(t, own, State.DONE)  # else it may be open, or the row another's: it is ended, and asked for its marker
    return _finishing(t, event.winner)


def _finishing(t: Transaction, decision: Decision) -> tuple[Transaction, tuple[Action, ...]]:
    t = _with(t, phase=Phase.FINISHING, decision=decision)
    return _ended_if_done(t, _tell(t, sorted(t.states)))


def _tell(t: Transaction, names: list[str]) -> tuple[Action, ...]:
    commit = t.decision is Decision.COMMIT
    told = (State.ACTIVE, State.PREPARED, State.LOST)
    return tuple(FinishBranch(name, commit) for name in names if t.states[name] in told)


def _finished(t: Transaction, event: Finished) -> tuple[Transaction, tuple[Action, ...]]:
    state = t.states.get(event.branch)
    if t.phase is not Phase.FINISHING or state in (None, State.DONE, State.PENDING):
        return t, ()
    done = event.finish is Finish.DONE
    if t.decision is Decision.ABORT and state is State.ACTIVE:
        done = True  # never prepared, and it cannot commit any more: its connection is closed
    elif t.decision is Decision.ABORT and event.finish is Finish.UNKNOWN:
        done = state is not State.LOST  # rule 7: one that was not answered may still come
    t = _set(t, event.branch, State.DONE if done else State.PENDING)
    return _ended_if_done(t, ())


def _given_up(t: Transaction, why: str) -> tuple[Transaction, tuple[Action, ...]]:
    """Before the decision: abort. While the log is asked: in doubt. After it: what is open is left to recovery."""
    if t.phase is Phase.ACTIVE:
        return _finishing(_with(t, why=t.why or why), Decision.ABORT)
    if t.phase is Phase.PREPARING:
        states: dict[str, State] = {n: State.LOST if s is State.ASKED else s for n, s in t.states.items()}
        t = _with(t, states=states, why=t.why or why)
        if State.LOST in states.values():
            return _with(t, phase=Phase.BARRING), (Decide(Decision.ABORT),)
        return _finishing(t, Decision.ABORT)
    if t.phase is Phase.DECIDING:
        return _with(t, phase=Phase.BARRING, doubted=True, why=t.why or why), (Decide(Decision.ABORT),)
    if t.phase is Phase.BARRING and not t.doubted:  # COMMIT was never sent: nobody can decide it any more
        return _finishing(t, Decision.ABORT)
    if t.phase in (Phase.BARRING, Phase.FINISHING):
        open_ = (State.ACTIVE, State.ASKED, State.PREPARED, State.LOST)
        left: dict[str, State] = {n: State.PENDING if s in open_ else s for n, s in t.states.items()}
        return _with(t, phase=Phase.ENDED, states=left, why=t.why or why), (End(),)
    return t, ()


def _ended_if_done(t: Transaction, actions: tuple[Action, ...]) -> tuple[Transaction, tuple[Action, ...]]:
    if all(state in (State.DONE, State.PENDING) for state in t.states.values()):
        return _with(t, phase=Phase.ENDED), (*actions, End())
    return t, actions


def _set(t: Transaction, branch: str, state: State) -> Transaction:
    return _with(t, states={**t.states, branch: state})


def _with(t: Transaction, **changes: object) -> Transaction:
    return msgspec.structs.replace(t, **changes)
