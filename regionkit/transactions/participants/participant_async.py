"""What a participant owes the coordinator and recovery. Users may write their own and run the contract suite over it.

1. `begin` opens a branch: everything the user does through it commits or rolls back with the branch, and with nothing else.
2. `prepare` answers YES only where the branch survives a crash of server and client, with its marker inside. An error, a
   warning, a transaction that was ended or changed inside is NO. No answer is UNANSWERED: its connection is closed.
3. `finish` (on any connection, by any process) and `Branch.commit`, `Branch.rollback` may be repeated. UNKNOWN is never DONE.
4. `evidence` reads the marker, which commits with the branch's effect.
5. A connection that may still get an answer, or on which a prepared branch hangs, never returns to a pool.
6. A one-phase COMMIT writes its marker too; `bar` inserts a tombstone under the same key, waits for an open one, and says
   what stands there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from regionkit.contract.unit import Committed
from regionkit.core.deadline import Deadline
from regionkit.transactions.findings import Finding
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid

__all__ = ["Answered", "AsyncBranch", "AsyncParticipant", "BranchOptions", "Listed", "Marked", "ParticipantFacts"]


class ParticipantFacts(msgspec.Struct, frozen=True, gc=False):
    """What a participant is.

    Attributes:
        kind: "postgresql", "mariadb", "sqlite", ...
        prepares: it can prepare; else it can only be the anchor, or alone.
        guarantee: its class in a word: "XA", "ANCHOR", ...
        instance: of the server and database, as far as it can be identified; clones of a folder may share it.
        history: of its data now; acknowledgements hold for it.
        overlaps: in threads the phases of its branches wait by `regionkit.core.overlap`: those of several need one thread.
    """

    kind: str
    prepares: bool
    guarantee: str
    instance: str
    history: str
    overlaps: bool = False


class BranchOptions(msgspec.Struct, frozen=True, gc=False):
    """How a branch opens.

    Attributes:
        xid: its name.
        reading: opened READ ONLY on the server.
        anchor: its own COMMIT will hold the decision: it is not asked to prepare.
        lock_timeout: seconds that a statement waits for a lock: deadlocks between databases are seen by nobody else.
        core: users type with a Connection only.
    """

    xid: Xid
    reading: bool = False
    lock_timeout: float = 5.0
    anchor: bool = False


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A vote, or what became of a COMMIT in one phase: COMMIT, ABORT, or None where no answer came; and why."""

    vote: Vote | None = None
    winner: Decision | None = None
    why: str = ""
    retryable: bool = True


class Listed(msgspec.Struct, frozen=True, gc=False):
    """A prepared branch on the server. `owner`: the role that has to end it, "" where any may; `at`: seconds since 1970."""

    xid: Xid
    owner: str = ""
    at: float | None = None


class Marked(msgspec.Struct, frozen=True, gc=False):
    """A marker. `phases`: 1 or 2."""

    gtrid: str
    branch: str
    phases: int


class AsyncBranch(Protocol):
    """One branch of one transaction at work. Of one thread or task until the phases begin."""

    def session(self) -> Any:
        """One SQLAlchemy Session for the branch, always the same; its commit() flushes and ends nothing."""
        ...

    async def connection(self) -> Any:
        """One SQLAlchemy Connection for the branch, always the same; its root commit, rollback and close raise."""
        ...

    @property
    def doomed(self) -> str:
        """Why the branch can no longer commit; "" while it can."""
        ...

    def passes(self, error: BaseException) -> bool:
        """Whether an error that left the block is a server's, after which the same transaction may go well."""
        ...

    @property
    def torn(self) -> str:
        """Why work of it may stand although it was rolled back: something inside ended its transaction; "" where it cannot."""
        ...

    def defer(self, statement: str) -> None:
        """Send this statement with PREPARE (or with COMMIT), in one message."""
        ...

    async def flush(self) -> bool:
        """Send what the session holds; whether there was anything. Called over all branches until none has."""
        ...

    async def prepare(self, deadline: Deadline) -> Answered:
        """Rule 2. `Answered.vote`."""
        ...

    async def commit_one_phase(self, deciding: Sequence[str], deadline: Deadline) -> Answered:
        """COMMIT with its marker, and these statements of the log's, in one message; `Answered.winner`."""
        ...

    async def finish(self, commit: bool, deadline: Deadline) -> Finish:
        """End it as decided, from whatever state it is in. A branch that was not prepared is only ever rolled back."""
        ...

    async def position(self) -> Any:
        """After a COMMIT: where its participant's data stands, an upper bound; None if unknown."""
        ...

    def tell(self, outcome: Committed) -> None:
        """What became of the transaction, before `close`: who joined the branch (`regionkit.contract.enlist`) hears it."""
        ...

    async def close(self) -> None:
        """Let go of its connection: back to the pool where it is proved idle, else closed. Never raises; may be repeated."""
        ...


class AsyncParticipant(Protocol):
    """Safe to share between threads (tasks of one loop).

    Attributes:
        name: in names and errors.
        given: the engine or kit's store that it was made of. One of SQL has `ask` too: it answers a question of its log's.
    """

    name: str
    given: Any

    async def create_tables(self, deadline: Deadline) -> None:
        """Make the marker table unless it is there."""
        ...

    async def open(self, deadline: Deadline) -> ParticipantFacts:
        """Look at it, before the first branch and with each run of recovery.

        Raises:
            ConfigurationError: its settings would break the promise; the error says which and what to do.
        """
        ...

    async def begin(self, options: BranchOptions, deadline: Deadline) -> AsyncBranch:
        """Open a branch.

        Raises:
            RegionUnavailable, DeadlineExceeded: it cannot be opened; nothing was done.
        """
        ...

    async def listed(self, deadline: Deadline) -> list[Listed]:
        """All prepared branches of this namespace in this database, of any log."""
        ...

    async def strays(self, deadline: Deadline) -> list[Xid]:
        """Prepared branches of this namespace that `listed` leaves out, as they have another participant's name: a server may
        list those of all its databases. Nobody lists them where that participant was renamed.
        """
        ...

    async def finish(self, listed: Listed, commit: bool, deadline: Deadline) -> Finish:
        """End a prepared branch, of whichever process; only decided ones are passed."""
        ...

    async def evidence(self, xid: Xid, deadline: Deadline) -> Evidence:
        """What its marker says."""
        ...

    async def bar(self, xid: Xid, deadline: Deadline) -> Evidence:
        """Rule 6: COMMITTED or BARRED.

        Raises:
            RegionUnavailable, DeadlineExceeded, OutcomeUnknown: it is not known yet.
        """
        ...

    async def markers(self, log: str, above: str, most: int, deadline: Deadline) -> list[Marked]:
        """Markers of this log in order of gtrid above `above`, tombstones left out."""
        ...

    async def sweep(self, log: str, floor: str, most: int, deadline: Deadline) -> int:
        """Delete markers and tombstones of this log at or below the floor."""
        ...

    async def doctor(self, deadline: Deadline) -> list[Finding]:
        """What is wrong, or risky, about it."""
        ...

    async def close(self) -> None:
        """Close what it opened itself. May be called twice."""
        ...
