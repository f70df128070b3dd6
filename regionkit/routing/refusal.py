"""A refused decision as the error that says so."""

from __future__ import annotations

from regionkit.contract.advice import Advice
from regionkit.errors import Fenced, InvalidBookmark, NoEligibleEndpoint, ResidencyViolation, RoutingError, StaleRead
from regionkit.facts.request import Kind
from regionkit.routing.decision import Decision
from regionkit.routing.verdict import Refusal

__all__ = ["error_of"]


def error_of(decision: Decision, advice: Advice) -> RoutingError:
    """The error of a refused decision; it carries the decision, and its text every endpoint's reason.

    `advice`: of the store's backend.
    """
    store = decision.snapshot.store
    verb = "write" if decision.request.kind is Kind.WRITE else f"{decision.request.consistency} read"
    why = (
        "; ".join(f"{c.endpoint}: {c.refused_by}: {c.reason}" for c in decision.candidates if c.refused_by is not None)
        + "."
    )
    what = f"no endpoint of {store!r} may serve this {verb}."
    match decision.refusal:
        case Refusal.RESIDENCY:
            return ResidencyViolation(what, why=why, fix="allow a region in the store's residency.", decision=decision)
        case Refusal.FENCED:
            return Fenced(what, why=why, fix=advice.owner, decision=decision)
        case Refusal.STALE:
            return StaleRead(what, why=why, fix=advice.stale, decision=decision, store=store)
        case Refusal.LOST:
            what = f"what this session wrote or saw in {store!r} did not survive a change of primary."
            fix = "call s.accept_loss() to continue with what survived."
            return StaleRead(what, why=why, fix=fix, decision=decision, store=store, lost=True, retryable=False)
        case Refusal.INVALID:
            what = f"the bookmark speaks of something that {store!r} never had."
            return InvalidBookmark(what, why=why, fix="begin without it (bookmark=None).", decision=decision)
        case _:
            return NoEligibleEndpoint(what, why=why, fix=_way_out(decision, advice), decision=decision)


def _way_out(decision: Decision, advice: Advice) -> str:
    """What to do where nobody is left: what the endpoints' own troubles ask for, before anything that passes by itself."""
    snapshot = decision.snapshot
    told = [e.advice or e.remedy for e in snapshot.endpoints if e.advice or e.remedy]
    if decision.request.kind is Kind.WRITE and snapshot.unrecorded:
        told.append(advice.owner)
    if told:
        return " ".join(dict.fromkeys(text if text.endswith(".") else f"{text}." for text in told))
    return "kit.status() shows the state of each endpoint; breakers let probes through and close automatically."
