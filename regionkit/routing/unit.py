# Generated from unit_async.py by scripts/twins.py. Do not edit.
"""A unit over routing: one block, as the pillars use it.

1. What routing promises of a block (one decision, one connection, one deadline, translated errors) holds.
2. What became of a unit is told once, after its end. An error that says so decides (`committed`); without one, a transaction
   whose COMMIT was answered is "yes". Where nothing is rolled back, a unit that raised after it had written is "unknown".
3. What a server rolled back for the sake of others leaves a unit as TransactionRolledBack, whatever its driver calls it:
   running the unit again may succeed.
4. A right that the account lacks on a table of regionkit's leaves it as RegionUnavailable: the store cannot be used until it
   is granted.
5. A stamp is an upper bound: the position that came with the COMMIT, or a later one of the same run of the owner. Where
   neither can be had, there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from regionkit.contract.message import Answer, Statement
from regionkit.contract.outcomes import Failure
from regionkit.contract.unit import Committed
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionKitError, TransactionRolledBack, UsageError
from regionkit.facts.bookmark import EMPTY, Entry
from regionkit.facts.position import Position, as_position
from regionkit.facts.request import Kind
from regionkit.facts.stamp import Owner, Stamp
from regionkit.routing.blocks import Block
from regionkit.routing.partitions import CallOptions
from regionkit.routing.session_state import SessionState
from regionkit.routing.store import RoutedStore

__all__ = ["StoreUnit", "owner_at"]

LOG = logging.getLogger("regionkit.units")


class _Backing(Protocol):
    namespace: str

    def shard(self, key: str | None, deadline: Deadline) -> RoutedStore: ...


class StoreUnit:
    """One unit: a context manager that yields itself. Not shared between threads or tasks."""

    def __init__(
        self,
        backing: _Backing,
        options: CallOptions,
        key: str | None,
        covers: Stamp | None,
        deadline: Deadline,
        *,
        stamped: bool = True,
    ) -> None:
        self._stamped = stamped
        self._backing = backing
        self._options = options
        self._key = key
        self._covers = covers
        self._deadline = deadline
        self._session = SessionState(EMPTY, signed=True)
        self._block: Block[Any] | None = None
        self._hearing: list[Callable[[Committed], None]] = []
        self._outcome: Committed | None = None
        self._stamp: Stamp | None = None
        self.conflict = False
        self.native: Any = None
        self.atomic = False

    def __enter__(self) -> StoreUnit:
        if self._block is not None or self._outcome is not None:
            raise UsageError("a unit was opened twice.", fix="get another one from the backing.")
        try:
            return self._entered()
        except BaseException:
            self._tell("no")
            raise

    def _entered(self) -> StoreUnit:
        store = self._backing.shard(self._key, self._deadline)
        if self._covers is not None:
            stamp = self._covers
            self._session.wrote(store, Entry(stamp.history, stamp.epoch, stamp.position))
        request_class = self._options.request_class(store)
        left = self._deadline.require("a unit", store=store.name)
        block: Block[Any] = Block(self._session, store, request_class, left, self._options.mode, key=self._key or "")
        self._block = block
        self.native = block.__enter__()
        try:
            block.connected()
        except BaseException as error:
            block.__exit__(type(error), error, error.__traceback__)
            raise
        handle = block.handle
        if handle is not None and handle.native is not None:
            self.native = handle.native
        can = store.capabilities
        self.atomic = self._options.mode.transaction or (can is not None and can.transactions)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        block = self._opened()
        written = block.kind is Kind.WRITE
        self._session.bookmark = EMPTY if written else self._session.bookmark
        try:
            block.__exit__(kind, error, traceback)
        except BaseException as raised:
            again = getattr(raised, "retryable", True)  # an error that was swallowed comes again
            self.conflict = again and block.store.backend(block.index).classify(raised) is Failure.ROLLED_BACK
            self._tell(self._committed(raised, own=raised is not error))
            if isinstance(raised, Exception) and self.atomic and block.was_rolled_back(raised):
                raise TransactionRolledBack(
                    f"a unit on {block.store.name!r} was rolled back by the server.",
                    why=str(getattr(raised, "orig", None) or raised).strip().partition("\n")[0][:300],
                    fix=block.store.advice.collisions,
                    store=block.store.name,
                ) from raised
            right = block.store.backend(block.index).lacking(raised) if isinstance(raised, Exception) else None
            if right is not None:
                raise right from raised
            raise
        undone = block.progress.undone and not block.progress.commits
        try:
            if written and not undone and self._stamped:
                self._stamp_of_write(block)
        finally:
            self._tell("unknown" if block.progress.unknown else "no" if undone else "yes")

    def _stamp_of_write(self, block: Block[Any]) -> None:
        """The bookmark of the unit's session says where it wrote; a question to the same run of the owner at most."""
        self._session.take_positions(block.store, within=max(0.0, self._deadline.remaining()))
        entries = self._session.entries(block.store)
        if len(entries) == 1 and entries[0].position is not None:
            entry = entries[0]
            assert entry.position is not None
            self._stamp = Stamp(entry.history, entry.epoch, entry.position)

    def _committed(self, error: BaseException, *, own: bool) -> Committed:
        """`own`: the block's end raised it; one that passed through it may speak of something else."""
        progress = self._opened().progress
        said = error.committed if own and isinstance(error, RegionKitError) else "no"
        if progress.unknown or said == "unknown":
            return "unknown"
        if said == "yes":
            return "yes"
        return "unknown" if progress.commits or progress.implicit else "no"

    def _tell(self, outcome: Committed) -> None:
        self._outcome = outcome
        hearing, self._hearing = self._hearing, []
        stop: BaseException | None = None
        for hear in hearing:
            try:
                hear(outcome)
            except Exception:
                LOG.exception("a listener for the outcome of a unit raised")
            except BaseException as error:  # an exit: the others hear of it first
                stop = error
        if stop is not None:
            raise stop

    def _opened(self) -> Block[Any]:
        if self._block is None:
            raise UsageError(
                "a unit was used before it was opened.",
                fix="use it inside its `with` (`with`): there it has a connection.",
            )
        return self._block

    @property
    def source(self) -> str:
        """The store, or the part of it, that the unit is of."""
        return self._opened().store.source

    @property
    def namespace(self) -> str:
        """Of its backing."""
        return self._backing.namespace

    @property
    def owner(self) -> Owner:
        """Where the unit runs, as it was decided."""
        block = self._opened()
        return owner_at(block.store, block.index)

    @property
    def stamp(self) -> Stamp | None:
        """After a write: an upper bound of what it did; of a read, what `take_stamp` told. None where nobody can tell."""
        return self._stamp

    def take_stamp(self) -> Stamp | None:
        """Inside a read: an upper bound of all that it has shown so far, asked on its connection."""
        entry = self._opened().entry_now()
        self._stamp = None if entry.position is None else Stamp(entry.history, entry.epoch, entry.position)
        return self._stamp

    def position(self) -> Position | None:
        """Inside: a lower bound. After a row lock, all that was committed under that lock before lies at or before it."""
        observation = self._opened().observed_now()
        return None if observation.reached is None else as_position(observation.reached)

    def message(self, statements: Sequence[Statement]) -> list[Answer]:
        """Several statements in one round trip, in the unit's transaction. SQL only."""
        handle = self._opened().handle
        assert handle is not None
        return handle.message(statements)

    def hold(self, why: str) -> None:
        """Only the unit's end ends its transaction from now on. `why`: told to whoever tries. Again: whether that has held."""
        handle = self._opened().handle
        assert handle is not None
        handle.hold(why)

    def on_outcome(self, hear: Callable[[Committed], None]) -> None:
        """Call `hear` once, with what became of the unit; at once where it has ended. One that raises is logged."""
        self._hearing.append(hear)
        if self._outcome is not None:
            self._tell(self._outcome)


def owner_at(store: RoutedStore, index: int) -> Owner:
    """Who an endpoint is, as far as is known."""
    e = store.state.snapshot.endpoints[index]
    lineage = e.lineage
    history, epoch = ("", 0) if lineage is None else (lineage.current.history, lineage.current.epoch)
    return Owner(e.region, e.id, history, epoch)
