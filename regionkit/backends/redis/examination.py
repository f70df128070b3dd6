"""What a Redis or Valkey server and the account say of themselves, for `regionkit doctor`. Nothing is changed.

INFO is all that regionkit's own account needs; what CONFIG and ACL tell is left out where the account may not ask.
"""

from __future__ import annotations

from typing import Any

import redis

from regionkit.backends.certificate import certificate_ends
from regionkit.backends.redis.block_connection import RedisConnection
from regionkit.backends.redis.observation import info_of
from regionkit.contract.examination import Examined
from regionkit.contract.kept_tables import HISTORY, MARKER, RECORD
from regionkit.core.deadline import Deadline
from regionkit.core.tables import TABLES
from regionkit.facts.request import Kind
from regionkit.topology.server_urls import server_url

__all__ = ["examine"]

INFO = (
    *("redis_version", "valkey_version", "maxmemory", "maxmemory_policy", "used_memory", "aof_enabled"),
    *("aof_last_write_status", "rdb_last_bgsave_status", "connected_slaves", "master_link_status", "slave_read_only"),
    *("maxclients", "loading"),
)
CONFIG = ("save", "appendfsync", "repl-backlog-ttl", "stop-writes-on-bgsave-error", "min-replicas-to-write")
MOST_NAMED = 20
CERTIFICATE_WITHIN = 3.0


def examine(endpoint: Any, deadline: Deadline, *, is_primary: bool) -> Examined:
    """Ask a synchronous endpoint's server.

    Raises:
        RegionKitError: it cannot be reached.
    """

    def asked(connection: RedisConnection) -> Examined:
        return _asked(endpoint, connection, is_primary)

    found: Examined = endpoint.ask(Kind.READ, deadline, asked)
    return found


def _asked(endpoint: Any, connection: RedisConnection, is_primary: bool) -> Examined:
    def ask(*words: Any) -> Any:
        try:
            return connection.ask_one(*words)
        except redis.exceptions.ResponseError:  # the account may not, or an older server does not know it
            return None

    info = info_of(ask("INFO") or b"")
    settings = {name: info[name] for name in INFO if name in info}
    for name in CONFIG:
        answer = ask("CONFIG", "GET", name)
        if answer:
            settings[name] = answer[1].decode()
    whoami = ask("ACL", "WHOAMI")
    account = endpoint.settings.account
    named = whoami.decode() if whoami else str(account.get("username") or "default")
    rights = {"everything"} if ask("ACL", "DRYRUN", named, "ACL", "LIST") == b"OK" or "save" in settings else set()
    if account.get("password"):
        rights.add("password")
    skew, skew_error = _clock(endpoint, ask)
    lacks = _lacks(endpoint, ask, named) if is_primary else ()
    return Examined(
        server="valkey" if "valkey_version" in info else "redis",
        version=info.get("valkey_version") or info.get("redis_version", ""),
        encrypted=bool(endpoint.settings.tls),
        certificate_ends=_certificate_ends(endpoint),
        skew=skew,
        skew_error=skew_error,
        settings=settings,
        account=named,
        rights=frozenset(rights),
        tables=_tables(endpoint, connection, ask),
        writers=_writers(ask, named, endpoint.key("x")),
        lacks=lacks,
    )


def _tables(endpoint: Any, connection: RedisConnection, ask: Any) -> dict[str, int] | None:
    if connection.observe().lineage is None:  # asked now: a pooled connection knows what it was told once
        return None
    noted = ask("HGETALL", endpoint.key(TABLES)) or []
    versions = {name.decode(): int(version) for name, version in zip(noted[::2], noted[1::2], strict=True)}
    return {table.name: versions.get(table.name, 1) for table in (HISTORY, MARKER, RECORD)} | versions


def _clock(endpoint: Any, ask: Any) -> tuple[float | None, float]:
    began = endpoint.clock.monotonic()
    said = ask("TIME")
    taken = endpoint.clock.monotonic() - began
    if not said:
        return None, 0.0
    server = int(said[0]) + int(said[1]) / 1e6
    return server - (endpoint.clock.wall() - taken / 2.0), taken / 2.0


def _lacks(endpoint: Any, ask: Any, account: str) -> tuple[tuple[str, str], ...]:
    key = endpoint.key("history")
    found = []
    if ask("EVAL", "return redis.call('EXISTS', KEYS[1])", 1, key) is None:
        found.append((f"EVAL on {endpoint.key('*')}", f"ACL SETUSER {account} +eval +evalsha ~{endpoint.key('*')}"))
    if ask("TIME") is None:
        found.append(("TIME", f"ACL SETUSER {account} +time"))
    return tuple(found)


def _writers(ask: Any, me: str, key: str) -> tuple[str, ...]:
    """Other accounts that are on and may write a key of regionkit's, as far as their rules say so plainly."""
    found = []
    for line in ask("ACL", "LIST") or ():
        words = line.decode(errors="replace").split()
        if len(words) < 3 or words[1] == me or "on" not in words[2:4]:
            continue
        keys = [word[1:] for word in words if word.startswith("~")]
        reaches = any(pattern == "*" or key.startswith(pattern.rstrip("*")) for pattern in keys) or "allkeys" in words
        writes = any(word in ("+@all", "allcommands", "+@write", "+@hash", "+hset", "+del") for word in words)
        if reaches and writes:
            found.append(words[1])
    return tuple(sorted(found)[:MOST_NAMED])


def _certificate_ends(endpoint: Any) -> float | None:
    text = endpoint.context.endpoint.url
    if not endpoint.settings.tls or text is None:
        return None
    url = server_url("redis", text)
    [(host, port)] = url.hosts[:1]
    return certificate_ends(host, port, CERTIFICATE_WITHIN, trusted=dict(url.query).get("ssl_ca_certs"))
