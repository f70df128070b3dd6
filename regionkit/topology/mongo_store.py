"""A store in MongoDB: one replica set by its URL, or one for each home region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from regionkit.errors import ConfigurationError
from regionkit.topology.client_endpoints import check_endpoints, set_cluster, shown_cluster
from regionkit.topology.client_options import MongoOptions
from regionkit.topology.endpoints import Endpoint, Role
from regionkit.topology.options import options_from
from regionkit.topology.server_urls import ServerUrl, server_url
from regionkit.topology.stores import Store, StoreArguments
from regionkit.topology.strategies import LocalReadGlobalWrite, Shard
from regionkit.topology.urls import Tls
from regionkit.topology.validation import located

if TYPE_CHECKING:
    from pymongo.asynchronous.database import AsyncDatabase
    from pymongo.database import Database

__all__ = ["MongoStore"]


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
        options: MongoOptions | Mapping[str, Any] | None = None,
        **common: Unpack[StoreArguments],
    ) -> None:
        """Checks what can be seen without the topology, URLs and their TLS included.

        Raises:
            ConfigurationError: as `RedisStore`; both `url` and `endpoints`; no database in a URL; write partitioning with
                one `url`.
        """
        Store.__init__(self, name, **common)
        made = located(f"store {name!r}", lambda: options_from("options", MongoOptions, options))
        object.__setattr__(self, "options", made)
        set_cluster(self, url, tls)
        check_endpoints(self)
        for text in [e.url for e in self.endpoints] if url is None else [url]:
            if not server_url("mongo", text).database:
                raise ConfigurationError(
                    f"store {name!r}: its URL names no database.", fix="write mongodb://host/shop."
                )
        if url is not None and not isinstance(self.strategy, LocalReadGlobalWrite):
            raise ConfigurationError(
                f"store {name!r}: one replica set has one primary, so no key can have a home elsewhere.",
                fix="give each home region an endpoint with its own replica set.",
            )

    def __repr__(self) -> str:
        return shown_cluster(self)

    @property
    def is_reference(self) -> bool:
        """Whether this only refers to a store of the same name that the kit's topology describes."""
        return not self.endpoints and self.url is None

    @property
    def cautions(self) -> tuple[str, ...]:
        """A URL of several hosts that does not say which replica set they are of."""
        urls = [endpoint.url for endpoint in self.endpoints] if self.url is None else [self.url]
        unnamed = [url for url in (server_url("mongo", text) for text in urls if text is not None) if _is_unnamed(url)]
        return tuple(
            f"{url.masked} has no replicaSet=: a host of another set would count as a member, and could take writes"
            for url in unnamed
        )

    def shards(self, regions: Iterable[str]) -> tuple[Shard, ...]:
        """The members of the replica set; those of each, with write partitioning."""
        if self.url is not None:
            whole = Endpoint("cluster", Role.REPLICA, self.url, tls=self.tls)
            return (Shard("", (), _members(whole)),)
        shards = self.strategy.shards(self.endpoints)
        return tuple(
            shard._replace(endpoints=tuple(m for e in shard.endpoints for m in _members(e))) for shard in shards
        )


def _is_unnamed(url: ServerUrl) -> bool:
    return len(url.hosts) > 1 and "replicaSet" not in dict(url.query)


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
