"""What the client of a member is made with, from an endpoint's URL. What an application's client gives: `plain_async`."""

from __future__ import annotations

from typing import Any, NamedTuple

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions

from regionkit.contract.endpoint_context import EndpointContext
from regionkit.topology import MongoStore
from regionkit.topology.server_urls import server_url

__all__ = ["Address", "Dial", "dial_of_url"]

Address = tuple[str, int]
"""Host and port."""


UUID_REPRESENTATIONS = {
    "csharpLegacy": UuidRepresentation.CSHARP_LEGACY,
    "javaLegacy": UuidRepresentation.JAVA_LEGACY,
    "pythonLegacy": UuidRepresentation.PYTHON_LEGACY,
    "standard": UuidRepresentation.STANDARD,
    "unspecified": UuidRepresentation.UNSPECIFIED,
}


class Dial(NamedTuple):
    """How to reach the members of a replica set.

    Attributes:
        hosts: known members; by a URL, the one.
        database: where blocks work, and where regionkit keeps its collections.
        set_name: the replica set that they have to be of; None for any.
        options: of the client: account and TLS. Holds the password.
        codec_options: of the database that a block yields; None for the driver's.
        follows: the primary is used, whichever member it is.
    """

    hosts: tuple[Address, ...]
    database: str
    set_name: str | None
    options: dict[str, Any]
    codec_options: CodecOptions[Any] | None = None
    follows: bool = False


def dial_of_url(context: EndpointContext[MongoStore]) -> Dial:
    """Of an endpoint that has a URL."""
    assert context.endpoint.url is not None
    url = server_url("mongo", context.endpoint.url)
    query = dict(url.query)
    options: dict[str, Any] = {}
    if url.username is not None:
        options |= {"username": url.username, "password": url.password}
        options["authSource"] = query.get("authSource", url.database)
    if "authMechanism" in query:
        options["authMechanism"] = query["authMechanism"]
        if "authSource" in query:
            options["authSource"] = query["authSource"]
    if url.tls(context.endpoint.tls) == "require":
        options |= {n: query[n] for n in ("tlsCAFile", "tlsCertificateKeyFile") if n in query} | {"tls": True}
    for name, given in (("appName", "appname"), ("compressors", "compressors"), ("zlibCompressionLevel",) * 2):
        if name in query:
            options[given] = query[name]
    asked = context.store.options
    codec_options: CodecOptions[Any] = CodecOptions(
        tz_aware=asked.tz_aware, uuid_representation=UUID_REPRESENTATIONS[asked.uuid_representation]
    )
    return Dial((url.hosts[0],), url.database or "", query.get("replicaSet"), options, codec_options)
