"""What the stores that are no SQL stores check alike: the URLs of their endpoints, and `url=` in place of endpoints."""

from __future__ import annotations

from typing import Any

from regionkit.errors import ConfigurationError
from regionkit.topology.server_urls import ServerUrl, server_url
from regionkit.topology.stores import Store, check_alone
from regionkit.topology.urls import Tls
from regionkit.topology.validation import located, shown

__all__ = ["check_endpoints", "set_cluster", "shown_cluster"]


def check_endpoints(store: Store) -> None:
    """Every endpoint has a URL of the store's backend; one address is one endpoint."""
    known: dict[object, str] = {}
    for endpoint in store.endpoints:
        where = f"store {store.name!r}, endpoint {endpoint.id!r}"
        if endpoint.read_url is not None:
            raise ConfigurationError(
                f"{where}: read_url is for SQL stores.",
                why=f"in a read block the {store.backend} handle itself refuses writes.",
                fix="leave it out.",
            )
        if endpoint.url is None:
            raise ConfigurationError(f"{where}: a {store.backend} store takes a url=.", fix="leave client out.")
        parsed = located(where, lambda e=endpoint: _parsed(store.backend, e.url, e.tls))  # type: ignore[misc]  # a default binds the loop's value
        for host, port in parsed.hosts:
            check_alone(where, known, (host.lower(), port, parsed.database), endpoint.id)


def _parsed(backend: str, url: object, tls: Tls | None) -> ServerUrl:
    parsed = server_url(backend, url)
    parsed.tls(tls)
    return parsed


def set_cluster(store: Any, url: str | None, tls: Tls | None) -> None:
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
            f"store {store.name!r}: tls={shown(tls)} without a url.", fix="set it at the endpoint."
        )
    object.__setattr__(store, "url", url)
    object.__setattr__(store, "tls", tls)


def shown_cluster(store: Any) -> str:
    """What a store by `url=` shows of itself: no password."""
    where = None if store.url is None else server_url(store.backend, store.url).masked
    return f"{type(store).__name__}({store.name!r}, url={where!r}, endpoints={store.endpoints!r})"
