"""What an error of redis-py says, by table."""

from __future__ import annotations

import re

import redis

from regionkit.contract.outcomes import Failure, Refused
from regionkit.errors import DeadlineExceeded, RegionUnavailable, TransactionRolledBack

__all__ = [
    "REFUSALS",
    "classify",
    "denied_command",
    "is_answer",
    "is_denied",
    "is_read_only",
    "missing_right",
    "refused",
]

_READ_ONLY_IN_SCRIPT = re.compile(r"@user_script: \d+: -READONLY ")
"""Before Redis 7 the error of a command in a script has no code of its own: it stands in the text of the script's error."""

_DENIED_IN_SCRIPT = re.compile(r"NOPERM|The user executing the script can't")
_DENIED_IN_OURS = re.compile(r"The user executing the script can't run this command")
"""From Redis 7 on it does not say which."""
_DENIED_COMMAND = re.compile(r"permissions to run the '(?P<name>[\w|]+)' command")

REFUSALS = (redis.exceptions.BusyLoadingError, redis.exceptions.AuthenticationError)
"""Errors of the driver that break a connection, and yet are an answer: nothing was done."""

_TABLE: tuple[tuple[type[BaseException], Failure], ...] = (
    (DeadlineExceeded, Failure.DEADLINE),
    (RegionUnavailable, Failure.CONNECTION),
    (TransactionRolledBack, Failure.ROLLED_BACK),
    (redis.exceptions.TimeoutError, Failure.DEADLINE),
    (redis.exceptions.ClusterDownError, Failure.CONNECTION),  # MASTERDOWN: a replica that lost its primary
    (redis.exceptions.AskError, Failure.CONNECTION),  # MOVED too: it became a member of a cluster
    (redis.exceptions.ConnectionError, Failure.CONNECTION),  # LOADING, NOAUTH, WRONGPASS and too many clients too
)


def classify(error: BaseException) -> Failure:
    """What an error that left a block, or a probe, says of the endpoint."""
    if is_read_only(error):
        return Failure.ROLE
    for kind, failure in _TABLE:
        if isinstance(error, kind):
            return failure
    return Failure.APPLICATION


def is_read_only(error: BaseException) -> bool:
    """Whether a replica refused a write, its own or one in a script."""
    if isinstance(error, redis.exceptions.ReadOnlyError):
        return True
    return isinstance(error, redis.exceptions.ResponseError) and bool(_READ_ONLY_IN_SCRIPT.search(str(error)))


def is_answer(error: BaseException) -> bool:
    """Whether the server refused what was sent, and did none of it; else nobody knows what it did.

    Of one command, or of a script of ours: its first write is refused, or none.
    """
    return isinstance(error, (redis.exceptions.ResponseError, *REFUSALS))


def is_denied(error: BaseException) -> bool:
    """Whether the account lacks a right (NOPERM), of its own or in a script."""
    if isinstance(error, redis.exceptions.NoPermissionError):
        return True
    return isinstance(error, redis.exceptions.ResponseError) and bool(_DENIED_IN_SCRIPT.search(str(error)))


def denied_command(error: BaseException) -> str:
    """The command that an account may not give; "" where that is not what an error says."""
    found = _DENIED_COMMAND.search(str(error))
    return "" if found is None else found["name"]


def missing_right(error: BaseException, keys: str) -> tuple[str, str]:
    """Of an account that was denied something: the right that it lacks, and the rule that grants it. `keys`: regionkit's own."""
    name = denied_command(error)
    if name:
        return f"the command {name.upper().replace('|', ' ')}", f"+{name}"
    if _DENIED_IN_OURS.search(str(error)):
        return "a command that a script of regionkit's gives", "+@all -@admin -@dangerous +info"
    return f"the keys {keys}", f"~{keys}"


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
