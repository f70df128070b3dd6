# Generated from endpoint_async.py by scripts/twins.py. Do not edit.
"""How to read any backend, and what each one owes routing. Drivers stay behind these names.

Every backend has the same files, whatever its driver; a pair `x_async.py` and `x.py` is a source and its generated twin:

| file              | what is there |
|-------------------|---------------|
| `endpoint_async`  | the whole as routing sees it: implements `EndpointBackend` |
| `checkout_async`  | one connection in the hands of one block: implements `Checkout` |
| `handle_async`    | what a block does at its endpoint: implements `Handle` |
| `client_async`    | what the user types with |
| `records_async`   | regionkit's own rows: histories, markers, placements |
| `observation`     | what the server says of itself, as an `Observation`. Pure |
| `classify`        | what an error says of the endpoint and of what was sent. Pure |
| `capabilities`    | what this backend can do. A value |

Who calls what, in which order:

1. `check_out` gives one connection for one block, within the deadline. It learned when it was made which run of the server
   it speaks to; `Checkout.observation` says so.
2. Where a proof is missing, the block calls `observe` on the same connection, before the user's first statement.
3. `handle` makes what the user types with (for SQL a Session or a Connection). It asks the block for a checkout when it
   first needs one, and not before.
4. At the end the block calls `Handle.finish` (write: flush and commit) or `abort`, then `close`, then
   `Checkout.release`. A connection that may still get an answer is discarded, never given back.
5. `probe` runs on a connection of its own, for the monitor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from regionkit.contract.capabilities import Capabilities
from regionkit.contract.checkout import Checkout, TakeCheckout
from regionkit.contract.handle import Handle
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.outcomes import Failure
from regionkit.contract.records import Records
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table
from regionkit.errors import RegionUnavailable
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.position import Position
from regionkit.facts.request import BlockMode, Kind, Request

__all__ = ["EndpointBackend", "Meet"]

Meet = Callable[[Observation, float], None]
"""Called with what a connection was told of its server, and the seconds that are left; raises where nothing may be written."""


class EndpointBackend(Protocol):
    """One endpoint of a store: its connections."""

    capabilities: Capabilities
    meet: Meet | None
    """Set by routing; records call it before each change on a connection: a server that began anew may have been replaced."""

    @property
    def records(self) -> Records:
        """Small versioned rows of regionkit's own."""
        ...

    def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> Checkout:
        """A connection, for a block that ends at the deadline.

        Raises:
            RegionUnavailable: it cannot be had (nothing was sent).
            DeadlineExceeded: not within `timeout` seconds.
        """
        ...

    def handle(self, kind: Kind, source: TakeCheckout, mode: BlockMode, asked: Callable[[], Request]) -> Handle:
        """What the user types with. `asked` says what the decision that led here had been asked."""
        ...

    def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the server where it stands, on the monitor's own connection; making one may take `connecting` seconds."""
        ...

    def keep_warm(self, timeout: float) -> None:
        """Have one idle connection for reads, before it is needed; make it within `timeout` seconds where there is none.

        Nothing where the driver keeps some itself. It may raise what `check_out` raises.
        """
        ...

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
        ...

    def lacking(self, error: Exception) -> RegionUnavailable | None:
        """The error of a right on a table of regionkit's that a unit's statement lacked; None where it failed for another reason.

        The application's own tables are its own affair.
        """
        ...

    def evict(self) -> None:
        """Close idle connections, and used ones when they come back: the server changed its role or its run."""
        ...

    def claim(self, handle: Handle, claim: Claim) -> Marker | None:
        """First statement of a keyed attempt: None when it is ours now, else what stands there.

        It may exchange `handle.native` for what a keyed function types with (Redis: a pipeline). A backend whose effect and
        marker are written at the end only raises `Claimed` from `finish` when another attempt was first.
        """
        ...

    def store_result(self, handle: Handle, claim: Claim, result: bytes) -> None:
        """Keep the result of a keyed attempt, in its transaction."""
        ...

    def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless something stands there; what stands there then."""
        ...

    def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Forget at most `most` markers older than `older_than` seconds; how many were."""
        ...

    def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Make what regionkit keeps on this store, and the first history row when there is none. `root` gets the origin."""
        ...

    def make_tables(self, deadline: Deadline, tables: Sequence[Table]) -> None:
        """Make these tables unless they are there, under one lock: many processes may do it at once.

        Raises:
            ConfigurationError: one stands there in another version.
        """
        ...

    def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child already."""
        ...

    def mark(self, timeout: float, observation: Observation) -> None:
        """Write into the data how far they have come, where nothing else would tell it after a restart; else nothing.

        Called now and then, after an answer of the owner. A mark that cannot be written is none: nobody depends on it.
        """
        ...

    def survived(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """Up to where the history of `parent` is in this server's data as far as is known; for the row of an adoption."""
        ...

    def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """Where the server itself says that it left `parent`; None when it cannot prove it."""
        ...

    def abandon(self) -> None:
        """After a fork: forget the parent's connections without closing them under its feet."""
        ...

    def close(self, *, drain: bool = False) -> None:
        """Close every connection; one in use is closed when it comes back. May be called twice.

        From then on none is made, and one that is being made is closed. `drain`: blocks that are open may still take one where
        each block has one of its own; it is closed after them. A later call without it ends that.
        """
        ...
