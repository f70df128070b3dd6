# Generated from client_async.py by scripts/twins.py. Do not edit.
"""What the user types with on Cassandra: execute, execute_async, prepare, on the nodes of one data centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from regionkit.backends.cassandra.bridge import Pending
from regionkit.backends.cassandra.rows import CassandraRows

if TYPE_CHECKING:
    from regionkit.backends.cassandra.handle import CassandraHandle

__all__ = ["CassandraSession"]

Parameters = Sequence[Any] | Mapping[str, Any] | None


class CassandraSession:
    """Statements of one block. It ends with its block; not shared between threads or tasks.

    A statement is a text or one of the driver's: SimpleStatement, PreparedStatement, BoundStatement, BatchStatement. Its
    consistency level and its time stamp are set here: a level of its own has to ask for at least as much.
    """

    __slots__ = ("_handle",)

    def __init__(self, handle: CassandraHandle) -> None:
        self._handle = handle

    def execute(self, query: Any, parameters: Parameters = None, *, paging_state: bytes | None = None) -> CassandraRows:
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
        return self._handle.execute(query, parameters, paging_state)

    def execute_async(self, query: Any, parameters: Parameters = None) -> Pending[CassandraRows]:
        """Send a statement and wait for it later.

        The block's end waits for those that nobody waited for, and raises their errors.
        """
        return self._handle.execute_later(query, parameters)

    def prepare(self, query: str) -> Any:
        """The driver's PreparedStatement of a text.

        A server is asked once; then it costs a look-up, so ask for it in each block.
        """
        return self._handle.prepare(query)

    @property
    def keyspace(self) -> str:
        """Where tables without a keyspace are looked for."""
        return self._handle.keyspace

    @property
    def datacenter(self) -> str:
        """The data centre whose nodes run the statements; sure once one was sent."""
        return self._handle.datacenter
