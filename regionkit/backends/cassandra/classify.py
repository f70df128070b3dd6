"""What an error of the Cassandra driver says, by table, and whether a statement that raised it can have taken effect."""

from __future__ import annotations

import re
import ssl
import struct

from cassandra import (
    AuthenticationFailed,
    CoordinationFailure,
    FunctionFailure,
    OperationTimedOut,
    ReadFailure,
    RequestExecutionException,
    RequestValidationException,
    Timeout,
    Unauthorized,
    Unavailable,
    UnresolvableContactPoints,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.protocol import ErrorMessage
from cassandra.protocol import RequestExecutionException as RequestExecutionError
from cassandra.protocol import RequestValidationException as RequestValidationError

from regionkit.backends.cassandra.capabilities import UNMET
from regionkit.contract.interrupted import is_drivers
from regionkit.contract.outcomes import Failure, Refused, Unreached
from regionkit.errors import DeadlineExceeded, RegionKitError, RegionUnavailable, StaleRead

__all__ = ["classify", "denied", "is_certain", "refused", "unmet", "unpacked"]

_KINDS: tuple[tuple[tuple[type[BaseException], ...], Failure], ...] = (
    ((DeadlineExceeded, OperationTimedOut, Timeout), Failure.DEADLINE),
    ((RegionUnavailable, NoHostAvailable, AuthenticationFailed, UnresolvableContactPoints), Failure.CONNECTION),
    ((ReadFailure, FunctionFailure), Failure.APPLICATION),  # too many tombstones, a failing function: it fails anywhere
    ((Unavailable, CoordinationFailure, ConnectionException, OSError), Failure.CONNECTION),
    ((RequestValidationException, RequestValidationError), Failure.APPLICATION),
    # overloaded, bootstrapping, an error inside the server: another one may answer
    ((RequestExecutionException, RequestExecutionError, ErrorMessage), Failure.CONNECTION),
)


_PACKING = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error)
"""What packing raises, UnicodeEncodeError among them. The driver tries each host, and each time it fails alike."""
_DENIED = re.compile(r"User (?P<account>\S+) has no (?P<permission>\w+) permission on <(?P<resource>[^>]+)>")
CONTENDED = 0x1700
"""CAS_WRITE_UNKNOWN (native protocol v5, section 9), which the driver has no class for: another conditional write came in
between."""


def classify(error: BaseException) -> Failure:
    """What an error that left a block, or a probe, says of the endpoint."""
    if getattr(error, "code", None) == CONTENDED:
        return (
            Failure.ROLLED_BACK
        )  # of a read, which may run again; of a write the handle knows that its outcome is open
    if isinstance(error, OSError) and not isinstance(error, RegionKitError) and not is_drivers(error):
        return Failure.APPLICATION
    return next((failure for kinds, failure in _KINDS if isinstance(error, kinds)), Failure.APPLICATION)


def unpacked(error: BaseException) -> BaseException | None:
    """The error of a value that the driver could not pack, of which it says that no host was available; nothing was sent."""
    inner = error.errors.values() if isinstance(error, NoHostAvailable) and isinstance(error.errors, dict) else ()
    return next((each for each in inner if isinstance(each, _PACKING) and not isinstance(each, OSError)), None)


def refused(error: BaseException) -> Refused | Unreached | None:
    """Why a node that answered cannot be used, or that none was found by name; None when it was lost, or never reached."""
    if isinstance(error, UnresolvableContactPoints):
        return Unreached.NAME  # the driver keeps nothing of what the name service said
    if isinstance(error, AuthenticationFailed):
        return Refused.ACCOUNT
    # the driver makes a plain OSError of what OpenSSL said while it connected; its words stay
    is_tls = isinstance(error, ssl.SSLError) or (isinstance(error, OSError) and "[SSL" in str(error))
    return Refused.TLS if is_tls else None


def denied(error: BaseException) -> tuple[str, str] | None:
    """The permission that the account lacks, and how it is granted; None where the error says something else."""
    found = _DENIED.search(str(error)) if isinstance(error, Unauthorized) else None
    if found is None:
        return None
    permission, resource = found["permission"], found["resource"]
    kind, _, name = resource.partition(" ")
    granted = resource.upper() if kind == "all" else f"{kind.upper()} {name}"
    return f"{permission} on {resource}", f"GRANT {permission} ON {granted} TO {found['account']};"


def unmet(error: BaseException, level: str, datacenter: str) -> StaleRead:
    """The error of a read that was raised to `level`, and that a data centre which it has to ask did not answer."""
    return StaleRead(
        f"a read at {level} was not answered by every data centre that it asks.",
        why=f"the session wrote or saw what {datacenter} alone need not show: {type(error).__name__}.",
        fix=UNMET,
    )


def is_certain(error: BaseException, *, conditional: bool) -> bool:
    """Whether the statement surely took no effect.

    No host was found, so nothing was sent; the coordinator saw too few live replicas before it wrote to any (a conditional
    statement has more than one phase, so there it says less); or the statement itself is wrong.
    """
    if isinstance(error, Unavailable):
        return not conditional
    return isinstance(error, NoHostAvailable | RequestValidationException | RequestValidationError)
