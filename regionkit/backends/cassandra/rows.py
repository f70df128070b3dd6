# Generated from rows_async.py by scripts/twins.py. Do not edit.
"""The rows of a statement, fetched page by page as they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["CassandraRows"]

NextPage = Callable[[bytes], "CassandraRows"]


class CassandraRows:
    """What a statement gave. Iterate over it for all rows; pages that come later are fetched within the block.

    Rows are named tuples. Not shared between threads or tasks.
    """

    __slots__ = ("_next", "_page")

    def __init__(self, page: Any, next_page: NextPage) -> None:
        self._page = page
        self._next = next_page

    def __iter__(self) -> Iterator[Any]:
        rows = self
        while True:
            for row in rows.current_rows:
                yield row
            if not rows.has_more_pages:
                return
            rows = rows.next_page()

    def all(self) -> list[Any]:
        """Every row."""
        return [row for row in self]

    def one(self) -> Any:
        """The first row; None when there is none."""
        rows = self.current_rows
        return rows[0] if rows else None

    @property
    def current_rows(self) -> list[Any]:
        """The rows of this page."""
        rows: list[Any] = self._page.current_rows
        return rows

    @property
    def has_more_pages(self) -> bool:
        """Whether the server has more rows."""
        return self._page.paging_state is not None

    @property
    def paging_state(self) -> bytes | None:
        """Where the next page begins, for `execute(..., paging_state=)` in a later block; None after the last one."""
        state: bytes | None = self._page.paging_state
        return state

    def next_page(self) -> CassandraRows:
        """The next page, within the block's deadline; an empty one after the last.

        Raises:
            UsageError: the block has ended.
        """
        state = self.paging_state
        return self if state is None else self._next(state)

    @property
    def column_names(self) -> list[str]:
        """In the order of the rows' values."""
        return list(self._page.column_names or ())

    @property
    def was_applied(self) -> bool:
        """Whether a conditional statement found its condition met."""
        return bool(self._page.was_applied)
