"""What Cassandra can do, as a value."""

from __future__ import annotations

from regionkit.contract.advice import Advice
from regionkit.contract.capabilities import Capabilities

__all__ = ["CAPABILITIES", "UNMET"]

UNMET = (
    "bring every data centre back, or let s.accept_loss() go on without what cannot be shown now; levels that meet in every data "
    "centre (QUORUM to write and to read) survive the loss of one of three."
)
"""What to do where a session's reads cannot meet what it wrote or saw."""

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
        "SESSION by overlapping levels: a data centre serves it where its reads must meet the session's writes; where none does, "
        "at EACH_QUORUM or ALL while every data centre is up",
        "each write stands when it is acknowledged; nothing is rolled back",
        "writes of different sessions are ordered by their clocks; within a session later writes win",
        "what an EVENTUAL or STRONG read showed, a later SESSION read may not show yet",
        "other sessions may see writes of several keys in another order: each key travels by itself",
        "tables need read_repair = 'BLOCKING', Cassandra's default, for reads that do not go backwards",
        "write partitioning by conditional statements at SERIAL only: every data centre has a part in each write",
        "the keyspace's replication decides which data centres hold copies; requests go to the endpoint's own only",
        "a changed replication is noticed by the next sample: until then, probe_every as a rule and longer at rest or "
        "while probes fail, SESSION goes by the old one",
    ),
    advice=Advice(
        owner="any data centre of an allowed region takes writes; see kit.status().",
        stale=UNMET,
        promote="any data centre takes writes: there is nothing to promote.",
        parts="each statement stands once it is acknowledged",
        collisions="run it again later; fewer conditional writes of one partition at a time collide less.",
    ),
)
