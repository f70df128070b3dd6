"""What passes between a source or target and who uses it. Values only."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Delivery", "Sent", "SourceFacts"]


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message as a source gives it.

    Attributes:
        receipt: by which the source knows this delivery; nobody else reads it.
        body: an envelope, as bytes; whatever came, where it is none.
        again: deliveries before this one, as far as the source counts; a hint only.
        position: where it stands in the source, for people.
    """

    receipt: Any
    body: bytes
    again: int = 0
    position: str = ""


class SourceFacts(msgspec.Struct, frozen=True, gc=False):
    """What a source promises, as values for `explain()`.

    Attributes:
        kind: "redis stream", "sql queue", "memory", ...
        horizon: seconds after which no copy of a message comes any more; infinite where nothing ends.
        lease: seconds for which a delivery stays with the consumer that got it, without `extend`; None: until it is gone.
        in_order: one owner a key is enforced, so that messages of a key come one after another.
        counts: `Delivery.again` is counted by the source.
        notes: what is not covered.
    """

    kind: str
    horizon: float
    lease: float | None
    in_order: bool = False
    counts: bool = False
    notes: tuple[str, ...] = ()


class Sent(msgspec.Struct, frozen=True, gc=False):
    """What became of one message: confirmed; refused for good, and why; or neither (it may be there)."""

    confirmed: bool
    refused: str = ""
