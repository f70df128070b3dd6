# Generated from chaos_async.py by scripts/twins.py. Do not edit.
"""A source of messages that does to its consumer what brokers do on bad days: twice, late, out of order, damaged."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from regionkit.core.deadline import Deadline
from regionkit.messaging.sources.source import Source
from regionkit.messaging.sources.values import Delivery, SourceFacts

__all__ = ["ChaosSource"]

LATEST = 5
"""Fetches by which a delivery or a copy comes later, at most."""
FLIPPED = 8
"""Bytes that are flipped in a body, at most."""
GLANCE = 0.01
"""Seconds that a fetch waits for the source while something is kept back: its turn is counted in fetches."""


class ChaosSource:
    """Another source, spoiled. All it does follows from the seed and the order of what comes; used like the source itself.

    A copy that comes twice has the receipt of the first, as a redelivery after a lost acknowledgement has not: so the consumer's
    acknowledgement of it may be of no effect. What is damaged is damaged in that copy alone.

    Args:
        source: to be spoiled.
        seed: of chance.
        duplicate: share of deliveries that come twice, some of them much later.
        reorder: share that change places with another of the same fetch.
        delay: share that come 1 to `LATEST` fetches later; nobody extends them meanwhile.
        corrupt: share whose body has bytes flipped.

    Attributes:
        did: how often it did what: "duplicate", "reorder", "delay", "corrupt".
        spoiled: the bodies, as they were, that it damaged.
    """

    def __init__(
        self,
        source: Source,
        seed: int,
        *,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        delay: float = 0.0,
        corrupt: float = 0.0,
    ) -> None:
        self._source = source
        self._chance = random.Random(seed)
        self._shares = {"duplicate": duplicate, "reorder": reorder, "delay": delay, "corrupt": corrupt}
        self._late: list[tuple[int, Delivery]] = []
        self._fetches = 0
        self.did: Counter[str] = Counter()
        self.spoiled: list[bytes] = []

    @property
    def name(self) -> str:
        """The source's."""
        return self._source.name

    @property
    def group(self) -> str | None:
        """The source's."""
        return self._source.group

    @property
    def facts(self) -> SourceFacts:
        """The source's: but for order, which it has none."""
        return msgspec.structs.replace(self._source.facts, in_order=False)

    def open(self, deadline: Deadline) -> None:
        """Open the source."""
        self._source.open(deadline)

    def fetch(self, most: int, wait: float) -> list[Delivery]:
        """What the source gives, spoiled; at most `most`."""
        self._fetches += 1
        found = [delivery for due, delivery in self._late if due <= self._fetches][:most]
        for delivery in found:
            self._late.remove(next(late for late in self._late if late[1] is delivery))
        if len(found) < most:
            new = self._source.fetch(most - len(found), GLANCE if self._late or found else wait)
            found += [delivery for one in new for delivery in self._spoiled(one)]
        for at in range(len(found)):
            if self._does("reorder"):
                other = self._chance.randrange(len(found))
                found[at], found[other] = found[other], found[at]
        keep, found = found[most:], found[:most]
        self._late += [(self._fetches + 1, delivery) for delivery in keep]
        return found

    def _does(self, what: str) -> bool:
        if self._chance.random() >= self._shares[what]:
            return False
        self.did[what] += 1
        return True

    def _later(self, delivery: Delivery) -> None:
        self._late.append((self._fetches + self._chance.randint(1, LATEST), delivery))

    def _spoiled(self, delivery: Delivery) -> list[Delivery]:
        """What comes now of one delivery."""
        now: list[Delivery] = []
        if self._does("duplicate"):
            if self._chance.random() < 0.5:
                now.append(delivery)
            else:
                self._later(delivery)
        if delivery.body and self._does("corrupt"):
            self.spoiled.append(delivery.body)
            delivery = msgspec.structs.replace(delivery, body=self._flipped(delivery.body))
        if self._does("delay"):
            self._later(delivery)
        else:
            now.append(delivery)
        return now

    def _flipped(self, body: bytes) -> bytes:
        """Another body: its head is hit, where an envelope says what it is, and bytes anywhere."""
        data = bytearray(body)
        data[self._chance.randrange(min(4, len(data)))] ^= self._chance.randint(1, 255)
        for _ in range(self._chance.randrange(FLIPPED)):
            at = self._chance.randrange(len(data))
            if at >= 4:
                data[at] ^= self._chance.randint(1, 255)
        return bytes(data)

    def ack(self, deliveries: Sequence[Delivery]) -> int:
        """As the source has it."""
        return self._source.ack(deliveries)

    def give_back(self, deliveries: Sequence[Delivery], delay: float) -> None:
        """As the source has it."""
        self._source.give_back(deliveries, delay)

    def extend(self, deliveries: Sequence[Delivery]) -> None:
        """As the source has it."""
        self._source.extend(deliveries)

    def close(self) -> None:
        """Close the source; what is kept back does not come any more."""
        self._late.clear()
        self._source.close()

    def __getattr__(self, name: str) -> Any:
        """Whatever else the source has."""
        return getattr(self._source, name)
