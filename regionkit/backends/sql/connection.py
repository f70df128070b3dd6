"""The SQLAlchemy Connection of a block: it is never put on another server connection.

SQLAlchemy itself would connect anew at the first use after a loss: without the block's deadline, without a proof, and
with commits that nobody counts.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import sqlalchemy

from regionkit.contract.hand_over import used_twice
from regionkit.errors import OutcomeUnknown, RegionKitError, RegionUnavailable, UsageError

__all__ = ["BlockConnection"]


class BlockConnection(sqlalchemy.Connection):
    """A Connection that stays lost once it was. `driver`: what was under it.

    `speaker`: the thread or task that runs a statement on it at this moment. `handed`: the user types with it. `shown`: what is
    under it was asked for, and not by SQLAlchemy itself: somebody may hold it.
    """

    driver: Any = None
    speaker: object = None
    handed = shown = False

    @property
    def pooled(self) -> Any:
        """What the pool gave, for ourselves."""
        pooled = self._dbapi_connection
        return self._revalidate_connection() if pooled is None else pooled

    @property
    def connection(self) -> Any:
        """What the pool gave."""
        if not self._Connection__in_begin:  # type: ignore[attr-defined]  # SQLAlchemy's own
            self.shown = True
        return self.pooled

    def _execute_context(self, *args: Any, **kwargs: Any) -> Any:
        """Run a statement; one at a time, as the answers of two could not be told apart."""
        here, before = asyncio.current_task() if self.dialect.is_async else threading.get_ident(), self.speaker
        if before is not None and before != here:
            raise used_twice()
        self.speaker = here
        try:
            return super()._execute_context(*args, **kwargs)
        finally:
            self.speaker = before

    def _commit_impl(self) -> None:
        shown = self.shown
        super()._commit_impl()
        self.shown = shown

    def _rollback_impl(self) -> None:
        shown = self.shown
        super()._rollback_impl()
        self.shown = shown

    def renewed(self) -> BlockConnection:
        """The same connection to the server in another object, for another block: this one is closed, whoever still holds it."""
        if self._transaction is not None:  # of autocommit: the server knows of none
            self._transaction.is_active = False
            self._transaction = None
        made = type(self)(self.engine, self._dbapi_connection)
        self._dbapi_connection, self._Connection__can_reconnect = None, False
        return made

    def lost(self) -> RegionKitError:
        """What a use after the loss is told."""
        if self.driver is not None and self.driver.commit_state == "sent":
            return OutcomeUnknown(
                "the block's connection was lost during its COMMIT, and the block continued.",
                why="the answer never came, and nothing more is done on another connection.",
                fix="let OutcomeUnknown leave the block; look at the data before you run it again.",
            )
        if self.driver is not None and self.driver.stopped:
            return UsageError(
                "the block's connection was closed when an exception of the application's stopped a wait on it.",
                why="its answer may still arrive and be mistaken for the next statement's; the block continued.",
                fix="let that exception leave the block.",
            )
        return RegionUnavailable(
            "the block's connection was lost, and a block does not change it.",
            why="an error of a statement reported it, and the block continued.",
            fix="let the error leave the block, and run it again.",
        )

    def discard(self) -> None:
        """Close it, and what is under it."""
        self.invalidate()
        self.close()

    def _revalidate_connection(self) -> Any:
        if self.invalidated:
            raise self.lost()
        return super()._revalidate_connection()
