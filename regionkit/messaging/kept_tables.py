"""What messaging keeps beside the data."""

from __future__ import annotations

from regionkit.core.tables import Table

__all__ = ["IDEMPOTENCY", "KEPT"]

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

KEPT = (IDEMPOTENCY,)
