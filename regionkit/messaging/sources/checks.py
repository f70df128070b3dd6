"""What every source checks of its options, and what it says when its server does not answer. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from regionkit.core.given import check_text
from regionkit.core.storable import words_of
from regionkit.errors import (
    BackendError,
    Committed,
    ConfigurationError,
    Fenced,
    NoEligibleEndpoint,
    OutcomeUnknown,
    RegionKitError,
    RegionUnavailable,
    SourceBroken,
)

__all__ = [
    "ANSWER_WITHIN",
    "LONGEST_LEASE",
    "LONGEST_WAIT",
    "MOST_AT_ONCE",
    "SHORTEST_LEASE",
    "answered",
    "check_group",
    "check_lease",
    "named",
]

T = TypeVar("T")

ANSWER_WITHIN = 5.0
"""Seconds in which a server answers one step of a source: what a failover of a server near by takes at most, mostly."""
LONGEST_WAIT = 60.0
"""Seconds that one `fetch` waits at most: a consumer that is to stop is not kept from it longer."""
MOST_AT_ONCE = 1000
"""Messages of one fetch, or of one message to the server: it does nothing else meanwhile."""
SHORTEST_LEASE = 0.05
"""Seconds: below, a delivery is lost before anybody has looked at it."""
LONGEST_LEASE = 86_400.0
"""Seconds: what a dead consumer had waits that long for another one; a day is no lease any more."""


LONGEST_GROUP = 255
"""Bytes of the name of a group."""


def check_group(group: str | None) -> None:
    """Refuse what is no name of a group; a target has none.

    Raises:
        ConfigurationError: it is none.
    """
    if group is not None:
        check_text("group", group, LONGEST_GROUP)


def check_lease(lease: float) -> None:
    """Whether a lease can be used.

    Raises:
        ConfigurationError: it cannot.
    """
    if type(lease) not in (int, float) or not SHORTEST_LEASE <= lease <= LONGEST_LEASE:
        raise ConfigurationError(
            f"a lease of {lease!r} s cannot be used.",
            why="when it ends, another consumer gets the messages of one that died; a living consumer extends it in time.",
            fix=f"take {SHORTEST_LEASE:g} to {LONGEST_LEASE:g} s; 30 are usual.",
        )


@contextmanager
def answered(name: str, committed: Committed = "no") -> Iterator[None]:
    """Inside, the server of a source is asked. `committed`: what is known of it when no answer comes.

    Raises:
        RegionUnavailable: it does not answer, or nobody is its owner now.
    """
    try:
        yield
    except (BackendError, NoEligibleEndpoint, Fenced) as error:
        if isinstance(error, RegionUnavailable) and error.committed == committed:
            raise
        raise RegionUnavailable(
            f"{name!r} does not answer: {error.what}",
            why=error.why,
            fix=error.fix or "nothing is lost: try again when it is back.",
            retryable=error.retryable or isinstance(error, OutcomeUnknown),
            committed=committed,
            cause=getattr(error, "cause", ""),
        ) from error


def named(name: str, step: str, error: BaseException, committed: Committed = "no") -> RegionKitError:
    """What an error means that a source or a target raised, whoever has written it."""
    if isinstance(error, RegionKitError):
        return error
    if isinstance(error, ConnectionError | TimeoutError):
        return RegionUnavailable(
            f"{name!r} does not answer {step}(): {type(error).__name__}.",
            why=words_of(error),
            fix="nothing is lost: try again when it is back.",
            retryable=True,
            committed=committed,
        )
    return SourceBroken(
        f"{step}() of {name!r} raised {type(error).__name__}.",
        why=words_of(error) or "it gives no reason.",
        fix="correct the class of the source; what is temporary it raises as RegionUnavailable. Nothing is lost.",
        committed=committed,
        source=name,
    )


def chunks(whole: Sequence[T], most: int, largest: int = 0) -> Iterator[Sequence[T]]:
    """At most so many at once, and at most so many bytes, where they are counted; one at least."""
    begin, size = 0, 0
    for at, one in enumerate(whole):
        length = len(one) if largest and isinstance(one, bytes) else 0
        if at > begin and (at - begin == most or (largest and size + length > largest)):
            yield whole[begin:at]
            begin, size = at, 0
        size += length
    if begin < len(whole):
        yield whole[begin:]
