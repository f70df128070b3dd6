"""The collections of an inbox and its hospital: their indexes beside `_id`, as (fields, options), and their documents. Pure.

| collection     | _id                  |
|----------------|----------------------|
| inbox, started | scope, id            |
| gate           | scope, lineage, key  |
| held, hospital | scope, id of the message |
| hospital_event | made by the driver   |
"""

from __future__ import annotations

from typing import Any

import msgspec

from regionkit.messaging.case import Case, Failed
from regionkit.messaging.delivery import Gate
from regionkit.messaging.envelope import Number

__all__ = [
    "GATE",
    "HELD",
    "HOSPITAL",
    "HOSPITAL_EVENT",
    "INBOX",
    "STARTED",
    "case_in",
    "case_values",
    "gate_in",
    "gate_values",
    "number_values",
]

Indexes = tuple[tuple[str | list[tuple[str, int]], dict[str, Any]], ...]

INBOX: Indexes = (("seen_at", {}),)
GATE: Indexes = ()
HELD: Indexes = (([("gate", 1), ("epoch", 1), ("n", 1), ("seq", 1)], {}),)
STARTED: Indexes = (("seen_at", {}),)
HOSPITAL: Indexes = (([("scope", 1), ("due_at", 1)], {}), ("gate", {}), ("id", {"unique": True}))
HOSPITAL_EVENT: Indexes = (("case_id", {}),)

_PLAIN = tuple(name for name in Case.__struct_fields__ if name not in ("error", "lineage", "key"))


def number_values(number: Number) -> dict[str, Any]:
    """A number as it is kept."""
    return {"epoch": number.epoch, "history": number.history, "n": number.n}


def gate_values(gate: Gate) -> dict[str, Any]:
    """A gate as it is kept."""
    return {
        "at": number_values(gate.at),
        "passed": [number_values(number) for number in gate.passed],
        "first": number_values(gate.first),
        "parked": gate.parked,
    }


def gate_in(document: dict[str, Any]) -> Gate:
    """The gate that a document is."""
    at, first = (Number(**document[name]) for name in ("at", "first"))
    return Gate(at, tuple(Number(**passed) for passed in document["passed"]), first, document["parked"])


def case_values(case: Case, gate: dict[str, bytes] | None) -> dict[str, Any]:
    """A case as it is kept. `gate`: the key that it is of."""
    values = {name: getattr(case, name) for name in _PLAIN}
    return {
        **values,
        "error": msgspec.structs.asdict(case.error),
        "lineage": case.lineage,
        "key": case.key,
        "gate": gate,
    }


def case_in(document: dict[str, Any]) -> Case:
    """The case that a document is."""
    values = {name: document[name] for name in _PLAIN}
    for name in ("scope", "message_id", "body"):
        values[name] = bytes(values[name])
    key = document["key"]
    return Case(
        **values,
        error=Failed(**document["error"]),
        lineage=bytes(document["lineage"]),
        key=None if key is None else bytes(key),
    )
