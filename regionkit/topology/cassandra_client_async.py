"""What a block on a Cassandra store yields, as types: `regionkit.backends.cassandra` implements them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

__all__ = ["AsyncCassandraRows", "AsyncCassandraSession", "Parameters"]

Parameters = Sequence[Any] | Mapping[str, Any] | None
"""Values of a statement, by place or by name."""


class AsyncCassandraRows(Protocol):
    """What a statement gave. Iterate over it for all rows; pages that come later are fetched within the block.

    Rows are named tuples. Not shared between threads or tasks.
    """

    def __aiter__(self) -> AsyncIterator[Any]: ...

    async def all(self) -> list[Any]:
        """Every row."""
        ...

    def one(self) -> Any:
        """The first row; None when there is none."""
        ...

    @property
    def current_rows(self) -> list[Any]:
        """The rows of this page."""
        ...

    @property
    def has_more_pages(self) -> bool:
        """Whether the server has more rows."""
        ...

    @property
    def paging_state(self) -> bytes | None:
        """Where the next page begins, for `execute(..., paging_state=)` in a later block; None after the last one."""
        ...

    async def next_page(self) -> AsyncCassandraRows:
        """The next page, within the block's deadline; an empty one after the last.

        Raises:
            UsageError: the block has ended.
        """
        ...

    @property
    def column_names(self) -> list[str]:
        """In the order of the rows' values."""
        ...

    @property
    def was_applied(self) -> bool:
        """Whether a conditional statement found its condition met."""
        ...


class AsyncCassandraSession(Protocol):
    """Statements of one block. It ends with its block; not shared between threads or tasks.

    A statement is a text or one of the driver's: SimpleStatement, PreparedStatement, BoundStatement, BatchStatement. Its
    consistency level and its time stamp are set here: a level of its own has to ask for at least as much.
    """

    async def execute(
        self, query: Any, parameters: Parameters = None, *, paging_state: bytes | None = None
    ) -> AsyncCassandraRows:
        """Run a statement and give its rows.

        A write stands when this returns; there is nothing that an exception rolls back.

        Args:
            query: a text with %s or %(name)s, or a statement of the driver's.
            parameters: its values.
            paging_state: where an earlier result stopped.

        Raises:
            UsageError: a write in a read block; a level below the store's; a time stamp or retries of the statement's own;
                conditional and plain writes of one table; the block has ended.
            cassandra.DriverException: what the server said.
        """
        ...

    def execute_async(self, query: Any, parameters: Parameters = None) -> Any:
        """Send a statement and wait for it later, by its `result()` (in asyncio also by `await`).

        The block's end waits for those that nobody waited for, and raises their errors.
        """
        ...

    async def prepare(self, query: str) -> Any:
        """The driver's PreparedStatement of a text.

        A server is asked once; then it costs a look-up, so ask for it in each block.
        """
        ...

    @property
    def keyspace(self) -> str:
        """Where tables without a keyspace are looked for."""
        ...

    @property
    def datacenter(self) -> str:
        """The data centre whose nodes run the statements; sure once one was sent."""
        ...
