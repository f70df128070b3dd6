"""Which members a MongoDB replica set has, and where each says that it stands, for `regionkit init`. Nothing is changed."""

from __future__ import annotations

from typing import Any

from pymongo.errors import PyMongoError

from regionkit.backends.mongo.classify import translated
from regionkit.backends.mongo.dial import Dial
from regionkit.backends.mongo.member import Member, limited
from regionkit.contract.examination import Discovered
from regionkit.core.deadline import Deadline

__all__ = ["discover"]

UNTAGGED = "it has no member tag `region`: give it one with rs.reconfig()."


def discover(endpoint: Any, deadline: Deadline) -> list[Discovered]:
    """Every member of the set, the primary first. A member that does not answer is named without its region.

    Raises:
        RegionKitError: the one that is asked cannot be reached.
    """
    try:
        with limited(deadline.require("asking a member")):
            endpoint.member.open()
            hello = endpoint.member.client.admin.command("hello")
    except PyMongoError as error:
        raise translated(endpoint._context, error) from error
    members = [_member(endpoint, name, deadline) for name in (*hello.get("hosts", ()), *hello.get("passives", ()))]
    return sorted(members, key=lambda member: member.role != "primary")


def _member(endpoint: Any, name: str, deadline: Deadline) -> Discovered:
    host, _, port = name.rpartition(":")
    host = host.strip("[]")
    dial: Dial = endpoint._dial
    member = Member(endpoint._context, dial, (host, int(port)))
    try:
        with limited(max(0.1, deadline.remaining() / 2.0)):
            member.open()
            hello = member.client.admin.command("hello")
    except PyMongoError as error:
        return Discovered(
            host=host, port=int(port), role="replica", note=f"it does not answer: {type(error).__name__}."
        )
    finally:
        member.close()
    region = str(hello.get("tags", {}).get("region", ""))
    role = "primary" if hello.get("isWritablePrimary") else "replica"
    return Discovered(host=host, port=int(port), role=role, region=region, note="" if region else UNTAGGED)


def set_name(endpoint: Any, deadline: Deadline) -> str:
    """What the set is called."""
    with limited(deadline.require("asking a member")):
        return str(endpoint.member.client.admin.command("hello").get("setName", ""))
