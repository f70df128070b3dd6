"""Collects the facts that the rules look at: a status, and what every endpoint's server says. Changes nothing.

Endpoints are asked at once, each within its own time; one that hangs delays no other.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from regionkit.cli.commands import seen
from regionkit.cli.doctor.facts import DriverFacts, EndpointFacts, Facts, StoreFacts
from regionkit.contract.examination import Examined
from regionkit.contract.kept_tables import KEPT, PILLARS, POSITION, tables_of
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionKitError
from regionkit.kit import RegionKit
from regionkit.routing.status import EndpointStatus
from regionkit.topology import Store, sql_url
from regionkit.topology.server_urls import server_url

__all__ = ["collect", "written_passwords"]

MOST_AT_ONCE = 16
"""Endpoints asked at once: each takes a thread, and a connection or two."""
MORE_LOOKS = 5
NEAR = 0.02
"""Seconds: what is nearer than that is near, whatever made it long."""
DRIVERS = {
    "sql": {"postgresql": "psycopg", "mariadb": "pymysql", "mysql": "pymysql"},
    "redis": {"": "redis"},
    "mongo": {"": "pymongo"},
    "cassandra": {"": "cassandra-driver"},
}
"""The package of each backend, by server where there are several."""


def collect(kit: RegionKit, timeout: float, passwords: tuple[str, ...] = ()) -> Facts:
    """All facts. `timeout`: seconds for each endpoint.

    Raises:
        RegionKitError: the kit cannot be used.
    """
    status = {(s.store, s.endpoint, s.partition): s for s in seen(kit).endpoints}
    asked: list[Callable[[], EndpointFacts]] = []
    for shard in kit._all.shards():
        for index, e in enumerate(shard.state.snapshot.endpoints):
            said = status[shard.name, e.id, shard.state.shard.name]
            asked.append(lambda s=shard, i=index, t=said: _endpoint(s, i, t, timeout))  # type: ignore[misc]
    with ThreadPoolExecutor(min(MOST_AT_ONCE, max(1, len(asked))), "regionkit doctor") as pool:
        endpoints = tuple(pool.map(lambda ask: ask(), asked))
    topology = kit._topology
    allowed = {store.name: topology.allowed_regions(store) for store in topology.stores}
    shared = {tiers.shared for tiers in topology.caches}
    return Facts(
        local=kit._local,
        profile=kit._profile,
        signs=kit._signer.signs,
        stores={
            store.name: _store(store, [e for e in endpoints if e.store == store.name], allowed[store.name], shared)
            for store in topology.stores
        },
        endpoints=endpoints,
        drivers=tuple(_drivers(endpoints, {store.name: store.backend for store in topology.stores})),
        tables=_wanted(),
        known={table.name: table.version for table in tables_of(tuple(PILLARS))},
        passwords=passwords,
    )


def _store(store: Store, endpoints: list[EndpointFacts], allowed: dict[str, bool], shared: set[Any]) -> StoreFacts:
    options: Any = getattr(store, "options", None)
    size = getattr(options, "pool_size", 0) + getattr(options, "max_overflow", 0)
    called = dict(getattr(store, "datacenters", ()))
    return StoreFacts(
        name=store.name,
        backend=store.backend,
        leaderless=store.leaderless,
        cautions=tuple(store.cautions),
        cache_only=store.name in shared,
        regions=tuple(dict.fromkeys(e.region for e in endpoints if e.allowed and e.region)),
        pool_size=size,
        datacenters=tuple(called.get(region, region) for region in allowed),
    )


def _endpoint(shard: Any, index: int, said: EndpointStatus, timeout: float) -> EndpointFacts:
    snapshot = shard.state.snapshot
    given, backend = shard.state.shard.endpoints[index], shard.backends[index]
    e = snapshot.endpoints[index]
    loopback, host = _address(shard.store, given.url)
    examined: Examined | None = None
    failed = ""
    if backend is not None and not shard.refused(index) and (said.state == "up" or said.state.startswith("fenced")):
        examine = import_module(f"regionkit.backends.{shard.store.backend}.examination").examine
        takes_writes = said.role in ("owner", "primary", "any")
        try:
            examined = examine(backend, Deadline(SYSTEM_CLOCK, timeout), is_primary=takes_writes)
        except RegionKitError as error:
            failed = str(error)
        except Exception as error:  # a server says what nobody foresaw: the others are examined all the same
            failed = f"{type(error).__name__}: {error}"
    of_cluster = not shard.store.endpoints or shard.state.snapshot.leaderless
    return EndpointFacts(
        store=said.store,
        endpoint=said.endpoint,
        region=said.region,
        partition=said.partition,
        declared="" if of_cluster else given.role.value,
        found=said.role,
        allowed=e.allowed or not e.region,
        state=said.state,
        advice=said.advice,
        lag=said.lag,
        rtt=_nearest(shard, index, said.rtt, timeout),
        loopback=loopback,
        host=host,
        examined=examined,
        failed=failed,
    )


def _nearest(shard: Any, index: int, rtt: float | None, timeout: float) -> float | None:
    """The shortest round trip of several questions: a busy machine makes one of them long, and a distance makes all."""
    for _ in range(MORE_LOOKS):
        if rtt is None or rtt < NEAR:
            break
        observation = shard.probe(index, timeout)
        rtt = rtt if observation is None else min(rtt, observation.rtt)
    return rtt


def _address(store: Store, url: str | None) -> tuple[bool, str]:
    """Whether it is this machine, and host:port. An engine of the application's counts as here: nobody knows its address."""
    if url is None:
        return True, ""
    if store.backend == "sql":
        parsed = sql_url(url, is_async=False)
        return parsed.is_loopback or parsed.is_local, f"{parsed.host or ''}:{parsed.port or ''}"
    server = server_url(store.backend, url)
    host, port = server.hosts[0]
    return server.is_loopback or server.is_local, f"{host}:{port}"


def _wanted() -> dict[str, dict[str, int]]:
    """What routing keeps, by family; SQLite has a table more."""
    found: dict[str, dict[str, int]] = {}
    for family in ("sql", "mongo", "cassandra"):
        found[family] = {t.name: t.version for t in KEPT if family in t.definitions and t is not POSITION}
    found["redis"] = {t.name: t.version for t in KEPT if t is not POSITION}
    found["sqlite"] = {t.name: t.version for t in KEPT}
    return found


def _drivers(endpoints: tuple[EndpointFacts, ...], backends: dict[str, str]) -> Iterator[DriverFacts]:
    """The packages that are in use, and whether their versions are in the range of regionkit's own metadata."""
    used = {"sqlalchemy"} if "sql" in backends.values() else set()
    for e in endpoints:
        by_server = DRIVERS.get(backends[e.store], {})
        server = "" if e.examined is None else e.examined.server
        used |= {by_server[name] for name in ("", server) if name in by_server}
    ranges = _ranges()
    for package in sorted(used & ranges.keys()):
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        yield DriverFacts(package, version, ranges[package], fits(version, ranges[package]))


def _ranges() -> dict[str, str]:
    """Range by package, as pip wrote it into regionkit's metadata; of a package that is named twice the first."""
    try:
        lines = metadata.requires("regionkit") or []
    except metadata.PackageNotFoundError:  # run from its source
        return {}
    found: dict[str, str] = {}
    for line in lines:
        named = line.partition(";")[0].strip()
        name = named.split("[")[0]
        for sign in "<>=!~ ":
            name = name.split(sign)[0]
        wanted = named.removeprefix(name)
        wanted = wanted.partition("]")[2] if wanted.startswith("[") else wanted
        if wanted.strip():
            found.setdefault(name.lower(), wanted.strip())
    return found


def fits(version: str, wanted: str) -> bool:
    """Whether a version is in a range such as ">=8.1,<9". What is written otherwise counts as in it."""

    def numbers(text: str) -> tuple[int, ...]:
        digits = ("".join(char for char in part if char.isdigit()) for part in text.split("."))
        return tuple(int(part) for part in digits if part)

    have = numbers(version)
    for clause in wanted.split(","):
        clause = clause.strip()
        if clause.startswith(">="):
            bound = numbers(clause[2:])
            if have[: max(len(bound), 3)] < bound:
                return False
        elif clause.startswith("<") and not clause.startswith("<="):
            bound = numbers(clause[1:])
            if have[: len(bound)] >= bound:
                return False
    return True


def written_passwords(path: str) -> tuple[str, ...]:
    """Paths of URLs in a TOML file whose password is written out instead of `${NAME}`. The file has been read once already."""
    document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    return tuple(_with_password(document, ""))


def _with_password(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _with_password(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _with_password(inner, f"{path}[{index}]")
    elif isinstance(value, str) and "://" in value and path.endswith("url"):
        account = value.partition("://")[2].rpartition("@")[0]
        password = account.partition(":")[2]
        if password and "${" not in password:
            yield path
