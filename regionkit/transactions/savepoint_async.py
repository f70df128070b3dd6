"""A block inside of a transaction that can be undone alone, in every branch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from regionkit.transactions.members_async import AsyncMember

__all__ = ["AsyncSavepoint"]


class _Opening(Protocol):
    members: dict[str, AsyncMember]
    savepoints: list[AsyncSavepoint]
    lacking: dict[tuple[str, str | None], str]


class AsyncSavepoint:
    """Made by `AsyncTransaction.savepoint`. What its block raises undoes what the block did, and is raised on; so does what a
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
        self._joined: list[tuple[AsyncMember, int, Any]] = []

    async def join(self, member: AsyncMember) -> None:
        """A branch is part of it from here on."""
        self._joined.append((member, len(member.deferred), await member.branch.session().begin_nested()))

    async def __aenter__(self) -> None:
        self._called = len(self._calls)
        self._lacked = dict(self._opening.lacking)
        for member in self._opening.members.values():
            if not member.reading:
                await self.join(member)
        self._opening.savepoints.append(self)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._opening.savepoints.remove(self)
        if error is not None:
            await self._undo()
            return
        try:
            for member, _, _ in self._joined:  # all, before the first one is released
                await member.branch.session().flush()
        except BaseException:
            await self._undo()
            raise
        await self._each(lambda nested: nested.commit(), "released")

    async def _undo(self) -> None:
        del self._calls[self._called :]
        self._opening.lacking.clear()
        self._opening.lacking.update(self._lacked)
        for member, deferred, _ in self._joined:
            del member.deferred[deferred:]
        await self._each(lambda nested: nested.rollback(), "undone")

    async def _each(self, end: Callable[[Any], Any], what: str) -> None:
        """All of them, whatever one raises; the first error is raised then."""
        first: BaseException | None = None
        for member, _, nested in reversed(self._joined):
            try:
                await end(nested)
            except BaseException as error:
                first = first or error
                self._doom(f"a savepoint of {member.xid.branch} could not be {what}: {error}".splitlines()[0])
        if first is not None:
            raise first
