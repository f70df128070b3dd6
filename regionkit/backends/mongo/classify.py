"""What an error of pymongo says of the member and of what was sent. Pure.

Sources: the server's table of error codes (error_codes.yml); pymongo.errors. An error that a change of role brings in the
middle of a write leaves open whether it was carried out: it counts as a lost connection, never as refused.
"""

from __future__ import annotations

import re

from pymongo.errors import (
    BulkWriteError,
    ClientBulkWriteException,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.endpoint_errors import lacks_right, not_had, too_late
from regionkit.contract.interrupted import is_drivers
from regionkit.contract.outcomes import Failure, Refused
from regionkit.errors import DeadlineExceeded, RegionUnavailable, TransactionRolledBack
from regionkit.topology import MongoStore
from regionkit.topology.server_urls import server_url

__all__ = [
    "classify",
    "ended_by_own_limit",
    "is_unknown_commit",
    "lacking",
    "reading",
    "refused",
    "text_of",
    "timed_out",
    "translated",
    "was_refused",
]

POOL_CLOSED = "_PoolClosedError"
"""By its name: pymongo keeps the class in another module in each of its versions."""
ROLE = frozenset({10107, 13435, 10058})
"""NotWritablePrimary, NotPrimaryNoSecondaryOk, LegacyNotPrimary: refused before anything was done."""
INTERRUPTED = frozenset({11600, 11602, 91, 189, 13436, 6, 7, 89, 9001, 134})
"""InterruptedAtShutdown, InterruptedDueToReplStateChange, ShutdownInProgress, PrimarySteppedDown, NotPrimaryOrSecondary,
HostUnreachable, HostNotFound, NetworkTimeout, SocketException, ReadConcernMajorityNotAvailableYet."""
EXPIRED_AT_SERVER = 50
"""MaxTimeMSExpired."""
EXPIRED = frozenset({EXPIRED_AT_SERVER, 64, 202, 262})
"""MaxTimeMSExpired, WriteConcernFailed (a wtimeout), NetworkInterfaceExceededTimeLimit, ExceededTimeLimit."""
ROLLED_BACK = frozenset({112, 251, 225, 244})
"""WriteConflict, NoSuchTransaction, TransactionTooOld, TransactionAborted."""
UNAUTHORIZED = 13
ACCOUNT = frozenset({UNAUTHORIZED, 18, 8000})
"""Unauthorized, AuthenticationFailed, AtlasError (which is what a hosted set says of an account)."""
_DENIED = re.compile(
    r"not authorized on (?P<database>\S+) to execute command \{ (?P<command>\w+): \"?(?P<name>[^\",} ]+)"
)
"""What a member says of a command that the account may not give; behind it stand its values."""

_READING = "_regionkit_reading"
_OWN_LIMIT = "_regionkit_own_limit"


def reading(error: BaseException) -> None:
    """Note that a read raised an error: "not the primary" then says that the member cannot be used as one."""
    setattr(error, _READING, True)


def ended_by_own_limit(error: BaseException) -> None:
    """Note that a limit of the application's own was over, and that what it ended surely changed nothing outside of the block."""
    setattr(error, _OWN_LIMIT, True)


def timed_out(error: BaseException) -> bool:
    """Whether the time of one command was over, at the member or here."""
    return isinstance(error, NetworkTimeout | ExecutionTimeout) or getattr(error, "code", None) == EXPIRED_AT_SERVER


def classify(error: BaseException) -> Failure:
    """What an error that left a block, or a probe, says of the member."""
    if getattr(error, _OWN_LIMIT, False):
        return Failure.CANCELLED
    match error:
        case DeadlineExceeded():
            return Failure.DEADLINE
        case TransactionRolledBack():
            return Failure.ROLLED_BACK
        case RegionUnavailable():
            return Failure.CONNECTION
        case ClientBulkWriteException(error=PyMongoError() as inner):
            return classify(inner)
        case BulkWriteError(details=dict() as details) if details.get("writeConcernErrors"):
            return Failure.DEADLINE
        case WriteConcernError():  # it was carried out, and no majority is known to have it
            return Failure.CONNECTION if error.code in INTERRUPTED else Failure.DEADLINE
        case NetworkTimeout() | ExecutionTimeout() | WaitQueueTimeoutError():
            return Failure.DEADLINE
        case NotPrimaryError() | OperationFailure():
            return _by_code(error)
        case ConnectionFailure():
            return Failure.CONNECTION
        case PyMongoError() if type(error).__name__ == POOL_CLOSED:
            return Failure.CONNECTION
        case ConnectionError() if is_drivers(error):
            return Failure.CONNECTION
    return Failure.APPLICATION


def _by_code(error: PyMongoError) -> Failure:
    details = getattr(error, "details", None)
    code = details.get("code") if isinstance(details, dict) else getattr(error, "code", None)
    if code in ROLE:
        return Failure.CONNECTION if getattr(error, _READING, False) else Failure.ROLE
    if code in EXPIRED:
        return Failure.DEADLINE
    if error.has_error_label("TransientTransactionError") or code in ROLLED_BACK:
        return Failure.ROLLED_BACK
    if code in INTERRUPTED or isinstance(error, NotPrimaryError):
        return Failure.CONNECTION
    return Failure.APPLICATION


def refused(error: PyMongoError) -> Refused | None:
    """Why a member that answered cannot be used; None when it was lost, or never reached."""
    code = getattr(error, "code", None)
    if code in ACCOUNT:
        return Refused.ACCOUNT
    if isinstance(error, OperationFailure):
        return Refused.OTHER if _by_code(error) is Failure.APPLICATION else None
    text = str(error)
    return Refused.TLS if "SSL handshake failed" in text or "certificate" in text else None


def was_refused(error: PyMongoError) -> bool:
    """Whether a member that answered a write with this error surely did not carry it out."""
    answered = isinstance(error, NotPrimaryError | OperationFailure) and not isinstance(error, ExecutionTimeout)
    return answered and _by_code(error) in (Failure.ROLE, Failure.ROLLED_BACK, Failure.APPLICATION)


def translated(context: EndpointContext[MongoStore], error: PyMongoError) -> Exception:
    """An error outside of a block, as ours."""
    endpoint, store = context.endpoint, context.store
    failure, why = classify(error), text_of(error)
    if failure is Failure.DEADLINE:
        why = "the call's deadline passed before it reported its state."
        return too_late(context, f"{endpoint.id!r} of {store.name!r} did not answer in time.", why=why)
    lacks = lacking(context, error)
    if lacks is not None:
        return lacks
    what = f"{endpoint.id!r} of {store.name!r} cannot be used."
    return not_had(context, error, refused(error), what, why, retryable=failure is not Failure.APPLICATION)


def lacking(context: EndpointContext[MongoStore], error: PyMongoError) -> RegionUnavailable | None:
    """The error of a right that the account lacks, as far as the member names it; None where it failed for another reason."""
    denied = _DENIED.search(text_of(error)) if getattr(error, "code", None) == UNAUTHORIZED else None
    if denied is None:
        return None
    database, command, name = denied["database"], denied["command"], denied["name"]
    account = None if context.endpoint.url is None else server_url("mongo", context.endpoint.url).username
    role = f'{{ role: "readWrite", db: "{database}" }}'
    return lacks_right(
        context,
        f"{command} on {database}.{name}",
        f'db.grantRolesToUser("{account or "the account"}", [{role}]) in the database where the account is kept.',
        denied.group(),
    )


def is_unknown_commit(error: PyMongoError) -> bool:
    """Whether a commit was sent and it is not known whether a majority has it."""
    return error.has_error_label("UnknownTransactionCommitResult")


def text_of(error: BaseException) -> str:
    """What the server said, in one line; never a whole answer, which may quote documents."""
    details = getattr(error, "details", None)
    said = details.get("errmsg") if isinstance(details, dict) else None
    lines = str(said or error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
