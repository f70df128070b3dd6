"""Redis endpoints without a kit: what the backend is told of one, by URL or by a client of the application's."""

from __future__ import annotations

from typing import Any

from fix_store_rigs import NAMESPACE

from regionkit import Endpoint, RedisStore, Role
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import SystemClock
from regionkit.topology.profiles import profile


def context_of(url: str, client: Any = None, **options: Any) -> EndpointContext[RedisStore]:
    """One endpoint in us-east-1; keyword arguments are options of the store."""
    store = RedisStore("orders", endpoints=[Endpoint("us-east-1", Role.PRIMARY, url)], options=options or None)
    endpoint = store.endpoints[0] if client is None else Endpoint("us-east-1", Role.PRIMARY, client=client)
    return EndpointContext(NAMESPACE, store, endpoint, profile("balanced"), SystemClock(), is_async=True)
