"""SQLAlchemy's transactions, with a COMMIT, ROLLBACK, PREPARE and savepoints that tell who joined them.

A transaction's object gets one of these classes while it is open. Its fields stay as they are, and it ends with the transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import NestedTransaction, RootTransaction, TwoPhaseTransaction

from regionkit.errors import ConfigurationError

__all__ = ["NAME", "joined_by", "level_of", "watch"]

NAME = "_regionkit_enlisted"
"""Attribute of a Connection: who joined its transaction."""


class _Watched:
    """Mixed into the outermost transaction."""

    __slots__ = ()

    def _connection_commit_impl(self) -> None:
        joined = joined_by(self)
        if joined is None:
            super()._connection_commit_impl()  # type: ignore[misc]  # of the class mixed with, here and below
        else:
            joined.commit(super()._connection_commit_impl, super()._connection_rollback_impl)  # type: ignore[misc]

    def _connection_rollback_impl(self) -> None:
        joined = joined_by(self)
        if joined is None:
            super()._connection_rollback_impl()  # type: ignore[misc]
        else:
            joined.roll_back(super()._connection_rollback_impl)  # type: ignore[misc]


class _WatchedRoot(_Watched, RootTransaction):
    __slots__ = ()


class _WatchedTwoPhase(_Watched, TwoPhaseTransaction):
    __slots__ = ()

    def prepare(self) -> None:
        joined = joined_by(self)
        if joined is None or not self.is_active:
            super().prepare()
            return
        try:
            joined.prepare(super().prepare, super()._connection_rollback_impl)
        except BaseException:
            if joined.over:  # rolled back: not a second time
                self._deactivate_from_connection()
            raise


class _WatchedSavepoint(NestedTransaction):
    __slots__ = ()

    def _do_commit(self) -> None:
        joined, gone, outer = joined_by(self), _inside(self), level_of(self._previous_nested)
        try:
            super()._do_commit()
        finally:
            if joined is not None:
                joined.released(gone, outer)

    def _close_impl(self, *args: Any, **kwargs: Any) -> None:
        joined, gone = joined_by(self), _inside(self)
        undone = self.is_active
        try:
            super()._close_impl(*args, **kwargs)
        except BaseException:
            if joined is not None:
                joined.dropped(gone, "unknown")
            raise
        if joined is not None and undone:
            joined.dropped(gone, "no")


_CLASSES = {RootTransaction: _WatchedRoot, TwoPhaseTransaction: _WatchedTwoPhase, NestedTransaction: _WatchedSavepoint}


def joined_by(transaction: Any) -> Any:
    """Who joined the transaction of its connection; None."""
    return transaction.connection.__dict__.get(NAME)


def level_of(savepoint: Any) -> int:
    """A number for an open savepoint; 0 for none."""
    return 0 if savepoint is None else id(savepoint)


def _inside(savepoint: Any) -> set[int]:
    """The savepoint, and those that were opened in it."""
    found, at = {id(savepoint)}, savepoint.connection.get_nested_transaction()
    chain = []
    while at is not None and at is not savepoint:
        chain.append(id(at))
        at = at._previous_nested
    return found.union(chain) if at is not None else found


def watch(transaction: Any) -> None:
    """Let a transaction or savepoint tell. Raises: ConfigurationError: it is of an unknown kind."""
    kind = type(transaction)
    if kind in _CLASSES:
        transaction.__class__ = _CLASSES[kind]
    elif kind not in _CLASSES.values():
        raise ConfigurationError(
            f"a {kind.__name__} cannot be joined.",
            fix="pass a transaction of SQLAlchemy; report a library that has its own kind of transaction.",
        )
