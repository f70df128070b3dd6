"""The rows of a statement, fetched page by page as they are looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

__all__ = ["AsyncCassandraRows"]

NextPage = Callable[[bytes], Awaitable["AsyncCassandraRows"]]


class AsyncCassandraRows:
    """What a statement gave. Iterate over it for all rows; pages that come later are fetched within the block.

    Rows are named tuples. Not shared between threads or tasks.
    """

    __slots__ = ("_next", "_page")

    def __init__(self, page: Any, next_page: NextPage) -> None:
        self._page = page
        self._next = next_page

    async def __aiter__(self) -> AsyncIterator[Any]:
        rows = self
        while True:
            for row in rows.current_rows:
                yield row
            if not rows.has_more_pages:
                return
            rows = await rows.next_page()

    async def all(self) -> list[Any]:
        return [row async for row in self]

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

    async def next_page(self) -> AsyncCassandraRows:
        state = self.paging_state
        return self if state is None else await self._next(state)

    @property
    def column_names(self) -> list[str]:
        return list(self._page.column_names or ())

    @property
    def was_applied(self) -> bool:
        return bool(self._page.was_applied)
