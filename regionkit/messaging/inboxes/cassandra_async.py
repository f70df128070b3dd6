"""An inbox in Cassandra: claims by conditional statements, each with its owner's word, for effects that are elsewhere.

A statement whose answer is lost is read at SERIAL: a handler starts only after "won" was read (`claims/cassandra_async`).
"""

from __future__ import annotations

from typing import Any

from regionkit.messaging.inboxes.claims_async import AsyncClaimInbox
from regionkit.messaging.records_async import AsyncCassandraRecords

__all__ = ["AsyncCassandraInbox"]


class AsyncCassandraInbox(AsyncClaimInbox):
    """Claims in a keyspace. Safe to share between threads (tasks of one loop).

    Args:
        given: a session of the Cassandra driver, or a kit.
        hospital: where cases are kept: an engine, a database of MongoDB's, or an inbox there.
        store: which of a kit's stores.
        namespace: prefix of its tables; a kit's own counts for its stores.
    """

    def __init__(
        self, given: Any, *, hospital: Any = None, store: str | None = None, namespace: str = "regionkit"
    ) -> None:
        super().__init__(AsyncCassandraRecords(given, store=store, namespace=namespace), hospital, namespace)
