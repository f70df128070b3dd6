"""Which data centres a Cassandra cluster has, for `regionkit init`. Nothing is changed."""

from __future__ import annotations

from typing import Any

from regionkit.backends.cassandra.cluster import Opener, _members
from regionkit.contract.examination import Discovered
from regionkit.core.deadline import Deadline

__all__ = ["discover"]


def discover(endpoint: Any, deadline: Deadline) -> list[Discovered]:
    """A node of each data centre that holds rows of the keyspace; of one that holds none, a note.

    Raises:
        RegionKitError: no host of the URL answers.
    """
    datacenter = endpoint._datacenter
    deadline.require("connecting")
    try:
        nodes, replicas = _known(datacenter._opener)
    except Exception as error:
        raise datacenter.translated(error) from error
    found: dict[str, Discovered] = {}
    for host, port, name in nodes:
        note = "" if name in replicas else f"the keyspace {datacenter.keyspace} has no replicas there."
        found.setdefault(name, Discovered(host=host, port=port, role="any", region=name, note=note))
    return list(found.values())


def _known(opener: Opener) -> tuple[list[tuple[str, int, str]], dict[str, int]]:
    """(host, port, data centre) of every node that a contact point knows, and the keyspace's replicas by data centre."""
    asking = opener._cluster(opener._points[:1])
    try:
        asking.connection_class.initialize_reactor()
        members, _, said = _members(asking, opener._points[0], str(opener._url.database))
    finally:
        asking.shutdown()
    return members, {name: int(text) for name, text in (said or {}).items() if text.isdecimal() and int(text)}
