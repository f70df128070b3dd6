"""What leaves a block: by what failed and by what was asked for; and an unknown outcome names where to look."""

from __future__ import annotations

import pytest

from regionkit import DeadlineExceeded, RegionKitError, RegionUnavailable, UsageError
from regionkit.contract.outcomes import Failure
from regionkit.facts.request import Kind
from regionkit.routing.block_errors import block_error, in_time, unknown_outcome

READ, WRITE = Kind.READ, Kind.WRITE


@pytest.mark.parametrize(
    ("failure", "kind", "expected"),
    [
        (Failure.DEADLINE, READ, DeadlineExceeded),
        (Failure.DEADLINE, WRITE, DeadlineExceeded),
        (Failure.CONNECTION, READ, RegionUnavailable),
        (Failure.CONNECTION, WRITE, RegionUnavailable),
        (Failure.READ_ONLY, READ, UsageError),
        (Failure.READ_ONLY, WRITE, RegionUnavailable),
        (Failure.ROLE, READ, UsageError),
        (Failure.ROLE, WRITE, RegionUnavailable),
        (Failure.ROLLED_BACK, WRITE, None),
        (Failure.APPLICATION, READ, None),
    ],
)
def test_each_failure_has_its_error(failure: Failure, kind: Kind, expected: type[RegionKitError] | None) -> None:
    """A write in a read block is the caller's mistake, in a write block the server's change of role."""
    found = block_error(OSError("gone"), failure, kind, store="orders", region="kr")
    assert (None if found is None else type(found)) is expected


def test_the_drivers_own_words_are_the_reason() -> None:
    """The first line of what SQLAlchemy wrapped; the class where there are no words."""

    class Wrapped(Exception):
        orig = OSError("server closed the connection\nHINT: and more")

    found = block_error(Wrapped("long"), Failure.CONNECTION, READ, store="orders", region="kr")
    assert found is not None
    assert found.why == "server closed the connection"
    silent = block_error(TimeoutError(), Failure.DEADLINE, READ, store="orders", region="kr")
    assert silent is not None
    assert silent.why == "TimeoutError"


def test_an_unknown_outcome_says_where_to_look() -> None:
    """Store, key and partition; no key where there is none."""
    found = unknown_outcome(OSError("lost"), "COMMIT was not answered.", store="carts", key="t42", partition="eu")
    assert (found.store, found.key, found.partition, found.committed) == ("carts", "t42", "eu", "unknown")
    assert unknown_outcome(OSError(), "it.", store="carts", key="", partition="").key is None


def test_what_others_ended_is_ours_only_once_our_time_is_over() -> None:
    """A limit of the application's, or an operator, ends a statement while there is time; after that it was the deadline."""
    assert in_time(Failure.CANCELLED, 0.1) is Failure.APPLICATION
    assert in_time(Failure.CANCELLED, 0.0) is Failure.DEADLINE
    for failure in set(Failure) - {Failure.CANCELLED}:
        assert in_time(failure, 0.1) is in_time(failure, 0.0) is failure
