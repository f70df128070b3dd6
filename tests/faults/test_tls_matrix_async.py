"""Every driver, and all that may be wrong with TLS: the connection is refused by name, and nothing of the account is said.

The server is an impostor: what it is told shows whether a secret left. With the right certificate it is told the account, inside
of TLS: so it would have heard it.
"""

from __future__ import annotations

import pytest
from fix_impostor import Certificates, Impostor
from fix_rigs import NAMESPACE

from regionkit import (
    AsyncRegionKit,
    CassandraStore,
    Endpoint,
    MongoStore,
    RedisStore,
    Region,
    RegionKitError,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
)
from regionkit.contract.outcomes import Refused
from regionkit.core.concurrency_async import asleep

HOME = "eu-west-1"
USER, PASSWORD = "shopkeeper", "Tr0ub4dor"
SERVERS = {
    "postgresql": (SqlStore, "postgresql", "shop?sslrootcert="),
    "mariadb": (SqlStore, "mariadb", "shop?ssl_ca="),
    "redis": (RedisStore, "rediss", "0?ssl_ca_certs="),
    "mongo": (MongoStore, "mongodb", "shop?tls=true&tlsCAFile="),
    "cassandra": (CassandraStore, "cassandra", "shop?ssl_ca_certs="),
}
"""Of each its store, its scheme, and what follows the address."""
OFFERED = ("postgresql", "mariadb")
"""There the server says in clear whether it has TLS: whoever is on the way may say no."""


def topology(server: str, port: int, authority: object) -> Topology:
    """A store with one endpoint, at "localhost"."""
    kind, scheme, rest = SERVERS[server]
    url = f"{scheme}://{USER}:{PASSWORD}@localhost:{port}/{rest}{authority}"
    if kind is CassandraStore:
        store = kind("orders", url=url, tls="require")
    else:
        store = kind("orders", endpoints=[Endpoint(HOME, Role.PRIMARY, url, tls="require")])
    return Topology(namespace=NAMESPACE, regions=[Region(HOME)], stores=[store])


async def refused(made: Topology) -> tuple[RegionKitError, str]:
    """The error of a call, and what the status says."""
    async with AsyncRegionKit(made, local=HOME) as kit:
        with pytest.raises(RegionKitError) as caught:
            await kit._store("orders").backends[0].probe(10.0, 10.0)  # type: ignore[union-attr]
        return caught.value, str(kit.status())


def secrets(heard: list[bytes]) -> list[bytes]:
    """What tells of the account."""
    return [said for said in heard if PASSWORD.encode() in said or USER.encode() in said]


@pytest.mark.parametrize("fault", ["host", "expired", "foreign", "none"])
@pytest.mark.parametrize("server", SERVERS)
async def test_a_wrong_certificate_or_none(
    impostors: list[Impostor], certificates: Certificates, server: str, fault: str
) -> None:
    """The certificate of another host, one that is over, one of a foreign authority, and a server that says it has no TLS."""
    impostor = Impostor(server, None if fault == "none" else certificates.path(fault))
    impostors.append(impostor)
    error, _ = await refused(topology(server, impostor.port, certificates.authority))
    assert isinstance(error, RegionUnavailable)
    assert error.committed == "no"
    if fault != "none" or server in OFFERED:  # else it hangs up, as a server does that understands nothing
        assert error.cause == Refused.TLS.value[0], error
        assert not error.retryable
    if fault != "none":
        assert "certificate" in error.why, error.why
    assert secrets(impostor.clear) == []
    assert impostor.inside == []


@pytest.mark.parametrize("server", SERVERS)
async def test_the_right_certificate(impostors: list[Impostor], certificates: Certificates, server: str) -> None:
    """The client goes on, inside of TLS."""
    impostor = Impostor(server, certificates.path("good"))
    impostors.append(impostor)
    await refused(topology(server, impostor.port, certificates.authority))
    for _ in range(1000):
        if impostor.inside:
            break
        await asleep(0.01)
    assert impostor.inside
    assert secrets(impostor.clear) == []
