"""What is known of a store at one moment, and how an answer of a server changes it. Pure: old value in, new value out.

1. What is known of an endpoint is known of one incarnation of its server. Another incarnation: nothing is proved.
2. What one incarnation has reached stays reached; an answer to an older question that comes late changes nothing.
3. The reported role wins over the configured one. A primary is the owner only by descent: its newest history row was
   written where it stands (same origin), and its lineage is the last known one or descends from it. Of several that
   qualify, the one that descends from all others; if none does, there is no owner, and both are fenced. One whose
   history another endpoint's lineage goes on from was replaced, whichever of several successors will count. What replicas
   say of a history is taken until a primary has been seen: a replica of another store's primary decides nothing.
4. A store without history rows has no descent: only the configured primary can own it.
5. A primary that no history row tells of closes SESSION and BOUNDED reads on replicas: they may follow either history.
6. A replica that followed a replaced primary past the fork is barred as one that was promoted apart is.
7. Of servers of two kinds behind addresses that do not tell (MySQL, MariaDB) the primary's kind is the store's, before it is
   seen the first endpoint's that is; the others are barred: a server copies its own kind, and their positions do not compare.
8. Measured staleness speaks of one owner in one history: at a switch all of it is forgotten.
"""

from __future__ import annotations

import msgspec

from regionkit.facts.history import Descent, Lineage, Survival
from regionkit.facts.observation import Observation
from regionkit.facts.position import as_position
from regionkit.topology import Role

__all__ = ["NEVER", "EndpointState", "Snapshot", "adopted", "observe", "replaced", "unproved"]


NEVER = float("-inf")


class EndpointState(msgspec.Struct, frozen=True, gc=False):
    """All that a decision knows of one endpoint. `trouble`: why its last probe failed, and `advice` what to do about it; "" when
    it was answered. `unproved`: why its promotion could not be recorded, and `remedy` what to do about that.

    `forgotten_at`: when a connection to it died last, monotonic seconds; what was asked before may have been answered by a run
    that is gone, also where that answer would be the first.
    """

    id: str
    region: str
    configured: Role
    role: Role
    allowed: bool
    observation: Observation | None = None
    fresh_at: float | None = None
    rtt: float | None = None
    barred: str = ""
    read_open: str = ""
    write_open: str = ""
    held_until: float = 0.0
    trouble: str = ""
    advice: str = ""
    unproved: str = ""
    remedy: str = ""
    forgotten_at: float = NEVER

    @property
    def asked_at(self) -> float:
        """Only an answer to a question that left after this instant says something new."""
        known = self.observation
        return self.forgotten_at if known is None else max(self.forgotten_at, known.sent_at)

    @property
    def lineage(self) -> Lineage | None:
        """Its history rows, when they tell of where it stands."""
        observation = self.observation
        return observation.lineage if observation is not None and observation.recorded else None


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """One store (one shard of it) as seen from one process.

    `owner`: index into `endpoints`, -1 when there is none. `leaderless`: any allowed endpoint takes writes, and there never
    is an owner. `regions`: those that residency allows, for members that say themselves where they are. `settled`: a primary
    was seen in `lineage` or in one that it is akin to, or an operator named it; until then it is what replicas say.
    """

    store: str
    local: str
    endpoints: tuple[EndpointState, ...]
    owner: int = -1
    lineage: Lineage | None = None
    settled: bool = False
    unrecorded: str = ""
    leaderless: bool = False
    regions: frozenset[str] = frozenset()

    def index(self, endpoint: str) -> int:
        """Position of an endpoint id."""
        return next(i for i, e in enumerate(self.endpoints) if e.id == endpoint)


_WAITING = "the monitor writes one if the server proves it; otherwise adopt it"


def observe(snapshot: Snapshot, index: int, observation: Observation, fresh_at: float | None) -> Snapshot:
    """The snapshot after an answer of endpoint `index`; `fresh_at` is what the ring of samples proves of it."""
    old = snapshot.endpoints[index]
    if observation.sent_at < old.asked_at:
        return snapshot
    if old.observation is not None and old.observation.incarnation == observation.incarnation:
        observation = _still_standing(old.observation, observation)
        if (
            old.fresh_at is not None
            and (fresh_at is None or fresh_at < old.fresh_at)
            and _same_history(old.observation, observation)
        ):
            fresh_at = old.fresh_at
    if not observation.recorded:
        fresh_at = None  # its positions are of a history that has no name yet
    rtt = observation.rtt if old.rtt is None else min(observation.rtt, 0.8 * old.rtt + 0.2 * observation.rtt)
    role = observation.role or old.configured
    new = msgspec.structs.replace(old, observation=observation, role=role, fresh_at=fresh_at, rtt=rtt)
    if observation.recorded or role is not Role.PRIMARY:
        new = msgspec.structs.replace(new, unproved="", remedy="")
    if observation.region not in ("", old.region):
        new = msgspec.structs.replace(new, region=observation.region, allowed=observation.region in snapshot.regions)
    endpoints = (*snapshot.endpoints[:index], new, *snapshot.endpoints[index + 1 :])
    if (
        old.observation is not None
        and old.role is new.role
        and _same_claim(old.observation, observation)
        and not _lags_behind(new, snapshot.lineage)
    ):
        return msgspec.structs.replace(snapshot, endpoints=endpoints)
    return _with_owner(snapshot, endpoints)


def replaced(snapshot: Snapshot, index: int, endpoint: EndpointState) -> Snapshot:
    """The snapshot with one endpoint's health changed."""
    return msgspec.structs.replace(
        snapshot, endpoints=(*snapshot.endpoints[:index], endpoint, *snapshot.endpoints[index + 1 :])
    )


def unproved(snapshot: Snapshot, index: int, why: str, remedy: str) -> Snapshot:
    """The snapshot after the monitor tried to record a promotion and could not. `why` "": it can, or may again."""
    old = snapshot.endpoints[index]
    if (old.unproved, old.remedy) == (why, remedy):
        return snapshot
    new = msgspec.structs.replace(old, unproved=why, remedy=remedy)
    return _with_owner(snapshot, (*snapshot.endpoints[:index], new, *snapshot.endpoints[index + 1 :]))


def adopted(snapshot: Snapshot, lineage: Lineage | None) -> Snapshot:
    """The snapshot after an operator named the history that counts from now on.

    What primaries of other histories said before is forgotten: one that is off for good would fence the store for ever. One
    that is still there says so again.
    """
    endpoints = tuple(e if lineage is None or _accepts(e, lineage) else _forgotten(e) for e in snapshot.endpoints)
    return _with_owner(msgspec.structs.replace(snapshot, lineage=lineage, settled=lineage is not None), endpoints)


def _accepts(endpoint: EndpointState, lineage: Lineage) -> bool:
    own = endpoint.lineage
    return endpoint.role is not Role.PRIMARY or (own is not None and own.descent(lineage) is not Descent.APART)


def _forgotten(endpoint: EndpointState) -> EndpointState:
    return msgspec.structs.replace(endpoint, observation=None, role=endpoint.configured, fresh_at=None)


def _still_standing(old: Observation, observation: Observation) -> Observation:
    """An answer of the same run that cannot tell its origin: the run still stands where it said before.

    A PostgreSQL standby knows its timeline only while it receives; what it applied of that timeline stays applied.
    """
    if observation.origin == "" and old.origin != "" and observation.role is old.role:
        return msgspec.structs.replace(observation, origin=old.origin)
    return observation


def _lags_behind(endpoint: EndpointState, known: Lineage | None) -> bool:
    """Whether it is in a history that was left: then how far it went there matters."""
    lineage = endpoint.lineage
    return lineage is not None and known is not None and lineage.current.history != known.current.history


def _same_claim(a: Observation, b: Observation) -> bool:
    return a.lineage == b.lineage and a.origin == b.origin and a.term == b.term


def _same_history(a: Observation, b: Observation) -> bool:
    return a.lineage is not None and b.lineage is not None and a.lineage.current.history == b.lineage.current.history


def _with_owner(snapshot: Snapshot, endpoints: tuple[EndpointState, ...]) -> Snapshot:
    known, settled = _newest(snapshot, endpoints)
    if snapshot.leaderless:
        return msgspec.structs.replace(snapshot, endpoints=endpoints, lineage=known, settled=settled)
    barred = [_of_another_kind(e, endpoints) or _barred(e, known, endpoints) for e in endpoints]
    claims = [i for i, e in enumerate(endpoints) if e.role is Role.PRIMARY and not barred[i]]
    proved = [i for i in claims if endpoints[i].observation is not None]
    owner = -1
    if len(proved) == 1:
        owner = proved[0]
    elif proved:
        for i in proved:
            barred[i] = (
                "another endpoint claims the same history: the same server under two names, or a copy made a primary"
            )
    elif len(claims) == 1 and not any(_rivals(e) for e in endpoints):
        owner = claims[0]  # not seen yet: as configured
    unrecorded = next((e.region for e in endpoints if e.role is Role.PRIMARY and _is_unrecorded(e)), "")
    switched = owner != snapshot.owner or known != snapshot.lineage or unrecorded != ""
    replace = msgspec.structs.replace
    return replace(
        snapshot,
        endpoints=tuple(
            replace(e, barred=why, fresh_at=None if switched else e.fresh_at)
            for e, why in zip(endpoints, barred, strict=True)
        ),
        owner=owner,
        lineage=known,
        settled=settled,
        unrecorded=unrecorded,
    )


def _rivals(endpoint: EndpointState) -> bool:
    """Whether it says that it is the primary of a history, barred or not: then the configuration alone proves nothing."""
    return (
        endpoint.role is Role.PRIMARY and endpoint.observation is not None and endpoint.observation.lineage is not None
    )


def _is_unrecorded(endpoint: EndpointState) -> bool:
    observation = endpoint.observation
    return observation is not None and observation.lineage is not None and not observation.recorded


def _newest(snapshot: Snapshot, endpoints: tuple[EndpointState, ...]) -> tuple[Lineage | None, bool]:
    """The last known lineage, moved on by descent only, and whether it is settled. Two promoted apart from it: it stays."""
    known, settled = snapshot.lineage, snapshot.settled
    found = [e.lineage for e in endpoints if e.lineage is not None]
    owners = [e.lineage for e in endpoints if e.lineage is not None and e.role is Role.PRIMARY]
    if not settled:
        # the first to be seen decides only when all others agree by descent; a primary's word goes before a replica's
        known = _agreed(owners) if owners else known or _agreed(found)
        settled = known is not None and bool(owners)
    if known is not None:
        base = known
        known = _agreed([a for a in found if a.descent(base) is Descent.NEWER]) or known
    return known, settled


def _agreed(found: list[Lineage]) -> Lineage | None:
    """The one that all others lead to; None where two were promoted apart."""
    return next((a for a in found if all(a.descent(b) in (Descent.SAME, Descent.NEWER) for b in found)), None)


def _of_another_kind(endpoint: EndpointState, endpoints: tuple[EndpointState, ...]) -> str:
    """Why an endpoint is barred for what its server is; "" where it is of the store's kind, or nobody knows."""
    own = endpoint.observation
    told = [(e, e.observation) for e in endpoints if e.observation is not None and e.observation.kind]
    if own is None or not own.kind or all(seen.kind == own.kind for _, seen in told):
        return ""
    first, seen = next((each for each in told if each[0].role is Role.PRIMARY), told[0])
    if seen.kind == own.kind:
        return ""
    return (
        f"it is {own.server}, and {first.id} is {seen.server}: neither copies the other, so they cannot form one store"
    )


def _barred(endpoint: EndpointState, known: Lineage | None, endpoints: tuple[EndpointState, ...]) -> str:
    """Why an endpoint fails the epoch filter; "" when it passes."""
    observation = endpoint.observation
    if observation is None:
        return ""
    if endpoint.role is Role.REPLICA:
        return _barred_replica(endpoint, known)
    newest = max(e.observation.term for e in endpoints if e.observation is not None)
    if observation.term < newest:
        return f"it was elected in term {observation.term}, and the cluster is in term {newest}: it was replaced as primary"
    if observation.lineage is None:
        return _barred_without_history(endpoint, known, endpoints)
    if not observation.recorded:
        why = f"{endpoint.unproved}; correct that, or adopt it" if endpoint.unproved else _WAITING
        return f"it was promoted, and no history row records it: {why}"
    if known is None:
        return "it and another primary were promoted separately; neither descends from the other"
    descent = observation.lineage.descent(known)
    if descent is Descent.OLDER and known.survival(observation.lineage.current.history, None) is Survival.UNKNOWN:
        return "an operator adopted another history instead"
    if descent is Descent.OLDER:
        epoch = observation.lineage.current.epoch
        return f"it is at epoch {epoch}, the store at {known.current.epoch}: it was replaced as primary"
    if descent is Descent.APART:
        return "its history does not descend from the last known one"
    if any(
        other.lineage is not None and other.lineage.descent(observation.lineage) is Descent.NEWER for other in endpoints
    ):
        return "another endpoint's history continues its own: it was replaced as primary"
    twins = [
        other
        for other in endpoints
        if other is not endpoint
        and other.role is Role.PRIMARY
        and other.lineage is not None
        and other.lineage.descent(observation.lineage) is Descent.APART
    ]
    return "another primary's history was promoted separately from this one" if twins else ""


def _barred_replica(endpoint: EndpointState, known: Lineage | None) -> str:
    lineage, observation = endpoint.lineage, endpoint.observation
    if lineage is None or known is None or observation is None:
        return ""
    if lineage.descent(known) is Descent.APART:
        return "it follows a history that was promoted separately from ours"
    if known.survival(lineage.current.history, None) is Survival.UNKNOWN and lineage.descent(known) is Descent.OLDER:
        return "it follows a history that an operator replaced by another one"
    if observation.reached is None or not _lags_behind(endpoint, known):
        return ""
    if known.survival(lineage.current.history, as_position(observation.reached)) is Survival.LOST:
        return "it followed the primary that was replaced, past the fork"
    return ""


def _barred_without_history(
    endpoint: EndpointState, known: Lineage | None, endpoints: tuple[EndpointState, ...]
) -> str:
    if known is not None:
        return "its history rows are gone: it is not a copy of the known data"
    if endpoint.configured is not Role.PRIMARY and not (endpoint.observation and endpoint.observation.term):
        return "it reports the role of a primary against the configuration, and no history rows prove it"
    return ""
