"""Rules about what cannot be reached or used. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts, Facts
from regionkit.cli.doctor.findings import Finding
from regionkit.contract.outcomes import Refused

__all__ = ["reached"]

USABLE = ("up", "refused by residency")
FENCED = "fenced: "
LACKS = "the account lacks"
"""Begins the cause of a right that is missing; the status names the GRANT."""


def reached(facts: Facts) -> Iterator[Finding]:
    """Of every endpoint, and of each store's writes."""
    for e in facts.endpoints:
        if e.state not in USABLE:
            yield _fenced(e) if e.state.startswith(FENCED) else _unusable(e)
    for store in facts.stores.values():
        if store.leaderless:
            continue
        for partition in dict.fromkeys(e.partition for e in facts.of(store.name)):
            if not any(e.found == "owner" for e in facts.of(store.name, partition)):
                yield Finding(
                    "D204",
                    "error",
                    f"{store.name} {partition}".strip(),
                    "no endpoint takes its writes now.",
                    "writes raise NoEligibleEndpoint or Fenced; copies still serve reads, but nothing new is proved.",
                    "bring its primary back, or promote a replica and run `regionkit adopt`; see the other findings.",
                )


def _fenced(e: EndpointFacts) -> Finding:
    return Finding(
        "D205",
        "error",
        e.subject,
        f"it is fenced: {e.state.removeprefix(FENCED)}.",
        "its data may not be of this store's history, so nothing is written there.",
        e.advice or "correct its URL; after a promotion name the valid primary with `regionkit adopt`.",
    )


def _unusable(e: EndpointFacts) -> Finding:
    said = e.state
    if Refused.TLS.cause in said:
        code, fix = "D203", Refused.TLS.fix
    elif LACKS in said or any(cause.cause in said for cause in Refused if cause is not Refused.STARTING):
        code, fix = "D202", next((cause.fix for cause in Refused if cause.cause in said), "give it that right.")
    else:
        code, fix = "D201", "check its URL, the server, and the network in between."
    return Finding(code, "error", e.subject, f"{said}.", _matters(e), e.advice or fix)


def _matters(e: EndpointFacts) -> str:
    if e.declared == "replica" or e.found == "replica":
        return "reads use other copies, and each process keeps trying it."
    return "the store's writes are refused while no other endpoint takes them."
