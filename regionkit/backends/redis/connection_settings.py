"""What a connection to one server needs to be made: address, account, TLS, how it speaks. A value, from a URL."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regionkit.contract.endpoint_context import EndpointContext
from regionkit.topology import RedisStore
from regionkit.topology.server_urls import server_url

__all__ = ["ConnectionSettings", "settings_of_url"]


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How a connection is made. Its repr shows no secret.

    Attributes:
        arguments: of the driver's connection, without secrets.
        account: user name and password, or where the driver gets them from.
        tls: None where there is none.
        path: of a Unix socket; None for TCP.
    """

    arguments: Mapping[str, Any]
    account: Mapping[str, Any] = field(repr=False)
    tls: ssl.SSLContext | None = None
    path: str | None = None


def settings_of_url(context: EndpointContext[RedisStore]) -> ConnectionSettings:
    """What the endpoint's URL and the store's options say. TLS is verified, the host name checked."""
    assert context.endpoint.url is not None
    url, options = server_url("redis", context.endpoint.url), context.store.options
    host, port = url.hosts[0]
    tls = None
    if url.tls(context.endpoint.tls) != "off":
        query = dict(url.query)
        tls = ssl.create_default_context(cafile=query.get("ssl_ca_certs"))
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        if "ssl_certfile" in query:
            tls.load_cert_chain(query["ssl_certfile"], query.get("ssl_keyfile"))
    path = host if url.is_local else None
    arguments = ({} if path else {"host": host, "port": port}) | {
        "db": int(url.database or 0),
        "protocol": options.protocol,
        "decode_responses": options.decode_responses,
    }
    return ConnectionSettings(arguments, {"username": url.username or None, "password": url.password}, tls, path)
