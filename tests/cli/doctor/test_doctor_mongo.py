"""The doctor on real MongoDB replica sets: prepared faults are found, and nothing on a healthy set."""

from __future__ import annotations

from typing import Any

from fix_doctor import codes, examined, kit_over, one, prepared
from fix_rigs import wait_until

from regionkit import MongoStore


def kit(url: str, regions: list[str]) -> Any:
    """Over a replica set."""
    return kit_over(MongoStore("profiles", url=url), regions)


def reconfigured(servers: Any, change: Any) -> None:
    """Change the set's configuration; until all members have it and the set has a primary."""
    primary = servers.primary
    config = primary.admin("replSetGetConfig")["config"]
    config["version"] += 1
    change(config)
    primary.admin("replSetReconfig", config)
    wait_until(lambda: {one["state"] for one in primary.admin("replSetGetStatus")["members"]} == {1, 2})


def test_a_healthy_set_has_nothing_to_mend(mongo: Any) -> None:
    """Not even a note."""
    regions = [node.region for node in mongo.nodes]
    assert examined(prepared(kit(mongo.url_for(mongo.database()), regions))) == []


def test_missing_collections_and_a_member_that_the_url_does_not_name(mongo: Any) -> None:
    """It may be elected, and then nobody finds the primary."""
    regions = [node.region for node in mongo.nodes]
    url = mongo.url_for(mongo.database())
    left_out = next(node for node in mongo.replicas)
    found = examined(kit(url.replace(f",{left_out.address}", "").replace(f"{left_out.address},", ""), regions))
    assert codes(found) == ["D432", "D601"]
    assert left_out.address in found[0].what


def test_a_url_without_the_name_of_the_set(mongo: Any) -> None:
    """A host of another set would be taken for a member."""
    regions = [node.region for node in mongo.nodes]
    url = mongo.url_for(mongo.database()).partition("?")[0]
    assert "D103" in codes(examined(prepared(kit(url, regions))))


def test_a_set_of_two(own_mongo: Any) -> None:
    """It survives no loss; and then: no journal, a member without a tag, one that is dead."""
    servers = own_mongo(("us", "kr"))
    made = prepared(kit(servers.url, ["us", "kr"]))
    assert codes(examined(made)) == ["D434"]

    reconfigured(servers, lambda config: config.update(writeConcernMajorityJournalDefault=False))
    assert set(codes(examined(kit(servers.url, ["us", "kr"])))) == {"D431", "D434"}

    other = next(i for i, node in enumerate(servers.nodes) if node is servers.replicas[0])
    reconfigured(servers, lambda config: config["members"][other].update(tags={}))
    found = examined(kit(servers.url, ["us", "kr"]))
    assert "no member tag" in one(found, "D435").what
    assert "D201" in codes(found) or "D202" in codes(found), "it is not used, and the status says why"


def test_a_dead_member(own_mongo: Any) -> None:
    """The set says it, and the endpoint cannot be reached."""
    servers = own_mongo()
    regions = [node.region for node in servers.nodes]
    prepared(kit(servers.url, regions)).close()
    dead = servers.replicas[0]
    dead.kill()
    primary = servers.primary
    wait_until(
        lambda: any(
            m["stateStr"] not in ("PRIMARY", "SECONDARY") for m in primary.admin("replSetGetStatus")["members"]
        ),
        30.0,
    )
    found = examined(kit(servers.url, regions))
    assert dead.address in one(found, "D433").what and "D201" in codes(found)
