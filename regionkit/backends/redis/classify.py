"""What an error of redis-py says, by table."""

from __future__ import annotations

import redis

from regionkit.backends.values import Failure
from regionkit.errors import DeadlineExceeded, RegionUnavailable, TransactionRolledBack

__all__ = ["classify"]

_TABLE: tuple[tuple[type[BaseException], Failure], ...] = (
    (DeadlineExceeded, Failure.DEADLINE),
    (RegionUnavailable, Failure.CONNECTION),
    (TransactionRolledBack, Failure.ROLLED_BACK),
    (redis.exceptions.TimeoutError, Failure.DEADLINE),
    (redis.exceptions.ReadOnlyError, Failure.ROLE),
    (redis.exceptions.ClusterDownError, Failure.CONNECTION),  # MASTERDOWN: a replica that lost its primary
    (redis.exceptions.AskError, Failure.CONNECTION),  # MOVED too: it became a member of a cluster
    (redis.exceptions.ConnectionError, Failure.CONNECTION),  # LOADING, NOAUTH, WRONGPASS and too many clients too
)


def classify(error: BaseException) -> Failure:
    """What an error that left a block, or a probe, says of the endpoint."""
    for kind, failure in _TABLE:
        if isinstance(error, kind):
            return failure
    return Failure.APPLICATION
