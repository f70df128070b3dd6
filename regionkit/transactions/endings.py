"""What the end of a transaction's block raises. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from regionkit.errors import HeuristicOutcome, TransactionAborted, TransactionError, TransactionInDoubt
from regionkit.transactions.protocol import Outcome

__all__ = ["error_of"]


def error_of(
    gtrid: str,
    outcome: Outcome,
    *,
    why: str,
    retryable: bool,
    pending: tuple[str, ...],
    hazards: Mapping[str, str],
) -> TransactionError | None:
    """None where it has committed, or will on the branches that are pending."""
    if outcome is Outcome.COMMITTED:
        return None
    if outcome is Outcome.ABORTED:
        return TransactionAborted(
            f"transaction {gtrid} was rolled back.",
            why=why,
            fix="run it again." if retryable else "remove the cause first: it would fail again.",
            retryable=retryable,
            gtrid=gtrid,
            pending=pending,
        )
    if outcome is Outcome.HEURISTIC:
        return HeuristicOutcome(
            f"transaction {gtrid} did not end as decided on some branches.",
            why="; ".join(f"{name}: {what}" for name, what in sorted(hazards.items())),
            fix=f"compare the branches (regionkit tpc show {gtrid}), repair the data, then: regionkit tpc forget {gtrid}.",
            gtrid=gtrid,
            pending=pending,
        )
    return TransactionInDoubt(
        f"the outcome of transaction {gtrid} is not known yet.",
        why=why or "its coordinator did not answer in time, and continues.",
        fix=f"do not run it again before recovery has ended it: tx.wait_settled(), or regionkit tpc show {gtrid}.",
        gtrid=gtrid,
        pending=pending,
    )
