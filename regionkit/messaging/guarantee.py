"""What a consumer guarantees, as values. Pure: made of what it is built of, so that it cannot say more than is there.

1. A claim that commits with the effect makes the effect EFFECTIVELY_ONCE.
2. An effect outside has a lease with a rising fence: regionkit's records change once, the outside call may repeat under the
   same key. FENCED_AT_LEAST_ONCE where the other side knows the key or is asked (`resolve`), else AT_LEAST_ONCE.
3. An inbox whose claim does not commit with the effect has nothing to offer but AT_LEAST_ONCE.
4. Several handlers: the weakest of them is what the consumer guarantees.
5. ORDERED asks for order="key", and for numbers that a gate compares, or for a source that enforces one owner a key.
   Everything else is UNORDERED: two members of a group take two messages of one key at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

__all__ = ["Guarantee", "Order", "guarantee_of", "order_of", "weakest"]


class Guarantee(Enum):
    """How often an effect takes place, from the strongest guarantee to the weakest."""

    EFFECTIVELY_ONCE = "effectively once"
    FENCED_AT_LEAST_ONCE = "fenced at least once"
    AT_LEAST_ONCE = "at least once"
    AT_MOST_ONCE = "at most once"


class Order(Enum):
    """Whether messages of a key take effect in the order of their publishing."""

    ORDERED = "ordered"
    UNORDERED = "unordered"


def guarantee_of(*, external: bool, transactional: bool, resolves: bool = False) -> Guarantee:
    """Of one handler. `transactional`: its claim commits with its effect. `resolves`: an outside call in doubt is asked about."""
    if not external:
        return Guarantee.EFFECTIVELY_ONCE if transactional else Guarantee.AT_LEAST_ONCE
    return Guarantee.FENCED_AT_LEAST_ONCE if resolves else Guarantee.AT_LEAST_ONCE


def weakest(guarantees: Iterable[Guarantee]) -> Guarantee:
    """What holds for all of them."""
    order = list(Guarantee)
    return max(guarantees, key=order.index, default=Guarantee.AT_LEAST_ONCE)


def order_of(*, keyed: bool, gates: bool, numbered: bool, one_owner: bool) -> Order:
    """Of messages with a key.

    Args:
        keyed: order="key".
        gates: the inbox keeps keys in order.
        numbered: an outbox numbered them.
        one_owner: the source enforces one owner a key.
    """
    return Order.ORDERED if keyed and gates and (numbered or one_owner) else Order.UNORDERED
