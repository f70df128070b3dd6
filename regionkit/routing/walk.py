"""How a block gets its connection, as a pure walk: what happened, what is known, and what to do next.

| event      | what is known then                                          | step |
|------------|-------------------------------------------------------------|------|
| `Begun`    | the decision names an endpoint                              | `Connect` to it |
|            | it says to wait for one                                     | `Look`, until proved or not worth more |
|            | it refuses, and fresh answers may change that (once a walk) | `Refresh`: ask all endpoints |
|            | a write or STRONG, and another endpoint was not met (once)  | `Refresh`: it may have replaced the owner |
|            | it refuses                                                  | `Refuse`; `GiveUp` where one was lost on the way |
| `Asked`    | of a `Refresh`: decide anew                                 | as `Begun` |
| `Lost`     | nothing was sent: decide anew without that endpoint         | as `Begun`; `GiveUp` when there is none, or no time |
| `Connected`| the connection speaks to the run that is known              | prove it |
|            | to another run, and says so by a newer answer               | `TakeIn` that answer |
|            | to another run, by an older answer                          | `Ask` on this very connection |
| `Asked`    | of a connection that is not waited for                      | prove it |
| prove it   | the decision rests on what is no longer known: decide anew  | |
|            | a session read                                              | `TakePositions` of what was read elsewhere |
|            | any other                                                   | arrive |
| `Taken`    | positions are part of the request now: decide anew          | arrive |
| arrive     | use this endpoint                                           | `Use` |
|            | a write or STRONG, and it is another run of the owner (once)| `Refresh`: it may have been replaced |
|            | wait, another endpoint, or none                             | as `Begun` |
| `Asked`    | of a `Look`: decided otherwise, or time is over             | as `Begun` |
|            | not proved yet                                              | `Pause`, then `Look` |

1. An endpoint that was lost in a walk is not asked again in it, and one that was waited for is not waited for again: every
   walk ends.
2. All steps but `TakeIn`, `Ask`, `TakePositions` and `Use` let go of the connection in hand: who waits holds none. Those who wait
   for one endpoint share each answer to a question that began late enough for them.
3. A process that has just started, woken up or been forked knows nothing: before it writes or reads STRONG, every other allowed
   endpoint has answered, or failed a question, since then; and since the owner's server began anew.
4. What holds an error is seen by the collector of garbage: the error's traceback leads back to it.
5. The common walk has no surprise in it: `begun` and `settled` say so without the steps between.
6. `Use` names the endpoint of the connection in hand, proved on what this connection's own run has said.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from regionkit.errors import RegionKitError
from regionkit.facts.consistency import Level
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind, Request
from regionkit.routing.decision import Decision
from regionkit.routing.snapshot import Snapshot
from regionkit.routing.verdict import Outcome, Refusal, Standing

__all__ = [
    "FIRST_POLL",
    "LONGEST_POLL",
    "Asked",
    "Begun",
    "Connect",
    "Connected",
    "GiveUp",
    "Known",
    "Look",
    "Lost",
    "Pause",
    "Refuse",
    "Step",
    "TakeIn",
    "TakePositions",
    "Taken",
    "Use",
    "Walk",
    "begun",
    "next_step",
    "roams",
    "settled",
]

FIRST_POLL = 0.001
LONGEST_POLL = 0.02
"""How often a waiting read asks the copy, seconds: a millisecond at first, as replication is usually that quick."""


class Known(Protocol):
    """What a walk may look at: what is known at this moment, and the one choke point."""

    @property
    def snapshot(self) -> Snapshot:
        """What is known of the store."""
        ...

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def decide(self, request: Request) -> Decision:
        """`decision.decide` on the snapshot."""
        ...

    def met(self, index: int) -> bool:
        """Whether every endpoint but this one was asked since this process runs, and has answered or failed."""
        ...

    def own(self, request: Request) -> Request:
        """`request` with what only this call knows: a remembered decision was asked without it."""
        ...

    def with_entries(self, request: Request) -> Request:
        """`request` with all that the session asks of this store now."""
        ...


class Walk(msgspec.Struct, frozen=True):
    """Where a walk stands. `held`: the endpoint whose connection is in hand or asked for, or that is waited for; -1 for none.

    `waiting`: for that endpoint, until the instant `until`; it is asked again after `poll` seconds. `connected`: its connection
    is in hand. `lost`: why an endpoint that had been decided for gave no connection.
    """

    request: Request
    decision: Decision
    held: int = -1
    refreshed: bool = False
    refreshing: bool = False
    waiting: bool = False
    connected: bool = False
    until: float = 0.0
    poll: float = FIRST_POLL
    lost: RegionKitError | None = None


class Begun(msgspec.Struct, frozen=True, gc=False):
    """There is a decision."""


class Connected(msgspec.Struct, frozen=True, gc=False):
    """A connection is in hand, and this is what its server said last."""

    observation: Observation


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What was asked is known now."""


class Taken(msgspec.Struct, frozen=True, gc=False):
    """Positions of what was read elsewhere were taken; `some`: there were any."""

    some: bool


class Lost(msgspec.Struct, frozen=True):
    """The endpoint did not give a connection, or it broke before anything was sent. `late`: no time is left."""

    error: RegionKitError
    late: bool


class Connect(msgspec.Struct, frozen=True, gc=False):
    """Get a connection to this endpoint; then `Connected` or `Lost`."""

    index: int


class Refresh(msgspec.Struct, frozen=True, gc=False):
    """Ask every endpoint; then `Asked`."""


class TakeIn(msgspec.Struct, frozen=True, gc=False):
    """Remember this answer of the connection's server; then `Asked`."""

    observation: Observation


class Ask(msgspec.Struct, frozen=True, gc=False):
    """Ask on the connection in hand, and remember; then `Asked` or `Lost`."""


class Look(msgspec.Struct, frozen=True, gc=False):
    """Learn what this endpoint answers to a question that began after the instant `since`; then `Asked` or `Lost`."""

    index: int
    since: float


class Pause(msgspec.Struct, frozen=True, gc=False):
    """Let `seconds` pass, then `look`."""

    seconds: float
    look: Look


class TakePositions(msgspec.Struct, frozen=True, gc=False):
    """Take the positions of what this session read elsewhere; then `Taken`."""


class Use(msgspec.Struct, frozen=True, gc=False):
    """The connection in hand serves the block."""


class Refuse(msgspec.Struct, frozen=True, gc=False):
    """No endpoint may serve; the walk's decision says why."""


class GiveUp(msgspec.Struct, frozen=True):
    """No endpoint is left, because of this error."""

    error: RegionKitError


Event = Begun | Connected | Asked | Taken | Lost
Step = Connect | Refresh | TakeIn | Ask | Look | Pause | TakePositions | Use | Refuse | GiveUp

_REFRESH, _ASK, _TAKE_POSITIONS, _USE, _REFUSE = Refresh(), Ask(), TakePositions(), Use(), Refuse()
replace = msgspec.structs.replace
_WORTH_ASKING_ANEW = (Refusal.INVALID, Refusal.LOST, Refusal.FENCED)
"""Refusals that rest on who the owner is: another one may have taken over a moment ago."""
_WANTING = (Refusal.STALE, Refusal.NO_ENDPOINT)
_MAY_COME = (Standing.BEHIND, Standing.UNSETTLED)


def next_step(walk: Walk, event: Event, known: Known) -> tuple[Walk, Step]:
    """What to do after `event`, by the table above."""
    match event:
        case Begun():
            return _go(walk, known)
        case Connected(observation):
            return _connected(walk, observation, known)
        case Taken(some):
            if some:
                walk = _anew(walk, known.with_entries(known.own(walk.request)), known)
            return _arrive(walk, known)
        case Lost(error, late):
            request = known.own(walk.request)
            waited = walk.waiting  # then no connection was asked for: the decision says why nobody serves
            walk = replace(walk, connected=False, waiting=False, lost=walk.lost if waited else error)
            walk = _anew(walk, replace(request, excluded=request.excluded | {walk.held}), known)
            refused = walk.decision.outcome is Outcome.REFUSE
            if late or (refused and not waited):
                return walk, GiveUp(error)
            return _go(walk, known)
        case Asked() if walk.refreshing:
            walk = _anew(walk, replace(known.own(walk.request), fresh=frozenset()), known)
            return _go(replace(walk, refreshing=False, refreshed=True), known)
        case Asked():
            return _still_waiting(walk, known) if walk.waiting else _prove(walk, known)


def begun(request: Request, decision: Decision, known: Known) -> Walk | None:
    """A walk that has begun by connecting to where its decision says; None where its first step is another one."""
    if decision.outcome is not Outcome.USE or (_means_the_owner(request) and not known.met(decision.index)):
        return None
    return Walk(request, decision, decision.index)


def settled(walk: Walk, observation: Observation, known: Known) -> bool:
    """Whether all steps of such a walk lead to `Use` at once, where there are no positions to take. `observation`: its own."""
    decision, snapshot = walk.decision, known.snapshot
    before = snapshot.endpoints[walk.held].observation
    if before is None or before.incarnation != observation.incarnation:
        return False
    changed = decision.snapshot is not snapshot
    return not ((changed and _rests_on_old(decision, snapshot, walk.held)) or _has_to_meet(walk, known))


def roams(walk: Walk) -> bool:
    """Whether another endpoint could serve, or might after a wait, where the one at hand says nothing."""
    request = walk.request
    if len(walk.decision.verdicts) == 1 or _means_the_owner(request):
        return False
    return any(
        i != walk.held and (v.refused_by is None or (v.standing in _MAY_COME and i not in request.waited))
        for i, v in enumerate(walk.decision.verdicts)
    )


def _anew(walk: Walk, request: Request, known: Known) -> Walk:
    return replace(walk, request=request, decision=known.decide(request))


def _go(walk: Walk, known: Known) -> tuple[Walk, Step]:
    decision, walk = walk.decision, replace(walk, connected=False, waiting=False)
    if decision.outcome is Outcome.WAIT:
        return _wait(walk, known)
    if decision.outcome is not Outcome.REFUSE:
        if _has_to_meet(walk, known):
            return replace(walk, refreshing=True), _REFRESH
        return replace(walk, held=decision.index), Connect(decision.index)
    if walk.refreshed or not _worth_asking_anew(decision):
        if walk.lost is not None and decision.refusal in _WANTING:
            return walk, GiveUp(walk.lost)  # that is why others were looked at
        return walk, _REFUSE
    return replace(walk, refreshing=True), _REFRESH


def _has_to_meet(walk: Walk, known: Known) -> bool:
    """Whether the others have to say first that they have not replaced the owner."""
    return not walk.refreshed and _means_the_owner(walk.request) and not known.met(walk.decision.index)


def _means_the_owner(request: Request) -> bool:
    return request.kind is Kind.WRITE or request.consistency.level is Level.STRONG


def _worth_asking_anew(decision: Decision) -> bool:
    """Whether fresh answers may change a refusal: of who owns the store, or of where its members stand."""
    snapshot = decision.snapshot
    ownerless = snapshot.owner < 0 and not snapshot.leaderless
    return decision.refusal in _WORTH_ASKING_ANEW or ownerless or any(not e.region for e in snapshot.endpoints)


def _wait(walk: Walk, known: Known) -> tuple[Walk, Step]:
    decision, index, now = walk.decision, walk.decision.index, known.now()
    # "asked afresh" means after this call began; of a copy that is behind, the last answer will do if it is not old
    since = now if decision.verdicts[index].standing is Standing.UNSETTLED else now - FIRST_POLL
    request = replace(walk.request, wait_until=decision.until, fresh=walk.request.fresh | {index})
    walk = replace(walk, request=request, held=index, waiting=True, until=decision.until, poll=FIRST_POLL)
    return walk, Look(index, since)


def _connected(walk: Walk, observation: Observation, known: Known) -> tuple[Walk, Step]:
    walk = replace(walk, connected=True)
    endpoint = known.snapshot.endpoints[walk.held]
    before = endpoint.observation
    if before is not None and before.incarnation == observation.incarnation:
        return _prove(walk, known)
    if observation.sent_at > endpoint.asked_at:
        return walk, TakeIn(observation)
    return walk, _ASK


def _prove(walk: Walk, known: Known) -> tuple[Walk, Step]:
    if _rests_on_old(walk.decision, known.snapshot, walk.held):
        walk = _anew(walk, known.own(walk.request), known)
    request = walk.request
    if request.kind is Kind.READ and request.consistency.level is Level.SESSION:
        return walk, _TAKE_POSITIONS
    return _arrive(walk, known)


def _rests_on_old(decision: Decision, snapshot: Snapshot, index: int) -> bool:
    """Whether what a decision knew of an endpoint, or of who owns the store, is no longer what is known."""
    before = decision.snapshot
    if before is snapshot:
        return False
    was, now = before.endpoints[index], snapshot.endpoints[index]
    known, fresh = was.observation, now.observation
    same_run = known is not None and fresh is not None and known.incarnation == fresh.incarnation
    same_owner = (before.owner, before.unrecorded) == (snapshot.owner, snapshot.unrecorded)
    return not (same_run and same_owner and was.barred == now.barred and was.allowed is now.allowed)


def _arrive(walk: Walk, known: Known) -> tuple[Walk, Step]:
    decision = walk.decision
    if walk.connected and decision.index == walk.held and decision.outcome is Outcome.USE:
        if _has_to_meet(walk, known):  # the connection told of another run of the owner
            return replace(walk, connected=False, refreshing=True), _REFRESH
        return walk, _USE
    return _go(walk, known)


def _still_waiting(walk: Walk, known: Known) -> tuple[Walk, Step]:
    now, walk = known.now(), _anew(walk, walk.request, known)
    decision = walk.decision
    if walk.until - now <= 0.0 and decision.verdicts[walk.held].standing in _MAY_COME:  # it is not waited for again
        request = replace(walk.request, waited=walk.request.waited | {walk.held})
        return _go(_anew(walk, request, known), known)
    if decision.outcome is not Outcome.WAIT or decision.index != walk.held:
        return _go(walk, known)
    poll, left = walk.poll, walk.until - now
    return replace(walk, poll=min(2.0 * poll, LONGEST_POLL)), Pause(min(poll, left), Look(walk.held, now))
