# Generated from participant_sql_async.py by scripts/twins.py. Do not edit.
"""What participants on every SQL server share: where their rows stand, and what the rows say.

Markers are read and written on the endpoint's connections for writes, each time in a short transaction; branches, and what
ends them, have connections of a pool of their own.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, text

from regionkit.contract.backing import Backing, backing_of
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.core.given import check_flag
from regionkit.errors import ConfigurationError, DeadlineExceeded, RegionUnavailable
from regionkit.topology.names import NAMESPACE
from regionkit.topology.validation import check_name
from regionkit.transactions.findings import Finding
from regionkit.transactions.kept_tables import BRANCH
from regionkit.transactions.participants.participant import (
    Branch,
    BranchOptions,
    Listed,
    Marked,
    ParticipantFacts,
)
from regionkit.transactions.participants.rows_sql import MarkerRows
from regionkit.transactions.protocol import Finish
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid

__all__ = ["SqlParticipant"]

T = TypeVar("T")


class SqlParticipant(abc.ABC):
    """Safe to share between threads (tasks of one loop).

    Args:
        name: of the participant, and of its branches: at most 22 of a-z, 0-9 and _.
        given: an engine of the application's, or a kit.
        namespace: of the transaction manager.
        store: which of a kit's stores.
        unsafe_no_flush: take a server that does not flush what it acknowledges; `doctor` goes on saying so.
        clock: the clock to use.

    Raises:
        ConfigurationError: `given` is of another server.
    """

    kind: str
    kinds: tuple[str, ...] = ()
    """Where one class serves several: a URL does not tell MySQL from MariaDB."""

    def __init__(
        self,
        name: str,
        given: Any,
        *,
        namespace: str,
        store: str | None = None,
        unsafe_no_flush: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_name("participant", name, NAMESPACE)
        self.name = name
        self.given = given if store is None else (given, store)
        self.clock = clock
        self._namespace = namespace
        check_flag("unsafe_no_flush", unsafe_no_flush)
        self._unsafe = unsafe_no_flush
        self._backing: Backing = backing_of(given, namespace=namespace, store=store, clock=clock)
        if self._backing.capabilities.server not in (self.kinds or (self.kind,)):
            raise ConfigurationError(
                f"participant {name!r} is {self._backing.capabilities.server}, and this class is for {self.kind}.",
                fix="hand the engine (or the kit's store) itself to the TransactionManager: it finds the class.",
            )
        self._rows = MarkerRows(self.kind, self._backing.namespace)

    # -- what a server adds

    @abc.abstractmethod
    def open(self, deadline: Deadline) -> ParticipantFacts:
        """Look at it."""

    @abc.abstractmethod
    def begin(self, options: BranchOptions, deadline: Deadline) -> Branch:
        """Open a branch."""

    @abc.abstractmethod
    def listed(self, deadline: Deadline) -> list[Listed]:
        """All prepared branches of this namespace in this database, of any log."""

    @abc.abstractmethod
    def finish(self, listed: Listed, commit: bool, deadline: Deadline) -> Finish:
        """End a prepared branch."""

    @abc.abstractmethod
    def doctor(self, deadline: Deadline) -> list[Finding]:
        """What is wrong, or risky, about it."""

    # -- what is the same on all

    def strays(self, deadline: Deadline) -> list[Xid]:
        """None: `listed` has all."""
        return []

    def create_tables(self, deadline: Deadline) -> None:
        """Make the marker table unless it is there."""
        self._backing.create_tables([BRANCH], deadline)

    def evidence(self, xid: Xid, deadline: Deadline) -> Evidence:
        """What its marker says; UNAVAILABLE where no answer comes."""
        try:
            return self._change(lambda c: self._rows.evidence(c, xid), deadline)
        except (RegionUnavailable, DeadlineExceeded):
            return Evidence.UNAVAILABLE

    def bar(self, xid: Xid, deadline: Deadline) -> Evidence:
        """Put a tombstone under the marker's key unless something stands there; what stands then.

        Raises:
            RegionUnavailable, DeadlineExceeded, OutcomeUnknown: it is not known yet.
        """
        return self._change(lambda c: self._rows.bar(c, xid), deadline)

    def markers(self, log: str, above: str, most: int, deadline: Deadline) -> list[Marked]:
        """Markers of this log in order of gtrid above `above`, tombstones left out."""
        found = self._change(lambda c: self._rows.markers(c, log, above, most), deadline)
        return [Marked(*row) for row in found]

    def sweep(self, log: str, floor: str, most: int, deadline: Deadline) -> int:
        """Delete markers and tombstones of this log at or below the floor."""
        return self._change(lambda c: self._rows.sweep(c, log, floor, most), deadline)

    def close(self) -> None:
        """Close what it opened itself. May be called twice."""
        self._backing.close()

    def _endpoint(self, deadline: Deadline) -> Any:
        """Of the owner now."""
        return self._backing.backend(deadline=deadline)

    def _link(self, deadline: Deadline) -> Any:
        """A connection for a branch, or for a phase of one."""
        endpoint = self._endpoint(deadline)
        return endpoint.branch(deadline, deadline.require("connecting"))

    def _change(self, work: Callable[[Connection], T], deadline: Deadline) -> T:
        """What `work` gives, in a transaction on the owner."""
        endpoint = self._endpoint(deadline)
        found: T = endpoint.change(deadline, "markers", work)
        return found

    def _ask(self, question: str, deadline: Deadline) -> list[Any]:
        """Rows of one question, on the owner."""
        return list(self._change(lambda c: c.execute(text(question)).all(), deadline))

    def ask(self, question: str, deadline: Deadline) -> list[Any]:
        """Rows of one question of the log's: whether this is the database that it stands in."""
        return self._ask(question, deadline)

    def _history(self, here: str, deadline: Deadline) -> str:
        """Of its data: the store's, and what the server calls its own."""
        owner = self._backing.owner(deadline=deadline)
        return f"{owner.history}.{here}" if here else owner.history

    def _refuse(self, risks: list[Finding], why: str = "a branch that it has voted YES for could be lost.") -> None:
        """Raise for the first finding that is refused."""
        for risk in risks:
            if risk.level == "refused":
                raise ConfigurationError(
                    f"participant {self.name!r} cannot take part: {risk.what}.",
                    why=why,
                    fix=risk.fix,
                )
