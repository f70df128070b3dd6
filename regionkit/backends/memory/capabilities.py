"""What a store in memory can do."""

from __future__ import annotations

from regionkit.contract.advice import Advice
from regionkit.contract.capabilities import Capabilities

__all__ = ["CAPABILITIES"]

CAPABILITIES = Capabilities(
    server="memory",
    positions=True,
    read_only="client",
    transactions=True,
    markers=True,
    detects_promotion=False,
    modes=frozenset({"snapshot", "transaction"}),
    eager=True,
    notes=(
        "data exist only in this process and end with it: for tests of applications",
        "a write block is rolled back at its end if another commit has changed what it read",
    ),
    advice=Advice(
        promote="promote it with MemoryRegions.promote(region).",
        parts="by a separate commit",
        collisions="run it again later; shorter transactions collide less.",
    ),
)
