"""The tree of errors: as drawn, pickled whole, with the two answers a caller needs."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from regionkit import errors
from regionkit.errors import ConfigurationError, MissingDriver, OutcomeUnknown, RegionKitError, StaleRead

KINDS = [getattr(errors, name) for name in errors.__all__ if name != "Committed"]
BUILTINS = (ValueError, ImportError, LookupError, RuntimeError, ConnectionError, TimeoutError)
RETRYABLE = {
    *("NoEligibleEndpoint", "StaleRead", "Fenced", "RegionUnavailable", "DeadlineExceeded", "TransactionRolledBack"),
    *("Backpressure", "InProgress", "TransactionAborted"),
}
COMMITTED = {
    **dict.fromkeys(["AlreadyApplied", "ResultNotStored"], "yes"),
    **dict.fromkeys(["OutcomeUnknown", "DurabilityUnknown", "TransactionInDoubt", "HeuristicOutcome"], "unknown"),
    **dict.fromkeys(["LeaseLost", "InDoubt"], "unknown"),
}


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """The tree of the docstring: name -> (parent, builtin). Two columns hang from one root; depth is indentation."""
    found: dict[str, tuple[str | None, str | None]] = {"RegionKitError": (None, None)}
    lines = (errors.__doc__ or "").splitlines()
    middle = next(line.index("|-- CacheError") for line in lines if "CacheError" in line)
    for left in (True, False):
        above: list[tuple[int, str]] = []
        for line in lines:
            matches = re.finditer(r"-- (\w+)(?: \((\w+)\))?", line)
            for match in (m for m in matches if (m.start() < middle) == left):
                above = [(at, name) for at, name in above if at < match.start()]
                found[match[1]] = (above[-1][1] if above else "RegionKitError", match[2])
                above.append((match.start(), match[1]))
    return found


def test_the_tree_is_as_drawn() -> None:
    """Every class stands in the docstring under its parent, with the builtin that it also is."""
    tree = drawn()
    assert set(tree) == {kind.__name__ for kind in KINDS}
    for kind in KINDS:
        parent, builtin = tree[kind.__name__]
        bases = [base.__name__ for base in kind.__bases__]
        if kind is RegionKitError:
            assert bases == ["Exception"] and parent is None
        else:
            assert bases == [parent, *([builtin] if builtin else [])], kind


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_pickles_and_copies_whole(kind: type[RegionKitError]) -> None:
    """What, why, fix, overrides and details survive; so does the text."""
    error = kind(
        "it broke.", why="a cause.", fix="do this.", retryable=True, committed="unknown", store="orders", extra=[1]
    )
    error.add_note("seen here")
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(same) is kind and str(same) == str(error) and same.__dict__ == error.__dict__
        assert (same.what, same.why, same.fix, same.retryable, same.committed) == (
            *("it broke.", "a cause.", "do this."),
            *(True, "unknown"),
        )
        assert same.args == ("it broke.",) and same.__notes__ == ["seen here"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_two_answers(kind: type[RegionKitError]) -> None:
    """May the same call be made again, and did the write take effect."""
    error = kind("x")
    assert error.retryable == (kind.__name__ in RETRYABLE)
    assert error.committed == COMMITTED.get(kind.__name__, "no")
    assert not (error.retryable and error.committed == "unknown"), "an unknown outcome is never retried blindly"


def test_codes_are_unique_and_in_the_text() -> None:
    """The code names the section of the reference."""
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)
    for kind in KINDS:
        assert re.fullmatch(r"RK-\d{4}", kind.code)
        assert str(kind("x")).startswith(f"{kind.code} {kind.__name__}: x")
        assert kind.__doc__


def test_builtins_are_caught_as_such() -> None:
    """A caller who knows only Python catches them."""
    also = {kind.__name__: [b for b in BUILTINS if issubclass(kind, b)] for kind in KINDS}
    assert also["DeadlineExceeded"] == [TimeoutError] and also["RegionUnavailable"] == [ConnectionError]
    assert also["ConfigurationError"] == [ValueError] and also["MissingDriver"] == [ValueError, ImportError]
    assert issubclass(MissingDriver, ConfigurationError)


def test_defaults_of_details_are_there_without_being_given() -> None:
    """An attribute that is documented can always be read."""
    assert StaleRead("x").lost is False and StaleRead("x", lost=True).lost is True
    unknown = OutcomeUnknown("x")
    assert (unknown.store, unknown.region, unknown.key, unknown.idempotency_key, unknown.began_at) == (
        "",
        "",
        None,
        None,
        0.0,
    )
    assert "Why" not in str(RegionKitError("x")) and "Why: y" in str(RegionKitError("x", why="y"))
