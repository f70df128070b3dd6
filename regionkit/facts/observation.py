"""One answer of a server about itself. A value only."""

from __future__ import annotations

import msgspec

from regionkit.facts.history import Lineage
from regionkit.facts.position import Position, Reached
from regionkit.topology import Role

__all__ = ["Observation"]


class Observation(msgspec.Struct, frozen=True, gc=False):
    """One answer of a server about itself.

    Attributes:
        role: what it says it is; None where the server cannot tell (a SQLite file without tables).
        incarnation: which run of the server this is.
        lineage: its history rows; None when there are none.
        origin: where it stands, in the server's own words; "" when it cannot tell.
        reached: how far it has come for sure; on the owner, a position that covers every commit acknowledged before `sent_at`.
        sent_at: monotonic seconds at which the question left.
        rtt: seconds until the answer.
        synchronous: commits wait for replicas there, so a replica may show what the owner does not show yet.
        waiting: such commits were waiting at that moment, or whether they were cannot be seen.
        region: where it stands, of a member of a cluster that says so itself; "" elsewhere.
        shown: covers all that it may have shown until it answered, which may be more than `reached`: servers show a commit
            before or after they count it. None: nobody can tell, so what was read is read from the owner.
        server: what it is, and its version, where its address does not tell: "MySQL 8.0.36", "MariaDB 10.11.6"; "" elsewhere.
        unflushed: what an owner counts goes beyond what it has on disk, and so beyond what any copy can have by now.
        term: the election that made it what it is, of a cluster that elects its primary; 0 elsewhere.
    """

    role: Role | None
    incarnation: str
    lineage: Lineage | None
    origin: str
    reached: Reached | None
    sent_at: float
    rtt: float
    synchronous: bool = False
    waiting: bool = False
    region: str = ""
    term: int = 0
    shown: Position | None = None
    unflushed: bool = False
    server: str = ""

    @property
    def kind(self) -> str:
        """What it is, without the version."""
        return self.server.partition(" ")[0]

    @property
    def recorded(self) -> bool:
        """Whether the newest history row tells of where this server stands."""
        lineage = self.lineage
        return lineage is not None and (self.origin == "" or self.origin == lineage.rows[-1].origin)
