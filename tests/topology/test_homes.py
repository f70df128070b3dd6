"""Home functions: where a key's home is, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.errors import ConfigurationError, UnknownHome
from regionkit.topology import (
    Contextual,
    Directory,
    Hashed,
    Intrinsic,
)
from regionkit.topology.homes import check_key, home, slot

# Frozen: data was stored by them. Made once with zlib.crc32, which is CRC-32/ISO-HDLC ("123456789" gives 0xCBF43926).
SLOTS = {"": 0, "123456789": 294, "t42": 1001, "customer-7": 328, "ß": 167, "東京": 751, "a" * 300: 265}


def test_slots_are_frozen() -> None:
    """A key's slot never changes between versions: its data would be elsewhere."""
    assert {key: slot(key) for key in SLOTS} == SLOTS


def test_the_table_is_frozen() -> None:
    """Slot i belongs to regions[i * n // 1024]."""
    three = Hashed(["a", "b", "c"])
    assert [three._table.count(region) for region in "abc"] == [342, 341, 341]
    assert (three._table[341], three._table[342], three._table[682], three._table[683]) == ("a", "b", "b", "c")
    assert [three.of(key) for key in ("t42", "customer-7", "東京", "123456789")] == ["c", "a", "c", "a"]


@given(st.text(min_size=1, max_size=40), st.integers(1, 40))
def test_every_key_has_one_home(key: str, count: int) -> None:
    """Whatever the key and however many regions."""
    regions = [f"r{i}" for i in range(count)]
    found = Hashed(regions).of(key.encode("utf-8", "replace").decode())
    assert found == regions[slot(key.encode("utf-8", "replace").decode()) * count // 1024]


def test_the_home_stands_in_the_key() -> None:
    """The named group, matched from the beginning."""
    of = Intrinsic("^(?P<region>[a-z0-9-]+):").of
    assert of("us-east-1:c9") == "us-east-1"
    assert Intrinsic(r"(?P<partition>p\d+)/").of("p7/x") == "p7"
    for key in ("c9", "", ":c9", "US:c9", " us-east-1:c9"):
        with pytest.raises(UnknownHome, match="does not say where its home is") as caught:
            of(key)
        assert caught.value.key == key


@pytest.mark.parametrize(
    "pattern", ["(", "^[a-z]+:", "(?P<home>x)", "(?P<region>x)(?P<partition>y)", None, 3, "(?P<region>x)(?P<region>y)"]
)
def test_ambiguous_patterns_are_refused(pattern: object) -> None:
    """One named group says where the home stands."""
    with pytest.raises(ConfigurationError):
        Intrinsic(pattern)  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize("regions", [[], ["a", "a"], "ab", [1], [str(i) for i in range(1025)]])
def test_bad_lists_are_refused(regions: object) -> None:
    """None, twice, not a list, too many."""
    with pytest.raises(ConfigurationError):
        Hashed(regions)  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize("bad", [{"max_age": 0}, {"max_age": True}, {"max_entries": 0}, {"max_entries": 1.5}])
def test_bad_bounds_of_a_directory_are_refused(bad: dict[str, object]) -> None:
    """Each names itself."""
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        Directory(**bad)  # type: ignore[arg-type]  # the point


def test_homes_by_name() -> None:
    """As TOML describes them."""
    assert home("contextual") == Contextual()
    assert home({"name": "hashed", "regions": ["a", "b"]}) == Hashed(["a", "b"])
    assert home({"name": "directory", "store": "orders", "max_age": 5}) == Directory("orders", 5)
    with pytest.raises(ConfigurationError, match="did you mean 'pattern'"):
        home({"name": "intrinsic", "patern": "x"})


@pytest.mark.parametrize("key", ["", "a\x00b", "x" * 513, 3, None, b"x"])
def test_unusable_keys_are_refused(key: object) -> None:
    """They would not fit the directory."""
    with pytest.raises(ConfigurationError):
        check_key(key)
