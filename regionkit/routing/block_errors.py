"""The errors of a backend in regionkit's words, by what they say and by what had been sent: of a block, of a probe. Pure."""

from __future__ import annotations

from typing import Any

from regionkit.contract.outcomes import Failure, Unreached
from regionkit.core.storable import words_of
from regionkit.errors import DeadlineExceeded, OutcomeUnknown, RegionKitError, RegionUnavailable, StaleRead, UsageError
from regionkit.facts.request import Kind

__all__ = ["block_error", "exchanged", "fell_behind", "in_time", "probe_error", "replaced", "unknown_outcome"]


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
            fix = "pass a larger timeout=, or check kit.status() for slow or dead regions."
            return DeadlineExceeded(f"a call on {store!r} in {region} took too long.", why=why, fix=fix, **where)
        case Failure.CONNECTION:
            fix = "run the block again: it goes to an endpoint that answers."
            return RegionUnavailable(f"the connection to {region} was lost.", why=why, fix=fix, **where)
        case Failure.READ_ONLY | Failure.ROLE if kind is Kind.READ:
            return UsageError(f"a write was tried in a read block of {store!r}.", why=why, fix="write in s.write(...).")
        case Failure.READ_ONLY | Failure.ROLE:
            fix = "run the block again: regionkit looks for the new primary."
            return RegionUnavailable(f"{region} is no longer the primary.", why=why, fix=fix, **where)
    return None


def probe_error(error: Exception, failure: Failure) -> tuple[str, str]:
    """Why a probe failed, in a few words, and what to do about it."""
    said, advice = str(getattr(error, "cause", "")), str(getattr(error, "fix", ""))
    if failure is Failure.APPLICATION or not getattr(error, "blames_endpoint", True):
        said = str(getattr(error, "what", type(error).__name__))
    elif failure is Failure.DEADLINE:
        said, advice = Unreached.SILENT.cause, Unreached.SILENT.fix
    return f"probe: {said or failure.value}", advice if said else ""


def replaced(store: str, region: str) -> RegionUnavailable:
    """The error of a block that had no connection yet when `kit.replace` took its endpoint out. Nothing was sent."""
    return RegionUnavailable(
        f"the block's endpoint in {region} of {store!r} is closed.",
        why="the kit was closed, or its topology replaced, after the block was opened; it takes no new connections.",
        fix="run the block again: a new one uses the current topology.",
        store=store,
        region=region,
    )


def exchanged(store: str, decision: Any) -> StaleRead:
    """The error of a read block whose server showed other data than the proved data."""
    return StaleRead(
        f"{store!r}: the data at {decision.endpoint.id!r} were replaced during a read block.",
        why="the copy switched to another history of its primary; the proof was for the data before.",
        fix="read in a new block.",
        store=store,
        decision=decision,
    )


def fell_behind(store: str, bound: float, decision: Any) -> StaleRead:
    """The error of a bounded read block whose copy no longer keeps its bound."""
    return StaleRead(
        f"{store!r} fell behind its bound of {bound:g} s during a read block.",
        why="the copy no longer replicates, or the owner does not answer; a block does not change its endpoint.",
        fix="read in a new block; shorter blocks are proved more often.",
        store=store,
        decision=decision,
    )


def unknown_outcome(
    error: BaseException, what: str, fix: str, *, store: str, key: str, partition: str
) -> OutcomeUnknown:
    """The error of a block of which nobody knows whether it took effect."""
    return OutcomeUnknown(
        f"a block on {store!r} has an unknown outcome: {what}",
        why=_text(error),
        fix=fix,
        store=store,
        key=key or None,
        partition=partition,
    )


def _text(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    text = words_of(cause).strip()
    return text.splitlines()[0] if text else type(error).__name__
