"""A plan from what a running server says: replicas, members, data centres. Nothing is changed there."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from regionkit.cli.init.plan import (
    CLUSTERS,
    Place,
    Plan,
    backend_of,
    database_of,
    hidden,
    region_in,
    usual_namespace,
)
from regionkit.contract.examination import Discovered
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.kit import RegionKit
from regionkit.topology import CassandraStore, Endpoint, MongoStore, Region, Role, SqlStore, Store, Topology
from regionkit.topology.server_urls import server_url

__all__ = ["discovered"]

WITHIN = 15.0
"""Seconds for all questions: members that are dead each take some."""
HERE = "here"


def discovered(options: argparse.Namespace) -> Plan:
    """Ask the server that `--from` names.

    Raises:
        ConfigurationError: Redis is not asked, or `--region` is not HOST=REGION.
        RegionKitError: the server does not answer.
    """
    url = options.source
    backend = backend_of(url)
    if backend == "redis":
        raise ConfigurationError(
            "--from does not work with Redis.",
            why="it knows its replicas by addresses that clients often cannot reach.",
            fix="give --endpoint REGION=URL for each.",
        )
    named = _named(options.region)
    found, more = _asked(backend, url)
    store = options.store or database_of(url) or "main"
    namespace = options.namespace or usual_namespace(Path.cwd().name)
    known: dict[str, str] = {}
    if backend == "mongo":
        return _mongo(namespace, store, url, found, more, known)
    if backend == "cassandra":
        return _cassandra(namespace, store, url, found, named, known)
    places = []
    for number, server in enumerate(sorted(found, key=lambda one: one.role != "primary"), start=1):
        region = _region(server, named) or f"region-{number}"
        note = server.note or ("" if _region(server, named) else "the region is a guess: replace it.")
        address = _at(url, server) if server.port else ""
        places.append(Place(region if address else "", server.role, hidden(address, store, known), note))
    return Plan(namespace, store, backend, tuple(places), variables=_variables(known))


def _asked(backend: str, url: str) -> tuple[list[Discovered], str]:
    """What the server says, and the name of a replica set."""
    made: Store
    if backend in CLUSTERS:
        made = MongoStore("found", url=url) if backend == "mongo" else CassandraStore("found", url=url)
    else:
        made = SqlStore("found", endpoints=[Endpoint(HERE, Role.PRIMARY, url)])
    discovery: Any = import_module(f"regionkit.backends.{backend}.discovery")
    with RegionKit(Topology(regions=[Region(HERE)], stores=[made]), local=HERE) as kit:
        endpoint = next(kit._all.shards()).backends[0]
        deadline = Deadline(SYSTEM_CLOCK, WITHIN)
        found = discovery.discover(endpoint, deadline)
        return found, discovery.set_name(endpoint, deadline) if backend == "mongo" else ""


def _named(given: list[str]) -> dict[str, str]:
    found = {}
    for one in given:
        host, equals, region = one.rpartition("=")
        if not equals or not host or not region:
            raise ConfigurationError(f"--region {one!r} is not HOST=REGION.", fix="write db1.internal=us-east-1.")
        found[host] = region
    return found


def _region(server: Discovered, named: dict[str, str]) -> str:
    """From the command line, from the server, or from its host's name."""
    address = f"{server.host}:{server.port}"
    said = named.get(address) or named.get(server.host) or named.get(server.region) if named else ""
    return said or server.region or region_in(server.host)


def _at(url: str, server: Discovered) -> str:
    """The same URL at another server."""
    scheme, _, rest = url.partition("://")
    account, at, address = rest.rpartition("@")
    _, slash, path = address.partition("/")
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{scheme}://{account}{at}{host}:{server.port}{slash}{path}"


def _mongo(namespace: str, store: str, url: str, found: list[Discovered], name: str, known: dict[str, str]) -> Plan:
    scheme, _, rest = url.partition("://")
    account, at, address = rest.rpartition("@")
    _, slash, path = address.partition("/")
    hosts = ",".join(f"{one.host}:{one.port}" for one in found)
    whole = f"{scheme}://{account}{at}{hosts}{slash}{path}"
    if "replicaSet=" not in whole and name:
        whole += f"{'&' if '?' in whole else '?'}replicaSet={name}"
    places = [Place(one.region, one.role, "" if one.region else f"{one.host}:{one.port}", one.note) for one in found]
    if not any(place.region for place in places):
        places.append(Place("region-1", "any", "", "no member has a tag `region` yet: name your regions here."))
    return Plan(namespace, store, "mongo", tuple(places), hidden(whole, store, known), variables=_variables(known))


def _cassandra(
    namespace: str, store: str, url: str, found: list[Discovered], named: dict[str, str], known: dict[str, str]
) -> Plan:
    server_url("cassandra", url)
    held = [one for one in found if not one.note]
    regions = {one.region: named.get(one.region, one.region) for one in held}
    places = [Place(regions[one.region], "any", "") for one in held]
    places += [Place("", "any", one.region, one.note) for one in found if one.note]
    other = tuple((region, name) for name, region in regions.items() if name != region)
    whole = hidden(url, store, known)
    return Plan(namespace, store, "cassandra", tuple(places), whole, other, variables=_variables(known))


def _variables(known: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, "the password in the URL") for name in known.values())
