"""Rules about a MongoDB replica set. Sources: MongoDB manual, "Replica Set Configuration", "replSetGetStatus". Pure.

Findings about the whole set are reported once.
"""

from __future__ import annotations

from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts, Facts
from regionkit.cli.doctor.findings import Finding

__all__ = ["mongo"]

SURVIVES = 3
"""Voting members of which one may be away: of two, none may."""


def mongo(facts: Facts) -> Iterator[Finding]:
    """Of every replica set."""
    for store in facts.stores.values():
        ours = [e for e in facts.of(store.name) if e.examined is not None and e.examined.server == "mongodb"]
        for partition in dict.fromkeys(e.partition for e in ours):
            yield from _of_set(store.name, [e for e in ours if e.partition == partition])


def _of_set(store: str, members: list[EndpointFacts]) -> Iterator[Finding]:
    e = next((member for member in members if member.setting("voters")), members[0])
    subject = f"{store} {e.partition}".strip()
    if e.setting("writeConcernMajorityJournalDefault") == "false":
        yield Finding(
            "D431",
            "warning",
            subject,
            "writeConcernMajorityJournalDefault is false.",
            "a majority acknowledges from memory: if it loses power at once, acknowledged writes are lost.",
            "set it to true with rs.reconfig().",
        )
    yield from _members(subject, e, members)
    if e.setting("bad_members"):
        assert e.examined is not None
        yield Finding(
            "D433",
            "error",
            subject,
            f"{e.examined.settings['bad_members']}.",
            "it serves no requests, and one more loss may leave the set without a majority.",
            "check rs.status() and its log.",
        )
    yield from _majority(subject, e)
    for name, what in (("delayed", "is delayed on purpose"), ("untagged", "has no member tag `region`")):
        if e.setting(name):
            yield Finding(
                "D435",
                "warning",
                subject,
                f"{e.setting(name)} {what}.",
                "reads never take a delayed member." if name == "delayed" else "regionkit does not use it.",
                "remove it from the URL."
                if name == "delayed"
                else "tag it with the name of its region: rs.reconfig().",
            )


def _members(subject: str, e: EndpointFacts, members: list[EndpointFacts]) -> Iterator[Finding]:
    known = {member.host.lower() for member in members}
    named = set(filter(None, e.setting("members").split(",")))
    missing = sorted(named - known)
    if named & known and missing:  # else the set calls itself by other names than the URL
        yield Finding(
            "D432",
            "warning",
            subject,
            f"{', '.join(missing)} of the set is not in the URL.",
            "it may be elected, and then this application does not find the primary.",
            "name in the URL every member that may be read or elected.",
        )


def _majority(subject: str, e: EndpointFacts) -> Iterator[Finding]:
    voters, with_data = e.setting("voters"), e.setting("data_voters")
    if not voters:
        return
    if int(with_data) < SURVIVES:
        yield Finding(
            "D434",
            "warning",
            subject,
            f"{with_data} of its voting members hold data.",
            "if one of them fails, no majority acknowledges a write"
            + ("." if with_data == voters else ", even with an arbiter."),
            "run at least three voting members with data.",
        )
    elif int(voters) % 2 == 0:
        yield Finding(
            "D434",
            "note",
            subject,
            f"it has {voters} voting members.",
            "an even number tolerates no more failures than one member fewer.",
            "take the vote from one of them, or add one.",
        )
    if int(e.setting("electable") or voters) < 2:
        yield Finding(
            "D434",
            "warning",
            subject,
            "only one member can be elected.",
            "if it fails, no member takes writes.",
            "give another member a priority above 0.",
        )
