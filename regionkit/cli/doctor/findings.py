"""What the doctor says: findings, each with a code. Pure.

| first digit | about                                        |
|-------------|----------------------------------------------|
| D1          | configuration, and TLS                       |
| D2          | reachability                                 |
| D3          | roles, distance, clocks                      |
| D4          | replication and persistence of the servers   |
| D5          | accounts and rights                          |
| D6          | what regionkit keeps beside the data         |
| D7          | versions                                     |
| D8          | pillars of the application (`--app`)         |
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

import msgspec

__all__ = ["CODES", "Finding", "Severity", "in_order"]

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

CODES = MappingProxyType(
    {
        "D101": "bookmarks are not signed",
        "D102": "the file contains a password",
        "D103": "the store's URL is incomplete",
        "D104": "a store has no endpoint in the local region",
        "D105": "an endpoint is outside the store's residency",
        "D106": "the connection is not encrypted",
        "D107": "the certificate expires soon",
        "D108": "an endpoint's settings could not be read",
        "D201": "an endpoint cannot be reached",
        "D202": "a server refuses the account, or is of another kind",
        "D203": "TLS with a server fails",
        "D204": "no endpoint takes the store's writes",
        "D205": "an endpoint is fenced",
        "D301": "the declared role is not the reported one",
        "D302": "a copy is far behind",
        "D303": "an endpoint is too far for the profile",
        "D304": "the local endpoint is farther than another region's",
        "D305": "clocks differ",
        "D306": "time zones of a store's servers differ",
        "D401": "wal_level is too low",
        "D402": "long reads on a replica are cancelled",
        "D403": "no prepared transactions are allowed",
        "D404": "a crash may lose or damage data",
        "D405": "commits wait for a synchronous standby that is not there",
        "D406": "nothing uses a replication slot",
        "D407": "a replica is paused, delayed, or receives nothing",
        "D408": "the pool is larger than the server's connections",
        "D411": "the binary log does not carry positions",
        "D412": "GTIDs are off, not strict, or not what a replica follows",
        "D413": "a replica takes writes",
        "D414": "two servers have one server_id or server_uuid",
        "D415": "replication has stopped",
        "D416": "semi-synchronous replication has no acknowledging replica",
        "D417": "a replica applies commits out of order",
        "D418": "an idle transaction keeps its locks for hours",
        "D421": "the server may remove what regionkit keeps",
        "D422": "a restart loses the data",
        "D423": "the last save or write to disk failed",
        "D424": "the replication id may change",
        "D431": "a majority acknowledges from memory",
        "D432": "the URL does not name all members",
        "D433": "a member is neither primary nor secondary",
        "D434": "the set does not survive the loss of a member",
        "D435": "a member is delayed or has no region",
        "D441": "too few replicas in a data centre",
        "D442": "more replicas than nodes",
        "D443": "levels do not overlap",
        "D444": "the replication was changed and not confirmed",
        "D445": "a data centre has no region",
        "D446": "nodes are down, or do not agree on the schema",
        "D447": "logins depend on one node",
        "D501": "the account may do everything",
        "D502": "the account lacks a right",
        "D503": "the account for reads may write",
        "D504": "the account can write in spite of read_only",
        "D505": "the server requires no password",
        "D506": "promotions cannot be proved",
        "D507": "other accounts' synchronous commits are not visible",
        "D508": "recovery cannot list prepared branches",
        "D601": "the tables of regionkit are missing",
        "D602": "a table has another version",
        "D603": "other accounts may write the tables of regionkit",
        "D701": "the server is too old",
        "D702": "versions of servers differ",
        "D703": "the driver's version is not a tested one",
        "D801": "transactions",
        "D802": "outbox",
        "D803": "write-back cache",
        "D804": "a part of the application did not answer",
        "D805": "cases in the hospital are open",
        "D806": "claims are kept for too short a time",
    }
)
"""Every code, and what it is about."""


class Finding(msgspec.Struct, frozen=True):
    """One finding.

    Attributes:
        code: one of `CODES`; it keeps its meaning.
        severity: "error": something does not work, or data are at risk; "warning": it works, with a risk; "note": information.
        subject: store and endpoint, or another thing that it is about.
        what: the state that was found.
        why: it matters.
        fix: what to do.
    """

    code: str
    severity: Severity
    subject: str
    what: str
    why: str
    fix: str


def in_order(findings: list[Finding]) -> list[Finding]:
    """Errors first, then by subject and code; each once."""
    once = list(dict.fromkeys(findings))
    return sorted(once, key=lambda f: (SEVERITIES.index(f.severity), f.subject, f.code))
