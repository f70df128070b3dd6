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
    strong="the primary, linearizable: it asks a majority before it answers (of one document)",
    modes=frozenset({"transaction"}),
    notes=(
        "a write block is a transaction only with transaction=True or an idempotency key; else each write stands alone",
        "reads show what a majority has; a write below majority makes the bookmark 'read from the owner'",
    ),
    advice=Advice(
        owner="wait: the members elect their primary by themselves; see rs.status() there.",
        promote="the members elect their primary by themselves: rs.stepDown() and their priorities decide which one it is.",
        parts="each write stands once a majority has it",
        collisions="run it again later; shorter transactions that share fewer documents collide less.",
    ),
)
