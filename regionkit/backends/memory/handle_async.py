"""A block on a store in memory: its transaction.

1. A read sees what is committed when it asks; with `snapshot` what was committed when it first asked.
2. A write sees one state, and its own changes. At its end they are committed at once, unless another commit changed what
   the block had read (a key, or by listing them all keys): then nothing is, and the error proves it. So write blocks are
   serialisable and nobody waits for a lock; one that only sets values collides with nothing.
3. A block's end closes its mapping before it commits, and commits a copy of what was set until then. A set of another thread
   that comes later raises. Else it would be in no error and not in the owner's data, but in the copies, which apply the same
   changes later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from regionkit.backends.memory.client import MemoryMapping
from regionkit.backends.memory.world import ABSENT, Conflict, Meta, NotPrimary
from regionkit.contract.checkout_async import AsyncCheckout, AsyncTakeCheckout
from regionkit.contract.message import Answer, Statement, no_messages
from regionkit.contract.progress import NOTHING, Progress
from regionkit.core.events import crash_point
from regionkit.errors import DeadlineExceeded, OutcomeUnknown, TransactionRolledBack, UsageError
from regionkit.facts.request import BlockMode, Kind

if TYPE_CHECKING:
    from regionkit.backends.memory.endpoint_async import AsyncMemoryEndpoint

__all__ = ["AsyncMemoryHandle"]


class AsyncMemoryHandle:
    """Between a block and its mapping. Of one thread or task at a time."""

    __slots__ = (
        "_began",
        "_changes",
        "_checkout",
        "_data",
        "_endpoint",
        "_is_over",
        "_kept",
        "_kind",
        "_read",
        "_read_all",
        "_whole",
        "native",
    )

    def __init__(self, endpoint: AsyncMemoryEndpoint, kind: Kind, source: AsyncTakeCheckout, mode: BlockMode) -> None:
        self._endpoint = endpoint
        self._kind = kind
        self._whole = kind is Kind.WRITE or mode.snapshot
        self._checkout: Any = None
        self._data: dict[str, Any] | None = None
        self._began = 0
        self._changes: dict[str, Any] = {}
        self._kept: dict[Meta, Any] = {}
        self._read: set[str | Meta] = set()
        self._read_all = False
        self._is_over = False
        self.native: Any = MemoryMapping(self)

    async def begin(self, checkout: AsyncCheckout) -> None:
        """Take the connection now. It may be to another region than the one decided on first."""
        self._checkout = checkout
        self._endpoint = self._checkout.endpoint

    def find(self, key: str) -> Any:
        """The value of a key."""
        data = self._current()
        self._read.add(key)
        value = self._changes[key] if key in self._changes else data[key]
        if value is ABSENT:
            raise KeyError(key)
        return value

    def keys(self) -> list[str]:
        """Every key."""
        data = self._current()
        self._read_all = True
        if not self._changes:
            return list(data)
        merged = {**data, **self._changes}
        return [key for key, value in merged.items() if value is not ABSENT]

    def change(self, key: str, value: Any) -> None:
        """Set a value; deleting asks for one that is there."""
        if self._kind is Kind.READ and not self._is_over:
            raise UsageError(
                f"a write was tried in a read block of {self._endpoint.store!r}.",
                why="the mapping of a read block is read-only.",
                fix="write in s.write(...).",
            )
        self._current()
        if value is ABSENT:
            self.find(key)
        self._changes[key] = value
        self._require_open(
            committed="unknown"
        )  # another thread may have ended the block meanwhile, before this or after it

    def kept(self, key: Meta) -> Any:
        """What regionkit keeps under a key; None when there is nothing."""
        self._current()
        self._read.add(key)
        return self._kept.get(key, self._endpoint.node.meta.get(key))

    def keep(self, key: Meta, value: Any) -> None:
        """Keep something of regionkit's own with this transaction."""
        self._kept[key] = value

    def _require_open(self, committed: Literal["no", "unknown"] = "no") -> None:
        if self._is_over:
            raise UsageError(
                "a mapping was used after its block had ended.",
                why="reads and writes of a block belong to its one transaction.",
                fix="use it inside the block; values taken out of it may be used anywhere.",
                committed=committed,
            )

    def _current(self) -> dict[str, Any]:
        """The data that this block sees now."""
        self._require_open()
        assert self._checkout is not None, "a block in memory takes its connection when it opens"
        self._checkout.check()
        self._checkout.progress.used = True
        if self._data is not None:
            return self._data
        node, world = self._endpoint.node, self._endpoint.world
        with world.lock:
            world.deliver_due()
            if not self._whole:
                return node.data
            self._data, self._began = node.pin(), node.position
            return self._data

    async def finish(self) -> None:
        """The block ended well: commit a write.

        Raises:
            TransactionRolledBack: another commit changed what was read.
            OutcomeUnknown: the answer was lost, or never came.
            RegionUnavailable: the region went down before the commit.
            NotPrimary: it was made a copy.
        """
        self._is_over = True
        self._changes, self._kept, self._read = dict(self._changes), dict(self._kept), set(self._read)
        if not (self._changes or self._kept):
            return
        try:
            crash_point("write.before_commit")
        except ConnectionError as error:
            raise self._checkout.lost() from error
        if self._endpoint.node.is_frozen:
            try:
                await self._endpoint.stalled(self._checkout.deadline.remaining(), waits=True)
            except DeadlineExceeded as error:
                self._checkout.progress.expired = True
                raise self._unanswered() from error
        self._checkout.check()
        position, is_lost = self._commit()
        try:
            crash_point("write.commit_sent")
        except ConnectionError as error:
            raise self._unanswered() from error
        if is_lost:
            raise self._unanswered()
        self._checkout.progress.position, self._checkout.progress.commits = position, 1

    def _commit(self) -> tuple[int, bool]:
        """The position, and whether its reply is lost on the way."""
        node, world = self._endpoint.node, self._endpoint.world
        with world.lock:
            world.deliver_due()
            self._unpin()
            if node.incarnation != self._checkout.observation.incarnation:  # though it may be the primary again
                raise NotPrimary(f"{node.name} was replaced since the block began")
            try:
                if world.replies_to_lose and node is world.owner and not world.replies_to_lose[0]:
                    world.replies_to_lose.popleft()
                    return node.position, True
                position = world.commit(
                    node, self._changes, self._kept, self._began, self._read, read_all=self._read_all
                )
            except Conflict:
                raise TransactionRolledBack(
                    f"a write on {self._endpoint.store!r} was rolled back.",
                    why="another commit changed what it had read.",
                    fix="run it again; s.execute_write does so itself.",
                    store=self._endpoint.store,
                    region=self._endpoint.region,
                ) from None
            is_lost = bool(world.replies_to_lose) and node is world.owner
            if is_lost:
                world.replies_to_lose.popleft()
            return position, is_lost

    def _unanswered(self) -> OutcomeUnknown:
        self._checkout.progress.unknown = True
        return OutcomeUnknown(
            f"a commit was sent to {self._endpoint.region} of {self._endpoint.store!r} and no answer came.",
            why="the reply was lost, or the region is frozen.",
            fix="with an idempotency key kit.resolve(error) finds it out; never run it again blindly.",
            store=self._endpoint.store,
            region=self._endpoint.region,
            began_at=self._endpoint.clock.wall(),
        )

    def _unpin(self) -> None:
        data, self._data = self._data, None
        if data is not None:
            self._endpoint.node.unpin(data)

    async def abort(self) -> None:
        """The block raised: drop what it changed."""
        self._changes, self._kept = {}, {}

    async def close(self) -> None:
        """The mapping is of no use from now on."""
        self._is_over = True
        if self._data is not None:
            with self._endpoint.world.lock:
                self._unpin()

    @property
    def progress(self) -> Progress:
        """What the block has done so far: its connection counts."""
        return NOTHING if self._checkout is None else self._checkout.progress

    async def message(self, statements: Sequence[Statement]) -> list[Answer]:
        """Refused: memory is no SQL server."""
        raise no_messages("memory")

    def hold(self, why: str) -> None:
        """Nothing to do: only the block's end commits."""

    def outcome(self, result: Any) -> Any:
        """What a function of execute_write returned is what the caller gets."""
        return result
