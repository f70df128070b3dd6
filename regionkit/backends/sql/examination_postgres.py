"""What PostgreSQL and an account of it say of themselves. Sources: PostgreSQL manual, "Server Configuration", "Monitoring"."""

from __future__ import annotations

from regionkit.backends.certificate import certificate_ends
from regionkit.backends.sql.asking import Asking
from regionkit.contract.examination import Examined
from regionkit.topology import sql_parameters

__all__ = ["ask_postgres"]

SETTINGS = (
    *("wal_level", "hot_standby_feedback", "max_standby_streaming_delay", "max_prepared_transactions", "fsync"),
    *("full_page_writes", "synchronous_commit", "synchronous_standby_names", "recovery_min_apply_delay"),
    *("max_connections", "superuser_reserved_connections", "max_wal_senders"),
)
WRITES = "INSERT, UPDATE, DELETE, TRUNCATE"
"""Any of them, as has_table_privilege takes it."""
NEEDED = {"history": ("SELECT", "INSERT")} | dict.fromkeys(
    ("marker", "record"), ("SELECT", "INSERT", "UPDATE", "DELETE")
)
MOST_NAMED = 20
"""Accounts, or slots, named at most."""

_ACCOUNT = """
SELECT current_user, rolsuper, rolreplication, pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER'),
  has_schema_privilege(current_schema(), 'CREATE'),
  coalesce(array_to_string(rolconfig, ','), '') LIKE '%default_transaction_read_only=on%'
FROM pg_roles WHERE rolname = current_user"""
_WRITES = f"""
SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, '{WRITES}'))"""  # noqa: S608
_WRITERS = f"""
SELECT DISTINCT r.rolname FROM pg_roles r, pg_class c
WHERE c.oid = ANY (SELECT to_regclass(name) FROM unnest(string_to_array(:names, ',')) AS name)
  AND r.rolcanlogin AND NOT r.rolsuper AND r.rolname <> current_user AND has_table_privilege(r.oid, c.oid, '{WRITES}')
ORDER BY 1 LIMIT {MOST_NAMED}"""  # noqa: S608
_SLOTS = f"""
SELECT slot_name, coalesce(wal_status, ''), coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)
FROM pg_replication_slots WHERE NOT active AND NOT temporary ORDER BY 1 LIMIT {MOST_NAMED}"""  # noqa: S608

_ZONE = """
SELECT current_setting('TimeZone'),
  concat(extract(epoch FROM timestamptz '2026-01-01')::bigint, ' ', extract(epoch FROM timestamptz '2026-07-01')::bigint)"""
"""The name of the session's time zone, and when a day of its winter and of its summer began."""


def ask_postgres(asking: Asking) -> Examined:
    """Ask on one account's connection."""
    run, one = asking.run, asking.one
    settings = {
        str(name): str(value)
        for name, value in run("SELECT name, setting FROM pg_settings WHERE name = ANY (:names)", names=list(SETTINGS))
    }
    for name, days in run(_ZONE):
        settings |= {"time_zone": str(name), "zone_days": str(days)}
    recovers = bool(one("SELECT pg_is_in_recovery()"))
    if recovers:
        settings["replay_paused"] = "on" if one("SELECT pg_is_wal_replay_paused()") else "off"
        settings["receives"] = "on" if one("SELECT count(*) FROM pg_stat_wal_receiver") else "off"
    else:
        settings["replicas"] = str(one("SELECT count(*) FROM pg_stat_replication") or 0)
        slots = run(_SLOTS)
        settings["idle_slots"] = ",".join(f"{name}:{int(kept)}" for name, _, kept in slots)
        settings["lost_slots"] = ",".join(str(name) for name, status, _ in slots if status == "lost")
    rights, account = _rights(asking)
    if "reads statistics" in rights and not recovers:
        waited_for = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
        settings["sync_standbys"] = str(one(waited_for) or 0)
    tables = asking.kept()
    skew, skew_error = asking.clock("SELECT extract(epoch FROM clock_timestamp())")
    encrypted = one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    return Examined(
        server="postgresql",
        version=str(one("SHOW server_version") or "").split(" ")[0],
        encrypted=None if encrypted is None else bool(encrypted),
        certificate_ends=_certificate_ends(asking) if encrypted else None,
        skew=skew,
        skew_error=skew_error,
        settings=settings,
        account=account,
        rights=rights,
        tables=tables,
        writers=_writers(asking, tables),
        lacks=_lacks(asking, tables, account),
    )


def _rights(asking: Asking) -> tuple[frozenset[str], str]:
    rows = asking.run(_ACCOUNT)
    if not rows:
        return frozenset(), ""
    account, *held = rows[0]
    words = ("everything", "replication", "reads statistics", "makes tables", "read-only")
    found = {word for word, has in zip(words, held, strict=True) if has}
    if asking.one(_WRITES):
        found.add("writes")
    return frozenset(found), str(account)


def _writers(asking: Asking, tables: dict[str, int] | None) -> tuple[str, ...]:
    names = asking.routing_tables(tables).values()
    return tuple(str(name) for (name,) in asking.run(_WRITERS, names=",".join(names))) if names else ()


def _lacks(asking: Asking, tables: dict[str, int] | None, account: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for name, whole in asking.routing_tables(tables).items():
        needed = NEEDED[name] if asking.is_primary else ("SELECT",)
        found += [
            (f"{right} on {whole}", f'GRANT {right} ON {whole} TO "{account}";')
            for right in needed
            if asking.one("SELECT has_table_privilege(to_regclass(:name), :right)", name=whole, right=right) is False
        ]
    return tuple(found)


def _certificate_ends(asking: Asking) -> float | None:
    url = asking.url
    if url is None or not url.host:
        return None
    trusted = sql_parameters(url).get("sslrootcert")
    return certificate_ends(url.host, url.port or 5432, CERTIFICATE_WITHIN, trusted=trusted, asks_first=True)


CERTIFICATE_WITHIN = 3.0
"""Seconds for a look at the certificate: the connection itself has shown that the server is there."""
