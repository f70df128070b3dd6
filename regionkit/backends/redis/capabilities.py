"""What the Redis backend can do, and its limits in words. A value."""

from __future__ import annotations

from regionkit.contract.advice import Advice
from regionkit.contract.capabilities import Capabilities

__all__ = ["CAPABILITIES"]

CAPABILITIES = Capabilities(
    server="redis",
    positions=True,
    read_only="client",
    transactions=False,
    markers=True,
    detects_promotion=True,
    exchanges_data=True,
    notes=(
        "Replication is asynchronous: a failover loses acknowledged writes that had not arrived. Their bookmarks say so.",
        "There is nothing to roll back: each command is done once it is answered, also in a block that raises.",
        "The account needs INFO and HVALS beside its own commands; EVALSHA and EVAL for keyed writes, history and records.",
        "In a read block the client refuses what is not known to read; on a replica the server refuses writes too.",
        "A keyed write types with a pipeline that runs as one script; a command that fails ends it, and what ran stays.",
        "Markers, history and records are keys: an eviction policy can take them.",
        "A restart that keeps no replication id in its snapshot is no proved successor: an operator adopts it.",
        "A replica that begins anew is noticed by the next command of a read that was proved, "
        "by any other read with the next probe.",
        "Cluster mode is refused: keys move there by themselves, and there is no one position.",
    ),
    advice=Advice(
        owner="wait: the monitor records a promotion that the server proves; else kit.adopt(store, region) names the primary "
        "that counts, once you know which one does.",
        promote="promote it on the server first: REPLICAOF NO ONE.",
    ),
)
