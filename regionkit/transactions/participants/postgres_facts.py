"""What PostgreSQL is asked before it takes part, and what its answer means. Pure."""

from __future__ import annotations

from typing import NamedTuple

from regionkit.transactions.findings import Finding

__all__ = ["LOOK", "PREPARED", "Look", "findings"]

LOOK = """
SELECT current_setting('max_prepared_transactions')::int, current_setting('fsync'), current_setting('full_page_writes'),
  current_setting('synchronous_standby_names'), (SELECT system_identifier::text FROM pg_control_system()),
  (SELECT oid::text || '.' || datname FROM pg_database WHERE datname = current_database()),
  substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
  coalesce((SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass('{table}')), ''),
  (SELECT count(*)::int FROM pg_prepared_xacts),
  (SELECT count(*)::int FROM pg_stat_replication r WHERE r.state IS DISTINCT FROM 'backup' AND NOT EXISTS
    (SELECT 1 FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical'))
"""
PREPARED = """
SELECT gid, owner, extract(epoch FROM prepared) FROM pg_prepared_xacts WHERE database = current_database() ORDER BY gid
"""
CROWDED = 0.8
"""Share of the prepared transactions in use from which on it is said."""


class Look(NamedTuple):
    """An answer to LOOK."""

    most: int
    fsync: str
    pages: str
    synchronous: str
    system: str
    database: str
    timeline: str
    schema: str
    prepared: int
    replicas: int


def findings(name: str, look: Look, *, unsafe: bool) -> list[Finding]:
    """What is wrong, or risky. `unsafe`: what is not flushed is only said."""
    found: list[Finding] = []
    if look.most < 1:
        what = "max_prepared_transactions is 0"
        fix = "set max_prepared_transactions to at least max_connections, and restart the server."
        found.append(Finding("refused", name, what, fix))
    elif look.prepared >= CROWDED * look.most:
        what = f"{look.prepared} of max_prepared_transactions = {look.most} are in use"
        found.append(
            Finding("warning", name, what, "run recovery; raise it, and never lower it below what is prepared.")
        )
    for setting, value in (("fsync", look.fsync), ("full_page_writes", look.pages)):
        if value != "on":
            what = f"{setting} is {value}: what is prepared may be gone after a crash"
            found.append(Finding("warning" if unsafe else "refused", name, what, f"set {setting} = on."))
    if look.replicas and not look.synchronous:
        what = "its standbys are asynchronous: one that is promoted may lack a branch that was prepared or committed"
        fix = "set synchronous_standby_names, and promote synchronous standbys only."
        found.append(Finding("warning", name, what, fix))
    return found
