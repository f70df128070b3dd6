"""What the user types with on Cassandra: execute, execute_async, prepare, on the nodes of one data centre."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from regionkit.backends.cassandra.bridge_async import AsyncPending
from regionkit.backends.cassandra.rows_async import AsyncCassandraRows
from regionkit.topology.cassandra_client_async import AsyncCassandraRows as PromisedRows
from regionkit.topology.cassandra_client_async import AsyncCassandraSession as PromisedSession
from regionkit.topology.cassandra_client_async import Parameters

__all__ = ["AsyncCassandraSession", "AsyncStatements"]


class AsyncStatements(Protocol):
    """What a block does with the statements that its session is given: its handle."""

    @property
    def keyspace(self) -> str:
        """Of the store."""
        ...

    @property
    def datacenter(self) -> str:
        """Of the endpoint that serves the block."""
        ...

    async def execute(self, query: Any, parameters: Any, paging_state: bytes | None) -> AsyncCassandraRows:
        """Send a statement and wait for its first page."""
        ...

    def execute_later(self, query: Any, parameters: Any) -> AsyncPending[AsyncCassandraRows]:
        """Send a statement; it is waited for by whoever wants it, or by the block's end."""
        ...

    async def prepare(self, text: str) -> Any:
        """The prepared statement of a text."""
        ...


class AsyncCassandraSession:
    """Statements of one block. It ends with its block; not shared between threads or tasks.

    A statement is a text or one of the driver's: SimpleStatement, PreparedStatement, BoundStatement, BatchStatement. Its
    consistency level and its time stamp are set here: a level of its own has to ask for at least as much.
    """

    __slots__ = ("_statements",)

    def __init__(self, statements: AsyncStatements) -> None:
        self._statements = statements

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
        return await self._statements.execute(query, parameters, paging_state)

    def execute_async(self, query: Any, parameters: Parameters = None) -> AsyncPending[AsyncCassandraRows]:
        """Send a statement and wait for it later.

        The block's end waits for those that nobody waited for, and raises their errors.
        """
        return self._statements.execute_later(query, parameters)

    async def prepare(self, query: str) -> Any:
        """The driver's PreparedStatement of a text.

        A server is asked once; then it costs a look-up, so ask for it in each block.
        """
        return await self._statements.prepare(query)

    @property
    def keyspace(self) -> str:
        """Where tables without a keyspace are looked for."""
        return self._statements.keyspace

    @property
    def datacenter(self) -> str:
        """The data centre whose nodes run the statements; sure once one was sent."""
        return self._statements.datacenter


if TYPE_CHECKING:

    def _as_promised(session: AsyncCassandraSession, rows: AsyncCassandraRows) -> tuple[PromisedSession, PromisedRows]:
        """A store's types say what a block yields: this is where it is checked."""
        return session, rows
