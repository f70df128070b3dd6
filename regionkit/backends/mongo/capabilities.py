"""What MongoDB can do, as a value."""

from __future__ import annotations

from regionkit.contract.advice import Advice
from regionkit.contract.capabilities import Capabilities

__all__ = ["CAPABILITIES"]

CAPABILITIES = Capabilities(
    server="mongodb",
    positions=True,
    read_only="client",
    transactions=False,
    markers=True,
    detects_promotion=True,
    strong="the primary, linearizable: it confirms with a majority before it answers (for single documents)",
    modes=frozenset({"transaction"}),
    notes=(
        "a write block is a transaction only with transaction=True or an idempotency key; else its writes are separate",
        "reads show what a majority has; after a write with a lower write concern the bookmark says 'read from the owner'",
    ),
    advice=Advice(
        owner="wait: the members elect a primary; see rs.status().",
        promote="the members elect their primary: influence the election with rs.stepDown() and their priorities.",
        parts="each write takes effect once a majority has it",
        collisions="run it again later; shorter transactions that share fewer documents collide less.",
    ),
)
