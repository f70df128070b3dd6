"""The transaction manager: what applications make once, and begin transactions with.

    tm = AsyncTransactionManager(namespace="shop", log=AsyncSqlDecisionLog(log_engine),
                                 participants={"accounts": accounts_engine, "payments": payments_engine})
    async with tm.begin(timeout=10) as tx:
        (await tx.session("accounts")).add(...)
        (await tx.session("payments")).add(...)

All branches commit or none, whoever dies when. Between the branches' commits a reader may see one and not yet the other.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency_async import acaller, asleep
from regionkit.core.deadline import LONGEST_TIMEOUT, Deadline
from regionkit.core.events import Hook
from regionkit.core.given import can, check_seconds, require_call
from regionkit.core.retry import RetryPolicy
from regionkit.errors import ConfigurationError, RegionKitError, UsageError
from regionkit.topology.names import NAMESPACE
from regionkit.transactions.findings import Finding
from regionkit.transactions.ground_async import AsyncGround
from regionkit.transactions.kit_stores import stores_of
from regionkit.transactions.logs.log_async import AsyncDecisionLog
from regionkit.transactions.operator_async import AsyncOperator
from regionkit.transactions.participants.participant_async import AsyncParticipant
from regionkit.transactions.places_async import AsyncPlaces
from regionkit.transactions.recovery_async import AsyncRecovery
from regionkit.transactions.recovery_views import InDoubt, Report
from regionkit.transactions.suggest import nearest
from regionkit.transactions.transaction_async import CLOSED, AsyncTransaction

__all__ = ["AsyncTransactionManager"]

T = TypeVar("T")
TIMEOUT, SETTLE = 10.0, 5.0
"""Seconds to the decision, and for the branches after it, where none are given."""
LOCK_TIMEOUT = 5.0
"""Seconds that a statement waits for a lock: a deadlock between two databases is seen by neither."""
TABLES_WITHIN = 60.0
RUN_WITHIN = 60.0
"""Seconds of `create_tables`, and of one run of recovery, where none are given."""
CLOSE_WITHIN = 10.0
"""Seconds that `close` waits for transactions under way."""
LOOK_AGAIN = 0.02
"""Seconds between two looks at the blocks that it waits for."""
LONGEST_SETTLE = 600.0
"""Seconds: whoever waits longer for a branch lets recovery end it."""


class AsyncTransactionManager:
    """Safe to share between threads (tasks of one loop). A context manager, or `close()`.

    Args:
        kit: whose stores take part: its sessions begin with `s.transaction(stores=[...])`, `kit.create_tables()` makes what is
            kept, and the manager is closed with the kit.
        stores: of the kit; each part of a partitioned one is a participant.
        namespace: part of every name and table: `[a-z][a-z0-9_]*`, at most 22 characters; a kit has its own.
        log: where decisions stand: SqlDecisionLog(engine), SqlDecisionLog(kit, store=...), FileDecisionLog(path).
        participants: by name, an engine, a client, (kit, store), or a participant that was made.
        lock_timeout: seconds that a branch's statement waits for a lock.
        clock: the clock to use.

    Raises:
        ConfigurationError: names that cannot be used, the same database object twice.
    """

    def __init__(
        self,
        kit: Any = None,
        *,
        log: AsyncDecisionLog,
        stores: Sequence[str] = (),
        namespace: str = "",
        participants: Mapping[str, Any] = MappingProxyType({}),
        lock_timeout: float = LOCK_TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        sources: dict[str, str] = {}
        if kit is not None:
            namespace, given, sources = stores_of(kit, stores, namespace)
            participants = {**given, **participants}
        for what, name in (("namespace", namespace), *(("participant", name) for name in participants)):
            if not isinstance(name, str) or not NAMESPACE.fullmatch(name):
                raise ConfigurationError(
                    f"{what} {name!r} cannot be used.",
                    why="it is part of every branch's name on the servers.",
                    fix="begin with a letter; lower case letters, digits and _ follow; at most 22 in all.",
                )
        if not can(log, "decide"):
            raise ConfigurationError(
                f"log={str(log)[:80]} is not a decision log.",
                fix="give log=SqlDecisionLog(engine) or FileDecisionLog(path); in asyncio their Async forms.",
            )
        check_seconds("lock_timeout", lock_timeout, 0.001, LONGEST_TIMEOUT)
        self._refuse_twins(participants)
        made = {name: _participant(name, given, namespace) for name, given in participants.items()}
        self._ground = AsyncGround(namespace, log, made, clock, lock_timeout)
        self._ground.sources = sources
        self._recovery: AsyncRecovery | None = None
        if kit is not None:
            kit.transacts(self)

    @staticmethod
    def _refuse_twins(participants: Mapping[str, Any]) -> None:
        seen: dict[object, str] = {}
        for name, given in participants.items():
            which = (id(given[0]), given[1]) if isinstance(given, tuple) and len(given) == 2 else id(given)
            other = seen.setdefault(which, name)
            if other != name:
                raise ConfigurationError(
                    f"participants {other!r} and {name!r} are the same {type(given).__name__}.",
                    why="a transaction has one branch in a database: two would wait for each other's locks.",
                    fix="name it once.",
                )

    @property
    def namespace(self) -> str:
        """Of the manager."""
        return self._ground.namespace

    @property
    def current(self) -> AsyncTransaction | None:
        """The transaction whose block this task (thread) is in; None outside of one."""
        found: AsyncTransaction | None = self._ground.begun.get(acaller())
        return found

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._ground.closed

    def on_event(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with each event; call the result to unsubscribe."""
        return self._ground.events.add(hook)

    async def create_tables(self, timeout: float = TABLES_WITHIN) -> None:
        """Make what the log and every participant keep. Idempotent; many processes may do it at once."""
        ground, deadline = self._ground, self._deadline(timeout)
        await ground.log.create_tables(ground.namespace, deadline)
        for participant in ground.participants.values():
            await participant.create_tables(deadline)
        if any([await ground.log.stands_in(participant, deadline) for participant in ground.participants.values()]):
            # noted now: a branch in SQLite locks the log in its file, and one that opens after it could not be noted
            for name, participant in ground.participants.items():
                with contextlib.suppress(ConfigurationError):  # its first use says so
                    facts = await participant.open(deadline)
                    await ground.log.note_participant(name, facts.instance, deadline)

    def begin(
        self, timeout: float = TIMEOUT, settle: float = SETTLE, ack: Literal["settled", "decided"] = "settled"
    ) -> AsyncTransaction:
        """A transaction, to be used as a block.

        Args:
            timeout: seconds from its begin to the decision; then it is rolled back.
            settle: seconds that the end of the block waits for the branches after the decision; those that have not
                answered are `tx.pending`, and recovery ends them.
            ack: "decided" returns at the durable decision, while branches are still being told.

        Raises:
            UsageError: the manager is closed; times or `ack` that cannot be. The block itself raises what its begin meets:
                RegionUnavailable, DeadlineExceeded, ConfigurationError of the log; TransactionInDoubt where too many are.
        """
        return self._begun(timeout, settle, ack, None)

    def begin_for(
        self,
        stores: Sequence[str],
        places: AsyncPlaces,
        *,
        timeout: float,
        settle: float,
        ack: Literal["settled", "decided"],
    ) -> AsyncTransaction:
        """A transaction of a kit's session: `s.transaction(stores=[...])` calls it."""
        known = {source.partition("/")[0] for source in self._ground.sources}
        for store in stores:
            if store not in known:
                raise UsageError(
                    f"store {store!r} takes no part in the kit's transactions{nearest(store, known)}.",
                    fix=f"those that do are {', '.join(map(repr, sorted(known)))}: see stores= of the TransactionManager.",
                )
        return self._begun(timeout, settle, ack, places)

    def _begun(
        self, timeout: float, settle: float, ack: Literal["settled", "decided"], places: AsyncPlaces | None
    ) -> AsyncTransaction:
        if self._ground.closed:
            raise UsageError("the transaction manager is closed.", fix="begin before close().")
        if ack not in ("settled", "decided"):
            raise UsageError(f"ack={ack!r} is not known.", fix='write ack="settled" or ack="decided".')
        if type(settle) not in (int, float) or not 0.0 < settle <= LONGEST_SETTLE:
            raise UsageError(
                f"settle is {settle!r} seconds.", fix=f"give it more than 0 and at most {LONGEST_SETTLE:.0f}."
            )
        self._ground.renew()
        return AsyncTransaction(self._ground, timeout=timeout, settle=settle, ack=ack, places=places)

    async def run(
        self, call: Callable[[AsyncTransaction], Awaitable[T]], timeout: float = TIMEOUT, settle: float = SETTLE
    ) -> T:
        """`call(tx)` in a transaction, run again where nothing committed and it may do better: in all `timeout` seconds.

        What it gives is what the run gave that committed. It has to bear being run again.

        Raises:
            TransactionAborted, and what `call` raises: after the last attempt. A driver's deadlock, lock time-out and lost
                connection are such attempts. TransactionInDoubt, HeuristicOutcome: never
                run again.
        """
        require_call("call", call)
        deadline, policy, tried = self._deadline(timeout), RetryPolicy(), 0
        while True:
            tried += 1
            begun = self.begin(deadline.require("a transaction"), settle)
            try:
                async with begun as tx:
                    return await call(tx)
            except Exception as error:
                most = min(policy.base * 2.0 ** (tried - 1), policy.cap)
                if begun.passing:  # two that waited for each other's locks gave up at once: they must not begin at once
                    most = max(most, min(self._ground.lock_timeout, policy.cap))
                pause = random.uniform(0.0, most)
                may = error.retryable if isinstance(error, RegionKitError) else begun.passing
                if not (may and tried < policy.attempts) or deadline.remaining() <= pause:
                    raise
            await asleep(pause)

    # -- recovery

    async def recover(self, timeout: float = RUN_WITHIN) -> Report:
        """End what coordinators have left, once. What could not be ended stands in the report.

        Raises:
            RegionUnavailable, DeadlineExceeded, OutcomeUnknown: the log did not answer.
        """
        return await self._recoverer().run(self._deadline(timeout))

    async def in_doubt(self, timeout: float = RUN_WITHIN) -> tuple[InDoubt, ...]:
        """Transactions that have not ended everywhere, the oldest first, with what is known of each branch. Changes nothing."""
        return await self._recoverer().in_doubt(self._deadline(timeout))

    async def doctor(self, timeout: float = RUN_WITHIN) -> list[Finding]:
        """What is wrong, or risky, about the log, each participant and recovery."""
        return await self.operator().doctor(self._deadline(timeout))

    def operator(self, who: str | None = None) -> AsyncOperator:
        """What an operator may do about transactions in doubt: `regionkit tpc` stands on it. `who`: noted with decisions."""
        return AsyncOperator(self._recoverer(), who)

    async def start_recovery(self, interval: float = 10.0) -> None:
        """Recover every `interval` seconds in the background, and say in the log that somebody does. A second call is none."""
        await self._recoverer().start(interval)

    def _recoverer(self) -> AsyncRecovery:
        ground = self._ground
        if ground.closed:
            raise UsageError("the transaction manager is closed.", fix="recover before close().")
        ground.renew()
        if self._recovery is None:
            self._recovery = AsyncRecovery(
                ground.namespace,
                ground.log,
                ground.participants,
                active=ground.active,
                clock=ground.clock,
                events=ground.events,
                unanswered=ground.all_unanswered,
            )
        return self._recovery

    # -- the end

    async def close(self, within: float = CLOSE_WITHIN) -> tuple[str, ...]:
        """Begin nothing any more, let what is under way end within the bound, tell the log what has, let go of connections.

        May be called twice. Gives the gtrids of what was still under way: blocks that are open are rolled back at their end,
        and recovery ends the rest. Called in a block, it does not wait for that one.
        """
        ground = self._ground
        if ground.closed:
            return ()
        ground.closed = True
        ground.renew()
        until = ground.clock.monotonic() + within
        while self._open_elsewhere() and ground.clock.monotonic() < until:
            await asleep(LOOK_AGAIN)
        for coordinator in list(ground.coordinators.values()):
            await coordinator.ended.wait(max(0.0, until - ground.clock.monotonic()))
        ground.ended = True
        for coordinator in list(ground.coordinators.values()):
            coordinator.give_up(CLOSED)
        left = tuple(sorted({*ground.coordinators, *(tx.gtrid for tx in list(ground.begun.values()))}))
        if self._recovery is not None:
            await self._recovery.stop(self._left(until))
        await ground.supervisor.stop(self._left(until))
        try:
            await ground.flush(self._deadline(max(1.0, self._left(until))))
        except RegionKitError as error:
            ground.not_acknowledged(error)  # recovery asks the markers
        for participant in ground.participants.values():
            await participant.close()
        await ground.log.close()
        return left

    def _left(self, until: float) -> float:
        return max(0.0, until - self._ground.clock.monotonic())

    def _open_elsewhere(self) -> bool:
        own = acaller()
        return any(who != own for who in list(self._ground.begun))

    async def __aenter__(self) -> AsyncTransactionManager:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def _deadline(self, timeout: float) -> Deadline:
        return Deadline(self._ground.clock, timeout)


IS_ASYNC = True
_FORM = "_async" if IS_ASYNC else ""


def _participant(name: str, given: Any, namespace: str) -> AsyncParticipant:
    factory = import_module("regionkit.transactions.participants.factory" + _FORM)
    made: AsyncParticipant = factory.participant_of(name, given, namespace=namespace)
    if made.name != name:
        raise ConfigurationError(
            f"participant {made.name!r} is given under the name {name!r}.",
            why="its branches and markers bear the name that it was made with.",
            fix="use one name for both.",
        )
    return made
