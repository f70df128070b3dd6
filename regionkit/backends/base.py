# Generated from base_async.py by scripts/twins.py. Do not edit.
"""The contract between routing and a backend. Routing knows these names only; drivers stay behind them.

Who calls what, in which order:

1. `EndpointBackend.lease` gives one connection for one block, within the deadline. It learned at connect which run of the
   server it speaks to; `Lease.seen` says so.
2. Where a proof is missing, the block calls `Lease.observe` on that very connection, before the user's first statement.
3. `EndpointBackend.handle` makes what the user types with (for SQL a Session or a Connection). It asks the block for a
   lease when it first needs one, and not before.
4. At the end the block calls `Handle.finish` (write: flush and commit) or `Handle.abort`, then `Handle.close`, then
   `Lease.release`. A lease whose connection may still get an answer is discarded, never given back.
5. `EndpointBackend.probe` runs on a connection of its own, for the monitor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from regionkit.backends.values import BlockMode, Capabilities, Claim, Failure, Marker
from regionkit.core.deadline import Deadline
from regionkit.routing.decision import Kind, Request
from regionkit.routing.history import HistoryRow
from regionkit.routing.placement import Placement
from regionkit.routing.position import Position
from regionkit.routing.snapshot import Observation

__all__ = [
    "EndpointBackend",
    "Handle",
    "Lease",
    "LeaseSource",
]


class Lease(Protocol):
    """One connection, for one block. Not shared."""

    @property
    def seen(self) -> Observation:
        """What the server said of itself on this connection, at connect or later."""
        ...

    def observe(self) -> Observation:
        """Ask the server where it stands, on this connection."""
        ...

    def guard(self, until: float, recheck: Callable[[Observation], float]) -> None:
        """Before a statement that begins after `until`, ask the server anew; `recheck` gives the next instant, or raises."""
        ...

    def release(self) -> None:
        """Give the connection back; one that broke or outlived its deadline is closed."""
        ...


LeaseSource = Callable[[], Lease]
"""What a handle calls when it first needs a connection."""


class Handle(Protocol):
    """What stands between a block and the object the user types with."""

    native: Any

    def begin(self, lease: Lease) -> None:
        """Take the connection now; else it is taken at the first statement."""
        ...

    def finish(self) -> None:
        """The block ended well: commit a write; of a read, refuse changes left pending."""
        ...

    def abort(self) -> None:
        """The block raised: roll back."""
        ...

    def close(self) -> None:
        """Let go of everything but the lease."""
        ...

    def position(self) -> Position | None:
        """Where the newest commit of this block lies; None when nothing was committed or it can not be told."""
        ...

    @property
    def commits(self) -> int:
        """Commits of this block so far; where there is no transaction, writes that were acknowledged."""
        ...

    @property
    def used(self) -> bool:
        """Whether a statement was sent."""
        ...

    @property
    def implicit(self) -> bool:
        """Whether a statement committed by itself."""
        ...

    @property
    def expired(self) -> bool:
        """Whether the server had not answered when the deadline passed."""
        ...

    @property
    def unknown(self) -> bool:
        """Whether a commit was sent and its answer never came."""
        ...

    @property
    def warning(self) -> str:
        """What the server warned of at the commit; "" for nothing."""
        ...

    def outcome(self, result: Any) -> Any:
        """What `execute_write` gives back for what its function returned, once the block has ended."""
        ...


class EndpointBackend(Protocol):
    """One endpoint of a store: its connections."""

    capabilities: Capabilities

    def lease(self, kind: Kind, deadline: Deadline, timeout: float) -> Lease:
        """A connection.

        Where `timeout` is less than the deadline has left, another endpoint could serve: then `observe` before the block's
        first statement takes at most half of what is left, so that a frozen server leaves time for the other one.

        Raises:
            RegionUnavailable: it can not be had (nothing was sent).
            DeadlineExceeded: not within `timeout` seconds.
        """
        ...

    def handle(self, kind: Kind, source: LeaseSource, mode: BlockMode, asked: Callable[[], Request]) -> Handle:
        """What the user types with. `asked` says what the decision that gave the lease had been asked."""
        ...

    def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the server where it stands, on the monitor's own connection; making one may take `connecting` seconds."""
        ...

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
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

    def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child already."""
        ...

    def find_placement(self, deadline: Deadline, store: str, key: str) -> Placement | None:
        """The row of a directory that this endpoint has; None when it has none."""
        ...

    def set_placement(self, deadline: Deadline, row: Placement, *, expected: int) -> Placement:
        """Put `row` where the row's version is `expected` (0: where there is none); the row that stands then.

        Only on the owner. An older regionkit that made no table for placements is a ConfigurationError.
        """
        ...

    def prove_promotion(self, timeout: float, parent: HistoryRow, seen: Observation) -> Position | None:
        """Where the server itself says that it left `parent`; None when it can not prove it."""
        ...

    def abandon(self) -> None:
        """After a fork: forget the parent's connections without closing them under its feet."""
        ...

    def close(self) -> None:
        """Close every connection. May be called twice."""
        ...
