# Generated from mongo_async.py by scripts/twins.py. Do not edit.
"""Claims in a MongoDB replica set: a document each, one findAndModify a claim, one update a step, acknowledged by a majority."""

from __future__ import annotations

from typing import Any

from pymongo.errors import DuplicateKeyError

from regionkit.contract.backing import Backing
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.core.tables import table_name
from regionkit.errors import RegionUnavailable
from regionkit.messaging.claim import Answer, Step, Wish, taken
from regionkit.messaging.claiming import fitting
from regionkit.messaging.claims.schema_mongo import SHOWN, claim_pipeline, kept_in, step_change
from regionkit.messaging.kept_tables import IDEMPOTENCY

__all__ = ["MongoClaims", "opened_claims"]

MOST_LOOKS = 8
"""Inserts of a new document, of which one of several at once goes in; more than two say that something else is wrong."""


class MongoClaims:
    """Implements `Claims`. Safe to share between threads (tasks of one loop)."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing
        self._name = table_name(backing.namespace, IDEMPOTENCY.name)

    def _change(self, deadline: Deadline, command: dict[str, Any]) -> Any:
        backend: Any = self._backing.backend(deadline=deadline)
        backend.records.check_made(deadline, self._name)
        return backend.records.change(deadline, command)

    def claim(self, wish: Wish, *, within: float) -> Answer:
        """Ask for a record."""
        deadline = Deadline(SYSTEM_CLOCK, within)
        command = {
            "findAndModify": self._name,
            "query": {"_id": _id(wish)},
            "update": claim_pipeline(wish),
            "upsert": True,
            "new": True,
            "fields": SHOWN,
        }
        for _ in range(MOST_LOOKS):
            try:
                found = self._change(deadline, dict(command))
            except DuplicateKeyError:
                continue
            answer, after = taken(kept_in(found["value"]), wish, 0.0)
            if after is None:
                return answer
        raise RegionUnavailable(
            "a record could not be claimed.",
            why="other processes keep creating and deleting it.",
            fix="call again later.",
            store=self._backing.name,
        )

    def step(self, step: Step, wish: Wish, fence: int, *, result: bytes | None = None, within: float) -> bool:
        """Make a step; whether it was made."""
        wanted, change = step_change(step, wish, fence, result)
        update = {"q": {"_id": _id(wish), **wanted}, "u": change}
        done = self._change(Deadline(SYSTEM_CLOCK, within), {"update": self._name, "updates": [update]})
        return bool(done["n"])

    def sweep(self, *, within: float) -> int:
        """The server does it, by the index on `forget`."""
        return 0

    def create_tables(self, deadline: Deadline) -> None:
        """Make the collection and its index, once."""
        self._backing.create_tables([IDEMPOTENCY], deadline)

    def close(self) -> None:
        """Close the connections of a client's copy."""
        self._backing.close()


def _id(wish: Wish) -> dict[str, bytes]:
    return {"scope": fitting(wish.scope), "id": fitting(wish.id)}


def opened_claims(backing: Backing) -> MongoClaims:
    """The claims of a backing on MongoDB."""
    return MongoClaims(backing)
