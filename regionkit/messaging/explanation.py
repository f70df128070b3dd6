"""What a consumer promises, as a value: guarantee, order, horizon, retention, crash points, and what is not covered. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from regionkit.messaging.consumer_options import Options
from regionkit.messaging.delivery import SKEW
from regionkit.messaging.guarantee import Guarantee, Order, guarantee_of, order_of, weakest
from regionkit.messaging.handlers import Handler
from regionkit.messaging.retention import FOR_EVER, Retention, horizon

__all__ = ["ConsumerExplanation", "CrashPoint", "InboxFacts", "SourceFacts", "explain_consumer"]


class InboxFacts(Protocol):
    """What has to be known of an inbox."""

    @property
    def transactional(self) -> bool:
        """The claim commits with the effect."""
        ...

    @property
    def gates(self) -> bool:
        """Keys can be kept in order."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not covered."""
        ...

    @property
    def retention(self) -> Retention:
        """How long claims are kept."""
        ...


class SourceFacts(Protocol):
    """What has to be known of a source."""

    @property
    def horizon(self) -> float:
        """Seconds after which no copy of a message comes any more."""
        ...

    @property
    def in_order(self) -> bool:
        """One owner a key is enforced."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not covered."""
        ...


class CrashPoint(msgspec.Struct, frozen=True):
    """A place where a process may die. `then`: what becomes of the message."""

    where: str
    then: str


_IN_TRANSACTION = (
    CrashPoint("before its claim", "nothing was done; it is delivered again"),
    CrashPoint("after its claim, in the handler or just after it", "claim and effect are rolled back; delivered again"),
    CrashPoint("during COMMIT", "both are committed or neither is; the next delivery finds out which"),
    CrashPoint("after COMMIT, before it is acknowledged", "delivered again, found done, acknowledged"),
    CrashPoint("while its case is written", "case, claim and parking are committed, or none of them; delivered again"),
    CrashPoint("while a case is treated", "the run counts; the case is due again after its time-out"),
    CrashPoint(
        "while held messages are released", "each is applied and its row deleted, or neither; the next poll continues"
    ),
)
_OUTSIDE = CrashPoint(
    "in an effect outside, or after it", "its lease expires, and `resolve` is called or it runs again"
)


class ConsumerExplanation(msgspec.Struct, frozen=True):
    """What a consumer promises and what it does not. Prints as lines.

    Attributes:
        consumer: its name.
        guarantee: the weakest of its handlers'.
        handlers: of each type, what is guaranteed.
        order: of messages with a key that an outbox numbered.
        order_unnumbered: of messages with a key that nobody numbered.
        horizon: seconds after which no copy of a message with an id of ours takes effect.
        source_horizon: seconds after which its source gives none.
        retention: seconds for which their claims are kept.
        forget_foreign_after: the same for ids that have no time of their own.
        crash_points: where a process may die, and what becomes of the message then.
        not_covered: what is not promised.
    """

    consumer: str
    guarantee: Guarantee
    handlers: dict[str, Guarantee]
    order: Order
    order_unnumbered: Order
    horizon: float
    source_horizon: float
    retention: float
    forget_foreign_after: float
    crash_points: tuple[CrashPoint, ...]
    not_covered: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain data; guarantees and orders by their names, infinite times as None."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        told["guarantee"], told["order"] = self.guarantee.name, self.order.name
        told["order_unnumbered"] = self.order_unnumbered.name
        told["handlers"] = {type: guarantee.name for type, guarantee in self.handlers.items()}
        for name in ("horizon", "source_horizon", "retention", "forget_foreign_after"):
            told[name] = None if told[name] == FOR_EVER else told[name]
        for name in ("crash_points", "not_covered"):
            told[name] = list(told[name])
        return told

    def __str__(self) -> str:
        lines = [f"consumer {self.consumer}: {self.guarantee.name}, {self.order.name} by number"]
        lines += [f"  handles  {type:<28} {guarantee.name}" for type, guarantee in self.handlers.items()]
        lines += [
            f"  order    numbered by an outbox: {self.order.name}; not numbered: {self.order_unnumbered.name}",
            f"  copies   come for {_shown(self.source_horizon)}; taken for {_shown(self.horizon)}",
            f"  claims   kept for {_shown(self.retention)}; of foreign ids for {_shown(self.forget_foreign_after)}",
            "  gates    kept for ever",
        ]
        lines += [f"  dies     {point.where}: {point.then}" for point in self.crash_points]
        lines += [f"  not      {text}" for text in self.not_covered]
        return "\n".join(lines)


def explain_consumer(
    options: Options, handlers: Sequence[Handler], inbox: InboxFacts, source: SourceFacts
) -> ConsumerExplanation:
    """What a consumer of these parts promises."""
    of_type: dict[str, Guarantee] = {}
    for handler in handlers:
        promised = guarantee_of(
            external=handler.effect == "external",
            transactional=inbox.transactional,
            resolves=handler.resolve is not None,
        )
        of_type[handler.type] = weakest((promised, of_type.get(handler.type, promised)))
    orders = [
        order_of(keyed=options.ordered, gates=inbox.gates, numbered=numbered, one_owner=source.in_order)
        for numbered in (True, False)
    ]
    external = any(handler.effect == "external" for handler in handlers)
    kept = inbox.retention
    return ConsumerExplanation(
        consumer=options.name,
        guarantee=weakest(of_type.values()),
        handlers=of_type,
        order=orders[0],
        order_unnumbered=orders[1],
        horizon=horizon(source.horizon, options.accept_for),
        source_horizon=source.horizon,
        retention=kept.keeps(options.accept_for),
        forget_foreign_after=kept.foreign,
        crash_points=(_IN_TRANSACTION if inbox.transactional else ()) + ((_OUTSIDE,) if external else ()),
        not_covered=tuple(
            _not_covered(options, orders, external=external, kept=kept, notes=inbox.notes + source.notes)
        ),
    )


def _not_covered(
    options: Options, orders: Sequence[Order], *, external: bool, kept: Retention, notes: Sequence[str]
) -> list[str]:
    said = [
        "the owner of the database is the primary as configured or by descent: there are no leases of ownership",
        "phantom events: a failover of the publisher may undo what it had published; publish after replication avoids them",
        f"ids made more than {_shown(SKEW)} ahead or {_shown(options.accept_for)} ago become cases and are not applied",
    ]
    if orders[1] is Order.UNORDERED:
        said.append("order of messages without numbers: members of a group may take two of one key at once")
    if options.ordered and options.on_poison == "skip":
        said.append('order after a failed message: with on_poison="skip" its key continues without it')
    if external:
        said.append("effects outside: nothing here is changed twice; the outside call may repeat with the same key")
    if kept.foreign != FOR_EVER:
        said.append(f"copies of foreign ids that come after {_shown(kept.foreign)} take effect again")
    return said + list(notes)


def _shown(seconds: float) -> str:
    if seconds == FOR_EVER:
        return "ever"
    for name, unit in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.4g} {name}"
    return f"{seconds:g} s"
