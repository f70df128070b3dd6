"""What an error that left a block on a store in memory says. Pure."""

from __future__ import annotations

from regionkit.backends.memory.world import NotPrimary
from regionkit.contract.outcomes import Failure
from regionkit.errors import DeadlineExceeded, RegionUnavailable, TransactionRolledBack

__all__ = ["classify"]


def classify(error: BaseException) -> Failure:
    """Of the endpoint. Errors of the application's own connections say nothing."""
    match error:
        case DeadlineExceeded():
            return Failure.DEADLINE
        case TransactionRolledBack():
            return Failure.ROLLED_BACK
        case RegionUnavailable():
            return Failure.CONNECTION
        case NotPrimary():
            return Failure.ROLE
    return Failure.APPLICATION
