"""Stores: named data sets, each with its strategy, residency and endpoints. As values, and as typed handles.

`s.read(ORDERS)` is known to yield what the store's class stands for; a store without endpoints is only such a handle
and is resolved by its name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypedDict, TypeVar, Unpack

from regionkit.errors import ConfigurationError
from regionkit.topology.endpoints import Endpoint, Role
from regionkit.topology.options import SessionOptions, SqlOptions, options_from
from regionkit.topology.preferences import PREFERENCES, Nearest, Preference
from regionkit.topology.residency import Residency
from regionkit.topology.sql_parameters import sql_parameters
from regionkit.topology.strategies import STRATEGIES, LocalReadGlobalWrite, Shard, Strategy
from regionkit.topology.urls import ParsedUrl, sql_url
from regionkit.topology.validation import check_name, did_you_mean, located, sequence_of, shown

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

__all__ = ["AsyncYields", "SqlStore", "Store", "StoreArguments", "Yields", "check_alone"]

N_co = TypeVar("N_co", covariant=True)


class Yields(Protocol[N_co]):
    """A store known to yield `N_co` in a block. For type checkers: nothing has these attributes at run time."""

    @property
    def native(self) -> N_co:
        """What a block yields."""


class AsyncYields(Protocol[N_co]):
    """A store known to yield `N_co` in an async block. For type checkers: nothing has these attributes at run time."""

    @property
    def async_native(self) -> N_co:
        """What an async block yields."""


_NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}")

_LOCAL_READ_GLOBAL_WRITE = LocalReadGlobalWrite()
_EVERYWHERE = Residency()
_NEAREST = Nearest()


class StoreArguments(TypedDict, total=False):
    """What every store class takes beside its own arguments. See `Store`."""

    strategy: Strategy
    residency: Residency
    endpoints: Iterable[Endpoint]
    prefer: Preference
    fence: str | None


@dataclass(frozen=True, slots=True, init=False)
class Store:
    """What every store has. Immutable; use the class of a backend.

    Attributes:
        backend: name of the backend in TOML.
        name: matches `[a-z][a-z0-9_-]{0,47}`.
        strategy: who may write it, and where its reads go.
        residency: which regions may hold it.
        endpoints: in the order given, each with its `id`.
        prefer: how to choose among several endpoints that may serve a read.
    """

    backend: ClassVar[str] = ""
    leaderless: ClassVar[bool] = False

    name: str
    strategy: Strategy
    residency: Residency
    endpoints: tuple[Endpoint, ...]
    prefer: Preference

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
        """Checks what can be seen without the topology, and gives each endpoint its `id`.

        Raises:
            ConfigurationError: an unusable name, an argument of another type, or a `fence`: there is no failover yet.
        """
        check_name("store name", name, _NAME)
        kinds: tuple[tuple[str, object, tuple[type, ...]], ...] = (
            ("strategy", strategy, tuple(STRATEGIES.values())),
            ("residency", residency, (Residency,)),
            ("prefer", prefer, tuple(PREFERENCES.values())),
        )
        for what, value, known in kinds:
            if not isinstance(value, known):
                names = ", ".join(kind.__name__ for kind in known)
                raise ConfigurationError(f"store {name!r}: {what} is {shown(value)}.", fix=f"pass one of: {names}.")
        if fence is not None:
            raise ConfigurationError(
                f"store {name!r}: fence = {shown(fence)} is refused.",
                why="fencing protects a failover, and this version has no failover.",
                fix="leave fence out.",
            )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "strategy", strategy)
        object.__setattr__(self, "residency", residency)
        object.__setattr__(
            self, "endpoints", _identified(sequence_of(f"store {name!r}: endpoints", endpoints, Endpoint))
        )
        object.__setattr__(self, "prefer", prefer)

    @property
    def is_reference(self) -> bool:
        """Whether this only refers to a store of the same name that the kit's topology describes."""
        return not self.endpoints

    @property
    def cautions(self) -> tuple[str, ...]:
        """Settings that work but are not safe: `explain` shows them, and a kit logs them when it is created."""
        return ()

    def shards(self, regions: Iterable[str]) -> tuple[Shard, ...]:
        """Owners with their copies, as endpoints that can be asked. `regions`: all of the topology.

        An endpoint with an empty region belongs to a cluster whose members say themselves where they are.
        """
        return self.strategy.shards(self.endpoints)

    @property
    def primary(self) -> Endpoint:
        """The endpoint configured as primary: where to begin; what servers report wins later.

        Raises:
            ConfigurationError: when there is not exactly one, as in a mere reference.
        """
        primaries = [endpoint for endpoint in self.endpoints if endpoint.role is Role.PRIMARY]
        if len(primaries) == 1:
            return primaries[0]
        raise ConfigurationError(
            f"store {self.name!r} has {len(primaries)} primaries, not one.",
            why="it is a reference to a store that the kit knows." if self.is_reference else "",
            fix=f"use the topology: topology.store({self.name!r}).primary.",
        )

    def endpoint(self, identifier: str) -> Endpoint:
        """The endpoint with this `id`.

        Raises:
            ConfigurationError: when there is none, with a near match.
        """
        for endpoint in self.endpoints:
            if endpoint.id == identifier:
                return endpoint
        raise ConfigurationError(
            f"store {self.name!r} has no endpoint {shown(identifier)}.",
            fix=did_you_mean(identifier, (endpoint.id for endpoint in self.endpoints)),
        )


def _identified(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    seen: Counter[str] = Counter()
    identified = []
    for endpoint in endpoints:
        seen[endpoint.region] += 1
        number = seen[endpoint.region]
        identified.append(endpoint.named(endpoint.region if number == 1 else f"{endpoint.region}#{number}"))
    return tuple(identified)


@dataclass(frozen=True, slots=True, init=False)
class SqlStore(Store):
    """A store in PostgreSQL, MariaDB, MySQL or SQLite. Its handle in a block is a SQLAlchemy `Session`.

    Attributes:
        options: for the engine of each endpoint.
        session: for the sessions that blocks yield.
    """

    backend: ClassVar[str] = "sql"

    options: SqlOptions
    session: SessionOptions

    if TYPE_CHECKING:

        @property
        def native(self) -> Session:
            """What a block yields."""

        @property
        def async_native(self) -> AsyncSession:
            """What an async block yields."""

    def __init__(
        self,
        name: str,
        *,
        options: SqlOptions | Mapping[str, Any] | None = None,
        session: SessionOptions | Mapping[str, Any] | None = None,
        **common: Unpack[StoreArguments],
    ) -> None:
        """Checks what can be seen without the topology, URLs and their TLS included.

        Raises:
            ConfigurationError: as `Store`; an unknown or bad option; a URL of another dialect or driver, one that
                weakens TLS, a `read_url` to another address, two endpoints at one address, or on different kinds of server.
        """
        Store.__init__(self, name, **common)
        where = f"store {name!r}"
        engine_options = located(where, lambda: options_from("options", SqlOptions, options))
        session_options = located(where, lambda: options_from("session", SessionOptions, session))
        object.__setattr__(self, "options", engine_options)
        object.__setattr__(self, "session", session_options)
        servers: dict[str, str] = {}
        known: dict[object, str] = {}
        for endpoint in self.endpoints:
            of_endpoint = f"{where}, endpoint {endpoint.id!r}"
            url = located(of_endpoint, partial(_checked_url, endpoint))
            if url is not None:
                check_alone(of_endpoint, known, url.address, endpoint.id)
                servers[url.server] = endpoint.id
        if len(servers) > 1:
            kinds = ", ".join(f"{identifier} is {server}" for server, identifier in servers.items())
            raise ConfigurationError(
                f"{where}: its endpoints are of different kinds ({kinds}).",
                why="servers of different kinds do not replicate from each other, and their positions cannot be compared.",
                fix="put them into stores of their own.",
            )


def check_alone(where: str, known: dict[object, str], address: object, endpoint: str) -> None:
    """Refuses an address that another endpoint of the store has, and remembers it. `known`: endpoints by address.

    Raises:
        ConfigurationError: it is there already.
    """
    other = known.setdefault(address, endpoint)
    if other != endpoint:
        raise ConfigurationError(
            f"{where}: the same address as {other!r}.",
            why="two endpoints at one address would be measured and fenced as if they were two copies.",
            fix="give each endpoint its own address; list several partitions of one endpoint in partitions=.",
        )


def _checked_url(endpoint: Endpoint) -> ParsedUrl | None:
    if endpoint.url is None:
        return None
    main = sql_url(endpoint.url, is_async=False)
    main.tls(endpoint.tls)
    sql_parameters(main)
    if endpoint.read_url is not None:
        reads = located("read_url", lambda: _checked_read_url(endpoint.read_url or "", endpoint, main))
        assert reads.server == main.server
    return main


def _checked_read_url(url: str, endpoint: Endpoint, main: ParsedUrl) -> ParsedUrl:
    reads = sql_url(url, is_async=False)
    reads.tls(endpoint.tls)
    sql_parameters(reads)
    if reads.address != main.address:
        raise ConfigurationError(
            f"{reads.masked} is not the address of {main.masked}.",
            why="an endpoint is one address: position and health measured on one server would be used on another.",
            fix="let read_url differ only in its account, and make another server a separate endpoint.",
        )
    return reads
