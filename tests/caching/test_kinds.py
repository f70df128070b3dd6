# Generated from test_kinds_async.py by scripts/twins.py. Do not edit.
"""What a cache takes as the type of its values, and what it does with values that are not of it."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec
import pytest

from regionkit.caching import TTL, Cache, Lazy, NoStore
from regionkit.errors import CacheError, ConfigurationError


class Row(TypedDict):
    """A plain dict with known fields."""

    name: str


class User(msgspec.Struct, frozen=True):
    """A struct whose fields nobody checks when it is made."""

    name: str


@pytest.mark.parametrize("kind", [{}, {"kind": Any}, {"kind": Row}, {"kind": dict[str, str]}, {"kind": str | dict}])
def test_a_type_without_instances_is_none_to_refuse_values_by(kind: dict[str, Any]) -> None:
    """`typing.Any`, the default, is a class since Python 3.11; so is a TypedDict."""
    with Cache("rows", **kind, strategy=TTL(ttl=60)) as cache:
        cache.set(1, {"name": "Ada"})
        assert cache.get(1) == {"name": "Ada"}


@pytest.mark.parametrize(("kind", "value"), [(dict[str, int], {"n": "x"}), (Row, {}), (User, User(name=5))])  # type: ignore[arg-type]
def test_a_value_that_nobody_could_read_again_is_refused_when_it_is_stored(kind: Any, value: Any) -> None:
    """Not when it is read, and not as an error of the coder's."""
    with Cache("rows", kind, strategy=TTL(ttl=60)) as cache:
        with pytest.raises(CacheError, match=r"Expected|missing"):
            cache.set(1, value)


def test_a_value_that_is_not_kept_is_not_stale() -> None:
    """It was loaded for this very call."""
    with Cache("rows", int, strategy=Lazy(load=lambda key: NoStore(1), ttl=60)) as cache:
        assert not (cache.lookup(1)).stale


def test_a_wrong_name_is_named_well() -> None:
    """In a sentence."""
    with pytest.raises(ConfigurationError, match="is not a usable name of a cache"):
        Cache("Users", strategy=TTL(ttl=60))
