"""Rules about a Cassandra keyspace. Levels overlap by arithmetic (`regionkit.facts.quorum`). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts, Facts
from regionkit.cli.doctor.findings import Finding
from regionkit.facts.quorum import Replication, overlaps

__all__ = ["cassandra"]

ENOUGH = 3
"""Replicas of a data centre with which LOCAL_QUORUM tolerates the loss of one."""


def cassandra(facts: Facts) -> Iterator[Finding]:
    """Of every cluster; findings about the whole cluster are reported once."""
    for store in facts.stores.values():
        ours = [e for e in facts.of(store.name) if e.examined is not None and e.examined.server == "cassandra"]
        if not ours:
            continue
        first = ours[0]
        replication = tuple(sorted((name, int(count)) for name, count in _numbered(first, "replicas:")))
        yield from _cluster(store.name, first, replication, set(store.datacenters))
        for e in ours:
            yield from _datacenter(e, dict(replication))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _numbered(e: EndpointFacts, start: str) -> list[tuple[str, str]]:
    assert e.examined is not None
    return [(name.removeprefix(start), v) for name, v in e.examined.settings.items() if name.startswith(start)]


def _datacenter(e: EndpointFacts, replication: dict[str, int]) -> Iterator[Finding]:
    assert e.examined is not None
    settings = e.examined.settings
    name = settings["datacenter"]
    copies, nodes = replication.get(name, 0), int(settings.get(f"nodes:{name}", 0))
    if copies > nodes:
        yield Finding(
            "D442",
            "error",
            e.subject,
            f"the keyspace needs {copies} replicas, and data centre {name} has {_counted(nodes, 'node')}.",
            "statements that need more replicas than there are fail.",
            "add nodes, or ALTER KEYSPACE with fewer replicas.",
        )
    elif 0 < copies < ENOUGH:
        yield Finding(
            "D441",
            "warning" if nodes >= ENOUGH else "note",
            e.subject,
            f"the keyspace has {_counted(copies, 'replica')} in data centre {name}, on {_counted(nodes, 'node')}.",
            "LOCAL_QUORUM does not tolerate the loss of a node.",
            f"ALTER KEYSPACE with {ENOUGH} replicas there, then nodetool repair and kit.create_tables().",
        )
    away = nodes - int(settings.get("connected", nodes))
    if away > 0:
        yield Finding(
            "D446",
            "warning",
            e.subject,
            f"{away} of {nodes} nodes of data centre {name} {'is' if away == 1 else 'are'} not connected.",
            "one more may leave rows without a quorum.",
            "nodetool status shows which; bring them back.",
        )
    read, write = settings["read_level"], settings["write_level"]
    if copies and not overlaps((name, write), (name, read), tuple(sorted(replication.items()))):
        yield Finding(
            "D443",
            "warning",
            e.subject,
            f"a read at {read} may miss a write at {write}, with {_counted(copies, 'replica')}.",
            "SESSION reads after a write are raised to a level that needs other data centres, or refused.",
            'options = { write_level = "LOCAL_QUORUM", read_level = "LOCAL_QUORUM" }',
        )


def _cluster(store: str, e: EndpointFacts, replication: Replication, named: set[str]) -> Iterator[Finding]:
    assert e.examined is not None
    settings = e.examined.settings
    if settings.get("changed"):
        yield Finding(
            "D444",
            "error",
            store,
            f"{settings['changed']}.",
            "SESSION reads with a bookmark are refused until the repair is confirmed.",
            "nodetool repair (or rebuild), then kit.create_tables().",
        )
    strange = sorted(name for name, _ in replication if name not in named)
    if strange:
        yield Finding(
            "D445",
            "note",
            store,
            f"the keyspace has replicas in {', '.join(strange)}, which no region of the topology names.",
            "it holds data, but residency is checked only for regions of the topology.",
            "add the region, or datacenters = { region = name }.",
        )
    if settings.get("schemas", "1") != "1":
        yield Finding(
            "D446",
            "error",
            store,
            f"its nodes have {settings['schemas']} versions of the schema.",
            "a table may be missing on some of them; create_tables() waits for them to agree.",
            "nodetool describecluster shows which; restart the node that stays behind.",
        )
    logins = dict(_numbered(e, "logins:"))
    alone = sorted(name for name, count in logins.items() if count == "1" and int(settings.get(f"nodes:{name}", 1)) > 1)
    if logins.get("replication_factor") == "1" and sum(int(n) for _, n in _numbered(e, "nodes:")) > 1:
        alone = ["the whole cluster"]
    if alone:
        yield Finding(
            "D447",
            "warning",
            store,
            f"system_auth has one replica in {', '.join(alone)}.",
            "while that node is down, nobody can log in.",
            "ALTER KEYSPACE system_auth with as many replicas as nodes, at most 3 to 5, then nodetool repair system_auth.",
        )
