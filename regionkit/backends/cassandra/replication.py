"""What a keyspace's replication says of how a data centre is read, as routing's positions. Pure.

Replicas are compared with those that the last `create_tables()` wrote down: after a change of theirs, levels overlap on paper
only until a repair has moved the data. Calling `create_tables()` again says that the repair is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from regionkit.errors import ConfigurationError
from regionkit.facts.history import HistoryRow, Lineage
from regionkit.facts.position import Levels, LevelsReached
from regionkit.facts.quorum import Replication
from regionkit.topology import CassandraOptions

__all__ = ["Kept", "decoded", "encoded", "lineage_of", "reached", "replication_of"]


class Kept(msgspec.Struct, frozen=True):
    """The row that `create_tables()` keeps."""

    history: str
    epoch: int
    replication: Replication


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
            why="how many replicas each data centre holds decides which reads see which writes, and this does not say it.",
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
