"""What messaging keeps beside the data."""

from __future__ import annotations

from regionkit.core.tables import Table

__all__ = [
    "GATE",
    "HELD",
    "HOSPITAL",
    "HOSPITAL_EVENT",
    "IDEMPOTENCY",
    "INBOX",
    "INBOX_TABLES",
    "KEPT",
    "OUTBOX",
    "QUEUE",
    "STARTED",
]


def _kept(name: str, module: str = "inbox_tables_sql") -> Table:
    return Table("messaging", name, 1, {"sql": f"regionkit.messaging.{module}:{name}"})


def _inbox(name: str) -> Table:
    return Table(
        "messaging",
        name,
        1,
        {
            "sql": f"regionkit.messaging.inbox_tables_sql:{name}",
            "mongo": f"regionkit.messaging.inbox_tables_mongo:{name.upper()}",
        },
    )


INBOX = _inbox("inbox")
"""One row a message that was taken and carries no number: its claim."""
GATE = _inbox("gate")
"""One row a consumer, lineage and key: how far it has come, and whether it is parked."""
HELD = _inbox("held")
"""Messages of parked keys, in order."""
STARTED = _inbox("started")
"""One row a suspect: how often its handler was started, committed before it runs."""
HOSPITAL = _inbox("hospital")
"""One row a case."""
HOSPITAL_EVENT = _inbox("hospital_event")
"""Each action on a case: what, who, why."""
INBOX_TABLES = (INBOX, GATE, HELD, STARTED, HOSPITAL, HOSPITAL_EVENT)
"""What a consumer keeps in the database of its effects."""

IDEMPOTENCY = Table(
    "messaging",
    "idempotency",
    1,
    {
        "sql": "regionkit.messaging.claims.schema_sql:idempotency",
        "mongo": "regionkit.messaging.claims.schema_mongo:IDEMPOTENCY",
        "cassandra": "regionkit.messaging.claims.schema_cassandra:IDEMPOTENCY",
    },
)
"""One row a claim: of a call, or of a message whose effect is outside."""

QUEUE = _kept("queue", "queue_tables_sql")
"""One row a message of a `SqlQueue`, and who has it."""


def _outbox(name: str, *, mongo: bool = True) -> Table:
    families = {"sql": f"regionkit.messaging.outbox_tables_sql:{name}"}
    if mongo:
        families["mongo"] = f"regionkit.messaging.outbox_documents_mongo:{name.upper()}"
    return Table("messaging", name, 1, families)


OUTBOX = (
    _outbox("outbox"),
    _outbox("outbox_later"),
    _outbox("outbox_payload"),
    _outbox("outbox_key"),
    _outbox("outbox_run", mongo=False),  # there it is a record
    _outbox("outbox_lease"),
)
"""What an outbox keeps: messages, those that are not due, payloads of several destinations, the last number of each key, the
run of the database's owner, and who publishes."""

KEPT = (*INBOX_TABLES, IDEMPOTENCY, QUEUE, *OUTBOX)
