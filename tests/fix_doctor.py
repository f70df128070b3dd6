"""What the doctor finds on a topology: facts from the real servers, and the same rules as the command."""

from __future__ import annotations

import time
from typing import Any

from fix_rigs import wait_until

from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Store, Topology
from regionkit.cli.doctor.collecting import collect
from regionkit.cli.doctor.findings import Finding
from regionkit.cli.doctor.rules import diagnose

NAMESPACE = "doc"
KEYS = ["a-key-of-thirty-two-characters-and-more"]


def kit_over(store: Store, regions: list[str], *, local: str = "", caches: Any = (), **options: Any) -> RegionKit:
    """A kit with everything right that the application says itself."""
    topology = Topology(namespace=NAMESPACE, regions=[Region(r) for r in regions], stores=[store], caches=caches)
    return RegionKit(topology, local=local or regions[0], bookmark_keys=KEYS, **options)


def examined(kit: RegionKit) -> list[Finding]:
    """All findings, once the tables' histories have arrived in the copies."""
    with kit:
        return diagnose(collect(kit, 10.0), time.time())


def prepared(kit: RegionKit) -> RegionKit:
    """With the tables of regionkit, in the copies too."""
    kit.create_tables()
    wait_until(
        lambda: all(e.epoch is not None for e in kit.status().endpoints if e.state != "refused by residency"), 30.0
    )
    return kit


def codes(findings: list[Finding]) -> list[str]:
    """Their codes, in order."""
    return [finding.code for finding in findings]


def one(findings: list[Finding], code: str) -> Finding:
    """The only finding of that code."""
    [found] = [finding for finding in findings if finding.code == code]
    return found


def sql_store(*urls: str, **endpoint: Any) -> SqlStore:
    """A primary in r0 and replicas in r1, ..."""
    roles = [Role.PRIMARY, *[Role.REPLICA] * (len(urls) - 1)]
    endpoints = [
        Endpoint(f"r{i}", role, url, **endpoint) for i, (role, url) in enumerate(zip(roles, urls, strict=True))
    ]
    return SqlStore("orders", endpoints=endpoints)
