"""What a keyspace's replication says of how a data centre is read, as an `Observation`. Pure.

What is known of a data centre is no matter of one node or one run: levels overlap or they do not. So the incarnation is the
keyspace's place itself, and what a session read stays told when connections were lost.

Replicas are compared with those that the last `create_tables()` wrote down: after a change of theirs, levels overlap on paper
only until a repair has moved the data. Calling `create_tables()` again says that the repair is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from regionkit.errors import ConfigurationError
from regionkit.facts.history import HistoryRow, Lineage
from regionkit.facts.observation import Observation
from regionkit.facts.position import Levels, LevelsReached, as_position
from regionkit.facts.quorum import Replication
from regionkit.topology import CassandraOptions, Role

__all__ = ["Kept", "Place", "decoded", "encoded", "lineage_of", "observation", "reached", "replication_of"]


class Kept(msgspec.Struct, frozen=True):
    """The row that `create_tables()` keeps."""

    history: str
    epoch: int
    replication: Replication


class Place(NamedTuple):
    """Where an endpoint stands: the cluster by the name that it gives itself, keyspace, data centre."""

    cluster: str
    keyspace: str
    datacenter: str


def observation(
    context: Place,
    options: CassandraOptions,
    said: Mapping[str, str] | None,
    row: tuple[str, int, str] | None,
    sent_at: float,
    rtt: float,
) -> Observation:
    """Where a data centre stands.

    Args:
        context: which one.
        options: levels of the store.
        said: the keyspace's replication; None where there is no such keyspace.
        row: what `create_tables()` keeps; None where it was not called.
        sent_at: monotonic seconds at which the question left.
        rtt: seconds until the answer.

    Raises:
        ConfigurationError: as `replication_of`.
    """
    kept = None if row is None else Kept(row[0], row[1], decoded(row[2]))
    have = reached(context.datacenter, options, replication_of(context.keyspace, said), kept)
    return Observation(
        role=Role.PRIMARY,
        incarnation=f"{context.cluster}/{context.keyspace}@{context.datacenter}",
        lineage=lineage_of(context.cluster, context.keyspace, kept),
        origin="",
        reached=have,
        sent_at=sent_at,
        rtt=rtt,
        # blocking read repair leaves what a read showed on as many replicas as the read asked: the level says it all
        shown=as_position(have),
    )


def replication_of(keyspace: str, said: Mapping[str, str] | None) -> Replication:
    """Replicas by data centre.

    Raises:
        ConfigurationError: no such keyspace, or a replication that does not say what each data centre holds.
    """
    if said is None:
        raise ConfigurationError(
            f"the cluster has no keyspace {keyspace!r}.",
            fix="create it, with NetworkTopologyStrategy, or correct the URL.",
        )
    kind = said.get("class", "").rpartition(".")[2]
    factors = {name: text for name, text in said.items() if name != "class"}
    if kind != "NetworkTopologyStrategy" or not all(text.isdecimal() for text in factors.values()):
        raise ConfigurationError(
            f"keyspace {keyspace!r} has replication {kind} {factors!r}.",
            why="the number of replicas in each data centre decides which reads see which writes, and this does not state it.",
            fix="ALTER KEYSPACE ... WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}, then repair.",
        )
    return tuple(sorted((name, int(text)) for name, text in factors.items() if int(text)))


def reached(datacenter: str, options: CassandraOptions, live: Replication, kept: Kept | None) -> LevelsReached:
    """How a data centre is read, and why that proves nothing where it does not."""
    changed = ""
    if kept is not None and kept.replication != live:
        changed = (
            f"the keyspace's replicas are {_shown(live)}, and were {_shown(kept.replication)}: "
            "repair, then call kit.create_tables() to confirm"
        )
    return LevelsReached(datacenter, options.read_level, options.write_level, live, changed)


def lineage_of(cluster: str, keyspace: str, kept: Kept | None) -> Lineage:
    """The keyspace by name, then the history that `create_tables()` began: a keyspace that was made anew has another one."""
    root = HistoryRow(f"{cluster}/{keyspace}", None, None, 0, "")
    if kept is None:
        return Lineage((root,))
    return Lineage((root, HistoryRow(kept.history, root.history, Levels(), kept.epoch, "")))


def encoded(replication: Replication) -> str:
    """As kept in the row."""
    return msgspec.json.encode(replication).decode()


def decoded(text: str) -> Replication:
    """As `encoded` wrote it."""
    return msgspec.json.decode(text, type=Replication)


def _shown(replication: Any) -> str:
    return ", ".join(f"{name}: {factor}" for name, factor in replication)
