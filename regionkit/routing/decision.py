"""The one choke point: which endpoint may serve a request, and why no other. Pure; no clock, no I/O, no randomness.

Filters, in this order, each with its reason: residency, epoch, role, health, bookmark, staleness. Then preference.

1. An endpoint outside the allowed set, or of which it is not known where it stands, is refused before anything else is
   looked at.
2. `write` and STRONG take the owner only; where there never is one (leaderless), any: a write whose key has a home takes
   that region's. Other reads take any endpoint that is not barred.
3. SESSION asks that every entry of the bookmark is satisfied by what this incarnation of the endpoint has reached;
   BOUNDED that its measured staleness is within the bound. The owner satisfies both, unless an entry lies past a fork.
4. Preference orders what is left: the regions that the request names, the local region, then by round trip; among those
   equal so far the replica that this session read last comes first, then those that are proved: the latency window is laid around
   the nearest of them. With weights: that replica, then the fewest calls for its weight.
   Endpoints that have just recovered come last until their hold-down is over.
5. The first in order is used if it is proved. Else `on_stale` is walked:
   wait: for the first in order, at most as long as the one that the later steps would take costs in extra round trip, and never
   past `wait_until`; once per call. Where they would take none: until then. next: the first proved one. primary: the owner.
   serve: the first, as it is. raise: refuse.
   Where both wait and next are among the steps, every other copy that may still prove itself is asked before the refusal.
6. A position that the owner itself does not know is not waited for: one fresh question to the owner, then it is lost
   (signed) or invalid (unsigned). Where there is no owner, it is invalid once every endpoint was asked.
7. The same snapshot and request give the same decision until `valid_until`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from regionkit.core.deadline import FOREVER
from regionkit.facts.consistency import Level
from regionkit.facts.request import Kind, Request
from regionkit.routing.order import ordered, spread
from regionkit.routing.proof import PROVED, bounded_proof, session_proof
from regionkit.routing.snapshot import EndpointState, Snapshot
from regionkit.routing.verdict import Filter, Outcome, Refusal, Standing, Verdict
from regionkit.topology import Role

if TYPE_CHECKING:
    from regionkit.routing.explain import Explanation

__all__ = ["Candidate", "Decision", "Filter", "Kind", "Outcome", "Refusal", "Request", "Standing", "Verdict", "decide"]


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

    `index` is the endpoint used or waited for, -1 when refused. `proof` says in words why it may serve. `at`: monotonic
    seconds at which it was taken. `valid_until`: when the same question may get another answer, which among equals is at once.
    `proved_until`: when its proof ends, which is later there.
    """

    outcome: Outcome
    snapshot: Snapshot
    request: Request
    index: int
    verdicts: tuple[Verdict, ...]
    at: float
    proof: str
    staleness: float | None = None
    until: float = 0.0
    valid_until: float = FOREVER
    proved_until: float = FOREVER
    refusal: Refusal = Refusal.NONE

    @property
    def endpoint(self) -> EndpointState | None:
        """The endpoint used or waited for."""
        return self.snapshot.endpoints[self.index] if self.index >= 0 else None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every endpoint with its verdict in words; made when somebody looks."""
        snapshot, at = self.snapshot, self.at
        why_not = self._why_not()
        rows = []
        for i, (e, verdict) in enumerate(zip(snapshot.endpoints, self.verdicts, strict=True)):
            refused_by, reason = verdict.refused_by, verdict.reason
            if i == self.index:
                refused_by = None
            elif refused_by is None:
                refused_by, reason = Filter.PREFERENCE, _hold(e, at) or why_not
            rows.append(Candidate(e.id, e.region, e.role.value, refused_by, reason, _staleness(snapshot, i, at), e.rtt))
        return tuple(rows)

    def _why_not(self) -> str:
        if self.index < 0:
            return "another endpoint's answer decides"
        region = self.snapshot.endpoints[self.index].region
        return f"waiting for {region} costs no more" if self.outcome is Outcome.WAIT else f"{region} comes first"

    def explain(self, guarantees: tuple[str, ...] = ()) -> Explanation:
        """This decision in words."""
        from regionkit.routing.explain import Explanation  # it renders decisions, so it imports this module

        return Explanation(self, guarantees)


def decide(
    snapshot: Snapshot,
    request: Request,
    now: float,
    loads: Sequence[int],
    calls: Sequence[float] = (),
    starts: Sequence[float] = (),
) -> Decision:
    """The only place that picks an endpoint.

    Args:
        snapshot: what is known.
        request: what is asked.
        now: monotonic seconds.
        loads: operations in flight, per endpoint; chooses among equals only.
        calls: calls of these weights so far, per endpoint, as `order.counted` counts them.
        starts: a number in (0, 1] per endpoint, of each process its own: which of equals it takes first, so that many processes
            spread from their first calls on.
    """
    verdicts = tuple([_filter(snapshot, request, index, now) for index in range(len(snapshot.endpoints))])
    eligible = [i for i, v in enumerate(verdicts) if v.refused_by in _LEFT]
    if not eligible:
        return _refuse(snapshot, request, verdicts, _kind_of_refusal(verdicts), now)
    if request.weights:
        order, equals = spread(snapshot, request, eligible, now, calls or loads, starts), True
    else:
        order, equals = ordered(snapshot, request, eligible, now, loads, verdicts, starts)
    first = order[0]
    valid_until = now if equals else FOREVER
    if verdicts[first].refused_by is None:
        return _use(snapshot, request, verdicts, first, now, valid_until)
    proved = [i for i in order if verdicts[i].refused_by is None]
    owner = snapshot.owner
    gone = _GONE.get(verdicts[owner].standing) if owner in eligible else None
    if snapshot.leaderless and all(verdicts[i].standing is Standing.INVALID for i in eligible):
        gone = Refusal.INVALID
    if gone is not None and "serve" not in request.on_stale:
        return _refuse(snapshot, request, verdicts, gone, now)
    higher = [i for i in order if verdicts[i].standing is Standing.RAISED]
    if higher and not (proved and "next" in request.on_stale):  # not stale at all, only dearer
        return _use(snapshot, request, verdicts, higher[0], now, valid_until, proof=verdicts[higher[0]].reason)
    for step in request.on_stale:
        if step == "wait" and verdicts[first].standing in _WAITABLE and first not in request.waited:
            until = min(request.wait_until, now + _worth(snapshot, request, first, proved, eligible))
            if until > now:
                return _wait(snapshot, request, verdicts, first, now, until)
        elif step == "next" and proved:
            return _use(snapshot, request, verdicts, proved[0], now, valid_until)
        elif step in ("next", "primary") and _unsettled(owner, eligible, verdicts, request):
            return _wait(snapshot, request, verdicts, owner, now, max(now, request.wait_until))
        elif step == "primary" and owner in proved:
            return _use(snapshot, request, verdicts, owner, now, valid_until)
        elif step == "serve":
            return _use(
                snapshot, request, verdicts, first, now, valid_until, proof="served as it is: on_stale allows it"
            )
        elif step == "raise":
            break
    else:
        late = _latecomer(request, order, verdicts)
        if late >= 0:
            return _wait(snapshot, request, verdicts, late, now, max(now, request.wait_until))
    return _refuse(snapshot, request, verdicts, Refusal.STALE, now)


_WRITE, _USE = Kind.WRITE, Outcome.USE
_EVENTUAL, _BOUNDED, _SESSION, _STRONG = Level.EVENTUAL, Level.BOUNDED, Level.SESSION, Level.STRONG
"""By name here, as looking a member up in its enum costs a tenth of the whole decision."""
_LEFT = frozenset({None, Filter.BOOKMARK, Filter.STALENESS})
_GONE = {Standing.LOST: Refusal.LOST, Standing.INVALID: Refusal.INVALID}
_WAITABLE = frozenset({Standing.BEHIND, Standing.UNSETTLED})
_NOT_OWNER = {
    Kind.WRITE: Verdict(Filter.ROLE, "a replica; writes need the owner"),
    Kind.READ: Verdict(Filter.ROLE, "a replica; STRONG needs the owner"),
}


def _filter(snapshot: Snapshot, request: Request, index: int, now: float) -> Verdict:
    """The first filter that refuses an endpoint, or how it stands to the data asked for."""
    e = snapshot.endpoints[index]
    if not e.allowed:
        if not e.region:
            return Verdict(Filter.HEALTH, f"its position is not known: {e.trouble or 'it has not reported it yet'}")
        return Verdict(Filter.RESIDENCY, f"{e.region} is outside the residency of {snapshot.store}")
    if e.barred:
        return Verdict(Filter.EPOCH, e.barred)
    level = request.consistency.level
    writes = request.kind is _WRITE
    needs_owner = (writes or level is _STRONG) and not snapshot.leaderless
    if needs_owner and index != snapshot.owner:
        if e.role is Role.PRIMARY:
            return Verdict(Filter.EPOCH, "another primary owns the store")
        return _NOT_OWNER[request.kind]
    if writes and request.home not in ("", e.region) and snapshot.leaderless:
        return Verdict(Filter.ROLE, f"the key's home is {request.home}; its writes go there")
    if index in request.excluded:
        return Verdict(Filter.HEALTH, "it failed in this very call")
    down = e.write_open if writes else e.read_open
    if down:
        return Verdict(Filter.HEALTH, down)
    if needs_owner or writes or level is _EVENTUAL or level is _STRONG:
        return PROVED
    if level is _SESSION:
        return session_proof(snapshot, request, index) if request.entries else PROVED
    return bounded_proof(snapshot, request.consistency.max_staleness, index, now)


def _worth(snapshot: Snapshot, request: Request, first: int, proved: list[int], eligible: list[int]) -> float:
    """Seconds that waiting for `first` may cost: the extra round trip of the one that the later steps would take, else without
    a bound here.
    """
    best = _instead(request, proved, snapshot.owner if snapshot.owner in eligible else -1)
    if best < 0 or best == first:
        return FOREVER
    far, near = snapshot.endpoints[best].rtt, snapshot.endpoints[first].rtt
    if far is None:
        return FOREVER
    return max(0.0, far - (near or 0.0))


def _instead(request: Request, proved: list[int], owner: int) -> int:
    """The endpoint that the steps behind "wait" lead to; -1 where they lead to none.

    One that no later step may take says nothing of what waiting is worth, and its proof may end before the decision does.
    """
    for step in request.on_stale[request.on_stale.index("wait") + 1 :]:
        if step == "next" and proved:
            return proved[0]
        if step in ("next", "primary") and owner >= 0:
            return owner
        if step in ("raise", "serve"):
            break
    return -1


def _staleness(snapshot: Snapshot, index: int, now: float) -> float | None:
    if index == snapshot.owner:
        return 0.0
    fresh_at = snapshot.endpoints[index].fresh_at
    return None if fresh_at is None else max(0.0, now - fresh_at)


def _hold(e: EndpointState, now: float) -> str:
    return f"held down for {e.held_until - now:.0f} s more after its recovery" if e.held_until > now else ""


def _use(
    snapshot: Snapshot,
    request: Request,
    verdicts: tuple[Verdict, ...],
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
    proved_until = FOREVER
    if level is _BOUNDED and index != snapshot.owner and e.fresh_at is not None:
        proved_until = e.fresh_at + request.consistency.max_staleness
        valid_until = min(valid_until, proved_until)
    for x in snapshot.endpoints:
        if now < x.held_until < valid_until:
            valid_until = x.held_until
    return Decision(
        outcome=_USE,
        snapshot=snapshot,
        request=request,
        index=index,
        verdicts=verdicts,
        at=now,
        proof=proof,
        staleness=_staleness(snapshot, index, now),
        valid_until=valid_until,
        proved_until=proved_until,
    )


def _proof(snapshot: Snapshot, request: Request, index: int) -> str:
    level = request.consistency.level
    if index == snapshot.owner:
        if request.kind is _WRITE or level is _STRONG:
            return "the owner, primary as configured or by descent; without a lease nothing else proves it"
        return "the owner"
    if request.kind is _WRITE:
        return "the key's home" if request.home else "any data centre takes writes"
    if level is _EVENTUAL:
        return "any allowed copy will do"
    if level is not _SESSION:
        return "measured staleness is within the bound"
    return "it has reached all that this session saw" if request.entries else "this session has seen nothing yet"


def _latecomer(request: Request, order: list[int], verdicts: tuple[Verdict, ...]) -> int:
    """The next copy worth asking before a read is refused that may wait and may go elsewhere; -1 when there is none."""
    if "wait" not in request.on_stale or "next" not in request.on_stale:
        return -1
    return next((i for i in order if i not in request.waited and verdicts[i].standing in _WAITABLE), -1)


def _unsettled(owner: int, eligible: list[int], verdicts: tuple[Verdict, ...], request: Request) -> bool:
    return owner in eligible and owner not in request.waited and verdicts[owner].standing is Standing.UNSETTLED


def _wait(
    snapshot: Snapshot, request: Request, verdicts: tuple[Verdict, ...], index: int, now: float, until: float
) -> Decision:
    return Decision(
        outcome=Outcome.WAIT,
        snapshot=snapshot,
        request=request,
        index=index,
        verdicts=verdicts,
        at=now,
        proof=verdicts[index].reason,
        until=until,
        valid_until=0.0,
    )


def _refuse(
    snapshot: Snapshot, request: Request, verdicts: tuple[Verdict, ...], refusal: Refusal, now: float
) -> Decision:
    return Decision(
        outcome=Outcome.REFUSE,
        snapshot=snapshot,
        request=request,
        index=-1,
        verdicts=verdicts,
        at=now,
        proof="",
        valid_until=0.0,
        refusal=refusal,
    )


def _kind_of_refusal(verdicts: tuple[Verdict, ...]) -> Refusal:
    """What kind of error it is that no endpoint is left."""
    refused = [v.refused_by for v in verdicts if v.refused_by is not Filter.RESIDENCY]
    if not refused:
        return Refusal.RESIDENCY
    claims = [by for by in refused if by is not Filter.ROLE]
    if claims and all(by is Filter.EPOCH for by in claims):
        return Refusal.FENCED
    return Refusal.NO_ENDPOINT
