"""A decision in words: made from the very Decision that a read or write used, never decided anew."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from regionkit.routing.decision import Decision
from regionkit.routing.verdict import Outcome

if TYPE_CHECKING:
    from regionkit.contract.capabilities import Capabilities

__all__ = ["Explanation"]

_WIDTH = 80
_WIDEST_ID = 32
"""A longer endpoint id gets a line of its own, characters."""


class Explanation:
    """Why an endpoint was taken and the others were not. Immutable.

    Attributes:
        decision: the Decision that it explains, the same object.
        guarantees: what the store promises with its backend and settings, in words.
        capabilities: what the store's backend can do; None where a decision alone is explained.
    """

    __slots__ = ("capabilities", "decision", "guarantees")

    def __init__(
        self, decision: Decision, guarantees: tuple[str, ...] = (), capabilities: Capabilities | None = None
    ) -> None:
        self.decision = decision
        self.guarantees = guarantees
        self.capabilities = capabilities

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
            "capabilities": None if self.capabilities is None else _plain(self.capabilities),
        }

    def __str__(self) -> str:
        d = self.decision
        ask = f"{d.request.kind.value} {d.snapshot.store}"
        if d.request.kind.value == "read":
            ask += f" at {d.request.consistency}"
        lines = _folded(f"{ask}, from {d.snapshot.local}: {_answer(d)}", indent="  ")
        candidates = d.candidates
        names = [_named(c.endpoint, c.region) for c in candidates]
        width = min(_WIDEST_ID, max(map(len, names), default=0))
        for c, label in zip(candidates, names, strict=True):
            verdict = "taken" if c.refused_by is None else c.refused_by.value
            if c.refused_by is None and d.outcome is Outcome.WAIT:
                verdict = "waiting"
            if len(label) > width:
                lines.append(f"  {label}")
            name = label if len(label) <= width else ""
            lines.append(
                f"  {name:<{width}} {c.role:<7} {verdict:<10} lag {_short(c.staleness):>8} rtt {_short(c.rtt):>9}"
            )
            reason = d.proof if c.refused_by is None else c.reason
            if reason:
                lines.extend(_folded(f"      {reason}", indent="      "))
        if self.capabilities is not None:
            lines.extend(_folded(f"  {_able(self.capabilities)}", indent="      "))
        for line in self.guarantees:
            lines.extend(_folded(f"  note: {line}", indent="        "))
        return "\n".join(lines)

    __repr__ = __str__


def _answer(decision: Decision) -> str:
    endpoint = decision.endpoint
    if endpoint is None:
        return f"refused ({decision.refusal.value})"
    verb = "wait for" if decision.outcome is Outcome.WAIT else "use"
    return f"{verb} {_named(endpoint.id, endpoint.region)}"


def _named(endpoint: str, region: str) -> str:
    """An endpoint in words: a member of a cluster has its address as id."""
    if endpoint.startswith(region) or len(region) + len(endpoint) >= _WIDEST_ID:
        return endpoint
    return f"{region} {endpoint}"


def _plain(can: Capabilities) -> dict[str, Any]:
    """The capabilities as plain data; the notes are among the guarantees."""
    plain = asdict(can)
    del plain["notes"], plain["advice"]
    plain["modes"] = sorted(can.modes)
    return plain


def _able(can: Capabilities) -> str:
    """The capabilities in a line."""
    no_transaction = "transactions where asked for" if "transaction" in can.modes else "no transactions"
    words = [
        f"read-only by the {can.read_only}",
        "transactions" if can.transactions else no_transaction,
        "idempotency keys" if can.markers else "no idempotency keys",
        *(f"{mode}=" for mode in sorted(can.modes)),
        *(["no owner"] if can.leaderless else []),
        "BOUNDED" if can.bounded else "no BOUNDED",
        f"STRONG reads {can.strong}" if can.strong else "no STRONG",
    ]
    return f"{can.server}: {'; '.join(words)}"


def _short(seconds: float | None) -> str:
    """A duration in at most eight characters."""
    if seconds is None:
        return ""
    if seconds < 10.0:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.0f} s" if seconds < 1e6 else "> 11 d"


def _folded(text: str, indent: str) -> list[str]:
    """A line, folded so that none is wider than the table."""
    return textwrap.wrap(text, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)
