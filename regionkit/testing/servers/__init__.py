"""Real servers for tests, each of them one `with` block: found, started, replicating, and gone afterwards.

    with servers.postgresql(replicas=1) as pg:
        pg.primary.url, pg.replicas[0].kill()

A new kind of server is one module in `kinds` and one function here. Kinds are imported when they are first used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from regionkit.testing.servers.nodes import NotControllable, in_parallel
from regionkit.testing.servers.process import ServerStartError, run_tool
from regionkit.testing.servers.provider import Engine, Programs, ServerUnavailable, resolve

if TYPE_CHECKING:
    from regionkit.testing.servers.kinds.cassandra import CassandraServers
    from regionkit.testing.servers.kinds.mariadb import MariadbServers
    from regionkit.testing.servers.kinds.mongodb import MongodbServers
    from regionkit.testing.servers.kinds.mysql import MysqlServers
    from regionkit.testing.servers.kinds.postgresql import PostgresqlServers
    from regionkit.testing.servers.kinds.redis import RedisServers
    from regionkit.testing.wan import Wan

__all__ = [
    "Fleet",
    "NotControllable",
    "ServerStartError",
    "ServerUnavailable",
    "cassandra",
    "fleet",
    "mariadb",
    "mongodb",
    "mysql",
    "postgresql",
    "redis",
    "versions",
]


def postgresql(
    replicas: int = 0, *, sync: bool = False, settings: Mapping[str, str] = MappingProxyType({})
) -> PostgresqlServers:
    """Return a PostgreSQL primary with streaming replicas, to be started by `with`.

    Args:
        replicas: How many replicas.
        sync: Let each commit wait for the first replica (synchronous_standby_names).
        settings: Entries of postgresql.conf for all nodes, over the kit's own: `{"fsync": "on"}`.
    """
    from regionkit.testing.servers.kinds.postgresql import PostgresqlServers

    return PostgresqlServers(replicas, sync=sync, settings=settings)


def mariadb(replicas: int = 0) -> MariadbServers:
    """Return a MariaDB primary with replicas, to be started by `with`."""
    from regionkit.testing.servers.kinds.mariadb import MariadbServers

    return MariadbServers(replicas)


def mysql(replicas: int = 0, *, settings: Sequence[str] = (), image: str = "mysql:8.4") -> MysqlServers:
    """Return a MySQL primary with replicas by GTID, to be started by `with`.

    Args:
        replicas: How many replicas.
        settings: More lines for the servers' option files: `["max-connections=20"]`.
        image: Of a container, where an engine answers and no replica is asked for.
    """
    from regionkit.testing.servers.kinds.mysql import MysqlServers

    return MysqlServers(replicas, settings=settings, image=image)


def redis(replicas: int = 0, *, settings: Sequence[str] = ()) -> RedisServers:
    """Return a Redis (or Valkey) primary with replicas, to be started by `with`.

    Args:
        replicas: How many replicas.
        settings: More words for the servers' command lines: `["--maxmemory", "1mb"]`.
    """
    from regionkit.testing.servers.kinds.redis import RedisServers

    return RedisServers(replicas, settings=settings)


def mongodb(regions: Sequence[str]) -> MongodbServers:
    """Return a MongoDB replica set with a member in each region, to be started by `with`.

    Args:
        regions: Where the members are; each has the member tag `region`. The first is the primary at the start.
    """
    from regionkit.testing.servers.kinds.mongodb import MongodbServers

    return MongodbServers(regions)


def cassandra(
    datacenters: Mapping[str, int],
    *,
    replication: Mapping[str, int] | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
    wan: Wan | None = None,
) -> CassandraServers:
    """Return a Cassandra cluster over several data centres, to be started by `with`.

    Args:
        datacenters: How many nodes each data centre has; it is called as its region.
        replication: How many copies of a row each data centre holds, by default one.
        settings: Entries of cassandra.yaml for all nodes, over the kit's own: `{"write_request_timeout": "1s"}`.
        wan: The network that the nodes stand in, each data centre in the region of its name; who asks them has to be inside.
    """
    from regionkit.testing.servers.kinds.cassandra import CassandraServers

    return CassandraServers(datacenters, replication=replication, settings=settings, wan=wan)


_KINDS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "postgresql": postgresql,
        "mariadb": mariadb,
        "mysql": mysql,
        "redis": redis,
        "mongodb": mongodb,
        "cassandra": cassandra,
    }
)


class Fleet:
    """Servers of several kinds that were started together, each under its name."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = dict(members)

    if TYPE_CHECKING:
        postgresql: PostgresqlServers
        mariadb: MariadbServers
        mongodb: MongodbServers
        mysql: MysqlServers
        cassandra: CassandraServers
        redis: RedisServers

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_members"][name]
        except KeyError:
            raise AttributeError(f"This fleet has no {name}; start one with fleet({name}=...)") from None


@contextmanager
def fleet(**sizes: int | Sequence[str] | Mapping[str, int]) -> Iterator[Fleet]:
    """Start several kinds of servers at once; each argument names a kind and says how large: replicas, regions, data centres.

    with servers.fleet(postgresql=2, mariadb=1, redis=1) as fleet:
        fleet.postgresql.primary.url

    Raises:
        ServerUnavailable: One of them is not available from any provider.
        TypeError: There is no such kind.
    """
    if unknown := sizes.keys() - _KINDS.keys():
        raise TypeError(f"No such kind of server: {', '.join(sorted(unknown))}. Known are {', '.join(_KINDS)}")
    members = {name: _KINDS[name](size) for name, size in sizes.items()}
    with ExitStack() as stack:
        for member in members.values():
            stack.callback(member.close)
        in_parallel([member.__enter__ for member in members.values()])
        yield Fleet(members)


def versions() -> dict[str, str]:
    """Return what each kind of server would be, in its own words; nothing is started."""
    found = {}
    for name in _KINDS:
        module = importlib.import_module(f"regionkit.testing.servers.kinds.{name}")
        try:
            source = resolve(module.KIND, 0)
        except ServerUnavailable:
            found[name] = "none"
            continue
        if isinstance(source, Programs):
            said = run_tool([source.paths[module.VERSION_PROGRAM], "--version"], Path("/"))
            found[name] = said.strip().splitlines()[0]
        else:
            found[name] = (
                f"container of {module.IMAGE}" if isinstance(source, Engine) else source.urls[0].split("@")[-1]
            )
    return found
