"""What leaves a block: by what failed and by what was asked for; and an unknown outcome names where to look."""

from __future__ import annotations

import pytest

from regionkit import ConfigurationError, DeadlineExceeded, RegionKitError, RegionUnavailable, UsageError
from regionkit.contract.outcomes import Failure, Unreached
from regionkit.facts.request import Kind
from regionkit.routing.block_errors import block_error, in_time, probe_error, unknown_outcome

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
    found = unknown_outcome(
        OSError("lost"), "COMMIT was not answered.", "look.", store="carts", key="t42", partition="eu"
    )
    assert (found.store, found.key, found.partition, found.committed) == ("carts", "t42", "eu", "unknown")
    assert found.fix == "look."
    assert unknown_outcome(OSError(), "it.", "look.", store="carts", key="", partition="").key is None


@pytest.mark.parametrize(
    ("error", "failure", "told"),
    [
        (RegionUnavailable("x", fix="a", cause="its name"), Failure.CONNECTION, ("probe: its name", "a")),
        (
            RegionUnavailable("x", fix="see kit.status()"),
            Failure.CONNECTION,
            (f"probe: {Failure.CONNECTION.value}", ""),
        ),
        (DeadlineExceeded("x", fix="a"), Failure.DEADLINE, (f"probe: {Unreached.SILENT.cause}", Unreached.SILENT.fix)),
        (DeadlineExceeded("no permit", fix="a"), Failure.DEADLINE, ("probe: no permit", "a")),
        (ConfigurationError("no tag", fix="a"), Failure.APPLICATION, ("probe: no tag", "a")),
        (OSError("lost"), Failure.CONNECTION, (f"probe: {Failure.CONNECTION.value}", "")),
        (KeyError("x"), Failure.APPLICATION, ("probe: KeyError", "")),
    ],
)
def test_why_a_probe_failed_and_what_to_do(error: Exception, failure: Failure, told: tuple[str, str]) -> None:
    """In the error's own words where it has some; a general "see kit.status()" is no advice in the status itself."""
    if isinstance(error, DeadlineExceeded):
        error.blames_endpoint = error.what == "x"
    assert probe_error(error, failure) == told


def test_what_others_ended_is_ours_only_once_our_time_is_over() -> None:
    """A limit of the application's, or an operator, ends a statement while there is time; after that it was the deadline."""
    assert in_time(Failure.CANCELLED, 0.1) is Failure.APPLICATION
    assert in_time(Failure.CANCELLED, 0.0) is Failure.DEADLINE
    for failure in set(Failure) - {Failure.CANCELLED}:
        assert in_time(failure, 0.1) is in_time(failure, 0.0) is failure
