"""A block inside of a transaction that can be undone alone, in every branch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regionkit.transactions.member_async import AsyncMember
from regionkit.transactions.participants.participant_async import AsyncBranch

__all__ = ["AsyncSavepoint"]


class AsyncSavepoint:
    """Made by `AsyncTransaction.savepoint`. What its block raises undoes what the block did, and is raised on.

    Args:
        members: branches that are open.
        standing: savepoints that are, from the outermost on: a branch that opens later joins them.
    """

    def __init__(self, members: Mapping[str, AsyncMember], standing: list[AsyncSavepoint]) -> None:
        self._members = members
        self._standing = standing
        self._nested: list[Any] = []

    async def join(self, branch: AsyncBranch) -> None:
        """A branch is part of it from here on."""
        self._nested.append(await branch.session().begin_nested())

    async def __aenter__(self) -> None:
        for member in self._members.values():
            if not member.reading:
                await self.join(member.branch)
        self._standing.append(self)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._standing.remove(self)
        for nested in reversed(self._nested):
            if error is None:
                await nested.commit()
            else:
                await nested.rollback()
