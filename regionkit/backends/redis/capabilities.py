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
        "A failover loses acknowledged writes that were not replicated yet. Reads with their bookmarks report the loss.",
        "There is no rollback: each command takes effect once it is acknowledged, even if the block raises.",
        "The account also needs INFO and HVALS; EVALSHA and EVAL for keyed writes, history and records.",
        "In a read block the client refuses all but known read-only commands; a replica also refuses writes.",
        "A keyed write is a pipeline that runs as one script; it ends at a failed command, and earlier ones keep their effect.",
        "Markers, history and records are keys: an eviction policy can remove them.",
        "A server that restarts from a snapshot without a replication id is not proved: an operator has to adopt it.",
        "If a replica starts again from scratch, the next command of a proved read notices it, and any other read "
        "with the next probe.",
        "Cluster mode is refused: its keys move between nodes, and there is no single position.",
    ),
    advice=Advice(
        owner="wait: the monitor records a promotion that the server proves. If it does not, name the valid primary with "
        "kit.adopt(store, region), once you know which one it is.",
        promote="promote it on the server first: REPLICAOF NO ONE.",
    ),
)
