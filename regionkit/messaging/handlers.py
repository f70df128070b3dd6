"""Handlers of a consumer: what is registered for which type, and with which options. Pure.

1. A message type has one handler or several; several run in one transaction, in the order of registration.
2. An effect that is not in the transaction stands alone for its type: it has a claim of its own.
3. Options that cannot work together are refused when they are registered, before a message is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, Literal

from regionkit.core.storable import storable
from regionkit.errors import ConfigurationError
from regionkit.messaging.envelope import LONGEST_TYPE

__all__ = [
    "ATTEMPTS",
    "EFFECTS_TOGETHER",
    "LEASE",
    "MOST_BATCH",
    "TIMEOUT",
    "Effect",
    "Handler",
    "Handlers",
    "OnInDoubt",
    "checked_call",
    "default_batch",
]

ATTEMPTS = 5
"""Started runs of one message: a hiccup is over by then, and a poison message does not run for ever."""
MOST_ATTEMPTS = 1000
"""Of one message: more is for ever."""
TIMEOUT = 30.0
"""Seconds for one run, its COMMIT counted: longer than normal transactions, shorter than sources take to give up a consumer."""

MOST_BATCH = 1000
"""Messages of one transaction: beyond, it is no cheaper, and its locks are held for long."""
EFFECTS_TOGETHER = 100
"""Messages whose effects inside Redis one script does, unless the handler says less: as many as a fetch brings."""
LEASE = 30.0
"""Seconds after which a call may be taken over whose process has died; it is kept alive while the process lives."""
LONGEST_LEASE = 3600.0
"""Seconds: a process that died is known by then, whatever it did."""

Effect = Literal["transaction", "external", "redis"]
OnInDoubt = Literal["", "retry", "hospital"]


@dataclass(frozen=True, slots=True)
class Handler:
    """One handler.

    Attributes:
        attempts: started runs of a message.
        timeout: seconds of one run, where its effect is in a transaction.
        effect: where its effect is: in the transaction of the claim, outside, or in the Redis of the inbox.
        lease: seconds of the claim of an effect outside.
        resolve: asked whether a call took effect whose end is not known: "yes", "no" or "unknown".
        on_in_doubt: what becomes of it where that is not known either.
        batch: messages that one transaction may hold, or one script where the effect is inside Redis.
        many: takes them all at once.
        fused: a statement that a server takes together with the claim.
    """

    type: str
    call: Callable[..., Any]
    attempts: int = ATTEMPTS
    timeout: float = TIMEOUT
    effect: Effect = "transaction"
    lease: float = LEASE
    resolve: Callable[..., Any] | None = None
    on_in_doubt: OnInDoubt = ""
    rerunnable: bool = False
    batch: int = 1
    many: Callable[..., Any] | None = None
    fused: Any = None

    @property
    def name(self) -> str:
        """For people."""
        return getattr(self.call, "__qualname__", type(self.call).__name__)


class Handlers:
    """By type. Filled before the consumer runs; read from many threads then."""

    def __init__(self) -> None:
        self._by_type: dict[str, tuple[Handler, ...]] = {}

    def add(self, handler: Handler) -> None:
        """Register one more.

        Raises:
            ConfigurationError: it cannot work, or not beside those that are there.
        """
        known = isinstance(handler.type, str) and storable(handler.type) == handler.type
        if not known or not 0 < len(handler.type) <= LONGEST_TYPE:
            raise ConfigurationError(
                f"{handler.type!r} is not a message type.", fix=f'write a text of 1 to {LONGEST_TYPE}: "order.placed".'
            )
        if type(handler.attempts) is not int or not 1 <= handler.attempts <= MOST_ATTEMPTS:
            raise ConfigurationError(
                f"attempts={handler.attempts!r} of {handler.name}.", fix=f"give a number from 1 to {MOST_ATTEMPTS}."
            )
        if type(handler.timeout) not in (int, float) or not 0.0 < handler.timeout <= 3600.0:
            raise ConfigurationError(
                f"timeout={handler.timeout!r} of {handler.name}.", fix="give seconds, at most 3600."
            )
        _check_effect(handler)
        _check_batch(handler)
        others = self._by_type.get(handler.type, ())
        if others and {other.effect for other in (*others, handler)} != {"transaction"}:
            raise ConfigurationError(
                f"type {handler.type!r} has several handlers, and one of them has an effect outside of the transaction.",
                why="the others' transaction and that effect would not end together.",
                fix="give it a separate consumer, with another group.",
            )
        self._by_type[handler.type] = (*others, handler)

    def of(self, type: str) -> tuple[Handler, ...]:
        """Those of a type; none where it is not known."""
        return self._by_type.get(type, ())

    def __iter__(self) -> Iterator[Handler]:
        for handlers in self._by_type.values():
            yield from handlers

    def __len__(self) -> int:
        return len(self._by_type)


def _check_batch(handler: Handler) -> None:
    if isinstance(handler.batch, bool) or not isinstance(handler.batch, int) or not 1 <= handler.batch <= MOST_BATCH:
        raise ConfigurationError(
            f"batch={handler.batch!r} of {handler.name}.", fix=f"give a number from 1 to {MOST_BATCH}."
        )
    if handler.batch > 1 and handler.effect == "external":
        raise ConfigurationError(
            f"{handler.name} takes messages in batches, and its effect is outside.",
            why="each call outside has a claim and a key of its own.",
            fix="leave batch= out.",
        )
    if handler.batch > 1 and not handler.rerunnable and handler.effect == "transaction":
        raise ConfigurationError(
            f"{handler.name} takes messages in batches, and is not declared rerunnable.",
            why="a batch that is rolled back because of one message runs the other messages' handlers again.",
            fix="write rerunnable=True, if it calls nothing outside and changes nothing but its database.",
        )


def _check_effect(handler: Handler) -> None:
    """Where its effect is, and what that needs."""
    if handler.effect not in ("transaction", "external", "redis"):
        raise ConfigurationError(
            f"effect={handler.effect!r} of {handler.name}.", fix='write "transaction", "external" or "redis".'
        )
    if handler.on_in_doubt not in ("", "retry", "hospital"):
        raise ConfigurationError(
            f"on_in_doubt={handler.on_in_doubt!r} of {handler.name}.", fix='write "retry" or "hospital".'
        )
    if type(handler.lease) not in (int, float) or not 0.0 < handler.lease <= LONGEST_LEASE:
        raise ConfigurationError(f"lease={handler.lease!r} of {handler.name}.", fix="give seconds, at most 3600.")
    asks = handler.resolve is not None or bool(handler.on_in_doubt)
    if asks and handler.effect != "external":
        raise ConfigurationError(
            f"{handler.name} has resolve= or on_in_doubt=, and no effect outside.",
            why="an effect that commits with its claim does not stay in doubt: the claim shows it.",
            fix='write effect="external", or leave them out.',
        )
    if handler.effect == "external" and not asks:
        raise ConfigurationError(
            f"{handler.name} does not say what to do with a call whose outcome is unknown.",
            why="a process may die between the call and its answer; then nothing here shows whether it took effect.",
            fix='give resolve=, a function that asks the other side; or on_in_doubt="retry", where that repeats a call '
            'with the same key without harm, or on_in_doubt="hospital", where an operator must check.',
        )


def longest(handlers: Sequence[Handler]) -> float:
    """Seconds of one run of all of them."""
    return max((handler.timeout for handler in handlers), default=TIMEOUT)


def fewest(handlers: Sequence[Handler]) -> int:
    """Attempts: the most careful one counts."""
    return min((handler.attempts for handler in handlers), default=1)


def checked_call(call: Any, *, is_async: bool) -> Callable[..., Any]:
    """A function that can be a handler in this world.

    Raises:
        ConfigurationError: none, a generator, or one of the other world.
    """
    if not callable(call) or isgeneratorfunction(call) or isasyncgenfunction(call):
        raise ConfigurationError("a handler is a function, and no generator.", fix="write def handler(message, db).")
    if iscoroutinefunction(call) and not is_async:
        raise ConfigurationError(
            f"{call.__qualname__} is an async function, and this consumer runs in threads.", fix="use AsyncConsumer."
        )
    named: Callable[..., Any] = call
    return named


def default_batch(effect: Effect, most: int, *, rerunnable: bool) -> int:
    """Messages that go together where a handler does not say how many. `most`: of the consumer, for transactions."""
    if effect == "redis":
        return EFFECTS_TOGETHER
    return most if rerunnable and effect == "transaction" else 1
