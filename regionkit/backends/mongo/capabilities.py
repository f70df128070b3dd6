"""What MongoDB can do, as a value."""

from __future__ import annotations

from regionkit.contract.capabilities import Capabilities

__all__ = ["CAPABILITIES"]

CAPABILITIES = Capabilities(
    server="mongodb",
    positions=True,
    read_only="client",
    transactions=False,
    markers=True,
    detects_promotion=True,
    strong="the primary, linearizable: it asks a majority before it answers (of one document)",
    modes=frozenset({"transaction"}),
    notes=(
        "a write block is a transaction only with transaction=True or an idempotency key; else each write stands alone",
        "reads show what a majority has; a write below majority makes the bookmark 'read from the owner'",
    ),
)
