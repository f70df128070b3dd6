"""What the SQL backend asks of each kind of server; one file a server implements it.

A server object belongs to one endpoint. It makes engines' arguments, asks a connection where it stands, and proves
promotions where the server can. Its functions that take a DBAPI connection run in SQLAlchemy's world: plain calls for
threads, inside a greenlet for asyncio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from regionkit.contract.capabilities import Capabilities
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.facts.history import HistoryRow, Lineage, lineage_of
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position, Uuids
from regionkit.facts.request import Kind
from regionkit.topology import ParsedUrl, SqlStore

__all__ = ["Server", "SqlContext", "encode_fork", "history_rows"]


SqlContext = EndpointContext[SqlStore]
"""What a server object knows of its endpoint."""


class Server(Protocol):
    """One endpoint's kind of server."""

    capabilities: Capabilities

    def url_and_arguments(self, url: ParsedUrl, kind: Kind) -> tuple[Any, dict[str, Any]]:
        """SQLAlchemy URL, and connect arguments: TLS, keepalive, server-side limits, read-only for reads."""
        ...

    def flush(self, dbapi_connection: Any) -> None:
        """Have the server write down what it has logged, where an observation says `unflushed`. No transaction is open."""
        ...

    def observe(self, dbapi_connection: Any) -> Observation:
        """Where the server stands, asked on this connection; at connect and later."""
        ...

    def alive(self, dbapi_connection: Any) -> bool:
        """Whether an idle connection still stands, as far as this side can see without a round trip."""
        ...

    def drop(self, dbapi_connection: Any) -> None:
        """Close a connection at once, without a word to the server and without waiting."""
        ...

    def widen(self, dbapi_connection: Any, seconds: float) -> None:
        """Raise the server's own limits on this connection to at least `seconds`."""
        ...

    def prove_promotion(
        self, dbapi: Callable[[], Any], parent: HistoryRow, observation: Observation
    ) -> Position | None:
        """Where the server itself says that it left `parent`; `dbapi` opens a connection of the driver."""
        ...


def history_rows(text: str | None) -> Lineage | None:
    """The lineage in a JSON array of [history, parent, fork, epoch, origin] rows."""
    if not text:
        return None
    raw = msgspec.json.decode(text, type=list[tuple[str, str, str, int, str]])
    return lineage_of(
        [HistoryRow(h, parent or None, decode_fork(fork), epoch, origin) for h, parent, fork, epoch, origin in raw]
    )


def encode_fork(fork: Position | None) -> str:
    """A fork position as the text kept in the history table."""
    return "" if fork is None else msgspec.json.encode(fork).decode()


def decode_fork(text: str) -> Position | None:
    """The fork position in that text."""
    return None if not text else msgspec.json.decode(text, type=int | tuple[tuple[int, int, int], ...] | Uuids)
