"""Names of global transactions and their branches, as they stand on the servers. Pure.

1. gtrid: 48 bits of milliseconds, then 80 random bits, as 32 hex digits: ordered up to clock skew, safe over a fork.
2. A name holds the namespace and the id of the decision log. Names are compared field by field, never by a prefix: recovery
   touches only its own namespace, and presumes an abort only for its own log.
3. PostgreSQL: `rk1:<namespace>:<log>:<gtrid>:<branch>:<patience>`. XA: format id 0x524B31, gtrid `<namespace>.<log>.<gtrid>`,
   bqual `<branch>.<patience>`. Nothing in a name needs quoting.
4. patience: one digit, how long the transaction may take to its decision; a recoverer waits that long before it ends it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from regionkit.errors import UsageError

__all__ = [
    "FORMAT",
    "PATIENCE",
    "Xid",
    "check_branches",
    "check_gtrid",
    "gtrid_of",
    "millis_of",
    "patience_for",
    "xid_of_gid",
    "xid_of_xa",
]

FORMAT = 0x524B31
"""Format id of regionkit's XA names; MariaDB takes at most 2147483647."""
PATIENCE = (10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Seconds by digit. The longest `timeout` of a transaction is the last one."""
MOST_BRANCHES = 64
"""Of one transaction: their names and histories fit a row, and nobody waits for more votes."""
SAME = r"(?P<namespace>[a-z][a-z0-9_]{0,21})"
LOG = r"(?P<log>[0-9a-f]{8})"
GTRID = r"(?P<gtrid>[0-9a-f]{32})"
BRANCH = r"(?P<branch>[a-z][a-z0-9_]{0,21})"
DIGIT = rf"(?P<patience>[0-{len(PATIENCE) - 1}])"
_GTRID = re.compile(GTRID, re.ASCII)
_BRANCH = re.compile(BRANCH, re.ASCII)
_GID = re.compile(rf"rk1:{SAME}:{LOG}:{GTRID}:{BRANCH}:{DIGIT}", re.ASCII)
_XA_GLOBAL = re.compile(rf"{SAME}\.{LOG}\.{GTRID}", re.ASCII)
_XA_BRANCH = re.compile(rf"{BRANCH}\.{DIGIT}", re.ASCII)


class Xid(msgspec.Struct, frozen=True, gc=False):
    """One branch of one global transaction.

    Attributes:
        namespace: of the transaction manager.
        log: id of its decision log, 8 hex digits.
        gtrid: of the global transaction, 32 hex digits.
        branch: name of the participant.
        patience: index in PATIENCE.
    """

    namespace: str
    log: str
    gtrid: str
    branch: str
    patience: int

    @property
    def gid(self) -> str:
        """The name for PostgreSQL: at most 95 bytes of the 199 that it takes."""
        return f"rk1:{self.namespace}:{self.log}:{self.gtrid}:{self.branch}:{self.patience}"

    @property
    def xa(self) -> str:
        """The name for XA statements, in three parts: at most 64 and 24 bytes of the 64 that each may have."""
        return f"'{self.namespace}.{self.log}.{self.gtrid}','{self.branch}.{self.patience}',{FORMAT}"


def gtrid_of(millis: int, random: bytes) -> str:
    """A new name: `millis` since 1970, 10 random bytes."""
    return f"{millis & (1 << 48) - 1:012x}{random[:10].hex()}"


def millis_of(gtrid: str) -> int:
    """Milliseconds since 1970 at its coordinator's begin."""
    return int(gtrid[:12], 16)


def check_gtrid(gtrid: str) -> str:
    """The name, as it is.

    Raises:
        UsageError: it is none of regionkit's.
    """
    if _GTRID.fullmatch(gtrid) is None:
        raise UsageError(
            f"{gtrid[:100]!r} is no name of a transaction.",
            why="it has 32 hex digits in lower case.",
            fix="take it from tx.gtrid, or from `regionkit tpc list`.",
        )
    return gtrid


def check_branches(names: Sequence[str]) -> None:
    """Branches of one transaction.

    Raises:
        UsageError: too many, or names that cannot stand on the servers.
    """
    if len(names) > MOST_BRANCHES or not all(_BRANCH.fullmatch(name) for name in names):
        raise UsageError(
            f"{list(names)!r} cannot be the branches of a transaction.",
            why=f"there are at most {MOST_BRANCHES}, each name of at most 22 of a-z, 0-9 and _.",
            fix="let participants have such names.",
        )


def patience_for(timeout: float) -> int:
    """The digit for a transaction that may take `timeout` seconds to its decision.

    Raises:
        UsageError: it is not above 0, or longer than any recoverer waits.
    """
    if type(timeout) not in (int, float) or not 0.0 < timeout <= PATIENCE[-1]:
        raise UsageError(
            f"a transaction's timeout is {timeout!r} seconds.",
            why="after it a recoverer takes the transaction for abandoned.",
            fix=f"give it more than 0 and at most {PATIENCE[-1]:.0f} seconds.",
        )
    return next(index for index, seconds in enumerate(PATIENCE) if timeout <= seconds)


def xid_of_gid(gid: str) -> Xid | None:
    """What PostgreSQL lists, where it is one of regionkit's."""
    match = _GID.fullmatch(gid)
    return None if match is None else _xid(match.groupdict())


def xid_of_xa(format_id: int, gtrid: str, bqual: str) -> Xid | None:
    """What XA RECOVER lists, where it is one of regionkit's."""
    if format_id != FORMAT:
        return None
    whole, part = _XA_GLOBAL.fullmatch(gtrid), _XA_BRANCH.fullmatch(bqual)
    return None if whole is None or part is None else _xid({**whole.groupdict(), **part.groupdict()})


def _xid(said: dict[str, str]) -> Xid:
    return Xid(said["namespace"], said["log"], said["gtrid"], said["branch"], int(said["patience"]))
