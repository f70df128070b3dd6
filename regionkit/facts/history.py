"""Histories of a store and their descent.

1. A history is what one owner wrote, from its making (create_tables, a promotion, an adoption) to the next fork. Its id
   is random, kept in a row that is replicated with the data: two replicas promoted apart get two ids, whatever the server
   numbers say.
2. A promotion's row also names its parent and the fork: the position up to which the parent's writes survived.
3. A position of an ancestor survives iff it lies at or before the fork where the lineage left that ancestor.
4. An owner follows another only by descent: the newer lineage contains the older one's newest id. Two lineages of which
   neither contains the other were promoted apart; neither may be written.
5. An operator's word goes over descent: an adoption is a row too, and its id says so, and when it was made. Of two lineages
   apart, the one with the later adoption is the newer. It is in the data, so it reaches every process and outlives them;
   what a lineage that was adopted does not know of was given up with the adoption.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from regionkit.facts.position import Position, within

__all__ = ["LONGEST_LINEAGE", "Descent", "HistoryRow", "Lineage", "Survival", "adoption_id", "lineage_of"]

LONGEST_LINEAGE = 64
"""Rows kept in mind per store: 63 promotions back. A bookmark older than that names an unknown history."""
_ADOPTED = "op-"
"""Begins the id of an operator's row. What follows is ordered by time."""


class HistoryRow(msgspec.Struct, frozen=True, gc=False):
    """One row of the history table. `origin` is what the server itself said where the row was written."""

    history: str
    parent: str | None
    fork: Position | None
    epoch: int
    origin: str


def adoption_id(unique: str) -> str:
    """The id of the history that an operator's word begins; of `unique` ids a later one is greater."""
    return f"{_ADOPTED}{unique}"


class Survival(Enum):
    """What became of a position."""

    CURRENT = "in the current history"
    SURVIVED = "of an ancestor, at or before the fork"
    LOST = "of an ancestor, after the fork"
    UNKNOWN = "of a history that is not an ancestor"


_CURRENT = Survival.CURRENT  # the common answer, without the look into the enum


class Descent(Enum):
    """How one lineage stands to another."""

    SAME = "same"
    NEWER = "descends from it, or was adopted in its place"
    OLDER = "is its ancestor, or was given up for it"
    APART = "promoted apart"


class Lineage(msgspec.Struct, frozen=True, gc=False):
    """Histories from the oldest kept to the newest. Never empty."""

    rows: tuple[HistoryRow, ...]

    @property
    def current(self) -> HistoryRow:
        """The newest row: the history that is written now."""
        return self.rows[-1]

    @property
    def adoption(self) -> str:
        """The id of its last adoption; "" when it has none. A later one is greater."""
        return max((row.history for row in self.rows if row.history.startswith(_ADOPTED)), default="")

    def survival(self, history: str, position: Position | None) -> Survival:
        """What became of `position` of `history`; of a position of None, what became of its history's end."""
        if history == self.rows[-1].history:
            return _CURRENT
        for row, child in zip(self.rows, self.rows[1:], strict=False):
            if row.history == history:
                fork = child.fork
                if position is not None and fork is not None and within(position, fork):
                    return Survival.SURVIVED
                return Survival.LOST
        return Survival.UNKNOWN

    def descent(self, other: Lineage) -> Descent:
        """How this lineage stands to `other`."""
        mine, theirs = self.current.history, other.current.history
        if mine == theirs:
            return Descent.SAME
        if any(row.history == theirs for row in self.rows):
            return Descent.NEWER
        if any(row.history == mine for row in other.rows):
            return Descent.OLDER
        if self.adoption == other.adoption:
            return Descent.APART
        return Descent.NEWER if self.adoption > other.adoption else Descent.OLDER


def lineage_of(rows: list[HistoryRow]) -> Lineage | None:
    """The lineage told by a table's rows in any order; None when there are none.

    Within one database each history has at most one child (a unique key on `parent`), so the rows are a chain. A chain
    whose oldest rows were cut off is one still.
    """
    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: row.epoch)[-LONGEST_LINEAGE:]
    return Lineage(tuple(ordered))
