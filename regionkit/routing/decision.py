"""The one choke point: which endpoint may serve a request, and why no other. Pure; no clock, no I/O, no randomness.

Filters, in this order, each with its reason: residency, epoch, role, health, bookmark, staleness. Then preference.

1. An endpoint outside the allowed set is refused before anything else is looked at.
2. `write` and STRONG take the owner only. Other reads take any endpoint that is not barred.
3. SESSION asks that every entry of the bookmark is satisfied by what this incarnation of the endpoint has reached;
   BOUNDED that its measured staleness is within the bound. The owner satisfies both, unless an entry lies past a fork.
4. Preference orders what is left: the replica this session read last, then the local region, then by round trip.
   Endpoints that have just recovered come last until their hold-down is over.
5. The first in order is used if it is proved. Else `on_stale` is walked:
   wait: for the first in order, at most as long as the best proved one would cost in extra round trip, and never past
   `wait_until`; once per call. next: the first proved one. primary: the owner. serve: the first, as it is. raise: refuse.
6. A position that the owner itself does not know is not waited for: one fresh question to the owner, then it is lost
   (signed) or invalid (unsigned).
7. The same snapshot and request give the same decision until `valid_until`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from regionkit.routing.bookmark import Entry
from regionkit.routing.consistency import ON_STALE, SESSION, Consistency, Level, OnStale
from regionkit.routing.history import Survival
from regionkit.routing.position import reaches
from regionkit.routing.snapshot import EndpointState, Snapshot
from regionkit.topology import Role

__all__ = ["Candidate", "Decision", "Filter", "Kind", "Outcome", "Refusal", "Request", "decide"]

FOREVER = float("inf")


class Kind(StrEnum):
    """What the caller declared."""

    READ = "read"
    WRITE = "write"


class Filter(StrEnum):
    """Filters in the order in which they are applied, then the reason why a good endpoint was not taken."""

    RESIDENCY = "residency"
    EPOCH = "epoch"
    ROLE = "role"
    HEALTH = "health"
    BOOKMARK = "bookmark"
    STALENESS = "staleness"
    PREFERENCE = "preference"


class Outcome(StrEnum):
    """What to do."""

    USE = "use"
    WAIT = "wait"
    REFUSE = "refuse"


class Refusal(StrEnum):
    """What kind of error a refusal is."""

    NONE = ""
    RESIDENCY = "residency"
    FENCED = "fenced"
    STALE = "stale"
    LOST = "lost"
    INVALID = "invalid"
    NO_ENDPOINT = "no endpoint"


class Request(msgspec.Struct, frozen=True, gc=False):
    """What is asked.

    Attributes:
        kind: read or write.
        consistency: level of a read.
        entries: what the bookmark asks of this store's partition.
        signed: the entries come from this process or carry our signature.
        on_stale: steps when the first in order is not proved.
        latency_window: endpoints whose round trips differ by less than this, seconds, are equals.
        pin: index of the endpoint that this session read last, or -1.
        excluded: endpoints that failed in this very call.
        waited: endpoints that this call has already waited for.
        fresh: endpoints that answered a question sent within this call.
        wait_until: monotonic instant after which nothing is waited for.
    """

    kind: Kind = Kind.READ
    consistency: Consistency = SESSION
    entries: tuple[Entry, ...] = ()
    signed: bool = True
    on_stale: tuple[OnStale, ...] = ON_STALE
    latency_window: float = 0.015
    pin: int = -1
    excluded: frozenset[int] = frozenset()
    waited: frozenset[int] = frozenset()
    fresh: frozenset[int] = frozenset()
    wait_until: float = 0.0


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """One endpoint in a decision. `refused_by` None: it was taken (or is waited for)."""

    endpoint: str
    region: str
    role: str
    refused_by: Filter | None
    reason: str
    staleness: float | None
    rtt: float | None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Use(endpoint), Wait(endpoint, until) or Refuse(reasons), and the verdict on every endpoint.

    `index` is the endpoint used or waited for, -1 when refused. `proof` says in words why it may serve.
    """

    outcome: Outcome
    snapshot: Snapshot
    request: Request
    index: int
    candidates: tuple[Candidate, ...]
    proof: str
    staleness: float | None = None
    until: float = 0.0
    valid_until: float = FOREVER
    refusal: Refusal = Refusal.NONE

    @property
    def endpoint(self) -> EndpointState | None:
        """The endpoint used or waited for."""
        return self.snapshot.endpoints[self.index] if self.index >= 0 else None


class _Standing(StrEnum):
    """How an endpoint stands to what is asked of its data."""

    PROVED = "proved"
    BEHIND = "behind"  # or not known: worth waiting for
    NEVER = "never"  # waiting does not help
    UNSETTLED = "unsettled"  # the owner must be asked afresh
    LOST = "lost"
    INVALID = "invalid"


class _Verdict(msgspec.Struct, gc=False):
    """Working row of one endpoint; the only mutable thing here, and it does not leave this module."""

    refused_by: Filter | None
    reason: str
    standing: _Standing = _Standing.NEVER


def decide(snapshot: Snapshot, request: Request, now: float, loads: Sequence[int]) -> Decision:
    """The only place that picks an endpoint.

    Args:
        snapshot: what is known.
        request: what is asked.
        now: monotonic seconds.
        loads: operations in flight, per endpoint; chooses among equals only.
    """
    verdicts = [_filter(snapshot, request, index, now) for index in range(len(snapshot.endpoints))]
    eligible = [i for i, v in enumerate(verdicts) if v.refused_by is None or v.refused_by in _DATA]
    if not eligible:
        return _refuse(snapshot, request, verdicts, _kind_of_refusal(verdicts), now)
    order, equals = _ordered(snapshot, request, eligible, now, loads)
    proved = [i for i in order if verdicts[i].standing is _Standing.PROVED]
    first = order[0]
    valid_until = now if equals else FOREVER
    if proved and proved[0] == first:
        return _use(snapshot, request, verdicts, first, now, valid_until)
    owner = snapshot.owner
    gone = next((v for v in (verdicts[owner],) if v.standing in _GONE), None) if owner in eligible else None
    if gone is not None and "serve" not in request.on_stale:
        refusal = Refusal.LOST if gone.standing is _Standing.LOST else Refusal.INVALID
        return _refuse(snapshot, request, verdicts, refusal, now)
    for step in request.on_stale:
        if step == "wait" and verdicts[first].standing in _WAITABLE and first not in request.waited:
            until = min(request.wait_until, now + _worth(snapshot, first, proved, owner, eligible))
            if until > now:
                return _wait(snapshot, request, verdicts, first, now, until)
        elif step == "next" and proved:
            return _use(snapshot, request, verdicts, proved[0], now, valid_until)
        elif step in ("next", "primary") and _unsettled(owner, eligible, verdicts, request):
            return _wait(snapshot, request, verdicts, owner, now, max(now, request.wait_until))
        elif step == "primary" and owner in proved:
            return _use(snapshot, request, verdicts, owner, now, valid_until)
        elif step == "serve":
            return _use(snapshot, request, verdicts, first, now, valid_until, proof="served as it is: on_stale allows it")
        elif step == "raise":
            break
    return _refuse(snapshot, request, verdicts, Refusal.STALE, now)


_DATA = frozenset({Filter.BOOKMARK, Filter.STALENESS})
_GONE = frozenset({_Standing.LOST, _Standing.INVALID})
_WAITABLE = frozenset({_Standing.BEHIND, _Standing.UNSETTLED})


def _filter(snapshot: Snapshot, request: Request, index: int, now: float) -> _Verdict:
    """The first filter that refuses an endpoint, or how it stands to the data asked for."""
    e = snapshot.endpoints[index]
    if not e.allowed:
        return _Verdict(Filter.RESIDENCY, f"{e.region} is outside the residency of {snapshot.store}")
    if e.barred:
        return _Verdict(Filter.EPOCH, e.barred)
    level = request.consistency.level
    needs_owner = request.kind is Kind.WRITE or level is Level.STRONG
    if needs_owner and index != snapshot.owner:
        if e.role is Role.PRIMARY:
            return _Verdict(Filter.EPOCH, "another primary owns the store")
        return _Verdict(Filter.ROLE, "a replica; " + ("writes" if request.kind is Kind.WRITE else "STRONG") + " need the owner")
    if index in request.excluded:
        return _Verdict(Filter.HEALTH, "it failed in this very call")
    down = e.write_open if request.kind is Kind.WRITE else e.read_open
    if down:
        return _Verdict(Filter.HEALTH, down)
    if needs_owner or level is Level.EVENTUAL:
        return _Verdict(None, "", _Standing.PROVED)
    if level is Level.SESSION:
        standing, why = _session(snapshot, request, index)
        return _Verdict(None if standing is _Standing.PROVED else Filter.BOOKMARK, why, standing)
    standing, why = _bounded(snapshot, request.consistency.max_staleness, index, now)
    return _Verdict(None if standing is _Standing.PROVED else Filter.STALENESS, why, standing)


def _session(snapshot: Snapshot, request: Request, index: int) -> tuple[_Standing, str]:
    entries = request.entries
    if not entries:
        return _Standing.PROVED, ""
    if index == snapshot.owner:
        return _owner_session(snapshot, request, index)
    e = snapshot.endpoints[index]
    if snapshot.unrecorded:
        return _Standing.NEVER, f"{snapshot.unrecorded} was promoted and no history row tells of it: replicas prove nothing"
    lineage = e.lineage
    if e.seen is not None and e.seen.lineage is None:
        return _Standing.NEVER, "the store has no history rows: only the owner is sure to have what was seen"
    worst = _Standing.PROVED
    why = ""
    for entry in entries:
        if entry.position is None:
            return _Standing.NEVER, "the bookmark says: read from the owner"
        if lineage is None:
            worst, why = _Standing.BEHIND, "its position is not known yet"
            continue
        survival = lineage.survival(entry.history, entry.position)
        if survival is Survival.LOST:
            return _Standing.NEVER, "the position did not survive a change of primary"
        if survival is Survival.UNKNOWN:
            worst, why = _Standing.BEHIND, "it has not heard of the bookmark's history"
        elif survival is Survival.CURRENT and (e.seen is None or not reaches(e.seen.reached, entry.position)):
            worst, why = _Standing.BEHIND, "it has not reached the position of the bookmark"
    return worst, why


def _owner_session(snapshot: Snapshot, request: Request, index: int) -> tuple[_Standing, str]:
    e = snapshot.endpoints[index]
    fresh = index in request.fresh
    if e.seen is None:
        return _Standing.UNSETTLED, "the owner was not asked yet"
    for entry in request.entries:
        if entry.position is None and not entry.history:
            continue
        if e.lineage is None:
            if entry.history and not fresh:
                return _Standing.UNSETTLED, "the owner must be asked for its history"
            if entry.history:
                return _Standing.INVALID, "the bookmark names a history, the owner has none"
            continue
        survival = e.lineage.survival(entry.history, entry.position)
        if survival is Survival.UNKNOWN:
            if not fresh:
                return _Standing.UNSETTLED, "the owner must be asked whether it knows the bookmark's history"
            return _Standing.INVALID, "nobody knows the bookmark's history"
        if survival is Survival.LOST:
            return _Standing.LOST, "the position lies past the fork: it did not survive a change of primary"
        if survival is Survival.CURRENT and entry.position is not None and not reaches(e.seen.reached, entry.position):
            if not fresh:
                return _Standing.UNSETTLED, "the owner must be asked how far it is"
            gone = _Standing.LOST if request.signed else _Standing.INVALID
            return gone, "the position is ahead of the owner, freshly asked"
        if entry.seen and e.seen.synchronous and (not fresh or e.seen.waiting):
            return _Standing.UNSETTLED, "a commit that a replica already shows still waits on the owner"
    return _Standing.PROVED, ""


def _bounded(snapshot: Snapshot, bound: float, index: int, now: float) -> tuple[_Standing, str]:
    if index == snapshot.owner:
        return _Standing.PROVED, ""
    e = snapshot.endpoints[index]
    if snapshot.unrecorded:
        return _Standing.NEVER, f"{snapshot.unrecorded} was promoted and no history row tells of it: replicas prove nothing"
    if e.seen is not None and e.seen.lineage is None:
        return _Standing.NEVER, "the store has no history rows: its staleness can not be measured"
    if e.fresh_at is None:
        return _Standing.BEHIND, "no sample of the owner proves its staleness yet"
    staleness = now - e.fresh_at
    if staleness <= bound:
        return _Standing.PROVED, ""
    return _Standing.BEHIND, f"it may be {staleness:.3f} s behind, {bound:g} s are allowed"


def _ordered(
    snapshot: Snapshot, request: Request, eligible: list[int], now: float, loads: Sequence[int]
) -> tuple[list[int], bool]:
    """Eligible endpoints by preference, and whether load chose the first among equals."""
    if len(eligible) == 1:
        return eligible, False
    endpoints = snapshot.endpoints

    def rank(i: int) -> tuple[bool, bool, bool, float]:
        e = endpoints[i]
        return (i != request.pin, e.held_until > now, e.region != snapshot.local, FOREVER if e.rtt is None else e.rtt)

    order = sorted(eligible, key=rank)
    first = rank(order[0])
    if not first[0]:
        return order, False
    window = first[3] + request.latency_window
    equals = [i for i in order if rank(i)[:3] == first[:3] and (rank(i)[3] <= window or rank(i)[3] == first[3])]
    if len(equals) == 1:
        return order, False
    equals.sort(key=lambda i: loads[i])
    return equals + [i for i in order if i not in equals], True


def _worth(snapshot: Snapshot, first: int, proved: list[int], owner: int, eligible: list[int]) -> float:
    """Seconds that waiting for `first` may cost: the extra round trip of the best proved one, else without a bound here."""
    best = proved[0] if proved else owner if owner in eligible and owner != first else -1
    if best < 0:
        return FOREVER
    far, near = snapshot.endpoints[best].rtt, snapshot.endpoints[first].rtt
    if far is None:
        return FOREVER
    return max(0.0, far - (near or 0.0))


def _staleness(snapshot: Snapshot, index: int, now: float) -> float | None:
    if index == snapshot.owner:
        return 0.0
    fresh_at = snapshot.endpoints[index].fresh_at
    return None if fresh_at is None else max(0.0, now - fresh_at)


def _candidates(snapshot: Snapshot, verdicts: list[_Verdict], taken: int, why_not: str, now: float) -> tuple[Candidate, ...]:
    rows = []
    for i, (e, v) in enumerate(zip(snapshot.endpoints, verdicts, strict=True)):
        refused_by, reason = v.refused_by, v.reason
        if i == taken:
            refused_by = None
        elif refused_by is None:
            refused_by, reason = Filter.PREFERENCE, _hold(e, now) or why_not
        rows.append(Candidate(e.id, e.region, e.role.value, refused_by, reason, _staleness(snapshot, i, now), e.rtt))
    return tuple(rows)


def _hold(e: EndpointState, now: float) -> str:
    return f"held down for {e.held_until - now:.0f} s more after its recovery" if e.held_until > now else ""


def _use(
    snapshot: Snapshot,
    request: Request,
    verdicts: list[_Verdict],
    index: int,
    now: float,
    valid_until: float,
    proof: str = "",
) -> Decision:
    e = snapshot.endpoints[index]
    level = request.consistency.level
    if not proof:
        proof = _proof(snapshot, request, index)
    elif level is not Level.EVENTUAL:
        valid_until = now
    if level is Level.BOUNDED and index != snapshot.owner and e.fresh_at is not None:
        valid_until = min(valid_until, e.fresh_at + request.consistency.max_staleness)
    holds = [x.held_until for x in snapshot.endpoints if x.held_until > now]
    return Decision(
        outcome=Outcome.USE,
        snapshot=snapshot,
        request=request,
        index=index,
        candidates=_candidates(snapshot, verdicts, index, f"{e.region} comes first", now),
        proof=proof,
        staleness=_staleness(snapshot, index, now),
        valid_until=min([valid_until, *holds]),
    )


def _proof(snapshot: Snapshot, request: Request, index: int) -> str:
    level = request.consistency.level
    if index == snapshot.owner:
        if request.kind is Kind.WRITE or level is Level.STRONG:
            return "the owner, primary as configured or by descent; without a lease nothing else proves it"
        return "the owner"
    if level is Level.EVENTUAL:
        return "any allowed copy will do"
    if level is Level.BOUNDED:
        return "measured staleness is within the bound"
    return "it has reached all that this session saw" if request.entries else "this session has seen nothing yet"


def _unsettled(owner: int, eligible: list[int], verdicts: list[_Verdict], request: Request) -> bool:
    return owner in eligible and owner not in request.waited and verdicts[owner].standing is _Standing.UNSETTLED


def _wait(
    snapshot: Snapshot, request: Request, verdicts: list[_Verdict], index: int, now: float, until: float
) -> Decision:
    region = snapshot.endpoints[index].region
    return Decision(
        outcome=Outcome.WAIT,
        snapshot=snapshot,
        request=request,
        index=index,
        candidates=_candidates(snapshot, verdicts, index, f"waiting for {region} costs no more", now),
        proof=verdicts[index].reason,
        until=until,
        valid_until=0.0,
    )


def _refuse(
    snapshot: Snapshot, request: Request, verdicts: list[_Verdict], refusal: Refusal, now: float
) -> Decision:
    return Decision(
        outcome=Outcome.REFUSE,
        snapshot=snapshot,
        request=request,
        index=-1,
        candidates=_candidates(snapshot, verdicts, -1, "another endpoint's answer decides", now),
        proof="",
        valid_until=0.0,
        refusal=refusal,
    )


def _kind_of_refusal(verdicts: list[_Verdict]) -> Refusal:
    """What kind of error it is that no endpoint is left."""
    refused = [v.refused_by for v in verdicts if v.refused_by is not Filter.RESIDENCY]
    if not refused:
        return Refusal.RESIDENCY
    claims = [by for by in refused if by is not Filter.ROLE]
    if claims and all(by is Filter.EPOCH for by in claims):
        return Refusal.FENCED
    return Refusal.NO_ENDPOINT
