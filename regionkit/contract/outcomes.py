"""What an error says: of the endpoint, of what was sent, and why a server that answers cannot be used. Values only."""

from __future__ import annotations

from enum import Enum

from regionkit.errors import RegionUnavailable

__all__ = ["Failure", "Refused"]


class Failure(Enum):
    """What an error of a driver says about the endpoint and about what was sent."""

    APPLICATION = "the statement's own fault; says nothing about the endpoint"
    CONNECTION = "the connection is gone"
    DEADLINE = "the deadline passed while waiting for the server"
    CANCELLED = (
        "the server ended the statement: a limit, or somebody who may, that is none of ours unless our deadline is over"
    )
    ROLE = "the server is no longer what it was taken for"
    READ_ONLY = "a write was tried in a read block"
    ROLLED_BACK = "the server proved that it rolled the transaction back; running it again may succeed"


class Refused(Enum):
    """Why a server that answers cannot be used: what `kit.status()` says of it, and what to do."""

    ACCOUNT = ("the server refused the account", "look at user name, password and rights of the account in the URL.")
    NO_TLS = (
        "the server refused the account without TLS",
        "ask for it with tls='require', or let the server take the account from here.",
    )
    DATABASE = (
        "the server has no such database for this account",
        "look at the database in the URL, and at the account's rights there.",
    )
    TLS = ("TLS with the server failed", "look at tls= of the endpoint, and at the server's certificate.")
    KIND = ("what is there is no such server", "look at the address in the URL: it leads to something else.")
    STARTING = ("the server is starting, recovering or stopping", "wait: it is asked again in the background.")
    OTHER = ("the server refused the connection", "see why; reads go on elsewhere where the topology allows it.")

    @property
    def passes(self) -> bool:
        """Whether it may be over by itself."""
        return self in (Refused.STARTING, Refused.OTHER)

    def error(self, endpoint: str, *, store: str, region: str, why: str) -> RegionUnavailable:
        """The error that says so. `why`: in the server's own words."""
        cause, fix = self.value
        return RegionUnavailable(
            f"{endpoint!r} of {store!r} cannot be used: {cause}.",
            why=why,
            fix=fix,
            retryable=self.passes,
            store=store,
            region=region,
            cause=cause,
        )
