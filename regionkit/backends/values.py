"""Words that routing and every backend share: kinds of failure, capabilities, idempotency markers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

__all__ = ["Capabilities", "Claim", "Failure", "Marker"]


class Failure(Enum):
    """What an error of a driver says about the endpoint and about what was sent."""

    APPLICATION = "the statement's own fault; says nothing about the endpoint"
    CONNECTION = "the connection is gone"
    DEADLINE = "the deadline passed while waiting for the server"
    ROLE = "the server is no longer what it was taken for"
    READ_ONLY = "a write was tried in a read block"
    ROLLED_BACK = "the server proved that it rolled the transaction back; running it again may succeed"


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
        notes: limits, in words.
    """

    server: str
    positions: bool
    read_only: Literal["server", "credentials", "client"]
    transactions: bool
    markers: bool
    detects_promotion: bool
    notes: tuple[str, ...] = ()


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
