"""Positions in a history: how far a write is, how far a copy has come.

Two kinds, as the servers count: a number (PostgreSQL WAL address, SQLite counter), or MariaDB's GTIDs, one
(domain, server, sequence) per replication domain. A position means something only inside one history (history.py).

A GTID position counts as reached iff the copy applied that sequence in the domain *and* its binary log knows that
(domain, server) pair at least so far: with the applied position alone, a position of the losing side of a fork looked
reached (rules of routing, 8).
"""

from __future__ import annotations

import msgspec

__all__ = [
    "Gtids",
    "GtidsReached",
    "Position",
    "Reached",
    "as_position",
    "extended",
    "later",
    "reaches",
    "refutes",
    "within",
]

Gtids = tuple[tuple[int, int, int], ...]
"""(domain, server, sequence), sorted; one per domain as servers say them, one per (domain, server) where joined."""

Position = int | Gtids
"""What a bookmark asks for."""


class GtidsReached(msgspec.Struct, frozen=True, gc=False):
    """How far a MariaDB server has come: last applied per domain, and last known per (domain, server)."""

    applied: Gtids
    known: Gtids


Reached = int | GtidsReached
"""What a copy has."""


def reaches(have: Reached | None, want: Position) -> bool:
    """Whether a copy that has come to `have` shows everything up to `want`, both in the same history."""
    if isinstance(want, int):
        return isinstance(have, int) and have >= want
    if not isinstance(have, GtidsReached):
        return False
    applied = _newest(have.applied)
    known = {(domain, server): seq for domain, server, seq in have.known}
    return all(applied.get(d, -1) >= seq and known.get((d, server), -1) >= seq for d, server, seq in want)


def refutes(have: Reached | None, want: Position) -> bool:
    """Whether a copy in a later history proves that `want` never came to it.

    Its binary log knows the server that wrote `want`, but not so far. A server that it does not know proves nothing:
    logs are purged, and copies are made from backups.
    """
    if isinstance(want, int) or not isinstance(have, GtidsReached):
        return False
    known = {(domain, server): seq for domain, server, seq in have.known}
    return any(known.get((domain, server), seq) < seq for domain, server, seq in want)


def later(a: Position, b: Position) -> Position:
    """The least position that includes both: a copy reaches it iff it reaches each. They are of one kind.

    GTIDs are joined per (domain, server): a later sequence of another server does not prove the earlier one, while a
    promotion that no history row tells of lets two servers write under one history.
    """
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    if isinstance(a, int) or isinstance(b, int):
        raise ValueError("positions of two kinds in one history")
    best: dict[tuple[int, int], int] = {}
    for domain, server, seq in (*a, *b):
        best[domain, server] = max(seq, best.get((domain, server), seq))
    return tuple(sorted((domain, server, seq) for (domain, server), seq in best.items()))


def extended(have: Reached, position: Position) -> Reached:
    """What a copy has that was at `have` and is known to have `position` too."""
    if isinstance(have, int):
        return max(have, position) if isinstance(position, int) else have
    if isinstance(position, int):
        return have
    known = {(domain, server): seq for domain, server, seq in have.known}
    for domain, server, seq in position:
        known[domain, server] = max(seq, known.get((domain, server), -1))
    joined = later(have.applied, position)
    assert isinstance(joined, tuple)
    return GtidsReached(joined, tuple(sorted((d, s, n) for (d, s), n in known.items())))


def within(want: Position, fork: Position) -> bool:
    """Whether `want` lies at or before the place where a history was left for another."""
    if isinstance(want, int) or isinstance(fork, int):
        return isinstance(want, int) and isinstance(fork, int) and want <= fork
    left = _newest(fork)
    return all(seq <= left.get(domain, -1) for domain, _, seq in want)


def as_position(have: Reached) -> Position:
    """A position that covers all that a copy at `have` may have shown: the newest it applied in each domain.

    Earlier ones of other servers are not named: a copy made from a backup could never prove them.
    """
    if isinstance(have, int):
        return have
    newest = _newest(have.applied)
    return tuple(gtid for gtid in have.applied if gtid[2] == newest[gtid[0]])


def _newest(gtids: Gtids) -> dict[int, int]:
    """The highest sequence per domain."""
    newest: dict[int, int] = {}
    for domain, _, seq in gtids:
        newest[domain] = max(seq, newest.get(domain, seq))
    return newest
