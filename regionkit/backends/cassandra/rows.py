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
        return [row for row in self]

    def one(self) -> Any:
        rows = self.current_rows
        return rows[0] if rows else None

    @property
    def current_rows(self) -> list[Any]:
        rows: list[Any] = self._page.current_rows
        return rows

    @property
    def has_more_pages(self) -> bool:
        return self._page.paging_state is not None

    @property
    def paging_state(self) -> bytes | None:
        state: bytes | None = self._page.paging_state
        return state

    def next_page(self) -> CassandraRows:
        state = self.paging_state
        return self if state is None else self._next(state)

    @property
    def column_names(self) -> list[str]:
        return list(self._page.column_names or ())

    @property
    def was_applied(self) -> bool:
        return bool(self._page.was_applied)
