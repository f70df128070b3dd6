# Generated from landing_async.py by scripts/twins.py. Do not edit.
"""A target that keeps what is published, and fails as it is told to."""

from __future__ import annotations

from collections.abc import Sequence

from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionUnavailable
from regionkit.messaging.delivery import Gate, Verdict, judge, moved
from regionkit.messaging.envelope import Envelope, decode, message_of
from regionkit.messaging.sources.source import Sent, SourceFacts

__all__ = ["Judge", "Landing", "payloads"]


class Landing:
    """A target in memory.

    Attributes:
        refuses: types that it refuses for good.
        silent: types of which no answer comes; with `lands`, they are there all the same.
        down: it does not answer at all.
        batches: how many messages came at once.
    """

    name = "landing"
    facts = SourceFacts("memory", float("inf"), None)

    def __init__(self) -> None:
        self.came: list[Envelope] = []
        self.refuses: set[str] = set()
        self.silent: set[str] = set()
        self.lands = False
        self.down = False
        self.slow = 0.0
        self.batches: list[int] = []

    def publish(self, bodies: Sequence[tuple[str | None, bytes]], deadline: Deadline) -> list[Sent]:
        if self.slow:
            sleep(self.slow)
        if self.down:
            raise RegionUnavailable("the landing is down.")
        self.batches.append(len(bodies))
        return [self._take(decode(body), key) for key, body in bodies]

    def _take(self, envelope: Envelope, key: str | None) -> Sent:
        assert envelope.key == key
        if envelope.type in self.refuses and not envelope.tomb:
            return Sent(False, f"{envelope.type} is refused")
        if envelope.type in self.silent:
            if self.lands:
                self.came.append(envelope)
            return Sent(False)
        self.came.append(envelope)
        return Sent(True)

    def close(self) -> None:
        pass


def payloads(came: Sequence[Envelope]) -> list[object]:
    """What messages carry; of a tombstone, why it carries nothing."""
    return [envelope.tomb or message_of(envelope).payload for envelope in came]


class Judge:
    """A consumer with gates: what it applies, in order, by key."""

    def __init__(self) -> None:
        self.gates: dict[tuple[str, str], Gate] = {}
        self.applied: dict[str, list[object]] = {}
        self.verdicts: dict[Verdict, int] = {}

    def take(self, envelope: Envelope) -> Verdict:
        assert envelope.key is not None and envelope.number is not None
        place = (envelope.lineage, envelope.key)
        gate = self.gates.get(place)
        verdict = judge(gate, envelope.number, envelope.prev).verdict
        self.verdicts[verdict] = self.verdicts.get(verdict, 0) + 1
        if verdict is Verdict.APPLY:
            self.gates[place] = moved(gate, envelope.number)
            if not envelope.tomb:
                self.applied.setdefault(envelope.key, []).append(message_of(envelope).payload)
        return verdict
