"""What an error says: of the endpoint, of what was sent, and why a server cannot be reached or used. Values only."""

from __future__ import annotations

from enum import Enum

from regionkit.errors import RegionUnavailable

__all__ = ["Failure", "Refused", "Unreached"]


class Failure(Enum):
    """What an error of a driver says about the endpoint and about what was sent."""

    APPLICATION = "the statement's own fault; says nothing about the endpoint"
    CONNECTION = "the connection is gone"
    DEADLINE = "the deadline passed while waiting for the server"
    CANCELLED = (
        "the server ended the statement: a limit, or somebody who may, that is none of ours unless our deadline is over"
    )
    ROLE = "the server's role or history has changed"
    READ_ONLY = "a write was tried in a read block"
    ROLLED_BACK = "the server proved that it rolled the transaction back; running it again may succeed"


class _Cause(Enum):
    """A cause in a few words, as `kit.status()` shows it, and what to do."""

    @property
    def cause(self) -> str:
        """In a few words."""
        return str(self.value[0])

    @property
    def fix(self) -> str:
        """What to do."""
        return str(self.value[1])

    @property
    def passes(self) -> bool:
        """Whether it may pass without intervention."""
        return True

    def error(self, endpoint: str, *, store: str, region: str, why: str) -> RegionUnavailable:
        """The error that says so. `why`: in the server's or the system's own words."""
        return RegionUnavailable(
            f"{endpoint!r} of {store!r} cannot be used: {self.cause}.",
            why=why,
            fix=self.fix,
            retryable=self.passes,
            store=store,
            region=region,
            cause=self.cause,
        )


class Unreached(_Cause):
    """Why a server could not be reached."""

    NAME = (
        "its host name cannot be resolved (DNS)",
        "check the host in the URL, and the DNS server that this machine uses.",
    )
    CLOSED = (
        "connection refused, no server listens at its address",
        "the machine is up: start the server, or correct host and port in the URL.",
    )
    NO_WAY = (
        "no network route to its address",
        "check the host in the URL, and the routes and firewalls in between.",
    )
    FILE = ("its file or socket does not exist", "check the path in the URL, and whether the server runs.")
    SILENT = (
        "timed out, it did not answer",
        "the server is down or frozen, a firewall drops packets, it is another kind of server, or it lacks the TLS that is "
        "required: check the URL, tls= and the server; if it is only far away, raise probe_timeout of the profile.",
    )


class Refused(_Cause):
    """Why a server that answers cannot be used: what `kit.status()` says of it, and what to do."""

    ACCOUNT = ("the server refused the account", "check user name, password and rights of the account in the URL.")
    NO_TLS = (
        "the server refused the account without TLS",
        "set tls='require', or let the server accept the account from this address without TLS.",
    )
    DATABASE = (
        "the database does not exist, or the account may not use it",
        "check the database in the URL, and the account's rights to it.",
    )
    TLS = ("TLS with the server failed", "check tls= of the endpoint, and the server's certificate.")
    KIND = (
        "another kind of server or file is at its address",
        "check the address in the URL: it leads to something else.",
    )
    STARTING = ("the server is starting, recovering or stopping", "wait: regionkit tries again in the background.")
    OTHER = ("the server refused the connection", "see the cause; reads use other endpoints if the topology allows it.")

    @property
    def passes(self) -> bool:
        """Whether it may pass without intervention."""
        return self in (Refused.STARTING, Refused.OTHER)
