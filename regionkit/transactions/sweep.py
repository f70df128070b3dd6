# Generated from sweep_async.py by scripts/twins.py. Do not edit.
"""What is older than the retention goes: first the log raises its floor and lets go of rows, then participants of markers.

The floor stays below the oldest row that is open or bears a hazard: its markers are evidence still.
"""

from __future__ import annotations

from collections.abc import Iterable

from regionkit.core.deadline import Deadline
from regionkit.transactions.logs.log import LogFacts
from regionkit.transactions.recovery_rules import oldest_kept
from regionkit.transactions.recovery_setting import Setting

__all__ = ["SWEEP_EVERY", "swept"]

SWEEP_EVERY = 3600.0
"""Seconds between two sweeps of a recoverer: what it deletes is days old."""
MOST = 10_000
"""Rows deleted in one statement: it holds the log's floor for as long as it runs."""


def swept(setting: Setting, facts: LogFacts, names: Iterable[str], deadline: Deadline) -> tuple[int, bool]:
    """How much was deleted, of the log and of these participants; and whether there is more. May be repeated.

    Raises:
        RegionKitError: the log or a participant did not answer.
    """
    now = min(setting.clock.wall(), facts.now)  # one machine's clock that is ahead would close the log for as long
    floor = max(oldest_kept(now, setting.retention), facts.floor)
    opened = setting.log.open_rows(1, setting.log_time(deadline))
    if opened:
        floor = min(floor, f"{int(opened[0].gtrid, 16) - 1:032x}")
    gone = [setting.log.sweep(floor, MOST, setting.log_time(deadline))]
    for name in names:
        part = setting.log_time(deadline)
        gone.append(setting.participants[name].sweep(facts.id, floor, MOST, part))
    return sum(gone), MOST in gone
