"""The examples of docs/how-to/cassandra.md, on a real cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fix_rig_cassandra import REGIONS, CassandraStoreRig
from fix_rigs import NAMESPACE

from regionkit import AsyncRegionKit, CassandraStore, Region, RegionKit, Topology

HERE = "ap-northeast-2"
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "cassandra.md"
PATIENT = {"base": "gentle", "read_deadline": 60.0, "write_deadline": 60.0}
LINES = [str(number) for number in range(30)]


@pytest.fixture
def page(cassandra_store_rig: CassandraStoreRig) -> dict[str, Any]:
    """What the page defines, about the store of the rig, and its table."""
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(block.replace('"events"', '"orders"'), names)
    table = "CREATE TABLE events (device text, at int, text text, PRIMARY KEY (device, at))"
    cassandra_store_rig.cluster.ddl(table, keyspace=cassandra_store_rig.keyspace)
    return names


async def test_the_examples_of_the_page_do_what_it_says(
    page: dict[str, Any], cassandra_store_rig: CassandraStoreRig
) -> None:
    """Thirty lines written at once and read page after page, by a thread and by a task."""
    topology = cassandra_store_rig.topology(options={"page_size": 10})
    with RegionKit(topology, local=HERE, profile=PATIENT) as kit, kit.session() as s:
        page["record"](s, "d1", LINES)
        assert page["history"](s, "d1") == LINES
        assert page["glance"](s, "d1").text == "0"
    async with AsyncRegionKit(topology, local=HERE, profile=PATIENT) as akit, akit.session() as asession:
        assert await page["ahistory"](asession, "d1") == LINES


def test_a_cart_is_opened_once_by_its_home(page: dict[str, Any], cassandra_store_rig: CassandraStoreRig) -> None:
    """The page's store with homes, at the addresses of this cluster."""
    rig = cassandra_store_rig
    rig.cluster.ddl("CREATE TABLE carts (id text PRIMARY KEY, items int)", keyspace=rig.keyspace)
    carts = CassandraStore("carts", url=rig.url, datacenters=rig.datacenters, strategy=page["carts"].strategy)
    topology = Topology(namespace=NAMESPACE, regions=[Region(name) for name in REGIONS], stores=[carts])
    with RegionKit(topology, local=HERE, profile=PATIENT) as kit, kit.session() as s:
        assert page["open_cart"](s, "eu-west-1:c9")
        assert s.last_route is not None
        assert s.last_route.region == "eu-west-1"
        assert not page["open_cart"](s, "eu-west-1:c9")
