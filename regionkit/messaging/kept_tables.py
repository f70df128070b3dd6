"""What messaging keeps beside the data."""

from __future__ import annotations

from regionkit.core.tables import Table

__all__ = ["GATE", "HELD", "HOSPITAL", "HOSPITAL_EVENT", "IDEMPOTENCY", "INBOX", "KEPT", "STARTED"]


def _kept(name: str) -> Table:
    return Table(
        "messaging",
        name,
        1,
        {
            "sql": f"regionkit.messaging.inbox_tables_sql:{name}",
            "mongo": f"regionkit.messaging.inbox_tables_mongo:{name.upper()}",
        },
    )


INBOX = _kept("inbox")
"""One row a message that was taken and carries no number: its claim."""
GATE = _kept("gate")
"""One row a consumer, lineage and key: how far it has come, and whether it is parked."""
HELD = _kept("held")
"""Messages of parked keys, in order."""
STARTED = _kept("started")
"""One row a suspect: how often its handler was started, committed before it runs."""
HOSPITAL = _kept("hospital")
"""One row a case."""
HOSPITAL_EVENT = _kept("hospital_event")
"""What was done with each case, by whom, why."""
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

KEPT = (INBOX, GATE, HELD, STARTED, HOSPITAL, HOSPITAL_EVENT, IDEMPOTENCY)
