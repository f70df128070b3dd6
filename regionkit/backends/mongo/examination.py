"""What a member of a MongoDB replica set and the account say of themselves, for `regionkit doctor`. Nothing is changed.

`hello` needs no role; the set's configuration and status need clusterMonitor, and are left out without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from regionkit.backends.certificate import certificate_ends
from regionkit.backends.mongo.classify import translated
from regionkit.backends.mongo.member import limited
from regionkit.contract.examination import Examined
from regionkit.core.deadline import Deadline
from regionkit.core.tables import TABLES, table_name
from regionkit.topology.server_urls import server_url

__all__ = ["examine"]

EVERYTHING = frozenset({"root", "__system", "dbOwner", "dbAdminAnyDatabase", "clusterAdmin", "userAdminAnyDatabase"})
"""Roles that an application's account has no use for."""
WRITING = frozenset({"readWrite", "readWriteAnyDatabase", "dbOwner", "root", "__system", "restore"})
CERTIFICATE_WITHIN = 3.0
MOST_NAMED = 20
FINE = ("PRIMARY", "SECONDARY", "ARBITER")
_EPOCH = datetime(1970, 1, 1)  # as pymongo gives times without a zone


def examine(endpoint: Any, deadline: Deadline, *, is_primary: bool) -> Examined:
    """Ask a synchronous endpoint's member.

    Raises:
        RegionKitError: it cannot be reached.
    """
    member = endpoint.member
    try:
        with limited(deadline.require("asking a member")):
            member.open()
            return _asked(endpoint, member)
    except PyMongoError as error:
        raise translated(endpoint._context, error) from error


def _asked(endpoint: Any, member: Any) -> Examined:
    admin, clock = member.client.admin, endpoint._context.clock

    def ask(command: str, **more: Any) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = admin.command(command, **more)
            return found
        except OperationFailure:  # the account may not
            return {}

    began = clock.monotonic()
    hello = admin.command("hello")
    taken = clock.monotonic() - began
    local = hello.get("localTime")
    skew = None
    if local is not None:
        server = local.timestamp() if local.tzinfo else (local - _EPOCH).total_seconds()
        skew = server - (clock.wall() - taken / 2.0)
    auth = ask("connectionStatus").get("authInfo", {})
    roles = {str(role["role"]) for role in auth.get("authenticatedUserRoles", ())}
    users = [f"{user['user']}@{user['db']}" for user in auth.get("authenticatedUsers", ())]
    return Examined(
        server="mongodb",
        version=str(ask("buildInfo").get("version", "")),
        encrypted=_tls(endpoint),
        certificate_ends=_certificate_ends(endpoint),
        skew=skew,
        skew_error=taken / 2.0,
        settings=_settings(hello, ask),
        account=", ".join(users),
        rights=frozenset(
            word for word, names in (("everything", EVERYTHING), ("writes", WRITING)) if roles.intersection(names)
        ),
        tables=_tables(endpoint, member),
        writers=_writers(ask, member.database, users),
    )


def _settings(hello: Mapping[str, Any], ask: Any) -> dict[str, str]:
    settings = {"members": ",".join([*hello.get("hosts", ()), *hello.get("passives", ())])}
    settings["arbiters"] = ",".join(hello.get("arbiters", ()))
    settings["me"] = str(hello.get("me", ""))
    config = ask("replSetGetConfig").get("config", {})
    if config:
        settings["writeConcernMajorityJournalDefault"] = str(config.get("writeConcernMajorityJournalDefault", True))
        members = config.get("members", ())
        settings["voters"] = str(sum(m.get("votes", 1) > 0 for m in members))
        settings["data_voters"] = str(sum(m.get("votes", 1) > 0 and not m.get("arbiterOnly") for m in members))
        settings["electable"] = str(sum(m.get("priority", 1) > 0 for m in members))
        settings["delayed"] = ",".join(str(m["host"]) for m in members if m.get("secondaryDelaySecs", 0))
        settings["untagged"] = ",".join(
            str(m["host"]) for m in members if "region" not in m.get("tags", {}) and not m.get("arbiterOnly")
        )
    status = ask("replSetGetStatus").get("members", ())
    if status:
        bad = [f"{m['name']} is {m['stateStr']}" for m in status if m["stateStr"] not in FINE]
        settings["bad_members"] = "; ".join(bad)
    found = ask("getParameter", featureCompatibilityVersion=1).get("featureCompatibilityVersion", {})
    if found:
        settings["featureCompatibilityVersion"] = str(found.get("version", ""))
    return settings


def _tables(endpoint: Any, member: Any) -> dict[str, int] | None:
    namespace = endpoint._context.namespace
    database = member.client[member.database]
    start = table_name(namespace, "")
    found = database.command("listCollections", nameOnly=True, authorizedCollections=True)["cursor"]["firstBatch"]
    names = {one["name"].removeprefix(start) for one in found if one["name"].startswith(start)}
    if not names:
        return None
    noted = database.command("find", start + TABLES)["cursor"]["firstBatch"]
    versions = {str(one["_id"]): int(one["version"]) for one in noted}
    return {name: versions.get(name, 1) for name in names if name != TABLES}


def _writers(ask: Any, database: str, me: list[str]) -> tuple[str, ...]:
    found = []
    for user in ask("usersInfo", value={"forAllDBs": True}).get("users", ()) if me else ():
        name = f"{user['user']}@{user['db']}"
        writes = [r for r in user.get("roles", ()) if r["role"] in ("readWrite", "dbOwner") and r["db"] == database]
        if writes and name not in me:
            found.append(name)
    return tuple(sorted(found)[:MOST_NAMED])


def _tls(endpoint: Any) -> bool:
    return bool(endpoint._dial.options.get("tls"))


def _certificate_ends(endpoint: Any) -> float | None:
    text = endpoint._context.endpoint.url
    if text is None or not _tls(endpoint):
        return None
    url = server_url("mongo", text)
    [(host, port)] = url.hosts[:1]
    return certificate_ends(host, port, CERTIFICATE_WITHIN, trusted=dict(url.query).get("tlsCAFile"))
