"""How long claims are kept, against how long copies may come. Pure.

1. A source may give a copy as late as its horizon, which mostly is infinite. What counts is `accept_for`: an id of ours that is
   older is a case, by the clock of the inbox's database, whatever the source does.
2. A claim is kept for accept_for + SKEW + FAILOVER at least, from the making of its id. Less is `RetentionTooShort`, at the
   start of `run`; without a number it is just that.
3. Gates are kept for ever and are one row a key: what they judge has no horizon.
4. An id without a time of its own cannot be too old: its claim is kept for ever, or as long as `forget_foreign_after` says;
   a copy that comes later takes effect again, and `explain` says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from regionkit.core.given import is_number
from regionkit.errors import ConfigurationError, RetentionTooShort
from regionkit.messaging.delivery import SKEW

__all__ = ["FAILOVER", "FOR_EVER", "LONGEST", "Retention", "check_retention", "horizon", "shortest"]

FAILOVER = 3600.0
"""Seconds that a failover may add: a message that was taken in time runs after it, by another clock."""
FOR_EVER = float("inf")
LONGEST = 3650 * 86_400.0
"""Seconds: ten years of claims are as good as for ever, and more than a table wants."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What an inbox was told.

    Attributes:
        claims: seconds for which a claim is kept after its id was made; None: as long as is needed.
        foreign: seconds for which one is kept whose id has no time, after it was claimed; infinite: for ever.
    """

    claims: float | None = None
    foreign: float = FOR_EVER

    def checked(self) -> Retention:
        """Itself.

        Raises:
            ConfigurationError: no time that could be kept.
        """
        for name, seconds in (("retention", self.claims), ("forget_foreign_after", self.foreign)):
            left_out = seconds is None if name == "retention" else seconds == FOR_EVER
            if not left_out and not is_number(seconds, 1.0, LONGEST):
                raise ConfigurationError(
                    f"{name}={seconds!r} is not usable.", fix="give seconds, or leave it out to keep what is needed."
                )
        return self

    def keeps(self, accept_for: float) -> float:
        """Seconds for which a claim of an id of ours is kept."""
        return shortest(accept_for) if self.claims is None else self.claims


def shortest(accept_for: float) -> float:
    """Seconds that claims have to be kept, at least."""
    return accept_for + SKEW + FAILOVER


def horizon(source: float, accept_for: float) -> float:
    """Seconds after which no copy of a message of ours takes effect: the source has none, or it is too old."""
    return min(source, accept_for + SKEW)


def check_retention(retention: Retention, accept_for: float, consumer: str) -> None:
    """Whether no claim is forgotten too early.

    Raises:
        RetentionTooShort: one would be.
    """
    needed = shortest(accept_for)
    if retention.keeps(accept_for) < needed:
        raise RetentionTooShort(
            f"the inbox of consumer {consumer!r} keeps claims for {retention.claims:g} s, and {needed:g} s are needed.",
            why=f"messages are accepted for {accept_for:g} s; clocks may be {SKEW:g} s apart, and a failover may take some time "
            f"({FAILOVER:g} s): a copy that arrives later would take effect again.",
            fix=f"leave retention= out, give {needed:g} s or more, or accept messages for a shorter time (accept_for=).",
        )
