"""What the doctor finds on a topology: facts from the real servers, and the same rules as the command."""

from __future__ import annotations

import time
from collections.abc import Callable
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


class BinlogFleet:
    """A primary and a replica of MariaDB or MySQL, a database of its own, and settings that are taken back."""

    def __init__(self, servers: Any) -> None:
        self.nodes = [servers.primary, servers.replicas[0]]
        self.database = servers.database()
        self.undo: list[Callable[[], Any]] = []

    @property
    def urls(self) -> list[str]:
        return [node.url_for(self.database) for node in self.nodes]

    def set(self, node: int, name: str, value: str) -> None:
        """A setting that needs no restart."""
        server = self.nodes[node]
        before = server.sql(f"SELECT @@global.{name}")[0][0]
        shown = f"'{before}'" if isinstance(before, str) else before
        self.undo.append(lambda: server.sql(f"SET GLOBAL {name} = {shown}"))
        server.sql(f"SET GLOBAL {name} = {value}")

    def sql(self, text: str, undo: str = "") -> None:
        """On the primary, as an administrator; the replica has it when this returns."""
        self.nodes[0].sql(text, database=self.database)
        if undo:
            self.undo.append(lambda: self.nodes[0].sql(undo))
        self.nodes[1]._await_position_of(self.nodes[0], 10.0)

    def account(self, name: str, *grants: str) -> list[str]:
        """URLs of a new account with these rights."""
        self.sql(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY 'x'", f"DROP USER {name}@'127.0.0.1'")
        for grant in grants:
            self.sql(f"GRANT {grant} TO {name}@'127.0.0.1'")
        return [url.replace("app:app@", f"{name}:x@") for url in self.urls]

    def kit(self, regions: list[str], **options: Any) -> RegionKit:
        """Over its two servers, tables made."""
        return prepared(kit_over(sql_store(*self.urls), regions, **options))

    def judged(self, regions: list[str], node: int, name: str, value: str) -> list[tuple[str, str, str]]:
        """Code, severity and subject of all that is found once a setting of a server has this value."""
        kit = self.kit(regions)
        self.set(node, name, value)
        return [(f.code, f.severity, f.subject) for f in examined(kit)]

    def close(self) -> None:
        for undo in reversed(self.undo):
            undo()
