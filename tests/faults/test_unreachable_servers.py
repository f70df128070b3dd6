"""What the status says of an endpoint that cannot be reached, and what to do: on every backend, for threads and asyncio.

Needs no server of any kind: a name that nobody has, a port where nobody listens, and one where nobody answers.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from regionkit import (
    AsyncRegionKit,
    CassandraStore,
    Endpoint,
    MongoStore,
    RedisStore,
    Region,
    RegionKit,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
)
from regionkit.contract.outcomes import Refused, Unreached
from regionkit.routing.status import Status

PATIENT = 60.0
BRISK = {"base": "gentle", "probe_timeout": 0.15, "probe_every": 0.1, "read_deadline": 2.0, "write_deadline": 2.0}
NAMES = ("name", "closed", "silent")
EXPECTED = dict(zip(NAMES, (Unreached.NAME, Unreached.CLOSED, Unreached.SILENT), strict=True))
SCHEMES = {
    "postgresql": "postgresql://app:word@{}/shop",
    "mariadb": "mariadb://app:word@{}/shop",
    "redis": "redis://{}/0",
    "mongo": "mongodb://{}/shop",
    "cassandra": "cassandra://{}/shop",
}


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """By what is wrong with them."""
    with socket.socket() as silent, socket.socket() as closed:
        silent.bind(("127.0.0.1", 0))
        silent.listen(128)
        closed.bind(("127.0.0.1", 0))  # nobody else takes it meanwhile, and it does not listen
        ports = {"closed": closed.getsockname()[1], "silent": silent.getsockname()[1]}
        yield {"name": "no-such-host.invalid", **{name: f"127.0.0.1:{port}" for name, port in ports.items()}}


def topologies(backend: str, addresses: dict[str, str]) -> list[Topology]:
    """A region for each mistake; on Cassandra, where one URL serves all regions, a topology for each."""
    urls = {name: SCHEMES[backend].format(address) for name, address in addresses.items()}
    if backend == "cassandra":
        stores = [CassandraStore("orders", url=url, tls="off") for url in urls.values()]
        return [
            Topology("shop", regions=[Region(name)], stores=[store]) for name, store in zip(urls, stores, strict=True)
        ]
    kind: Any = {"redis": RedisStore, "mongo": MongoStore}.get(backend, SqlStore)
    roles = (Role.PRIMARY, Role.REPLICA, Role.REPLICA)
    endpoints = [Endpoint(name, role, url, tls="off") for role, (name, url) in zip(roles, urls.items(), strict=True)]
    store = kind("orders", endpoints=endpoints)
    return [Topology("shop", regions=[Region(name) for name in urls], stores=[store])]


def told(status: Status) -> dict[str, Unreached | None]:
    """By region, what is said of its endpoint."""
    return {
        e.region: next((c for c in Unreached if c.cause in e.state and e.advice == c.fix), None)
        for e in status.endpoints
    }


def expected(topology: Topology) -> dict[str, Unreached]:
    return {region.name: EXPECTED[region.name] for region in topology.regions}


def test_the_page_has_every_cause() -> None:
    """With what to do, word by word."""
    page = (Path(__file__).parents[2] / "docs" / "operations" / "what-goes-wrong.md").read_text()
    for cause in (*Unreached, *Refused):
        row = next((line for line in page.splitlines() if line.startswith(f"| {cause.cause} |")), "")
        assert row.endswith(f"| {cause.fix} |"), cause


@pytest.mark.slow
@pytest.mark.parametrize("backend", SCHEMES)
async def test_the_three_ways_are_told_apart(backend: str, addresses: dict[str, str]) -> None:
    """Each in a few words, with what to do; the table that is printed says both; a call has the cause, too."""
    for topology in topologies(backend, addresses):
        local = topology.regions[0].name
        with RegionKit(topology, local=local, profile=BRISK) as kit:
            kit.session()
            end = time.monotonic() + PATIENT
            while told(kit.status()) != expected(topology):
                assert time.monotonic() < end, kit.status()
                time.sleep(0.02)
            for cause in expected(topology).values():
                assert cause.cause in str(kit.status())
                assert cause.fix in str(kit.status())
        async with AsyncRegionKit(topology, local=local, profile=BRISK) as akit:
            akit.session()
            end = time.monotonic() + PATIENT
            while told(akit.status()) != expected(topology):
                assert time.monotonic() < end, akit.status()
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "driver", ["postgresql+psycopg", "mysql+pymysql", "postgresql+psycopg_async", "mysql+aiomysql"]
)
async def test_by_an_engine_of_the_applications(driver: str, addresses: dict[str, str]) -> None:
    """The same words for a name that nobody has, and for a port where nobody listens."""
    is_async = driver.endswith(("async", "aiomysql"))
    make: Any = create_async_engine if is_async else sqlalchemy.create_engine
    engines = {name: make(f"{driver}://app:word@{addresses[name]}/shop") for name in ("name", "closed")}
    roles = (Role.PRIMARY, Role.REPLICA)
    endpoints = [
        Endpoint(name, role, client=engine) for role, (name, engine) in zip(roles, engines.items(), strict=True)
    ]
    regions = [Region(name) for name in engines]
    topology = Topology("shop", regions=regions, stores=[SqlStore("orders", endpoints=endpoints)])
    if is_async:
        async with AsyncRegionKit(topology, local="name", profile=BRISK) as akit:
            akit.session()
            end = time.monotonic() + PATIENT
            while told(akit.status()) != expected(topology):
                assert time.monotonic() < end, akit.status()
                await asyncio.sleep(0.02)
        for engine in engines.values():
            await engine.dispose()
    else:
        with RegionKit(topology, local="name", profile=BRISK) as kit:
            kit.session()
            end = time.monotonic() + PATIENT
            while told(kit.status()) != expected(topology):
                assert time.monotonic() < end, kit.status()
                time.sleep(0.02)
        for engine in engines.values():
            engine.dispose()


@pytest.mark.parametrize("backend", ["postgresql", "mariadb", "redis"])
def test_a_call_says_it_too(backend: str, addresses: dict[str, str]) -> None:
    """In its error's cause and fix; it may be over by itself, so the call may be made again."""
    topology = topologies(backend, {"closed": addresses["closed"], "name": addresses["name"], "silent": "127.0.0.1:1"})[
        0
    ]
    with RegionKit(topology, local="closed", profile="gentle") as kit, kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught, s.write("orders") as db:
            db.get("a") if backend == "redis" else db.execute(sqlalchemy.text("SELECT 1"))
    assert (caught.value.cause, caught.value.fix) == Unreached.CLOSED.value
    assert caught.value.retryable
    assert caught.value.why


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A copy's file is not made; the status says that it is missing."""
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("orders", "missing")]
    roles = (Role.PRIMARY, Role.REPLICA)
    endpoints = [Endpoint(region, role, url) for region, role, url in zip("ab", roles, urls, strict=True)]
    topology = Topology("shop", regions=[Region("a"), Region("b")], stores=[SqlStore("orders", endpoints=endpoints)])
    with RegionKit(topology, local="a") as kit:
        kit.create_tables()
        end = time.monotonic() + PATIENT
        while told(kit.status())["b"] is not Unreached.FILE:
            assert time.monotonic() < end, kit.status()
            time.sleep(0.02)
        assert kit.status().endpoints[0].advice == ""
