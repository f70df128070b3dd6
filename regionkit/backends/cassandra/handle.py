# Generated from handle_async.py by scripts/twins.py. Do not edit.
"""Between a block and its Cassandra session: what may be sent, at which level, with which time stamp, and what became of it.

1. A read block sends SELECT only; the text decides, before anything is sent.
2. Reads go at the level of their consistency (EVENTUAL: LOCAL_ONE, SESSION: the store's, STRONG: SERIAL), writes at the
   store's, conditions at SERIAL. A SESSION read whose level does not meet what the session wrote or saw is raised to one that
   does. Data centres that do not answer such a read are not this one's fault: it is a StaleRead.
3. A plain write carries a client time stamp later than all that the session wrote; a conditional one takes the servers'.
4. A write without an answer has an unknown outcome, unless its error proves that it took no effect.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cassandra import ConsistencyLevel, OperationTimedOut

from regionkit.backends.cassandra.bridge import Pending, answered, ended
from regionkit.backends.cassandra.classify import classify, is_certain, unmet, unpacked
from regionkit.backends.cassandra.client import CassandraSession
from regionkit.backends.cassandra.cluster import Opened, statement_facts
from regionkit.backends.cassandra.cql import Facts
from regionkit.backends.cassandra.rows import CassandraRows
from regionkit.contract.checkout import Checkout, TakeCheckout
from regionkit.contract.interrupted import interruption
from regionkit.contract.message import Answer, Statement, no_messages
from regionkit.contract.outcomes import Failure
from regionkit.contract.processes import require_process
from regionkit.contract.progress import Progress
from regionkit.core.clock import Clock
from regionkit.core.concurrency import Lock
from regionkit.core.deadline import FOREVER
from regionkit.errors import DeadlineExceeded, UsageError
from regionkit.facts.consistency import Level
from regionkit.facts.position import Levels, LevelsReached, read_level
from regionkit.facts.quorum import RAISED, covers
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.topology import CassandraOptions

__all__ = ["CassandraHandle", "Setting"]

_PROFILES = {Level.EVENTUAL: "eventual", Level.SESSION: "session", Level.STRONG: "strong"}
_AS_QUORUM = {"SERIAL": "QUORUM", "LOCAL_SERIAL": "LOCAL_QUORUM"}
"""A serial read asks as many replicas as the quorum."""
_HAIR = 0.05
"""Seconds: the driver's timer may fire a moment before the deadline that it was set from."""


class Setting(NamedTuple):
    """What all blocks of an endpoint share."""

    options: CassandraOptions
    keyspace: str
    datacenter: str
    clock: Clock
    has_homes: bool
    """Keys have a home: all writes are conditional."""


class CassandraHandle:
    """Of one block. Not shared between threads or tasks, but for what `cassandra.concurrent` sends from the driver's thread."""

    __slots__ = (
        "_asked",
        "_broken",
        "_checkout",
        "_connecting",
        "_ending",
        "_floor",
        "_kind",
        "_level",
        "_over",
        "_pending",
        "_process",
        "_profile",
        "_read",
        "_sending",
        "_sent",
        "_set",
        "_source",
        "_stamp",
        "commits",
        "expired",
        "had",
        "implicit",
        "native",
        "undone",
        "unknown",
        "warning",
    )

    def __init__(
        self, setting: Setting, kind: Kind, source: TakeCheckout, mode: BlockMode, asked: Callable[[], Request]
    ) -> None:
        self._set = setting
        self._kind = kind
        self._source = source
        self._asked = asked
        self._level = mode.consistency.level if kind is Kind.READ else Level.SESSION
        self._profile = _PROFILES[self._level]
        self._checkout: Any = None
        self._connecting = Lock()
        self._pending: list[Pending[CassandraRows]] = []
        self._sending = threading.Lock()
        self._ending = self._over = False
        self._process = os.getpid()
        self._floor = self._stamp = self._sent = 0
        self._read = False
        self.commits = 0
        self.unknown = False
        self.expired = False
        self.implicit = self.undone = False
        self._broken = False
        self.had = FOREVER
        self.warning = ""
        self.native: Any = CassandraSession(self)

    @property
    def stands(self) -> bool:
        """Whether surely no statement of this block's was lost: none failed, and none is still waited for."""
        return not self._broken and not self._pending

    @property
    def keyspace(self) -> str:
        """Of the store."""
        return self._set.keyspace

    @property
    def datacenter(self) -> str:
        """Of the endpoint that serves the block; before its first statement, the one decided on."""
        return self._set.datacenter

    @property
    def used(self) -> bool:
        """Whether a statement was sent that the session has to remember.

        One that surely had no effect is none. Nor is a read at another level than SESSION: what it showed may be on so few
        replicas that no later read is sure to meet it.
        """
        return self._sent > 0 and self._level is Level.SESSION

    def begin(self, checkout: Checkout) -> None:
        """Take the connection now: it may be of another endpoint than the one that made this handle."""
        self._checkout = checkout
        self._set = self._checkout.setting
        positions = [e.position for e in self._asked().entries]
        self._floor = max((p.stamp for p in positions if isinstance(p, Levels)), default=0)
        if self._kind is Kind.READ and self._level is Level.SESSION and positions:
            level = read_level(self._checkout.observation.reached, positions)
            self._profile = level if level in RAISED and level != self._set.options.read_level else "session"

    def connect(self) -> None:
        """Take the connection unless it is there; of several statements sent at once, one does."""
        with self._connecting:
            if self._checkout is None:
                self._check_alive()
                self.begin(self._source())

    def execute(self, query: Any, parameters: Any, paging_state: bytes | None) -> CassandraRows:
        """Send a statement and wait for its first page."""
        if self._checkout is None:
            self.connect()
        sent = self._send(query, parameters, paging_state)
        return self._received(sent, query, parameters)

    def execute_later(self, query: Any, parameters: Any) -> Pending[CassandraRows]:
        """Send a statement; it is waited for by whoever wants it, or by the block's end."""
        self._check_alive(ending=self._ending)
        pending = Pending(
            self.connect,
            lambda: self._send(query, parameters, None),
            lambda sent: self._received(sent, query, parameters),
        )
        self._pending.append(pending)
        return pending

    def prepare(self, text: str) -> Any:
        """The prepared statement of a text."""
        if self._checkout is None:
            self.connect()
        self._check_alive()
        left = self._checkout.deadline.require("preparing a statement")
        try:
            return ended(self._checkout.opened.prepared(text), left)
        except TimeoutError as error:
            if interruption(error) is not None:
                raise
            self.expired = True
            raise DeadlineExceeded(
                f"{self.datacenter} prepared no statement within {left:.3g} s.",
                why="the call's one deadline passed.",
                fix="pass a larger timeout=, or see kit.status().",
            ) from None

    def _check_alive(self, *, ending: bool = False) -> None:
        if self._over or ending:
            raise UsageError(
                "a Cassandra session was used after its block had ended.",
                why="a new block chooses an endpoint for the next statement.",
                fix="run statements inside the block; fetch the pages you need there.",
            )
        require_process(self._process)

    def _send(self, query: Any, parameters: Any, paging_state: bytes | None) -> tuple[Any, Facts]:
        """Hand a statement to the driver; nothing waits here."""
        with self._sending:
            return self._handed(query, parameters, paging_state)

    def _handed(self, query: Any, parameters: Any, paging_state: bytes | None) -> tuple[Any, Facts]:
        self._check_alive()
        checkout = self._checkout
        opened: Opened = checkout.opened
        facts = self._checked(query, opened)
        profile, stamp = self._profile, None
        if not facts.reads:
            profile = "write"
            if facts.changes_rows and not facts.conditional:
                stamp = self._stamp = opened.keyspace_state.stamp(self._set.clock.wall(), max(self._floor, self._stamp))
        left = checkout.deadline.require("a statement")
        slot = opened.slot
        slot.stamp, slot.sending = stamp, True
        try:
            response = opened.session.execute_async(
                query, parameters, timeout=left, execution_profile=opened.profiles[profile], paging_state=paging_state
            )
        finally:
            slot.stamp, slot.sending = None, False
        self._sent += 1
        return response, facts

    def _received(self, sent: tuple[Any, Facts], query: Any, parameters: Any) -> CassandraRows:
        response, facts = sent
        try:
            page = answered(response)
        except BaseException as error:
            self._failed(error, facts)
            if self._profile in RAISED and classify(error) in (Failure.CONNECTION, Failure.DEADLINE):
                raise unmet(error, self._profile, self._set.datacenter) from error
            own = unpacked(error)
            if own is not None:
                raise own from error
            raise
        if facts.reads:
            self._read = True
        else:
            self.commits += 1

        def next_page(state: bytes) -> CassandraRows:
            return self.execute(query, parameters, state)

        return CassandraRows(page, next_page)

    def _failed(self, error: BaseException, facts: Facts) -> None:
        self._checkout.opened.silent.note(error)
        self._broken = True
        if isinstance(error, OperationTimedOut) and self._checkout.deadline.remaining() <= _HAIR:
            self.expired = True
        if is_certain(error, conditional=facts.conditional):
            self._sent -= 1
        elif not facts.reads:
            self.unknown = True

    def _checked(self, query: Any, opened: Opened) -> Facts:
        """What a statement does; refused where the block or the store does not allow it."""
        facts = statement_facts(query, opened)
        if not isinstance(query, str):
            self._check_own(query, facts)
        state, keyspace = opened.keyspace_state, self._set.keyspace
        if facts.reads:
            plain = [t for t in facts.tables if state.is_plain(t, keyspace)] if self._level is Level.STRONG else []
            if plain:
                raise UsageError(
                    f"a STRONG read of {plain[0]}, which this process writes with plain statements.",
                    why="a serial read waits for conditional writes in flight, and for no others.",
                    fix="write the table with IF in every statement, or read it at SESSION.",
                )
            return facts
        if self._kind is Kind.READ:
            raise UsageError(
                f"{facts.keyword or 'an empty statement'} in a read block.",
                why="a read block sends SELECT only.",
                fix="write in s.write(...).",
            )
        if facts.keyword == "USE":
            raise UsageError(
                "USE in a block.",
                why="its connections serve other blocks too.",
                fix="name the keyspace: keyspace.table.",
            )
        if facts.stamped:
            raise UsageError(
                "a write with USING TIMESTAMP.",
                why="the session's writes are ordered by the stamps that it gives; one in between could undo them, or be lost.",
                fix="leave it out.",
            )
        if facts.changes_rows or facts.keyword == "TRUNCATE":
            if self._set.has_homes and not facts.conditional:
                raise UsageError(
                    f"a plain {facts.keyword} in a store whose keys have a home.",
                    why="client clocks order plain writes: one of another region could undo it without a trace.",
                    fix="write with IF in every statement: INSERT ... IF NOT EXISTS, UPDATE ... IF EXISTS.",
                )
            state.check(facts, keyspace)
        return facts

    def _check_own(self, query: Any, facts: Facts) -> None:
        """Levels and retries that a statement of the driver's brings along."""
        if query.retry_policy is not None:
            raise UsageError(
                "a statement has its own retry policy.",
                why="it could run twice, or at a lower level, without notice.",
                fix="set is_idempotent=True on it: then another node is tried when the first is lost.",
            )
        serial = query.serial_consistency_level
        if serial is not None and serial != ConsistencyLevel.SERIAL:
            raise UsageError(
                "a conditional statement at LOCAL_SERIAL.",
                why="its ballots do not order the writers of another data centre.",
                fix="leave serial_consistency_level out: it is SERIAL.",
            )
        if query.consistency_level is not None:
            self._check_level(ConsistencyLevel.value_to_name[query.consistency_level], reads=facts.reads)

    def _check_level(self, own: str, *, reads: bool) -> None:
        """A level below ours would break what the bookmark says of this block."""
        options = self._set.options
        ours = options.write_level if not reads else options.read_level
        if reads and self._profile in RAISED:
            ours = self._profile
        elif reads and self._level is not Level.SESSION:
            ours = "LOCAL_ONE" if self._level is Level.EVENTUAL else "SERIAL"
        reached = self._checkout.observation.reached
        replication = reached.replication if isinstance(reached, LevelsReached) else ()
        if own == ours or (
            ours != "SERIAL" and covers(_AS_QUORUM.get(own, own), ours, self._set.datacenter, replication)
        ):
            return
        raise UsageError(
            f"a statement at {own}, in a block whose statements go at {ours}.",
            why="the session's guarantees rest on the block's level.",
            fix="leave consistency_level out; for a weaker read use consistency=EVENTUAL.",
        )

    def finish(self) -> None:
        """The block ended well: wait for what was sent and not waited for.

        Raises:
            Exception: the first error of those that nobody asked for.
        """
        self._ending = True
        for pending in self._pending:
            error = pending.wait_for()
            if error is not None:
                raise error

    def abort(self) -> None:
        """The block raised: there is nothing to roll back; what was sent is waited for, so that the bookmark knows it."""
        self._ending = True
        for pending in self._pending:
            pending.wait_for()

    def close(self) -> None:
        """The session is dead from now on."""
        self._over = True
        for pending in self._pending:
            pending.give_up()

    @property
    def progress(self) -> Progress:
        """What the block has done so far: the handle itself counts."""
        return self

    @property
    def position(self) -> Levels | None:
        """The levels of what was written and read, when something was written.

        A write without an answer is promised to nobody, but its time stamp is there for the next one to be later.
        """
        if not self.commits and not self.unknown:
            return None
        options, here = self._set.options, self._set.datacenter
        writes = ((here, options.write_level),) if self.commits else ()
        reads = ((here, options.read_level),) if self._read else ()
        return Levels(writes, reads, self._stamp)

    def message(self, statements: Sequence[Statement]) -> list[Answer]:
        """Refused: Cassandra is no SQL server."""
        raise no_messages("cassandra")

    def hold(self, why: str) -> None:
        """Nothing to do: each statement stands by itself, and nobody ends anything."""

    def outcome(self, result: Any) -> Any:
        """What `execute_write` gives back."""
        return result
