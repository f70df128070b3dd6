"""Home functions: where a key's home is, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.errors import ConfigurationError, UnknownHome
from regionkit.topology import (
    Contextual,
    Directory,
    Endpoint,
    Hashed,
    Intrinsic,
    LocalReadGlobalWrite,
    Region,
    Role,
    SqlStore,
    Topology,
    WritePartitioning,
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


def store(*endpoints: Endpoint, home: object = None) -> SqlStore:
    strategy = WritePartitioning(Contextual() if home is None else home)  # type: ignore[arg-type]  # homes
    return SqlStore("carts", strategy=strategy, endpoints=endpoints)


def topology(carts: SqlStore, **more: object) -> Topology:
    return Topology(regions=[Region("a"), Region("b"), Region("c")], stores=[carts], **more)  # type: ignore[arg-type]  # as given


def at(region: str, role: Role, name: str, **more: object) -> Endpoint:
    return Endpoint(region, role, f"sqlite:////tmp/{name}.db", **more)  # type: ignore[arg-type]  # as given


P, R = Role.PRIMARY, Role.REPLICA


def test_shards_are_primaries_with_their_copies() -> None:
    """A copy belongs to the primary of the region that it is of."""
    carts = store(at("a", P, "a"), at("b", P, "b"), at("a", R, "ba", of="b"), at("b", R, "ab", of="a"))
    topology(carts)
    shards = carts.shards(["a", "b"])
    assert [(s.name, s.partitions, [e.id for e in s.endpoints]) for s in shards] == [
        ("a", ("a",), ["a", "b#2"]),
        ("b", ("b",), ["b", "a#2"]),
    ]
    assert SqlStore("o", endpoints=[at("a", P, "a")]).shards(["a"])[0].name == ""


def test_several_partitions_in_one_region() -> None:
    """Sharding: homes name partitions then."""
    carts = store(
        at("a", P, "a1", partitions=["p0", "p1"]),
        at("a", P, "a2", partitions=["p2"]),
        at("b", R, "b2", of="a", partitions=["p2"]),
    )
    topology(carts)
    assert [(s.name, s.partitions, len(s.endpoints)) for s in carts.shards(["a", "b"])] == [
        ("p0+p1", ("p0", "p1"), 1),
        ("p2", ("p2",), 2),
    ]


@pytest.mark.parametrize(
    ("endpoints", "message"),
    [
        ([at("a", R, "a")], "needs a primary in each home region"),
        ([at("a", P, "a"), at("a", P, "a2")], "has two primaries"),
        ([at("a", P, "a"), at("b", P, "b"), at("c", R, "c")], "does not say whose copy it is"),
        ([at("a", P, "a"), at("b", R, "b", of="c")], "is of 'c', and no primaries fit"),
        ([at("a", P, "a", partitions=["p0"]), at("b", P, "b")], "one names partitions"),
        ([at("a", P, "a", partitions=["p0"]), at("b", P, "b", partitions=["p0"])], "'p0' has two primaries"),
    ],
)
def test_endpoints_that_no_rule_can_pick_are_refused(endpoints: list[Endpoint], message: str) -> None:
    """Each with what to do."""
    with pytest.raises(ConfigurationError, match=message):
        topology(store(*endpoints))


def test_a_hashed_list_must_be_the_homes() -> None:
    """A region without a primary, and a primary that no key reaches."""
    two = (at("a", P, "a"), at("b", P, "b"))
    topology(store(*two, home=Hashed(["b", "a"])))
    with pytest.raises(ConfigurationError, match="spreads keys to 'c'"):
        topology(store(*two, home=Hashed(["a", "b", "c"])))
    with pytest.raises(ConfigurationError, match="no key can ever have its home in 'b'"):
        topology(store(*two, home=Hashed(["a"])))


def test_a_directory_needs_a_store_that_keeps_it() -> None:
    """Named, or the control store; never one that needs a directory itself."""
    two = (at("a", P, "a"), at("b", P, "b"))
    with pytest.raises(ConfigurationError, match="none of the stores"):
        topology(store(*two, home=Directory()))
    with pytest.raises(ConfigurationError, match="can not be kept in 'carts'"):
        topology(store(*two, home=Directory("carts")))
    carts = store(*two, home=Directory())
    kept = SqlStore("placement", endpoints=[at("a", P, "placement")])
    Topology(control="placement", regions=[Region("a"), Region("b")], stores=[carts, kept])


def test_a_strategy_without_a_home_function_is_refused() -> None:
    """What would decide?"""
    with pytest.raises(ConfigurationError, match="home is"):
        WritePartitioning("intrinsic")  # type: ignore[arg-type]  # the point
    assert LocalReadGlobalWrite() == LocalReadGlobalWrite()


def test_a_home_outside_the_residency_is_refused() -> None:
    """Every write of its keys would break the rule."""
    from regionkit.topology import Residency

    carts = SqlStore(
        "carts",
        strategy=WritePartitioning(Contextual()),
        endpoints=[at("a", P, "a"), at("b", P, "b")],
        residency=Residency(allow=["a"]),
    )
    with pytest.raises(ConfigurationError, match="outside its residency"):
        topology(carts)
