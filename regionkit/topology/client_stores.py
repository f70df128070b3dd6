"""Stores that are no SQL stores: Redis and Valkey, MongoDB, Cassandra, and memory.

A cluster that keeps its own copies (MongoDB, Cassandra) takes one `url=`: its members are the endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from regionkit.errors import ConfigurationError
from regionkit.topology.client_options import CassandraOptions, MongoOptions, RedisOptions
from regionkit.topology.endpoints import Endpoint, Role
from regionkit.topology.mistakes import located, shown
from regionkit.topology.options import options_from
from regionkit.topology.preferences import Nearest, Preference
from regionkit.topology.residency import Residency
from regionkit.topology.server_urls import ServerUrl, server_url
from regionkit.topology.stores import Store
from regionkit.topology.strategies import LocalReadGlobalWrite, Shard, Strategy
from regionkit.topology.urls import Tls

if TYPE_CHECKING:
    from pymongo.asynchronous.database import AsyncDatabase
    from pymongo.database import Database
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

    from regionkit.backends.cassandra.session import CassandraSession
    from regionkit.backends.cassandra.session_async import AsyncCassandraSession

__all__ = ["CassandraStore", "MemoryStore", "MongoStore", "RedisStore"]

_LOCAL_READ_GLOBAL_WRITE = LocalReadGlobalWrite()
_EVERYWHERE = Residency()
_NEAREST = Nearest()


def _checked(store: Store, *, client: bool = True) -> None:
    """Every endpoint has a URL of the store's backend; one address is one endpoint."""
    seen: dict[object, str] = {}
    for endpoint in store.endpoints:
        where = f"store {store.name!r}, endpoint {endpoint.id!r}"
        if endpoint.read_url is not None:
            raise ConfigurationError(
                f"{where}: read_url is for SQL stores.",
                why=f"in a read block the {store.backend} handle itself refuses writes.",
                fix="leave it out.",
            )
        if endpoint.url is None:
            if not client:
                raise ConfigurationError(f"{where}: a {store.backend} store takes a url=.", fix="leave client out.")
            continue
        parsed = located(where, lambda e=endpoint: _parsed(store.backend, e.url, e.tls))  # type: ignore[misc]  # a default binds the loop's value
        address = (parsed.hosts, parsed.database)
        if address in seen:
            raise ConfigurationError(
                f"{where}: the same address as {seen[address]!r}.",
                why="two endpoints at one address would be measured and fenced as if they were two copies.",
                fix="give each endpoint an address of its own.",
            )
        seen[address] = endpoint.id


def _parsed(backend: str, url: object, tls: Tls | None) -> ServerUrl:
    parsed = server_url(backend, url)
    parsed.tls(tls)
    return parsed


@dataclass(frozen=True, slots=True, init=False)
class RedisStore(Store):
    """A store in Redis or Valkey. Its handle in a block is a `redis.Redis`.

    Attributes:
        options: for the connections of each endpoint.
    """

    backend: ClassVar[str] = "redis"

    options: RedisOptions

    if TYPE_CHECKING:

        @property
        def native(self) -> Redis:
            """What a block yields."""

        @property
        def async_native(self) -> AsyncRedis:
            """What an async block yields."""

    def __init__(
        self,
        name: str,
        *,
        strategy: Strategy = _LOCAL_READ_GLOBAL_WRITE,
        residency: Residency = _EVERYWHERE,
        endpoints: Iterable[Endpoint] = (),
        options: RedisOptions | Mapping[str, Any] | None = None,
        prefer: Preference = _NEAREST,
        fence: str | None = None,
    ) -> None:
        """Checks what can be seen without the topology, URLs and their TLS included.

        Raises:
            ConfigurationError: as `Store`; an unknown or bad option; a URL of another scheme, with an unknown parameter, or
                one that weakens TLS.
        """
        Store.__init__(
            self, name, strategy=strategy, residency=residency, endpoints=endpoints, prefer=prefer, fence=fence
        )
        made = located(f"store {name!r}", lambda: options_from("options", RedisOptions, options))
        object.__setattr__(self, "options", made)
        _checked(self, client=False)


@dataclass(frozen=True, slots=True, init=False)
class MongoStore(Store):
    """A store in MongoDB. Its handle in a block is a `pymongo.database.Database` whose commands run in our causal session.

    With `url`, one replica set: the hosts that it names are the endpoints, each in the region of its member tag `region`.
    With `endpoints`, a URL of one host is that member in the endpoint's region; one of several hosts is a replica set whose
    primary is the owner of the endpoint's partitions, and whose members are found by their tags.

    Attributes:
        url: the replica set; None when `endpoints` are given. Holds the password.
        tls: for `url`.
        options: for the client of each member.
    """

    backend: ClassVar[str] = "mongo"

    url: str | None
    tls: Tls | None
    options: MongoOptions

    if TYPE_CHECKING:

        @property
        def native(self) -> Database[dict[str, Any]]:
            """What a block yields."""

        @property
        def async_native(self) -> AsyncDatabase[dict[str, Any]]:
            """What an async block yields."""

    def __init__(
        self,
        name: str,
        *,
        url: str | None = None,
        tls: Tls | None = None,
        strategy: Strategy = _LOCAL_READ_GLOBAL_WRITE,
        residency: Residency = _EVERYWHERE,
        endpoints: Iterable[Endpoint] = (),
        options: MongoOptions | Mapping[str, Any] | None = None,
        prefer: Preference = _NEAREST,
        fence: str | None = None,
    ) -> None:
        """Checks what can be seen without the topology, URLs and their TLS included.

        Raises:
            ConfigurationError: as `RedisStore`; both `url` and `endpoints`; no database in a URL; write partitioning with
                one `url`.
        """
        Store.__init__(
            self, name, strategy=strategy, residency=residency, endpoints=endpoints, prefer=prefer, fence=fence
        )
        made = located(f"store {name!r}", lambda: options_from("options", MongoOptions, options))
        object.__setattr__(self, "options", made)
        _set_cluster(self, url, tls)
        _checked(self, client=False)
        for text in [e.url for e in self.endpoints] if url is None else [url]:
            if not server_url("mongo", text).database:
                raise ConfigurationError(
                    f"store {name!r}: its URL names no database.", fix="write mongodb://host/shop."
                )
        if url is not None and not isinstance(strategy, LocalReadGlobalWrite):
            raise ConfigurationError(
                f"store {name!r}: one replica set has one primary, so no key can have a home elsewhere.",
                fix="give each home region an endpoint whose URL is a replica set of its own.",
            )

    def __repr__(self) -> str:
        return _shown(self)

    @property
    def is_reference(self) -> bool:
        """Whether this only refers to a store of the same name that the kit's topology describes."""
        return not self.endpoints and self.url is None

    def shards(self, regions: Iterable[str]) -> tuple[Shard, ...]:
        """The members of the replica set; those of each, with write partitioning."""
        if self.url is not None:
            whole = Endpoint("cluster", Role.REPLICA, self.url, tls=self.tls)
            return (Shard("", (), _members(whole)),)
        shards = self.strategy.shards(self.endpoints)
        return tuple(
            shard._replace(endpoints=tuple(m for e in shard.endpoints for m in _members(e))) for shard in shards
        )


def _members(endpoint: Endpoint) -> tuple[Endpoint, ...]:
    """The hosts of a replica set, each an endpoint; a URL of one host is that endpoint itself."""
    assert endpoint.url is not None
    parsed = server_url("mongo", endpoint.url)
    if len(parsed.hosts) == 1 and endpoint.region != "cluster":
        return (endpoint,)
    return tuple(
        endpoint.member(f"{host}:{port}", "", _url_of_member(parsed, host, port)) for host, port in parsed.hosts
    )


def _url_of_member(parsed: ServerUrl, host: str, port: int) -> str:
    head, _, rest = parsed.text.partition("://")
    authority, slash, tail = rest.partition("/")
    account = authority.rpartition("@")[0]
    bracketed = f"[{host}]" if ":" in host else host
    return f"{head}://{account}{'@' if account else ''}{bracketed}:{port}{slash}{tail}"


@dataclass(frozen=True, slots=True, init=False)
class CassandraStore(Store):
    """A store in Cassandra. Its handle in a block is a session of our own, with level and local data centre set.

    There is no primary: any allowed region takes writes, at `options.write_level`. One endpoint is one data centre.

    Attributes:
        url: contact points and keyspace. Holds the password.
        tls: for `url`.
        datacenters: (region, name of its data centre) where the names differ.
        options: levels and bounds.
    """

    backend: ClassVar[str] = "cassandra"
    leaderless: ClassVar[bool] = True

    url: str | None
    tls: Tls | None
    datacenters: tuple[tuple[str, str], ...]
    options: CassandraOptions

    if TYPE_CHECKING:

        @property
        def native(self) -> CassandraSession:
            """What a block yields."""

        @property
        def async_native(self) -> AsyncCassandraSession:
            """What an async block yields."""

    def __init__(
        self,
        name: str,
        *,
        url: str | None = None,
        tls: Tls | None = None,
        datacenters: Mapping[str, str] | None = None,
        strategy: Strategy = _LOCAL_READ_GLOBAL_WRITE,
        residency: Residency = _EVERYWHERE,
        options: CassandraOptions | Mapping[str, Any] | None = None,
        prefer: Preference = _NEAREST,
        fence: str | None = None,
    ) -> None:
        """Checks what can be seen without the topology and the live keyspace.

        Raises:
            ConfigurationError: as `RedisStore`; no keyspace in the URL; two regions with one data centre.
        """
        Store.__init__(self, name, strategy=strategy, residency=residency, prefer=prefer, fence=fence)
        made = located(f"store {name!r}", lambda: options_from("options", CassandraOptions, options))
        object.__setattr__(self, "options", made)
        _set_cluster(self, url, tls)
        names = dict(datacenters or {})
        if len(set(names.values())) != len(names):
            raise ConfigurationError(
                f"store {name!r}: two regions have one data centre.", fix="give each region a data centre of its own."
            )
        object.__setattr__(self, "datacenters", tuple(names.items()))
        if url is not None and not server_url("cassandra", url).database:
            raise ConfigurationError(
                f"store {name!r}: its URL names no keyspace.", fix="write cassandra://c1.us,c2.kr/shop."
            )

    def __repr__(self) -> str:
        return _shown(self)

    @property
    def is_reference(self) -> bool:
        """Whether this only refers to a store of the same name that the kit's topology describes."""
        return self.url is None

    def shards(self, regions: Iterable[str]) -> tuple[Shard, ...]:
        """One endpoint per region of the topology: its data centre."""
        if self.url is None:
            return ()
        whole = Endpoint("cluster", Role.PRIMARY, self.url, tls=self.tls)
        return (Shard("", (), tuple(whole.member(region, region, self.url) for region in regions)),)


@dataclass(frozen=True, slots=True, init=False)
class MemoryStore(Store):
    """A store in this process, for tests of applications. Its handle in a block is a mutable mapping, read-only in a read.

    URLs are `memory://NAME`; what stands under one name is shared by all kits of the process.
    """

    backend: ClassVar[str] = "memory"

    if TYPE_CHECKING:

        @property
        def native(self) -> MutableMapping[str, Any]:
            """What a block yields."""

        @property
        def async_native(self) -> MutableMapping[str, Any]:
            """What an async block yields."""

    def __init__(
        self,
        name: str,
        *,
        strategy: Strategy = _LOCAL_READ_GLOBAL_WRITE,
        residency: Residency = _EVERYWHERE,
        endpoints: Iterable[Endpoint] = (),
        prefer: Preference = _NEAREST,
        fence: str | None = None,
    ) -> None:
        """Checks what can be seen without the topology.

        Raises:
            ConfigurationError: as `Store`; a URL that is not `memory://NAME`.
        """
        Store.__init__(
            self, name, strategy=strategy, residency=residency, endpoints=endpoints, prefer=prefer, fence=fence
        )
        _checked(self, client=False)


def _set_cluster(store: Any, url: str | None, tls: Tls | None) -> None:
    """`url=` in place of endpoints."""
    if url is not None and store.endpoints:
        raise ConfigurationError(
            f"store {store.name!r} has a url and endpoints.",
            why="a cluster's members are its endpoints.",
            fix="give one of the two.",
        )
    if url is not None:
        located(f"store {store.name!r}", lambda: _parsed(store.backend, url, tls))
    elif tls is not None:
        raise ConfigurationError(
            f"store {store.name!r}: tls={shown(tls)} without a url.", fix="say it at the endpoint."
        )
    object.__setattr__(store, "url", url)
    object.__setattr__(store, "tls", tls)


def _shown(store: Any) -> str:
    where = None if store.url is None else server_url(store.backend, store.url).masked
    return f"{type(store).__name__}({store.name!r}, url={where!r}, endpoints={store.endpoints!r})"
