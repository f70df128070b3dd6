# Generated from savepoint_async.py by scripts/twins.py. Do not edit.
"""A block inside of a transaction that can be undone alone, in every branch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regionkit.transactions.member import Member
from regionkit.transactions.participants.participant import Branch

__all__ = ["Savepoint"]


class Savepoint:
    """Made by `Transaction.savepoint`. What its block raises undoes what the block did, and is raised on.

    Args:
        members: branches that are open.
        standing: savepoints that are, from the outermost on: a branch that opens later joins them.
    """

    def __init__(self, members: Mapping[str, Member], standing: list[Savepoint]) -> None:
        self._members = members
        self._standing = standing
        self._nested: list[Any] = []

    def join(self, branch: Branch) -> None:
        """A branch is part of it from here on."""
        self._nested.append(branch.session().begin_nested())

    def __enter__(self) -> None:
        for member in self._members.values():
            if not member.reading:
                self.join(member.branch)
        self._standing.append(self)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._standing.remove(self)
        for nested in reversed(self._nested):
            if error is None:
                nested.commit()
            else:
                nested.rollback()
