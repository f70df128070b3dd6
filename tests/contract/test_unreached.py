"""Why a server could not be reached, in whichever way a driver wraps what the system said. Needs no server."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from regionkit.contract.outcomes import Unreached
from regionkit.contract.unreached import DEEPEST, unreached

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


class Driver(Exception):
    """An error of some driver's."""


def caused(inner: BaseException, *, by: str) -> Driver:
    """A driver's error around another one."""
    error = Driver("cannot connect")
    if by == "errors":
        error.errors = {"host": inner}  # type: ignore[attr-defined]
    else:
        setattr(error, by, inner)
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Unreached.NAME),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), Unreached.NAME),
        (REFUSED, Unreached.CLOSED),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Unreached.NO_WAY),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), Unreached.FILE),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), Unreached.SILENT),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] ..."), Unreached.CLOSED),
        (Driver('could not translate host name "a" to address: Unknown host'), Unreached.NAME),
        (Driver("failed to resolve host 'a': [Errno -2] Name or service not known"), Unreached.NAME),
        (Driver(f"connection to server failed: {os.strerror(errno.ECONNREFUSED)}\n\tIs it running?"), Unreached.CLOSED),
        (Driver("server closed the connection unexpectedly"), None),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), None),
    ],
)
@pytest.mark.parametrize("by", ["itself", "orig", "__cause__", "__context__", "original_exception", "errors"])
def test_what_the_system_said_is_found(error: Exception, cause: Unreached | None, by: str) -> None:
    """By itself, or wherever a driver keeps it."""
    assert unreached(error if by == "itself" else caused(error, by=by)) is cause


def test_a_chain_that_leads_to_itself_ends() -> None:
    """As one that is raised from itself; and a very long one is not walked to its end."""
    error = Driver("x")
    error.__cause__ = error
    assert unreached(error) is None
    longest: BaseException = REFUSED
    for _ in range(DEEPEST):
        longest = caused(longest, by="__cause__")
    assert unreached(longest) is None
