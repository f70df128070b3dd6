"""Strategies: which endpoints are one shard, and what no rule can pick is refused."""

from __future__ import annotations

import pytest

from regionkit.errors import ConfigurationError
from regionkit.topology import (
    Contextual,
    Directory,
    Endpoint,
    Hashed,
    LocalReadGlobalWrite,
    Region,
    Role,
    SqlStore,
    Topology,
    WritePartitioning,
)


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
        ([at("a", P, "a"), at("b", P, "b"), at("c", R, "c")], "does not name its primary"),
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
    with pytest.raises(ConfigurationError, match="not one of the stores"):
        topology(store(*two, home=Directory()))
    with pytest.raises(ConfigurationError, match="cannot be kept in 'carts'"):
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
