"""Topology: refused as a whole when a part cannot work; a replica outside residency is kept, not allowed."""

import dataclasses
import pickle
import subprocess
import sys

import pytest

from regionkit.errors import ConfigurationError
from regionkit.topology import Endpoint, Region, Residency, Role, SqlStore, Topology

URL = "postgresql://app:CANARY@{}.example/shop"
REGIONS = (Region("us-east-1", "US"), Region("ap-northeast-2", "KR"), Region("eu-west-1", "EU"), Region("lab"))


def primary(region="us-east-1", url=None, **options):
    return Endpoint(region, Role.PRIMARY, url or URL.format(region), **options)


def replica(region="ap-northeast-2", **options):
    return Endpoint(region, Role.REPLICA, URL.format(f"copy.{region}"), **options)


def topology(*endpoints, residency=None, regions=REGIONS, **options):
    store = SqlStore("orders", endpoints=endpoints or (primary(), replica()), residency=residency or Residency())
    return Topology(regions=list(regions), stores=[store], **options)


def refused(message, make):
    with pytest.raises(ConfigurationError, match=message) as caught:
        make()
    assert "CANARY" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_topology_is_a_frozen_value_with_lookups():
    whole = topology(namespace="shop", control="orders")
    assert (whole.namespace, whole.control, whole.regions) == ("shop", "orders", REGIONS)
    assert whole.region("lab") is REGIONS[3]
    assert whole.store("orders").primary.region == "us-east-1"
    assert (
        whole == topology(namespace="shop", control="orders") and len({whole, pickle.loads(pickle.dumps(whole))}) == 1
    )
    assert dataclasses.replace(whole, control=None, stores=()).stores == ()
    assert "CANARY" not in repr(whole) and "_stores" not in repr(whole)
    with pytest.raises(AttributeError):
        whole.stores = ()


def test_unknown_names_come_with_a_near_match():
    refused("no region 'us-east-2'.*did you mean 'us-east-1'", lambda: topology().region("us-east-2"))
    refused("no store 'order'.*did you mean 'orders'", lambda: topology().store("order"))
    refused("no store", lambda: Topology(regions=REGIONS).store(URL))


def test_a_replica_outside_the_residency_is_kept_and_not_allowed():
    whole = topology(primary(), replica(), replica("eu-west-1"), residency=Residency(allow=["US", "ap-northeast-2"]))
    store = whole.store("orders")
    assert [whole.allowed(store, endpoint) for endpoint in store.endpoints] == [True, True, False]
    assert not whole.allowed("orders", store.endpoint("eu-west-1"))
    assert not whole.allowed(SqlStore("orders"), store.endpoint("eu-west-1"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Topology(), "has no region"),
        (lambda: topology(namespace="Shop"), "not a usable namespace"),
        (lambda: topology(namespace="a" * 32), "not a usable namespace"),
        (lambda: topology(namespace=URL), "not a usable namespace"),
        (lambda: topology(control="ordres"), "control store 'ordres' is not one.*did you mean 'orders'"),
        (lambda: topology(regions=(*REGIONS, Region("lab", "US"))), "region 'lab' is there twice"),
        (lambda: topology(regions=("us-east-1",)), "regions must be a sequence of Region"),
        (lambda: Topology(regions=REGIONS, stores=["orders"]), "stores must be a sequence of Store"),
        (lambda: Topology(regions=REGIONS, stores=topology().stores * 2), "store 'orders' is there twice"),
        (lambda: Topology(regions=REGIONS, stores=[SqlStore("orders")]), "'orders' has no endpoints"),
        (lambda: topology(primary("us-east-2")), "in region 'us-east-2', which.*did you mean 'us-east-1'"),
        (lambda: topology(primary("US-EAST-1")), "did you mean 'us-east-1'"),
        (lambda: topology(primary(), replica(of="us-east-2")), "is of region 'us-east-2', which.*'us-east-1'"),
        (lambda: topology(primary(), replica(of="eu-west-1")), "of 'eu-west-1', where no primary is"),
        (lambda: topology(primary(), primary("eu-west-1")), r"needs one primary, and has 2 \(us-east-1, eu-west-1\)"),
        (lambda: topology(primary(), primary(url=URL.format("b"))), r"has 2 \(us-east-1, us-east-1#2\)"),
        (lambda: topology(replica()), r"needs one primary, and has 0 \(none\)"),
        (lambda: topology(primary(), replica(partitions=["p0"])), "has partitions, which no rule"),
        (lambda: topology(residency=Residency(allow=["KR"])), r"primary 'us-east-1' is in us-east-1 \(US\), outside"),
        (lambda: topology(residency=Residency(deny=["us-east-1"])), r"outside its residency \(everywhere, but not"),
        (lambda: topology(primary("lab"), residency=Residency(allow=["US"])), "primary 'lab' is in lab, outside"),
        (lambda: topology(residency=Residency(allow=["US", "kr"])), "names 'kr', which is neither.*did you mean 'KR'"),
        (
            lambda: topology(residency=Residency(deny=["UK"])),
            "names 'UK', which is neither a region nor a jurisdiction",
        ),
        (lambda: topology(residency=Residency(allow=[URL, "US"])), "which is neither a region nor a jurisdiction"),
        (
            lambda: topology(primary(), replica("lab"), residency=Residency(deny=["KR"])),
            "whether 'KR' is denied in region 'lab' cannot be decided",
        ),
        (lambda: topology(regions=(*REGIONS, Region("x", "lab"))), "'lab' is both a region and the jurisdiction"),
    ],
)
def test_a_topology_refuses(make, message):
    refused(message, make)


def test_a_replica_may_name_the_primary_it_copies():
    assert topology(primary(), replica(of="us-east-1"), replica("us-east-1", of="us-east-1"))


def test_a_region_may_be_denied_by_name_where_no_jurisdiction_is_stated():
    assert topology(primary(), replica("lab"), residency=Residency(deny=["lab", "KR"]))


def test_importing_it_loads_no_driver():
    code = (
        "import sys, regionkit.topology;"
        "sys.exit(sorted({'sqlalchemy', 'psycopg', 'pymysql', 'aiomysql', 'aiosqlite'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
