"""What an error of redis-py says, by table."""

from __future__ import annotations

import redis

from regionkit.backends.values import Failure, Refused
from regionkit.errors import DeadlineExceeded, RegionUnavailable, TransactionRolledBack

__all__ = ["classify", "refused"]

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


def refused(error: BaseException) -> Refused | None:
    """Why a server that answered would not be introduced to; None when it was lost, or never reached."""
    match error:
        case redis.exceptions.BusyLoadingError():
            return Refused.STARTING
        case redis.exceptions.AuthenticationError() | redis.exceptions.NoPermissionError():
            return Refused.ACCOUNT
        case redis.exceptions.AuthenticationWrongNumberOfArgsError():
            return Refused.ACCOUNT  # a user name where the server knows passwords only
        case redis.exceptions.InvalidResponse():
            return Refused.KIND
        case redis.exceptions.ResponseError():
            return Refused.DATABASE if "DB index" in str(error) else Refused.OTHER
    text = str(error)
    if text.startswith("Protocol error"):
        return Refused.KIND  # hiredis
    return Refused.TLS if "SSL" in text or "certificate" in text else None
