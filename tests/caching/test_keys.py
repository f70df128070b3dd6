"""Keys: never one for another, whatever is in them."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit import ConfigurationError
from regionkit.caching.keys import LONGEST_PLAIN, MOST_PARTS, canonical, digest_of, scope_of, stored_name

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
PLAIN = st.one_of(TEXTS, st.integers(-(2**255), 2**255), st.binary(max_size=300), st.uuids())
KEYS = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8)


def typed(key: Any) -> Any:
    """A key and its types: 1 is not True, and "1" is not 1."""
    return tuple(map(typed, key)) if isinstance(key, tuple) else (type(key), key)


@given(KEYS, KEYS)
def test_two_keys_are_one_only_when_they_are_equal(a: Any, b: Any) -> None:
    """In the process, at a server, and by digest."""
    same = typed(a) == typed(b)
    one, other = canonical(a), canonical(b)
    assert (type(one), one) == (type(other), other) or not same
    for name in (lambda key: (type(key), key), stored_name, digest_of):
        assert (name(one) == name(other)) is same


@given(KEYS)
def test_a_key_at_a_server_has_a_bounded_length(key: Any) -> None:
    """Whatever its own."""
    assert len(stored_name(canonical(key))) <= LONGEST_PLAIN
    assert len(digest_of(canonical(key))) == 16


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("42", 42),
        ("42", b"42"),
        (42, b"i42"),
        (("a", "b"), ("ab",)),
        (("a", ("b",)), ("a", "b")),
        (("a:1", "b"), ("a", "1:b")),
        ("a", "a "),
        ("a", "a\0"),
        ("{tag}a", "a"),
        ("#" + "a" * 16, "a"),
        ("", ()),
        ((), ((),)),
        (UUID(int=5), UUID(int=5).bytes),
        ("é", "e\u0301"),
    ],
)
def test_what_looks_alike_is_two_keys(a: Any, b: Any) -> None:
    """Types, separators, blanks, forms of a letter."""
    assert stored_name(canonical(a)) != stored_name(canonical(b))
    assert digest_of(canonical(a)) != digest_of(canonical(b))


def test_a_key_of_a_class_of_its_own_is_the_text_or_the_number() -> None:
    """Else the same key would stand twice, and an invalidation reach one of them."""

    class Colour(StrEnum):
        RED = "red"

    class Number(IntEnum):
        ONE = 1

    assert type(canonical(Colour.RED)) is str
    assert canonical(Colour.RED) == canonical("red")
    assert canonical(Number.ONE) == canonical(1)


@pytest.mark.parametrize(
    "key",
    [
        None,
        True,
        1.0,
        ["a"],
        {"a"},
        object(),
        bytearray(b"a"),
        1 << 256,
        "\ud800",
        ("a", "\udfff"),
        (1, True),
        ("a",) * 65,
    ],
)
def test_what_is_no_key_is_refused(key: Any) -> None:
    """With what a key may be."""
    with pytest.raises(ConfigurationError, match="is not a key of a cache"):
        canonical(key)


def test_a_tuple_may_be_deep_but_not_endless() -> None:
    """Its parts are counted, those of tuples in it too."""
    key: Any = "a"
    for _ in range(MOST_PARTS - 1):
        key = (key,)
    canonical(key)
    with pytest.raises(ConfigurationError, match="parts"):
        canonical((key,))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_tenant_is_part_of_the_digest_whole(a: bytes, b: bytes) -> None:
    """However long: tenants that differ in the last letter only are two."""
    common = b"x" * 100
    assert (digest_of("k", a) == digest_of("k", b)) is (a == b)
    assert (digest_of("k", common + a) == digest_of("k", common + b)) is (a == b)


@pytest.mark.parametrize("tenant", [5, None, b"t", "\ud800"])
def test_what_is_no_tenant_is_refused(tenant: Any) -> None:
    """When the cache is made."""
    with pytest.raises(ConfigurationError, match="tenant"):
        scope_of("shop", "users", tenant)
    assert scope_of("shop", "users", "東京") == "shop/users/東京".encode()
