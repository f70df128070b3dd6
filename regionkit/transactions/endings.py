"""What the end of a transaction's block raises. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping

from regionkit.errors import HeuristicOutcome, TransactionAborted, TransactionError, TransactionInDoubt
from regionkit.transactions.protocol import Outcome
from regionkit.transactions.xid import millis_of

__all__ = ["ABANDONED", "closed", "error_of"]

ABANDONED = "recovery took it for abandoned, and decided its abort"


def closed(gtrid: str, floor: str) -> str:
    """Why a transaction is rolled back whose name the log accepts no more."""
    return (
        f"the log is closed for transactions begun before {_when(floor)}, and this one was begun at {_when(gtrid)} by this "
        "machine's clock. That clock is slow; or the log's was fast for a time, and recovery closed what was yet to come"
    )


def _when(gtrid: str) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(millis_of(gtrid) / 1000.0))


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
