# Generated from execute_async.py by scripts/twins.py. Do not edit.
"""The unit of work as a function: what may run again, and under one deadline.

| failure of a run                                   | read  | write | keyed write |
|----------------------------------------------------|-------|-------|-------------|
| endpoint lost, nothing sent                        | again | again | again       |
| endpoint lost or too slow, something sent          | again | no    | again       |
| server proved a rollback (40001, 40P01, 1213)      | again | again | again       |
| COMMIT sent, answer lost                           | -     | no    | again       |
| a statement committed by itself (DDL on MariaDB)   | -     | no    | no          |
| the application's own error                        | no    | no    | no          |

Runs are spaced by tenacity (full jitter) and paid from the store's retry budget; tenacity is not even imported before the
first failure. Those after a proved rollback cost neither budget nor attempts. They end with the deadline: none begins that has
less time than the last one took, and where collisions have taken most of the time, the error says so. A keyed run begins with
its marker, so a run that finds the marker there does nothing. Once an outcome is open, a refusal by a breaker is waited out to
the deadline: it starts no run, so it costs no attempt and no budget.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from regionkit.contract.idempotency import Claim, Claimed, Marker
from regionkit.contract.outcomes import Failure
from regionkit.core.codec import PLAIN, is_plain
from regionkit.core.concurrency import elapse
from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.core.retry import RetryPolicy
from regionkit.errors import (
    AlreadyApplied,
    ConfigurationError,
    DeadlineExceeded,
    NoEligibleEndpoint,
    OutcomeUnknown,
    PayloadMismatch,
    RegionKitError,
    RegionUnavailable,
    StaleRead,
    TransactionRolledBack,
)
from regionkit.facts.bookmark import Entry
from regionkit.facts.consistency import Level
from regionkit.facts.request import BlockMode, Kind
from regionkit.routing.blocks import Block
from regionkit.routing.call_checks import check_result, check_work
from regionkit.routing.partitions import CallOptions
from regionkit.routing.session_state import SessionState
from regionkit.routing.store import RoutedStore
from regionkit.routing.supporting import servers_supporting
from regionkit.topology.validation import is_storable

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Execution"]

T = TypeVar("T")
IS_ASYNC = False

CONFLICTS = RetryPolicy(base=0.01, cap=0.2)
"""Waits after a proved rollback: others are at the same row for milliseconds. Runs end with the call's deadline."""
LARGEST_RESULT = 4096
"""Largest stored result, bytes encoded: it shares a row with the marker; more belongs into a table of the application."""
LONGEST_KEPT = 120
"""Longest fingerprint that is kept as it is, characters: the column's width. Of a longer one its hash is kept."""
LONGEST_FINGERPRINT = 65_536
"""Longest fingerprint, characters: whatever it is made of, it is no document."""
LONGEST_KEY = 200
"""Longest idempotency key, characters: it is an index key on every server."""


class Execution:
    """One call of execute_read or execute_write.

    Args:
        session: told of what was written and read.
        store: the store, or the shard of the key.
        deadline: of the whole call; finding that shard was part of it.
        key: whose data it is about, where the store is partitioned.
        locate: finds store and key anew, for a run after the topology was replaced.
    """

    def __init__(
        self,
        session: SessionState,
        store: RoutedStore,
        deadline: Deadline,
        key: str = "",
        locate: Callable[[], tuple[RoutedStore, str]] | None = None,
    ) -> None:
        self._session = session
        self._store = store
        self._deadline = deadline
        self._key = key
        self._locate = locate
        self._excluded: frozenset[int] = frozenset()
        self._block: Block[Any] | None = None
        self._unknown: OutcomeUnknown | None = None
        self._lost: RegionUnavailable | DeadlineExceeded | StaleRead | None = None
        self._runs = 0
        self._conflict = False
        self._collision: BaseException | None = None

    def read(self, work: Callable[[Any], T], asked: CallOptions) -> T:
        """Run a read; again elsewhere when its endpoint is lost or too slow."""
        check_work(work)
        deadline = self._deadline
        mode = asked.mode
        asked.request_class(self._store)  # refuses before anything is run

        def run() -> T:
            store = self._here()
            request_class = asked.request_class(store)
            left = deadline.require("a read", store=store.name)
            roams = request_class.request.consistency.level is not Level.STRONG
            others = roams and sum(1 for b in store.backends if b is not None) - len(self._excluded) > 1
            block: Block[Any] = Block(
                self._session,
                store,
                request_class,
                left / 2.0 if others else left,
                mode,
                excluded=self._excluded,
                key=self._key,
            )
            self._block = block
            with block as db:
                return _worked(work, db)

        try:
            return self._again(run, self._may_read_again, self._store.policy, deadline)
        except NoEligibleEndpoint:
            if self._lost is not None:
                raise self._lost from self._lost.__cause__  # no endpoint is left because of this very error
            raise

    def write(self, work: Callable[[Any], T], *, key: str | None, fingerprint: str | None, mode: BlockMode) -> T:
        """Run a write; again where the table above says so."""
        deadline = self._deadline
        began_at = self._store.clock.wall()
        check_work(work)
        _check_key(key)
        kept_fingerprint = _kept(fingerprint)
        asked = CallOptions(Kind.WRITE, mode)
        asked.request_class(self._store)  # refuses before anything is run
        if key is not None and self._store.capabilities is not None and not self._store.capabilities.markers:
            raise ConfigurationError(
                f"store {self._store.name!r}: {self._store.capabilities.server} takes no idempotency key.",
                why="no marker can be written there in one step with the effect.",
                fix=f"make the write itself idempotent, or keep the effect elsewhere: {servers_supporting('markers')} take keys.",
            )

        def run() -> T:
            store = self._here()
            left = deadline.require("a write", store=store.name)
            request_class = asked.request_class(store)
            block: Block[Any] = Block(self._session, store, request_class, left, mode, key=self._key)
            self._block = block
            if key is None:
                with block as db:
                    return _worked(work, db)
            return self._keyed(block, work, Claim(key, kept_fingerprint, uuid7().hex))

        try:
            if key is None:
                return self._again(run, self._may_write_again, self._store.policy, deadline)
            return self._again(run, self._may_write_keyed_again, self._store.keyed_policy, deadline)
        except RegionKitError as error:
            raise self._named(error, key, began_at) from error.__cause__
        except Exception as error:
            if self._failure(error) is not Failure.ROLLED_BACK:
                raise
            if self._unknown is not None:
                raise self._named(self._unknown, key, began_at) from error
            raise TransactionRolledBack(
                f"the write on {self._store.name!r} was rolled back by the server until its time was over.",
                why=str(getattr(error, "orig", None) or error).strip(),
                fix=self._store.advice.collisions,
                store=self._store.name,
            ) from error

    def _keyed(self, block: Block[Any], work: Callable[[Any], T], claim: Claim) -> T:
        marker: Marker | None
        try:
            with block as db:
                handle: Any = block.handle
                block.connected()
                backend = self._store.backend(block.index)
                marker = backend.claim(handle, claim)
                if marker is not None:
                    raise _Done(marker, block.entry_now())
                result: Any = _worked(work, db if handle.native is None else handle.native)
                if handle.native is not None and result is handle.native:
                    result = None  # a pipeline that was given back: its replies are the result
                plain = is_plain(result, largest=LARGEST_RESULT)
                if plain is not None:
                    backend.store_result(handle, claim, plain)
            final: T = handle.outcome(result)
            return final
        except Claimed as found:
            marker = found.marker
        except _Done as done:
            marker = done.marker
            self._session.wrote(self._store, done.entry)
        earlier: T = self._earlier(marker, claim)
        return earlier

    def _earlier(self, marker: Marker, claim: Claim) -> Any:
        if marker.fingerprint and claim.fingerprint and marker.fingerprint != claim.fingerprint:
            raise PayloadMismatch(
                "an idempotency key was used again with a different fingerprint.",
                why="two different requests share one key, or one request changed between its attempts.",
                fix="derive the key from what identifies the request; a changed request needs a new key.",
                idempotency_key=claim.key,
            )
        if marker.result is None:
            raise AlreadyApplied(
                "a write with this idempotency key is committed already.",
                why="its result was not plain data of at most 4 KiB, so it was not stored.",
                fix="read its effect; if the function returns plain data, a repeated call returns it.",
                store=self._store.name,
                idempotency_key=claim.key,
            )
        return PLAIN.decode(marker.result)

    def _here(self) -> RoutedStore:
        """The store of this run: another one where the topology was replaced meanwhile."""
        if self._store.closed and self._locate is not None:
            self._store, _ = self._locate()
            self._excluded = frozenset()
        return self._store

    def _again(
        self,
        run: Callable[[], T],
        may: Callable[[BaseException], bool],
        policy: RetryPolicy,
        deadline: Deadline,
    ) -> T:
        """Run once; then, only after a failure that may be repeated, by tenacity's rules."""
        self._runs, clock = 1, self._store.clock
        began = started = clock.monotonic()
        took = 0.0

        def may_again(error: BaseException) -> bool:
            nonlocal took
            allowed, took = may(error), clock.monotonic() - started
            self._collision = error if self._conflict else self._collision
            return allowed

        try:
            return run()
        except Exception as error:
            if not may_again(error):
                raise
        from tenacity import Retrying, retry_if_exception

        def pause(seconds: float) -> None:
            elapse(clock, max(0.0, min(seconds, deadline.remaining())))

        def again() -> T:
            nonlocal started
            self._runs, started = self._runs + 1, clock.monotonic()
            left = deadline.remaining()
            try:
                return run()
            except DeadlineExceeded as error:
                collision = None if self._unknown is not None else self._collision
                if collision is None or started - began < left:
                    raise
                raise collision from error

        between, between_conflicts = policy.waits(), CONFLICTS.waits()

        def over(state: RetryCallState) -> bool:
            left = deadline.remaining()
            if self._conflict:  # the error of a wait that would not be worth it is the conflict's
                return state.upcoming_sleep + took >= left
            return self._runs >= policy.attempts or left <= 0.0

        retrying = Retrying(
            stop=over,
            wait=lambda state: (between_conflicts if self._conflict else between)(state),
            retry=retry_if_exception(may_again),
            sleep=pause,
            reraise=True,
        )
        return retrying(again)

    def _may_read_again(self, error: BaseException) -> bool:
        block, lost = self._block, isinstance(error, RegionUnavailable | DeadlineExceeded)
        if isinstance(
            error, StaleRead
        ):  # its proof ended in the middle of the function; a refusal at its beginning stands
            lost = error.retryable and block is not None and block.progress.used
        if isinstance(error, RegionUnavailable | DeadlineExceeded | StaleRead) and lost:
            self._lost = error
            if block is not None and block.index >= 0:
                self._excluded |= {block.index}
        self._conflict = not lost and self._failure(error) is Failure.ROLLED_BACK
        return self._again_for_free() or (lost and self._store.budget.spend())

    def _may_write_again(self, error: BaseException) -> bool:
        block = self._block
        unsent = (
            isinstance(error, RegionUnavailable)
            and error.committed == "no"
            and block is not None
            and not block.progress.used
        )
        self._conflict = self._rolled_back(error)
        return self._again_for_free() or (unsent and self._store.budget.spend())

    def _again_for_free(self) -> bool:
        """After a proved rollback the server is healthy: another run costs no attempt, and nothing that failover needs."""
        self._runs -= self._conflict
        return self._conflict

    def _may_write_keyed_again(self, error: BaseException) -> bool:
        if isinstance(error, OutcomeUnknown):
            self._unknown = error
        self._conflict = False
        if self._block is not None and self._block.progress.implicit:
            return False
        if self._unknown is not None and isinstance(error, NoEligibleEndpoint):
            self._runs -= 1  # refused by a breaker: no run was started
            return True
        lost = isinstance(error, OutcomeUnknown | RegionUnavailable | DeadlineExceeded)
        self._conflict = not lost and self._rolled_back(error)
        return self._again_for_free() or (lost and self._store.budget.spend())

    def _rolled_back(self, error: BaseException) -> bool:
        if self._block is not None and self._block.partially_committed:
            return False
        if isinstance(error, TransactionRolledBack):
            return error.retryable
        return self._failure(error) is Failure.ROLLED_BACK

    def _failure(self, error: BaseException) -> Failure:
        if isinstance(error, RegionKitError):
            return Failure.APPLICATION
        return next(b for b in self._store.backends if b is not None).classify(error)

    def _named(self, error: RegionKitError, key: str | None, began_at: float) -> RegionKitError:
        """The error of the whole call: once a COMMIT was lost, what follows does not make its outcome known."""
        unknown = self._unknown
        if unknown is not None and not isinstance(error, AlreadyApplied | PayloadMismatch):
            error = unknown
        if isinstance(error, OutcomeUnknown):
            error.idempotency_key = key
            error.began_at = began_at
            error.store = self._store.name
            error.key = error.key or self._key or None
            error.partition = self._store.partition
        return error


class _Done(Exception):
    def __init__(self, marker: Marker, entry: Entry) -> None:
        self.marker = marker
        self.entry = entry


def _worked(work: Callable[[Any], T], db: Any) -> T:
    given = work(db)
    check_result(given, is_async=IS_ASYNC)
    return given


def _check_key(key: str | None) -> None:
    if key is None:
        return
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY or not is_storable(key):
        raise ConfigurationError(
            "an idempotency key is not usable.",
            why=f"it is a text of 1 to {LONGEST_KEY} characters, without NUL or half characters: an index key on the server.",
            fix="use the request's id, or a hash of what identifies it.",
        )


def _kept(fingerprint: str | None) -> str:
    """What is kept of a fingerprint, and compared."""
    if fingerprint is None:
        return ""
    if not isinstance(fingerprint, str) or len(fingerprint) > LONGEST_FINGERPRINT or not is_storable(fingerprint):
        raise ConfigurationError(
            "a fingerprint is not usable.",
            why=f"it is a text of at most {LONGEST_FINGERPRINT} characters, without NUL or half characters.",
            fix="pass a hash of the request's content.",
        )
    if len(fingerprint) <= LONGEST_KEPT:
        return fingerprint
    return f"sha256:{hashlib.sha256(fingerprint.encode()).hexdigest()}"
