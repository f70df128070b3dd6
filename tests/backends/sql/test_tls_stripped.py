# Generated from test_tls_stripped_async.py by scripts/twins.py. Do not edit.
"""Somebody on the way says that the server has no TLS: not a letter of the account is sent. Both drivers would go on in clear."""

from __future__ import annotations

import pytest
from fix_impostor import Impostor
from fix_rigs import NAMESPACE

from regionkit import EVENTUAL, Endpoint, Region, RegionKit, RegionUnavailable, Role, SqlStore, Topology
from regionkit.core.concurrency import sleep

PASSWORD = "Tr0ub4dor"


@pytest.mark.parametrize("how", ["endpoint", "url"])
def test_nothing_is_said_to_it(impostors: list[Impostor], how: str) -> None:
    """The error says that TLS failed; a plain server would have had the password."""
    impostor = Impostor("mariadb", None)
    impostors.append(impostor)
    url = f"mariadb://app:{PASSWORD}@127.0.0.1:{impostor.port}/shop" + ("?ssl=true" if how == "url" else "")
    endpoint = Endpoint("eu-west-1", Role.PRIMARY, url, tls="require" if how == "endpoint" else None)
    store = SqlStore("orders", endpoints=[endpoint])
    topology = Topology(namespace=NAMESPACE, regions=[Region("eu-west-1")], stores=[store])
    with RegionKit(topology, local="eu-west-1") as kit, kit.session() as s:
        with pytest.raises(RegionUnavailable, match="TLS"):
            with s.read("orders", core=True, consistency=EVENTUAL, timeout=2) as db:
                db.exec_driver_sql("SELECT 1")
    for _ in range(500):
        if impostor.clear:
            break
        sleep(0.01)
    assert impostor.clear
    assert not any(PASSWORD.encode() in said or b"app" in said for said in impostor.clear)
