# Generated from savepoint_async.py by scripts/twins.py. Do not edit.
"""A block inside of a transaction that can be undone alone, in every branch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from regionkit.transactions.members import Member

__all__ = ["Savepoint"]


class _Opening(Protocol):
    members: dict[str, Member]
    savepoints: list[Savepoint]
    lacking: dict[tuple[str, str | None], str]


class Savepoint:
    """Made by `Transaction.savepoint`. What its block raises undoes what the block did, and is raised on; so does what a
    session refuses at the block's end. Statements that it deferred, calls for the commit, and branches that it lacked are
    forgotten then.

    Args:
        opening: branches that are open; savepoints that are, from the outermost on: a branch that opens later joins them.
        calls: what is to be called once COMMIT is decided.
        doom: the transaction can no longer commit, and why.
    """

    def __init__(
        self,
        opening: _Opening,
        calls: list[Callable[[], Any]],
        doom: Callable[[str], None],
    ) -> None:
        self._opening = opening
        self._lacked: dict[tuple[str, str | None], str] = {}
        self._calls = calls
        self._called = len(calls)
        self._doom = doom
        self._joined: list[tuple[Member, int, Any]] = []

    def join(self, member: Member) -> None:
        """A branch is part of it from here on."""
        self._joined.append((member, len(member.deferred), member.branch.session().begin_nested()))

    def __enter__(self) -> None:
        self._called = len(self._calls)
        self._lacked = dict(self._opening.lacking)
        for member in self._opening.members.values():
            if not member.reading:
                self.join(member)
        self._opening.savepoints.append(self)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._opening.savepoints.remove(self)
        if error is not None:
            self._undo()
            return
        try:
            for member, _, _ in self._joined:  # all, before the first one is released
                member.branch.session().flush()
        except BaseException:
            self._undo()
            raise
        self._each(lambda nested: nested.commit(), "released")

    def _undo(self) -> None:
        del self._calls[self._called :]
        self._opening.lacking.clear()
        self._opening.lacking.update(self._lacked)
        for member, deferred, _ in self._joined:
            del member.deferred[deferred:]
        self._each(lambda nested: nested.rollback(), "undone")

    def _each(self, end: Callable[[Any], Any], what: str) -> None:
        """All of them, whatever one raises; the first error is raised then."""
        first: BaseException | None = None
        for member, _, nested in reversed(self._joined):
            try:
                end(nested)
            except BaseException as error:
                first = first or error
                self._doom(f"a savepoint of {member.xid.branch} could not be {what}: {error}".splitlines()[0])
        if first is not None:
            raise first
