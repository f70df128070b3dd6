"""Rules that hold for every backend: facts in, findings out. Pure.

A rule judges only what is known. The numbers are here, each with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts, Facts
from regionkit.cli.doctor.findings import Finding, Severity, in_order
from regionkit.cli.doctor.rules_cassandra import cassandra
from regionkit.cli.doctor.rules_mariadb import mariadb
from regionkit.cli.doctor.rules_mongo import mongo
from regionkit.cli.doctor.rules_mysql import mysql
from regionkit.cli.doctor.rules_postgres import postgres
from regionkit.cli.doctor.rules_reached import reached
from regionkit.cli.doctor.rules_redis import redis
from regionkit.cli.doctor.rules_sql import sql
from regionkit.cli.doctor.rules_tables import tables

__all__ = ["diagnose"]

ENDS_SOON = 14 * 86_400.0
"""Seconds before the end of a certificate that are worth a warning: two weeks leave time for a mistake in renewing it."""
WRITE_ROUND_TRIPS = 16
"""Of a write block on a new connection at most: 12 to connect (TCP, TLS, SCRAM, settings, the first question), two
statements, and COMMIT."""
READ_ROUND_TRIPS = 13
"""Of a read on a new connection: 12 to connect, and the statement."""
FARTHER = 2.0
"""Times that the local endpoint's round trip is another region's before the names of regions look mixed up ..."""
FARTHER_BY = 0.02
"""... and seconds: below that all of them are near, and a busy machine makes one of them longer."""
CLOCKS_APART = 1.0
"""Seconds beyond which clocks differ: NTP keeps machines within a few hundredths."""
CLOCKS_BREAK = 10.0
"""Seconds beyond which Cassandra's time stamps are refused."""
FAR_BEHIND = 10.0
"""Seconds of lag that are not temporary: ten times the longest wait of any profile."""
OLDEST = {
    "postgresql": (15,),
    "mariadb": (10, 6),
    "mysql": (8, 0),
    "redis": (6, 2),
    "valkey": (7, 2),
    "mongodb": (6,),
    "cassandra": (4,),
}
"""The oldest versions that regionkit supports: the test suite runs on them, or it needs them."""


def diagnose(facts: Facts, now: float) -> list[Finding]:
    """All findings, errors first. `now`: seconds since 1970."""
    found = [*_configuration(facts), *reached(facts), *_versions(facts), *tables(facts)]
    for e in facts.endpoints:
        found += [*_wire(e, now), *_roles(e), *_distance(facts, e), *_clock(e), *_account(e)]
    for rules in (sql, postgres, mariadb, mysql, redis, mongo, cassandra):
        found += rules(facts)
    return in_order(found)


def _configuration(facts: Facts) -> Iterator[Finding]:
    if not facts.signs:
        yield Finding(
            "D101",
            "note",
            "configuration",
            "bookmarks are not signed.",
            "a client can change one; unsigned bookmarks are for trusted callers only.",
            'set bookmark_keys = ["${BOOKMARK_KEY}"] before bookmarks leave your services.',
        )
    for path in facts.passwords:
        yield Finding(
            "D102",
            "warning",
            path,
            "the file contains the password.",
            "files are copied, backed up and committed; the environment is not.",
            "write ${NAME} instead, and set NAME in the environment.",
        )
    for store in facts.stores.values():
        for caution in store.cautions:
            yield Finding(
                "D103", "warning", store.name, f"{caution}.", "the URL allows it.", "add replicaSet=NAME to it."
            )
        if store.regions and facts.local not in store.regions:
            yield Finding(
                "D104",
                "note",
                store.name,
                f"it has no endpoint in {facts.local}, where this process runs.",
                "each of its reads leaves the region.",
                "add a replica there, or ignore this if you want it so.",
            )
    for e in facts.endpoints:
        if not e.allowed:
            yield Finding(
                "D105",
                "note",
                e.subject,
                f"{e.region} is outside the store's residency; regionkit does not connect there.",
                "the endpoint is listed, but not used.",
                "allow the region, or remove the endpoint.",
            )


def _wire(e: EndpointFacts, now: float) -> Iterator[Finding]:
    seen = e.examined
    if seen is None:
        if e.failed and e.state == "up":
            yield Finding(
                "D108", "warning", e.subject, "its settings could not be read.", e.failed, "run the doctor again."
            )
        return
    if seen.encrypted is False and not e.loopback:
        yield Finding(
            "D106",
            "warning",
            e.subject,
            "the connection is not encrypted.",
            "others on the network can read the data and, with some servers, the password.",
            'remove tls = "off" from the endpoint, and give the server a certificate.',
        )
    if seen.certificate_ends is not None and seen.certificate_ends - now < ENDS_SOON:
        days = (seen.certificate_ends - now) / 86_400.0
        yield Finding(
            "D107",
            "warning",
            e.subject,
            f"the server's certificate expires in {max(0.0, days):.1f} days.",
            "then no new connection is possible.",
            "renew it now.",
        )


def _roles(e: EndpointFacts) -> Iterator[Finding]:
    found = "primary" if e.is_primary else e.found
    counts = e.examined is not None and not e.state.startswith("fenced")  # what is fenced is not used in any role
    if e.declared and counts and e.found in ("owner", "primary", "replica") and found != e.declared:
        yield Finding(
            "D301",
            "warning",
            e.subject,
            f"the topology says {e.declared}, and the server is a {found}.",
            "the reported role takes precedence, but a process that starts while other servers are down uses the wrong one.",
            f'write role = "{found}" for it, or promote the intended primary.',
        )
    if e.lag is not None and not e.is_primary and e.lag > FAR_BEHIND:
        yield Finding(
            "D302",
            "warning",
            e.subject,
            f"it may be {e.lag:.0f} s behind.",
            "SESSION and BOUNDED reads use other endpoints.",
            "check its replication and its load.",
        )


def _distance(facts: Facts, e: EndpointFacts) -> Iterator[Finding]:
    if e.rtt is None:
        return
    profile, limits = facts.profile, []
    if e.rtt * READ_ROUND_TRIPS > profile.read_deadline:
        limits.append(f"a read takes up to {e.rtt * READ_ROUND_TRIPS:.1f} of read_deadline {profile.read_deadline:g} s")
    if e.is_primary and e.rtt * WRITE_ROUND_TRIPS > profile.write_deadline:
        taken = e.rtt * WRITE_ROUND_TRIPS
        limits.append(f"a write takes up to {taken:.1f} of write_deadline {profile.write_deadline:g} s")
    if limits:
        yield Finding(
            "D303",
            "warning",
            e.subject,
            f"its round trip is {e.rtt * 1000:.0f} ms, and on a new connection {'; '.join(limits)}.",
            "calls raise DeadlineExceeded although nothing is broken.",
            'choose profile = "gentle", or raise those two fields.',
        )
    others = [o for o in facts.of(e.store) if o.region != e.region and o.rtt is not None]
    if e.region == facts.local and others:
        near = min(others, key=lambda o: o.rtt or 0.0)
        if near.rtt is not None and e.rtt > FARTHER * near.rtt + FARTHER_BY:
            yield Finding(
                "D304",
                "warning",
                e.subject,
                f"it is {e.rtt * 1000:.0f} ms away, and {near.endpoint} in another region {near.rtt * 1000:.0f} ms.",
                "the local region always comes first, so reads use the slower endpoint.",
                "check $REGIONKIT_REGION, local= and the regions of the endpoints.",
            )


def _clock(e: EndpointFacts) -> Iterator[Finding]:
    seen = e.examined
    if seen is None or seen.skew is None:
        return
    apart = abs(seen.skew) - seen.skew_error
    if apart <= CLOCKS_APART:
        return
    strict = seen.server == "cassandra" and apart > CLOCKS_BREAK
    severity: Severity = "error" if strict else "warning"
    yield Finding(
        "D305",
        severity,
        e.subject,
        f"the server's clock is {abs(seen.skew):.1f} s {'ahead of' if seen.skew > 0 else 'behind'} this machine's.",
        "time stamps order writes, and bookmarks with such time stamps are refused."
        if strict
        else "whatever expires (records, leases, cached values) expires too early or too late.",
        "synchronise both clocks with NTP.",
    )


def _account(e: EndpointFacts) -> Iterator[Finding]:
    seen = e.examined
    if seen is None:
        return
    if "everything" in seen.rights and seen.server not in ("redis", "valkey"):
        yield Finding(
            "D501",
            "warning",
            e.subject,
            f"{seen.account} may do everything.",
            "an error in the application then has an administrator's rights, on replicas too.",
            "give the application its own account; the server's page lists the rights.",
        )
    for right, grant in seen.lacks:
        yield Finding(
            "D502",
            "error",
            e.subject,
            f"{seen.account} lacks {right}.",
            "bookmarks, idempotency keys or promotions that need it fail.",
            grant,
        )
    if "writes" in seen.read_rights and "read-only" not in seen.read_rights:
        yield Finding(
            "D503",
            "warning",
            e.subject,
            f"{seen.read_account}, the account of read_url, may write.",
            "behind a pooler that drops settings, nothing prevents a write in a read block.",
            "REVOKE its INSERT, UPDATE and DELETE; leave it only SELECT.",
        )
    nobody = seen.server in ("redis", "valkey") and "password" not in seen.rights
    if not e.loopback and (nobody or (seen.server in ("mongodb", "cassandra") and not seen.account)):
        yield Finding(
            "D505",
            "warning",
            e.subject,
            "it requires no password.",
            "anybody who can reach its port can read and write everything.",
            "give it accounts, and name one in the URL.",
        )


def _versions(facts: Facts) -> Iterator[Finding]:
    for e in facts.endpoints:
        seen = e.examined
        oldest = OLDEST.get(seen.server) if seen is not None else None
        if seen is None or oldest is None or not seen.version:
            continue
        if numbers(seen.version)[: len(oldest)] < oldest:
            yield Finding(
                "D701",
                "warning",
                e.subject,
                f"{seen.server} {seen.version} is older than {'.'.join(map(str, oldest))}.",
                "regionkit was not tested with it.",
                "update the server.",
            )
    for store in facts.stores:
        known = [e for e in facts.of(store) if e.examined is not None and e.examined.version]
        newest = max((numbers(e.examined.version)[:2] for e in known if e.examined), default=())
        for e in known:
            assert e.examined is not None
            if not e.is_primary and numbers(e.examined.version)[:2] < newest:
                yield Finding(
                    "D702",
                    "warning",
                    e.subject,
                    f"it is {e.examined.version}, and another server of the store {'.'.join(map(str, newest))}.",
                    "a replica that is older than its primary may stop at an unknown statement.",
                    "update replicas first, then the primary.",
                )
    for driver in facts.drivers:
        if not driver.fits:
            yield Finding(
                "D703",
                "warning",
                driver.package,
                f"version {driver.version} is installed.",
                f"regionkit was tested with {driver.wanted}.",
                f'pip install "{driver.package}{driver.wanted}"',
            )


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version."""
    found = []
    for part in version.split("."):
        digits = "".join(char for char in part if char.isdigit())
        if not digits:
            break
        found.append(int(digits))
    return tuple(found)
