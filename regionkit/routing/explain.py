"""A decision in words: made from the very Decision that a read or write used, never decided anew."""

from __future__ import annotations

from typing import Any

from regionkit.routing.decision import Decision, Outcome

__all__ = ["Explanation"]

_WIDTH = 80


class Explanation:
    """Why an endpoint was taken and the others were not. Immutable.

    Attributes:
        decision: the Decision that it explains, the same object.
        guarantees: what the store promises with its backend and settings, in words.
    """

    __slots__ = ("decision", "guarantees")

    def __init__(self, decision: Decision, guarantees: tuple[str, ...] = ()) -> None:
        self.decision = decision
        self.guarantees = guarantees

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON. Its keys are stable."""
        d = self.decision
        endpoint = d.endpoint
        return {
            "store": d.snapshot.store,
            "kind": d.request.kind.value,
            "consistency": str(d.request.consistency),
            "local": d.snapshot.local,
            "outcome": d.outcome.value,
            "endpoint": None if endpoint is None else endpoint.id,
            "proof": d.proof,
            "refusal": d.refusal.value or None,
            "epoch": None if d.snapshot.lineage is None else d.snapshot.lineage.current.epoch,
            "candidates": [
                {
                    "endpoint": c.endpoint,
                    "region": c.region,
                    "role": c.role,
                    "taken": c.refused_by is None,
                    "refused_by": None if c.refused_by is None else c.refused_by.value,
                    "reason": c.reason,
                    "staleness": c.staleness,
                    "rtt": c.rtt,
                }
                for c in d.candidates
            ],
            "guarantees": list(self.guarantees),
        }

    def __str__(self) -> str:
        d = self.decision
        ask = f"{d.request.kind.value} {d.snapshot.store}"
        if d.request.kind.value == "read":
            ask += f" at {d.request.consistency}"
        lines = [f"{ask}, from {d.snapshot.local}: {_answer(d)}"]
        width = max([len(c.endpoint) for c in d.candidates], default=0)
        for c in d.candidates:
            verdict = "taken" if c.refused_by is None else c.refused_by.value
            if c.refused_by is None and d.outcome is Outcome.WAIT:
                verdict = "waiting"
            lag = "" if c.staleness is None else f"{c.staleness * 1000:.0f} ms"
            rtt = "" if c.rtt is None else f"{c.rtt * 1000:.1f} ms"
            head = f"  {c.endpoint:<{width}} {c.role:<7} {verdict:<10} lag {lag:>8} rtt {rtt:>9}"
            lines.extend(_folded(head, d.proof if c.refused_by is None else c.reason))
        lines.extend(f"  note: {line}" for line in self.guarantees)
        return "\n".join(lines)

    __repr__ = __str__


def _answer(decision: Decision) -> str:
    endpoint = decision.endpoint
    if endpoint is None:
        return f"refused ({decision.refusal.value})"
    verb = "wait for" if decision.outcome is Outcome.WAIT else "use"
    return f"{verb} {endpoint.id}"


def _folded(head: str, reason: str) -> list[str]:
    """The row, its reason on lines of their own, none wider than the table."""
    lines, line = [head], "     "
    for word in reason.split():
        if len(line) + 1 + len(word) > _WIDTH and line.strip():
            lines.append(line)
            line = "     "
        line += " " + word
    if line.strip():
        lines.append(line)
    return lines
