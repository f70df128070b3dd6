"""What holds of an outbox and its relay, as values and as text; and what wants looking at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["OLD_ROW", "OLD_SNAPSHOT", "Backlog", "OutboxReport", "RelayExplanation"]

OLD_ROW = 60.0
"""Seconds after which a message that was not published is a finding: thirty polls of an idle relay."""
OLD_SNAPSHOT = 300.0
"""Seconds after which an open transaction is a finding: deleted rows stand until it ends, and every look walks over them."""
MANY_ROWS = 100_000
"""Rows of one destination that are a finding: seconds of work for a relay, so nobody works on them."""


@dataclass(frozen=True, slots=True)
class RelayExplanation:
    """What holds of what a relay publishes. `print()` it."""

    outbox: str
    targets: Mapping[str, str]
    left_to_others: tuple[str, ...]
    publish_after: str
    gated: bool
    lease: float
    longest_pause: float
    waits_for: tuple[str, ...] = ()
    woken: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; its keys are stable."""
        return asdict(self) | {"targets": dict(self.targets)}

    def __str__(self) -> str:
        lines = [
            f"relay of outbox {self.outbox!r}: " + ", ".join(f"{to} -> {kind}" for to, kind in self.targets.items())
        ]
        lines.append("  delivered: at least once; a copy has the same id and number")
        lines.append(
            "  order: by the numbers alone; consumers without gates see a key out of order"
            if self.gated
            else "  order: of a key one message is on its way; what has no answer is sent again before what follows"
        )
        lines.append(
            "  failover of the database: undoes nothing that was published"
            if self.publish_after == "replicated"
            else "  failover of the database: phantom events up to RPO (published, and then undone)"
        )
        lines.append(
            f"  another relay takes over: {self.lease:g} s after this one dies; one that was frozen may repeat older after newer"
        )
        lines.append(f"  latency: at most {self.longest_pause:g} s more than the sending, without any wake")
        if self.woken:
            lines.append(f"  woken by other processes: {self.woken}")
        lines += [f"  left to other relays: {name}" for name in self.left_to_others]
        lines += [f"  waits for copy {name}" for name in self.waits_for]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Of one destination. Ages: seconds; 0 where there is nothing.

    Attributes:
        destination: its name.
        rows: messages that were not confirmed yet.
        oldest: age of the oldest of them.
        stuck: messages that were refused for good; each keeps its key waiting.
        later: messages that are not due.
    """

    destination: str
    rows: int
    oldest: float
    stuck: int
    later: int


@dataclass(frozen=True, slots=True)
class OutboxReport:
    """What stands in an outbox, and what wants looking at. `snapshot`: age of the oldest transaction that keeps dead rows."""

    outbox: str
    backlogs: tuple[Backlog, ...]
    snapshot: float = 0.0
    prepared: int = 0

    @property
    def findings(self) -> tuple[str, ...]:
        """What is wrong, a line each; () where nothing is."""
        found = []
        for b in self.backlogs:
            if b.stuck:
                found.append(
                    f"{b.destination}: {b.stuck} messages were refused for good, and their keys wait: see cases()."
                )
            if b.oldest > OLD_ROW:
                found.append(f"{b.destination}: the oldest message waits for {b.oldest:.0f} s: is a relay running?")
            if b.rows > MANY_ROWS:
                found.append(f"{b.destination}: {b.rows} messages wait: is its target down?")
        if self.snapshot > OLD_SNAPSHOT:
            found.append(f"a transaction is open for {self.snapshot:.0f} s: deleted rows stand until it ends.")
        if self.prepared:
            found.append(
                f"{self.prepared} transactions are prepared: the keys that they publish for wait until they end."
            )
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; its keys are stable."""
        return asdict(self) | {"findings": list(self.findings)}

    def __str__(self) -> str:
        lines = [
            f"  {b.destination}: {b.rows} rows, the oldest {b.oldest:.1f} s old, {b.stuck} stuck, {b.later} not due"
            for b in self.backlogs
        ]
        return "\n".join([f"outbox {self.outbox!r}", *lines, *(f"  ! {finding}" for finding in self.findings)])
