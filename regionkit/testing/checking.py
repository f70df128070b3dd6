"""Checks histories: which promise was broken, and by which operations. Pure; no finding is a guess.

Every key is a register whose versions only grow (see `history`). Held to a promise are reads at SESSION and STRONG; reads
of other levels count as what a session saw. Only acknowledged writes and completed reads oblige anybody: an unknown
outcome is never a violation. The four session guarantees are those of Terry et al., "Session Guarantees for Weakly
Consistent Replicated Data" (1994), by their names in Jepsen's map of consistency models, read off what can be observed:

1. read your writes: a read shows at least the newest version that its session wrote of this key.
2. monotonic reads: a read shows at least the newest version that its session saw of this key.
3. monotonic writes: a session wrote w1, later w2. Its versions of one key do not go down; and whoever saw w2, of whatever
   key, does not miss w1 afterwards in its own session.
4. writes follow reads: the same, where the writer of w2 did not write w1 but saw it.
5. bounded staleness: a read with bound b that began at t shows at least every version acknowledged before t - b; a read at
   STRONG those acknowledged before t.
6. no lost writes: a final look shows at least the newest acknowledged version of each key.
7. honest outcomes: no read saw a write that failed (Adya's G1a, aborted read), or one that began only after the read; no
   version of a key was acknowledged to two writers, and none was made under one that was there already (lost update).

   What an attempt of unknown outcome leaves open: whether it took effect, and when, from its start on. It may be what a
   later attempt of the same version was acknowledged for: a keyed write that ran again. So each version that was seen or
   acknowledged is made once, at or after the start of its first attempt that did not fail, and before the end of whatever
   saw or acknowledged it or a newer one. Where these times contradict each other, an update was lost; else there is an
   order of effects that explains every answer, and nothing is found.

What this cannot say. 3 and 4 speak of the order inside each copy, which no client sees. Across keys, a finding proves that
the four did not all hold, and is named after what the writer did with w1. They hold only where one order covers the keys:
check stores and partitions apart (`History.only`). They are followed over any number of sessions; a version that two
sessions may have written, or whose write failed, leads no further. A lost write under a newer version is not seen, nor are
transactions over several keys, nor linearizability: 5 with STRONG is its half "no stale read". 3, 4 and 5 compare times of
two processes and refuse a history of several clocks.

Cost: 1 to 4 are linear in the operations; a fork copies the state of its session. A read that might break 3 or 4 is searched
for, over the operations since the version that it missed was sent: few, unless the promise is broken.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping
from itertools import accumulate

from regionkit.facts.consistency import Level
from regionkit.testing.guarantees import (
    MOST_FINDINGS,
    SESSION_GUARANTEES,
    Guarantee,
    Violation,
    refuse_several_clocks,
)
from regionkit.testing.history import History, Key, Operation
from regionkit.testing.session_order import SessionOrder

__all__ = [
    "MOST_FINDINGS",
    "SESSION_GUARANTEES",
    "Guarantee",
    "Violation",
    "check",
    "check_outcomes",
    "check_sessions",
    "check_staleness",
    "check_survival",
]


def check(history: History, final: Mapping[Key, int | None] | None = None) -> list[Violation]:
    """Check everything that is promised; `final`, see `check_survival`, may be left out.

    Raises:
        ConfigurationError: times of several clocks; operations of one session overlap.
    """
    found = check_sessions(history) + check_staleness(history) + check_outcomes(history)
    return found if final is None else found + check_survival(history, final)


def check_sessions(history: History, guarantees: Collection[Guarantee] = SESSION_GUARANTEES) -> list[Violation]:
    """Check the session guarantees, or those asked for. At most MOST_FINDINGS of each; the search across keys ends with
    either of its two.

    Raises:
        ConfigurationError: times of several clocks (where these matter); operations of one session overlap.
    """
    return SessionOrder(history, guarantees).run()


def check_staleness(history: History) -> list[Violation]:
    """Check BOUNDED and STRONG reads against what had been acknowledged; at most MOST_FINDINGS.

    Raises:
        ConfigurationError: times of several clocks.
    """
    refuse_several_clocks(history)
    acknowledged: dict[Key, list[Operation]] = defaultdict(list)
    for operation in history:
        if operation.kind == "write" and operation.outcome == "ok":
            acknowledged[operation.key].append(operation)
    newest: dict[Key, list[Operation]] = {}
    for key, writes in acknowledged.items():
        writes.sort(key=_ended)
        newest[key] = list(accumulate(writes, _newer))
    found: list[Violation] = []
    for read in history:
        if read.kind == "write" or read.outcome != "ok" or read.level not in (Level.BOUNDED, Level.STRONG):
            continue
        limit = read.began - read.bound
        before = bisect_left(acknowledged.get(read.key, ()), limit, key=_ended)
        if before and (write := newest[read.key][before - 1]).version > read.version:
            age = read.began - write.ended
            found.append(
                Violation(Guarantee.BOUNDED_STALENESS, (write, read), f"it was acknowledged {age:.6f} s before")
            )
            if len(found) == MOST_FINDINGS:
                break
    return found


def _ended(operation: Operation) -> float:
    return operation.ended


def _newer(first: Operation, second: Operation) -> Operation:
    return second if second.version > first.version else first


def check_survival(history: History, final: Mapping[Key, int | None]) -> list[Violation]:
    """Check that no acknowledged write was lost; at most MOST_FINDINGS.

    Args:
        history: Any; its times do not matter.
        final: The version of each key that was written, read from the owner after the last write. Not there: absent.
    """
    newest: dict[Key, Operation] = {}
    for operation in history:
        if operation.kind == "write" and operation.outcome == "ok":
            newest[operation.key] = _newer(newest.get(operation.key, operation), operation)
    return [
        Violation(Guarantee.NO_LOST_WRITES, (write,), f"in the end there is version {final.get(key) or 0}")
        for key, write in newest.items()
        if write.version > (final.get(key) or 0)
    ][:MOST_FINDINGS]


def check_outcomes(history: History) -> list[Violation]:
    """Check that what writers were told is what readers saw; at most MOST_FINDINGS. Times count where they are of one clock."""
    found: list[Violation] = []
    sources: dict[tuple[Key, int], Operation] = {}
    acknowledged: dict[tuple[Key, int], Operation] = {}
    for write in history:
        if write.kind == "read":
            continue
        at = write.key, write.version
        known = sources.setdefault(at, write)
        if (known.outcome == "failed", known.began) > (write.outcome == "failed", write.began):
            sources[at] = write
        if write.outcome == "ok" and (first := acknowledged.setdefault(at, write)) is not write:
            found.append(Violation(Guarantee.HONEST_OUTCOMES, (first, write), "both were acknowledged"))
    has_one_clock = len(history.clocks) <= 1
    shown: dict[tuple[Key, int], Operation] = {}
    for read in history:
        if read.kind == "write" or read.outcome != "ok" or read.version < 1:
            continue
        at = read.key, read.version
        earliest = shown.setdefault(at, read)
        if read.ended < earliest.ended:
            shown[at] = read
        source = sources.get(at)
        if source is None:
            continue
        if source.outcome == "failed":
            found.append(Violation(Guarantee.HONEST_OUTCOMES, (source, read), "the write had failed"))
        elif has_one_clock and source.began > read.ended:
            found.append(Violation(Guarantee.HONEST_OUTCOMES, (source, read), "it was read before it was sent"))
    if has_one_clock:
        found += _made_under_a_newer(sources, acknowledged, shown)
    return found[:MOST_FINDINGS]


def _made_under_a_newer(
    sources: dict[tuple[Key, int], Operation],
    acknowledged: dict[tuple[Key, int], Operation],
    shown: dict[tuple[Key, int], Operation],
) -> list[Violation]:
    """Versions that are there though a newer one was there before any attempt to make them: versions only grow."""
    versions: dict[Key, set[int]] = defaultdict(set)
    for key, version in (*acknowledged, *shown):
        versions[key].add(version)
    found = []
    for key, there in versions.items():
        newer: Operation | None = None  # what proves earliest that a version above the one looked at was there
        for version in sorted(there, reverse=True):
            at = key, version
            source, proofs = sources.get(at), [o for o in (acknowledged.get(at), shown.get(at)) if o is not None]
            if newer is not None and source is not None and source.outcome != "failed" and source.began > newer.ended:
                proof = (newer, source) if source is proofs[0] else (newer, source, proofs[0])
                note = f"version {newer.version} was there before it was sent"
                found.append(Violation(Guarantee.HONEST_OUTCOMES, proof, note))
            newer = min((o for o in (newer, *proofs) if o is not None), key=_ended)
    return found
