"""Words that routing and every backend share: kinds of failure, capabilities, block modes, idempotency markers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import msgspec

from regionkit.errors import RegionUnavailable
from regionkit.routing.consistency import SESSION, Consistency

__all__ = ["BlockMode", "Capabilities", "Claim", "Claimed", "Failure", "Marker", "Refused"]


class Failure(Enum):
    """What an error of a driver says about the endpoint and about what was sent."""

    APPLICATION = "the statement's own fault; says nothing about the endpoint"
    CONNECTION = "the connection is gone"
    DEADLINE = "the deadline passed while waiting for the server"
    ROLE = "the server is no longer what it was taken for"
    READ_ONLY = "a write was tried in a read block"
    ROLLED_BACK = "the server proved that it rolled the transaction back; running it again may succeed"


class Refused(Enum):
    """Why a server that answers can not be used: what `kit.status()` says of it, and what to do."""

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
            f"{endpoint!r} of {store!r} can not be used: {cause}.",
            why=why,
            fix=fix,
            retryable=self.passes,
            store=store,
            region=region,
            cause=cause,
        )


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do; shown by `explain` and in the support matrix.

    Attributes:
        server: the kind of server, in its own name.
        positions: it can say how far a copy has come, so that SESSION and BOUNDED reads may use replicas.
        read_only: who stops a write in a read block.
        transactions: a write block is one transaction that an exception rolls back.
        markers: keyed `execute_write` is possible.
        detects_promotion: the server itself proves where a history was left (else an operator adopts).
        bounded: BOUNDED reads are possible.
        strong: what STRONG reads on this backend, in words; "" when it is refused.
        leaderless: any allowed region takes writes; there is no owner.
        modes: which of "core", "snapshot" and "transaction" a block may ask for.
        eager: a block takes its connection when it opens: its handle can not wait for one at the first command.
        notes: limits, in words.
    """

    server: str
    positions: bool
    read_only: Literal["server", "credentials", "client"]
    transactions: bool
    markers: bool
    detects_promotion: bool
    bounded: bool = True
    strong: str = "the owner, primary as configured or by descent"
    leaderless: bool = False
    modes: frozenset[str] = frozenset()
    eager: bool = False
    notes: tuple[str, ...] = ()


class BlockMode(msgspec.Struct, frozen=True, gc=False):
    """How a block was asked for.

    Attributes:
        core: on SQL a Connection instead of a Session.
        snapshot: a read as one repeatable-read transaction.
        transaction: a write as one transaction, where that is not always so.
        consistency: level of a read.
    """

    core: bool = False
    snapshot: bool = False
    transaction: bool = False
    consistency: Consistency = SESSION


@dataclass(frozen=True, slots=True)
class Claim:
    """One keyed attempt. `attempt` is new for each started run."""

    key: str
    fingerprint: str
    attempt: str


@dataclass(frozen=True, slots=True)
class Marker:
    """What stands under an idempotency key: a committed write, or a tombstone that keeps it from committing."""

    applied: bool
    fingerprint: str
    result: bytes | None


class Claimed(Exception):
    """At the end of a keyed attempt its key was found taken: what stands there. Nothing of this attempt took effect."""

    def __init__(self, marker: Marker) -> None:
        super().__init__(marker)
        self.marker = marker
