"""Which endpoint an operator means by an id or a region."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from regionkit import CassandraStore, ConfigurationError, Region, RegionKit, Role, Topology
from regionkit.operations import _named, _to_adopt


def part(*endpoints: str, owner: int = 0, primaries: tuple[int, ...] = (0,)) -> Any:
    """A shard. An endpoint's region is its id without number."""
    states = [
        SimpleNamespace(id=id, region=id.partition("#")[0], role=Role.PRIMARY if i in primaries else Role.REPLICA)
        for i, id in enumerate(endpoints)
    ]
    state = SimpleNamespace(snapshot=SimpleNamespace(endpoints=states, owner=owner))
    return SimpleNamespace(state=state, refused=lambda index: states[index].region == "eu")


def chosen(region: str, *shards: Any) -> tuple[int, str]:
    """Number of the shard, and the endpoint's id."""
    store: Any = SimpleNamespace(name="orders", shards=shards)
    shard, index = _to_adopt("orders", region, _named(store, region))
    return shards.index(shard), shard.state.snapshot.endpoints[index].id


@pytest.mark.parametrize(
    ("region", "endpoints", "owner", "primaries", "expected"),
    [
        ("kr", ("us", "kr"), 0, (0, 1), "kr"),
        ("kr", ("us", "kr", "kr#2"), 0, (0, 2), "kr#2"),  # the one that was promoted
        ("kr", ("us", "kr", "kr#2"), -1, (0, 1, 2), "kr"),  # two promoted apart: its id names the first
        ("kr#2", ("us", "kr", "kr#2"), -1, (0, 1, 2), "kr#2"),
        ("kr", ("us", "kr", "kr#2"), 2, (2,), "kr#2"),  # it is the owner already
        ("kr", ("us", "kr", "kr#2"), 0, (0,), "kr"),  # none is a primary: said of the first
    ],
)
def test_in_one_shard(
    region: str, endpoints: tuple[str, ...], owner: int, primaries: tuple[int, ...], expected: str
) -> None:
    """The one that says it is primary and is not taken for the owner; else the one that is called like this."""
    assert chosen(region, part(*endpoints, owner=owner, primaries=primaries)) == (0, expected)


def test_of_several_shards_the_one_that_asks() -> None:
    """Where none or several do, nobody can tell which part is meant."""
    one = part("us", "kr")
    assert chosen("kr", one, part("kr#2", "us#2", owner=-1)) == (1, "kr#2")
    assert chosen("us#2", one, part("kr#2", "us#2")) == (1, "us#2")
    asks = part("us", "kr", owner=-1, primaries=(0, 1))
    for first, second in ((one, part("kr#2", "us#2")), (asks, part("kr#2", owner=-1))):
        with pytest.raises(ConfigurationError, match="endpoints in 'kr'") as caught:
            chosen("kr", first, second)
        assert "key=" in caught.value.fix
        assert "kr, kr#2" in caught.value.fix


def test_none() -> None:
    """Unknown, or where residency refuses it."""
    for region in ("krr", "eu"):
        with pytest.raises(ConfigurationError, match=f"no endpoint '{region}'"):
            chosen(region, part("us", "kr", "eu"))


def test_a_store_without_owners_has_none_to_adopt() -> None:
    """Said before anything is asked."""
    store = CassandraStore("carts", url="cassandra://127.0.0.1:1/shop")
    with RegionKit(Topology("shop", regions=[Region("us")], stores=[store]), local="us") as kit:
        with pytest.raises(ConfigurationError, match="no primary that could be adopted") as caught:
            kit.adopt("carts", "us")
    assert caught.value.why and caught.value.fix
