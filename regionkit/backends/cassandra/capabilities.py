"""What Cassandra can do, as a value."""

from __future__ import annotations

from regionkit.contract.advice import Advice
from regionkit.contract.capabilities import Capabilities

__all__ = ["CAPABILITIES", "UNMET"]

UNMET = (
    "bring every data centre back, or call s.accept_loss() to continue without what cannot be read now. With QUORUM for writes "
    "and reads, sessions survive the loss of one of three data centres."
)
"""What to do if the levels of a session's reads do not overlap with what it wrote or saw."""

CAPABILITIES = Capabilities(
    server="cassandra",
    positions=True,
    read_only="client",
    transactions=False,
    markers=False,
    detects_promotion=False,
    bounded=False,
    strong="SERIAL: linearizable, on tables written by conditional statements only",
    leaderless=True,
    notes=(
        "SESSION by overlapping levels: a data centre serves a read if its level overlaps with the session's writes; if none "
        "does, the read runs at QUORUM, EACH_QUORUM or ALL, which need the other data centres",
        "each write takes effect when it is acknowledged; there is no rollback",
        "writes of different sessions are ordered by their clocks; within a session later writes win",
        "what an EVENTUAL or STRONG read showed, a later SESSION read may not show yet",
        "other sessions may see writes of several keys in another order: each key is replicated on its own",
        "tables need read_repair = 'BLOCKING', Cassandra's default, for monotonic reads",
        "write partitioning only with conditional statements at SERIAL: every data centre takes part in each write",
        "the keyspace's replication decides which data centres hold copies; requests go to the endpoint's own only",
        "a changed replication is noticed by the next sample, normally within probe_every, later if the store is idle or "
        "probes fail; until then SESSION uses the old one",
    ),
    advice=Advice(
        owner="any data centre of an allowed region takes writes; see kit.status().",
        stale=UNMET,
        promote="any data centre takes writes: there is nothing to promote.",
        parts="each statement takes effect once it is acknowledged",
        collisions="run it again later; fewer concurrent conditional writes to one partition collide less.",
    ),
)
