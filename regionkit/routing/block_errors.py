"""What leaves a block: the errors of a backend as regionkit's, by what they say and by what had been sent. Pure."""

from __future__ import annotations

from typing import Any

from regionkit.contract.outcomes import Failure
from regionkit.errors import DeadlineExceeded, OutcomeUnknown, RegionKitError, RegionUnavailable, UsageError
from regionkit.facts.request import Kind

__all__ = ["block_error", "in_time", "unknown_outcome"]


def in_time(failure: Failure, left: float) -> Failure:
    """What a failure says of a block that had `left` seconds still.

    Our limits at the server outlast the deadline, so a statement that the server ended before was ended by the application's
    limit, or by an operator: that is the application's own error.
    """
    if failure is not Failure.CANCELLED:
        return failure
    return Failure.APPLICATION if left > 0.0 else Failure.DEADLINE


def block_error(
    error: BaseException, failure: Failure, kind: Kind, *, store: str, region: str
) -> RegionKitError | None:
    """The error that says what happened to a block whose endpoint was at fault; None for the application's own."""
    where: dict[str, Any] = {"store": store, "region": region}
    why = _text(error)
    match failure:
        case Failure.DEADLINE:
            fix = "pass a larger timeout=, or look at kit.status() for slow or dead regions."
            return DeadlineExceeded(f"a call on {store!r} in {region} took too long.", why=why, fix=fix, **where)
        case Failure.CONNECTION:
            fix = "run the block again: it goes to an endpoint that answers."
            return RegionUnavailable(f"the connection to {region} was lost.", why=why, fix=fix, **where)
        case Failure.READ_ONLY | Failure.ROLE if kind is Kind.READ:
            return UsageError(f"a write was tried in a read block of {store!r}.", why=why, fix="write in s.write(...).")
        case Failure.READ_ONLY | Failure.ROLE:
            fix = "run the block again: the new primary is looked for."
            return RegionUnavailable(f"{region} is no longer the primary.", why=why, fix=fix, **where)
    return None


def unknown_outcome(error: BaseException, what: str, *, store: str, key: str, partition: str) -> OutcomeUnknown:
    """The error of a block of which nobody knows whether it took effect."""
    return OutcomeUnknown(
        f"a block on {store!r} has an unknown outcome: {what}",
        why=_text(error),
        fix="look at the data; let OutcomeUnknown leave the block, and keep DDL in blocks of its own.",
        store=store,
        key=key or None,
        partition=partition,
    )


def _text(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    text = str(cause).strip()
    return text.splitlines()[0] if text else type(error).__name__
