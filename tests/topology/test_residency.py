"""Residency: a rule allows only what it can prove."""

import pytest

from regionkit import CassandraStore, MongoStore, RegionKit, Topology
from regionkit.errors import ConfigurationError
from regionkit.topology import Region, Residency

KR = Region("ap-northeast-2", "KR")
US = Region("us-east-1", jurisdiction="US")
NOWHERE = Region("lab")


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        (Residency(), {KR, US, NOWHERE}),
        (Residency(allow=["KR"]), {KR}),
        (Residency(allow=["KR", "us-east-1"]), {KR, US}),
        (Residency(allow=["lab"]), {NOWHERE}),
        (Residency(deny=["US"]), {KR, NOWHERE}),
        (Residency(allow=["KR", "US"], deny=["us-east-1"]), {KR}),
        (Residency(deny=("lab", "KR")), {US}),
    ],
)
def test_residency_allows_by_jurisdiction_or_name_and_deny_wins(rule, allowed):
    assert {region for region in (KR, US, NOWHERE) if rule.allows(region)} == allowed


def test_residency_keeps_tuples_and_reads_as_words():
    rule = Residency(allow=iter(["KR", "US"]), deny=["us-east-1"])
    assert (rule.allow, rule.deny) == (("KR", "US"), ("us-east-1",))
    assert str(rule) == "only KR, US, but not us-east-1"
    assert (str(Residency()), str(Residency(deny=["US"]))) == ("everywhere", "everywhere, but not US")
    assert hash(rule) == hash(Residency(["KR", "US"], ["us-east-1"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"allow": []}, "allow is empty"),
        ({"allow": "KR"}, "must be a sequence of str"),
        ({"deny": "KR"}, "must be a sequence of str"),
        ({"allow": ["KR", 3]}, "one of them is 3"),
        ({"allow": 5}, "got 5"),
        ({"allow": ["KR", ""]}, "word is empty"),
        ({"allow": ["KR"], "deny": ["KR"]}, "both allows and denies 'KR'"),
    ],
)
def test_residency_refuses_rules_that_can_not_be_meant(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        Residency(**arguments)


@pytest.mark.parametrize("make", [MongoStore, CassandraStore])
def test_a_cluster_by_url_is_judged_in_every_region(make):
    """It may have members in all of them, so a denied jurisdiction has to be told for each."""
    scheme = "mongodb" if make is MongoStore else "cassandra"
    store = make("orders", url=f"{scheme}://127.0.0.1/shop", residency=Residency(deny=["EU"]))
    regions = [Region("eu-central-1", jurisdiction="EU"), Region("eu-west-1")]
    with pytest.raises(ConfigurationError, match="'EU' is denied in region 'eu-west-1' cannot be decided"):
        Topology(namespace="shop", regions=regions, stores=[store])


def test_two_regions_of_a_cassandra_store_have_two_data_centres():
    """Also where one is called as the other's region."""
    store = CassandraStore("events", url="cassandra://127.0.0.1/shop", datacenters={"us-east-1": "eu-west-1"})
    with pytest.raises(ConfigurationError, match="data centre 'eu-west-1' is there twice"):
        Topology(namespace="shop", regions=[Region("us-east-1"), Region("eu-west-1")], stores=[store])


@pytest.mark.parametrize("make", [MongoStore, CassandraStore])
def test_a_changed_jurisdiction_is_another_store(make):
    """`kit.replace` keeps no store whose regions are judged otherwise now, though the store itself is the same."""
    scheme = "mongodb" if make is MongoStore else "cassandra"
    store = make("orders", url=f"{scheme}://127.0.0.1:1/shop", residency=Residency(allow=["EU"]))

    def topology(second):
        regions = [Region("eu-central-1", jurisdiction="EU"), Region("eu-west-1", jurisdiction=second)]
        return Topology(namespace="shop", regions=regions, stores=[store])

    with RegionKit(topology("EU"), local="eu-central-1") as kit:
        kit.replace(topology("UK"))
        state = kit._store("orders").state
        assert state.snapshot.regions == {"eu-central-1"}
        assert all(e.allowed == (e.region != "eu-west-1") for e in state.snapshot.endpoints if e.region)
