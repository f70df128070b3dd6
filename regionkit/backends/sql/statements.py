# Generated from statements_async.py by scripts/twins.py. Do not edit.
"""Runs regionkit's own statements on an endpoint's connections, and says in regionkit's errors what became of them.

1. A change is one transaction. One that the server rolled back for another's sake is run again: nothing of it took effect.
2. A COMMIT without an answer is an OutcomeUnknown; after any other error nothing took effect.
3. An IntegrityError is an answer, and passes as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import sqlalchemy

from regionkit.backends.sql.bridge import drive
from regionkit.backends.sql.classify import classify, code_of, missing_table
from regionkit.backends.sql.rights import lacking
from regionkit.backends.sql.server import SqlContext
from regionkit.contract.endpoint_errors import commit_unanswered, first_line, too_late, unavailable
from regionkit.contract.outcomes import Failure
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, OutcomeUnknown, RegionKitError
from regionkit.facts.request import Kind

__all__ = ["Statements"]

MOST_RUNS = 5
"""Runs of a change that the server rolls back each time: deadlocks of short transactions are over after one or two."""
LOCK_WAITED = ("55P03", 1205)
"""Codes of a wait for a lock that the server gave up: lock_not_available, ER_LOCK_WAIT_TIMEOUT."""

CheckOut = Callable[[Kind, Deadline, float], Any]
"""What gives a connection, as `EndpointBackend.check_out`."""


class Statements:
    """Own statements of one endpoint. Safe to share between threads or tasks."""

    def __init__(self, context: SqlContext, check_out: CheckOut) -> None:
        self._context = context
        self._check_out = check_out

    def read(self, deadline: Deadline, what: str, work: Callable[[sqlalchemy.Connection], Any]) -> Any:
        """What `work` finds on a connection for reads. `what` is read, for errors: "records"."""
        checkout = self._check_out(Kind.READ, deadline, deadline.require("connecting"))
        try:
            return drive(work, checkout.connection)
        except Exception as error:
            self.fail(error, what)
        finally:
            checkout.release()

    def change(
        self,
        deadline: Deadline,
        what: str,
        work: Callable[[sqlalchemy.Connection], Any],
        begin: Callable[[sqlalchemy.Connection], AbstractContextManager[Any]] = sqlalchemy.Connection.begin,
    ) -> Any:
        """What `work` gives in a transaction of its own on a connection for writes.

        Raises:
            OutcomeUnknown: its COMMIT was sent, and no answer came.
            RegionUnavailable, DeadlineExceeded: it was not done.
            ConfigurationError: the table is not there.
        """

        def run(connection: sqlalchemy.Connection) -> Any:
            with begin(connection):
                return work(connection)

        for left in reversed(range(MOST_RUNS)):
            checkout = self._check_out(Kind.WRITE, deadline, deadline.require("connecting"))
            checkout.driver.finishing = True  # its one transaction is all that it does
            try:
                return drive(run, checkout.connection)
            except Exception as error:
                if isinstance(error, OutcomeUnknown):
                    raise commit_unanswered(self._context, error.why) from error  # an engine does not know its store
                if checkout.driver.commit_state == "sent":
                    raise commit_unanswered(self._context, first_line(error)) from error
                if not left or classify(error) is not Failure.ROLLED_BACK:
                    self.fail(error, what)
            finally:
                checkout.release()
        raise AssertionError("the last run returns or raises")

    def fail(self, error: Exception, what: str) -> NoReturn:
        """Raise the error of a statement that surely did nothing, in regionkit's words."""
        context, failure = self._context, classify(error)
        if isinstance(error, RegionKitError | sqlalchemy.exc.IntegrityError):
            raise error
        right = lacking(context, error)
        if right is not None:
            raise right from error
        if missing_table(error):
            raise ConfigurationError(
                f"store {context.store.name!r} keeps no {what}.",
                why="its tables are missing, or were made by an earlier version.",
                fix="call kit.create_tables() once; without a kit create_tables() of the outbox, inbox or cache.",
            ) from error
        if failure is Failure.CANCELLED:
            why = f"the statement was ended before its answer ({first_line(error)}); nothing was changed."
            raise too_late(context, f"{context.endpoint.id!r} gave no answer.", why=why) from error
        if failure is Failure.DEADLINE or code_of(error) in LOCK_WAITED:
            why = "the deadline passed before the answer; nothing was changed."
            raise too_late(context, f"{context.endpoint.id!r} did not answer in time.", why=why) from error
        if isinstance(error, sqlalchemy.exc.SQLAlchemyError | OSError):
            retryable = failure is not Failure.APPLICATION
            said = f"{what} could not be had from {context.endpoint.id!r} of {context.store.name!r}."
            raise unavailable(context, said, first_line(error), retryable=retryable) from error
        raise error
