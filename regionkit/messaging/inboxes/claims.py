# Generated from claims_async.py by scripts/twins.py. Do not edit.
"""Inboxes of stores that share no transaction with effects elsewhere: claims with lease and fence; cases stand in a hospital.

Admitting there takes three steps: the case, then the claim is done, then the source hears. Each may be done again: who takes a
claim over looks at the hospital before it calls anything.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import Any

from regionkit.contract.backing import backing_of
from regionkit.core.deadline import Deadline
from regionkit.core.given import can
from regionkit.errors import ConfigurationError
from regionkit.messaging.envelope import Envelope
from regionkit.messaging.inboxes.inbox import Inbox
from regionkit.messaging.records import CallRecords
from regionkit.messaging.retention import Retention

__all__ = ["ClaimInbox"]

IS_ASYNC = False
_KINDS = MappingProxyType(
    {
        **dict.fromkeys(("postgresql", "mariadb", "mysql", "sqlite"), ("sql", "SqlInbox")),
        "mongodb": ("mongo", "MongoInbox"),
    }
)
"""By the server: what keeps cases there."""


class ClaimInbox:
    """Claims in one store, cases in another. Safe to share between threads (tasks of one loop).

    Args:
        records: claims.
        hospital: where cases are kept: an engine, a database of MongoDB's, or an inbox there.
        namespace: prefix of what is kept there.
    """

    transactional = False
    gates = False
    retention = Retention()
    effects: tuple[str, ...] = ("external",)
    notes: tuple[str, ...] = (
        "keys are not kept in order: a gate moves in the transaction of an effect, and there is none",
    )

    def __init__(self, records: CallRecords, hospital: Any, namespace: str) -> None:
        cases = _cases_in(hospital, namespace)
        self.records = records
        self.cases = cases
        self.given: Any = getattr(cases, "given", None)
        self.backing = cases.backing
        self.now, self.unit = cases.now, cases.unit
        self.judge, self.start, self.admit, self.admit_gap = cases.judge, cases.start, cases.admit, cases.admit_gap
        self.due, self.begin_treatment = cases.due, cases.begin_treatment
        self.discharge, self.end_treatment = cases.discharge, cases.end_treatment
        self.next_held, self.take_held, self.park_held = cases.next_held, cases.take_held, cases.park_held

    def create_tables(self) -> None:
        """Make what it keeps, in both. Many processes may call it at the same time."""
        self.records.create_tables()
        made: Any = self.cases
        made.create_tables()

    def open(self, deadline: Deadline) -> None:
        """See that the tables of cases are there, and what time their database has."""
        self.cases.open(deadline)

    def unstart(self, scope: bytes, envelope: Envelope, started: int, deadline: Deadline) -> None:
        """A run that was started did not begin."""
        counted: Any = self.cases
        counted.unstart(scope, envelope, started, deadline)

    def prepare(self, accept_for: float, deadline: Deadline) -> None:
        """See that there is a place for what stands beside the cases."""
        self.cases.prepare(accept_for, deadline)

    def sweep(self, retention: Retention, deadline: Deadline) -> bool:
        """Take away rows that no copy can ask for any more, a few; whether there may be more."""
        more = self.cases.sweep(retention, deadline)
        return self.records.sweep() > 0 or more

    def close(self) -> None:
        """Close the connections that it opened. May be called twice."""
        self.records.close()
        closing: Any = self.cases
        closing.close()


def _cases_in(hospital: Any, namespace: str) -> Inbox:
    if hospital is None:
        raise ConfigurationError(
            "an inbox of claims needs hospital=.",
            why="what cannot be applied is kept as a case, in a database with transactions.",
            fix="give the engine of a SQL database, or a database of MongoDB's.",
        )
    if can(hospital, "judge"):
        if not hospital.gates:
            raise ConfigurationError(
                "hospital= is an inbox of claims itself.", fix="give a SqlInbox, a MongoInbox or an engine."
            )
        given: Inbox = hospital
        return given
    server = backing_of(hospital, namespace=namespace).capabilities.server
    if server not in _KINDS:
        raise ConfigurationError(
            f"hospital= is {server}, which keeps no cases.", fix="give a SQL engine or a database of MongoDB's."
        )
    module, name = _KINDS[server]
    found = import_module(f"regionkit.messaging.inboxes.{module}{'_async' if IS_ASYNC else ''}")
    made: Inbox = getattr(found, f"{'Async' if IS_ASYNC else ''}{name}")(hospital, namespace=namespace)
    return made
