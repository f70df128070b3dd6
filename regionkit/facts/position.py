"""Positions in a history: how far a write is, how far a copy has come.

Four kinds, as the servers count: a number (PostgreSQL WAL address, SQLite counter), MariaDB's GTIDs, one
(domain, server, sequence) per replication domain, MySQL's GTIDs, one number per server that wrote, or the levels at which
a Cassandra cluster was written and read. A position means something only inside one history (history.py).

A GTID position counts as reached iff the copy applied that sequence in the domain *and* its binary log knows that
(domain, server) pair at least so far: with the applied position alone, a position of the losing side of a fork looked
reached (rules of routing, 8).

MySQL keeps the set of all transactions that a server has. A position (uuid, n) asks for all of that server's transactions
from 1 to n: with parallel appliers a copy may have n and lack n - 1. A copy whose set of a uuid does not begin at 1 (it was
cloned, or its log was reset) proves nothing for that uuid.

Cassandra's replicas do not count. What was written at a level in one data centre counts as reached by another iff the two
levels overlap on every set of replicas that could have answered (quorum.py). What was read counts as if it had been
written where and as it was read: a read at a level leaves the newest value on as many replicas (blocking read repair, the
default of a table), while the write itself may never have been acknowledged. So the same level in the same data centre
shows it again, and another data centre only where the levels overlap.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from regionkit.facts.quorum import Replication, overlaps, overlaps_everywhere, raised

__all__ = [
    "Gtids",
    "GtidsReached",
    "Levels",
    "LevelsReached",
    "Position",
    "Reached",
    "Uuids",
    "UuidsReached",
    "as_position",
    "extended",
    "later",
    "reaches",
    "reaches_everything",
    "refutes",
    "within",
]

Gtids = tuple[tuple[int, int, int], ...]
"""(domain, server, sequence), sorted; one per domain as servers say them, one per (domain, server) where joined."""

LevelAt = tuple[str, str]
"""(data centre, consistency level)."""


class Levels(msgspec.Struct, frozen=True, gc=False, tag="levels"):
    """What was written and read in a Cassandra cluster, sorted, and the newest time stamp written, microseconds since 1970."""

    writes: tuple[LevelAt, ...] = ()
    reads: tuple[LevelAt, ...] = ()
    stamp: int = 0


class Uuids(msgspec.Struct, frozen=True, gc=False, tag="uuids"):
    """All transactions of each server from 1 to a number: (uuid, number), sorted, each uuid once."""

    upto: tuple[tuple[str, int], ...] = ()


Position = int | Gtids | Uuids | Levels
"""What a bookmark asks for."""


class UuidsReached(msgspec.Struct, frozen=True, gc=False, tag="uuids"):
    """How far a MySQL server has come: of each server that wrote, the number up to which it has every transaction."""

    upto: tuple[tuple[str, int], ...]


class GtidsReached(msgspec.Struct, frozen=True, gc=False, tag="gtids"):
    """How far a MariaDB server has come: last applied per domain, and last known per (domain, server)."""

    applied: Gtids
    known: Gtids


class LevelsReached(msgspec.Struct, frozen=True, gc=False, tag="levels"):
    """How a data centre of a Cassandra cluster is read, and how the store is written.

    `changed`: why its replicas may lack what was acknowledged, whatever the levels; "" where they may not.
    """

    datacenter: str
    read_level: str
    write_level: str
    replication: Replication
    changed: str = ""


Reached = int | GtidsReached | UuidsReached | LevelsReached
"""What a copy has."""


def reaches(have: Reached | None, want: Position) -> bool:
    """Whether a copy that has come to `have` shows everything up to `want`, both in the same history."""
    if isinstance(want, int):
        return isinstance(have, int) and have >= want
    if isinstance(want, Levels):
        return isinstance(have, LevelsReached) and _shows(have, want)
    if isinstance(want, Uuids):
        return isinstance(have, UuidsReached) and _covers(have.upto, want.upto)
    if not isinstance(have, GtidsReached):
        return False
    applied = _newest(have.applied)
    known = {(domain, server): seq for domain, server, seq in have.known}
    return all(applied.get(d, -1) >= seq and known.get((d, server), -1) >= seq for d, server, seq in want)


def _covers(have: tuple[tuple[str, int], ...], want: tuple[tuple[str, int], ...]) -> bool:
    if have == want:
        return True
    upto = dict(have)
    return all(upto.get(uuid, 0) >= number for uuid, number in want)


def _shows(have: LevelsReached, want: Levels) -> bool:
    if have.changed:
        return False
    here, replication = (have.datacenter, have.read_level), have.replication
    return all(overlaps(write, here, replication) for write in want.writes) and all(
        read == here or overlaps(read, here, replication) for read in want.reads
    )


def reaches_everything(have: Reached | None) -> bool:
    """Whether a copy shows every acknowledged write, wherever it was made: what a bookmark without a position asks for."""
    if not isinstance(have, LevelsReached) or have.changed:
        return False
    return overlaps_everywhere(have.write_level, (have.datacenter, have.read_level), have.replication)


def read_level(have: Reached | None, wants: Sequence[Position | None]) -> str:
    """The level at which a data centre shows all of `wants`, which lie in its history: its own, else a raised one; "" where
    none does. None among them: every acknowledged write, wherever it was made.
    """
    if not isinstance(have, LevelsReached) or have.changed:
        return ""
    here, seen, written = (have.datacenter, have.read_level), set(), set()
    for want in wants:
        if want is None:
            written |= {(name, have.write_level) for name, _ in have.replication}
        elif isinstance(want, Levels):
            written |= {*want.writes}
            seen |= {read for read in want.reads if read != here}
    if all(overlaps(one, here, have.replication) for one in written | seen):
        return have.read_level
    return raised(here, frozenset(written | seen), have.replication)


def refutes(have: Reached | None, want: Position) -> bool:
    """Whether a copy in a later history proves that `want` never came to it.

    Its binary log knows the server that wrote `want`, but not so far. A server that it does not know proves nothing:
    logs are purged, and copies are made from backups.
    """
    if isinstance(want, Uuids):
        upto = dict(have.upto) if isinstance(have, UuidsReached) else {}
        return any(upto.get(uuid, number) < number for uuid, number in want.upto)
    if isinstance(want, int | Levels) or not isinstance(have, GtidsReached):
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
    if isinstance(a, Levels) and isinstance(b, Levels):
        writes, reads = {*a.writes, *b.writes}, {*a.reads, *b.reads}
        return Levels(tuple(sorted(writes)), tuple(sorted(reads)), max(a.stamp, b.stamp))
    if isinstance(a, Uuids) and isinstance(b, Uuids):
        joined = dict(a.upto)
        for uuid, number in b.upto:
            joined[uuid] = max(number, joined.get(uuid, 0))
        return Uuids(tuple(sorted(joined.items())))
    if isinstance(a, int | Levels | Uuids) or isinstance(b, int | Levels | Uuids):
        raise ValueError("positions of two kinds in one history")
    best: dict[tuple[int, int], int] = {}
    for domain, server, seq in (*a, *b):
        best[domain, server] = max(seq, best.get((domain, server), seq))
    return tuple(sorted((domain, server, seq) for (domain, server), seq in best.items()))


def extended(have: Reached, position: Position) -> Reached:
    """What a copy has that was at `have` and is known to have `position` too."""
    if isinstance(have, int):
        return max(have, position) if isinstance(position, int) else have
    if isinstance(have, UuidsReached) and isinstance(position, Uuids):
        more = later(Uuids(have.upto), position)
        return UuidsReached(more.upto) if isinstance(more, Uuids) else have
    if isinstance(have, LevelsReached | UuidsReached) or isinstance(position, int | Levels | Uuids):
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
    if isinstance(want, Levels) or isinstance(fork, Levels):
        return isinstance(want, Levels) and isinstance(fork, Levels)  # nothing is left behind: no replica was promoted
    if isinstance(want, Uuids) or isinstance(fork, Uuids):
        return isinstance(want, Uuids) and isinstance(fork, Uuids) and _covers(fork.upto, want.upto)
    left = _newest(fork)
    return all(seq <= left.get(domain, -1) for domain, _, seq in want)


def as_position(have: Reached) -> Position:
    """A position that covers all that a copy at `have` may have shown: the newest it applied in each domain.

    Earlier ones of other servers are not named: a copy made from a backup could never prove them.
    """
    if isinstance(have, int):
        return have
    if isinstance(have, LevelsReached):
        return Levels(reads=((have.datacenter, have.read_level),))
    if isinstance(have, UuidsReached):
        return Uuids(have.upto)
    newest = _newest(have.applied)
    return tuple(gtid for gtid in have.applied if gtid[2] == newest[gtid[0]])


def _newest(gtids: Gtids) -> dict[int, int]:
    """The highest sequence per domain."""
    newest: dict[int, int] = {}
    for domain, _, seq in gtids:
        newest[domain] = max(seq, newest.get(domain, seq))
    return newest
