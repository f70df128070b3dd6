"""What a backend can do, as one value: `explain`, the support matrix and every refusal read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from regionkit.contract.advice import NEUTRAL, Advice

__all__ = ["Capabilities"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do; shown by `explain` and in the support matrix.

    Attributes:
        server: the kind of server, in its own name.
        positions: it can say how far a copy has come, so that SESSION and BOUNDED reads may use replicas.
        read_only: who stops a write in a read block.
        transactions: a write block is one transaction that an exception rolls back.
        markers: keyed `execute_write` is possible.
        counts_others: its position moves with every commit, whoever made it.
        detects_promotion: the server itself proves where a history was left (else an operator adopts).
        bounded: BOUNDED reads are possible.
        strong: what STRONG reads on this backend, in words; "" when it is refused.
        leaderless: any allowed region takes writes; there is no owner.
        modes: which of "core", "snapshot" and "transaction" a block may ask for.
        eager: a block takes its connection when it opens: its handle cannot wait for one at the first command.
        exchanges_data: a server may show other data on an open connection, so each answer is checked against what was proved.
        notes: limits, in words.
        advice: what errors advise, in this backend's words.
    """

    server: str
    positions: bool
    read_only: Literal["server", "credentials", "client"]
    transactions: bool
    markers: bool
    detects_promotion: bool
    bounded: bool = True
    strong: str = "the owner, primary as configured or by descent"
    leaderless: bool = False
    counts_others: bool = True
    modes: frozenset[str] = frozenset()
    eager: bool = False
    exchanges_data: bool = False
    notes: tuple[str, ...] = ()
    advice: Advice = NEUTRAL
