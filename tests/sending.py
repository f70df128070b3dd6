"""Envelopes as an outbox would make them, for tests of consumers."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from regionkit.core.ids import uuid7
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, encode

Sent = tuple[str | None, bytes]


class Numbering:
    """Numbers messages by key, in one history."""

    def __init__(self, epoch: int = 1, lineage: str = "outbox") -> None:
        self._at: dict[str, Number] = {}
        self._epoch = epoch
        self._lineage = lineage

    def message(self, key: str, payload: Any, type: str = "moved", **more: Any) -> Sent:
        """The next message of a key."""
        prev = self._at.get(key, NOTHING_BEFORE)
        number = self._at[key] = Number(self._epoch, f"h{self._epoch}", prev.n + 1)
        return envelope(payload, type, key=key, lineage=self._lineage, number=number, prev=prev, **more)

    def fail_over(self, lost: dict[str, int]) -> None:
        """The last messages of some keys are undone; later ones are of another history."""
        self._epoch += 1
        for key, count in lost.items():
            at = self._at[key]
            self._at[key] = Number(at.epoch, at.history, at.n - count)


def envelope(payload: Any, type: str = "moved", *, id: str | None = None, **more: Any) -> Sent:
    """A message that nobody numbered."""
    made = Envelope(
        str(uuid7()) if id is None else id,
        type,
        payload if isinstance(payload, bytes) else msgspec.msgpack.encode(payload),
        **{"published_at": time.time(), **more},
    )
    return made.key, encode(made)
