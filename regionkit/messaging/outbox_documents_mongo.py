"""An outbox in MongoDB, where it differs from one in SQL (`outbox_rules`): its rules, its documents, their indexes. Pure.

1. Numbers, rows and effect commit in one transaction, whose last commands those of the outbox are. A key of which another
   transaction has taken a number meanwhile ends this one with a write conflict, as two writers of one document do: nobody
   waits, so nobody deadlocks, and it is run again.
2. A history is a term of the set: who sees another term than the outbox's record of its run asks the primary, and begins the
   next run by compare-and-set. A key never goes back to an earlier epoch, whoever still has an old run in mind.
3. A relay reads what a majority has, whatever the producers' write concern was. What an election undoes was never published,
   and so a number that was published is never given out again.
4. Rows go out by (at, n). `at` of a key never goes back, so that the first rows of that order never lack one of their keys
   which comes before them, whatever the clocks of two primaries say.
5. Whatever a relay changes, it changes behind a write to the lease of the destination: a take-over conflicts with it, and one
   of the two is rolled back.
6. Nothing is kept of a change stream: it would be a hint, and the poll is the truth.

| collection     | _id                         |
|----------------|-----------------------------|
| outbox         | outbox, destination, id     |
| outbox_later   | outbox, destination, id     |
| outbox_payload | outbox, id                  |
| outbox_key     | outbox, destination, key    |
| outbox_lease   | outbox, destination         |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from regionkit.messaging.envelope import Number
from regionkit.messaging.outbox_rules import Event, Row, Run, Taken

__all__ = [
    "NOW",
    "ORDER",
    "OUTBOX",
    "OUTBOX_KEY",
    "OUTBOX_LATER",
    "OUTBOX_LEASE",
    "OUTBOX_PAYLOAD",
    "MongoRun",
    "counting",
    "id_of",
    "later_values",
    "row_in",
    "row_values",
    "taken_in",
    "term_in",
]

Indexes = tuple[tuple[str | list[tuple[str, int]], dict[str, Any]], ...]

ORDER = [("at", 1), ("n", 1)]
_OF = [("_id.outbox", 1), ("_id.destination", 1)]
OUTBOX: Indexes = (([*_OF, ("stuck", 1), *ORDER], {}), ("payload", {"sparse": True}))
"""`payload`: the event's id, where the body stands in outbox_payload."""
OUTBOX_LATER: Indexes = (([*_OF, ("due_at", 1)], {}), ("payload", {"sparse": True}))
OUTBOX_PAYLOAD: Indexes = ()
OUTBOX_KEY: Indexes = ()
OUTBOX_LEASE: Indexes = ()

NOW = {"$divide": [{"$toLong": "$$NOW"}, 1000.0]}
"""Seconds since 1970 by the clock of the primary."""


def term_in(hello: Mapping[str, Any]) -> int:
    """Of the election of the primary that said so."""
    return int.from_bytes(hello["electionId"].binary[4:], "big")


class MongoRun(msgspec.Struct, frozen=True, gc=False):
    """The record of an outbox: its lineage for ever, its run now, and in which term that was begun."""

    lineage: str
    run: Run
    term: int


def counting(size: int, run: Run) -> list[dict[str, Any]]:
    """The update by which a key takes `size` numbers."""
    is_later = {"$gt": ["$epoch", run.epoch]}
    values: dict[str, Any] = {
        "prev_epoch": {"$ifNull": ["$epoch", 0]},
        "prev_history": {"$ifNull": ["$history", ""]},
        "epoch": {"$max": ["$epoch", run.epoch]},
        "history": {"$cond": [is_later, "$history", {"$literal": run.history}]},
        "n": {"$add": [{"$ifNull": ["$n", 0]}, size]},
        "at": {"$max": ["$at", NOW]},
    }
    return [{"$set": values}]


def taken_in(document: Mapping[str, Any]) -> Taken:
    """What a key says after that."""
    before = (document["prev_epoch"], document["prev_history"])
    return Taken(document["epoch"], document["history"], document["n"], *before)


def row_values(event: Event, number: Number | None, prev: Number, at: float | None) -> dict[str, Any]:
    """A row, as expressions of an update that writes it. `at`: of its key; None: it has none, and goes by its own time."""
    here: Any = NOW if at is None else at
    plain = {
        **{"key": event.key, "body": event.body, "stuck": 0, "tomb": ""},
        **({"payload": event.id} if event.body is None else {}),
        **({"epoch": 0, "history": "", "n": 0} if number is None else _named(number)),
        **{f"prev_{name}": value for name, value in _named(prev).items()},
    }
    published = here if event.published_at is None else event.published_at
    expires = event.expires_at if event.expires_in is None else {"$add": [here, event.expires_in]}
    return {**_literal(plain), "at": here, "published_at": published, "expires_at": expires}


def later_values(event: Event) -> dict[str, Any]:
    """The same, of what is not due."""
    plain = {"key": event.key, "body": event.body, **({"payload": event.id} if event.body is None else {})}
    expires = event.expires_at if event.expires_in is None else {"$add": [NOW, event.expires_in]}
    return {**_literal(plain), "published_at": NOW, "expires_at": expires, "due_at": {"$add": [NOW, event.delay]}}


def _literal(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"$literal": value} for name, value in values.items()}


def _named(number: Number) -> dict[str, Any]:
    return {"epoch": number.epoch, "history": number.history, "n": number.n}


def id_of(outbox: str, destination: bytes, seq: int) -> dict[str, Any]:
    """The `_id` of a row that a relay knows by its `seq`: the number that its UUID is."""
    return {"outbox": outbox, "destination": destination, "id": str(UUID(int=seq))}


def row_in(document: Mapping[str, Any], bodies: Mapping[str, bytes]) -> Row:
    """The row that a document is. `bodies`: those that stand elsewhere."""
    d, id, key, body = document, document["_id"]["id"], document["key"], document["body"]
    return Row(
        UUID(id).int,
        id,
        None if key is None else bytes(key),
        bodies.get(id, b"") if body is None else bytes(body),
        Number(d["epoch"], d["history"], d["n"]) if d["n"] else None,
        Number(d["prev_epoch"], d["prev_history"], d["prev_n"]),
        d["published_at"],
        d["expires_at"],
        d["tomb"],
    )
