"""A store in Cassandra: a cluster by its URL, one endpoint a data centre."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from regionkit.errors import ConfigurationError
from regionkit.topology.client_endpoints import set_cluster, shown_cluster
from regionkit.topology.client_options import CassandraOptions
from regionkit.topology.endpoints import Endpoint, Role
from regionkit.topology.options import options_from
from regionkit.topology.server_urls import server_url
from regionkit.topology.stores import Store, StoreArguments
from regionkit.topology.strategies import Shard
from regionkit.topology.urls import Tls
from regionkit.topology.validation import located

if TYPE_CHECKING:
    from regionkit.topology.cassandra_client import CassandraSession
    from regionkit.topology.cassandra_client_async import AsyncCassandraSession

__all__ = ["CassandraStore"]


@dataclass(frozen=True, slots=True, init=False)
class CassandraStore(Store):
    """A store in Cassandra. Its handle in a block is a session with level and local data centre set.

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
        options: CassandraOptions | Mapping[str, Any] | None = None,
        **common: Unpack[StoreArguments],
    ) -> None:
        """Checks what can be seen without the topology and the live keyspace.

        Raises:
            ConfigurationError: as `RedisStore`; no keyspace in the URL; two regions with one data centre.
        """
        Store.__init__(self, name, **common)
        if self.endpoints:
            raise ConfigurationError(
                f"store {name!r} has endpoints.",
                why="a Cassandra cluster lists its own nodes, and each region of the topology is one of its data centres.",
                fix="give url= in place of endpoints=.",
            )
        made = located(f"store {name!r}", lambda: options_from("options", CassandraOptions, options))
        object.__setattr__(self, "options", made)
        set_cluster(self, url, tls)
        names = dict(datacenters or {})
        if len(set(names.values())) != len(names):
            raise ConfigurationError(
                f"store {name!r}: two regions have one data centre.", fix="give each region its own data centre."
            )
        object.__setattr__(self, "datacenters", tuple(names.items()))
        if url is not None and not server_url("cassandra", url).database:
            raise ConfigurationError(
                f"store {name!r}: its URL names no keyspace.", fix="write cassandra://c1.us,c2.kr/shop."
            )

    def __repr__(self) -> str:
        return shown_cluster(self)

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
