# Generated from client_async.py by scripts/twins.py. Do not edit.
"""What the user types with on Cassandra: execute, execute_async, prepare, on the nodes of one data centre."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from regionkit.backends.cassandra.bridge import Pending, check_helper
from regionkit.backends.cassandra.cluster import in_thread
from regionkit.backends.cassandra.rows import CassandraRows
from regionkit.topology.cassandra_client import CassandraRows as PromisedRows
from regionkit.topology.cassandra_client import CassandraSession as PromisedSession
from regionkit.topology.cassandra_client import Parameters

__all__ = ["CassandraSession", "Statements"]


class Statements(Protocol):
    """What a block does with the statements that its session is given: its handle."""

    @property
    def keyspace(self) -> str: ...

    @property
    def datacenter(self) -> str: ...

    def execute(self, query: Any, parameters: Any, paging_state: bytes | None) -> CassandraRows: ...

    def execute_later(self, query: Any, parameters: Any) -> Pending[CassandraRows]:
        """Send a statement; it is waited for by whoever wants it, or by the block's end."""
        ...

    def prepare(self, text: str) -> Any: ...


class CassandraSession:
    """Statements of one block. It ends with its block; not shared between threads or tasks.

    A statement is a text or one of the driver's: SimpleStatement, PreparedStatement, BoundStatement, BatchStatement. Its
    consistency level and its time stamp are set here: a level of its own has to ask for at least as much.
    """

    __slots__ = ("_statements",)

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def execute(self, query: Any, parameters: Parameters = None, *, paging_state: bytes | None = None) -> CassandraRows:
        return self._statements.execute(query, parameters, paging_state)

    def execute_async(
        self, query: Any, parameters: Parameters = None, *, execution_profile: Any = None, timeout: None = None
    ) -> Pending[CassandraRows]:
        if execution_profile is not None or timeout is not None:  # `cassandra.concurrent` of driver 3.29 names both
            check_helper(execution_profile)
        return self._statements.execute_later(query, parameters)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> None:
        """What `cassandra.concurrent` asks of a session after a hundred refusals in a row: another thread goes on with them."""
        in_thread(partial(work, *arguments), "regionkit cassandra concurrent")

    def prepare(self, query: str) -> Any:
        return self._statements.prepare(query)

    @property
    def keyspace(self) -> str:
        return self._statements.keyspace

    @property
    def datacenter(self) -> str:
        return self._statements.datacenter


if TYPE_CHECKING:

    def _as_promised(session: CassandraSession, rows: CassandraRows) -> tuple[PromisedSession, PromisedRows]:
        """A store's types say what a block yields: this is where it is checked."""
        return session, rows
