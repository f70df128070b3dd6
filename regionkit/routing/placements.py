"""What one process remembers of the rows of a directory. Pure.

1. A row changes by compare-and-set on its version only; its first version is 1, made on absence.
2. An absent key is never remembered as absent: somebody may be placing it now.
3. A remembered row older than `max_age` is asked for again; when nobody answers it is used on, since a home rarely changes.
4. A row is replaced by a newer version only.
5. A version that a bookmark has seen and this process has not is a floor: every row of an older version is asked for once
   more, since any of them may be the one that moved.
6. A failed question is not repeated for a while: known rows serve unchanged until then.
"""

from __future__ import annotations

from collections import OrderedDict

from regionkit.facts.placement import Placement

__all__ = ["Placements"]


class Placements:
    """Rows of one store that a process remembers, the least recently used forgotten first."""

    __slots__ = ("_floor", "_floor_at", "_max_age", "_most", "_quiet_until", "_rows")

    def __init__(self, max_age: float, most: int) -> None:
        self._max_age = max_age
        self._most = most
        self._rows: OrderedDict[str, tuple[Placement, float]] = OrderedDict()
        self._floor = 1
        self._floor_at = self._quiet_until = float("-inf")

    def in_vain(self, until: float) -> None:
        """Nobody answered: what is known serves until the instant `until`."""
        self._quiet_until = until

    def quiet(self, now: float) -> bool:
        """Whether what is known serves as it is."""
        return now < self._quiet_until

    def fresh(self, key: str, now: float) -> Placement | None:
        """The row, when it may be used without a question."""
        found = self._rows.get(key)
        return None if found is None or now > self._until(found) else found[0]

    def raise_floor(self, version: int, now: float) -> bool:
        """A bookmark has seen `version`; False when that is no news."""
        if version <= self._floor:
            return False
        self._floor, self._floor_at = version, now
        return True

    def below_floor(self, key: str) -> bool:
        """Whether the row may have been replaced by what a bookmark has seen, or is not known."""
        found = self._rows.get(key)
        return found is None or (found[0].version < self._floor and found[1] <= self._floor_at)

    def _until(self, found: tuple[Placement, float]) -> float:
        if found[0].version < self._floor and found[1] <= self._floor_at:
            return float("-inf")
        return found[1] + self._max_age

    def fresh_until(self, key: str) -> float:
        """Until when the row may be used without a question."""
        found = self._rows.get(key)
        return float("-inf") if found is None else self._until(found)

    def known(self, key: str) -> Placement | None:
        """The row as last seen, however old."""
        found = self._rows.get(key)
        return None if found is None else found[0]

    def put(self, row: Placement, now: float) -> bool:
        """Remember a row; False when it says nothing new, or when a newer one is known."""
        known = self._rows.get(row.key)
        if known is not None and known[0].version > row.version:
            return False
        self._rows[row.key] = (row, now)
        self._rows.move_to_end(row.key)
        while len(self._rows) > self._most:
            self._rows.popitem(last=False)
        return known is None or known[0] != row

    def all(self) -> list[Placement]:
        """Every row, the most recently used last."""
        return [row for row, _ in self._rows.values()]

    def forget(self, key: str) -> None:
        """Ask for this row again at its next use."""
        found = self._rows.get(key)
        if found is not None:
            self._rows[key] = (found[0], float("-inf"))
