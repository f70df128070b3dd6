"""A session that wrote in two data centres at LOCAL_QUORUM: its reads ask both, or it is told what it may give up."""

from __future__ import annotations

import pytest
from fix_rig_cassandra import CassandraStoreRig
from fix_store_rigs import NAMESPACE

from regionkit import AsyncRegionKit, CassandraStore, Region, StaleRead, Topology, UsageError

US, KR = "us-east-1", "eu-west-1"
"""Data centres of the cluster; the regions here are called as they are."""
KEY = "a key of more than sixteen characters"


def topology(rig: CassandraStoreRig, regions: list[str], **datacenters: str) -> Topology:
    """The store as those regions know it."""
    store = CassandraStore("orders", url=rig.url, datacenters=datacenters)
    return Topology(namespace=NAMESPACE, regions=[Region(region) for region in regions], stores=[store])


async def wrote_there(rig: CassandraStoreRig, here: str, bookmark: str = "") -> str:
    """The bookmark of a session that wrote in the data centre of one region."""
    async with AsyncRegionKit(topology(rig, [US, KR]), local=here, bookmark_keys=[KEY]) as kit:
        await kit.create_tables()
        s = kit.session(bookmark=bookmark)
        async with s.write("orders") as cql:
            await rig.AsyncActions.put(cql, "a", f"of {here}")
        return await s.bookmark()


async def test_a_session_that_travels_reads_what_it_wrote(cassandra_store_rig: CassandraStoreRig) -> None:
    """In either data centre, at a level that meets both; a statement of a lower level is refused."""
    rig = cassandra_store_rig
    bookmark = await wrote_there(rig, KR, await wrote_there(rig, US))
    for here in (US, KR):
        async with AsyncRegionKit(topology(rig, [US, KR]), local=here, bookmark_keys=[KEY]) as kit:
            await kit.create_tables()
            s = kit.session(bookmark=bookmark)
            async with s.read("orders") as cql:
                assert await rig.AsyncActions.get(cql, "a") == f"of {KR}"
                lower = await cql.prepare("SELECT value FROM things WHERE name = 'a'")
                lower.consistency_level = 6  # LOCAL_QUORUM
                with pytest.raises(UsageError, match="EACH_QUORUM"):
                    await cql.execute(lower)
            assert s.last_route is not None
            assert s.last_route.region == here
            async with s.write("orders") as cql:  # it goes on like this
                await rig.AsyncActions.put(cql, "b", "tea")
            async with s.read("orders") as cql:
                assert await rig.AsyncActions.get(cql, "b") == "tea"


@pytest.mark.parametrize("how", ["left out", "misspelt"])
async def test_what_cannot_be_asked_may_be_given_up(cassandra_store_rig: CassandraStoreRig, how: str) -> None:
    """The error names the data centre and the way on; later writes of the session still win."""
    rig = cassandra_store_rig
    bookmark = await wrote_there(rig, US)
    known = topology(rig, [KR]) if how == "left out" else topology(rig, [US, KR], **{US: "us-esat-1"})
    async with AsyncRegionKit(known, local=KR, bookmark_keys=[KEY]) as kit:
        await kit.create_tables()
        s = kit.session(bookmark=bookmark)
        with pytest.raises(StaleRead, match=f"data centre {US} does not answer") as caught:
            async with s.read("orders") as cql:
                await rig.AsyncActions.get(cql, "a")
        assert "accept_loss" in caught.value.fix
        assert ("us-esat-1" in caught.value.why) is (how == "misspelt")
        assert "us-esat-1" not in caught.value.fix
        await s.accept_loss()
        async with s.write("orders") as cql:
            await rig.AsyncActions.put(cql, "a", "later")
        async with s.read("orders") as cql:
            assert await rig.AsyncActions.get(cql, "a") == "later"
    assert rig.value("a") == "later"
