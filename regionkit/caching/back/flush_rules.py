"""What a flusher does next, and how long it pauses. Pure.

| what the sink says                    | what the flusher does |
|---------------------------------------|-----------------------|
| a change is applied, or superseded    | ACK |
| a newer row that is nobody's of ours  | PARK, as a conflict |
| SinkDown                              | FAIL without a pause; it pauses itself: 1, 2, 4 ... times `FIRST_PAUSE` |
| SinkFenced: a later epoch was given out | opens the buffer anew; after `MOST_TAKEN` times in `CONTENTION` seconds it stops |
| SinkRefused, of several changes       | halves them, and flushes each half |
| SinkRefused, of one; it `waits`       | FAIL, while an older change is dirty; afterwards as below |
| SinkRefused, of one                   | FAIL with a pause; at its last attempt PARK |
| anything else that no sink raises or returns, of several | halves them: one value may be what it cannot take |
| anything else, of one                 | FAIL with a pause; of `MOST_SURPRISES` in one batch: as SinkDown, it is not the values |
| an error of regionkit (a wrong setting) | FAIL without a pause; it is raised |
| the record cannot be decoded          | FAIL with a long pause: another version of the application wrote it, and may read it |

1. One key has one record, so keys keep their order whatever is halved, put off or parked.
2. Between two claims that found nothing a flusher pauses a quarter of `max_age`, so that rows follow within it.
3. A later epoch is of a process that died before it opened the buffer with it, or of another server that buffers the cache
   too. The first is healed at once. Two servers would take the table from each other, and lose what the other has acknowledged:
   so a flusher that is fenced again and again claims nothing for `CONTENTION` seconds, and puts are refused when none is alive.
4. A surprise is never parked: nobody knows what it says of the value. It stays dirty, is tried again, and holds up no other.
5. It counts as alive for `ALIVE` pauses.
6. Where a claim is full, and its flush takes a small part of the time that the sink has, the next claim is twice as large, up to
   what the sink takes in one transaction (`most_changes`): a long queue costs few commits. Where the sink is slow or fails, it is
   half as large, or as small as at first, and never grows past what the sink can do in time.
7. A batch that ends early leaves nothing claimed: its claim is ended (END) in the background, whatever ended it: a cancellation,
   a lost answer, an error that no line above names. Only a process that dies leaves a claim to its time.
"""

from __future__ import annotations

from typing import Any

from regionkit.caching.back.rules import Verdict
from regionkit.caching.steps import BATCH

__all__ = [
    "ALIVE",
    "LEASE",
    "MOST_SURPRISES",
    "MOST_TAKEN",
    "MOST_WAITS",
    "OTHERS_VERSION",
    "alive_for",
    "changes_next",
    "idle_pause",
    "refusal_pause",
    "silence_of",
    "sink_pause",
    "verdicts_in",
]

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds that a flusher pauses after the sink was down; it doubles with each time."""
OTHERS_VERSION = 5.0
"""Seconds after which an unreadable record is looked at again."""
LEASE = 20.0
"""Seconds that a claim lasts: longer than a transaction of the sink may take, so that two flushers seldom write the same."""
MOST_WAITS = 20
"""Times its attempts that a row which waits for another is tried: two that wait for each other wait in vain."""
MOST_SURPRISES = 8
"""Values of one batch at which a sink may fail by surprise: more of them say that it is the sink."""
MOST_TAKEN = 3
CONTENTION = 60.0
"""Seconds."""
ALIVE = 8
"""Pauses for which a flusher counts as alive after a claim: one of them may have met a slow sink."""
LONGEST_IDLE = 0.25
"""Seconds between two looks for work, at most: a flush that is waited for need not wait longer."""
GROWS_WITHIN = 8
"""Part of a sink's time, one in so many, that a full flush may take before the next one is twice as large."""
SHORTEST_SILENCE = 30.0
"""Seconds without a flusher that a put bears at least."""


def idle_pause(max_age: float) -> float:
    """Seconds between two claims that found nothing."""
    return min(LONGEST_IDLE, max_age / 4)


def changes_next(now: int, claimed: int, took: float, *, most: int, time: float) -> int:
    """How many changes to claim next: rule 6.

    Args:
        now: that were to be claimed.
        claimed: that were.
        took: seconds of their flush.
        most: of one transaction of the sink.
        time: seconds that the sink has for one.
    """
    if claimed < now:
        return BATCH
    if took * GROWS_WITHIN <= time:
        return max(BATCH, min(2 * now, most))
    return now if took * GROWS_WITHIN / 4 <= time else max(BATCH, now // 2)


def alive_for(max_age: float) -> float:
    """Seconds for which a flusher says that it works: also while it waits for a slow sink, for at most a claim's time."""
    return max(ALIVE * idle_pause(max_age), LEASE)


def sink_pause(failures: int, chance: float) -> float:
    """Seconds after the `failures`-th time in a row that the sink was down. `chance`: from 0 to 1, at random."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 16)) * (0.75 + chance / 2))


def refusal_pause(tries: int) -> float:
    """Seconds until a refused record is tried again."""
    return float(min(LONGEST_PAUSE, 0.1 * 2 ** min(tries - 1, 16)))


def silence_of(max_age: float) -> float:
    """Seconds without a flusher after which puts are refused: a deployment replaces flushers, and takes a while."""
    return max(SHORTEST_SILENCE, 15 * max_age)


def verdicts_in(given: Any, count: int) -> list[Verdict]:
    """What a sink has returned for so many changes.

    Raises:
        TypeError: it is no list with a Verdict for each.
    """
    verdicts = list(given)
    if len(verdicts) != count or not all(isinstance(verdict, Verdict) for verdict in verdicts):
        raise TypeError(f"the sink returned {verdicts!r}, no Verdict for each of {count} changes")
    return verdicts
