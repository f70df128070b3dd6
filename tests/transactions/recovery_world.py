# Generated from recovery_world_async.py by scripts/twins.py. Do not edit.
"""A log, participants and a clock in memory; transactions brought by hand to the place where their coordinator dies."""

from __future__ import annotations

import os
from typing import Any

from regionkit.core.deadline import Deadline
from regionkit.testing import VirtualClock
from regionkit.transactions.logs.memory import MemoryDecisionLog
from regionkit.transactions.participants.memory import MemoryParticipant
from regionkit.transactions.participants.participant import BranchOptions, Listed
from regionkit.transactions.protocol import Decision, Vote
from regionkit.transactions.recovery import Recovery
from regionkit.transactions.xid import Xid, gtrid_of

PATIENCE_DIGIT = 0
"""10 s."""


class World:
    """Two participants unless others are named."""

    def __init__(self, *names: str) -> None:
        self.clock = VirtualClock()
        self.log = MemoryDecisionLog(clock=self.clock)
        self.at = {name: MemoryParticipant(name, clock=self.clock) for name in names or ("a", "b")}

    def soon(self, timeout: float = 30.0) -> Deadline:
        return Deadline(self.clock, timeout)

    def recoverer(self, **more: Any) -> Recovery:
        participants = more.pop("participants", self.at)
        return Recovery("shop", self.log, participants, clock=self.clock, **more)

    def gtrid(self) -> str:
        self.clock.advance(0.002)  # they are in order
        return gtrid_of(int(self.clock.wall() * 1000), os.urandom(10))

    def prepared(self, *names: str, log: str | None = None) -> str:
        """A transaction whose coordinator dies after these votes; by default of all."""
        gtrid = self.gtrid()
        own = (self.log.open("shop", self.soon())).id
        for name in names or self.at:
            xid = Xid("shop", log or own, gtrid, name, PATIENCE_DIGIT)
            branch = self.at[name].begin(BranchOptions(xid), self.soon())
            branch.session()[gtrid] = 1
            assert (branch.prepare(self.soon())).vote is Vote.YES
        return gtrid

    def decided(self, *names: str) -> str:
        """One whose coordinator dies after the decision: COMMIT."""
        gtrid = self.prepared(*names)
        winner = self.log.decide(gtrid, Decision.COMMIT, names or tuple(self.at), "test", self.soon())
        assert winner is Decision.COMMIT
        return gtrid

    def finish(self, gtrid: str, name: str, *, commit: bool) -> None:
        """By hand, as a coordinator, another recoverer or somebody with a console does."""
        [one] = [work for work in self.at[name].prepared.values() if work.xid.gtrid == gtrid]
        self.at[name].finish(Listed(one.xid), commit, self.soon())

    def sides(self, gtrid: str) -> dict[str, int]:
        """What is committed of a transaction, from the data."""
        return {name: at.data[gtrid] for name, at in self.at.items() if gtrid in at.data}

    def left(self) -> int:
        """Branches that are prepared still."""
        return sum(len(at.prepared) for at in self.at.values())
