"""What regionkit's own clients take over from an application's: hosts, account, TLS, database. The application's is left alone.

1. A client of ours goes to one member, without retries and with the call's deadline as its only time-out: the application's can
   promise neither, so it is cloned and not used.
2. What cannot be cloned is refused by name: a clone that lacks it would answer otherwise than the application expects.
"""

from __future__ import annotations

from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.asynchronous.mongo_client import AsyncMongoClient
from pymongo.server_selectors import any_server_selector

from regionkit.backends.mongo.dial import Dial
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.errors import ConfigurationError
from regionkit.topology import MongoStore

__all__ = ["dial_of_client"]

MECHANISMS = frozenset({"DEFAULT", "SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN", "MONGODB-X509"})
"""Which need a name, a password or a certificate and nothing else; others ask a callback, a ticket cache or a cloud."""
_FILES = ("tlscafile", "tlscertificatekeyfile", "tlscertificatekeyfilepassword", "tlscrlfile")
_WEAKER = ("tlsallowinvalidcertificates", "tlsallowinvalidhostnames", "tlsdisableocspendpointcheck")
_WEAKEST = ("tlsinsecure",)
"""Means all the weaker ones, and may not stand beside them."""


def dial_of_client(context: EndpointContext[MongoStore], database: Any) -> Dial:
    """How to reach the replica set of an application's database. Connects to nothing.

    Raises:
        ConfigurationError: it is no database of this kind, or its client has what cannot be cloned.
    """
    if not isinstance(database, AsyncDatabase):
        raise _refused(
            context, f"a {type(database).__name__} is not of class {AsyncDatabase.__name__}.", "hand in client['shop']."
        )
    client = database.client
    options = client.options
    for why, is_so in (
        ("it encrypts fields by itself (auto_encryption_opts)", options.auto_encryption_opts is not None),
        ("it uses a load balancer (loadBalanced)", bool(options.load_balanced)),
        ("it selects servers by a function (server_selector)", options.server_selector is not any_server_selector),
        ("it has a custom pool class", client._resolve_srv_info["pool_class"] is not None),
        ("its hosts come from DNS (mongodb+srv)", bool(client._resolve_srv_info["is_srv"])),
        ("it is closed", bool(client._closed)),
    ):
        if is_so:
            raise _refused(context, f"{why}.", "hand in the database of a client that is made without it.")
    return Dial(
        hosts=tuple(sorted(client._seeds)),
        database=database.name,
        set_name=options.replica_set_name,
        options=_account(context, client) | _tls(client),
        codec_options=database.codec_options,
        follows=True,
    )


def _account(context: EndpointContext[MongoStore], client: AsyncMongoClient[Any]) -> dict[str, Any]:
    found = client.options.pool_options._credentials
    if found is None:
        return {}
    if found.mechanism not in MECHANISMS:
        why = f"its account is proved by {found.mechanism}, for which more is needed than can be taken over."
        raise _refused(context, why, f"use one of {', '.join(sorted(MECHANISMS))}.")
    account: dict[str, Any] = {"authSource": found.source, "username": found.username, "password": found.password}
    if found.mechanism != "DEFAULT":
        account["authMechanism"] = found.mechanism
    return {name: value for name, value in account.items() if value is not None}


def _tls(client: AsyncMongoClient[Any]) -> dict[str, Any]:
    """As the application set it: its client, its TLS."""
    given = client.options._options
    api = {} if given.get("server_api") is None else {"server_api": given["server_api"]}
    if client.options.pool_options._ssl_context is None:
        return api
    names = _FILES + (_WEAKEST if given.get("tlsinsecure") else _WEAKER)
    return api | {"tls": True} | {name: given[name] for name in names if given.get(name) is not None}


def _refused(context: EndpointContext[MongoStore], why: str, fix: str) -> ConfigurationError:
    return ConfigurationError(f"store {context.store.name!r} cannot use this MongoDB client.", why=why, fix=fix)
