"""Rules that MariaDB and MySQL share: the binary log, durable commits, replication, server ids. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from regionkit.cli.doctor.facts import EndpointFacts
from regionkit.cli.doctor.findings import Finding
from regionkit.cli.doctor.rules_sql import delayed

__all__ = ["OFF", "ON", "binlog_format", "durable", "replication", "semi_synchronous", "server_ids"]

ON, OFF = ("on", "1", "yes"), ("off", "0", "no")
RUNS = ("", "yes", "connecting", "preparing")
"""States of a thread of replication that are no fault; "": the account may not see it."""


def binlog_format(e: EndpointFacts) -> Iterator[Finding]:
    """Rows are the only format that does the same on each server."""
    if e.setting("binlog_format") not in ("", "row"):
        yield Finding(
            "D411",
            "warning",
            e.subject,
            f"binlog_format is {e.setting('binlog_format').upper()}.",
            "a statement may change other rows on a replica than on its primary.",
            "SET GLOBAL binlog_format = ROW, and set it in the server's file.",
        )


def durable(e: EndpointFacts) -> Iterator[Finding]:
    """Of a primary: what it acknowledged survives a crash of its machine."""
    for name in ("sync_binlog", "innodb_flush_log_at_trx_commit"):
        if e.setting(name) not in ("", "1"):
            yield Finding(
                "D404",
                "warning",
                e.subject,
                f"{name} is {e.setting(name)}.",
                "a crash of the machine loses commits that were acknowledged, or that replicas already have.",
                f"SET GLOBAL {name} = 1, and set it in the server's file.",
            )


def replication(e: EndpointFacts) -> Iterator[Finding]:
    """Of a replica: its threads run, and they do not wait."""
    assert e.examined is not None
    stopped = [name for name in ("receives", "applies") if e.setting(name) not in RUNS]
    error = e.examined.settings.get("replication_error", "")
    if stopped or error:
        what = {"receives": "the thread that receives", "applies": "the thread that applies"}
        threads = " and ".join(what[name] for name in stopped)
        state = (
            f"{threads} {'does' if len(stopped) == 1 else 'do'} not run" if stopped else "its replication has an error"
        )
        yield Finding(
            "D415",
            "error",
            e.subject,
            f"{state}{f': {error}' if error else ''}.",
            "it shows nothing new.",
            "SHOW REPLICA STATUS (before MySQL 8.0.22: SHOW SLAVE STATUS) says why; START REPLICA continues.",
        )
    if e.setting("delay") not in ("", "0"):
        yield delayed(e, f"it applies what it receives {e.setting('delay')} s late (SQL_DELAY).")


def semi_synchronous(e: EndpointFacts, names: tuple[str, str, str], fix: str) -> Iterator[Finding]:
    """Of a primary. `names`: of the setting, of the replicas that answer, and of the state."""
    enabled, clients, state = names
    if e.is_primary and e.setting(enabled) in ON and (e.setting(clients) == "0" or e.setting(state) in OFF):
        yield Finding(
            "D416",
            "warning",
            e.subject,
            "semi-synchronous replication is on, and no replica acknowledges.",
            "commits are asynchronous now: a failover may lose them.",
            fix,
        )


def server_ids(endpoints: list[EndpointFacts], name: str, harm: str, fix: str) -> Iterator[Finding]:
    """Of one store: each server has its own."""
    hosts = {e.host: e for e in endpoints}.values()  # one server may hold several partitions
    count = Counter(e.setting(name) for e in hosts)
    for e in hosts:
        number = e.setting(name)
        if number and count[number] > 1:
            yield Finding("D414", "error", e.subject, f"another server has the same {name}, {number}.", harm, fix)
