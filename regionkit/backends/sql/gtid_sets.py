"""MySQL's texts of sets of transactions, and what a server that gave them stands at. Pure.

`gtid_executed` reads "uuid:1-5:7,uuid:tag:1"; `gtid_owned`, the transactions that are being committed, "uuid:8#12:9#13",
behind each number the thread. A source is the uuid of a server or group, or with a tag of 8.3 and later "uuid:tag".

1. Sure are the numbers from 1 on without a gap; a source whose set does not begin at 1 is left out.
2. A transaction is shown before `gtid_executed` has it, while `gtid_owned` does, on the primary too. So what may have been
   shown is both together, `gtid_owned` read first: a transaction that leaves it meanwhile is in `gtid_executed` by then.
3. The owner shows all that it has acknowledged: there both numbers are the highest, and only other sources may have gaps.
4. Inside a history one server writes. What other sources wrote before it began lies at or before its fork; a copy counts
   beyond the fork only where it has all before it. So a position that names the one that writes names no others.
"""

from __future__ import annotations

from collections.abc import Iterable

from regionkit.facts.history import Lineage
from regionkit.facts.position import Uuids, UuidsReached

__all__ = ["Numbers", "before_history", "highest", "own_number", "reached_of", "sets_of", "shown_of", "unbroken"]

Numbers = dict[str, list[tuple[int, int]]]
"""By source: intervals, both ends included, in ascending order."""


def sets_of(text: str | None) -> Numbers:
    """The intervals in a text of a set.

    Raises:
        ValueError: it is none.
    """
    found: Numbers = {}
    for part in (text or "").replace("\n", "").split(","):
        if not part.strip():
            continue
        uuid, *items = (item.strip() for item in part.split(":"))
        source = uuid.lower()
        for item in items:
            if not item[:1].isdigit():
                source = f"{uuid.lower()}:{item.lower()}"
                continue
            first, _, last = item.partition("#")[0].partition("-")
            found.setdefault(source, []).append((int(first), int(last or first)))
    return {source: sorted(intervals) for source, intervals in found.items()}


def own_number(text: str) -> Uuids:
    """The position that the answer to a COMMIT tells: all of the server's transactions up to this one."""
    return highest(sets_of(text))


def unbroken(sets: Numbers) -> Uuids:
    """Of each source the number up to which none is missing, from 1 on."""
    return _upto((source, intervals[0][1]) for source, intervals in _joined(sets).items() if intervals[0][0] == 1)


def highest(sets: Numbers) -> Uuids:
    """The highest number of each source."""
    return _upto((source, max(last for _, last in intervals)) for source, intervals in sets.items())


def _joined(sets: Numbers) -> Numbers:
    joined: Numbers = {}
    for source, intervals in sets.items():
        ends = joined[source] = [intervals[0]]
        for first, last in intervals[1:]:
            if first <= ends[-1][1] + 1:
                ends[-1] = (ends[-1][0], max(last, ends[-1][1]))
            else:
                ends.append((first, last))
    return joined


def _upto(numbers: Iterable[tuple[str, int]]) -> Uuids:
    return Uuids(tuple(sorted(numbers)))


def reached_of(executed: Numbers, owned: Uuids, lineage: Lineage | None, owner: str) -> UuidsReached:
    """What a server surely has. `owner`: its own uuid where it writes, else ""."""
    sure = dict(unbroken(executed).upto)
    if owner:
        own = [dict(numbers.upto).get(owner, 0) for numbers in (highest(executed), owned)]
        if any(own):
            sure[owner] = max(own)  # with its commits that are under way: acknowledged ones may be among them
    elif lineage is not None and isinstance(lineage.current.fork, Uuids):
        before, writer = dict(lineage.current.fork.upto), lineage.current.origin
        if writer in sure and any(sure.get(source, 0) < number for source, number in before.items()):
            sure[writer] = min(sure[writer], before.get(writer, 0))
    return UuidsReached(tuple(sorted(sure.items())))


def shown_of(owned: Uuids, executed: Numbers, lineage: Lineage | None) -> Uuids | None:
    """What a server may have shown until it answered; None where a source begins in its midst, so that nothing proves it."""
    newest = dict(highest(executed).upto)
    for source, number in owned.upto:
        newest[source] = max(number, newest.get(source, 0))
    fork = None if lineage is None else lineage.current.fork
    before = dict(fork.upto) if isinstance(fork, Uuids) else {}
    beyond = {source: number for source, number in newest.items() if number > before.get(source, 0)}
    if lineage is None or lineage.current.origin not in beyond:
        beyond = newest  # the history's row was read behind the sets: what they tell is not of that history yet
    if any(executed[source][0][0] != 1 for source in beyond if source in executed):
        return None
    return _upto(beyond.items())


def before_history(reached: UuidsReached, owner: str) -> Uuids:
    """The fork that a first history is kept with: what other servers wrote before it."""
    return Uuids(tuple(pair for pair in reached.upto if pair[0] != owner))
