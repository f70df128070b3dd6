"""Whether what is known of an endpoint proves that it may serve a SESSION or BOUNDED read. Pure.

1. SESSION: every entry of the bookmark is satisfied by what this incarnation of the endpoint has reached.
2. BOUNDED: its measured staleness is within the bound.
3. The owner satisfies both, unless an entry lies past a fork, is refuted by the owner's own log, or is ahead of it.
4. Where there is no owner, an entry without a position is satisfied where every acknowledged write is shown, whoever took it.
   What an endpoint's reads do not show they may show at a raised level, which asks every data centre: while all are up.
5. A position or history that the owner does not know is not waited for: one fresh question to the owner, then it is lost
   where the bookmark is signed or an operator adopted the owner's history, else it is invalid.
"""

from __future__ import annotations

from regionkit.facts.bookmark import Entry
from regionkit.facts.history import Survival
from regionkit.facts.position import LevelsReached, Reached, reaches, reaches_everything, read_level, refutes
from regionkit.facts.request import Request
from regionkit.routing.snapshot import EndpointState, Snapshot
from regionkit.routing.verdict import Filter, Standing, Verdict

__all__ = ["PROVED", "bounded_proof", "session_proof"]

PROVED = Verdict(None, "", Standing.PROVED)
"""Nothing refuses the endpoint."""

_CURRENT, _SURVIVED, _LOST, _UNKNOWN = Survival.CURRENT, Survival.SURVIVED, Survival.LOST, Survival.UNKNOWN


def _unproved(standing: Standing, reason: str) -> Verdict:
    return Verdict(Filter.BOOKMARK, reason, standing)


def session_proof(snapshot: Snapshot, request: Request, index: int) -> Verdict:
    """How an endpoint stands to the entries of a SESSION read, of which there are some."""
    if index == snapshot.owner:
        return _owner_session(snapshot, request, index)
    if snapshot.leaderless:
        return _leaderless_session(snapshot, request, index)
    e = snapshot.endpoints[index]
    if snapshot.unrecorded:
        return _unproved(
            Standing.NEVER, f"{snapshot.unrecorded} was promoted and no history row records it: replicas prove nothing"
        )
    if e.observation is not None and e.observation.lineage is None:
        return _unproved(Standing.NEVER, "the store has no history rows: only the owner certainly has what was seen")
    lineage, reached = e.lineage, None if e.observation is None else e.observation.reached
    worst = PROVED
    for entry in request.entries:
        if entry.position is None:
            return _unproved(Standing.NEVER, "the bookmark says: read from the owner")
        if lineage is None:
            worst = _unproved(Standing.BEHIND, "its position is not known yet")
            continue
        survival = lineage.survival(entry.history, entry.position)
        if survival is _LOST:
            return _unproved(Standing.NEVER, "the position did not survive a change of primary")
        if survival is _UNKNOWN:
            worst = _unproved(Standing.BEHIND, "it does not know the bookmark's history")
        elif not reaches(reached, entry.position):
            worst = _unproved(Standing.BEHIND, "it has not reached the position of the bookmark")
    return worst


def _leaderless_session(snapshot: Snapshot, request: Request, index: int) -> Verdict:
    """Waiting helps only where nothing is known yet: levels overlap or they do not."""
    e = snapshot.endpoints[index]
    if e.observation is None or e.observation.reached is None:
        return _unproved(Standing.BEHIND, e.trouble or "how it is read is not known yet")
    lineage, reached = e.lineage, e.observation.reached
    if isinstance(reached, LevelsReached) and reached.changed:
        return _unproved(Standing.NEVER, reached.changed)
    worst = PROVED
    for entry in request.entries:
        if entry.position is None:
            if not reaches_everything(reached):
                worst = _raised(snapshot, request, reached, "the bookmark does not say where it wrote")
            continue
        if lineage is None:
            return _unproved(Standing.NEVER, "the store has no history rows: call kit.create_tables()")
        if lineage.survival(entry.history, entry.position) not in (_CURRENT, _SURVIVED):
            if index not in request.fresh:
                return _unproved(Standing.UNSETTLED, "it must be asked whether it knows the bookmark's history")
            return _unproved(Standing.INVALID, "no endpoint knows the bookmark's history")
        if not reaches(reached, entry.position):
            why = "its reads need not overlap with what was written or read elsewhere"
            worst = _raised(snapshot, request, reached, why)
    return worst


def _raised(snapshot: Snapshot, request: Request, reached: Reached, why: str) -> Verdict:
    """An endpoint whose own level does not show all: a higher one may, which asks all data centres of the keyspace."""
    level = read_level(reached, [entry.position for entry in request.entries])
    if not level or not isinstance(reached, LevelsReached):
        return _unproved(Standing.NEVER, why)
    seen = [e.observation.reached for e in snapshot.endpoints if e.allowed and not e.read_open and e.observation]
    told = [each for each in seen if isinstance(each, LevelsReached)]
    changed = next((each.changed for each in told if each.changed), "")
    if changed:  # the others were asked before that, and go by the old replicas
        return _unproved(Standing.NEVER, changed)
    up = {each.datacenter for each in told}
    away = sorted(name for name, _ in reached.replication if name not in up)
    if away:
        return _unproved(Standing.NEVER, f"{why}, and data centre {', '.join(away)} does not answer")
    return _unproved(Standing.RAISED, f"{why}; at {level} they do")


def _owner_session(snapshot: Snapshot, request: Request, index: int) -> Verdict:
    e = snapshot.endpoints[index]
    lineage, fresh = e.lineage, index in request.fresh
    if e.observation is None:
        return _unproved(Standing.UNSETTLED, "the owner has not answered yet")
    for entry in request.entries:
        if entry.position is None and not entry.history:
            continue
        if lineage is None:
            if entry.history and not fresh:
                return _unproved(Standing.UNSETTLED, "the owner must be asked for its history")
            if entry.history:
                gone = Standing.LOST if request.signed else Standing.INVALID
                return _unproved(gone, "the bookmark names a history, the owner has none")
            continue
        survival = lineage.survival(entry.history, entry.position)
        if survival is _UNKNOWN:
            if not fresh:
                return _unproved(Standing.UNSETTLED, "the owner must be asked whether it knows the bookmark's history")
            if lineage.adoption:
                return _unproved(Standing.LOST, "an operator adopted another history instead of the bookmark's")
            gone = Standing.LOST if request.signed else Standing.INVALID
            return _unproved(gone, "no endpoint knows the bookmark's history")
        if survival is _LOST or _never_came(e, survival, entry):
            return _unproved(Standing.LOST, "the position lies past the fork: it did not survive a change of primary")
        if survival is _CURRENT and entry.position is not None and not reaches(e.observation.reached, entry.position):
            if not fresh or e.observation.reached is None:  # or its answer was forgotten since: a connection died
                return _unproved(Standing.UNSETTLED, "the owner must be asked for its position")
            gone = Standing.LOST if request.signed else Standing.INVALID
            return _unproved(gone, "the position is ahead of the owner's newest one")
        if entry.from_read and e.observation.synchronous and (not fresh or e.observation.waiting):
            return _unproved(Standing.UNSETTLED, "a commit that a replica already shows still waits on the owner")
    return PROVED


def _never_came(e: EndpointState, survival: Survival, entry: Entry) -> bool:
    """A position of an ancestor that seems to lie before the fork, and that the owner's own log refutes."""
    if survival is not _SURVIVED or entry.position is None or e.observation is None:
        return False
    return refutes(e.observation.reached, entry.position)


def bounded_proof(snapshot: Snapshot, bound: float, index: int, now: float) -> Verdict:
    """How an endpoint's measured staleness stands to a bound, seconds."""
    if index == snapshot.owner:
        return PROVED
    e = snapshot.endpoints[index]
    if snapshot.unrecorded:
        return Verdict(
            Filter.STALENESS,
            f"{snapshot.unrecorded} was promoted and no history row records it: replicas prove nothing",
            Standing.NEVER,
        )
    if e.observation is not None and e.observation.lineage is None:
        return Verdict(
            Filter.STALENESS, "the store has no history rows: its staleness cannot be measured", Standing.NEVER
        )
    if e.fresh_at is None or e.lineage is None:
        return Verdict(Filter.STALENESS, "no sample of the owner proves its staleness yet", Standing.BEHIND)
    staleness = now - e.fresh_at
    if staleness <= bound:
        return PROVED
    return Verdict(Filter.STALENESS, f"it may be {staleness:.3f} s behind, {bound:g} s are allowed", Standing.BEHIND)
