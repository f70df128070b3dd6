"""What a member's answer to `hello` says of it. Pure.

1. Its position is what its majority reads show (`majorityOpTime`): no election takes it back, and a majority read on the same
   run shows it at once. On the primary it covers every write that a majority has acknowledged.
2. A newly elected primary counts as one from its first commit in its own term: before, it may not yet show what its
   predecessor had acknowledged.
3. The run of a mongod is the process id that it draws at its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bson import Timestamp
from pymongo.topology_description import TopologyDescription
from pymongo.uri_parser_shared import parse_host

from regionkit.contract.endpoint_context import EndpointContext
from regionkit.errors import ConfigurationError, RegionUnavailable
from regionkit.facts.history import HistoryRow, Lineage, lineage_of
from regionkit.facts.observation import Observation
from regionkit.topology import MongoStore, Role

__all__ = ["as_timestamp", "lineage_in", "observation", "peers_of", "position_of", "run_of", "term_in", "term_of"]


DEFAULT_PORT = 27017
"""Of a member that is named without one."""


def position_of(at: Timestamp) -> int:
    """An operation time as a position."""
    return int(at.time) << 32 | int(at.inc)


def as_timestamp(position: int) -> Timestamp:
    """A position as the operation time that it was made of."""
    return Timestamp(position >> 32, position & 0xFFFFFFFF)


def run_of(hello: Mapping[str, Any]) -> str:
    """Which run of the server answered."""
    version = hello.get("topologyVersion")
    return str(version["processId"]) if version else ""


def term_in(hello: Mapping[str, Any]) -> int:
    """Of the election of a primary that answers; 0: it does not say."""
    elected = hello.get("electionId")
    return 0 if elected is None else int.from_bytes(elected.binary[4:], "big")


def term_of(seen: TopologyDescription) -> int:
    """The same, as a client of the application's has seen it last."""
    elections = (server.election_id for server in seen.server_descriptions().values() if server.is_writable)
    return max((int.from_bytes(elected.binary[4:], "big") for elected in elections if elected is not None), default=0)


def peers_of(hello: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """The members that a member knows, the primary first."""
    names = dict.fromkeys([hello.get("primary"), *hello.get("hosts", ())])
    pairs = (parse_host(name, DEFAULT_PORT) for name in names if name)
    return tuple((host, port or DEFAULT_PORT) for host, port in pairs)


def observation(
    context: EndpointContext[MongoStore],
    hello: Mapping[str, Any],
    lineage: Lineage | None,
    sent_at: float,
    rtt: float,
    *,
    set_name: str | None,
) -> Observation:
    """Where a member stands. `set_name`: the replica set that it has to be of; None for any.

    Raises:
        ConfigurationError: it is no member of the replica set, or does not say its region.
        RegionUnavailable: it is neither primary nor secondary now.
    """
    _check_member(context, hello, set_name)
    last: Mapping[str, Any] = hello["lastWrite"]
    newest = last.get("majorityOpTime")
    term = int(last["opTime"]["t"])
    role = Role.REPLICA
    if hello.get("isWritablePrimary"):
        term = term_in(hello) or term
        if newest is not None and newest["t"] >= term:
            role = Role.PRIMARY
    at = None if newest is None else position_of(newest["ts"])
    return Observation(
        role=role,
        incarnation=run_of(hello),
        lineage=lineage,
        origin="",
        reached=at,
        sent_at=sent_at,
        rtt=rtt,
        region=_region_of(context, hello),
        term=max(term, 0),
        # hello tells the time of the committed snapshot, and majority reads are served from the same snapshot, which only
        # moves on within a run: no majority read that ended before this answer showed more. Reads of the owner at `local`
        # do; they are made where the bookmark says "read from the owner", and it goes on saying so.
        shown=at,
    )


def _check_member(context: EndpointContext[MongoStore], hello: Mapping[str, Any], wanted: str | None) -> None:
    where = f"{context.endpoint.id!r} of {context.store.name!r}"
    if not hello.get("setName") and not hello.get("isreplicaset"):
        raise ConfigurationError(
            f"{where} is not a member of a replica set.",
            why="only a replica set has causal sessions, majorities and elections.",
            fix="start mongod with --replSet and initiate the set, of one member if need be.",
        )
    found = hello.get("setName")
    if wanted is not None and found is not None and found != wanted:
        raise ConfigurationError(
            f"{where} is a member of the replica set {found!r}.",
            why=f"replicaSet={wanted} is configured: its data belong to another set.",
            fix="correct the hosts or the name of the set.",
        )
    if not (hello.get("isWritablePrimary") or hello.get("secondary")) or not hello.get("topologyVersion"):
        raise RegionUnavailable(
            f"{where} is neither primary nor secondary.",
            why="it starts, recovers, rolls back, or was removed from the set.",
            fix="see rs.status() there.",
            store=context.store.name,
            region=context.endpoint.region,
        )


def _region_of(context: EndpointContext[MongoStore], hello: Mapping[str, Any]) -> str:
    """The region that the member's tag names; "" where the topology says it."""
    if context.endpoint.region:
        return ""
    region = hello.get("tags", {}).get("region")
    if not region:
        raise ConfigurationError(
            f"{context.endpoint.id!r} of {context.store.name!r} does not report its region.",
            why="its member tag `region` is missing; the other members of the store stay in use.",
            fix=f'set members[n].tags = {{ region: "..." }} for {context.endpoint.id} with rs.reconfig().',
        )
    return str(region)


def lineage_in(documents: Iterable[Mapping[str, Any]]) -> Lineage | None:
    """The lineage told by the documents of the history collection; None when there are none."""
    return lineage_of(
        [
            HistoryRow(str(d["_id"]), d.get("parent") or None, d.get("fork"), int(d["epoch"]), str(d["origin"]))
            for d in documents
        ]
    )
